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

from lm_tempest_plugin.results import report
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import materials

MIB = 2 ** 20


def memory(per_s):
    """Return the workload that writes memory."""
    return schema.WorkloadChoice(
        name='memory', per_s=per_s, unit='MiB', memory_mib=64)


def sweep(rates=(0, 8, 16, 24, 32), **changes):
    """Return lines of migrations: setup 9 s, 180 MiB, 40 MiB/s."""
    lines = []
    for number, rate in enumerate(rates):
        lines.append(builders.migration(number, **{
            'workload': memory(rate) if rate else schema.WorkloadChoice(),
            'queue_s': 1.0, 'duration_s': 10.0 + 180.0 / (40.0 - rate),
            'job': schema.LibvirtJob(
                memory_bytes_processed=(180 + 10 * rate) * MIB),
            'work': schema.WorkloadFigures(
                unit='MiB', before_per_s=float(rate), during_per_s=rate * 0.8,
                dirty_bytes_per_s=float(rate * MIB)) if rate else None,
            **changes}))
    return lines


class SummaryTest(base.TestCase):

    def summarize(self, lines):
        return summary.summarize(builders.read(lines))

    def test_idle_guests_have_no_table(self):
        found = self.summarize(materials.migrations(3))
        self.assertEqual(((), ()), (found.workloads, found.convergences))

    def test_workloads_are_not_mixed(self):
        found = self.summarize(sweep((0, 8, 8)))
        self.assertEqual(['idle', 'memory 8 MiB/s of 64 MiB'], [
            str(each.conditions.workload) for each in found.groups])
        self.assertEqual([1, 2], [each.migrations for each in found.groups])
        idle, busy = found.workloads
        self.assertEqual((None, 0.0), (idle.during_per_s,
                                       idle.dirty_mib_per_s))
        self.assertEqual((8.0, 8.0, 6.4, None), (
            busy.dirty_mib_per_s, busy.before_per_s, busy.during_per_s,
            busy.after_per_s))

    def test_stalls_and_guests_that_do_not_work(self):
        workload = schema.WorkloadChoice(name='disk', unit='writes', per_s=4.0)
        found, = self.summarize([builders.migration(
            number, workload=workload, work=work)
            for number, work in enumerate((
                schema.WorkloadFigures(disk_stall_s=0.5,
                                       application_stall_s=3.0),
                schema.WorkloadFigures(disk_stall_s=2.5),
                schema.WorkloadFigures(skipped='no dd'), None))]).workloads
        self.assertEqual((4, 1, 2.5, 3.0), (
            found.migrations, found.skipped, found.disk_stall_s,
            found.application_stall_s))

    def test_dirty_rate(self):
        for workload, work, expected in (
                (memory(8), schema.WorkloadFigures(
                    before_per_s=7.0, dirty_bytes_per_s=5.0 * MIB), 5.0),
                # Without access to the hosts.
                (memory(8), schema.WorkloadFigures(before_per_s=7.0), 7.0),
                (memory(8), None, None),
                (schema.WorkloadChoice(name='disk', unit='writes', per_s=4.0),
                 schema.WorkloadFigures(before_per_s=4.0), None),
                (schema.WorkloadChoice(), None, 0.0)):
            self.assertEqual(expected, summary.dirty_mib_per_s(
                builders.migration(workload=workload, work=work)))

    def test_convergence(self):
        fit, = self.summarize(sweep()).convergences
        # The least that one has sent, and no time in the queue.
        self.assertEqual(180.0, fit.curve.memory_mib)
        self.assertAlmostEqual(9.0, fit.curve.setup_s.value, 1)
        self.assertAlmostEqual(40.0, fit.curve.bandwidth.value, 1)
        self.assertEqual(schema.WorkloadChoice(), fit.conditions.workload)

    def test_memory_of_the_flavor(self):
        fit, = self.summarize(sweep(job=None)).convergences
        self.assertEqual(builders.SMALL.ram_gib * 1024, fit.curve.memory_mib)

    def test_too_few_dirty_rates(self):
        self.assertEqual((), self.summarize(sweep((0, 8))).convergences)

    def test_other_workloads_are_in_no_curve(self):
        self.assertEqual((), self.summarize([
            builders.migration(number, workload=schema.WorkloadChoice(
                name='wordcount', unit='words', per_s=9.0),
                work=schema.WorkloadFigures(
                    dirty_bytes_per_s=float(number * MIB)))
            for number in range(5)]).convergences)

    def test_servers_of_a_drain(self):
        self.assertEqual(
            '1 lm.small, 2 lm.small with memory 8 MiB/s of 64 MiB',
            summary.load(sweep((8, 0, 8))))


class SectionTest(base.TestCase):

    def document(self, lines):
        return report.build(builders.read(lines))

    def section(self, lines):
        found, = (each for each in self.document(lines).sections
                  if each.key == 'workloads')
        return found

    def test_idle_guests_have_none(self):
        self.assertNotIn('workloads', [
            each.key for each in self.document(
                materials.migrations(2)).sections])

    def test_a_table_of_each_workload(self):
        tables = materials.tables_of(self.section(sweep()))
        self.assertEqual([1, 4, 1], [len(each.rows) for each in tables])
        row = tables[1].rows[0].cells
        self.assertIn('memory 8 MiB/s of 64 MiB', row)
        self.assertIn('6.40', row)
        self.assertIn('During (MiB/s)', tables[1].columns)
        self.assertTrue(tables[2].caption.startswith('Duration = setup +'))

    def test_one_that_did_not_work(self):
        table, *_ = materials.tables_of(self.section([builders.migration(
            workload=memory(8), work=schema.WorkloadFigures(skipped='x'))]))
        self.assertIn('memory 8 MiB/s of 64 MiB (not in 1 guests)',
                      table.rows[0].cells)

    def test_the_plot(self):
        lines = [*sweep(), builders.migration(
            9, verdict='timed-out', duration_s=300.0, workload=memory(64),
            work=schema.WorkloadFigures(dirty_bytes_per_s=64.0 * MIB))]
        section = self.section(lines)
        materials.check(self, section)
        (_, figure), = materials.plots_of(section)[0].figures
        traces = {each['name']: each for each in figure.traces}
        self.assertEqual([0.0, 8.0, 16.0, 24.0, 32.0],
                         traces['completed']['x'])
        self.assertEqual([64.0], traces['not completed']['x'])
        self.assertAlmostEqual(40.0, traces['bandwidth']['x'][0], 1)
        self.assertLess(max(traces['fit']['x']), 40.0)
        self.assertLessEqual(max(traces['fit']['y']), 300 * 1.3 + 1)

    def test_no_dirty_rate(self):
        section = self.section([builders.migration(
            workload=memory(8), work=schema.WorkloadFigures())])
        plot, = materials.plots_of(section)
        self.assertEqual(0, len(plot.figures))
        self.assertIn('No dirty rate is known', plot.missing)

    def test_workloads_in_other_tables(self):
        found = self.document(sweep((0, 8)))
        table = next(node for node in next(
            each for each in found.sections
            if each.key == 'migrations').nodes if hasattr(node, 'rows'))
        self.assertIn('Workload', table.columns)
        self.assertEqual({len(table.columns)},
                         {len(row.cells) for row in table.rows})
