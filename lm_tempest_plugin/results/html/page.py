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

"""The page as a whole."""

from collections.abc import Sequence
import functools
import re

import jinja2
import markupsafe
from plotly import offline

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import cells
from lm_tempest_plugin.results.html import clouds
from lm_tempest_plugin.results.html import figure as figures
from lm_tempest_plugin.results.html import material as materials
from lm_tempest_plugin.results.html.plots import differences
from lm_tempest_plugin.results.html.plots import distributions
from lm_tempest_plugin.results.html.plots import drift
from lm_tempest_plugin.results.html.plots import durations
from lm_tempest_plugin.results.html.plots import hosts
from lm_tempest_plugin.results.html.plots import phases
from lm_tempest_plugin.results.html.plots import published
from lm_tempest_plugin.results.html.plots import timeline
from lm_tempest_plugin.results.html import theme
from lm_tempest_plugin.results import summary

TITLE = 'Live migration'
# More lines than that nobody reads, and a browser has to lay them out.
MOST_FAILURES = 1000
# In their order on the page.
PLOTS = (durations.plot, phases.plot, timeline.plot, distributions.outages,
         distributions.stalls, drift.plot, hosts.plot, differences.plot)


def render(found: summary.Summary, records: collection.Collection,
           title: str = '') -> str:
    """Return the page, which needs nothing but itself.

    :param found: what the records come to
    :param records: what they say
    :param title: of the page
    """
    material = materials.Material(found, records)
    shown = [each(material) for each in PLOTS]
    beside = published.plot(material)
    return _template('page.html.j2').render(
        title=title or TITLE, theme=theme, summary=found, records=records,
        names=material.names, cells=cells.cells(material),
        drains=cells.drains(material), runs=clouds.runs(records),
        failures=found.failures[:MOST_FAILURES], plots=shown,
        published=beside,
        drawn=any(each.figures for each in (*shown, beside)),
        plotly=_script())


def embedded(shown: Sequence[tuple[str, figures.Figure]]
             ) -> markupsafe.Markup:
    """Return figures as JSON that can stand within a script element.

    A script element ends at the first ``</script``, also within a string of
    JSON; and after ``<!--`` it may not end where it should (HTML standard,
    "Restrictions for contents of script elements"). So there is no such
    letter in it.

    :param shown: what to show; the labels are left out
    """
    return _harmless('[%s]' % ','.join(
        figure.as_json() for _label, figure in shown))


def _harmless(json: str) -> markupsafe.Markup:
    for letter in '<>&\u2028\u2029':
        json = json.replace(letter, '\\u%04x' % ord(letter))
    # Nothing is left that could end the element it stands in.
    return markupsafe.Markup(json)


@functools.cache
def _script() -> markupsafe.Markup:
    """Return plotly.js.

    :raises ValueError: it would end the element that it stands in
    """
    script = offline.get_plotlyjs()
    if re.search('</script|<!--', script, re.IGNORECASE):
        raise ValueError('this version of plotly.js cannot be embedded')
    return markupsafe.Markup(script)


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True)
    environment.filters['embedded'] = embedded
    return environment.get_template(name)
