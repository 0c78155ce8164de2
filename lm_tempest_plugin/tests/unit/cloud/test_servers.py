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

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class ShowTest(base.TestCase):

    def test_what_is_of_interest(self):
        server = servers.show(fakes.servers(fakes.server(
            'ERROR', 'migrating', 'beta', 'it fell over')), 'id')
        self.assertEqual(
            'status ERROR, task state migrating, host beta', server.state)
        self.assertEqual('it fell over', server.fault)
        self.assertEqual((2.0, 24.0), (server.ram_gib, server.disk_gib))

    def test_no_host_yet(self):
        server = servers.show(fakes.servers(fakes.server(host=None)), 'id')
        self.assertEqual('', server.host)
        self.assertIn('host none', server.state)


class WaitTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.clock = fakes.Clock()

    def call(self, function, client, timeout_s=10):
        return function(client, fakes.SERVER_ID, timeout_s, 1,
                        clock=self.clock.monotonic, sleep=self.clock.sleep)


class WaitUntilActiveTest(WaitTestCase):

    def test_active_with_a_task_is_not_enough(self):
        server = self.call(servers.wait_until_active, fakes.servers(
            fakes.server('BUILD', 'spawning'),
            fakes.server('ACTIVE', 'spawning'), fakes.server()))
        self.assertIsNone(server.task_state)
        self.assertEqual([1, 1], self.clock.slept_s)

    def test_error_is_raised_with_the_fault(self):
        exc = self.assertRaises(
            lib_exc.TempestException, self.call, servers.wait_until_active,
            fakes.servers(fakes.server('ERROR', fault='No valid host')))
        for part in (fakes.SERVER_ID, 'guest', 'ERROR', 'No valid host'):
            self.assertIn(part, str(exc))

    def test_too_long_says_for_what_and_what_was_seen(self):
        exc = self.assertRaises(
            lib_exc.TimeoutException, self.call, servers.wait_until_active,
            fakes.servers(fakes.server('BUILD', 'networking')))
        for part in (fakes.SERVER_ID, 'Waited 10.0 s', 'BUILD',
                     'networking', 'alpha'):
            self.assertIn(part, str(exc))


class DeleteTest(WaitTestCase):

    def test_until_it_is_gone_even_from_error(self):
        client = fakes.servers(fakes.server('ERROR', 'deleting'),
                               lib_exc.NotFound())
        self.call(servers.delete, client)
        client.delete_server.assert_called_once_with(fakes.SERVER_ID)
        self.assertEqual([1], self.clock.slept_s)

    def test_gone_already(self):
        client = fakes.servers(fakes.server())
        client.delete_server.side_effect = lib_exc.NotFound()
        self.call(servers.delete, client)
        client.show_server.assert_not_called()

    def test_soft_deleted_is_not_gone(self):
        client = fakes.servers(fakes.server('SOFT_DELETED'),
                               lib_exc.NotFound())
        self.call(servers.delete, client)
        client.force_delete_server.assert_called_once_with(fakes.SERVER_ID)

    def test_one_that_stays_is_an_error(self):
        exc = self.assertRaises(
            lib_exc.TimeoutException, self.call, servers.delete,
            fakes.servers(fakes.server('ACTIVE', 'deleting', fault='stuck')))
        for part in (fakes.SERVER_ID, 'guest', 'deleting', '10.0 s',
                     'stuck', 'alpha'):
            self.assertIn(part, str(exc))
