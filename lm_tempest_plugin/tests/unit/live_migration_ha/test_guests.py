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

import fixtures
from tempest.lib import exceptions as lib_exc
import testtools

from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.live_migration_ha import guests
from lm_tempest_plugin.tests.live_migration_ha import test_block_migration
from lm_tempest_plugin.tests.live_migration_ha import test_drain
from lm_tempest_plugin.tests.live_migration_ha import test_intervention
from lm_tempest_plugin.tests.live_migration_ha import test_requests
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation
from lm_tempest_plugin.workloads import writer

SERVER_ID = builders.server().server_id


class SkipTest(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.test_class = test_block_migration.BlockMigrationTest

    def assert_skipped(self, *parts):
        exc = self.assertRaises(
            testtools.TestCase.skipException, self.test_class.skip_checks)
        for part in ('BlockMigrationTest', *parts):
            self.assertIn(part, str(exc))

    def test_two_hosts_and_all_is_enabled(self):
        self.test_class.skip_checks()

    def test_one_host(self):
        self.conf.compute.min_compute_nodes = 1
        self.assert_skipped('min_compute_nodes is 1')

    def test_no_live_migration(self):
        self.conf.compute_feature_enabled.live_migration = False
        self.assert_skipped('live_migration is False')

    def test_no_block_migration(self):
        features = self.conf.compute_feature_enabled
        features.block_migration_for_live_migration = False
        self.assert_skipped('block_migration_for_live_migration is False')

    def test_no_validation(self):
        self.conf.validation.run_validation = False
        self.assert_skipped('run_validation is False')

    def test_hosts_that_do_not_fit_together(self):
        features = self.conf.compute_feature_enabled
        features.can_migrate_between_any_hosts = False
        self.assert_skipped('can_migrate_between_any_hosts is False')
        self.conf.compute.migration_source_host = 'alpha'
        self.conf.compute.migration_dest_host = 'beta'
        self.test_class.skip_checks()

    def test_source_and_destination_are_the_same(self):
        self.conf.compute.migration_source_host = 'alpha'
        self.conf.compute.migration_dest_host = 'alpha'
        self.assertRaises(
            lib_exc.InvalidConfiguration, self.test_class.skip_checks)

    def test_a_bad_value_does_not_hide_behind_a_skip(self):
        self.conf.compute.min_compute_nodes = 1
        self.conf.live_migration_ha.max_outage = -1
        exc = self.assertRaises(
            lib_exc.InvalidConfiguration, self.test_class.skip_checks)
        self.assertIn('max_outage in group [live_migration_ha]', str(exc))

    def test_the_classes_measure_and_so_are_serial(self):
        for each in (
                self.test_class, test_drain.DrainTest,
                test_intervention.InterventionTest, test_requests.OldApiTest,
                test_requests.PausedTest, test_requests.ManagerTest):
            self.assertTrue(each.is_serial_execution_requested(), each)


class GuestTestCase(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        # What is set up is set on the class, as Tempest does.
        self.managers = {name: mock.Mock(name=name)
                         for name in ('os_primary', 'os_admin')}
        kind = type('BlockMigrationTest',
                    (test_block_migration.BlockMigrationTest,),
                    dict(self.managers))
        self.test = kind('test_block_live_migration_round_trip')
        self.admin = self.managers['os_admin'].servers_client
        self.shown(builders.server(status='BUILD', task_state='spawning'),
                   builders.server())
        self.test.setup_clients()
        self.built = 0
        self.test.create_server = mock.Mock(side_effect=self.build)
        self.managers['os_primary'].servers_client.show_server = (
            lambda server_id: {'server': {'id': server_id}})
        for name, value in (
                ('create_keypair', {'name': 'k', 'private_key': 'secret'}),
                ('create_empty_security_group', {'id': 'g', 'name': 'g'}),
                ('create_security_group_rule', {}),
                ('get_server_ip', '192.0.2.1')):
            self.useFixture(fixtures.MockPatchObject(
                self.test, name, return_value=value))

    def shown(self, *servers):
        """Let an administrator see these, one after the other."""
        bodies = [simulation.server_body(each) for each in servers]
        self.admin.show_server.side_effect = lambda server_id: {
            'server': bodies.pop(0) if len(bodies) > 1 else bodies[0]}

    def build(self, **kwargs):
        self.built += 1
        return {'id': 'server-%d' % self.built}

    def delete_all(self):
        """Run the cleanups; return what was deleted."""
        self.admin.show_server.side_effect = lib_exc.NotFound()
        self.test.doCleanups()
        return [call.args[0]
                for call in self.admin.delete_server.call_args_list]


class CreateTest(GuestTestCase):

    def test_a_guest_that_is_deleted_whatever_happens(self):
        guest = self.test.create_guest()
        self.assertEqual(
            ('server-1', 'alpha', '192.0.2.1', 'secret'),
            (guest.server_id, guest.host, guest.address, guest.private_key))
        kwargs = self.test.create_server.call_args.kwargs
        self.assertIsNone(kwargs['wait_until'])
        self.assertNotIn('host', kwargs)
        self.assertEqual(['server-1'], self.delete_all())

    def deleted_at_once(self, *arguments):
        """Return what is said if not all are built, and what is deleted."""
        self.admin.delete_server.side_effect = lambda server_id: setattr(
            self.admin.show_server, 'side_effect', lib_exc.NotFound())
        exc = self.assertRaises(
            lib_exc.TempestException, self.test.create_guests, *arguments)
        return str(exc), {call.args[0] for call in
                          self.admin.delete_server.call_args_list}

    def test_a_guest_that_is_not_built_is_deleted_at_once(self):
        self.shown(builders.server(status='ERROR', fault='No valid host'))
        said, deleted = self.deleted_at_once(1, '')
        self.assertIn('No valid host', said)
        self.assertEqual({'server-1'}, deleted)

    def test_several_are_built_side_by_side_on_a_host(self):
        found = self.test.create_guests(3, 'alpha')
        self.assertEqual(['server-1', 'server-2', 'server-3'],
                         [each.server_id for each in found])
        self.assertEqual({'alpha'}, {
            call.kwargs['host']
            for call in self.test.create_server.call_args_list})
        self.test.create_empty_security_group.assert_called_once()
        self.assertEqual(3, len(self.delete_all()))

    def test_if_one_is_not_built_all_are_deleted_at_once(self):
        self.shown(builders.server(), builders.server(status='ERROR'))
        _, deleted = self.deleted_at_once(3, 'alpha')
        self.assertEqual({'server-1', 'server-2', 'server-3'}, deleted)

    def test_if_one_is_refused_the_others_are_deleted_at_once(self):
        self.test.create_server.side_effect = [
            {'id': 'server-1'}, lib_exc.Forbidden('Quota exceeded')]
        said, deleted = self.deleted_at_once(2, 'alpha')
        self.assertIn('Quota exceeded', said)
        self.assertEqual({'server-1'}, deleted)

    def test_a_guest_that_is_gone_is_deleted(self):
        guest = self.test.create_guest()
        self.admin.delete_server.side_effect = lib_exc.NotFound()
        self.test.delete_guests(guest)

    def test_only_an_administrator_may_name_the_host(self):
        self.assertIs(self.managers['os_primary'], self.test.owner)
        self.conf.compute.migration_source_host = 'alpha'
        self.test.setup_clients()
        self.test.create_guest()
        kwargs = self.test.create_server.call_args.kwargs
        self.assertEqual('alpha', kwargs['host'])
        self.assertIs(self.managers['os_admin'], kwargs['clients'])

    def test_the_administrator_owns_what_a_test_places(self):
        type(self.test).placed = True
        self.test.setup_clients()
        self.assertIs(self.managers['os_admin'], self.test.owner)

    def test_a_password_in_place_of_a_key(self):
        self.conf.validation.auth_method = 'configured'
        self.assertIsNone(self.test.create_guest().private_key)
        self.assertNotIn(
            'keypair', self.test.create_server.call_args.kwargs)

    def rules(self):
        return [(call.kwargs['ethertype'], call.kwargs['protocol'],
                 call.kwargs.get('port_range_min')) for call in
                self.test.create_security_group_rule.call_args_list]

    def test_the_security_group_lets_the_probes_in(self):
        self.test.create_guest()
        self.assertEqual(
            {('IPv4', 'icmp', None), ('IPv4', 'tcp', 7), ('IPv4', 'tcp', 22)},
            set(self.rules()))

    def test_the_security_group_for_ipv6(self):
        self.conf.validation.ip_version_for_ssh = 6
        self.conf.live_migration_ha.tcp_echo_port = 22
        self.test.create_guest()
        self.assertEqual(
            [('IPv6', 'ipv6-icmp', None), ('IPv6', 'tcp', 22)], self.rules())


class LookIntoTest(GuestTestCase):

    def test_a_watch_is_stopped_even_if_the_guest_never_answers(self):
        watched = mock.create_autospec(watch.Watch, instance=True)
        watched.await_answers.side_effect = (
            watch.errors.NotAnswering('silent'))
        self.useFixture(fixtures.MockPatchObject(
            watch, 'Watch', return_value=watched))
        self.assertRaises(watch.errors.NotAnswering, self.test.start_watch,
                          fakes.guest())
        # At once: what comes next in the test is not to be disturbed.
        watched.stop.assert_called_once_with()
        self.test.doCleanups()

    def test_all_are_watched_together(self):
        with mock.patch.object(watch, 'Watch', autospec=True) as made:
            self.test.start_watch(
                fakes.guest(), fakes.guest(address='192.0.2.2'))
        self.assertEqual(['192.0.2.1', '192.0.2.2'], made.call_args.args[0])
        made.return_value.start.assert_called_once_with()

    def test_boot_ids(self):
        remote = mock.Mock()
        remote.exec_command.side_effect = ['boot-1\n', 'boot-2\n']
        self.test.get_remote_client = mock.Mock(return_value=remote)
        self.assertEqual(
            {'server-0': 'boot-1', 'server-1': 'boot-2'},
            self.test.read_boot_ids(fakes.guest(), fakes.guest('server-1')))
        remote.exec_command.assert_called_with(guests.BOOT_ID)

    def test_memory_is_written(self):
        self.test.get_remote_client = mock.Mock()
        self.test.keep_writing(fakes.guest(), 64)
        remote = self.test.get_remote_client.return_value
        remote.exec_command.assert_called_once_with(writer.command(64))

    def test_what_a_disk_has_to_give_back(self):
        self.test.get_remote_client = mock.Mock()
        remote = self.test.get_remote_client.return_value
        remote.exec_command.return_value = 'abc\n'
        guest = fakes.guest()
        sums = self.test.write_disks(guest)
        self.assertEqual({guest.server_id: 'abc'}, sums)
        self.test.assert_disks(sums, guest, fakes.guest('another'))
        remote.exec_command.return_value = 'abd\n'
        exc = self.assertRaises(self.test.failureException,
                                self.test.assert_disks, sums, guest)
        self.assertIn(guest.server_id, str(exc))

    def test_no_disk_is_written_to(self):
        self.conf.live_migration_ha.disk_mib = 0
        self.test.get_remote_client = mock.Mock()
        self.assertEqual({}, self.test.write_disks(fakes.guest()))
        self.test.assert_disks({}, fakes.guest())
        self.test.get_remote_client.assert_not_called()

    def test_a_flavor_by_its_name_or_id(self):
        self.test.owner.flavors_client.list_flavors.return_value = {
            'flavors': [{'id': '7', 'name': 'small'}]}
        self.assertEqual(['', '7', '7'], [
            self.test.flavor_id(wanted) for wanted in ('', 'small', '7')])
        exc = self.assertRaises(lib_exc.InvalidConfiguration,
                                self.test.flavor_id, 'large')
        self.assertIn("'large'; there are: small", str(exc))

    def test_a_state_is_waited_for(self):
        self.shown(builders.server(), builders.server(
            status='PAUSED', task_state='pausing'),
            builders.server(status='PAUSED'))
        self.test.wait_for(fakes.guest(), 'PAUSED')
        self.assertEqual(3, self.admin.show_server.call_count)

    def console(self):
        self.test.attach_console(SERVER_ID)
        return [text.as_text() for name, text in
                self.test.getDetails().items()
                if name == 'console-of-%s' % SERVER_ID]

    def test_the_console(self):
        self.admin.get_console_output.return_value = {
            'output': 'Kernel panic'}
        self.assertEqual(['Kernel panic'], self.console())

    def test_a_console_that_cannot_be_read_hides_nothing(self):
        self.admin.get_console_output.side_effect = lib_exc.NotFound('gone')
        consoles = self.console()
        self.assertEqual(1, len(consoles))
        self.assertIn('gone', consoles[0])

    def test_a_cloud_without_consoles(self):
        self.conf.compute_feature_enabled.console_output = False
        self.assertEqual([], self.console())
