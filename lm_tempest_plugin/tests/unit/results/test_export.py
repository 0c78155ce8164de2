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

import fixtures
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client import parser as prometheus_parser

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.export import influx
from lm_tempest_plugin.results.export import openmetrics
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import runs

ODD = 'a "b"\\c\nd,e=f \u00e9'


class ExportTest(base.TestCase):

    def collected(self, *lines):
        directory = self.useFixture(fixtures.TempDir()).path
        return collection.read([builders.write(directory, 'run-1', lines)])


class InfluxTest(ExportTest):

    def test_line(self):
        self.assertEqual(
            'a\\ b,c\\=d=e\\,\\ f,g=h i="x \\"y\\\\",j=1i,k=0.5,l=true 7',
            influx.line('a b', {'g': 'h', 'c=d': 'e, f', 'empty': ''}, {
                'i': 'x "y\\', 'j': 1, 'k': 0.5, 'l': True, 'm': None}, 7))

    def test_no_field(self):
        exc = self.assertRaises(ValueError, influx.line, 'a', {'b': 'c'},
                                {'d': None}, 1)
        self.assertIn('no field', str(exc))

    def test_what_cannot_be_written(self):
        self.assertEqual('a\\nb\\rc', influx.escape('a\nb\rc'))
        self.assertEqual('a\\\\ ', influx.escape('a\\'))
        self.assertEqual('"a\\\\nb"', influx.quote('a\nb'))

    def test_a_line_each(self):
        collected = self.collected(
            ('attempt', builders.attempt_line(server_name=ODD, cause=ODD)),
            ('attempt', builders.failed_line(1)),
            ('drain', builders.drain_line()))
        lines = list(influx.lines(collected))
        self.assertEqual(3, len(lines))
        self.assertFalse([line for line in lines if '\n' in line])
        self.assertEqual(lines, list(influx.lines(collected)))

    def test_points_have_times_of_their_own(self):
        collected = self.collected(*(
            ('attempt', builders.attempt_line(
                number, requested_at=builders.iso(at_s)))
            for number, at_s in enumerate((0, 0, 0.001))))
        began_ns = int(builders.BEGAN.timestamp()) * 10 ** 9
        self.assertEqual([0, 1, 10 ** 6], [
            int(line.rpartition(' ')[2]) - began_ns
            for line in influx.lines(collected)])

    def test_a_phase_that_comes_twice(self):
        [line] = influx.lines(self.collected(('attempt', builders.attempt_line(
            phases=[{'name': 'copy', 'seconds': 1.5},
                    {'name': 'copy', 'seconds': 2.0}]))))
        self.assertIn(',phase_copy_s=3.5', line)

    def test_no_tag_without_value(self):
        [line] = influx.lines(self.collected(('attempt', builders.attempt_line(
            source='', cell={'storage': None, 'settings': {
                'tunnelled': True, 'max_concurrent_live_migrations': 3}}))))
        self.assertNotIn(',source=', line)
        self.assertNotIn(',storage=', line)
        self.assertIn(',setting_tunnelled=true', line)
        self.assertIn(',setting_max_concurrent_live_migrations=3', line)


class OpenMetricsTest(ExportTest):

    def samples(self, collected):
        """Return values by name and labels, as both parsers read them."""
        text = openmetrics.render(collected)
        read = [{(sample.name, tuple(sorted(sample.labels.items()))):
                 sample.value for family in families
                 for sample in family.samples} for families in (
                     prometheus_parser.text_string_to_metric_families(text),
                     openmetrics_parser.text_string_to_metric_families(
                         text))]
        self.assertEqual(*read)
        return read[0]

    def value(self, collected, name, **labels):
        return {key: value for key, value in self.samples(collected).items()
                if key[0] == 'lm_live_migration_' + name and
                not labels.items() - dict(key[1]).items()}

    def test_all_are_gauges(self):
        text = openmetrics.render(self.collected(
            ('attempt', builders.attempt_line()),
            ('drain', builders.drain_line())))
        kinds = {line.split()[3] for line in text.splitlines()
                 if line.startswith('# TYPE')}
        self.assertEqual({'gauge'}, kinds)
        self.assertEqual('# EOF', text.splitlines()[-1])

    def test_labels(self):
        [(_name, labels)] = self.value(self.collected((
            'attempt', builders.attempt_line(strategy=ODD)), (
                'drain', builders.drain_line())), 'attempts')
        self.assertEqual({
            'cell': 'block, tunnelled off', 'storage': 'block',
            'flavor': 'lm.small', 'servers': '2', 'strategy': ODD,
            'verdict': 'completed'},
            dict(labels))

    def test_the_same_figures_as_a_report(self):
        collected = runs.run(1, runs.Cloud())
        for group in summary.summarize(collected).groups:
            for name, spread in group.spreads.items():
                for statistic, value in (
                        ('median', spread.median.value),
                        ('p95', spread.p95.value), ('max', spread.largest)):
                    found = self.value(
                        collected, name + 'econds', statistic=statistic,
                        flavor=str(group.flavor), servers=str(
                            group.way.servers), strategy=group.way.strategy)
                    self.assertEqual([value], list(found.values()))

    def test_series_do_not_grow_with_servers(self):
        few, many = (runs.run(1, runs.Cloud(), drains=drains)
                     for drains in (2, 8))
        self.assertEqual(self.samples(few).keys(), self.samples(many).keys())

    def test_drains(self):
        collected = self.collected(
            *(line for number, wall_s in enumerate((10.0, 30.0, 20.0))
              for line in builders.drain_lines(
                  number, [9.0] * 2, wall_s=wall_s)),
            *builders.drain_lines(3, [9.0] * 2, measured=False, wall_s=99.0),
            # Nobody was moved.
            ('drain', builders.drain_line('n', wall_s=2.0)))
        self.assertEqual([4], list(self.value(collected, 'drains').values()))
        self.assertEqual([20], list(self.value(
            collected, 'drain_seconds', statistic='median',
            servers='2').values()))

    def good(self, collected):
        [value] = self.value(collected, 'good').values()
        self.assertEqual(summary.summarize(collected).good, bool(value))
        return value

    def test_good(self):
        attempt = ('attempt', builders.attempt_line())
        self.assertEqual(1, self.good(self.collected(
            attempt, ('drain', builders.drain_line()))))
        for lines in (
                [], [('attempt', builders.failed_line())],
                [attempt, ('drain', builders.drain_line(left_over=['x']))]):
            self.assertEqual(0, self.good(self.collected(*lines)))
        failed = dataclasses.replace(self.collected(attempt), failed=[
            collection.Failed('a.test', 'a disk')])
        self.assertEqual(0, self.good(failed))
        self.assertEqual([1], list(self.value(
            failed, 'failed_tests').values()))
        unjudged = dataclasses.replace(
            self.collected(attempt), unjudged=['server x'])
        self.assertEqual(0, self.good(unjudged))
        self.assertEqual([1], list(self.value(
            unjudged, 'unjudged_servers').values()))

    def test_failures(self):
        collected = self.collected(
            ('attempt', builders.attempt_line()),
            ('attempt', builders.failed_line(1)))
        self.assertEqual([1], list(self.value(
            collected, 'attempts', verdict='rolled back').values()))
        self.assertEqual([1], list(self.value(
            collected, 'unexpected_attempts').values()))

    def test_the_newest_run(self):
        collected = self.collected(('attempt', builders.attempt_line()))
        self.assertEqual([builders.BEGAN.timestamp()], list(self.value(
            collected, 'last_run_timestamp_seconds').values()))
        self.assertEqual(1, len(self.value(
            collected, 'cloud_info', region='RegionOne',
            compute_api='2.104', plugin_version='1.0.0')))
