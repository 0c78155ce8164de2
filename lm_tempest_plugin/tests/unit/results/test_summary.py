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

from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders


def summarize(lines):
    return summary.summarize(builders.read(lines))


def migrations(count, **changes):
    return [builders.migration(number, **{'servers': count, **changes})
            for number in range(count)]


class GroupsTest(base.TestCase):

    def test_conditions(self):
        found = summarize([
            *migrations(2, flavor=builders.MEDIUM, drain='a'),
            *migrations(3, drain='b'),
            *migrations(3, strategy='window of 10', drain='c'),
            *migrations(1, strategy='window of 10', drain='d'),
            *migrations(1, drain='e', servers=2), builders.drain('e'),
            *migrations(2, settings=builders.settings(tunnelled=True),
                        drain='f'),
        ]).groups
        self.assertEqual([
            ('block, tunnelled off', 'lm.small', '1 server', 1),
            ('block, tunnelled off', 'lm.small', '2 servers, window of 2', 1),
            ('block, tunnelled off', 'lm.small', '3 servers, window of 2', 3),
            ('block, tunnelled off', 'lm.small', '3 servers, window of 10', 3),
            ('block, tunnelled off', 'lm.medium', '2 servers, window of 2',
             2),
            ('block, tunnelled on', 'lm.small', '2 servers, window of 2', 2),
        ], [(str(each.conditions.settings), each.conditions.flavor.name,
             each.conditions.drained_together, each.migrations)
            for each in found])
        self.assertEqual('3, window of 10',
                         found[3].conditions.drained_together_short)

    def test_a_single_server_has_no_strategy(self):
        group, = summarize([
            *migrations(1, drain='a'),
            *migrations(1, strategy='window of 4', drain='b')]).groups
        self.assertEqual('1 server', group.conditions.drained_together)

    def test_figures(self):
        group, = summarize(
            builders.migration(
                number, duration_s=10.0 + number,
                outage=builders.outage(0.1 * number))
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

    def test_problems_count_but_not_in_times(self):
        group, = summarize([
            *migrations(2), builders.failed(
                3, duration_s=400.0, outage=builders.outage(5.0))]).groups
        self.assertEqual((3, 2, 0, 1), (
            group.migrations, group.completed, group.refused,
            group.with_problems))
        self.assertEqual({'completed': 2, 'rolled back': 1}, group.verdicts)
        self.assertEqual(9, group.spreads['duration_s'].largest)
        # A server that stays on its host has to answer as well.
        self.assertEqual(5, group.spreads['outage_s'].largest)

    def test_a_warm_up_counts_but_not_in_figures(self):
        group, = summarize([
            *migrations(2), builders.migration(
                3, duration_s=400.0, measured=False),
            builders.failed(4, measured=False)]).groups
        self.assertEqual((4, 3, 1), (
            group.migrations, group.completed, group.with_problems))
        self.assertEqual(2, group.spreads['duration_s'].median.count)
        self.assertEqual(9, group.spreads['duration_s'].largest)

    def test_unknown_quantities_are_missing(self):
        group, = summarize(migrations(
            2, job=None, continuity=None, service=None)).groups
        self.assertEqual({'duration_s', 'queue_s'}, set(group.spreads))
        self.assertRaises(ValueError, summary.value, builders.migration(),
                          'memory')

    def test_expected_refusal(self):
        found = summarize([builders.failed(
            expected_verdicts=('rolled back',), problems=())])
        self.assertTrue(found.good)
        group, = found.groups
        self.assertEqual((1, 0, 1, 0), (
            group.migrations, group.completed, group.refused,
            group.with_problems))
        self.assertNotIn('duration_s', group.spreads)
        self.assertIn('1 of 1 migration as expected, 1 of them refused',
                      found.sentence)

    def test_completed_with_a_problem(self):
        group, = summarize(migrations(
            2, problems=(builders.problem(),))).groups
        self.assertEqual((2, 0, 0, 2), (
            group.migrations, group.completed, group.refused,
            group.with_problems))

    def test_phases(self):
        def phases(*seconds):
            return tuple(builders.phase(*each) for each in seconds)
        group, = summarize([
            *migrations(1, phases=phases(('copy', 5.0), ('post', 1.0))),
            *migrations(1, phases=phases(
                ('queued', 2.0), ('copy', 3.0), ('post', 1.0)))]).groups
        self.assertEqual(['queued', 'copy', 'post'], list(group.phases))
        self.assertEqual({'queued': 2.0, 'copy': 4.0, 'post': 1.0},
                         group.phases)


class DrainsTest(base.TestCase):

    def test_a_queue(self):
        # A host limited to one at a time queues a window of 4.
        group, = summarize(
            line for number in (1, 2, 3) for line in builders.drain_lines(
                number, [10.0] * 4, strategy='window of 4',
                round_trip=number,
                concurrency=builders.concurrency(1, queued=3))).drains
        self.assertEqual(('4 servers, window of 4', '4 lm.small', 3), (
            group.conditions.drained_together, group.load, group.drains))
        self.assertEqual(40, group.wall.median.value)
        self.assertEqual((1, 1), group.ran)
        self.assertEqual(3, group.queued)
        self.assertEqual(('direct',), group.transports)

    def test_drains_that_do_not_count(self):
        lines = [
            *builders.drain_lines(1, [10.0] * 4),
            *builders.drain_lines(2, [99.0] * 4, measured=False),
            *builders.drain_lines(3, [99.0] * 4),
            # Three migrations of four servers.
            *builders.drain_lines(4, [99.0] * 4)[1:]]
        lines[-6] = builders.failed(3, drain='drain-3')
        group, = summarize(lines).drains
        self.assertEqual('4 lm.small', group.load)
        self.assertEqual(3, group.drains)
        self.assertEqual(1, group.wall.median.count)
        self.assertEqual(40, group.wall.largest)

    def test_no_drain_that_counts(self):
        self.assertEqual((), summarize(builders.drain_lines(
            1, [10.0] * 4, measured=False)).drains)

    def test_unknown_concurrency(self):
        group, = summarize(builders.drain_lines(
            1, [10.0] * 4, {'service': None}, concurrency=(),
            sockets=None)).drains
        self.assertIsNone(group.ran)
        self.assertIsNone(group.queued)
        self.assertEqual((), group.transports)

    def test_drain_without_migrations(self):
        drain, = summary.drains_of(builders.read([builders.drain()]))
        self.assertEqual('2 servers', drain.load)
        self.assertFalse(drain.counts)


class ChecksTest(base.TestCase):

    def outcome(self, outcome, check='sockets', reason=''):
        return schema.CheckOutcome(check=check, outcome=outcome,
                                   reason=reason)

    def test_table(self):
        no_access = 'no access to hosts'
        lines = [
            *migrations(2),
            builders.failed(2, problems=(
                builders.problem(), builders.problem(check='boot-id'))),
            builders.drain('drain-1', checks=(
                self.outcome('failed', 'outage'), self.outcome('passed'))),
            builders.drain('drain-2', checks=(
                self.outcome('passed', 'outage'),
                self.outcome('skipped', reason=no_access))),
            builders.drain('drain-3', problems=(
                builders.problem(check='sockets'),), checks=(
                    self.outcome('passed', 'outage'),
                    self.outcome('skipped', reason=no_access)))]
        self.assertEqual((
            summary.CheckSummary('outage', ran=3, failed=1, skipped=0,
                                 reasons={}, problems=1),
            summary.CheckSummary('sockets', ran=1, failed=0, skipped=2,
                                 reasons={no_access: 2}, problems=1),
            # No drain says that it ran: the run was killed before.
            summary.CheckSummary('boot-id', ran=0, failed=0, skipped=0,
                                 reasons={}, problems=1),
        ), summarize(lines).checks)


class VerdictTest(base.TestCase):

    def test_good(self):
        found = summarize([
            *migrations(3), *migrations(1, flavor=builders.MEDIUM),
            builders.migration(
                9, outage=builders.outage(0.41), measured=False),
            builders.drain()])
        self.assertTrue(found.good)
        self.assertEqual(
            '5 of 5 migrations as expected (2 flavors, 1 set of settings); '
            'longest outage 0.25 s (limit 1 s)', found.sentence)
        self.assertEqual((), found.problems)
        self.assertEqual(('run-1',), found.runs)
        self.assertEqual(
            ('1 live migration not measured (warm-up, or disturbed on '
             'purpose): judged, but left out of all figures',),
            found.remarks)

    def test_no_results_are_not_good(self):
        found = summarize([])
        self.assertFalse(found.good)
        self.assertEqual('no live migration was judged', found.sentence)

    def test_problems(self):
        found = summarize([
            *migrations(2), builders.failed(2),
            builders.migration(3, problems=(
                builders.problem(), builders.problem('boot id', 'boot-id')),
                outage=builders.outage(5.0))])
        self.assertFalse(found.good)
        self.assertEqual(
            '2 of 4 migrations as expected (1 flavor, 1 set of settings); 2 '
            'with problems: 1 rolled back, 1 completed but failed a check '
            '(outage, boot-id); longest outage 5.00 s (limit 1 s)',
            found.sentence)
        self.assertEqual(
            ('server guest-2 (server-2) from compute1 to compute2, window '
             'of 2, round trip 1, block, tunnelled off: verdict: rolled '
             'back: it failed while copying',
             'server guest-3 (server-3) from compute1 to compute2, window '
             'of 2, round trip 1, block, tunnelled off: outage: longest '
             'outage 5.00 s (limit 1 s); boot-id: boot id'), found.problems)

    def test_a_problem_of_a_warm_up_is_one(self):
        self.assertFalse(summarize([
            *migrations(2), builders.failed(2, measured=False)]).good)

    def test_drains(self):
        found = summarize([
            *migrations(2), builders.drain(problems=(builders.problem(
                'tunnelled is declared, and not seen', 'transport'),)),
            builders.drain('drain-2', problems=(
                builders.problem('server server-1 is gone', 'left'),))])
        self.assertFalse(found.good)
        self.assertIn('2 drains with problems', found.sentence)
        self.assertEqual(
            ('drain of compute1 to compute2, window of 2, round trip 1, '
             'block, tunnelled off: transport: tunnelled is declared, and '
             'not seen',
             'drain of compute1 to compute2, window of 2, round trip 1, '
             'block, tunnelled off: left: server server-1 is gone'),
            found.problems)

    def test_never_judged(self):
        found = summarize([*migrations(2), builders.ended(7)])
        self.assertFalse(found.good)
        self.assertIn('1 live migration never judged', found.sentence)
        self.assertIn('server server-7', found.problems[0])
        found = summarize([builders.ended(7)])
        self.assertFalse(found.good)
        self.assertEqual('no live migration was judged; 1 live migration '
                         'never judged', found.sentence)

    def test_tests_that_failed(self):
        failed = schema.TestFailure(test='a.test', reason='the disk')
        found = summarize([*migrations(2), failed, failed])
        self.assertFalse(found.good)
        self.assertIn('; 1 test failed; longest', found.sentence)
        self.assertEqual(('test test failed: the disk',) * 2, found.problems)

    def test_remarks_of_the_files(self):
        results = builders.read(migrations(1))
        results.remarks.append('run-1 ends in the middle of line 9')
        self.assertEqual(('run-1 ends in the middle of line 9',),
                         summary.summarize(results).remarks)


class TrendsTest(base.TestCase):

    def lines(self, count, service_s, **changes):
        return [line for number in range(1, count + 1)
                for line in builders.drain_lines(
                    number, [service_s(number)] * 2, round_trip=number,
                    **changes)]

    def drift(self, found, quantity):
        each, = (each for each in found.drifts if each.quantity == quantity)
        return each

    def test_drift(self):
        found = summarize(self.lines(8, lambda number: 10 + 0.5 * number))
        drift = self.drift(found, 'service_s')
        self.assertEqual(8, drift.round_trips)
        self.assertAlmostEqual(0.5, drift.per_round_trip.value)
        self.assertTrue(drift.per_round_trip.excludes(0))
        self.assertFalse(
            self.drift(found, 'outage_s').per_round_trip.excludes(0))

    def test_two_round_trips_are_no_trend(self):
        self.assertEqual((), summarize(
            self.lines(2, lambda number: 10 + number)).drifts)

    def test_round_trips_of_two_runs_are_not_combined(self):
        one, other = (builders.read(self.lines(
            4, lambda number: 10 + number)) for _ in range(2))
        both = store.Results(one.runs, migrations=[*one.migrations, *(
            msgspec.structs.replace(each, run='run-2')
            for each in other.migrations)])
        self.assertEqual((), summary.summarize(both).drifts)

    def test_fit(self):
        found = summarize([
            *self.lines(3, lambda number: 9.0),
            *self.lines(3, lambda number: 12.25, flavor=builders.MEDIUM)])
        fit, = found.fits
        self.assertEqual('2 servers, window of 2',
                         fit.conditions.drained_together)
        # 3.25 s for 0.8125 GiB more, without the time in the queue.
        self.assertAlmostEqual(4, fit.line.seconds_per_gib.value)
        self.assertEqual(12, fit.line.count)

    def test_no_fit_of_one_size(self):
        self.assertEqual((), summarize(self.lines(
            3, lambda number: 9.0)).fits)


class DifferencesTest(base.TestCase):

    def lines(self, settings, service_s, **changes):
        return [line for number in range(1, 5)
                for line in builders.drain_lines(
                    number, [service_s + 0.1 * number, service_s],
                    round_trip=number, settings=settings, **changes)]

    def effects(self, *sets):
        found = summarize(line for lines in sets
                          for line in lines).differences
        return {(each.setting, each.quantity): each for each in found}

    def test_one_setting(self):
        found = self.effects(
            self.lines(builders.settings(tunnelled=True), 15.0),
            self.lines(builders.settings(tunnelled=False), 10.0))
        self.assertEqual({'tunnelled'}, {key[0] for key in found})
        service = found['tunnelled', 'service_s']
        self.assertEqual('block, tunnelled off',
                         str(service.before.settings))
        self.assertEqual('block, tunnelled on', str(service.after.settings))
        self.assertTrue(service.effect.found)
        self.assertFalse(service.effect.paired)
        self.assertAlmostEqual(5, service.effect.difference.value)
        self.assertFalse(found['tunnelled', 'outage_s'].effect.found)

    def test_storage(self):
        found = self.effects(
            self.lines(builders.settings('shared'), 5.0),
            self.lines(builders.settings('block'), 10.0))
        self.assertEqual({'storage'}, {key[0] for key in found})
        self.assertAlmostEqual(
            -5, found['storage', 'service_s'].effect.difference.value)

    def test_two_settings_at_once(self):
        self.assertEqual({}, self.effects(
            self.lines(builders.settings(
                tunnelled=True, post_copy=True), 5.0),
            self.lines(builders.settings(
                tunnelled=False, post_copy=False), 9.0)))

    def test_undeclared_settings_may_differ(self):
        self.assertEqual({}, self.effects(
            self.lines(builders.settings(
                tunnelled=True, post_copy=True), 5.0),
            self.lines(builders.settings(tunnelled=True), 9.0)))
        self.assertEqual({}, self.effects(
            self.lines(builders.settings(''), 5.0),
            self.lines(builders.settings('block'), 9.0)))

    def test_other_servers_are_not_paired(self):
        found = self.effects(
            self.lines(builders.settings(tunnelled=False), 10.0),
            self.lines(builders.settings(tunnelled=True), 15.0,
                       of_migrations={'server_id': 'other'}))
        effect = found['tunnelled', 'service_s'].effect
        self.assertFalse(effect.paired)
        self.assertTrue(effect.found)
        self.assertEqual(16, effect.difference.count)

    def test_no_figures_no_difference(self):
        # Tunnelled block migration is refused.
        refused = [
            builders.failed(number, settings=builders.settings(
                tunnelled=True), problems=())
            for number in range(3)]
        found = self.effects(
            refused, self.lines(builders.settings(tunnelled=False), 10.0))
        self.assertEqual({'outage_s', 'stall_s'}, {key[1] for key in found})


class RecommendationTest(base.TestCase):

    def lines(self, limit, ran, wall_s, storage='block', **changes):
        return [line for number in range(5) for line in builders.drain_lines(
            10 * ran + number, [2.0] * 4,
            settings=builders.settings(
                storage, max_concurrent_live_migrations=limit),
            wall_s=wall_s + 0.1 * number,
            concurrency=builders.concurrency(ran), **changes)]

    def test_three_instead_of_one(self):
        found = summarize([*self.lines(1, 1, 20.0),
                           *self.lines(3, 3, 9.0)]).recommendation
        self.assertEqual(3, found.concurrency)
        self.assertIn('3 instead of 1 at once: -2.8 s per server',
                      found.evidence[-1])

    def test_a_window_of_two_is_not_two_at_once(self):
        # The host runs one, whatever the window is.
        found = summarize([
            *self.lines(1, 1, 20.0, strategy='window of 1'),
            *self.lines(1, 1, 18.0, strategy='window of 4')]).recommendation
        self.assertIsNone(found.concurrency)
        self.assertIn('all hosts ran 1 at once, and no other number',
                      found.text)

    def test_different_storage(self):
        found = summarize([
            *self.lines(1, 1, 20.0),
            *self.lines(3, 3, 9.0, storage='shared')]).recommendation
        self.assertIsNone(found.concurrency)
        self.assertIn('cannot be compared', found.text)

    def test_single_servers_do_not_count(self):
        found = summarize(builders.drain_lines(
            1, [2.0], concurrency=builders.concurrency(1))).recommendation
        self.assertIsNone(found.concurrency)
        self.assertEqual((), found.evidence)
