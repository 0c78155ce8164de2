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

import msgspec

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import hosts
from lm_tempest_plugin.results.plots import host_pairs
from lm_tempest_plugin.tests.functional import matrix
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import materials


def ring(count, change=lambda line: line):
    """Return the section about so many hosts, each with two partners.

    :param count: number of hosts, named host-0 and so on
    :param change: changes each line
    """
    names = [f'host-{number}' for number in range(count)]
    material = materials.make(map(change, matrix.lines(matrix.SimulatedRun(
        matrix=matrix.MATRIX[:1], hosts=names, round_trips=1, of_each=1,
        sampled=False))))
    found = [each for each in hosts.judge(material.results)
             if each.host in names]
    return host_pairs.section(material, found)


def without_receiving(line):
    """Return a line; nothing can be migrated to host-1."""
    if 'host-1' == getattr(line, 'destination', '') and hasattr(
            line, 'verdict'):
        return msgspec.structs.replace(
            line, verdict='rolled back', cause='no secret',
            problems=(builders.problem(),))
    return line


class TableTest(base.TestCase):

    def test_rows(self):
        found = ring(4, without_receiving)
        table, = materials.tables_of(found)
        self.assertEqual(
            ('host-1', '✓ good, 6 of 6', '✗ problems, 0 of 6',
             'receiving from host-0: rolled back: no secret'),
            table.rows[0].cells[:4])
        self.assertEqual(
            ['bad', 'good', 'good', 'good'], [row.mark for row in table.rows])
        for row in table.rows:
            self.assertEqual(len(table.columns), len(row.cells))
        self.assertFalse(table.brief)
        self.assertEqual(
            '3 of 4 hosts sent and received without problems; 1 with '
            'problems (0 sending, 1 receiving).', found.nodes[0].text)

    def test_a_host_that_was_not_tried(self):
        material = materials.make([])
        table, = materials.tables_of(host_pairs.section(
            material, hosts.judge(material.results)))
        self.assertEqual(
            ('compute1', '– not tried', '– not tried', *3 * (
                document.UNKNOWN,)), table.rows[0].cells)
        self.assertEqual('', table.rows[0].mark)

    def test_versions(self):
        material = materials.make(materials.migrations(2))
        same = hosts.judge(material.results)
        table, = materials.tables_of(host_pairs.section(material, same))
        self.assertNotIn('Versions', table.columns)
        self.assertIn('All hosts: QEMU 10.0.2, libvirt 9.0.0.', table.caption)
        material.results.runs[:] = [msgspec.structs.replace(
            material.results.runs[0],
            hosts=material.results.runs[0].hosts[:1])]
        table, = materials.tables_of(host_pairs.section(
            material, hosts.judge(material.results)))
        place = table.columns.index('Versions')
        self.assertLess(place, table.words)
        self.assertEqual(
            {'QEMU 10.0.2, libvirt 9.0.0', document.UNKNOWN},
            {row.cells[place] for row in table.rows})

    def test_many_hosts(self):
        found = ring(hosts.MANY + 1)
        table, = materials.tables_of(found)
        self.assertTrue(table.brief)
        self.assertEqual([], materials.plots_of(found))


class HeatMapTest(base.TestCase):

    def test_plotly_takes_it(self):
        found = ring(hosts.MANY, without_receiving)
        materials.check(self, found)
        plot, = materials.plots_of(found)
        self.assertEqual(['Verdict', 'Duration (s)', 'Outage (s)'],
                         [label for label, _figure in plot.figures])

    def test_cells(self):
        plot, = materials.plots_of(ring(4, without_receiving))
        verdicts, durations, _outages = (
            figure.traces[0] for _label, figure in plot.figures)
        # The worst host first: host-1, host-0, host-3, host-2.
        self.assertEqual([
            [None, None, 1.0, 1.0], [0.0, None, None, 1.0],
            [0.0, 1.0, None, None], [None, 1.0, 1.0, None]], verdicts['z'])
        self.assertEqual(['✗', '', '', '✓'], verdicts['text'][1])
        # A migration that did not complete has no duration.
        self.assertIsNone(durations['z'][2][0])
        self.assertGreater(durations['z'][1][3], 1)
        # Warm-ups are judged, and have no figures.
        self.assertEqual('host-0 → host-1<br>as expected: 0 of 3',
                         verdicts['hovertext'][1][0])
        self.assertRegex(
            verdicts['hovertext'][1][3],
            '^host-0 → host-2<br>as expected: 3 of 3<br>median duration: '
            r'[0-9.]+ s<br>longest outage: [0-9.]+ s$')

    def test_nothing_completed(self):
        material = materials.make([
            builders.failed(number, source=name, destination='b')
            for number, name in enumerate('acd')])
        for each in material.results.migrations:
            self.assertEqual((), each.phases)
        plot, = materials.plots_of(host_pairs.section(
            material, hosts.judge(material.results)))
        self.assertEqual(['Verdict', 'Outage (s)'],
                         [label for label, _figure in plot.figures])

    def test_labels(self):
        for names, expected in (
                (('a.rack1', 'b.rack1', 'c'), ['a', 'b', 'c']),
                (('a.rack1', 'a.rack2', 'c'), ['a.rack1', 'a.rack2', 'c'])):
            figure = host_pairs._heat_map(names, {}, {}, {})
            self.assertEqual(expected, figure.layout['xaxis']['ticktext'])
            self.assertEqual(expected, figure.layout['yaxis']['ticktext'])

    def test_names_are_text(self):
        material = materials.make([
            builders.migration(0, source='<b>', destination='c')])
        plot, = materials.plots_of(host_pairs.section(
            material, hosts.judge(material.results)))
        for _label, figure in plot.figures:
            self.assertNotIn('<b>', figure.as_json())
