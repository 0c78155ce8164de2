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

import base64
import sqlite3
import subprocess
import types
from unittest import mock

import openstack

from lab import fleet
from lab.hosts import sandbox
from lab.tests.unit import base


def thing(**values):
    return types.SimpleNamespace(**values)


class TestFleet(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = mock.MagicMock()
        self.compute, self.network = self.cloud.compute, self.cloud.network
        self.compute.create_server.side_effect = [
            thing(id='a'), thing(id='b')]
        self.compute.wait_for_server.side_effect = (
            lambda server, wait: server)
        self.network.create_port.side_effect = [
            thing(id=f'port-{number}') for number in range(1, 9)]
        self.network.get_port.side_effect = lambda port: thing(
            fixed_ips=[{'ip_address': f'198.18.4.{port[-1]}'}])
        self.address = self.patch(fleet.network, 'set_provider_address')

    def _deletions(self):
        """Return the calls that delete something, in order."""
        return [name.partition('.')[2] for name, _, _ in self.cloud.mock_calls
                if '.delete_' in name]

    def test_made_and_deleted(self):
        with fleet.Fleet(self.cloud, 2, 'compute1') as made:
            self.assertEqual(
                (['a', 'b'], {'a': ['port-1'], 'b': ['port-2']},
                 '198.18.4.2'),
                (made.ids, made.ports, made.address('b')))
            guest = made.guests[0]
        created = self.compute.create_server.call_args.kwargs
        self.assertEqual('nova:compute1', created['availability_zone'])
        self.assertEqual([{'port': 'port-2'}], created['networks'])
        self.assertEqual(('a', '198.18.4.1'), (guest.server_id,
                                               guest.address))
        self.assertIn('PRIVATE KEY', guest.private_key)
        self.assertNotIn(guest.private_key, repr(guest))
        # One key was left by a run that was killed.
        self.assertEqual(
            ['delete_keypair',
             # Requested together, before any is waited for.
             'delete_server', 'delete_server',
             'delete_server', 'delete_port', 'delete_server', 'delete_port',
             'delete_keypair'], self._deletions())

    def test_shape(self):
        self.network.create_subnet.side_effect = [
            thing(id='second'), thing(id='sub')]
        with fleet.Fleet(self.cloud, 1, 'compute1', fleet.Shape(
                ephemeral=True, second_port=True, subport=True)) as made:
            self.assertEqual({'a': ['port-1', 'port-2', 'port-3']},
                             made.ports)
            self.address.assert_called_once_with(
                fleet.SECOND_GATEWAY, 24, present=True)
        self.assertEqual(
            [{'port': 'port-1'}, {'port': 'port-2'}],
            self.compute.create_server.call_args.kwargs['networks'])
        self.assertEqual(1, self.compute.create_flavor.call_args.kwargs[
            'ephemeral'])
        trunk = self.network.create_trunk.call_args.kwargs
        self.assertEqual(
            ('port-1', 'port-3'),
            (trunk['port_id'], trunk['sub_ports'][0]['port_id']))
        self.address.assert_called_with(
            fleet.SECOND_GATEWAY, 24, present=False)
        # DHCP there would cost the guests their metadata.
        second = self.network.create_subnet.call_args_list[0].kwargs
        self.assertFalse(second['is_dhcp_enabled'])
        data = self.compute.create_server.call_args.kwargs['user_data']
        self.assertIn('ip addr add 198.18.4.2/24 dev eth1',
                      base64.b64decode(data).decode())
        # neutron refuses to delete something that is in use.
        self.assertEqual(
            ['delete_server', 'delete_server', 'delete_trunk', 'delete_port',
             'delete_port', 'delete_port', 'delete_network', 'delete_subnet',
             'delete_flavor', 'delete_keypair'], self._deletions()[1:])

    def test_what_fails_on_the_way_is_deleted(self):
        self.compute.wait_for_server.side_effect = RuntimeError
        made = fleet.Fleet(self.cloud, 2, 'compute1')
        self.assertRaises(RuntimeError, made.__enter__)
        self.assertEqual(4, self.compute.delete_server.call_count)
        self.assertEqual('delete_keypair', self._deletions()[-1])

    def test_server_that_is_gone_already(self):
        self.compute.delete_server.side_effect = [
            openstack.exceptions.NotFoundException, None, None, None]
        with fleet.Fleet(self.cloud, 2, 'compute1'):
            pass
        self.assertEqual(4, self.compute.delete_server.call_count)

    def test_only_what_was_made_is_deleted(self):
        self.compute.create_server.side_effect = RuntimeError
        made = fleet.Fleet(self.cloud, 2, 'compute1')
        self.assertRaises(RuntimeError, made.__enter__)
        self.assertEqual(['delete_keypair', 'delete_port', 'delete_keypair'],
                         self._deletions())


class TestLogins(base.TestCase):

    def test_client(self):
        made = self.patch(fleet.remote_client, 'RemoteClient')
        fleet.Logins().get_remote_client(
            '198.18.4.1', private_key='key', server={'id': 'a'})
        self.assertEqual(('198.18.4.1', 'root'), made.call_args.args)
        self.assertEqual(
            ('key', 'ecdsa', {'id': 'a'}),
            tuple(made.call_args.kwargs[name] for name in (
                'pkey', 'ssh_key_type', 'server')))


class TestTruth(base.TestCase):

    def setUp(self):
        super().setUp()
        self.result = thing(returncode=0, stdout='', stderr='')
        self.commands = []
        self.patch(fleet.subprocess, 'run', self._run)
        self.patch(sandbox, 'enter_compute', lambda host: ['enter', host])
        self.patch(fleet.configuration, 'passwords',
                   lambda layout: {'database': 'hidden'})

    def _run(self, command, **kwargs):
        self.commands.append((command, kwargs))
        return self.result

    def test_running_on(self):
        self.result.stdout = 'uuid-1\n\n'
        self.assertEqual({'uuid-1': ['compute1', 'compute2']},
                         fleet.running_on(['compute1', 'compute2']))

    def test_domain_state(self):
        for said, state in (
                ('paused (migrating)', 'paused'), ('shut off', 'shut off'),
                ('paused (post-copy)', 'paused'),
                ('running (post-copy)', 'post-copy'),
                ('paused (post-copy failed)', 'post-copy failed'),
                ('running (post-copy failed)', 'post-copy failed')):
            self.result.stdout = f'{said}\n\n'
            self.assertEqual(state, fleet.domain_state('compute1', 'uuid-1'))

    def test_no_domain_differs_from_no_answer(self):
        self.patch(fleet, 'inside', side_effect=[
            subprocess.CalledProcessError(1, 'virsh', '', said) for said in (
                "error: failed to get domain 'uuid-1'",
                'error: failed to connect to the hypervisor', '')])
        self.assertEqual('', fleet.domain_state('compute1', 'uuid-1'))
        for said in ('failed to connect', 'does not answer'):
            self.assertIn(said, self.refused(
                fleet.domain_state, 'compute1', 'uuid-1'))

    def test_rows(self):
        self.result.stdout = 'a\tb\nc\tNULL\n'
        self.assertEqual([['a', 'b'], ['c', 'NULL']], fleet.sql(
            None, 'SELECT 1;'))
        command, kwargs = self.commands[0]
        self.assertNotIn('hidden', ' '.join(command))
        self.assertEqual('hidden', kwargs['env']['MYSQL_PWD'])

    def test_states(self):
        database = sqlite3.connect(':memory:')
        self.addCleanup(database.close)
        database.executescript("""
            CREATE TABLE instances (uuid, host, vm_state, task_state,
                                    deleted);
            CREATE TABLE migrations (id, instance_uuid, status);
            INSERT INTO instances VALUES
                ('a', 'compute1', 'active', NULL, 0),
                ('b', 'compute2', 'active', 'migrating', 0),
                ('c', 'compute1', 'deleted', NULL, 3);
            INSERT INTO migrations VALUES
                (2, 'a', 'completed'), (1, 'a', 'error'), (3, 'c', 'error');
        """)
        self.assertEqual(
            # The request of this one has not made a record.
            [('b', 'compute2', 'active', 'migrating', None),
             ('a', 'compute1', 'active', None, 'error'),
             ('a', 'compute1', 'active', None, 'completed')],
            database.execute(fleet.STATES).fetchall())

    def test_database_refuses(self):
        self.result = thing(returncode=1, stdout='', stderr='no such table\n')
        self.assertIn('no such table', self.refused(fleet.sql, None, 'X;'))


class TestTraces(base.TestCase):

    PORT = '0123456789abcdef'

    def setUp(self):
        super().setUp()
        self.state, self.devices, self.switched = '', 'lo', ''
        self.commands = []
        self.patch(fleet, 'domain_state', lambda *args: self.state)
        self.patch(fleet, 'inside', self._inside)
        self.folder = self.layout.data('compute1') / 'instances'

    def _inside(self, host, *command, check=True):
        self.commands.append(command)
        return thing(stdout={'ls': self.devices,
                             'ovs-vsctl': self.switched}.get(command[0], ''))

    def _traces(self):
        return fleet.traces(self.layout, 'compute1', 'uuid-1', [self.PORT])

    def test_none(self):
        (self.folder / 'uuid-2').mkdir(parents=True)
        self.assertEqual([], self._traces())

    def test_each_kind(self):
        self.state = 'shut off'
        self.assertEqual(['domain'], self._traces())
        self.switched = 'tapother\ntap0123456789a\n'
        self.assertEqual(['domain', 'interface'], self._traces())
        (self.folder / 'uuid-1_del').mkdir(parents=True)
        self.assertEqual(['domain', 'directory', 'interface'],
                         self._traces())

    def test_removed(self):
        self.state, self.devices = 'running', 'lo\ntap0123456789a\n'
        (self.folder / 'uuid-1').mkdir(parents=True)
        fleet.remove_traces(self.layout, 'compute1', 'uuid-1', [self.PORT])
        self.assertFalse((self.folder / 'uuid-1').exists())
        for command in (('virsh', 'destroy', 'uuid-1'),
                        ('virsh', 'undefine', 'uuid-1'),
                        ('ovs-vsctl', '--if-exists', 'del-port',
                         'tap0123456789a'),
                        ('ip', 'link', 'delete', 'tap0123456789a')):
            self.assertIn(command, self.commands)

    def test_nothing_to_remove(self):
        fleet.remove_traces(self.layout, 'compute1', 'uuid-1', [self.PORT])
        self.assertEqual({'ls', 'ovs-vsctl'}, {
            command[0] for command in self.commands})


class TestQemuProcesses(base.TestCase):

    def test_none(self):
        # Like no word on the command line of any real process.
        self.assertEqual([], fleet.qemu_processes(
            'd2c9a8f5-6a41-4c52-9f13-d77e4ac10b6e'))

    def test_others_are_not_taken_for_qemu(self):
        with subprocess.Popen(['sleep', '60.125']) as child:
            try:
                self.assertEqual([], fleet.qemu_processes('60.125'))
            finally:
                child.kill()
