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

from lm_tempest_plugin.results import hosts
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

PROBLEMS, UNCLEAR, NOT_TRIED, GOOD = hosts.VERDICTS


def moved(pairs):
    """Return results of migrations: "ab" from a to b, "ab!" that fails."""
    return builders.read([
        (builders.failed if pair.endswith('!') else builders.migration)(
            number, source=pair[0], destination=pair[1])
        for number, pair in enumerate(pairs.split())])


def judge(results):
    """Return the hosts with migrations by their names."""
    return {each.host: each for each in hosts.judge(results)
            if not each.host.startswith('compute')}


def verdicts(pairs):
    """Return sending and receiving of each host."""
    return {name: tuple(side.verdict for side in host.directions)
            for name, host in judge(moved(pairs)).items()}


class VerdictTest(base.TestCase):

    def test_whose_problems_they_are(self):
        for pairs, expected in (
                ('ab ba', {'a': (GOOD, GOOD), 'b': (GOOD, GOOD)}),
                ('ab', {'a': (GOOD, NOT_TRIED), 'b': (NOT_TRIED, GOOD)}),
                # Nothing else tells which of the two it is.
                ('ab!', {'a': (UNCLEAR, NOT_TRIED),
                         'b': (NOT_TRIED, UNCLEAR)}),
                ('ab! ab', {'a': (UNCLEAR, NOT_TRIED),
                            'b': (NOT_TRIED, UNCLEAR)}),
                # a sends to c, so b cannot receive.
                ('ab! ac', {'a': (GOOD, NOT_TRIED),
                            'b': (NOT_TRIED, PROBLEMS),
                            'c': (NOT_TRIED, GOOD)}),
                # b receives from c, so a cannot send.
                ('ab! cb', {'a': (PROBLEMS, NOT_TRIED),
                            'b': (NOT_TRIED, GOOD),
                            'c': (GOOD, NOT_TRIED)}),
                # Each works with c, so it is the pair.
                ('ab! ac cb', {'a': (PROBLEMS, NOT_TRIED),
                               'b': (NOT_TRIED, PROBLEMS),
                               'c': (GOOD, GOOD)}),
                # A pair that fails now and then proves nothing for a.
                ('ab! ac! ac', {'a': (UNCLEAR, NOT_TRIED),
                                'b': (NOT_TRIED, UNCLEAR),
                                'c': (NOT_TRIED, UNCLEAR)}),
                # b receives from nobody, and d is tried with it alone.
                ('ab! ac db!', {'a': (GOOD, NOT_TRIED),
                                'b': (NOT_TRIED, PROBLEMS),
                                'c': (NOT_TRIED, GOOD),
                                'd': (UNCLEAR, NOT_TRIED)})):
            self.assertEqual(expected, verdicts(pairs), pairs)

    def test_hosts_of_the_run_without_migrations(self):
        compute1, compute2 = hosts.judge(builders.read([]))
        self.assertEqual(('compute1', 'compute2'),
                         (compute1.host, compute2.host))
        self.assertEqual(NOT_TRIED, compute1.verdict)
        self.assertEqual(hosts.HostDirection(NOT_TRIED, 0, 0),
                         compute1.sending)
        self.assertEqual((None, None),
                         (compute1.duration_s, compute1.outage_s))

    def test_a_refusal_that_a_test_asks_for_tells_nothing(self):
        found = judge(builders.read([builders.migration(
            source='a', destination='b', verdict='refused',
            expected_verdicts=('refused',))]))
        self.assertEqual(hosts.HostDirection(NOT_TRIED, 1, 1),
                         found['a'].sending)

    def test_no_host_was_found(self):
        found = judge(builders.read([
            builders.failed(0, source='a', destination=''),
            builders.migration(1, source='a', destination='b')]))
        self.assertEqual(PROBLEMS, found['a'].sending.verdict)
        self.assertRegex(found['a'].sending.cause, '^to any host: rolled ')
        self.assertEqual({'a', 'b'}, set(found))

    def test_problems_of_a_drain(self):
        of_drain = {'problems': (builders.problem('it was tunnelled'),)}
        for source, expected in (('a', UNCLEAR), ('', GOOD)):
            found = judge(builders.read([
                builders.migration(source='a', destination='b'),
                builders.drain(source=source, destination='b', **of_drain)]))
            self.assertEqual(expected, found['a'].sending.verdict)
            self.assertEqual(expected, found['b'].receiving.verdict)

    def test_worst_cause(self):
        completed = builders.migration(
            0, source='a', destination='b', problems=(builders.problem(),))
        failed = builders.failed(1, source='a', destination='b')
        for lines, expected in (
                ([completed], 'to b: longest outage 5.00 s (limit 1 s)'),
                ([completed, failed],
                 'to b: rolled back: it failed while copying'),
                ([msgspec.structs.replace(
                    completed, expected_verdicts=('refused',), problems=(
                        builders.problem('the verdict is completed'),))],
                 'to b: the verdict is completed'),
                ([msgspec.structs.replace(
                    failed, expected_verdicts=('rolled back',), problems=(
                        builders.problem('the port is left'),))],
                 'to b: the port is left'),
                ([completed, builders.failed(
                    2, source='a', destination='c', cause='no secret')],
                 'to c: rolled back: no secret'),
                # The worst is unclear, and b works with c.
                ([builders.failed(
                    2, source='a', destination='d', cause='unclear'),
                  builders.migration(3, source='c', destination='b'),
                  completed, failed],
                 'to b: rolled back: it failed while copying')):
            self.assertEqual(
                expected, judge(builders.read(lines))['a'].sending.cause)

    def test_figures_of_both_directions(self):
        found = judge(builders.read([
            builders.migration(0, source='a', destination='b', duration_s=2,
                               outage=builders.outage(0.1)),
            builders.migration(1, source='b', destination='a', duration_s=4,
                               outage=builders.outage(0.7)),
            builders.migration(2, source='b', destination='a', measured=False,
                               duration_s=90)]))['a']
        self.assertEqual((3.0, 0.7), (found.duration_s, found.outage_s))
        self.assertEqual(2, found.receiving.migrations)

    def test_worst_hosts_first(self):
        results = moved('ab ba cd! dc! ea fa! f2 f10')
        self.assertEqual(
            ['f', 'a', 'c', 'd', '1', '2', 'e', 'b'],
            [each.host for each in hosts.judge(results)
             if not each.host.startswith('compute')])

    def test_order_of_numbers(self):
        found = hosts.judge(builders.read([
            builders.migration(number, source='a', destination=name)
            for number, name in enumerate(('c10', 'c2'))]))
        self.assertLess(*([each.host for each in found].index(name)
                          for name in ('c2', 'c10')))


class TextsTest(base.TestCase):

    def test_worth_showing(self):
        for pairs, expected in (
                ('ab ba', False), ('ab! ba!', False), ('ab! ab ba', False),
                ('ab! ba', True), ('ab bc', True)):
            found = tuple(judge(moved(pairs)).values())
            self.assertEqual(expected, hosts.worth_showing(found), pairs)

    def test_counts(self):
        for pairs, expected in (
                ('ab ba', '2 of 2 hosts sent and received without problems'),
                ('ab ba cd! dc!', '2 of 4 hosts sent and received without '
                 'problems; 2 unclear'),
                ('ab ba ca! bc', '2 of 3 hosts sent and received without '
                 'problems; 1 with problems (1 sending, 0 receiving)'),
                ('ab', '0 of 2 hosts sent and received without problems; 2 '
                 'not tried in one direction or both')):
            found = tuple(judge(moved(pairs)).values())
            self.assertEqual(expected, hosts.counts(found))

    def test_many_names(self):
        self.assertEqual('a, b', hosts.listed(['a', 'b']))
        self.assertEqual('21 hosts', hosts.listed(['a'] * 21))

    def test_versions(self):
        self.assertEqual(
            'a, b: QEMU 10.0.2, libvirt 9.0.0, nova 29.2.0, OVN 23.03.1; '
            'c: QEMU 10.0.2',
            hosts.by_versions([
                schema.ComputeHost(
                    host=host, hypervisor_type='QEMU',
                    hypervisor_version='10.0.2', libvirt_version=libvirt,
                    nova_version=nova, ovn_version=ovn)
                for host, libvirt, nova, ovn in (
                    ('b', '9.0.0', '29.2.0', '23.03.1'),
                    ('a', '9.0.0', '29.2.0', '23.03.1'),
                    ('c', None, None, None))]))
        self.assertEqual('', hosts.by_versions([]))

    def test_versions_of_the_newest_run(self):
        results = builders.read([])
        old = results.runs[0]
        results.runs.insert(0, msgspec.structs.replace(
            old, started_at=builders.time_of_day(60), hosts=(
                schema.ComputeHost(host='compute1', hypervisor_type='QEMU',
                                   hypervisor_version='11.0.0'),)))
        self.assertEqual(
            ['QEMU 11.0.0', 'QEMU 10.0.2, libvirt 9.0.0'],
            [each.versions for each in hosts.judge(results)])
