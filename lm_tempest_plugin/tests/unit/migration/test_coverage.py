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

import itertools

from lm_tempest_plugin import config
from lm_tempest_plugin.migration import coverage
from lm_tempest_plugin.results.hosts import VERDICTS
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

GOOD = coverage.PairOutcome(coverage.Result.GOOD)
BAD = coverage.PairOutcome(coverage.Result.BAD, 'a port is closed')
REFUSED = coverage.PairOutcome(coverage.Result.REFUSED, 'its QEMU is older')


def host(name, qemu='9.2.0', **changes):
    return coverage.Host(
        name, qemu=qemu, **{'hypervisor': 'QEMU', **changes})


def hosts(number, **changes):
    """Return equal hosts: a, b, c, ..."""
    return [host('abcdefghij'[each], **changes) for each in range(number)]


def texts(pairs):
    return [f'{pair.source}{pair.destination}' for pair in pairs]


class PlanTest(base.TestCase):

    def plan(self, *found, **kwargs):
        return coverage.plan(found, **kwargs)

    def test_a_ring_covers_all_with_the_fewest_migrations(self):
        for number in range(2, 11):
            found = self.plan(*hosts(number))
            for role in (coverage.SENDS, coverage.RECEIVES):
                self.assertEqual(
                    [each.name for each in hosts(number)],
                    sorted(pair[role] for pair in found.pairs))

    def test_rounds_of_a_ring_are_as_few_as_possible(self):
        for number, at_once, rounds in (
                (2, 9, 2), (3, 9, 3), (4, 9, 2), (5, 9, 3), (10, 9, 2),
                (10, 2, 5), (10, 1, 10)):
            found = self.plan(*hosts(number))
            self.assertEqual(rounds, found.rounds(at_once))
            if at_once == 9:
                self.assertEqual(rounds, self.needed(found.pairs))

    def needed(self, pairs):
        """Return how many rounds the order takes."""
        rounds, busy = 1, set()
        for pair in pairs:
            if busy & set(pair):
                rounds, busy = rounds + 1, set()
            busy |= set(pair)
        return rounds

    def test_rounds_of_several_groups_go_side_by_side(self):
        found = self.plan(*(
            host(f'{zone}{number}', zone=zone)
            for zone in 'xyz' for number in range(4)))
        self.assertEqual((12, 2), (len(found.pairs), found.rounds(100)))
        self.assertEqual(2, self.needed(found.pairs))

    def test_all_pairs(self):
        found = self.plan(*hosts(4), kind='all')
        self.assertEqual(
            set(itertools.permutations('abcd', 2)), set(found.pairs))
        self.assertEqual(12, len(found.pairs))
        self.assertEqual(6, found.rounds(100))

    def test_hosts_in_which_facts_differ_are_not_paired(self):
        for field in config.HOST_FACTS:
            found = self.plan(*hosts(3), host('x', **{field: 'other'}),
                              host('y', **{field: 'other'}))
            self.assertEqual({'ab', 'bc', 'ca', 'xy', 'yx'},
                             set(texts(found.pairs)))
            self.assertEqual(2, len(found.groups))
            self.assertEqual(5, len(self.plan(
                *found.hosts.values(), group_by=()).groups['all hosts']))

    def test_a_host_without_a_partner(self):
        found = self.plan(*hosts(2), host('x', cpu='AMD EPYC'))
        self.assertEqual(
            {'x': 'no partner: no other usable host has cpu AMD EPYC'},
            found.left_out)
        found = self.plan(*hosts(2, zone='one'), host('x', zone='two'),
                          host('y', zone='two', cpu='EPYC'),
                          host('z', zone='one', cpu='EPYC'))
        self.assertIn('all together', found.left_out['z'])

    def test_hosts_that_cannot_take_part(self):
        found = self.plan(*hosts(2), host('x', unusable='disabled'),
                          host('y', unusable='full'))
        self.assertEqual({'x': 'disabled', 'y': 'full'}, found.left_out)
        self.assertEqual(['ab', 'ba'], texts(found.pairs))

    def test_no_plan(self):
        for found, kwargs, text in (
                ([], {}, 'no host was chosen'),
                (hosts(1), {}, 'a: no partner: there is no other usable'),
                ([host('a', unusable='full'), host('b', unusable='full')],
                 {}, 'a: full; b: full'),
                (hosts(3), {'kind': 'release'}, 'run the same: QEMU 9.2.0'),
                (hosts(3), {'senders': []}, 'has a canary')):
            exc = self.assertRaises(coverage.CoverageError, self.plan,
                                    *found, **kwargs)
            self.assertIn(text, str(exc))

    def test_a_ring_for_each_qemu(self):
        """nova refuses a destination with an older one."""
        found = self.plan(*hosts(2), host('x', '10.0.0'), host('y', '10.0.0'))
        self.assertEqual({'ab', 'ba', 'xy', 'yx'}, set(texts(found.pairs)))
        self.assertFalse(any(map(found.may_be_refused, found.pairs)))

    def test_a_host_alone_with_its_qemu(self):
        for versions, expected, refused in (
                # The first host that is upgraded, and the last one.
                ('9 9 10', 'ab ba bc ca', 'ca'),
                ('9 10 10', 'bc cb ab ca', 'ca'),
                ('8 9 10', 'ab ba bc cb', 'ba cb')):
            found = self.plan(*(host(name, qemu) for name, qemu in zip(
                'abc', versions.split())))
            self.assertEqual(set(expected.split()), set(texts(found.pairs)))
            self.assertEqual(refused.split(), sorted(texts(
                filter(found.may_be_refused, found.pairs))))

    def test_old_and_new_release_in_both_directions(self):
        old = [host(name, nova='33.0.0') for name in 'abc']
        found = self.plan(*old, host('x', nova='34.0.0'),
                          host('y', nova='34.0.0'), kind='release')
        self.assertEqual({'ax', 'xa', 'by', 'yb', 'cx', 'xc'},
                         set(texts(found.pairs)))

    def test_only_some_have_a_server_to_send(self):
        found = self.plan(*hosts(3), senders=['a', 'z'])
        self.assertEqual(['ab'], texts(found.pairs))

    def test_order_of_age(self):
        found = [
            host('a', nova='34.0.0'), host('b', nova='34.0.0.dev5+g99abc99'),
            host('c', nova='33.1.0'), host('d', '10.0.0', nova='33.0.0')]
        self.assertEqual(['c', 'a', 'b', 'd'], [
            each.name for each in sorted(found, key=lambda each: each.age)])


class ChooseTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.hosts = [
            host('a', zone='one', member_of=frozenset(['ssd', 'new'])),
            host('b', zone='one', member_of=frozenset(['ssd'])),
            host('c', zone='two')]

    def test_hosts_that_words_stand_for(self):
        for words, names in (
                (['all'], 'abc'), (['c', 'a'], 'ca'), (['az=one'], 'ab'),
                (['aggregate=ssd'], 'ab'), (['aggregate=new', 'az=two'], 'ac'),
                (['b', 'aggregate=ssd', 'b'], 'ba')):
            self.assertEqual(list(names), [
                each.name for each in coverage.choose(self.hosts, words)])

    def test_words_that_stand_for_none(self):
        for word, known in (
                ('x', 'there are: a, b, c'), ('az=x', 'there are: one, two'),
                ('aggregate=x', 'there are: new, ssd'), ('', 'a, b, c')):
            exc = self.assertRaises(coverage.CoverageError, coverage.choose,
                                    self.hosts, ['a', word])
            self.assertIn(f'no compute host matches {word!r}', str(exc))
            self.assertIn(known, str(exc))

    def test_many_hosts_are_not_all_named(self):
        exc = self.assertRaises(
            coverage.CoverageError, coverage.choose,
            [host(f'host{number}') for number in range(12)], ['x'])
        self.assertTrue(str(exc).endswith('host9 and 2 more'), exc)

    def test_a_cloud_without_hosts(self):
        exc = self.assertRaises(coverage.CoverageError, coverage.choose, [],
                                ['all'])
        self.assertIn('there are: none', str(exc))


class OutcomeTest(base.TestCase):

    def test_outcomes(self):
        too_old = ('conductor_live_migrate_instance on host a: Error (The '
                   'instance requires a newer hypervisor version than has '
                   'been provided.)',)
        problem = builders.problem('outage of 5.000 s')
        for changes, result, cause in (
                ({}, 'good', ''),
                ({'problems': (problem,)}, 'bad',
                 'outage: outage of 5.000 s'),
                ({'problems': (problem,), 'verdict': 'rolled back',
                  'cause': 'no secret'}, 'bad', 'rolled back: no secret'),
                ({'verdict': 'failed', 'cause': 'it gave up',
                  'events': too_old}, 'refused', 'failed: it gave up'),
                ({'verdict': 'failed', 'cause': 'it gave up'}, 'bad',
                 'failed: it gave up')):
            self.assertEqual(
                coverage.PairOutcome(coverage.Result(result), cause),
                coverage.outcome(builders.migration(**changes)))


class EarlierTest(base.TestCase):

    def test_region(self):
        found = builders.read([builders.migration(
            source='a', destination='b', test='a.test')])
        for region, hosts_, good in (
                ('RegionOne', ['compute1', 'x'], True),
                ('', ['compute1'], True), ('Two', ['compute1'], False),
                ('RegionOne', ['x'], False)):
            def read(region=region, hosts_=hosts_):
                return dict(coverage.earlier(found, 'a.test', region, hosts_))

            if good:
                self.assertEqual({coverage.Pair('a', 'b'): GOOD}, read())
            else:
                exc = self.assertRaises(coverage.CoverageError, read)
                self.assertIn('is from another cloud', str(exc))


class PortionsTest(base.TestCase):

    def test_sizes_and_order(self):
        found = coverage.plan(hosts(10))
        portions = list(coverage.portions(found, found.pairs, 4))
        self.assertEqual([4, 4, 2], list(map(len, portions)))
        self.assertEqual(list(found.pairs), sum(portions, []))

    def test_a_host_has_room_for_one_more(self):
        found = coverage.plan(hosts(5), 'all')
        portions = list(coverage.portions(found, found.pairs, 100))
        self.assertEqual(sorted(found.pairs), sorted(sum(portions, [])))
        for portion in portions:
            for role in (coverage.SENDS, coverage.RECEIVES):
                names = [pair[role] for pair in portion]
                self.assertEqual(len(names), len(set(names)))

    def test_pairs_that_nova_may_refuse_are_apart(self):
        found = coverage.plan([*hosts(2), host('x', '10.0.0')])
        self.assertEqual([['ab', 'ba'], ['bx'], ['xa']], sorted(
            sorted(texts(each)) for each in coverage.portions(
                found, found.pairs, 9)))


class AbilityTest(base.TestCase):

    def test_words_of_reports(self):
        self.assertEqual(VERDICTS,
                         tuple(map(str, coverage.Ability)))


class CoverageTest(base.TestCase):

    def cover(self, works, number=4, **kwargs):
        """Try the pairs of a plan and the cross-checks.

        :param works: returns the outcome of a pair
        :param number: number of hosts
        """
        self.coverage = coverage.Coverage(
            coverage.plan(hosts(number), **kwargs))
        pairs, self.checks = self.coverage.open_pairs(), []
        while pairs:
            for pair in pairs:
                self.coverage.add(pair, works(pair))
            pairs = self.coverage.cross_checks()
            self.checks += texts(pairs)
        return self.coverage.verdicts()

    def abilities(self, found):
        return {each.host: f'{each.sends}, {each.receives}'
                for each in found if not each.good}

    def test_all_good(self):
        found = self.cover(lambda pair: GOOD)
        self.assertEqual(({}, []), (self.abilities(found), self.checks))
        self.assertEqual(['', '', '', ''], [each.cause for each in found])

    def test_the_right_host_and_side_are_named(self):
        for number in (3, 4, 5):
            found = self.cover(
                lambda pair: BAD if pair.destination == 'b' else GOOD, number)
            self.assertEqual({'b': 'good, problems'}, self.abilities(found))
            self.assertRegex(found[0].cause, '^[a-e] to b: a port is closed')
            found = self.cover(
                lambda pair: BAD if pair.source == 'b' else GOOD, number)
            self.assertEqual({'b': 'problems, good'}, self.abilities(found))

    def test_cross_checks_are_few(self):
        self.cover(lambda pair: BAD if pair.destination == 'b' else GOOD, 10)
        self.assertEqual(2, len(self.checks))

    def test_cross_checks_go_side_by_side(self):
        self.coverage = coverage.Coverage(coverage.plan(hosts(10)))
        for pair in self.coverage.open_pairs():
            self.coverage.add(pair, BAD if pair.destination in 'bdfh'
                              else GOOD)
        pairs = self.coverage.cross_checks()
        self.assertEqual(8, len(pairs))
        portions = list(coverage.portions(self.coverage.plan, pairs, 20))
        self.assertLessEqual(len(portions), 2)

    def test_a_host_that_can_do_neither(self):
        found = self.cover(lambda pair: BAD if 'b' in pair else GOOD)
        self.assertEqual({'b': 'problems, problems'}, self.abilities(found))
        self.assertEqual(1, found[0].cause.count('b to '))
        self.assertEqual(1, found[0].cause.count(' to b'))

    def test_two_bad_hosts_next_to_each_other(self):
        found = self.cover(
            lambda pair: BAD if pair.source == 'a' or pair.destination == 'b'
            else GOOD)
        self.assertEqual({'a': 'problems, good', 'b': 'good, problems'},
                         self.abilities(found))

    def test_two_hosts_that_work_with_all_but_each_other(self):
        found = self.cover(
            lambda pair: BAD if texts([pair]) == ['ab'] else GOOD)
        self.assertEqual({'a': 'problems, good', 'b': 'good, problems'},
                         self.abilities(found))
        self.assertEqual({'a to b: a port is closed'},
                         {each.cause for each in found[:2]})

    def test_two_hosts_alone_do_not_show_who_is_at_fault(self):
        found = self.cover(
            lambda pair: BAD if pair.source == 'a' else GOOD, 2)
        self.assertEqual({'a': 'unclear, good', 'b': 'good, unclear'},
                         self.abilities(found))

    def test_nothing_works(self):
        found = self.cover(lambda pair: BAD)
        self.assertEqual({'unclear, unclear'},
                         set(self.abilities(found).values()))
        self.assertEqual([], self.checks)

    def test_too_many_failures(self):
        self.cover(lambda pair: BAD if pair.destination == 'b' else GOOD, 10)
        # The planned one, and not the cross-check.
        for limit, too_many in (
                ('0', True), ('1', False), ('9%', True), ('10%', False),
                ('0%', True), ('100%', False)):
            self.assertEqual(
                too_many, self.coverage.too_many_failures(limit), limit)

    def test_a_refusal_proves_nothing(self):
        found = self.cover(
            lambda pair: REFUSED if pair.source == 'a' else GOOD, 2)
        self.assertEqual(
            [('a', 'not tried', 'good'), ('b', 'good', 'not tried')],
            [(each.host, each.sends, each.receives) for each in found])
        # It is no fault, either.
        self.assertEqual({}, self.abilities(found))
        self.assertFalse(self.coverage.too_many_failures('0'))
        self.assertIn('its QEMU is older', found[0].cause)

    def test_a_host_that_drops_out(self):
        self.coverage = coverage.Coverage(coverage.plan(hosts(4)))
        self.coverage.hindered = {
            ('b', coverage.SENDS): 'no server could be built'}
        self.assertEqual(['ab', 'cd', 'da'],
                         texts(self.coverage.open_pairs()))
        for pair in self.coverage.open_pairs():
            self.coverage.add(pair, GOOD)
        # c has to receive from another one.
        self.assertEqual(['ac'], texts(self.coverage.cross_checks()))
        self.coverage.add(coverage.Pair('a', 'c'), GOOD)
        self.assertEqual([], self.coverage.cross_checks())
        worst, *others = self.coverage.verdicts()
        self.assertEqual(
            ('b', 'not tried', 'good', 'no server could be built'),
            (worst.host, worst.sends, worst.receives, worst.cause))
        self.assertTrue(all(each.good for each in others))

    def test_what_an_earlier_run_has_done(self):
        self.coverage = coverage.Coverage(coverage.plan(hosts(4)))
        self.coverage.add(coverage.Pair('a', 'b'), GOOD)
        self.coverage.add(coverage.Pair('b', 'c'), BAD)
        self.assertEqual(['cd', 'da'], texts(self.coverage.open_pairs()))

    def test_hosts_left_out_are_listed_as_well(self):
        self.coverage = coverage.Coverage(coverage.plan(
            [*hosts(2), host('x', unusable='disabled')]))
        self.assertEqual(
            {'x': 'disabled', **dict.fromkeys(
                'ab', 'sent to no host; received from no host')},
            {each.host: each.cause for each in self.coverage.verdicts()})
