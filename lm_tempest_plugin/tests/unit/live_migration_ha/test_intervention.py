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

from tempest.lib import exceptions as lib_exc
import testtools

from lm_tempest_plugin.migration import finding as findings
from lm_tempest_plugin.tests.live_migration_ha import test_intervention
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation


def attempts(*statuses):
    return [builders.attempt(
        builders.look(1, [builders.record(status)] if status else []))
        for status in statuses]


class InterventionTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.act = mock.Mock()
        self.intervention = test_intervention.Intervention(
            lambda each: each.newest.status == 'running', self.act)

    def look(self, *statuses):
        self.intervention(builders.look(1), attempts(*statuses))

    def test_the_first_that_fits_and_no_other(self):
        self.look('', 'queued', 'completed')
        self.act.assert_not_called()
        self.look('queued', 'running', 'running')
        self.look('running')
        self.act.assert_called_once_with(builders.server().server_id, 7)
        self.assertEqual([builders.server().server_id],
                         self.intervention.done)

    def test_one_that_has_gone_on_since(self):
        self.act.side_effect = [
            lib_exc.BadRequest('not running'),
            lib_exc.Conflict('not migrating'), None]
        for _ in range(2):
            self.look('running')
            self.assertEqual([], self.intervention.done)
        self.look('running')
        self.assertEqual(1, len(self.intervention.done))

    def test_another_error_is_not_hidden(self):
        self.act.side_effect = lib_exc.Forbidden('no')
        self.assertRaises(lib_exc.Forbidden, self.look, 'running')


class StepInTest(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.client, self.owner = mock.Mock(), mock.Mock()
        self.shows_flavor(2048)
        self.client.delete.return_value = self.client.post.return_value = (
            mock.Mock(status=202), b'')
        self.client.list_in_progress_live_migration = simulation.Cloud(
            1).list_in_progress_live_migration
        kind = type('InterventionTest', (
            test_intervention.InterventionTest,), {
                'clients': simulation.clients(servers=self.client),
                'microversion': '2.84', 'owner': self.owner})
        self.test = kind('test_abort_running')
        self.test.keep_writing = mock.Mock()
        self.test.create_guest = fakes.guest
        self.test.create_guests = mock.Mock(
            side_effect=lambda number, host: [
                fakes.guest('server-%d' % (1 + each))
                for each in range(number)])
        self.test.choose_destination = lambda source: 'beta'
        self.test.read_boot_ids = lambda *fleet: {}
        self.test.start_watch = mock.Mock()
        self.test.assert_unharmed = mock.Mock()
        self.test.write_disks = mock.Mock(return_value={'server-0': 'sum'})
        self.test.assert_disks = mock.Mock()
        self.test.report = mock.Mock()
        self.test.travel = self.travel
        self.looks = [['queued'], ['running'], ['running']]

    def shows_flavor(self, ram):
        self.owner.flavors_client.show_flavor.return_value = {
            'flavor': {'ram': ram}}

    def travel(self, trip, on_look, aborted):
        self.trip, self.aborted = trip, aborted
        for statuses in self.looks:
            on_look(builders.look(1), attempts(*statuses))
        return mock.Mock(findings=[builders.finding()])

    def test_abort_running(self):
        self.test.test_abort_running()
        server_id = builders.server().server_id
        self.client.delete.assert_called_once_with(
            'servers/%s/migrations/7' % server_id)
        self.assertEqual([server_id], self.aborted)
        self.assertEqual((1, None), (
            len(self.trip.guests), self.trip.bounds))

    def test_abort_queued(self):
        for declared, number in ((0, 2), (1, 2), (3, 4)):
            self.conf.live_migration_ha.max_concurrent_live_migrations = (
                declared)
            self.test.test_abort_queued()
            # One more than can go at once.
            self.assertEqual(number, len(self.trip.guests))
            self.assertEqual(number, self.trip.strategy.room(0))
        self.assertEqual(3, self.client.delete.call_count)

    def test_force_complete(self):
        self.conf.live_migration_ha.max_forced_outage = 8
        self.test.test_force_complete()
        self.client.post.assert_called_once()
        self.assertEqual(((), findings.Bounds(8, 17)), (
            self.aborted, self.trip.bounds))
        self.test.write_disks.assert_called_once_with(*self.trip.guests)
        self.test.assert_disks.assert_called_once_with(
            {'server-0': 'sum'}, *self.trip.guests)

    def test_the_first_guest_writes_an_eighth_of_its_memory(self):
        for ram, expected in ((2048, 256), (64, 8), (4, 1)):
            self.shows_flavor(ram)
            self.test.test_abort_queued()
            self.test.keep_writing.assert_called_with(
                self.trip.guests[0], expected)

    def test_nothing_was_done(self):
        self.looks = [['completed']]
        exc = self.assertRaises(testtools.TestCase.skipException,
                                self.test.test_abort_running)
        self.assertIn('No migration was seen', str(exc))
        # What was found is judged all the same.
        self.test.report.assert_called_once()

    def test_a_copy_of_which_nothing_is_known_is_none_yet(self):
        (running,) = attempts('running')
        for found in ([], [dict.fromkeys((
                'memory_total_bytes', 'memory_processed_bytes',
                'memory_remaining_bytes', 'disk_total_bytes',
                'disk_processed_bytes', 'disk_remaining_bytes'), None)]):
            self.client.list_in_progress_live_migration = mock.Mock(
                return_value={'migrations': found})
            self.assertFalse(self.test._copies(running))
