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

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration.checks import nova
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


class ChecksTest(base.TestCase):

    def test_slugs(self):
        """Results hold them, so a changed slug changes the format."""
        self.assertEqual(
            {'allocations', 'answer', 'events', 'force-complete',
             'left-behind', 'left-migrating', 'one-record',
             'server-exists', 'server-status', 'server-stayed', 'verdict',
             'volume-attachment', 'volume-copied'},
            {slug for slug, check in registry.CHECKS.items()
             if check.__module__ == nova.__name__})


class RunTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(registry, 'CHECKS', {})

    def run_checks(self, *migrations, **changes):
        self.clock = fakes.Clock()
        problems, outcomes = registry.run(
            builders.observation(*migrations, **changes), self.clock.sleep)
        return problems, [(each.check, each.outcome, each.reason)
                          for each in outcomes]

    def test_a_check_that_passes(self):
        @registry.check
        def all_is_well(seen):
            return []

        self.assertEqual(
            ([], [('all-is-well', 'passed', '')]), self.run_checks())

    def test_a_check_that_finds_problems(self):
        @registry.check
        def two_things(seen):
            yield schema.Problem(check='two-things', text='one')
            yield schema.Problem(check='two-things', text='another')

        problems, outcomes = self.run_checks()
        self.assertEqual(['one', 'another'],
                         [each.text for each in problems])
        self.assertEqual([('two-things', 'failed', '')], outcomes)

    def test_a_problem_has_to_be_found_twice(self):
        found = [['one', 'two'], ['two']]

        @registry.check
        def left_over(seen):
            for text in found.pop(0):
                yield schema.Problem(check='left-over', text=text)

        problems, outcomes = self.run_checks()
        self.assertEqual(['two'], [each.text for each in problems])
        self.assertEqual([('left-over', 'failed', '')], outcomes)
        self.assertEqual([registry.AGAIN_S], self.clock.slept_s)

    def test_a_problem_that_goes_away(self):
        found = [[schema.Problem(check='left-over', text='one')], []]

        @registry.check
        def left_over(seen):
            return found.pop(0)

        self.assertEqual(
            ([], [('left-over', 'passed', '')]), self.run_checks())

    def test_a_problem_that_cannot_be_looked_for_again(self):
        @registry.check
        def left_over(seen):
            if seen.known_traces is None:
                raise registry.SkipCheck('host alpha cannot be asked')
            yield schema.Problem(check='left-over', text='one')

        problems, outcomes = self.run_checks(known_traces={})
        self.assertEqual(['one'], [each.text for each in problems])
        self.assertEqual([('left-over', 'failed', '')], outcomes)

    def test_the_second_time_everything_is_read_anew(self):
        seen_traces = []

        @registry.check
        def domains(seen):
            seen_traces.append(seen.traces['server'])
            yield schema.Problem(check='domains', text='left over')

        self.run_checks(
            known_traces={'server': 'of the verdict'},
            read_traces=lambda hosts, server_ids: {'server': 'read now'})
        self.assertEqual(['of the verdict', 'read now'], seen_traces)

    def test_without_problems_nothing_is_repeated(self):
        registry.check(lambda seen: [])
        self.run_checks()
        self.assertEqual([], self.clock.slept_s)

    def test_a_check_wins_over_a_workload_of_the_same_name(self):
        @registry.check
        def outbound(seen):
            raise registry.SkipCheck('no connection')

        self.assertEqual(
            [('outbound', 'skipped', 'no connection')], self.run_checks(
                builders.judged(workloads={'outbound': 'broken'}))[1])

    def test_a_check_that_does_not_apply(self):
        @registry.check
        def not_here(seen):
            raise registry.SkipCheck('no volume')

        self.assertEqual(
            ([], [('not-here', 'skipped', 'no volume')]), self.run_checks())

    def test_a_check_that_is_left_out(self):
        @registry.check
        def outage(seen):
            raise AssertionError('it is left out')

        self.assertEqual(
            ([], [('outage', 'skipped', 'the guest is paused')]),
            self.run_checks(leave_out={'outage': 'the guest is paused'}))

    def test_an_error_in_a_check_is_a_problem(self):
        @registry.check
        def broken(seen):
            raise KeyError('x')

        (problem,), outcomes = self.run_checks()
        self.assertEqual(('broken', 'the check itself failed: KeyError'),
                         (problem.check, problem.text))
        self.assertEqual([('broken', 'failed', '')], outcomes)

    def test_a_check_cannot_skip_the_problems_that_it_has_found(self):
        @registry.check
        def outage(seen):
            yield schema.Problem(check='outage', text='too long')
            raise registry.SkipCheck('no probes')

        problems, outcomes = self.run_checks()
        self.assertEqual(['too long'], [each.text for each in problems])
        self.assertEqual([('outage', 'failed', '')], outcomes)

    def test_an_api_that_does_not_answer_costs_no_other_check(self):
        @registry.check
        def allocations(seen):
            yield schema.Problem(check='allocations', text='one')
            raise lib_exc.ServerFault('no answer')

        @registry.check
        def outage(seen):
            yield schema.Problem(check='outage', text='too long')

        problems, outcomes = self.run_checks()
        self.assertEqual(['allocations', 'allocations', 'outage'],
                         [each.check for each in problems])
        self.assertEqual('one', problems[0].text)
        self.assertIn('the check itself failed', problems[1].text)
        self.assertEqual(['failed', 'failed'],
                         [outcome for _, outcome, _ in outcomes])

    def test_the_verdict_is_the_first_problem(self):
        for name in ('outage', 'verdict', 'stall'):
            def found(seen, name=name):
                yield schema.Problem(check=name, text=name)

            found.__name__ = name
            registry.check(found)
        problems, outcomes = self.run_checks()
        self.assertEqual(['verdict', 'outage', 'stall'],
                         [each.check for each in problems])
        self.assertEqual(['outage', 'verdict', 'stall'],
                         [name for name, *_ in outcomes])

    def test_workloads_are_checks_by_name(self):
        problems, outcomes = self.run_checks(
            builders.judged(workloads={'disk': '', 'volume': ''}),
            builders.judged(workloads={'disk': 'other data'}))
        problem, = problems
        self.assertEqual(
            ('disk', 'other data', fakes.SERVER_ID),
            (problem.check, problem.text, problem.server_id))
        self.assertEqual(
            [('disk', 'failed', ''), ('volume', 'passed', '')], outcomes)


class JudgedTest(base.TestCase):

    def test_a_problem_has_all_facts_as_evidence(self):
        problem = builders.judged().problem('outage', 'too long')
        self.assertEqual(
            ('outage: too long', fakes.SERVER_ID,
             tuple(builders.new_evidence().lines())),
            (str(problem), problem.server_id, problem.evidence))


class ObservationTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = simulation.Cloud(2)
        self.seen = builders.observation(
            *(builders.judged(migration=builders.migration(server=server))
              for server in self.cloud.servers.values()),
            clients=self.cloud.clients, plan=builders.new_plan(
                *map(plan.PlannedServer, self.cloud.servers)))

    def test_servers_are_read_once(self):
        self.cloud.delete('server-0')
        for _ in range(2):
            self.assertIsNone(self.seen.servers['server-0'])
            self.assertIsInstance(self.seen.servers['server-1'],
                                  servers.Server)
        self.assertEqual(2, self.cloud.calls.count('show_server'))

    def test_the_servers_that_exist(self):
        self.cloud.delete('server-0')
        (judged, server), = self.seen.existing()
        self.assertEqual(('server-1', 'server-1'),
                         (judged.server_id, server.server_id))

    def test_resource_providers_of_hosts(self):
        self.assertEqual({'alpha': 'uuid-of-alpha', 'beta': 'uuid-of-beta'},
                         self.seen.providers)

    def test_records_of_the_requests(self):
        self.cloud.live_migrate_server('server-0', host='beta')
        self.assertEqual({'server-0': 1, 'server-1': 0}, {
            server_id: len(found)
            for server_id, found in self.seen.records.items()})

    def test_servers_that_exist_are_asked_for_their_reachability(self):
        self.cloud.delete('server-0')
        asked = []
        seen = dataclasses.replace(
            self.seen, read_reachability=lambda servers: asked.extend(
                each.server_id for each in servers) or {'server-1': 1})
        for _ in range(2):
            self.assertEqual({'server-1': 1}, seen.reachable)
        self.assertEqual(['server-1'], asked)
