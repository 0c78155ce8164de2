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

"""Materials of reports, for unit tests."""

from plotly import graph_objects

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results import report
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.functional import matrix
from lm_tempest_plugin.tests.unit.results import builders


def make(lines):
    """Return the material of a report.

    :param lines: after the first
    """
    results = builders.read(lines)
    return plots.Material(summary.summarize(results), results)


def migrations(count, **changes):
    """Return lines of migrations.

    :param count: their number
    :param changes: of each, by the names of the fields
    """
    return [builders.migration(number, **changes) for number in range(count)]


def whole(**changes):
    """Return the material of a report about a whole matrix.

    :param changes: of the simulated run
    """
    return make(matrix.lines(
        matrix.SimulatedRun(**{'round_trips': 3, **changes})))


def sections(material):
    """Return the sections with plots, in the order of the page."""
    return [section(material) for section in report.PLOTS]


def plots_of(section):
    """Return the plots of a section."""
    return [node for node in section.nodes
            if isinstance(node, document.Plot)]


def tables_of(section):
    """Return the tables of a section."""
    return [node for node in section.nodes
            if isinstance(node, document.Table)]


def check(test, section):
    """Check the figures of a section against plotly's schema.

    :param test: the test that checks
    :param section: each of its plots has a figure
    """
    for plot in plots_of(section):
        test.assertTrue(plot.figures)
        for _label, figure in plot.figures:
            test.assertTrue(figure.traces)
            # Raises ValueError for attributes that plotly does not know.
            graph_objects.Figure(figure.as_dict())
            figure.as_json()
