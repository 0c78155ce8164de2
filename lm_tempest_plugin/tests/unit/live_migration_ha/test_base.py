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

"""The Tempest tests' own code, without a cloud."""

import json
import types
from unittest import mock

import fixtures
from tempest.lib import exceptions as lib_exc
from tempest.scenario import manager
import testtools

from lm_tempest_plugin import config
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.live_migration_ha import base as tempest_base
from lm_tempest_plugin.tests.live_migration_ha import test_block_migration
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders

TEST = 'test_block_live_migration_round_trip'


class LiveMigrationHaTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        namespace = types.SimpleNamespace
        self.conf = namespace(
            config_file=[], config_dir=[],
            compute=namespace(
                min_compute_nodes=2, migration_source_host=None,
                migration_dest_host=None, target_hosts_to_avoid='-ironic',
                build_timeout=10, build_interval=0),
            compute_feature_enabled=namespace(
                live_migration=True, can_migrate_between_any_hosts=True,
                console_output=True,
                block_migration_for_live_migration=True),
            validation=namespace(
                run_validation=True, auth_method='keypair',
                ip_version_for_ssh=4),
            live_migration_ha=namespace(**{
                opt.dest: opt.default
                for opt in config.live_migration_ha_opts}))
        for module in (tempest_base, test_block_migration):
            self.useFixture(fixtures.MonkeyPatch(
                '%s.CONF' % module.__name__, self.conf))
        self.useFixture(fixtures.MockPatchObject(
            manager.ScenarioTest, 'skip_checks', autospec=True))
        self.useFixture(fixtures.MockPatchObject(
            manager.ScenarioTest, 'setup_clients', autospec=True))


class SkipTest(LiveMigrationHaTestCase):

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

    def test_the_class_measures_and_so_is_serial(self):
        self.assertTrue(self.test_class.is_serial_execution_requested())


class GuestTest(LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.test = test_block_migration.BlockMigrationTest(TEST)
        for name in ('os_primary', 'os_admin'):
            # Set on the class, as Tempest does.
            self.useFixture(fixtures.MonkeyPatch(
                '%s.LiveMigrationHaTest.%s' % (tempest_base.__name__, name),
                mock.Mock(servers_client=fakes.servers(fakes.server()))))
        self.test.setup_clients()
        self.test.admin_servers_client = fakes.servers(
            fakes.server('BUILD', 'spawning'), fakes.server())
        for name, value in (
                ('create_keypair', {'name': 'k', 'private_key': 'secret'}),
                ('create_empty_security_group', {'id': 'g', 'name': 'g'}),
                ('create_security_group_rule', {}),
                ('create_server', fakes.server('BUILD', 'scheduling')),
                ('get_server_ip', '192.0.2.1')):
            self.useFixture(fixtures.MockPatchObject(
                self.test, name, return_value=value))

    def test_a_guest_that_is_deleted_whatever_happens(self):
        guest = self.test.create_guest()
        self.assertEqual(
            (fakes.SERVER_ID, 'alpha', '192.0.2.1', 'secret'),
            (guest.server_id, guest.host, guest.address, guest.private_key))
        kwargs = self.test.create_server.call_args.kwargs
        self.assertIsNone(kwargs['wait_until'])
        self.assertNotIn('host', kwargs)
        client = self.test.admin_servers_client
        client.show_server.side_effect = lib_exc.NotFound()
        self.test.doCleanups()
        client.delete_server.assert_called_once_with(fakes.SERVER_ID)

    def test_a_guest_that_is_not_built_is_deleted_all_the_same(self):
        client = fakes.servers(fakes.server('ERROR', fault='No valid host'))
        self.test.admin_servers_client = client
        exc = self.assertRaises(
            lib_exc.TempestException, self.test.create_guest)
        self.assertIn('No valid host', str(exc))
        client.show_server.side_effect = lib_exc.NotFound()
        self.test.doCleanups()
        client.delete_server.assert_called_once_with(fakes.SERVER_ID)

    def test_only_an_administrator_may_name_the_host(self):
        self.conf.compute.migration_source_host = 'alpha'
        self.test.setup_clients()
        self.test.admin_servers_client = fakes.servers(fakes.server())
        self.test.create_guest()
        kwargs = self.test.create_server.call_args.kwargs
        self.assertEqual('alpha', kwargs['host'])
        self.assertIs(self.test.os_admin, kwargs['clients'])

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


class MigrateTest(LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.test = test_block_migration.BlockMigrationTest(TEST)
        self.guest = tempest_base.Guest(
            fakes.server(), 'alpha', '192.0.2.1', 'secret')
        self.watched = mock.create_autospec(watch.Watch, instance=True)
        self.watched.continuity.return_value = builders.continuity()
        self.remote = mock.Mock()
        self.remote.exec_command.return_value = 'boot-1\n'
        self.test.get_remote_client = mock.Mock(return_value=self.remote)
        self.conf.live_migration_ha.grace_time = 0

    def migrate(self, destination='beta'):
        servers = fakes.servers(
            fakes.server(), fakes.server(host=destination))
        servers.live_migrate_server.return_value.response = {
            'x-openstack-request-id': 'req-1'}
        servers.show_instance_action.return_value = {
            'instanceAction': {'events': []}}
        self.test.admin_servers_client = servers
        self.test.admin_migrations_client = fakes.migrations(
            [], [fakes.record('completed')])
        return self.test.migrate(
            self.guest, self.watched, 'boot-1', destination, True)

    def test_a_good_one(self):
        judged = self.migrate()
        self.assertEqual((), judged.violations)
        window = self.watched.continuity.call_args.args
        self.assertEqual(
            ('192.0.2.1', judged.attempt.request.requested_ns,
             judged.attempt.outcome.ended_ns), window)

    def test_the_deadline_goes_by_the_size(self):
        limits = self.test._limits(builders.request())
        self.assertEqual(300 + 2 * 60 + 20 * 30, limits.timeout_s)
        limits = self.test._limits(builders.request(block_migration=False))
        self.assertEqual(300 + 2 * 60, limits.timeout_s)

    def test_a_guest_that_answers_nothing_is_not_asked(self):
        self.watched.continuity.return_value = builders.continuity(
            outage=builders.outage(5.0, open=True))
        judged = self.migrate()
        self.assertIsNone(judged.attempt.boot_ids.after)
        self.assertIn('does not answer', judged.attempt.boot_ids.unread)
        self.remote.exec_command.assert_not_called()

    def test_ssh_that_fails_is_part_of_the_verdict(self):
        self.remote.exec_command.side_effect = lib_exc.SSHTimeout(
            host='192.0.2.1', user='root', password='')
        judged = self.migrate()
        self.assertEqual(1, len(judged.violations))
        self.assertIn('192.0.2.1', judged.violations[0])

    def report(self, **kwargs):
        self.test.report(verdict.judge(
            builders.attempt(**kwargs), verdict.Bounds(1.0, 3.0)))

    def test_a_good_report(self):
        self.report()
        details = self.test.getDetails()
        detail = json.loads(b''.join(
            details['live-migration-alpha-to-beta'].iter_bytes()))
        self.assertEqual(20.0, detail['duration_s'])

    def bad_report(self):
        exc = self.assertRaises(
            self.test.failureException, self.report,
            boot_ids=verdict.BootIds('a', 'b'))
        self.assertIn('rebooted', str(exc))
        details = self.test.getDetails()
        self.assertIn('live-migration-alpha-to-beta', details)
        return [text.as_text() for name, text in details.items()
                if name.startswith('console-of-')]

    def test_a_bad_report_fails_and_all_is_attached(self):
        client = mock.Mock()
        client.get_console_output.return_value = {'output': 'Kernel panic'}
        self.test.admin_servers_client = client
        self.assertEqual(['Kernel panic'], self.bad_report())

    def test_a_console_that_cannot_be_read_hides_nothing(self):
        client = mock.Mock()
        client.get_console_output.side_effect = lib_exc.NotFound('gone')
        self.test.admin_servers_client = client
        consoles = self.bad_report()
        self.assertEqual(1, len(consoles))
        self.assertIn('gone', consoles[0])

    def test_a_cloud_without_consoles(self):
        self.conf.compute_feature_enabled.console_output = False
        self.assertEqual([], self.bad_report())

    def test_the_other_host(self):
        self.test.admin_services_client = fakes.services(
            ('alpha', 'enabled', 'up'), ('beta', 'enabled', 'up'),
            ('gamma', 'enabled', 'up'))
        for wanted, expected in (
                (None, 'beta'), ('gamma', 'gamma'), ('alpha', 'beta')):
            self.conf.compute.migration_dest_host = wanted
            self.assertEqual(
                expected, self.test.choose_destination(self.guest))

    def test_a_watch_is_stopped_even_if_the_guest_never_answers(self):
        self.watched.await_answers.side_effect = (
            watch.errors.NotAnswering('silent'))
        self.useFixture(fixtures.MockPatchObject(
            watch, 'Watch', return_value=self.watched))
        self.assertRaises(watch.errors.NotAnswering, self.test.start_watch,
                          self.guest)
        self.test.doCleanups()
        self.watched.stop.assert_called_once_with()


class RoundTripTest(LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.test = test_block_migration.BlockMigrationTest(TEST)
        self.moves = []
        self.seen = mock.Mock(
            breaks=(), lost=0, repeated=0, corrupt=0,
            last_sent=99, last_echoed=99)
        guest = tempest_base.Guest(
            fakes.server(), 'alpha', '192.0.2.1', None)
        watched = mock.create_autospec(watch.Watch, instance=True)
        watched.finish.return_value = {'192.0.2.1': self.seen}
        self.test.create_guest = lambda: guest
        self.test.choose_destination = lambda guest: 'beta'
        self.test.start_watch = lambda guest: watched
        self.test.read_boot_id = lambda guest: 'boot-1'
        self.test.migrate = self.migrate
        self.test.report = lambda judged: None
        self.run_test = getattr(self.test, TEST)

    def migrate(self, guest, watched, boot_id, host, block_migration):
        self.moves.append((host, block_migration))

    def test_there_and_back(self):
        self.run_test()
        self.assertEqual([('beta', True), ('alpha', True)], self.moves)

    def test_what_was_sent_last_has_to_come_back(self):
        self.seen.last_echoed = 98
        exc = self.assertRaises(self.test.failureException, self.run_test)
        self.assertIn('has not come back', str(exc))

    def test_the_connection_has_to_live(self):
        self.seen.breaks = builders.broken('reset')
        exc = self.assertRaises(self.test.failureException, self.run_test)
        self.assertIn('unharmed', str(exc))
