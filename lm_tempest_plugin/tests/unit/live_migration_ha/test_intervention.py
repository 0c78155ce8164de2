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
import msgspec
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.migration import plan as plans
from lm_tempest_plugin.tests.live_migration_ha import test_intervention
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders

SERVER_ID = builders.server().server_id


def migrations(*statuses):
    return [builders.migration(
        builders.snapshot(1, [builders.record(status)] if status else []))
        for status in statuses]


class InterventionTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.act = mock.Mock()
        self.intervention = test_intervention.Intervention(
            lambda each: each.status == 'running', self.act)

    def poll(self, *statuses):
        self.intervention(builders.snapshot(1), migrations(*statuses))

    def test_the_first_that_fits_and_no_other(self):
        self.poll('', 'queued', 'completed')
        self.act.assert_not_called()
        self.poll('queued', 'running', 'running')
        self.poll('running')
        self.act.assert_called_once_with(SERVER_ID, 7)
        self.assertEqual([SERVER_ID], list(self.intervention.done))

    def test_one_that_has_gone_on_since(self):
        self.act.side_effect = [
            lib_exc.BadRequest('not running'),
            lib_exc.Conflict('not migrating'), None]
        for _ in range(2):
            self.poll('running')
            self.assertEqual({}, self.intervention.done)
        self.poll('running')
        self.assertEqual(1, len(self.intervention.done))

    def test_another_error_is_not_hidden(self):
        self.act.side_effect = lib_exc.Forbidden('no')
        self.assertRaises(lib_exc.Forbidden, self.poll, 'running')


class InterveneTest(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.snapshots = [['queued'], ['running'], ['running']]
        self.engine.side_effect = self.polled
        self.progress = self.useFixture(fixtures.MockPatchObject(
            migration_records, 'show_progress', autospec=True,
            return_value=builders.progress())).mock
        self.abort = self.useFixture(fixtures.MockPatchObject(
            migration_records, 'abort', autospec=True)).mock
        self.force = self.useFixture(fixtures.MockPatchObject(
            migration_records, 'force_complete', autospec=True)).mock

    def polled(self, plan, clients, on_poll, aborted, forced, **kwargs):
        """Call back as the engine does, and note the servers."""
        for statuses in self.snapshots:
            on_poll(builders.snapshot(1), migrations(*statuses))
        self.aborted, self.forced = list(aborted), dict(forced)
        return self.migrated(plan, clients, **kwargs)

    def new_test(self, name):
        return self.new(test_intervention.InterventionTest, name)

    def test_abort_running(self):
        self.passes(self.new_test('test_abort_running'))
        self.abort.assert_called_once_with(self.clients.servers, SERVER_ID, 7)
        self.assertEqual([SERVER_ID], self.aborted)
        plan, = self.plans
        options = self.conf.live_migration_ha
        self.assertEqual(
            (1, False, plans.Bounds.of(options)),
            (len(plan.servers), plan.measured, plan.bounds))
        self.builder.write_disks.assert_called_once_with(*self.guests)

    def test_abort_queued(self):
        self.snapshots = [['running', 'queued']]
        for declared, number in ((0, 2), (1, 2), (3, 4)):
            self.conf.live_migration_ha.max_concurrent_live_migrations = (
                declared)
            self.passes(self.new_test('test_abort_queued'))
            plan = self.plans[-1]
            # One more than can run at once.
            self.assertEqual(number, len(plan.servers))
            self.assertEqual(plans.window(number), plan.strategy)
        self.assertEqual(3, self.abort.call_count)

    def test_all_guests_are_on_one_host(self):
        self.snapshots = [['queued']]
        self.passes(self.new_test('test_abort_queued'))
        self.assertEqual([mock.call(1, host=''), mock.call(1, 'alpha')],
                         self.builder.build.call_args_list)

    def test_force_complete(self):
        self.conf.live_migration_ha.max_forced_outage = 8
        self.passes(self.new_test('test_force_complete'))
        self.force.assert_called_once_with(self.clients.servers, SERVER_ID, 7)
        self.assertEqual(([], [SERVER_ID], plans.Bounds(8, 17)),
                         (self.aborted, list(self.forced),
                          self.plans[0].bounds))
        self.builder.write_disks.assert_called_once_with(*self.guests)
        self.builder.verify.assert_called_once_with(*self.guests)

    def test_the_first_guest_writes_an_eighth_of_its_memory(self):
        self.snapshots = [['queued']]
        for ram, expected in ((2048, 256), (64, 8), (4, 1)):
            self.owner.flavors_client.show_flavor.return_value = {
                'flavor': {'ram': ram}}
            self.passes(self.new_test('test_abort_queued'))
            guest, workload = self.builder.start.call_args.args
            self.assertEqual(self.plans[-1].servers[0].server_id,
                             guest.server_id)
            self.assertIsInstance(workload, memory.MemoryWorkload)
            self.assertEqual((0, expected), (workload.asked_per_s,
                                             workload.memory_mib))

    def test_no_migration_was_in_the_state(self):
        self.snapshots = [['completed']]
        self.skips(self.new_test('test_abort_running'),
                   'No migration was seen')
        # It was judged all the same.
        self.assertEqual(1, len(self.plans))

    def test_a_problem_is_not_hidden_by_a_skip(self):
        self.snapshots = [['completed']]
        self.problems = [fakes.problem()]
        self.fails(self.new_test('test_abort_running'),
                   'the verdict is stuck')

    def test_a_nova_that_does_not_recover(self):
        self.conf.live_migration_ha.recovers_from_failure = False
        self.skips(self.new_test('test_abort_running'),
                   'recovers_from_failure is False')
        self.builder.build.assert_not_called()

    def test_without_known_progress_nothing_is_copied_yet(self):
        test = self.new_test('test_abort_running')
        running, = migrations('running')
        self.assertTrue(test._is_copying(running))
        for found in (None, msgspec.structs.replace(
                builders.progress(), memory_total_bytes=0)):
            self.progress.return_value = found
            self.assertFalse(test._is_copying(running))
