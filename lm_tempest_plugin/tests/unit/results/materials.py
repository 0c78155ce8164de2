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

"""What pages are made of, from lines of records, for unit tests."""

import tempfile

from plotly import graph_objects

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import material
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.functional import matrix
from lm_tempest_plugin.tests.unit.results import builders


def read(lines):
    """Return what a file of records with these lines says.

    :param lines: kind and body of each, after the first
    """
    with tempfile.TemporaryDirectory() as directory:
        return collection.read([builders.write(directory, 'run-1', lines)])


def make(lines):
    """Return what a page is made of.

    :param lines: kind and body of each, after the first
    """
    records = read(lines)
    return material.Material(summary.summarize(records), records)


def attempts(count, **changes):
    """Return lines of attempts.

    :param count: how many
    :param changes: of each, by the names of its parts
    """
    return [('attempt', builders.attempt_line(number, **changes))
            for number in range(count)]


def whole(**changes):
    """Return what a page of a whole matrix is made of.

    :param changes: of the plan
    """
    plan = matrix.Plan(**{'trips': 3, **changes})
    return make(matrix.lines(plan))


def check(test, plot):
    """Hold the figures of a plot against plotly's schema.

    :param test: the test that looks
    :param plot: what it looks at
    """
    test.assertEqual('', plot.missing)
    test.assertTrue(plot.figures)
    for _label, figure in plot.figures:
        test.assertTrue(figure.traces)
        # Raises ValueError for what plotly does not know.
        graph_objects.Figure(figure.as_dict())
        figure.as_json()
