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

import types

import fixtures

from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.live_migration_ha import test_upgrade
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes as clouds
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders

OLD, NEW = '33.0.2', '34.0.0'


def host(name, nova=None, qemu='10.0.2', libvirt='9.0.0'):
    return schema.ComputeHost(
        host=name, hypervisor_type='QEMU', hypervisor_version=qemu,
        libvirt_version=libvirt if nova else None, nova_version=nova)


class AgeTest(base.TestCase):

    def test_order(self):
        hosts = [
            host('a', NEW, '9.2.0'), host('b', OLD), host('c', '33.1.0'),
            host('d', '34.1.0.dev5+g99abc99'), host('e', OLD, '11.1.3')]
        shuffled = [hosts[number] for number in (3, 0, 4, 2, 1)]
        self.assertEqual(hosts, sorted(shuffled, key=test_upgrade.age))

    def test_a_commit_is_no_number(self):
        self.assertEqual(test_upgrade.age(host('a', '34.1.0.dev5')),
                         test_upgrade.age(host('a', '34.1.0.dev5+g12')))


class UpgradeTest(fakes.TempestTestCase):
    """Servers on alpha, which is old, and beta, which is new."""

    def setUp(self):
        super().setUp()
        self.hosts = [host('alpha', OLD), host('beta', NEW)]
        self.canaries = []
        self.builder.adopt.side_effect = lambda path: self.canaries

    def new_test(self, name):
        return self.new(test_upgrade.UpgradeTest, name,
                        hosts_by_age=self.hosts)

    def moves(self):
        """Return the servers and the destination of each plan."""
        return [([each.server_id for each in plan.servers], plan.destination)
                for plan in self.plans]

    def canary(self, server_id, host):
        guest = fakes.guest(server_id, host, f'192.0.2.{len(self.guests)}')
        self.canaries.append(guest)
        self.guests.append(guest)
        self.conf.live_migration_ha.canary_key_file = 'etc/canary.key'

    def test_oldest_to_newest_and_back(self):
        self.passes(self.new_test('test_oldest_to_newest_and_back'))
        servers = ['server-0', 'server-1']
        self.assertEqual([(servers, 'beta'), (servers, 'alpha')],
                         self.moves())
        self.builder.build.assert_called_once_with(2, 'alpha')
        self.builder.adopt.assert_not_called()

    def test_canaries_of_the_oldest_host(self):
        self.canary('one', 'alpha')
        self.canary('two', 'beta')
        self.passes(self.new_test('test_oldest_to_newest_and_back'))
        self.assertEqual([(['one'], 'beta'), (['one'], 'alpha')],
                         self.moves())
        self.builder.adopt.assert_called_once_with('etc/canary.key')
        self.builder.build.assert_not_called()

    def test_all_hosts_alike(self):
        self.hosts = [host('alpha', NEW), host('beta', NEW)]
        for name in ('test_oldest_to_newest_and_back',
                     'test_abort_towards_the_newest',
                     'test_abort_towards_the_oldest'):
            self.skips(self.new_test(name), 'All hosts run the same',
                       'alpha: nova 34.0.0, QEMU 10.0.2, libvirt 9.0.0')

    def test_versions_that_are_not_known(self):
        self.hosts = [host('alpha'), host('beta')]
        self.passes(self.new_test('test_oldest_to_newest_and_back'))
        self.assertEqual(2, len(self.plans))
        self.skips(self.new_test('test_same_versions_and_back'),
                   'No two hosts are known', 'alpha: nova unknown')

    def test_same_versions_and_back(self):
        self.skips(self.new_test('test_same_versions_and_back'),
                   'beta: nova 34.0.0')
        self.hosts.insert(1, host('gamma', OLD))
        self.passes(self.new_test('test_same_versions_and_back'))
        self.assertEqual(['gamma', 'alpha'],
                         [plan.destination for plan in self.plans])
        # Another libvirt makes another host of it.
        self.hosts[1] = host('gamma', OLD, libvirt='9.1.0')
        self.skips(self.new_test('test_same_versions_and_back'))

    def test_canaries_are_not_deleted(self):
        self.canary('one', 'alpha')
        self.passes(self.new_test('test_oldest_to_newest_and_back'))
        self.builder.delete.assert_not_called()

    def refuse(self, *events):
        """Let nova refuse to migrate to alpha."""
        def migrated(plan, clients, **kwargs):
            self.fields = {} if plan.destination != 'alpha' else {
                'verdict': 'failed', 'events': events}
            return self.migrated(plan, clients, **kwargs)

        self.engine.side_effect = migrated

    def test_the_way_to_an_older_qemu_may_be_refused(self):
        self.hosts[1] = host('beta', OLD, '11.1.3')
        for reason in (
                'The instance requires a newer hypervisor version than has '
                'been provided.', 'No valid host was found. There are not '
                'enough hosts available.'):
            self.refuse('conductor_live_migrate_instance on host a: Error '
                        f'({reason})')
            self.plans.clear()
            self.passes(self.new_test('test_oldest_to_newest_and_back'))
            self.assertEqual(
                [('beta', (Kind.COMPLETED,)),
                 ('alpha', (Kind.COMPLETED, Kind.FAILED))],
                [(plan.destination, plan.expected) for plan in self.plans])

    def test_another_failure_on_this_way(self):
        self.hosts[1] = host('beta', OLD, '11.1.3')
        self.refuse('conductor_live_migrate_instance on host a: Error ('
                    'Migration pre-check error)')
        self.fails(self.new_test('test_oldest_to_newest_and_back'),
                   'pre-check error', 'newer hypervisor version')

    def test_no_abort_on_this_way(self):
        self.hosts[1] = host('beta', OLD, '11.1.3')
        self.skips(self.new_test('test_abort_towards_the_oldest'),
                   'host alpha has an older QEMU than host beta')

    def test_a_problem_fails_the_test(self):
        self.problems = lambda plan: [fakes.problem(
            'machine-and-cpu', 'the machine type was pc, and is q35')]
        self.fails(self.new_test('test_oldest_to_newest_and_back'),
                   'the machine type was pc, and is q35')

    def abort(self, name, *statuses):
        """Run a test that aborts; return the destinations of its plans."""
        abort = self.useFixture(fixtures.MockPatchObject(
            migration_records, 'abort', autospec=True)).mock
        self.useFixture(fixtures.MockPatchObject(
            migration_records, 'show_progress', autospec=True,
            return_value=builders.progress()))
        self.aborted = None

        def polled(plan, clients, on_poll, aborted, **kwargs):
            if on_poll is not None:
                for status in statuses:
                    on_poll(builders.snapshot(1), [builders.migration(
                        builders.snapshot(1, [builders.record(status)]))])
                self.aborted = list(aborted)
                self.assertFalse(plan.measured)
            return self.migrated(plan, clients, **kwargs)

        self.engine.side_effect = polled
        test = self.new_test(name)
        if 'running' in statuses:
            self.passes(test)
            abort.assert_called_once_with(
                self.clients.servers, builders.server().server_id, 7)
            self.assertEqual(list(self.aborted),
                             [builders.server().server_id])
        else:
            self.skips(test, 'No migration was seen')
            abort.assert_not_called()
        self.builder.build.assert_called_once_with(1, 'alpha')
        return [plan.destination for plan in self.plans]

    def test_abort_towards_the_newest(self):
        self.assertEqual(['beta'], self.abort(
            'test_abort_towards_the_newest', 'queued', 'running', 'running'))

    def test_abort_towards_the_oldest(self):
        # Built on the oldest host as well, and moved away from it first.
        self.assertEqual(['beta', 'alpha'], self.abort(
            'test_abort_towards_the_oldest', 'running'))
        (guest, _), = [call.args for call in
                       self.builder.start.call_args_list]
        self.assertEqual('server-0', guest.server_id)

    def test_a_migration_that_is_over_too_soon(self):
        self.abort('test_abort_towards_the_newest', 'completed')

    def test_a_nova_that_does_not_recover(self):
        self.conf.live_migration_ha.recovers_from_failure = False
        self.skips(self.new_test('test_abort_towards_the_newest'),
                   'recovers_from_failure is False')
        self.builder.build.assert_not_called()


class ResourceSetupTest(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.found = [host('beta', NEW), host('alpha', OLD),
                      host('delta', OLD), host('gamma', OLD)]
        self.describe = self.useFixture(fixtures.MockPatchObject(
            results_file, 'describe_hosts',
            side_effect=lambda clients, hosts: self.found)).mock

    def set_up(self):
        kind = type('UpgradeTest', (test_upgrade.UpgradeTest,), {
            'clients': types.SimpleNamespace(
                versions=clouds.versions(('v2.1', '2.1', '2.104')),
                services=clouds.services(
                    ('alpha', 'enabled', 'up'), ('beta', 'enabled', 'up'),
                    ('gamma', 'enabled', 'down'),
                    ('delta', 'enabled', 'up')))})
        kind.resource_setup()
        return kind

    def test_usable_hosts_by_age(self):
        found = self.set_up()
        self.assertEqual(['alpha', 'delta', 'beta'],
                         [each.host for each in found.hosts_by_age])
        self.assertEqual(6, found.TIMEOUT_SCALING_FACTOR)

    def test_hosts_that_are_named(self):
        self.conf.compute.migration_source_host = 'beta'
        self.assertEqual(3, len(self.set_up().hosts_by_age))
        self.conf.compute.migration_dest_host = 'alpha'
        self.assertEqual(['alpha', 'beta'], [
            each.host for each in self.set_up().hosts_by_age])
