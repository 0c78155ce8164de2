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

"""Outcomes of comparisons, also of runs whose difference is known."""

import json
import random

import fixtures
import msgspec
import numpy
from scipy import stats

from lm_tempest_plugin.results import compare
from lm_tempest_plugin.results import effects
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import judgement
from lm_tempest_plugin.results import renderers
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import runs


class PValuesTest(base.TestCase):

    def one(self, before, after, resolution=0.0, paired=False):
        [found] = judgement.p_values([
            judgement.Samples(before, after, resolution, paired)])
        return found

    def test_student_s_own_figures(self):
        # Sleep, in W. S. Gosset, Biometrika 6 (1908), 1-25.
        first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
        second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
        self.assertAlmostEqual(
            0.002833, self.one(first, second, paired=True), 6)
        # The same spread on both sides, so that all spreads are one.
        first = [value + 1e6 for value in second]
        second = [value + 2.0 for value in first]
        self.assertAlmostEqual(
            float(stats.ttest_ind(first, second).pvalue),
            self.one(first, second), 6)

    def test_ranks(self):
        few = self.one([1.0] * 11 + [1000.0], [2.0] * 12)
        self.assertLess(few, 0.01)

    def test_all_the_same(self):
        self.assertEqual(1.0, self.one([3.0, 3.0], [3.0, 3.0]))
        self.assertEqual(1.0, self.one([3.0] * 20, [3.0] * 20))
        self.assertEqual(0.0, self.one([3.0, 3.0], [4.0, 4.0]))

    def test_resolution_spreads_values(self):
        self.assertGreater(self.one([3.0, 3.0], [4.0, 4.0], 0.5), 0.001)

    def test_one_value_says_nothing(self):
        self.assertIsNone(self.one([3.0], [4.0, 4.1, 4.2]))

    def test_what_varies_elsewhere_counts(self):
        alone = self.one([10.0, 10.1], [12.0, 12.1])
        noisy = judgement.Samples(
            [8.0, 12.0, 10.0, 14.0], [12.0, 9.0, 11.0], 0)
        among = judgement.p_values([
            judgement.Samples([10.0, 10.1], [12.0, 12.1], 0), noisy])[0]
        self.assertLess(alone, 0.01)
        self.assertGreater(among, 0.2)

    def test_what_varies_elsewhere_helps(self):
        # Two drains say nothing of how much drains vary; twelve do.
        alone = self.one([10.0, 10.2], [13.0, 13.3])
        others = [judgement.Samples([10.0, 10.2], [10.1, 10.2], 0)
                  for _ in range(6)]
        among = judgement.p_values([
            judgement.Samples([10.0, 10.2], [13.0, 13.3], 0), *others])[0]
        self.assertLess(among, alone / 100)

    def test_holm(self):
        # The example of many textbooks: 0.01, 0.04, 0.03, 0.005.
        self.assertEqual(
            [0.03, 0.06, 0.06, 0.02],
            [round(each, 6) for each in judgement.adjusted(
                [0.01, 0.04, 0.03, 0.005])])
        self.assertEqual([], judgement.adjusted([]))
        self.assertEqual([1.0, 1.0], judgement.adjusted([0.6, 0.9]))

    def test_fisher_and_the_tea(self):
        # R. A. Fisher, The Design of Experiments (1935): 17 of 70.
        self.assertAlmostEqual(17 / 70, judgement.failure_p_value(1, 4, 3, 4))

    def test_units(self):
        before, after = {'a': [1.0, 3.0], 'b': [5.0]}, {'c': [2.0], 'd': [4]}
        self.assertEqual(([2.0, 5.0], [2.0, 4.0]),
                         judgement.independent(before, after))
        # One drain says nothing of how much drains differ.
        self.assertEqual(([1.0, 3.0], [2.0, 4.0]), judgement.independent(
            {'a': [1.0, 3.0]}, after))


class VersionChangesTest(base.TestCase):

    def changes(self, before, after):
        """Return the texts; the sides are versions of nova by host."""
        return judgement.version_changes(*([builders.run(hosts=tuple(
            schema.ComputeHost(
                host=host, hypervisor_type='QEMU',
                hypervisor_version='10.0.2', nova_version=version)
            for host, version in side.items()))] for side in (before, after)))

    def test_equal_versions(self):
        self.assertEqual([], self.changes({'a': '33.0.2'}, {'a': '33.0.2'}))

    def test_hosts_with_the_same_change_share_a_text(self):
        self.assertEqual(
            ['nova differs on hosts a, b: 33.0.2 before, 34.0.0 after',
             'nova differs on host c: 32.1.0 before, 34.0.0 after'],
            self.changes({'b': '33.0.2', 'a': '33.0.2', 'c': '32.1.0'},
                         dict.fromkeys('abc', '34.0.0')))

    def test_one_of_two_hosts(self):
        self.assertEqual(
            ['nova differs on host a: 33.0.2 before, 34.0.0 after'],
            self.changes({'a': '33.0.2', 'b': '33.0.2'},
                         {'a': '34.0.0', 'b': '33.0.2'}))

    def test_many_hosts(self):
        names = [f'compute{number}' for number in range(30)]
        self.assertEqual(
            ['nova differs on 30 hosts: 1 before, 2 after'],
            self.changes(dict.fromkeys(names, '1'),
                         dict.fromkeys(names, '2')))

    def test_no_host_in_common(self):
        self.assertEqual(
            ['nova differs: 33.0.2 before, 33.0.2 and 34.0.0 after'],
            self.changes({'a': '33.0.2'}, {'c': '34.0.0', 'd': '33.0.2'}))

    def test_a_version_that_is_not_known_is_no_difference(self):
        self.assertEqual([], self.changes({'a': None}, {'a': '34.0.0'}))

    def test_other_programs(self):
        before, after = (builders.run(hosts=(schema.ComputeHost(
            host='a', hypervisor_type='QEMU', hypervisor_version=qemu,
            libvirt_version=libvirt, ovn_version=ovn),))
            for qemu, libvirt, ovn in (
                ('10.0.2', '9.0.0', '23.03.1'), ('11.1.3', '11.0.0', '25.09')))
        self.assertEqual(
            ['QEMU differs on host a: 10.0.2 before, 11.1.3 after',
             'libvirt differs on host a: 9.0.0 before, 11.0.0 after',
             'OVN differs on host a: 23.03.1 before, 25.09 after'],
            judgement.version_changes([before], [after]))


class HostsTest(base.TestCase):

    def compare(self, before, after):
        """Return the changes as texts, and the remarks.

        :param before: pairs of hosts: "ab" from a to b, "ab!" that fails
        :param after: the same
        """
        changes, remarks = judgement.compare_hosts(*(builders.read([
            (builders.failed if pair.endswith('!') else builders.migration)(
                number, source=pair[0], destination=pair[1])
            for number, pair in enumerate(side.split())])
            for side in (before, after)))
        return [f'{each.host} {each.direction} {each.outcome}'
                for each in changes], remarks

    def test_changes(self):
        for before, after, expected in (
                ('ab bc ca', 'ab bc ca', []),
                # c received from b and does not any more.
                ('ab bc ac', 'ab bc! ac! ba', ['c receiving worse']),
                ('ab bc! ac! ba', 'ab bc ac ba', ['c receiving better']),
                ('ab! bc ca', 'ab! bc ca', []),
                # Others that had problems before are no excuse.
                ('ab! bc ca', 'ab bc ca!', [
                    'a receiving worse', 'c sending worse',
                    'a sending better', 'b receiving better'])):
            found, remarks = self.compare(before, after)
            self.assertEqual(sorted(expected), sorted(found), before)
            self.assertEqual([], remarks)

    def test_not_tried_any_more(self):
        found, [remark] = self.compare('ab bc ca', 'ab')
        self.assertEqual([], found)
        self.assertEqual('hosts that were tried before and not after, in '
                         'one direction or both: a, b, c', remark)

    def test_two_hosts(self):
        sides = [builders.read([builders.failed(0)]),
                 builders.read([builders.migration(0)])]
        self.assertEqual(([], []), judgement.compare_hosts(*sides))


class GroupsTest(base.TestCase):

    def gathered(self, ignored=(), **keywords):
        return judgement.gather(
            runs.run(1, runs.SimulatedCloud(), drains=2,
                     strategies=('window of 2',),
                     flavors=runs.FLAVORS[:1], **keywords), ignored)

    def test_groups(self):
        sides = self.gathered()
        self.assertEqual(
            ['block, max concurrent live migrations 1, tunnelled off; '
             'lm.tiny; window of 2; drain of 4 lm.tiny',
             'block, max concurrent live migrations 1, tunnelled off; '
             'window of 2; drain of 4 lm.tiny'], list(map(str, sides)))
        self.assertEqual([(8, 0), (0, 2)], [
            (len(side.migrations), len(side.drains))
            for side in sides.values()])

    def test_drains_of_another_size_are_another_group(self):
        first = self.gathered()
        second = self.gathered(servers=3)
        exc = self.assertRaises(
            judgement.NotComparable, judgement.common, first, second)
        self.assertIn('drain of 4 lm.tiny', str(exc))
        self.assertIn('drain of 3 lm.tiny', str(exc))

    def test_order_of_settings_does_not_matter(self):
        turned = schema.Settings(
            storage=runs.SETTINGS.storage,
            values=dict(reversed(runs.SETTINGS.values.items())))
        self.assertEqual(2, len(judgement.common(
            self.gathered(), self.gathered(settings=turned))))

    def test_ignored_settings(self):
        three = builders.settings(
            'shared', max_concurrent_live_migrations=3, tunnelled=False)
        exc = self.assertRaises(
            judgement.NotComparable, judgement.common, self.gathered(),
            self.gathered(settings=three))
        self.assertIn('--ignore storage --ignore '
                      'max_concurrent_live_migrations', str(exc))
        ignored = ('storage', 'max_concurrent_live_migrations')
        [group, _drains] = judgement.common(
            self.gathered(ignored), self.gathered(ignored, settings=three))
        self.assertEqual('tunnelled off', str(group.settings))

    def test_several_values_of_an_ignored_setting(self):
        both = judgement.gather(
            runs.run(1, runs.SimulatedCloud()), ('strategy',))
        exc = self.assertRaises(
            judgement.NotComparable, judgement.common, both, both)
        self.assertIn('BEFORE has several settings', str(exc))
        self.assertIn('Ignore fewer settings', str(exc))
        one = judgement.gather(runs.run(
            1, runs.SimulatedCloud(), strategies=('window of 2',)),
            ('strategy',))
        self.assertEqual(6, len(judgement.common(one, one)))

    def test_nothing(self):
        exc = self.assertRaises(
            judgement.NotComparable, judgement.common, {}, {})
        self.assertIn('BEFORE has nothing; AFTER has nothing', str(exc))

    def test_a_single_server_has_no_strategy(self):
        sides = judgement.gather(runs.run(
            1, runs.SimulatedCloud(), servers=1, flavors=runs.FLAVORS[:1]))
        one, *others = sides
        self.assertEqual(('', 1), (one.strategy, len(others)))
        name = str(one.settings)
        self.assertEqual([name], list(sides[one].exact))
        self.assertEqual(
            [f'{name}; window of 2'],
            list(next(iter(self.gathered().values())).exact))


class JudgementTest(base.TestCase):

    def run_of(self, seed=1, drains=6, **cloud):
        return runs.run(seed, runs.SimulatedCloud(**cloud), drains=drains,
                        flavors=runs.FLAVORS[:1],
                        strategies=('window of 2',))

    def changed(self, results, **changes):
        results.migrations[:] = [
            msgspec.structs.replace(each, **changes)
            for each in results.migrations]
        return results

    def change(self, lines, place, **changes):
        """Change one line of a list."""
        lines[place] = msgspec.structs.replace(lines[place], **changes)

    def outcomes(self, before, after, **keywords):
        found = judgement.judge(before, after, **keywords)
        return {each.quantity: each.outcome for each in found.changes}

    def test_equal(self):
        found = judgement.judge(self.run_of(1), self.run_of(2))
        self.assertFalse(found.worse)
        self.assertEqual({'no difference found'},
                         {each.outcome for each in found.changes})
        self.assertEqual(7, len(found.changes))
        self.assertEqual([], found.failures)

    def test_slower(self):
        said = self.outcomes(self.run_of(1), self.run_of(2, factor=1.5))
        for name in ('wall_s', 'service_s', 'duration_s', 'queue_s'):
            self.assertEqual('worse', said[name], name)
        for name in ('outage_s', 'stall_s', 'downtime_s'):
            self.assertEqual('no difference found', said[name], name)

    def test_faster(self):
        said = self.outcomes(self.run_of(1, factor=1.5), self.run_of(2))
        self.assertEqual('better', said['wall_s'])
        self.assertEqual('better', said['service_s'])

    def test_within_the_tolerance(self):
        before, after = self.run_of(1), self.run_of(2, factor=1.5)
        said = self.outcomes(before, after, tolerance_percent=80)
        self.assertEqual('worse within tolerance', said['wall_s'])
        self.assertFalse(judgement.judge(
            before, after, tolerance_percent=80).worse)

    def test_chosen_quantities(self):
        said = self.outcomes(self.run_of(1), self.run_of(2),
                             quantities=['outage_s'])
        self.assertEqual(['outage_s'], list(said))
        self.assertEqual(['wall_s'], list(self.outcomes(
            self.run_of(1), self.run_of(2), quantities=['wall_s'])))

    def test_a_change_within_the_error_is_none(self):
        def outages(start, error):
            run = self.run_of(1)
            for number in range(len(run.migrations)):
                self.change(run.migrations, number,
                            continuity=builders.continuity(
                                outage=builders.outage(
                                    start + 0.0001 * number, error_s=error)))
            return run
        self.assertEqual('worse', self.outcomes(
            outages(0.02, 0.015), outages(0.04, 0.015))['outage_s'])
        self.assertEqual('no difference found', self.outcomes(
            outages(0.02, 0.015), outages(0.04, 0.025))['outage_s'])

    def test_from_none(self):
        found = judgement.judge(
            self.changed(self.run_of(1), queue_s=0.0),
            self.changed(self.run_of(1), queue_s=4.0),
            quantities=['queue_s'])
        self.assertTrue(found.worse)
        [change] = found.changes
        self.assertEqual(float('inf'), change.fraction)
        shown = compare.show(found)
        [table] = shown.sections[-1].nodes[1:]
        self.assertEqual('from none', table.rows[0].cells[4])
        data = json.loads(renderers.json(shown))
        self.assertIsNone(data['changes'][0]['change_fraction'])

    def test_drains_are_paired(self):
        paired = [each.effect.paired for each in judgement.judge(
            self.run_of(1), self.run_of(2)).changes
            if each.quantity == 'wall_s']
        self.assertEqual([True], paired)
        # A drain that only one run has is in no pair.
        other = self.run_of(2)
        self.change(other.drains, 0, round_trip=9)
        [change, *_] = judgement.judge(self.run_of(1), other).changes
        self.assertEqual(('wall_s', False),
                         (change.quantity, change.effect.paired))
        [change, *_] = judgement.judge(
            self.run_of(1, drains=4), self.run_of(2, drains=4)).changes
        self.assertFalse(change.effect.paired)

    def test_too_few(self):
        after = self.run_of(2)
        del after.drains[1:]
        said = self.outcomes(self.run_of(1), after)
        self.assertEqual('too few values', said['wall_s'])
        self.assertEqual('no difference found', said['service_s'])
        one = runs.run(3, runs.SimulatedCloud(), drains=1, servers=1,
                       strategies=('window of 2',))
        exc = self.assertRaises(
            judgement.NotComparable, judgement.judge, one, one)
        self.assertIn('cannot be compared', str(exc))

    def test_warm_ups_do_not_count(self):
        run = self.changed(self.run_of(1), measured=False)
        run.drains.clear()
        self.assertRaises(
            judgement.NotComparable, judgement.judge, run, run)

    def failing(self, count):
        run = self.run_of(2)
        for place in range(count):
            self.change(run.migrations, place, verdict='rolled back',
                        problems=(builders.problem(),))
        return run

    def failures(self, before, after):
        return [(each.subject, each.before, each.after, each.outcome)
                for each in judgement.judge(before, after).failures]

    def test_a_failure_where_there_was_none(self):
        self.assertEqual(
            [('live migrations', 0, 1, 'worse')],
            self.failures(self.run_of(1), self.failing(1)))
        self.assertTrue(judgement.judge(
            self.run_of(1), self.failing(1),
            tolerance_percent=1000).worse)

    def test_failures_as_before(self):
        self.assertEqual(
            [('live migrations', 2, 3, 'no difference found')],
            self.failures(self.failing(2), self.failing(3)))

    def test_many_more_failures(self):
        self.assertEqual(
            [('live migrations', 2, 12, 'worse')],
            self.failures(self.failing(2), self.failing(12)))

    def test_fewer_failures(self):
        self.assertEqual(
            [('live migrations', 12, 0, 'better')],
            self.failures(self.failing(12), self.run_of(1)))

    def test_failures_of_all_groups_together(self):
        def failing(count):
            run = runs.run(1, runs.SimulatedCloud(), drains=2)
            for place in range(0, len(run.migrations), 8 // count):
                self.change(run.migrations, place,
                            problems=(builders.problem(),))
            return run
        found = self.failures(failing(1), failing(4))
        self.assertEqual(7, len(found))
        self.assertEqual(('live migrations', 6, 24, 'worse'), found[-1])
        self.assertEqual({'no difference found'},
                         {outcome for *_, outcome in found[:-1]})

    def test_a_drain_that_leaves_a_server_has_no_wall_time(self):
        after = self.failing(1)
        counts = [(each.effect.before.count, each.effect.after.count)
                  for each in judgement.judge(self.run_of(1), after).changes
                  if each.quantity == 'wall_s']
        self.assertEqual([(6, 5)], counts)

    def test_a_drain_with_a_problem(self):
        after = self.run_of(2)
        self.change(after.drains, 0, problems=(
            builders.problem('a binding is left', 'left-behind'),))
        self.assertEqual([('drains', 0, 1, 'worse')],
                         self.failures(self.run_of(1), after))

    def test_unjudged(self):
        after = self.run_of(2)
        after.unjudged.append('server x')
        self.assertEqual([('servers not judged', 0, 1, 'worse')],
                         self.failures(self.run_of(1), after))

    def test_tests_that_failed(self):
        before, after = self.run_of(1), self.run_of(2)
        for run in (before, after):
            run.tests.update(('a.test', 'another'))
        after.failures.extend([schema.TestFailure(
            test='a.test', reason='a disk')] * 2)
        self.assertEqual([('tests', 0, 1, 'worse')],
                         self.failures(before, after))
        self.assertEqual([('tests', 1, 0, 'better')],
                         self.failures(after, before))
        self.assertEqual([('tests', 1, 1, 'no difference found')],
                         self.failures(after, after))

    def test_failures_in_groups_of_one_side_alone(self):
        after = self.run_of(2)
        strange = self.changed(
            self.run_of(2), drain='another', strategy='window of 9',
            problems=(builders.problem(),)).migrations
        after.migrations.extend(strange)
        what, failed, failing, outcome = self.failures(
            self.run_of(1), after)[-1]
        self.assertEqual(('live migrations', 0, len(strange), 'worse'),
                         (what, failed, failing, outcome))

    def test_unknown_setting(self):
        exc = self.assertRaises(
            judgement.NotComparable, judgement.judge, self.run_of(1),
            self.run_of(2), ignored=['nonsense'])
        self.assertIn('no setting nonsense', str(exc))
        self.assertIn('tunnelled', str(exc))

    def test_smallest_differences(self):
        migrations = self.run_of(1).migrations
        self.assertEqual(
            [0.5, 0.5, 0.5, 0.5, 0.015, 0.06, 0.01],
            [judgement.smallest(each, migrations)
             for each in judgement.QUANTITIES.values()])

    def test_from_files(self):
        directory = self.useFixture(fixtures.TempDir()).path
        before, after = (store.read([runs.write(
            directory, name, seed=seed)]) for name, seed in (
                ('one', 1), ('two', 2)))
        found = judgement.judge(before, after)
        self.assertEqual(7, len(found.changes))
        self.assertEqual([], found.with_outcome(judgement.WORSE))


def quick(before, after, paired=False, seed=0):
    """Return an effect that is always found.

    Intervals take most of the time. Without them, more differences are
    found, so the result holds all the more with them.
    """
    first, second = (float(numpy.median(each)) for each in (before, after))

    def estimate(value):
        return estimates.Estimate(value, None, None, len(before))
    return effects.Effect(
        estimate(first), estimate(second), estimate(second - first),
        estimate(second / first if first else float('nan')), paired, True)


class SimulationTest(base.TestCase):
    """Judge simulated runs whose difference is known."""

    PAIRS = 200

    def compare(self, number, before, after, rng):
        # 8 to 24 migrations in each group.
        return judgement.judge(*(
            runs.run(2 * number + side, cloud, drains=rng.choice((2, 4, 6)))
            for side, cloud in enumerate((before, after))))

    def worse(self, before, after, pairs):
        """Return the number of pairs in which anything got worse."""
        rng = random.Random(7)
        found = [self.compare(number, before, after, rng)
                 for number in range(pairs)]
        # 3 flavors, 2 strategies, 7 quantities.
        self.assertEqual({3 * 2 * 7}, {len(each.changes) for each in found})
        return sum(each.worse for each in found)

    def test_equal_clouds(self):
        self.useFixture(fixtures.MockPatchObject(
            effects, 'compare', quick))
        cloud = runs.SimulatedCloud()
        self.assertLessEqual(
            self.worse(cloud, cloud, self.PAIRS), 0.05 * self.PAIRS)

    def test_equal_clouds_whose_drains_differ(self):
        # As a busy host makes all servers of a drain slower.
        self.useFixture(fixtures.MockPatchObject(
            effects, 'compare', quick))
        cloud = runs.SimulatedCloud(drain_noise=0.15)
        self.assertLessEqual(
            self.worse(cloud, cloud, self.PAIRS // 2), 0.05 * self.PAIRS // 2)

    def test_slower(self):
        self.assertEqual(5, self.worse(
            runs.SimulatedCloud(), runs.SimulatedCloud(factor=1.4), 5))

    def test_longer_outages(self):
        rng = random.Random(3)
        found = self.compare(
            1, runs.SimulatedCloud(), runs.SimulatedCloud(outage_factor=3),
            rng)
        self.assertTrue(found.worse)
        self.assertEqual(
            {'outage_s', 'stall_s'},
            {each.quantity for each in found.with_outcome(judgement.WORSE)})

    def test_faster(self):
        found = judgement.judge(
            runs.run(1, runs.SimulatedCloud()),
            runs.run(2, runs.SimulatedCloud(factor=0.5)))
        self.assertFalse(found.worse)
        self.assertEqual(6, sum(
            each.quantity == 'wall_s'
            for each in found.with_outcome(judgement.BETTER)))
