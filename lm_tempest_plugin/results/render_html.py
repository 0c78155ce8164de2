# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Documents as a page: one file that requests nothing from the network.

The template escapes all texts. In plots, ``plots.theme.text()`` does.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import re

import jinja2
import markupsafe
from plotly import offline

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import renderers

# A browser has to lay out every line.
MOST_LINES = 1000


def html(page: document.Document) -> str:
    """Return a document as a page that works without any other file.

    :param page: the document
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True)
    environment.filters.update(
        embedded=embedded, kinds=_kinds,
        first_lines=lambda lines: renderers.first_lines(lines, MOST_LINES))
    drawn = any(isinstance(node, document.Plot) and node.figures
                for section in page.sections for node in section.nodes)
    return environment.get_template('page.html.j2').render(
        page=page, theme=theme, plotly=plotly_script() if drawn else '')


def embedded(figures: Sequence[tuple[str, document.Figure]]
             ) -> markupsafe.Markup:
    """Return figures as JSON that is safe inside a script element.

    A script element ends at the first ``</script``, even in a JSON string;
    after ``<!--`` it may not end where it should (HTML standard,
    "Restrictions for contents of script elements"). So these letters are
    written as escapes of JSON.

    :param figures: labels, which are left out, and figures
    """
    text = f'[{",".join(figure.as_json() for _label, figure in figures)}]'
    for letter in '<>&\u2028\u2029':
        text = text.replace(letter, f'\\u{ord(letter):04x}')
    return markupsafe.Markup(text)


def plotly_script() -> markupsafe.Markup:
    """Return plotly.js, safe inside a script element.

    :raises ValueError: this version would end the element too early
    """
    script = offline.get_plotlyjs()
    if re.search('</script|<!--', script, re.IGNORECASE):
        raise ValueError('this version of plotly.js cannot be embedded')
    return markupsafe.Markup(script)


def _kinds(nodes: Iterable[document.Node]
           ) -> list[tuple[str, document.Node]]:
    """Pair nodes with the name of their class: Jinja has no isinstance()."""
    return [(type(node).__name__, node) for node in nodes]
