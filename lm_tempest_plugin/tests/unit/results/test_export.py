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

import dataclasses

from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client import parser as prometheus_parser

from lm_tempest_plugin.results import export
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import runs

ODD = 'a "b"\\c\nd,e=f \u00e9'


class InfluxTest(base.TestCase):

    def lines(self, *lines):
        return export.influx(builders.read(lines)).splitlines()

    def test_escaped(self):
        [line] = self.lines(builders.migration(
            server_name='x "y\\', source='e, f=g', settings=schema.Settings(
                values={'c=d': 1}), destination=''))
        self.assertTrue(line.startswith('live_migration,'))
        self.assertIn(',source=e\\,\\ f\\=g,', line)
        self.assertIn(',setting_c\\=d=1,', line)
        self.assertIn(',server_name="x \\"y\\\\",', line)
        self.assertIn(',vcpus=1i', line)
        self.assertIn(',ram_gib=0.1875,', line)
        self.assertIn(',good=true,', line)
        self.assertNotIn('destination', line)
        self.assertNotIn('cause', line)

    def test_line_ends(self):
        [line] = self.lines(builders.migration(
            source='a\nb\rc', destination='a\\', server_name='a\nb'))
        self.assertIn(',source=a\\nb\\rc,', line)
        # A backslash would escape the next character.
        self.assertIn(',destination=a\\\\ ,', line)
        self.assertIn(',server_name="a\\\\nb",', line)

    def test_a_line_each(self):
        results = builders.read([
            builders.migration(server_name=ODD, cause=ODD),
            builders.failed(1), builders.drain()])
        lines = export.influx(results).splitlines()
        self.assertEqual(3, len(lines))
        self.assertEqual(lines, export.influx(results).splitlines())

    def test_points_have_different_times(self):
        lines = self.lines(*(
            builders.migration(
                number, requested_at=builders.time_of_day(at_s))
            for number, at_s in enumerate((0, 0, 0.001))))
        started_ns = int(builders.STARTED.timestamp()) * 10 ** 9
        self.assertEqual([0, 1, 10 ** 6], [
            int(line.rpartition(' ')[2]) - started_ns for line in lines])

    def test_a_phase_that_comes_twice(self):
        [line] = self.lines(builders.migration(phases=(
            builders.phase('copy', 1.5), builders.phase('copy', 2.0))))
        self.assertIn(',phase_copy_s=3.5', line)

    def test_no_tag_without_value(self):
        [line] = self.lines(builders.migration(
            source='', settings=builders.settings(
                '', tunnelled=True, max_concurrent_live_migrations=3)))
        self.assertNotIn(',source=', line)
        self.assertNotIn(',storage=', line)
        self.assertIn(',setting_tunnelled=true', line)
        self.assertIn(',setting_max_concurrent_live_migrations=3', line)


class OpenMetricsTest(base.TestCase):

    def samples(self, results):
        """Return values by name and labels, as both parsers read them."""
        text = export.openmetrics(results)
        read = [{(sample.name, tuple(sorted(sample.labels.items()))):
                 sample.value for family in families
                 for sample in family.samples} for families in (
                     prometheus_parser.text_string_to_metric_families(text),
                     openmetrics_parser.text_string_to_metric_families(
                         text))]
        self.assertEqual(*read)
        return read[0]

    def value(self, results, name, **labels):
        return {key: value for key, value in self.samples(results).items()
                if key[0] == f'lm_live_migration_{name}' and
                not labels.items() - dict(key[1]).items()}

    def test_all_are_gauges(self):
        text = export.openmetrics(builders.read([
            builders.migration(), builders.drain()]))
        kinds = {line.split()[3] for line in text.splitlines()
                 if line.startswith('# TYPE')}
        self.assertEqual({'gauge'}, kinds)
        self.assertEqual('# EOF', text.splitlines()[-1])

    def test_labels(self):
        [(_name, labels)] = self.value(builders.read([
            builders.migration(strategy=ODD), builders.drain()]),
            'migrations')
        self.assertEqual({
            'settings': 'block, tunnelled off', 'storage': 'block',
            'flavor': 'lm.small', 'servers': '2', 'strategy': ODD,
            'workload': 'idle', 'verdict': 'completed'},
            dict(labels))

    def test_the_same_figures_as_a_report(self):
        results = runs.run(1, runs.SimulatedCloud())
        for group in summary.summarize(results).groups:
            conditions = group.conditions
            for name, spread in group.spreads.items():
                for statistic, value in (
                        ('median', spread.median.value),
                        ('p95', spread.p95.value), ('max', spread.largest)):
                    found = self.value(
                        results, f'{name}econds', statistic=statistic,
                        flavor=str(conditions.flavor),
                        servers=str(conditions.servers),
                        strategy=conditions.strategy)
                    self.assertEqual([value], list(found.values()))

    def test_series_do_not_grow_with_servers(self):
        few, many = (runs.run(1, runs.SimulatedCloud(), drains=drains)
                     for drains in (2, 8))
        self.assertEqual(self.samples(few).keys(), self.samples(many).keys())

    def test_drains(self):
        results = builders.read([
            *(line for number, wall_s in enumerate((10.0, 30.0, 20.0))
              for line in builders.drain_lines(
                  number, [9.0] * 2, wall_s=wall_s)),
            *builders.drain_lines(3, [9.0] * 2, measured=False, wall_s=99.0),
            # No server was migrated.
            builders.drain('n', wall_s=2.0)])
        self.assertEqual([4], list(self.value(results, 'drains').values()))
        self.assertEqual([20], list(self.value(
            results, 'drain_seconds', statistic='median',
            servers='2').values()))

    def good(self, results):
        [value] = self.value(results, 'good').values()
        self.assertEqual(summary.summarize(results).good, bool(value))
        return value

    def test_good(self):
        migration = builders.migration()
        self.assertEqual(1, self.good(builders.read([
            migration, builders.drain()])))
        for lines in ([], [builders.failed()], [migration, builders.drain(
                problems=(builders.problem(),))]):
            self.assertEqual(0, self.good(builders.read(lines)))
        failed = builders.read([migration, schema.TestFailure(
            test='a.test', reason='a disk')])
        self.assertEqual(0, self.good(failed))
        self.assertEqual([1], list(self.value(
            failed, 'failed_tests').values()))
        unjudged = dataclasses.replace(
            builders.read([migration]), unjudged=['server x'])
        self.assertEqual(0, self.good(unjudged))
        self.assertEqual([1], list(self.value(
            unjudged, 'unjudged_servers').values()))

    def test_problems(self):
        results = builders.read([builders.migration(), builders.failed(1)])
        self.assertEqual([1], list(self.value(
            results, 'migrations', verdict='rolled back').values()))
        self.assertEqual([1], list(self.value(
            results, 'migrations_with_problems').values()))

    def test_the_newest_run(self):
        results = builders.read([builders.migration()])
        self.assertEqual([builders.STARTED.timestamp()], list(self.value(
            results, 'last_run_timestamp_seconds').values()))
        self.assertEqual(1, len(self.value(
            results, 'cloud_info', region='RegionOne',
            compute_api='2.104', plugin_version='1.0.0')))
