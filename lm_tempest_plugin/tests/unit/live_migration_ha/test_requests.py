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

import testtools

from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.tests.live_migration_ha import test_requests
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdicts.Kind


class RequestsTestCase(fakes.LiveMigrationHaTestCase):

    def new(self, parent, name, finding=None):
        """Return a test whose guest travels as it is found here."""
        kind = type(parent.__name__, (parent,), {
            'microversion': '2.84', 'servers_client': mock.Mock(),
            'os_project_manager': mock.Mock()})
        test = kind(name)
        finding = finding or builders.finding()
        test.create_guest = fakes.guest
        test.choose_destination = lambda source: 'beta'
        test.read_boot_ids = mock.Mock(return_value={'server-0': 'boot-1'})
        test.start_watch = mock.Mock()
        test.wait_for = mock.Mock()
        test.report = mock.Mock()
        test.assert_unharmed = mock.Mock()
        test.write_disks = mock.Mock(return_value={'server-0': 'sum'})
        test.assert_disks = mock.Mock()
        test.travel = mock.Mock(return_value=mock.Mock(
            findings=[finding], drained=mock.Mock(
                attempts=[finding.attempt])))
        return test

    def assert_disk_read(self, test):
        test.write_disks.assert_called_once_with(fakes.guest())
        test.assert_disks.assert_called_once_with(
            {'server-0': 'sum'}, fakes.guest())

    def trip(self, test):
        test.travel.assert_called_once()
        return test.travel.call_args.args[0]


class OldApiTest(RequestsTestCase):

    def wrong_flag(self, right=True, **kwargs):
        features = self.conf.compute_feature_enabled
        features.block_migration_for_live_migration = right
        known = builders.evidence(**{
            'records': (), 'server': builders.server(), **kwargs})
        test = self.new(
            test_requests.OldApiTest, 'test_block_migration_flag_wrong',
            builders.finding(known))
        return test, test.test_block_migration_flag_wrong

    def refused(self, status):
        return builders.request(refusal=requests.Refusal(status, 'no'))

    def test_the_flag_is_the_wrong_one(self):
        for right in (True, False):
            test, run = self.wrong_flag(right, request=self.refused(400))
            run()
            trip = self.trip(test)
            self.assertEqual(
                requests.Move('', not right, '2.24'), trip.move)
            self.assertEqual({Kind.FAILED, Kind.ROLLED_BACK},
                             set(trip.expected))
            self.assert_disk_read(test)

    def test_a_rollback_is_good_too(self):
        self.wrong_flag(records=(builders.record('failed'),))[1]()

    def test_another_refusal(self):
        for status in (500, 409, 0):
            test, run = self.wrong_flag(request=self.refused(status))
            self.assertRaises(test.failureException, run)

    def test_a_server_that_is_not_as_before(self):
        for server in (None, builders.migrating(),
                       builders.server(host='beta')):
            test, run = self.wrong_flag(server=server)
            self.assertRaises(test.failureException, run)

    def test_as_it_was_done(self):
        test = self.new(test_requests.OldApiTest, 'test_live_migration')
        test.test_live_migration()
        self.assertEqual(
            {'host': None, 'block_migration': True,
             'disk_over_commit': False}, self.trip(test).move.body())
        test.assert_unharmed.assert_called_once()
        self.assert_disk_read(test)


class PausedTest(RequestsTestCase):

    def setUp(self):
        super().setUp()
        self.test = self.new(test_requests.PausedTest,
                             'test_live_migration_of_paused_server')
        self.run_test = self.test.test_live_migration_of_paused_server

    def test_nobody_asks_it_on_the_way(self):
        self.run_test()
        trip = self.trip(self.test)
        self.assertEqual((None, {}), (trip.watched, trip.boot_ids))
        self.assertEqual(['PAUSED', 'ACTIVE'], [
            call.args[1] for call in self.test.wait_for.call_args_list])
        self.test.assert_unharmed.assert_called_once_with(
            self.test.start_watch.return_value)
        self.assert_disk_read(self.test)

    def test_its_disk_is_written_before_it_is_paused(self):
        self.test.write_disks.side_effect = ValueError
        self.assertRaises(ValueError, self.run_test)
        self.test.servers_client.pause_server.assert_not_called()

    def test_it_has_to_go_on_where_it_was(self):
        self.test.read_boot_ids.side_effect = [
            {'server-0': 'boot-1'}, {'server-0': 'boot-2'}]
        self.assertRaises(AssertionError, self.run_test)


class ManagerTest(RequestsTestCase):

    def new_test(self, status=None):
        asked = {} if status is None else {
            'refusal': requests.Refusal(status, 'by policy')}
        test = self.new(
            test_requests.ManagerTest,
            'test_live_migration_by_project_manager',
            builders.finding(attempt=builders.attempt(**asked)))
        return test, test.test_live_migration_by_project_manager

    def test_the_scheduler_chooses_and_the_manager_asks(self):
        test, run = self.new_test()
        run()
        self.assertEqual('', self.trip(test).destination)
        self.assertIs(test.os_project_manager.servers_client,
                      test.travel.call_args.kwargs['asker'])
        test.report.assert_called_once()
        self.assert_disk_read(test)

    def test_the_policy_does_not_allow_it(self):
        _, run = self.new_test(403)
        exc = self.assertRaises(testtools.TestCase.skipException, run)
        self.assertIn('by policy', str(exc))

    def test_another_refusal_is_reported(self):
        test, run = self.new_test(409)
        run()
        test.report.assert_called_once()

    def test_the_manager_owns_the_guest(self):
        test, _ = self.new_test()
        self.assertIs(test.os_project_manager, test.choose_owner())
