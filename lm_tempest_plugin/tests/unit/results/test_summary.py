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

from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

MEDIUM = {'name': 'lm.medium', 'vcpus': 2, 'ram_gib': 1.0, 'disk_gib': 1.0}


def summarize(lines):
    return summary.summarize(builders.read(lines))


def attempts(count, **changes):
    return [('attempt', builders.attempt_line(number, **changes))
            for number in range(count)]


class GroupsTest(base.TestCase):

    def test_what_belongs_together(self):
        found = summarize([
            *attempts(2, flavor=MEDIUM, drain='a'), *attempts(3, drain='b'),
            *attempts(3, strategy='window of 10', drain='c'),
            *attempts(1, strategy='window of 10', drain='d'),
            *attempts(1, drain='e'), ('drain', builders.drain_line('e')),
            *attempts(2, cell=builders.cell(tunnelled=True), drain='f'),
        ]).groups
        self.assertEqual([
            ('block, tunnelled off', 'lm.small', '1 server', 1),
            ('block, tunnelled off', 'lm.small', '2 servers, window of 2', 1),
            ('block, tunnelled off', 'lm.small', '3 servers, window of 2', 3),
            ('block, tunnelled off', 'lm.small', '3 servers, window of 10', 3),
            ('block, tunnelled off', 'lm.medium', '2 servers, window of 2',
             2),
            ('block, tunnelled on', 'lm.small', '2 servers, window of 2', 2),
        ], [(str(each.cell), each.flavor.name, str(each.way), each.attempts)
            for each in found])

    def test_a_single_server_has_all_strategies(self):
        group, = summarize([
            *attempts(1, drain='a'),
            *attempts(1, strategy='window of 4', drain='b')]).groups
        self.assertEqual('1 server', str(group.way))

    def test_figures(self):
        group, = summarize(
            ('attempt', builders.attempt_line(
                number, duration_s=10.0 + number,
                icmp=builders.outage(0.1 * number)))
            for number in range(7)).groups
        duration = group.spreads['duration_s']
        self.assertEqual(13, duration.median.value)
        self.assertEqual(7, duration.median.count)
        self.assertTrue(10 < duration.median.low < 13)
        self.assertIsNone(duration.p95.high)
        self.assertEqual(16, duration.largest)
        self.assertAlmostEqual(0.6, group.spreads['outage_s'].largest)
        self.assertEqual({'duration_s', 'queue_s', 'service_s', 'outage_s',
                          'stall_s', 'downtime_s'}, set(group.spreads))

    def test_failures_count_but_not_in_times(self):
        group, = summarize([
            *attempts(2), ('attempt', builders.failed_line(
                3, duration_s=400.0, icmp=builders.outage(5.0)))]).groups
        self.assertEqual((3, 2, 2), (
            group.attempts, group.completed, group.good))
        self.assertEqual({'completed': 2, 'rolled back': 1}, group.verdicts)
        self.assertEqual(9, group.spreads['duration_s'].largest)
        # A server that stays where it is has to answer none the less.
        self.assertEqual(5, group.spreads['outage_s'].largest)

    def test_a_warm_up_counts_but_not_in_figures(self):
        group, = summarize([
            *attempts(2), ('attempt', builders.attempt_line(
                3, duration_s=400.0, measured=False)),
            ('attempt', builders.failed_line(4, measured=False))]).groups
        self.assertEqual((4, 3, 3), (
            group.attempts, group.completed, group.good))
        self.assertEqual(2, group.spreads['duration_s'].median.count)
        self.assertEqual(9, group.spreads['duration_s'].largest)

    def test_what_is_not_known_is_missing(self):
        group, = summarize(attempts(
            2, job=None, icmp=None, tcp=None, service=None)).groups
        self.assertEqual({'duration_s', 'queue_s'}, set(group.spreads))

    def test_expected_refusal(self):
        found = summarize([('attempt', builders.failed_line(violations=[]))])
        self.assertTrue(found.good)
        group, = found.groups
        self.assertEqual((1, 0, 1), (
            group.attempts, group.completed, group.good))
        self.assertNotIn('duration_s', group.spreads)

    def test_phases(self):
        def phases(*seconds):
            return [{'name': name, 'seconds': each, 'resolution_s': 0.5,
                     'origin': 'polls'} for name, each in seconds]
        group, = summarize([
            *attempts(1, phases=phases(('copy', 5.0), ('post', 1.0))),
            *attempts(1, phases=phases(
                ('queued', 2.0), ('copy', 3.0), ('post', 1.0)))]).groups
        self.assertEqual(['queued', 'copy', 'post'], list(group.phases))
        self.assertEqual({'queued': 2.0, 'copy': 4.0, 'post': 1.0},
                         group.phases)


class DrainsTest(base.TestCase):

    def test_a_queue(self):
        # What a host limited to one makes of a window of 4.
        group, = summarize(
            line for number in (1, 2, 3) for line in builders.drain_lines(
                number, [10.0] * 4, strategy='window of 4', trip=number,
                **builders.observed(1, queued=3))).drains
        self.assertEqual(('4 servers, window of 4', '4 lm.small', 3), (
            str(group.way), group.load, group.drains))
        self.assertEqual(40, group.wall.median.value)
        self.assertEqual((1, 1), group.ran)
        self.assertEqual(3, group.queued)
        self.assertEqual(('direct',), group.transports)
        # S (N + 1) / 2
        self.assertEqual(25, group.model.predicted_mean_s.value)
        self.assertEqual(25, group.model.observed_mean_s.value)
        self.assertEqual(0, group.model.mean_error.value)
        self.assertEqual(40, group.model.predicted_wall_s.value)

    def test_drains_that_do_not_count(self):
        lines = [
            *builders.drain_lines(1, [10.0] * 4),
            *builders.drain_lines(2, [99.0] * 4, measured=False),
            *builders.drain_lines(3, [99.0] * 4),
            # Of four servers there are three attempts.
            *builders.drain_lines(4, [99.0] * 4)[1:]]
        lines[-6] = ('attempt', builders.failed_line(
            3, drain='drain-3'))
        group, = summarize(lines).drains
        self.assertEqual('4 lm.small', group.load)
        self.assertEqual(3, group.drains)
        self.assertEqual(1, group.wall.median.count)
        self.assertEqual(40, group.wall.largest)

    def test_none_that_counts(self):
        self.assertEqual((), summarize(builders.drain_lines(
            1, [10.0] * 4, measured=False)).drains)

    def test_what_is_not_known(self):
        group, = summarize(builders.drain_lines(
            1, [10.0] * 4, {'service': None}, observed_concurrency=[],
            hosts=None)).drains
        self.assertIsNone(group.ran)
        self.assertIsNone(group.queued)
        self.assertIsNone(group.model)
        self.assertEqual((), group.transports)

    def test_unknown_strategy_has_no_model(self):
        group, = summarize(builders.drain_lines(
            1, [10.0] * 4, strategy='all of them')).drains
        self.assertIsNone(group.model)


class VerdictTest(base.TestCase):

    def test_good(self):
        found = summarize([
            *attempts(3), *attempts(1, flavor=MEDIUM),
            ('attempt', builders.attempt_line(
                9, icmp=builders.outage(0.41), measured=False)),
            ('drain', builders.drain_line())])
        self.assertTrue(found.good)
        self.assertEqual(
            '5 of 5 live migrations of 2 flavors in 1 cell did what was '
            'expected; longest outage 0.25 s of 1 s allowed', found.sentence)
        self.assertEqual((), found.failures)
        self.assertEqual(('run-1',), found.runs)
        self.assertEqual(
            ('1 live migration of a warm-up: judged, and in no figure',),
            found.remarks)

    def test_nothing_is_not_good(self):
        found = summarize([])
        self.assertFalse(found.good)
        self.assertEqual('no live migration was judged', found.sentence)

    def test_failures(self):
        found = summarize([
            *attempts(2), ('attempt', builders.failed_line(2)),
            ('attempt', builders.attempt_line(
                3, violations=['the longest outage is 5 s, not 1 s'],
                icmp=builders.outage(5.0)))])
        self.assertFalse(found.good)
        self.assertEqual(
            '2 of 4 live migrations of 1 flavor in 1 cell did what was '
            'expected; 2 did not: 1 rolled back, 1 moved, but not as '
            'expected; longest outage 5.00 s of 1 s allowed', found.sentence)
        self.assertEqual(
            ('server guest-2 (server-2) from compute1 to compute2, window '
             'of 2, trip 1, block, tunnelled off: the verdict is rolled '
             'back: it failed while copying; expected: completed',
             'server guest-3 (server-3) from compute1 to compute2, window '
             'of 2, trip 1, block, tunnelled off: the longest outage is 5 '
             's, not 1 s'), found.failures)

    def test_a_failure_of_a_warm_up_is_one(self):
        self.assertFalse(summarize([
            *attempts(2), ('attempt', builders.failed_line(
                2, measured=False))]).good)

    def test_drains(self):
        found = summarize([
            *attempts(2), ('drain', builders.drain_line(
                contradictions=['tunnelled is declared, and not seen'])),
            ('drain', builders.drain_line(
                'drain-2', left_over=['server server-1 is gone']))])
        self.assertFalse(found.good)
        self.assertIn('1 drain not as declared; 1 drain not cleaned up',
                      found.sentence)
        self.assertEqual(
            ('drain drain to compute2, window of 2, block, tunnelled off: '
             'tunnelled is declared, and not seen',
             'drain drain to compute2, window of 2, block, tunnelled off: '
             'server server-1 is gone'), found.failures)

    def test_never_judged(self):
        ended = {'attempt': 'attempt-7', 'drain': 'drain-1',
                 'server_id': 'server-7', 'source': 'compute1',
                 'destination': 'compute2', 'requested_at': builders.iso(0),
                 'duration_s': 9.0, 'record_status': 'completed',
                 'server_status': 'ACTIVE', 'given_up': ''}
        found = summarize([*attempts(2), ('ended', ended)])
        self.assertFalse(found.good)
        self.assertIn('1 live migration never judged', found.sentence)
        self.assertIn('server server-7', found.failures[0])
        found = summarize([('ended', ended)])
        self.assertFalse(found.good)
        self.assertEqual('no live migration was judged; 1 live migration '
                         'never judged', found.sentence)

    def test_tests_that_failed(self):
        failed = ('failed', {'test': 'a.test', 'said': 'the disk'})
        found = summarize([*attempts(2), failed, failed])
        self.assertFalse(found.good)
        self.assertIn('was expected; 1 test failed; longest',
                      found.sentence)
        self.assertEqual(('test test failed: the disk',) * 2, found.failures)

    def test_remarks_of_the_files(self):
        records = builders.read(attempts(1))
        records.remarks.append('run-1 ends in the middle of line 9')
        self.assertEqual(('run-1 ends in the middle of line 9',),
                         summary.summarize(records).remarks)
