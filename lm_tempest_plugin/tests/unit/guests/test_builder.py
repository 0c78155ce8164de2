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
import pathlib
import traceback
from unittest import mock

import fixtures
import paramiko
from tempest.common import compute
from tempest.lib import exceptions
from tempest.scenario import manager

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.guests import inspection
from lm_tempest_plugin.guests.workloads import disk
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.guests.workloads import volume
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes

FLAVOR = {'id': '42', 'name': 'nano', 'vcpus': 1, 'ram': 512, 'disk': 1,
          'OS-FLV-EXT-DATA:ephemeral': 0, 'swap': ''}


def guest(server_id='server-0', address='192.0.2.1'):
    """Return a guest that was built."""
    return builder.Guest(
        fakes.server(server_id=server_id), 'alpha', address, 'secret')


class BareKeyTest(base.TestCase):

    def test_a_comment_before_the_key(self):
        key = '-----BEGIN KEY-----\nabc\n'
        for text in (key, f'# Written by\n{key}'):
            self.assertEqual(key, builder.bare_key(text))

    def test_no_key(self):
        self.assertEqual('abc', builder.bare_key('abc'))


class BuilderTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.owner = mock.Mock()
        self.owner.servers_client.show_server = lambda server_id: {
            'server': {'id': server_id}}
        self.admin = mock.Mock()
        self.shown(fakes.server('BUILD', 'spawning'), fakes.server())
        self.cleanups = []
        # With a specification, since the signatures are Tempest's.
        self.test = mock.create_autospec(manager.ScenarioTest, instance=True)
        self.test.addCleanup.side_effect = lambda *args: (
            self.cleanups.append(args))
        self.built = 0
        self.test.create_server.side_effect = self.build
        self.test.get_tenant_network.return_value = {'name': 'net'}
        self.listed = []
        self.owner.servers_client.list_servers.side_effect = (
            lambda name: {'servers': self.listed})
        self.launched = self.useFixture(fixtures.MockPatchObject(
            compute, 'create_test_server', autospec=True,
            side_effect=self.launch)).mock
        self.test.create_keypair.return_value = {
            'name': 'k', 'private_key': 'secret'}
        self.test.create_empty_security_group.return_value = {
            'id': 'g', 'name': 'g'}
        self.test.get_server_ip.return_value = '192.0.2.1'
        self.remote = self.test.get_remote_client.return_value
        self.builder = self.make()

    def make(self, **options):
        return builder.GuestBuilder(
            self.test, self.owner, self.admin, builder.GuestOptions(
                **{'flavor_ref': '42', 'tcp_echo_port': 7,
                   'build_timeout_s': 10, 'build_interval_s': 0, **options}))

    def shown(self, *bodies):
        """Let an administrator see these servers, one after the other."""
        left = list(bodies)
        self.admin.servers.show_server.side_effect = lambda server_id: {
            'server': left.pop(0) if len(left) > 1 else left[0]}

    def build(self, **kwargs):
        self.built += 1
        return {'id': f'server-{self.built}'}

    def launch(self, clients, *, name, min_count, max_count, **kwargs):
        """Launch servers together, as nova does; it lists the newest first.

        Servers of others may have a name that begins in the same way.
        """
        self.assertEqual(min_count, max_count)
        self.listed = [{'id': f'server-{number}', 'name': f'{name}-{number}'}
                       for number in range(max_count, 0, -1)]
        self.listed.append({'id': 'other', 'name': f'{name}5-1'})

    def deleted(self):
        return [call.args[0] for call in
                self.admin.servers.delete_server.call_args_list]

    def delete_all(self):
        """Run the cleanups; return the ids of the deleted servers."""
        self.admin.servers.show_server.side_effect = exceptions.NotFound()
        for function, *args in reversed(self.cleanups):
            function(*args)
        return self.deleted()


class BuildTest(BuilderTestCase):

    def test_a_guest_that_is_deleted_whatever_happens(self):
        guest, = self.builder.build()
        self.assertEqual(
            ('server-1', 'alpha', '192.0.2.1', 'secret'),
            (guest.server_id, guest.host, guest.address, guest.private_key))
        kwargs = self.test.create_server.call_args.kwargs
        self.assertIsNone(kwargs['wait_until'])
        self.assertIs(self.owner, kwargs['clients'])
        self.assertNotIn('host', kwargs)
        self.assertNotIn('flavor', kwargs)
        self.assertEqual(['server-1'], self.delete_all())

    def test_the_echo_service_starts_with_it(self):
        self.builder.build()
        kwargs = self.test.create_server.call_args.kwargs
        self.assertEqual(
            builder.echo_script(7),
            base64.b64decode(kwargs['user_data']).decode())

    def deleted_at_once(self, *arguments, **kwargs):
        """Return the error if not all are built, and the deleted servers."""
        self.admin.servers.delete_server.side_effect = lambda server_id: (
            setattr(self.admin.servers.show_server, 'side_effect',
                    exceptions.NotFound()))
        exc = self.assertRaises(
            exceptions.TempestException, self.builder.build, *arguments,
            **kwargs)
        return str(exc), set(self.deleted())

    def test_a_guest_that_is_not_built_is_deleted_at_once(self):
        self.shown(fakes.server('ERROR', fault='No valid host'))
        said, deleted = self.deleted_at_once()
        self.assertIn('No valid host', said)
        self.assertEqual({'server-1'}, deleted)

    def test_several_are_launched_by_one_request_on_a_host(self):
        found = self.builder.build(11, 'alpha', flavor='7')
        self.assertEqual([f'server-{number}' for number in range(1, 12)],
                         [each.server_id for each in found])
        self.test.create_server.assert_not_called()
        self.launched.assert_called_once_with(
            self.owner, tenant_network={'name': 'net'}, name=mock.ANY,
            min_count=11, max_count=11, host='alpha', flavor='7',
            key_name='k', security_groups=[{'name': 'g'}],
            user_data=mock.ANY)
        self.test.create_empty_security_group.assert_called_once()
        self.test.create_keypair.assert_called_once()
        self.assertEqual({each.server_id for each in found},
                         set(self.delete_all()))

    def test_one_on_each_host(self):
        found = self.builder.build_on(['alpha', 'beta', 'gamma'])
        self.assertEqual(['server-1', 'server-2', 'server-3'],
                         [each.server_id for each in found])
        self.assertEqual(
            [('alpha', 'k'), ('beta', 'k'), ('gamma', 'k')],
            [(call.kwargs['host'], call.kwargs['keypair']['name'])
             for call in self.test.create_server.call_args_list])
        self.launched.assert_not_called()
        self.assertEqual({each.server_id for each in found},
                         set(self.delete_all()))

    def test_one_of_them_is_not_built(self):
        self.shown(fakes.server(), fakes.server('ERROR', fault='full'))
        self.admin.servers.delete_server.side_effect = lambda server_id: (
            setattr(self.admin.servers.show_server, 'side_effect',
                    exceptions.NotFound()))
        exc = self.assertRaises(exceptions.TempestException,
                                self.builder.build_on, ['alpha', 'beta'])
        self.assertIn('full', str(exc))
        self.assertEqual({'server-1', 'server-2'}, set(self.deleted()))

    def test_their_name_is_like_that_of_single_ones(self):
        self.make(name_prefix='ci', auth_method='configured').build(2)
        kwargs = self.launched.call_args.kwargs
        self.assertRegex(kwargs['name'], r'^ci-\w+-server-\d+$')
        self.assertNotIn('key_name', kwargs)

    def assert_one_by_one(self, found, **expected):
        self.assertEqual(['server-1', 'server-2'],
                         [each.server_id for each in found])
        self.launched.assert_not_called()
        for call in self.test.create_server.call_args_list:
            self.assertEqual(expected, {
                name: call.kwargs[name] for name in expected})
        self.assertEqual({'server-1', 'server-2'}, set(self.delete_all()))

    def test_ports_or_volumes_of_their_own(self):
        for name in ('networks', 'block_device_mapping_v2'):
            self.built = 0
            self.cleanups.clear()
            self.test.create_server.reset_mock()
            self.admin.servers.delete_server.reset_mock()
            self.shown(fakes.server())
            expected = {name: [{'uuid': 'u'}], 'host': 'alpha'}
            self.assert_one_by_one(
                self.builder.build(2, **expected), **expected)

    def test_ports_that_tempest_creates(self):
        self.assert_one_by_one(self.make(own_ports=True).build(2))

    def test_if_one_is_not_built_all_are_deleted_at_once(self):
        self.shown(fakes.server(), fakes.server('ERROR', fault='No room'))
        said, deleted = self.deleted_at_once(3, 'alpha')
        self.assertEqual({'server-1', 'server-2', 'server-3'}, deleted)
        self.assertIn('server server-2 to become ACTIVE', said)
        self.assertIn('No room', said)

    def test_fewer_than_were_asked_for(self):
        self.launched.side_effect = lambda *args, **kwargs: self.launch(
            *args, **{**kwargs, 'min_count': 1, 'max_count': 1})
        said, _ = self.deleted_at_once(3)
        self.assertIn('was asked for 3 servers named tempest-', said)
        self.assertIn('has launched 1', said)
        self.assertEqual(['server-1'], self.delete_all()[:1])

    def test_an_interrupted_request_leaves_no_server(self):
        def interrupted(*args, **kwargs):
            self.launch(*args, **kwargs)
            raise KeyboardInterrupt

        self.launched.side_effect = interrupted
        self.assertRaises(KeyboardInterrupt, self.builder.build, 2)
        self.assertEqual({'server-1', 'server-2'}, set(self.delete_all()))

    def test_if_one_is_refused_the_others_are_deleted_at_once(self):
        self.test.create_server.side_effect = [
            {'id': 'server-1'}, exceptions.Forbidden('Quota exceeded')]
        said, deleted = self.deleted_at_once(2, networks=[{'uuid': 'n'}])
        self.assertIn('Quota exceeded', said)
        self.assertEqual({'server-1'}, deleted)

    def test_if_the_request_is_refused_there_is_none(self):
        self.launched.side_effect = exceptions.Forbidden('Quota exceeded')
        exc = self.assertRaises(
            exceptions.Forbidden, self.builder.build, 2, 'alpha')
        self.assertIn('Quota exceeded', str(exc))
        self.assertEqual([], self.delete_all())

    def test_another_flavor_and_whatever_else_is_asked_for(self):
        self.builder.build(flavor='7', image_id='')
        kwargs = self.test.create_server.call_args.kwargs
        self.assertEqual(('7', ''), (kwargs['flavor'], kwargs['image_id']))

    def test_a_password_in_place_of_a_key(self):
        guest, = self.make(auth_method='configured').build()
        self.assertIsNone(guest.private_key)
        self.assertNotIn(
            'keypair', self.test.create_server.call_args.kwargs)
        self.test.create_keypair.assert_not_called()

    def test_key_and_security_group_belong_to_the_owner(self):
        self.builder.build()
        self.test.create_keypair.assert_called_once_with(
            self.owner.keypairs_client)
        self.test.create_empty_security_group.assert_called_once_with(
            self.owner.security_groups_client, namestart='live-migration')
        for call in self.test.create_security_group_rule.call_args_list:
            self.assertIs(self.owner.security_group_rules_client,
                          call.kwargs['sec_group_rules_client'])
            self.assertIs(self.owner.security_groups_client,
                          call.kwargs['security_groups_client'])

    def rules(self):
        return [(call.kwargs['ethertype'], call.kwargs['protocol'],
                 call.kwargs.get('port_range_min')) for call in
                self.test.create_security_group_rule.call_args_list]

    def test_the_security_group_lets_the_probes_in(self):
        self.builder.build()
        self.assertEqual(
            {('IPv4', 'icmp', None), ('IPv4', 'tcp', 7), ('IPv4', 'tcp', 22)},
            set(self.rules()))

    def test_the_security_group_for_ipv6(self):
        self.make(ip_version=6, tcp_echo_port=22).build()
        self.assertEqual(
            [('IPv6', 'ipv6-icmp', None), ('IPv6', 'tcp', 22)], self.rules())


class DeleteTest(BuilderTestCase):

    def test_now(self):
        found = self.builder.build(2)
        self.admin.servers.show_server.side_effect = exceptions.NotFound()
        self.builder.delete(*found)
        self.assertEqual({'server-1', 'server-2'}, set(self.deleted()))

    def test_a_guest_that_is_gone_is_deleted(self):
        found = self.builder.build()
        self.admin.servers.delete_server.side_effect = exceptions.NotFound()
        self.builder.delete(*found)

    def test_floating_addresses_are_freed(self):
        client = self.owner.floating_ips_client
        client.list_floatingips.side_effect = lambda floating_ip_address: {
            'floatingips': [{'id': f'id-of-{floating_ip_address}'}]}
        for floating in (False, True):
            self.builder = self.make(floating=floating)
            self.test_now()
            self.assertEqual(
                [mock.call('id-of-192.0.2.1')] * (2 if floating else 0),
                client.delete_floatingip.call_args_list)
            self.shown(fakes.server())


class RoomTest(BuilderTestCase):

    def setUp(self):
        super().setUp()
        self.owner.flavors_client.show_flavor.return_value = {
            'flavor': FLAVOR}
        self.free = {'alpha': 4, 'beta': 3}
        patcher = mock.patch.object(
            placement, 'free_on_host', autospec=True,
            side_effect=lambda admin, host: placement.Resources(
                self.free[host], 99999, 999))
        patcher.start()
        self.addCleanup(patcher.stop)
        self.allow(-1)

    def allow(self, servers):
        self.owner.limits_client.show_limits.return_value = {'limits': {
            'absolute': {
                'maxTotalInstances': servers, 'totalInstancesUsed': 0,
                'maxTotalCores': -1, 'totalCoresUsed': 0,
                'maxTotalRAMSize': -1, 'totalRAMUsed': 0}}}

    def test_as_many_as_are_wanted(self):
        self.assertEqual(2, self.builder.room(2, 1, 'alpha', 'beta'))
        self.owner.flavors_client.show_flavor.assert_called_once_with('42')

    def test_as_many_as_fit_on_each_host(self):
        self.assertEqual(3, self.builder.room(9, 1, 'alpha', 'beta'))

    def test_as_many_as_the_project_may_have(self):
        self.allow(2)
        self.assertEqual(2, self.builder.room(9, 1, 'alpha', 'beta'))

    def test_too_few(self):
        self.allow(10)
        exc = self.assertRaises(
            placement.NoRoom, self.builder.room, 9, 4, 'alpha', 'beta')
        self.assertIn(
            'no room for 4 servers of flavor nano: host alpha has room for '
            '4, host beta has room for 3, the quota has room for 10',
            str(exc))

    def test_the_quota_of_a_project_made_for_the_tests_is_lifted(self):
        self.make(dynamic_credentials=True).room(1, 1, 'alpha')
        self.admin.quotas.update_quota_set.assert_called_once_with(
            self.owner.credentials.project_id,
            instances=-1, cores=-1, ram=-1)

    def test_the_quota_alone(self):
        self.assertEqual(9, self.builder.room(9, 1))
        self.allow(5)
        self.assertEqual(5, self.builder.room(9, 1))
        self.allow(0)
        exc = self.assertRaises(
            placement.NoRoom, self.builder.room, 9, 1)
        self.assertIn('the quota has room for 0', str(exc))

    def test_no_other_quota_is_changed(self):
        self.builder.room(1, 1, 'alpha')
        self.admin.quotas.update_quota_set.assert_not_called()


class FlavorTest(BuilderTestCase):

    def test_a_flavor_by_its_name_or_id(self):
        self.owner.flavors_client.list_flavors.return_value = {
            'flavors': [{'id': '7', 'name': 'small'}]}
        self.assertEqual(['', '7', '7'], [
            self.builder.flavor_id(wanted) for wanted in ('', 'small', '7')])
        exc = self.assertRaises(exceptions.InvalidConfiguration,
                                self.builder.flavor_id, 'large')
        self.assertIn("'large'; there are: small", str(exc))


class RunTest(BuilderTestCase):

    def test_an_inspection(self):
        self.remote.exec_command.return_value = (
            'boot_id=boot-1\nstarted_s=1\nended_s=2\n')
        self.assertEqual(
            'boot-1', self.builder.inspect(guest(), ['metadata']).boot_id)
        self.remote.exec_command.assert_called_once_with(
            inspection.command(inspection.PARTS[1:]))

    def test_the_key_of_the_guest_is_used(self):
        self.builder.run(guest(), 'true')
        self.test.get_remote_client.assert_called_once_with(
            '192.0.2.1', private_key='secret', server=guest().body)

    def test_one_login_for_all_commands_in_a_guest(self):
        self.builder.run(guest(), 'true')
        self.builder.run(guest(), 'false')
        self.test.get_remote_client.assert_called_once()

    def test_a_connection_that_breaks(self):
        for exc in (paramiko.SSHException('closed'), EOFError(),
                    ConnectionResetError('reset')):
            self.remote.exec_command.side_effect = exc
            self.assertIn('in server server-0: ', self.unreachable())

    def unreachable(self):
        """Return the text of the error, which must not have the password."""
        exc = self.assertRaises(
            builder.GuestUnreachable, self.builder.run, guest(), 'true')
        shown = ''.join(traceback.format_exception(exc))
        self.assertNotIn('Pass1', shown)
        return str(exc)

    def test_a_login_that_takes_too_long(self):
        for method in (self.test.get_remote_client, self.remote.exec_command):
            method.side_effect = exceptions.SSHTimeout(
                host='192.0.2.1', user='cirros', password='Pass1')
            self.assertIn('no SSH to server server-0 at 192.0.2.1',
                          self.unreachable())
            method.side_effect = None

    def test_a_command_that_fails(self):
        self.remote.exec_command.side_effect = (
            exceptions.SSHExecCommandFailed(
                command='true', exit_status=1, stderr='no space', stdout=''))
        said = self.unreachable()
        self.assertIn('in server server-0: ', said)
        self.assertIn('no space', said)

    def test_a_state_is_waited_for(self):
        self.shown(fakes.server(), fakes.server('PAUSED', 'pausing'),
                   fakes.server('PAUSED'))
        self.builder.wait_for(guest(), 'PAUSED')
        self.assertEqual(3, self.admin.servers.show_server.call_count)


class WorkloadTest(BuilderTestCase):

    def test_memory_is_written(self):
        self.remote.exec_command.side_effect = ['', '']
        self.builder.start(guest(), memory.MemoryWorkload(64))
        self.assertIn('lm-memory', self.remote.exec_command.call_args.args[0])
        self.assertEqual({'memory': ''}, self.builder.verify(guest()))

    def test_a_disk_has_to_give_back_what_was_written(self):
        self.remote.exec_command.return_value = 'abc\n'
        self.builder = self.make(disk_mib=8)
        self.builder.write_disks(guest())
        self.remote.exec_command.assert_called_once_with(disk.write(8))
        # Another guest has no workload, so it is not asked.
        self.assertEqual({'disk': ''}, self.builder.verify(guest()))
        self.assertEqual({}, self.builder.verify(guest('another')))
        self.assertEqual(2, self.remote.exec_command.call_count)
        self.remote.exec_command.return_value = 'abd\n'
        found = self.builder.verify(guest())
        self.assertEqual(['disk'], list(found))
        self.assertIn('abd instead of abc', found['disk'])

    def test_the_newest_of_a_name_counts(self):
        self.remote.exec_command.side_effect = ['abc', 'abd', 'abd']
        self.builder.start(guest(), disk.DiskWorkload(8))
        self.builder.start(guest(), disk.DiskWorkload(8))
        self.assertEqual({'disk': ''}, self.builder.verify(guest()))

    def test_no_disk_is_written_to(self):
        self.builder.write_disks(guest())
        self.assertEqual({}, self.builder.verify(guest()))
        self.test.get_remote_client.assert_not_called()

    def test_each_workload_has_its_own_problem(self):
        self.remote.exec_command.side_effect = ['abc', 'def', 'abd', 'def']
        self.builder.start(guest(), disk.DiskWorkload(8))
        self.builder.start(guest(), volume.VolumeWorkload('volume-1', 8))
        found = self.builder.verify(guest())
        self.assertEqual({'disk', 'volume'}, set(found))
        self.assertIn('abd instead of abc', found['disk'])
        self.assertEqual('', found['volume'])

    def test_a_volume_has_to_give_back_what_was_written(self):
        self.remote.exec_command.side_effect = ['abc', 'abc', 'abd']
        self.builder.start(guest(), volume.VolumeWorkload('volume-1', 8))
        self.assertEqual({'volume': ''}, self.builder.verify(guest()))
        found = self.builder.verify(guest())
        self.assertEqual(['volume'], list(found))
        self.assertIn('volume-1', found['volume'])
        self.assertEqual(
            [mock.call(volume.write('volume-1', 8)),
             mock.call(volume.read('volume-1', 8)),
             mock.call(volume.read('volume-1', 8))],
            self.remote.exec_command.call_args_list)


class ConsoleTest(BuilderTestCase):

    def consoles(self, *server_ids, **options):
        return list(self.make(**options).consoles(server_ids))

    def test_each_console_once(self):
        self.admin.servers.get_console_output.return_value = {
            'output': 'Kernel panic'}
        self.assertEqual(
            [b'Console of server server-0:', b'Kernel panic'],
            self.consoles('server-0', None, 'server-0'))
        self.admin.servers.get_console_output.assert_called_once_with(
            'server-0')

    def test_a_console_that_cannot_be_read_hides_nothing(self):
        self.admin.servers.get_console_output.side_effect = (
            exceptions.NotFound('gone'))
        self.assertIn(b'gone', self.consoles('server-0')[1])

    def test_a_cloud_without_consoles(self):
        self.assertEqual(
            [], self.consoles('server-0', console_output=False))
        self.admin.servers.get_console_output.assert_not_called()


class AdoptTest(BuilderTestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'key')
        self.path.write_text('# Written by\n-----BEGIN KEY-----\n')

    def canary(self, name, *addresses, status='ACTIVE'):
        return {**fakes.server(status, server_id=f'id-of-{name}', host='beta'),
                'name': name, 'addresses': {'net': [
                    {'version': version, 'addr': address,
                     'OS-EXT-IPS:type': kind}
                    for version, address, kind in addresses]}}

    def adopt(self, *bodies):
        self.admin.servers.list_servers.return_value = {
            'servers': list(bodies)}
        return self.builder.adopt(str(self.path))

    def test_canaries(self):
        first, second = self.adopt(
            self.canary('two', (6, '2001:db8::1', 'fixed'),
                        (4, '192.0.2.1', 'fixed')),
            self.canary('one', (4, '198.51.100.1', 'fixed'),
                        (4, '203.0.113.1', 'floating')))
        self.assertEqual(
            [('id-of-one', 'beta', '203.0.113.1',
              '-----BEGIN KEY-----\n'),
             ('id-of-two', 'beta', '192.0.2.1',
              '-----BEGIN KEY-----\n')],
            [(each.server_id, each.host, each.address, each.private_key)
             for each in (first, second)])
        self.admin.servers.list_servers.assert_called_once_with(
            detail=True, all_tenants=True, tags='live-migration-ha')
        # They outlive the test.
        self.assertEqual([], self.cleanups)

    def test_none(self):
        self.assertEqual([], self.adopt())

    def test_one_in_error(self):
        exc = self.assertRaises(
            exceptions.TempestException, self.adopt,
            self.canary('one', (4, '192.0.2.1', 'fixed'), status='ERROR'))
        self.assertIn('server one (id-of-one) is ERROR on host beta', str(exc))

    def test_a_key_that_cannot_be_read(self):
        self.path.unlink()
        exc = self.assertRaises(exceptions.InvalidConfiguration, self.adopt)
        for part in ('canary_key_file', str(self.path), 'No such file'):
            self.assertIn(part, str(exc))
