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

"""The base class of the Tempest tests, and skips and docstrings of all."""

import dataclasses
import io
import itertools
import json
import os
import signal
from unittest import mock

import fixtures
import subunit
from tempest.lib import exceptions as lib_exc
from tempest.scenario import manager
import testtools

from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.migration import plan as plans
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.live_migration_ha import base as tempest_base
from lm_tempest_plugin.tests.live_migration_ha import test_block_migration
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes as api_fakes
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation
from lm_tempest_plugin import utils

Kind = verdict.Kind


def example(body):
    """Return a Tempest test class whose only test calls a function."""

    # Inside a function, so that no test runner discovers it.
    class Example(tempest_base.LiveMigrationHaTest):

        def test(self):
            body(self)

    return Example


class DefinitionsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.classes = [
            kind for module in fakes.TESTS for kind in vars(module).values()
            if isinstance(kind, type) and
            issubclass(kind, tempest_base.LiveMigrationHaTest)]
        self.tests = [
            getattr(kind, name) for kind in self.classes
            for name in vars(kind) if name.startswith('test_')]

    def test_all_are_found(self):
        # An empty list would pass all checks of its members.
        self.assertGreaterEqual(len(self.tests), 13)

    def test_other_tests_would_disturb_the_measurement(self):
        for kind in self.classes:
            self.assertTrue(kind.is_serial_execution_requested(), kind)

    def test_each_docstring_lists_the_assertions(self):
        for test in self.tests:
            self.assertIn('Asserted', test.__doc__, test)

    def test_each_has_an_id_of_its_own_and_is_slow(self):
        ids = []
        for test in self.tests:
            attributes = getattr(test, '__testtools_attrs')
            self.assertLessEqual({'slow', 'multinode'}, attributes)
            ids += [each for each in attributes if each.startswith('id-')]
        self.assertEqual(len(self.tests), len(set(ids)))

    def test_time_for_two_migrations(self):
        self.assertEqual(
            2, tempest_base.LiveMigrationHaTest.TIMEOUT_SCALING_FACTOR)


class SkipTest(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.kind = test_block_migration.BlockMigrationTest

    def assert_skipped(self, *parts):
        exc = self.assertRaises(
            testtools.TestCase.skipException, self.kind.skip_checks)
        for part in ('BlockMigrationTest', *parts):
            self.assertIn(part, str(exc))

    def test_two_hosts_and_everything_is_enabled(self):
        self.kind.skip_checks()

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
        self.kind.skip_checks()

    def test_source_and_destination_are_the_same(self):
        self.conf.compute.migration_source_host = 'alpha'
        self.conf.compute.migration_dest_host = 'alpha'
        self.assertRaises(
            lib_exc.InvalidConfiguration, self.kind.skip_checks)

    def test_a_skip_does_not_hide_a_bad_value(self):
        self.conf.compute.min_compute_nodes = 1
        self.conf.live_migration_ha.max_outage = -1
        exc = self.assertRaises(
            lib_exc.InvalidConfiguration, self.kind.skip_checks)
        self.assertIn('max_outage in group [live_migration_ha]', str(exc))

    def test_a_check_that_does_not_exist_cannot_be_left_out(self):
        options = self.conf.live_migration_ha
        options.leave_out_checks = ['meta-data', 'disk', 'outage']
        exc = self.assertRaises(
            lib_exc.InvalidConfiguration, self.kind.skip_checks)
        self.assertIn('names no check: meta-data; there are: ', str(exc))
        self.assertIn('outage', str(exc))

    def test_a_skip_of_tempest_does_not_hide_a_bad_value_either(self):
        manager.ScenarioTest.skip_checks.side_effect = (
            testtools.TestCase.skipException('no network'))
        self.assertRaises(
            testtools.TestCase.skipException, self.kind.skip_checks)
        self.conf.live_migration_ha.max_outage = -1
        self.assertRaises(
            lib_exc.InvalidConfiguration, self.kind.skip_checks)


class ClassTest(fakes.LiveMigrationHaTestCase):
    """Class methods that Tempest calls before the first test."""

    def setUp(self):
        super().setUp()
        self.primary, self.admin = mock.Mock(), mock.Mock()
        # Tempest sets attributes of the class.
        self.kind = type('Example', (tempest_base.LiveMigrationHaTest,), {
            'os_primary': self.primary, 'os_admin': self.admin,
            'addClassResourceCleanup': mock.Mock()})

    def offers(self, newest):
        self.kind.clients = simulation.clients(
            services=api_fakes.services(('alpha', 'enabled', 'up'),
                                        ('beta', 'enabled', 'up')),
            versions=api_fakes.versions(('v2.1', '2.1', newest)),
            hypervisors=mock.Mock(list_hypervisors=lambda detail: {
                'hypervisors': [{
                    'service': {'host': 'alpha'}, 'hypervisor_type': 'QEMU',
                    'hypervisor_version': 10000002}]}))
        return self.kind

    def test_a_project_owns_the_guests(self):
        self.kind.setup_clients()
        self.assertIs(self.primary, self.kind.owner)
        self.assertIs(self.admin.servers_client, self.kind.clients.servers)
        # Tempest looks up addresses with these two.
        self.assertIs(self.primary.servers_client, self.kind.servers_client)
        self.assertIs(self.primary.floating_ips_client,
                      self.kind.floating_ips_client)

    def test_only_an_administrator_may_choose_a_host(self):
        self.conf.compute.migration_source_host = 'alpha'
        self.kind.setup_clients()
        self.assertIs(self.admin, self.kind.owner)

    def test_the_administrator_owns_guests_that_a_test_places(self):
        self.kind.placed = True
        self.kind.setup_clients()
        self.assertIs(self.admin, self.kind.owner)

    def test_the_account_owns_stacks(self):
        # Heat lists no stacks of Tempest's projects.
        self.conf.live_migration_ha.deploy_by = 'heat'
        account = self.useFixture(fixtures.MockPatchObject(
            tempest_base.credentials_factory,
            'get_configured_admin_credentials')).mock
        manager = self.useFixture(fixtures.MockPatchObject(
            tempest_base.clients, 'Manager')).mock
        self.kind.setup_clients()
        self.assertIs(manager.return_value, self.kind.owner)
        manager.assert_called_once_with(account.return_value)
        self.conf.auth.use_dynamic_credentials = False
        self.kind.setup_clients()
        self.assertIs(self.admin, self.kind.owner)

    def test_the_microversion_is_the_newest_that_both_know(self):
        for newest, expected in (('2.100', '2.84'), ('2.30', '2.30')):
            kind = self.offers(newest)
            kind.resource_setup()
            self.assertEqual(expected, kind.microversion)

    def test_a_configured_microversion(self):
        self.conf.live_migration_ha.request_microversion = '2.34'
        kind = self.offers('2.100')
        kind.resource_setup()
        self.assertEqual('2.34', kind.microversion)

    def test_a_microversion_that_the_cloud_does_not_offer(self):
        self.conf.live_migration_ha.request_microversion = '2.99'
        self.assertRaises(lib_exc.InvalidConfiguration,
                          self.offers('2.90').resource_setup)

    def test_a_source_that_does_not_exist(self):
        self.conf.compute.migration_source_host = 'gamma'
        kind = self.offers('2.90')
        exc = self.assertRaises(preflight.CannotMigrate, kind.resource_setup)
        self.assertIn('host gamma', str(exc))

    def test_declared_settings(self):
        options = self.conf.live_migration_ha
        options.storage, options.tunnelled = 'shared', False
        options.max_concurrent_live_migrations = 3
        kind = self.offers('2.90')
        kind.resource_setup()
        self.assertEqual(schema.Settings(storage='shared', values={
            'max_concurrent_live_migrations': 3, 'tunnelled': False}),
            kind.settings)

    def test_nothing_is_declared(self):
        kind = self.offers('2.90')
        kind.resource_setup()
        self.assertEqual(schema.Settings(), kind.settings)

    def test_without_access_to_hosts(self):
        kind = self.offers('2.90')
        kind.resource_setup()
        self.assertIsNone(kind.hosts)

    def with_access(self):
        self.conf.live_migration_ha_hosts.ssh_user = 'nova'
        return self.useFixture(fixtures.MockPatchObject(
            access, 'HostAccess')).mock

    def test_access_to_hosts(self):
        made = self.with_access()
        kind = self.offers('2.90')
        kind.resource_setup()
        made.assert_called_once_with(
            self.conf.live_migration_ha_hosts, kind.clients.services,
            ['alpha', 'beta'])
        made.return_value.check.assert_called_once_with()
        kind.addClassResourceCleanup.assert_called_once_with(
            made.return_value.close)

    def test_a_host_that_cannot_be_reached(self):
        made = self.with_access()
        made.return_value.check.side_effect = remote.HostError('no')
        kind = self.offers('2.90')
        self.assertRaises(remote.HostError, kind.resource_setup)
        # Other connections may be open.
        kind.addClassResourceCleanup.assert_called_once_with(
            made.return_value.close)

    def test_all_classes_of_a_process_share_a_results_file(self):
        self.patch(tempest_base.LiveMigrationHaTest, 'results', None)
        self.conf.live_migration_ha.results_directory = (
            self.useFixture(fixtures.TempDir()).path)
        kind = self.offers('2.90')
        kind.resource_setup()
        first = tempest_base.LiveMigrationHaTest.results
        kind.resource_setup()
        self.assertIs(first, kind.results)
        # A run without a live migration leaves no file.
        directory = self.conf.live_migration_ha.results_directory
        self.assertEqual([], os.listdir(directory))
        first.test_failed('a.test', AssertionError('bad'))
        found = store.read([os.path.join(directory, name)
                            for name in os.listdir(directory)])
        run, = found.runs
        self.assertEqual(('RegionOne', '2.90', 'alpha'), (
            run.region, run.compute_api, run.hosts[0].host))


class OptionsTest(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.test = self.new(test_block_migration.BlockMigrationTest,
                             'test_block_live_migration_round_trip')

    def test_auto(self):
        self.assertEqual(request.RequestOptions('auto', '2.84'),
                         self.test.request_options())

    def test_auto_before_there_was_auto(self):
        features = self.conf.compute_feature_enabled
        for value in (True, False):
            features.block_migration_for_live_migration = value
            self.assertEqual(
                request.RequestOptions(value, '2.24'),
                self.test.request_options(microversion='2.24'))
        self.assertIs(True, self.test.request_options(
            block_migration=True, microversion='2.24').block_migration)

    def hosts(self, *names):
        self.clients.services.list_services.return_value = {'services': [
            {'host': host, 'status': 'enabled', 'state': 'up'}
            for host in names]}

    def test_the_destination(self):
        self.hosts('alpha', 'beta', 'gamma', 'a-ironic')
        for wanted, expected in (
                (None, 'beta'), ('gamma', 'gamma'), ('alpha', 'beta')):
            self.conf.compute.migration_dest_host = wanted
            self.assertEqual(
                expected, self.test.choose_destination('alpha'))

    def test_both_hosts(self):
        self.hosts('alpha', 'beta', 'gamma')
        for source, destination, expected in (
                (None, None, ('alpha', 'beta')),
                ('beta', None, ('beta', 'alpha')),
                (None, 'alpha', ('beta', 'alpha')),
                ('gamma', 'beta', ('gamma', 'beta'))):
            self.conf.compute.migration_source_host = source
            self.conf.compute.migration_dest_host = destination
            self.assertEqual(expected, self.test.choose_hosts())

    def test_the_builder_builds_for_the_owner(self):
        """As the owner, and an administrator looks after the servers."""
        self.run_test(self.test)
        self.made.assert_called_once_with(
            self.test, self.owner, self.clients,
            builder.GuestOptions.of(self.conf))

    def test_stacks(self):
        options = self.conf.live_migration_ha
        options.deploy_by, options.heat_template = 'heat', 'mine.yaml'
        made = self.useFixture(fixtures.MockPatchObject(
            tempest_base.stack_builder, 'StackBuilder',
            return_value=self.builder)).mock
        client = self.useFixture(fixtures.MockPatchObject(
            tempest_base.stacks, 'StacksClient')).mock
        account = mock.Mock()
        self.test.account_manager = lambda: account
        self.conf.compute.endpoint_type = 'internal'
        self.run_test(self.test)
        self.made.assert_not_called()
        (test, owner, clients, _, given, stack), _ = made.call_args
        self.assertEqual((self.test, account, self.clients,
                          client.return_value),
                         (test, owner, clients, given))
        self.assertEqual('mine.yaml', stack.template)
        self.assertEqual((account.auth_provider, 'RegionOne'),
                         client.call_args[0])
        self.assertEqual('internal', client.call_args[1]['endpoint_type'])
        client.return_value.check_offered.assert_called_once_with()

    def test_guests_are_built_on_the_configured_host(self):
        for host, expected in ((None, ''), ('alpha', 'alpha')):
            self.conf.compute.migration_source_host = host
            self.test.builder = self.builder
            self.test.build(2, image_id='')
            self.builder.build.assert_called_with(
                2, host=expected, image_id='')


class MigrateTest(fakes.TempestTestCase):
    """migrate() with an engine that is a fake."""

    def run_one(self, number=1, then=None, **kwargs):
        """Return a test that migrates guests once."""
        def body(test):
            with test.observe(*test.build(number)) as fleet:
                self.fleet = fleet
                test.migrate(fleet, 'beta', **kwargs)

        return self.new(example(body), 'test')

    def test_the_plan_has_everything_that_is_configured(self):
        options = self.conf.live_migration_ha
        test = self.run_one(2)
        self.passes(test)
        plan, = self.plans
        self.assertEqual(plans.MigrationPlan(
            servers=tuple(plans.PlannedServer(
                f'server-{each}', f'192.0.2.{each}', builders.INSPECTION)
                for each in range(2)),
            destination='beta', timeouts=plans.Timeouts.of(options),
            bounds=plans.Bounds(options.max_outage, options.max_stall),
            options=request.RequestOptions('auto', '2.84'),
            avoid='-ironic', test=test.id(), leave_out=dict.fromkeys(
                ('neighbour', 'outbound'), 'option leave_out_checks')), plan)
        self.assertEqual({
            'store': test.results, 'probes': self.probes, 'hosts': None,
            'guests': self.fleet, 'requester': None, 'on_poll': None,
            'aborted': (), 'metrics': None, 'forced': {}}, self.calls[0])

    def test_fields_of_the_plan_that_differ(self):
        fields = {
            'bounds': plans.Bounds(9, 19), 'strategy': plans.window(2),
            'expected': (Kind.FAILED,), 'measured': False, 'round_trip': 3}
        self.passes(self.run_one(2, **fields))
        self.assertEqual(fields, {
            name: getattr(self.plans[0], name) for name in fields})

    def test_who_acts_on_it_is_passed_on(self):
        given = {'requester': mock.Mock(), 'on_poll': mock.Mock(),
                 'aborted': ['server-0'], 'forced': {'server-0': 7}}
        self.passes(self.run_one(**given))
        self.assertEqual(given, {
            name: self.calls[0][name] for name in given})

    def test_volumes(self):
        def body(test):
            one, other = test.build(2)
            with test.observe(one, dataclasses.replace(
                    other, volumes=('v',))) as fleet:
                test.migrate(fleet, 'beta')

        self.passes(self.new(example(body), 'test'))
        self.assertEqual([(), ('v',)], [
            each.volumes for each in self.plans[0].servers])

    def test_a_guest_that_cannot_answer(self):
        self.passes(self.run_one(probed=False))
        self.assertEqual((plans.PlannedServer('server-0'),),
                         self.plans[0].servers)

    def test_settings_and_hosts(self):
        test = self.run_one()
        test.settings = schema.Settings(storage='shared')
        test.hosts = mock.Mock()
        self.passes(test)
        self.assertEqual((test.settings, test.hosts), (
            self.plans[0].settings, self.calls[0]['hosts']))

    def test_it_fails_by_itself(self):
        for check, server_id in (
                ('verdict', 'server-0'), ('outage', 'server-0'),
                ('stall', 'server-0'), ('tcp-stream', 'server-0'),
                ('allocations', 'server-0'), ('port-bindings', 'server-0'),
                ('disk', 'server-0'), ('boot-id', 'server-0'),
                ('transport', None), ('concurrency', None),
                ('storage', None), ('host-access', None),
                ('left-migrating', 'of-somebody-else')):
            self.problems = [
                fakes.problem(check, 'what it says', server_id)]
            self.fails(self.run_one(), f'{check}: what it says')
            self.assertEqual(1, len(self.plans))
            self.plans.clear()

    def test_the_test_ends_there(self):
        self.problems = [fakes.problem()]
        reached = []

        def body(test):
            with test.observe(*test.build()) as fleet:
                test.migrate(fleet, 'beta')
                reached.append('the next line')

        self.fails(self.new(example(body), 'test'))
        self.assertEqual([], reached)

    def test_lines_are_attached(self):
        for problems in ([], [fakes.problem()]):
            self.problems = problems
            _, details = self.run_test(self.run_one())
            found = details['results']
            self.assertEqual(['{"a": 1}', '{"b": 2}'],
                             fakes.text(found).splitlines()[:2])
            self.assertEqual('application/x-ndjson; charset="utf8"',
                             str(found.content_type))

    def test_no_console_of_a_good_one(self):
        self.passes(self.run_one())
        self.builder.consoles.assert_not_called()

    def test_the_console_of_each_server_with_a_problem(self):
        self.problems = [
            fakes.problem('outage', server_id='server-1'),
            fakes.problem('stall', server_id='server-1'),
            fakes.problem('transport', server_id=None)]
        _, details = self.run_test(self.run_one(2))
        consoles = details['consoles']
        self.assertEqual(['Console of server-1'],
                         fakes.text(consoles).splitlines())
        # Terminals print attachments of type text.
        self.assertEqual('application', consoles.content_type.type)

    def test_no_console_of_another_project(self):
        self.problems = [fakes.problem('left-migrating', server_id='foreign')]
        _, details = self.run_test(self.run_one())
        self.assertNotIn('foreign', fakes.text(details['consoles']))

    def test_the_console_is_read_while_the_server_exists(self):
        self.problems = [fakes.problem()]

        def body(test):
            with test.observe(*test.build(), delete=True) as fleet:
                test.migrate(fleet, 'beta')

        self.fails(self.new(example(body), 'test'))
        names = [name for name, *_ in self.builder.mock_calls]
        self.assertLess(names.index('consoles'), names.index('delete'))


class ObserveTest(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.inside = lambda: None

    def new_test(self, number=1, **kwargs):
        def body(test):
            with test.observe(*test.build(number), **kwargs):
                self.inside()

        return self.new(example(body), 'test')

    def assert_stopped(self):
        self.probes.stop.assert_called_once_with()

    def test_no_harm(self):
        self.passes(self.new_test(2))
        self.probes.start.assert_called_once_with()
        self.assert_stopped()

    def test_it_fails_by_itself(self):
        self.streams['192.0.2.1'] = fakes.stream(last_echoed=98)
        self.fails(
            self.new_test(2), 'server server-1: tcp-stream: message 99, the '
            'last one sent, did not come back')
        self.assert_stopped()

    def test_many_problems_fit_on_a_terminal(self):
        self.builder.verify.return_value = {'disk': 'sum a, ' * 99}
        lines = self.terminal(self.new_test(40))
        self.assertLessEqual(len(lines), 40)
        self.assertIn('more lines: see the log', '\n'.join(lines))

    def test_a_connection_that_broke_between_two_migrations(self):
        self.streams['192.0.2.0'] = fakes.stream(breaks=('reset',))
        self.fails(self.new_test(), 'the TCP connection broke 1 times')

    def test_a_disk_that_is_damaged(self):
        self.builder.verify.return_value = {'disk': 'sum a, sum b before'}
        self.fails(self.new_test(), 'disk: sum a, sum b before')

    def test_a_guest_that_has_booted_again(self):
        self.reboot()
        self.fails(self.new_test(), 'boot id boot-2, before boot-1')

    def test_nothing_is_checked_after_an_error(self):
        self.inside = mock.Mock(side_effect=AssertionError('the cause'))
        self.streams['192.0.2.0'] = fakes.stream(lost=1)
        text = self.fails(self.new_test(), 'the cause')
        self.assertNotIn('tcp-stream', text)
        self.probes.finish.assert_not_called()
        self.assert_stopped()

    def test_a_guest_that_never_answers(self):
        self.probes.await_answers.side_effect = errors.NotAnswering('silent')
        outcome, details = self.run_test(self.new_test())
        self.assertEqual('addError', outcome)
        self.assertIn('silent', fakes.describe(details))
        self.assertIn('consoles', details)
        self.assert_stopped()

    def test_guests_are_left_to_the_cleanups(self):
        self.passes(self.new_test())
        self.builder.delete.assert_not_called()

    def test_guests_are_deleted_come_what_may(self):
        self.passes(self.new_test(2, delete=True))
        self.assert_deleted_as_built()

    def test_guests_are_deleted_after_a_failure(self):
        self.inside = mock.Mock(side_effect=AssertionError('the cause'))
        self.fails(self.new_test(delete=True), 'the cause')
        self.assert_deleted_as_built()

    def test_guests_that_never_answer_are_deleted(self):
        self.probes.await_answers.side_effect = errors.NotAnswering('silent')
        self.run_test(self.new_test(delete=True))
        self.assert_deleted_as_built()

    def test_guests_are_deleted_though_their_probes_died(self):
        self.probes.stop.side_effect = errors.ProbeError('died')
        outcome, _ = self.run_test(self.new_test(delete=True))
        self.assertEqual('addError', outcome)
        self.assert_deleted_as_built()


class FailureTest(fakes.TempestTestCase):
    """The line of a test that fails, and its attachments."""

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.patch(
            tempest_base.LiveMigrationHaTest, 'results',
            results_file.ResultsFile(
                self.directory, 'unit', fakes.builders.run))

    def raising(self, exc):
        return self.new(example(mock.Mock(side_effect=exc)), 'test')

    def stored(self, exc):
        """Return the reason that is stored when a test raises an error."""
        test = self.raising(exc)
        _, details = self.run_test(test)
        found = details['results']
        self.assertEqual('application/x-ndjson; charset="utf8"',
                         str(found.content_type))
        line = json.loads(fakes.text(found))
        results = store.read([os.path.join(self.directory, name)
                              for name in os.listdir(self.directory)])
        failure = results.failures[-1]
        self.assertEqual((test.id(), line['reason']),
                         (failure.test, failure.reason))
        return failure.reason

    def test_a_failed_assertion(self):
        self.assertEqual('a disk', self.stored(AssertionError('a disk')))

    def test_an_error_of_ours(self):
        self.assertEqual('no', self.stored(remote.HostError('no')))

    def test_text_of_others_is_not_stored(self):
        reason = self.stored(lib_exc.SSHTimeout(
            host='192.0.2.1', user='root', password='secret'))
        self.assertEqual('SSHTimeout', reason)

    def test_a_long_text_is_cut(self):
        self.assertLess(len(self.stored(AssertionError('ab ' * 999))), 600)

    def test_before_setup_has_ended(self):
        self.made.side_effect = remote.HostError('no')
        self.assertEqual('no', self.stored(None))

    def test_a_skip_is_no_failure(self):
        test = self.raising(testtools.TestCase.skipException('not here'))
        self.skips(test, 'not here')
        self.assertNotIn('results', test.getDetails())
        self.assertEqual([], os.listdir(self.directory))

    def test_a_line_that_cannot_be_stored(self):
        test = self.raising(AssertionError('a disk'))
        self.useFixture(fixtures.MockPatchObject(
            test.results, 'test_failed', side_effect=OSError('full')))
        self.fails(test, 'a disk')
        self.assertNotIn('results', test.getDetails())

    def test_the_log_is_kept_off_the_terminal(self):
        for exc in (None, AssertionError('a disk')):
            test = self.raising(exc)
            self.run_test(test)
            log = test.getDetails()["pythonlogging:''"]
            self.assertEqual('application/x-log; charset="utf8"',
                             str(log.content_type))

    def test_all_that_is_attached_survives_a_subunit_stream(self):
        """Only the traceback is text, which a terminal prints."""
        long = 'x' * (5 * 1024 * 1024)

        def body(test):
            tempest_base.LOG.warning(long)
            raise AssertionError('a disk')

        stream = io.BytesIO()
        result = testtools.ExtendedToStreamDecorator(
            subunit.StreamResultToBytes(stream))
        result.startTestRun()
        self.new(example(body), 'test').run(result)
        result.stopTestRun()
        stream.seek(0)
        found = []
        into = testtools.StreamToDict(found.append)
        into.startTestRun()
        subunit.ByteStreamToStreamResult(stream).run(into)
        into.stopTestRun()
        test, = found
        self.assertEqual('fail', test['status'])
        self.assertEqual(
            ['traceback'], [name for name, each in test['details'].items()
                            if each.content_type.type == 'text'])
        self.assertIn(
            long, fakes.text(test['details']["pythonlogging:''"]))


class SignalsTest(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.patch(tempest_base, 'SIGNALS',
                   utils.SignalHandler(tempest_base.TestInterrupted))
        self.seen = []

    def interrupted(self, *numbers, in_cleanup=()):
        """Run a test that gets signals; return outcome and traceback."""
        def clean_up(name):
            for number in in_cleanup:
                os.kill(os.getpid(), number)
            self.seen.append(name)

        def body(test):
            self.seen.append('the test')
            test.addCleanup(clean_up, 'first made')
            test.addCleanup(clean_up, 'last made')
            for number in numbers:
                os.kill(os.getpid(), number)
            self.seen.append('at the end')

        before = list(map(signal.getsignal, utils.SIGNALS))
        test = self.new(example(body), 'test')
        outcome, details = self.run_test(test)
        self.assertEqual(before, list(map(signal.getsignal, utils.SIGNALS)))
        self.details = details
        return outcome, fakes.describe(details)

    def test_no_signal(self):
        outcome, _ = self.interrupted()
        self.assertEqual('addSuccess', outcome)
        self.assertEqual(
            ['the test', 'at the end', 'last made', 'first made'], self.seen)

    def test_the_first_ends_the_test_and_its_cleanups_run(self):
        outcome, text = self.interrupted(
            signal.SIGTERM, in_cleanup=[signal.SIGINT, signal.SIGHUP])
        self.assertEqual('addError', outcome)
        self.assertEqual(1, text.count('TestInterrupted: told to end'))
        self.assertIn('told to end by SIGTERM', text)
        self.assertEqual(['the test', 'last made', 'first made'], self.seen)
        self.assertEqual('told to end by SIGTERM', json.loads(
            fakes.text(self.details['results']))['reason'])

    def test_all_later_tests_fail_at_once(self):
        self.interrupted(signal.SIGINT)
        self.seen.clear()
        outcome, text = self.interrupted()
        self.assertEqual('addError', outcome)
        self.assertIn('told to end by SIGINT', text)
        self.assertEqual([], self.seen)

    def test_it_is_no_verdict_on_the_cloud(self):
        self.assertFalse(issubclass(
            tempest_base.TestInterrupted, AssertionError))

    def test_it_is_no_keyboard_interrupt(self):
        # With that, testtools runs no cleanups, and stops.
        self.assertTrue(issubclass(tempest_base.TestInterrupted, Exception))

    def test_probes_are_stopped(self):
        def body(test):
            with test.observe(*test.build()):
                os.kill(os.getpid(), signal.SIGINT)

        self.run_test(self.new(example(body), 'test'))
        self.probes.stop.assert_called_once_with()


class SimulatedCloudTest(fakes.TempestTestCase):
    """migrate() with the engine, in a cloud that moves servers."""

    def setUp(self):
        super().setUp()
        self.engine.side_effect = self.migrate
        self.cloud = simulation.Cloud(2, limit=2)
        self.clients = self.cloud.clients
        simulation.use_clock(self, self.cloud.clock)
        self.probes.continuity.return_value = builders.continuity()
        self.useFixture(fixtures.MockPatchObject(
            reachability, 'look', return_value={}))
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.patch(
            tempest_base.LiveMigrationHaTest, 'results',
            results_file.ResultsFile(
                self.directory, 'unit', fakes.builders.run))

    def migrate(self, *args, **kwargs):
        self.run_ = self.real_engine(*args, **kwargs)
        return self.run_

    def new_test(self, number=1, hosts=None, destination='beta', **kwargs):
        """Return a test that migrates guests once."""
        def body(test):
            with test.observe(*test.build(number)) as fleet:
                test.migrate(fleet, destination, **kwargs)

        return self.new(example(body), 'test', hosts=hosts)

    def results(self):
        return store.read([os.path.join(self.directory, name)
                           for name in os.listdir(self.directory)])

    def result(self):
        found, = self.results().migrations
        return found

    def test_there_and_back(self):
        test = self.new(test_block_migration.BlockMigrationTest,
                        'test_block_live_migration_round_trip')
        self.passes(test)
        self.assertEqual(
            [('alpha', 'beta', 'completed', True),
             ('beta', 'alpha', 'completed', True)],
            [(each.source, each.destination, each.verdict,
              each.block_migration) for each in self.results().migrations])

    def test_a_good_one(self):
        self.passes(self.new_test())
        found, = self.run_.results
        self.assertEqual(((), builders.ANSWERS), (
            found.problems, found.guest))
        options = self.conf.live_migration_ha
        self.assertEqual((options.max_outage, options.max_stall),
                         (found.max_outage_s, found.max_stall_s))
        migration, = self.run_.drained.migrations
        self.assertEqual(
            ('192.0.2.0', migration.request.requested_ns,
             migration.ended_ns + round(options.grace_time * builders.S)),
            self.probes.continuity.call_args.args)

    def test_everything_is_stored(self):
        test = self.new_test(2, round_trip=3, measured=False,
                             strategy=plans.window(2))
        self.passes(test)
        found = self.results()
        self.assertEqual(
            [('server-0', 3, False, 'alpha', 'beta'),
             ('server-1', 3, False, 'alpha', 'beta')],
            [(each.server_id, each.round_trip, each.measured, each.source,
              each.destination) for each in found.migrations])
        whole, = found.drains
        self.assertEqual(
            (2, 'alpha', 'beta', test.id()),
            (whole.servers, whole.source, whole.destination, whole.test))
        self.assertEqual(([], []), (found.unjudged, found.remarks))
        # Both at once.
        self.assertEqual([0, 1], [
            going_on for *_, going_on in self.cloud.requested])

    def test_an_end_is_stored_before_it_is_judged(self):
        self.useFixture(fixtures.MockPatchObject(
            verdict, 'judge', side_effect=lib_exc.TempestException()))
        self.run_test(self.new_test())
        found = self.results()
        self.assertEqual([], found.migrations)
        unjudged, = found.unjudged
        self.assertIn('server-0', str(unjudged))
        self.assertIn('completed', str(unjudged))

    def test_bounds_of_its_own(self):
        self.passes(self.new_test(bounds=plans.Bounds(9, 19)))
        self.assertEqual((9, 19), (
            self.result().max_outage_s, self.result().max_stall_s))

    def test_another_verdict_than_expected(self):
        self.fails(self.new_test(expected=(Kind.FAILED,)),
                   'verdict: the verdict is completed', 'expected: failed')
        self.assertEqual(('verdict',), tuple(
            each.check for each in self.result().problems))

    def test_a_rollback(self):
        self.cloud.outcomes['server-0'] = 'failed'
        self.fails(self.new_test(), 'the verdict is rolled back')

    def test_aborted_ones_have_to_be_cancelled(self):
        self.fails(self.new_test(2, aborted=['server-1']),
                   'server-1', 'the verdict is completed',
                   'expected: cancelled')
        self.assertEqual(
            [('completed',), ('cancelled',)],
            [each.expected_verdicts for each in self.results().migrations])

    def test_callback_and_requester(self):
        on_poll, requester = mock.Mock(), mock.Mock(wraps=self.cloud)
        self.passes(self.new_test(on_poll=on_poll, requester=requester))
        self.assertTrue(on_poll.called)
        requester.live_migrate_server.assert_called_once()

    def silent(self, state):
        """Let a guest not answer any more; return libvirt's state of it."""
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(50.0, longest_s=50.0, still_open=True))
        hosts = mock.Mock(guest_state=state, logs=lambda *_: [])
        hosts.traces.side_effect = lambda host, server_ids: {
            each: schema.HostTraces(
                host=host, state='running' if host == 'beta' else '')
            for each in server_ids}
        hosts.observe.return_value = hosts.job.return_value = None
        text = self.fails(
            self.new_test(hosts=hosts), 'the verdict is lost',
            'does not answer', 'outage: outage of 50.000 s')
        # SSH would be tried for minutes.
        self.builder.inspect.assert_called_once()
        self.builder.verify.assert_not_called()
        state.assert_called_once_with('beta', 'server-0')
        return text

    def test_a_guest_that_is_silent(self):
        text = self.silent(mock.Mock(return_value='running, CPUs at 9 %'))
        self.assertIn('running, CPUs at 9 %', text)

    def test_a_silent_guest_whose_host_cannot_be_asked(self):
        text = self.silent(mock.Mock(side_effect=remote.HostError('gone')))
        self.assertIn('its state cannot be read: gone', text)

    def test_an_outage_that_is_too_long(self):
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(5.0))
        self.fails(self.new_test(), 'outage: outage of 5.000 s', 'limit 1 s')

    def test_ssh_that_fails(self):
        self.builder.inspect.side_effect = [
            builders.INSPECTION, builder.GuestUnreachable(
                'no SSH to server server-0 at 192.0.2.0')]
        self.fails(self.new_test(), 'boot-id: the boot id cannot be read',
                   '192.0.2.0')

    def test_a_guest_that_has_booted_again(self):
        self.reboot()
        self.fails(self.new_test(), 'boot-id: the guest has booted again')

    def test_a_disk_that_is_damaged(self):
        self.builder.verify.return_value = {'disk': 'sum a, sum b before'}
        self.fails(self.new_test(), 'disk: sum a, sum b before')

    def test_a_guest_that_cannot_answer(self):
        self.passes(self.new_test(probed=False))
        found, = self.run_.results
        self.assertEqual((None, schema.GuestState()),
                         (found.continuity, found.guest))

    def test_leftovers(self):
        self.cloud.list_allocations = lambda consumer: {'allocations': {}}
        self.fails(self.new_test(), 'allocations: ',
                   'its allocations are on none')

    def test_a_contradiction_of_settings(self):
        test = self.new_test(2, strategy=plans.window(2))
        test.settings = schema.Settings(
            values={'max_concurrent_live_migrations': 1})
        self.fails(test, 'concurrency: host alpha is declared to run 1 live '
                   'migrations at once, and 2 ran at once')

    def test_the_scheduler_chooses(self):
        self.cloud.live_migrate_server = mock.Mock(
            side_effect=lib_exc.Conflict(
                'no', resp=api_fakes.Response(409)))
        self.fails(self.new_test(destination=''), 'the verdict is failed')
        self.assertIsNone(
            self.cloud.live_migrate_server.call_args.kwargs['host'])
        self.assertEqual('', self.result().destination)

    def cannot(self, *parts, **kwargs):
        outcome, details = self.run_test(self.new_test(**kwargs))
        self.assertEqual('addError', outcome)
        for part in ('CannotMigrate', *parts):
            self.assertIn(part, fakes.describe(details))
        self.assertEqual([], self.cloud.requested)

    def test_a_plan_that_cannot_succeed(self):
        self.cannot('already on host alpha', destination='alpha')
        self.cannot('host gamma', destination='gamma')
        self.numbers = itertools.count()
        for each in self.cloud.servers:
            self.cloud.servers[each] = builders.migrating(server_id=each)
        self.cannot('cannot be live-migrated in its state')

    def test_a_failure_fits_on_a_terminal(self):
        """With many servers, problems and facts."""
        self.cloud = simulation.Cloud(40, limit=40)
        self.clients = self.cloud.clients
        simulation.use_clock(self, self.cloud.clock)
        self.reboot('boot-2' * 40)
        self.builder.verify.return_value = {'disk': 'sum a, ' * 99}
        self.builder.consoles.side_effect = lambda server_ids: [
            b'Kernel panic\n' * 99 for each in server_ids]
        self.probes.continuity.return_value = builders.continuity(
            outage=builders.outage(5.0))
        lines = self.terminal(
            self.new_test(40, strategy=plans.window(40)))
        self.assertLessEqual(len(lines), 40)
        # First of all the problems, then the names of all attachments.
        self.assertEqual('Captured traceback:', lines[2])
        self.assertEqual(
            ['Captured results:', 'Captured consoles:',
             'Captured pythonlogging:'],
            [line for line in lines[3:] if line.startswith('Captured')])
        for line in lines[2:]:
            if not line.startswith('  File '):
                self.assertLessEqual(len(line), 100)
