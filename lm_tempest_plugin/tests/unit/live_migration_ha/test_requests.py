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

from unittest import mock

from lm_tempest_plugin.migration import plan as plans
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.live_migration_ha import test_requests
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdict.Kind


class RequestsTestCase(fakes.TempestTestCase):

    def refused(self, status):
        """Let nova refuse each request."""
        self.fields = {
            'refusal': schema.Refusal(status=status, message='by policy'),
            'verdict': 'failed'}

    def assert_disk_written(self):
        self.builder.write_disks.assert_called_once_with(*self.guests)
        self.builder.verify.assert_called_once_with(*self.guests)


class OldApiTest(RequestsTestCase):

    def test_without_auto(self):
        self.passes(self.new(test_requests.OldApiTest,
                             'test_live_migration'))
        plan, = self.plans
        self.assertEqual(
            {'host': 'beta', 'block_migration': True,
             'disk_over_commit': False}, plan.options.body(plan.destination))
        self.assertEqual((Kind.COMPLETED,), plan.expected)
        self.assert_disk_written()


class PausedTest(RequestsTestCase):

    def setUp(self):
        super().setUp()
        self.test = self.new(test_requests.PausedTest,
                             'test_live_migration_of_paused_server')

    def test_it_is_not_asked_while_it_is_paused(self):
        self.passes(self.test)
        self.assertEqual((plans.PlannedServer('server-0'),),
                         self.plans[0].servers)
        self.assertEqual(['PAUSED', 'ACTIVE'], [
            call.args[1] for call in self.builder.wait_for.call_args_list])
        self.test.servers_client.pause_server.assert_called_once_with(
            'server-0')
        self.test.servers_client.unpause_server.assert_called_once_with(
            'server-0')
        self.probes.finish.assert_called_once()
        self.assert_disk_written()

    def test_its_disk_is_written_before_it_is_paused(self):
        self.builder.write_disks.side_effect = ValueError
        self.run_test(self.test)
        self.test.servers_client.pause_server.assert_not_called()

    def test_it_has_to_go_on_from_where_it_was(self):
        self.reboot()
        self.fails(self.test, 'boot id boot-2, before boot-1')

    def test_the_connection_from_before_has_to_live(self):
        self.streams['192.0.2.0'] = fakes.stream(breaks=('reset',))
        self.fails(self.test, 'the TCP connection broke')

    def test_its_disk_has_to_be_unharmed(self):
        self.builder.verify.return_value = {'disk': 'sum a, sum b before'}
        self.fails(self.test, 'disk: sum a, sum b before')

    def test_it_is_checked_after_it_runs_again(self):
        events = []
        self.test.servers_client.unpause_server.side_effect = (
            lambda server_id: events.append('unpause'))
        self.builder.inspect.side_effect = lambda *_: (
            events.append('inspect') or builders.INSPECTION)
        self.passes(self.test)
        self.assertEqual(['inspect', 'unpause', 'inspect'], events)


class ManagerTest(RequestsTestCase):

    def setUp(self):
        super().setUp()
        self.manager = mock.Mock()
        self.test = self.new(
            test_requests.ManagerTest,
            'test_live_migration_by_project_manager',
            os_project_manager=self.manager)

    def test_the_scheduler_chooses_and_the_manager_requests(self):
        self.passes(self.test)
        self.assertEqual('', self.plans[0].destination)
        self.assertIs(self.manager.servers_client,
                      self.calls[0]['requester'])
        self.assert_disk_written()

    def test_the_policy_does_not_allow_it(self):
        self.refused(403)
        self.skips(self.test, 'by policy')

    def test_another_refusal(self):
        self.refused(409)
        self.fails(self.test, 'failed after 9.0 s')

    def test_a_problem_is_not_hidden_by_the_policy(self):
        self.refused(403)
        self.problems = [fakes.problem('outage', '9 s')]
        self.fails(self.test, 'outage: 9 s')

    def test_the_manager_owns_the_guest(self):
        self.assertIs(self.manager, self.test.choose_owner())
