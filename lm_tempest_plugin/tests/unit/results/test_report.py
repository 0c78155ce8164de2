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
from lm_tempest_plugin.results import report
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import materials


def table(lines, key):
    """Return the table of a section; None if there is no such section."""
    found = report.build(builders.read(lines))
    for section in found.sections:
        if section.key == key:
            return materials.tables_of(section)[0]
    return None


class MigrationsTest(base.TestCase):

    def rows(self, lines):
        found = table(lines, 'migrations')
        for row in found.rows:
            self.assertEqual(len(found.columns), len(row.cells))
        return found.rows

    def test_everything_known(self):
        lines = [*materials.migrations(8, servers=8),
                 builders.drain(servers=8)]
        [row] = self.rows(lines)
        self.assertEqual('good', row.mark)
        self.assertEqual((
            'block, tunnelled off', 'lm.small', '✓ 8 of 8',
            '9.00 (9.00 to 9.00)', '9.00', '0.250 ± 0.015', '0.400 ± 0.060',
            '0.180 / 0.180'), row.cells)
        self.assertIn('Limits: outage 1 s, stall 3 s.',
                      table(lines, 'migrations').caption)

    def test_a_failure(self):
        [row] = self.rows([*materials.migrations(2), builders.failed(2)])
        self.assertEqual('bad', row.mark)
        self.assertEqual('✗ 2 of 3 (1 rolled back)', row.cells[2])

    def test_a_problem_of_a_completed_migration(self):
        [row] = self.rows([
            *materials.migrations(2),
            builders.migration(2, problems=(builders.problem(),))])
        self.assertEqual('✗ 2 of 3 (1 completed but failed a check)',
                         row.cells[2])

    def test_expected_refusals_are_counted_apart(self):
        [row] = self.rows([
            *materials.migrations(10),
            builders.migration(10, verdict='refused', phases=(),
                               expected_verdicts=('refused',))])
        self.assertEqual('good', row.mark)
        self.assertEqual(
            '✓ 10 of 10; besides, 1 not completed, as the test expected',
            row.cells[2])

    def test_nothing_known(self):
        [row] = self.rows([msgspec.structs.replace(
            builders.failed(), continuity=None)])
        self.assertEqual((document.UNKNOWN,) * 5, row.cells[3:])

    def test_several_limits(self):
        rows = self.rows([
            builders.migration(0), builders.migration(
                1, max_outage_s=2.0, settings=builders.settings('shared'))])
        self.assertEqual(
            ['0.250 ± 0.015 (limit 1)', '0.250 ± 0.015 (limit 2)'],
            [row.cells[5] for row in rows])

    def test_several_strategies(self):
        rows = self.rows([builders.migration(0), builders.migration(
            1, strategy='window of 4')])
        self.assertEqual(['2, window of 2', '2, window of 4'],
                         [row.cells[2] for row in rows])


class DrainsTest(base.TestCase):

    def test_rows(self):
        found = report._drains(materials.whole())
        self.assertEqual(4, len(found.rows))
        for row in found.rows:
            self.assertEqual(len(found.columns), len(row.cells))
        self.assertEqual('window of 6', found.rows[0].cells[2])
        self.assertEqual({
            'block, tunnelled off, limit 1': '1',
            'shared, tunnelled off, limit 1': '1',
            'shared, tunnelled off, limit 3': '3',
            'shared, tunnelled on, limit 1': '1'},
            {row.cells[0]: row.cells[6] for row in found.rows})

    def test_concurrency(self):
        [row] = table([
            *materials.migrations(2), builders.drain(),
            *materials.migrations(2, drain='drain-2'),
            builders.drain('drain-2', concurrency=builders.concurrency(3))],
            'drains').rows
        self.assertEqual('1 to 3', row.cells[6])
        self.assertEqual('direct', row.cells[8])

    def test_no_drain(self):
        self.assertIsNone(table(materials.migrations(1), 'drains'))


class ChecksTest(base.TestCase):

    def test_rows(self):
        drain = builders.drain(checks=(
            schema.CheckOutcome(check='verdict', outcome='failed'),
            schema.CheckOutcome(check='transport', outcome='skipped',
                                reason='no access to hosts')))
        rows = table([*materials.migrations(1), builders.failed(1), drain],
                     'checks').rows
        self.assertEqual([
            ('verdict', document.UNKNOWN, '1', '1', '0', '1'),
            ('transport', 'no access to hosts (1)', '0', '0', '1', '0')],
            [row.cells for row in rows])
        self.assertEqual(['bad', ''], [row.mark for row in rows])


class DirectionsTest(base.TestCase):

    def build(self, *versions, **changes):
        """Return the report of a migration there and one back.

        :param versions: of nova on compute1 and on compute2
        """
        results = builders.read([
            builders.migration(0, source='compute1', destination='compute2'),
            builders.migration(1, source='compute2', destination='compute1',
                               **changes)])
        results.runs[:] = [msgspec.structs.replace(
            results.runs[0], hosts=tuple(
                schema.ComputeHost(
                    host=f'compute{number}', hypervisor_type='QEMU',
                    hypervisor_version='10.0.2', nova_version=version)
                for number, version in enumerate(versions, 1)))]
        found = report.build(results)
        sections = {each.key: each for each in found.sections}
        if 'directions' not in sections:
            return None
        table, = materials.tables_of(sections['directions'])
        for row in table.rows:
            self.assertEqual(len(table.columns), len(row.cells))
        return table.rows

    def test_both_directions(self):
        back, there = self.build('33.0.2', '32.1.0')
        self.assertEqual(
            (('nova 32.1.0', 'nova 33.0.2'), ('nova 33.0.2', 'nova 32.1.0')),
            (back.cells[:2], there.cells[:2]))
        self.assertEqual(
            ('✓ 1 of 1', '9.00', '0.250', '0.400', '0.180'), there.cells[2:])
        self.assertEqual('good', there.mark)

    def test_one_direction_that_fails(self):
        back, there = self.build(
            '33.0.2', '32.1.0', verdict='stuck',
            problems=(builders.problem(),))
        self.assertEqual(('✗ 0 of 1 (1 stuck)', 'bad', '✓ 1 of 1', 'good'),
                         (back.cells[2], back.mark, there.cells[2],
                          there.mark))
        self.assertEqual(document.UNKNOWN, back.cells[3])

    def test_hosts_of_equal_versions_have_no_directions(self):
        self.assertIsNone(self.build('33.0.2', '33.0.2'))
        # Nothing tells whether the other one differs.
        self.assertIsNone(self.build('33.0.2', None))


class HostsTest(base.TestCase):

    def test_two_hosts_have_no_section(self):
        self.assertIsNone(table([
            builders.migration(0), builders.failed(
                1, source='compute2', destination='compute1'),
            builders.migration(2, source='compute2',
                               destination='compute1')], 'hosts'))

    def test_three_hosts_have_one(self):
        found = table([builders.migration(0, destination='a')], 'hosts')
        self.assertEqual(
            ['compute2', 'a', 'compute1'],
            [row.cells[0] for row in found.rows])

    def test_for_programs(self):
        built = report.build(builders.read([builders.migration(0)]))
        self.assertEqual(['compute1', 'compute2'],
                         [each.host for each in built.data['hosts']])


class RunsTest(base.TestCase):

    def test_everything_known(self):
        [row] = table([], 'runs').rows
        self.assertEqual((
            'run-1', '2026-11-25 08:00:00 UTC', '1.0.0 (1234abc)',
            'RegionOne', '2.104',
            'compute1, compute2: QEMU 10.0.2, libvirt 9.0.0'),
            row.cells[:6])
        self.assertTrue(row.cells[6].endswith('run-1.jsonl'))
