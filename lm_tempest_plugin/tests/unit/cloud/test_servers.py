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

import datetime
from unittest import mock

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
        self.assertEqual(
            (2, 2.0, 24.0), (server.vcpus, server.ram_gib, server.disk_gib))

    def test_no_host_yet(self):
        server = servers.show(fakes.servers(fakes.server(host=None)), 'id')
        self.assertEqual('', server.host)
        self.assertIn('host none', server.state)
        self.assertEqual('', server.fault)

    def test_a_root_disk_that_is_a_volume_is_no_local_disk(self):
        server = servers.show(fakes.servers(fakes.server(image=None)), 'id')
        self.assertEqual(4.0, server.disk_gib)

    def test_swap_is_a_local_disk_too(self):
        server = servers.show(fakes.servers(fakes.server(swap=512)), 'id')
        self.assertEqual(24.5, server.disk_gib)

    def test_no_local_disk_at_all(self):
        server = servers.show(fakes.servers(fakes.server(
            image=None, ephemeral=0)), 'id')
        self.assertEqual(0.0, server.disk_gib)

    def test_the_progress_of_a_task(self):
        for shown, progress in (({'progress': 92}, 92), ({'progress': 0}, 0),
                                # nova shows none while a server is PAUSED.
                                ({}, 0), ({'progress': None}, 0)):
            self.assertEqual(progress, servers.show(fakes.servers(
                {**fakes.server(), **shown}), 'id').progress)

    def test_addresses_by_kind(self):
        server = servers.show(fakes.servers({
            **fakes.server(), 'addresses': {'a': [
                {'addr': '192.0.2.1', 'OS-EXT-IPS:type': 'fixed'},
                {'addr': '198.51.100.7', 'OS-EXT-IPS:type': 'floating'}],
                'b': [{'addr': '192.0.2.9'}]}}), 'id')
        self.assertEqual((('192.0.2.1', '192.0.2.9'), ('198.51.100.7',)), (
            server.addresses, server.floating_addresses))

    def test_the_state_that_a_migration_keeps(self):
        for shown, state in (({'OS-EXT-STS:vm_state': 'paused'}, 'paused'),
                             ({}, '')):
            self.assertEqual(state, servers.show(fakes.servers(
                {**fakes.server(), **shown}), 'id').vm_state)


class FindTest(base.TestCase):

    def test_one_that_is_there(self):
        client = fakes.servers(fakes.server())
        self.assertEqual(
            fakes.SERVER_ID, servers.find(client, 'id').server_id)
        client.show_server.assert_called_once_with('id')

    def test_one_that_is_gone(self):
        self.assertIsNone(
            servers.find(fakes.servers(lib_exc.NotFound()), 'id'))

    def test_other_errors_are_not_swallowed(self):
        self.assertRaises(
            lib_exc.ServerFault, servers.find,
            fakes.servers(fakes.server_fault()), 'id')


class ListTest(base.TestCase):

    def test_what_has_changed_in_all_projects(self):
        client = fakes.server_pages([fakes.server()])
        found, = servers.list_changed(client, datetime.datetime(
            2026, 1, 1, 12, 0, 0, 5, tzinfo=datetime.UTC))
        self.assertEqual(fakes.SERVER_ID, found.server_id)
        self.assertEqual(datetime.datetime(
            2026, 1, 1, 12, 0, 7, tzinfo=datetime.UTC), found.updated_at)
        client.list_servers.assert_called_once_with(
            detail=True, all_tenants=True,
            **{'changes-since': '2026-01-01T12:00:00.000005+00:00'})

    def test_one_that_was_deleted(self):
        found, = servers.list_changed(
            fakes.server_pages([fakes.server('DELETED', host=None)]),
            datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
        self.assertEqual(
            'status DELETED, task state None, host none', found.state)

    def test_what_is_on_a_host(self):
        client = fakes.server_pages([])
        self.assertEqual([], servers.list_on_host(client, 'alpha'))
        client.list_servers.assert_called_once_with(
            detail=True, all_tenants=True, host='alpha')

    def test_page_by_page(self):
        client = fakes.server_pages(*[
            [fakes.server(server_id=server_id) for server_id in page]
            for page in ('ab', 'cd', 'e')])
        found = servers.list_on_host(client, 'alpha')
        self.assertEqual(
            list('abcde'), [server.server_id for server in found])
        query = {'detail': True, 'all_tenants': True, 'host': 'alpha'}
        self.assertEqual(
            [mock.call(**query), mock.call(**query, marker='b'),
             mock.call(**query, marker='d')],
            client.list_servers.mock_calls)

    def test_links_of_which_there_are_none(self):
        client = fakes.server_pages([fakes.server()])
        client.list_servers.side_effect = [
            {'servers': [fakes.server()], 'servers_links': []}]
        self.assertEqual(1, len(servers.list_on_host(client, 'alpha')))

    def test_a_last_page_without_servers(self):
        client = fakes.server_pages([fakes.server()], [])
        self.assertEqual(1, len(servers.list_on_host(client, 'alpha')))


class WaitTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.clock = fakes.Clock()


class WaitForTest(WaitTestCase):

    def wait(self, *answers, status='ACTIVE'):
        return servers.wait_for(
            fakes.servers(*answers), fakes.SERVER_ID, status, 10, 1,
            clock=self.clock.monotonic, sleep=self.clock.sleep)

    def test_the_status_with_a_task_is_not_enough(self):
        server = self.wait(
            fakes.server('BUILD', 'spawning'),
            fakes.server('ACTIVE', 'spawning'), fakes.server())
        self.assertIsNone(server.task_state)
        self.assertEqual([1, 1], self.clock.slept_s)

    def test_no_wait_for_what_is_so_already(self):
        self.assertEqual('ACTIVE', self.wait(fakes.server()).status)
        self.assertEqual([], self.clock.slept_s)

    def test_another_status_than_active(self):
        server = self.wait(
            fakes.server('ACTIVE', 'pausing'), fakes.server('PAUSED'),
            status='PAUSED')
        self.assertEqual('PAUSED', server.status)
        self.assertEqual([1], self.clock.slept_s)

    def test_error_is_raised_with_the_fault(self):
        exc = self.assertRaises(
            lib_exc.TempestException, self.wait,
            fakes.server('ERROR', fault='No valid host'))
        for part in (fakes.SERVER_ID, 'guest', 'to become ACTIVE', 'ERROR',
                     'No valid host'):
            self.assertIn(part, str(exc))

    def test_error_may_be_what_is_waited_for(self):
        self.assertEqual('ERROR', self.wait(
            fakes.server('ACTIVE'), fakes.server('ERROR'),
            status='ERROR').status)

    def test_too_long_says_for_what_and_what_was_seen(self):
        exc = self.assertRaises(
            lib_exc.TimeoutException, self.wait,
            fakes.server('BUILD', 'networking'), status='SHUTOFF')
        for part in (fakes.SERVER_ID, 'waited 10.0 s', 'to become SHUTOFF',
                     'BUILD', 'networking', 'alpha'):
            self.assertIn(part, str(exc))

    def test_one_that_is_gone_is_not_waited_for(self):
        self.assertRaises(lib_exc.NotFound, self.wait, lib_exc.NotFound())


class DeleteTest(WaitTestCase):

    def delete(self, client):
        servers.delete(client, fakes.SERVER_ID, 10, 1,
                       clock=self.clock.monotonic, sleep=self.clock.sleep)

    def test_until_it_is_gone_even_from_error(self):
        client = fakes.servers(fakes.server('ERROR', 'deleting'),
                               lib_exc.NotFound())
        self.delete(client)
        client.delete_server.assert_called_once_with(fakes.SERVER_ID)
        self.assertEqual([1], self.clock.slept_s)

    def test_gone_already(self):
        client = fakes.servers(fakes.server())
        client.delete_server.side_effect = lib_exc.NotFound()
        self.delete(client)
        client.show_server.assert_not_called()

    def test_soft_deleted_is_not_gone(self):
        client = fakes.servers(fakes.server('SOFT_DELETED'),
                               lib_exc.NotFound())
        self.delete(client)
        client.force_delete_server.assert_called_once_with(fakes.SERVER_ID)

    def test_one_that_stays_is_an_error(self):
        exc = self.assertRaises(
            lib_exc.TimeoutException, self.delete,
            fakes.servers(fakes.server('ACTIVE', 'deleting', fault='stuck')))
        for part in (fakes.SERVER_ID, 'guest', 'deleting', '10.0 s',
                     'stuck', 'alpha'):
            self.assertIn(part, str(exc))
