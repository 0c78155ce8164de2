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
import sys
import time
from unittest import mock

import fixtures
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import evidence as evidences
from lm_tempest_plugin.migration import finding as findings
from lm_tempest_plugin.migration import observation
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.live_migration_ha import base as tempest_base
from lm_tempest_plugin.tests.live_migration_ha import guests
from lm_tempest_plugin.tests.live_migration_ha import recorder as recorders
from lm_tempest_plugin.tests.live_migration_ha import test_block_migration
from lm_tempest_plugin.tests.unit import fakes as api_fakes
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation

TEST = 'test_block_live_migration_round_trip'
Kind = verdicts.Kind


class BaseTestCase(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        options = self.conf.live_migration_ha
        options.grace_time, options.poll_interval = 0, 0.001
        self.cloud = simulation.Cloud(2, limit=2)
        self.cloud.clock = time
        for each in self.cloud.servers:
            self.cloud.durations_s[each] = 0.02
        kind = type('BlockMigrationTest',
                    (test_block_migration.BlockMigrationTest,), {
                        'clients': self.cloud.clients,
                        'microversion': '2.84'})
        self.test = kind(TEST)
        self.remote = mock.Mock()
        self.remote.exec_command.return_value = 'boot-1\n'
        self.test.get_remote_client = mock.Mock(return_value=self.remote)


class MoveTest(BaseTestCase):

    def offers(self, newest):
        kind = type(self.test)
        kind.clients = simulation.clients(services=api_fakes.services(
            ('alpha', 'enabled', 'up'), ('beta', 'enabled', 'up')))
        kind.clients.versions.list_versions.return_value = {'versions': [{
            'id': 'v2.1', 'min_version': '2.1', 'version': newest}]}
        return kind

    def test_the_microversion_is_the_newest_that_both_know(self):
        for newest, expected in (('2.100', '2.84'), ('2.30', '2.30')):
            kind = self.offers(newest)
            kind.resource_setup()
            self.assertEqual(expected, kind.microversion)

    def test_the_microversion_that_is_wanted(self):
        self.conf.live_migration_ha.request_microversion = '2.34'
        kind = self.offers('2.100')
        kind.resource_setup()
        self.assertEqual('2.34', kind.microversion)

    def test_a_microversion_that_the_cloud_does_not_offer(self):
        self.conf.live_migration_ha.request_microversion = '2.99'
        self.assertRaises(lib_exc.InvalidConfiguration,
                          self.offers('2.90').resource_setup)

    def test_the_source_that_is_wanted_does_not_exist(self):
        self.conf.compute.migration_source_host = 'gamma'
        kind = self.offers('2.90')
        exc = self.assertRaises(preflight.CannotMove, kind.resource_setup)
        self.assertIn('host gamma', str(exc))

    def test_auto(self):
        self.assertEqual(requests.Move('', 'auto', '2.84'),
                         self.test.new_move())

    def test_auto_before_there_was_auto(self):
        features = self.conf.compute_feature_enabled
        for value in (True, False):
            features.block_migration_for_live_migration = value
            self.assertEqual(
                requests.Move('', value, '2.24'),
                self.test.new_move(microversion='2.24'))
        self.assertIs(True, self.test.new_move(True, '2.24').block_migration)

    def test_the_other_host(self):
        self.cloud.list_services = lambda binary: {'services': [
            {'host': host, 'status': 'enabled', 'state': 'up'}
            for host in ('alpha', 'beta', 'gamma', 'a-ironic')]}
        for wanted, expected in (
                (None, 'beta'), ('gamma', 'gamma'), ('alpha', 'beta')):
            self.conf.compute.migration_dest_host = wanted
            self.assertEqual(
                expected, self.test.choose_destination('alpha'))


class TravelTest(BaseTestCase):

    def setUp(self):
        super().setUp()
        self.watched = mock.create_autospec(watch.Watch, instance=True)
        self.watched.continuity.return_value = builders.continuity()

    def trip(self, count=1, **kwargs):
        return tempest_base.Trip(**{
            'guests': [fakes.guest(server_id)
                       for server_id in list(self.cloud.servers)[:count]],
            'destination': 'beta', 'watched': self.watched,
            'boot_ids': dict.fromkeys(self.cloud.servers, 'boot-1'),
            'move': self.test.new_move(), **kwargs})

    def travel(self, *args, **kwargs):
        arrival = self.test.travel(self.trip(*args, **kwargs))
        self.assertEqual(arrival.drained.attempts, [
            found.attempt for found in arrival.findings])
        return arrival

    def violations(self, *args, **kwargs):
        (found,) = self.travel(*args, **kwargs).findings
        return found.violations

    def test_a_good_one(self):
        arrival = self.travel()
        (found,) = arrival.findings
        self.assertEqual(((), []), (found.violations, arrival.left_over))
        self.assertEqual(
            ('192.0.2.1', found.attempt.request.requested_ns,
             found.attempt.ended_ns), self.watched.continuity.call_args.args)
        self.assertEqual(builders.ANSWERS, found.verdict.evidence.guest)
        self.assertEqual(findings.Bounds(
            self.conf.live_migration_ha.max_outage,
            self.conf.live_migration_ha.max_stall), found.bounds)

    def test_all_is_recorded(self):
        arrival = self.travel(2, number=3, measured=False)
        began, ended, _, first, second, whole = map(
            json.loads, arrival.records)
        self.assertEqual(
            ('began', ['server-0', 'server-1'], 'ended'),
            (began['kind'], began['server_ids'], ended['kind']))
        self.assertEqual(
            [('server-0', 3, False, 'alpha', 'beta'),
             ('server-1', 3, False, 'alpha', 'beta')],
            [(line['server_id'], line['trip'], line['measured'],
              line['source'], line['destination'])
             for line in (first, second)])
        self.assertEqual(
            ('drain', 2, 'alpha', 'beta', self.test.id()),
            (whole['kind'], whole['servers'], whole['source'],
             whole['destination'], whole['test']))

    def test_what_has_ended_is_recorded_before_it_is_judged(self):
        recorder = self.test.recorder
        recording = recorder.begin(recorders.Leg(
            'a.test', observation.Declared(), strategies.window(2), 1, True,
            'alpha', 'beta'), ['server-0'])
        self.useFixture(fixtures.MockPatchObject(
            recorder, 'begin', autospec=True, return_value=recording))
        self.useFixture(fixtures.MockPatchObject(
            self.test, '_judge', side_effect=lib_exc.TempestException()))
        self.assertRaises(
            lib_exc.TempestException, self.test.travel, self.trip())
        _, line = map(json.loads, recording.written)
        self.assertEqual(('ended', 'server-0', 'completed', 'ACTIVE'), (
            line['kind'], line['server_id'], line['record_status'],
            line['server_status']))

    def test_that_a_test_fails_is_recorded(self):
        self.useFixture(fixtures.MockPatchObject(
            guests.GuestTest, 'setUp', autospec=True))
        self.test.setUp()
        for exc in (self.test.failureException('a disk'),
                    self.test.skipException('not here')):
            try:
                raise exc
            except Exception:
                self.test.onException(sys.exc_info())
        line = json.loads(self.test.getDetails()['failed'].as_text())
        self.assertEqual(('failed', self.test.id(), 'a disk'), (
            line['kind'], line['test'], line['said']))

    def test_that_it_fails_cannot_be_recorded(self):
        self.useFixture(fixtures.MockPatchObject(
            self.test.recorder, 'failed', side_effect=OSError('full')))
        self.test._record_failure((AssertionError, AssertionError(), None))
        self.assertNotIn('failed', self.test.getDetails())

    def test_several_by_a_strategy(self):
        arrival = self.travel(2, strategy=strategies.window(2))
        self.assertEqual(
            ['server-0', 'server-1'],
            [found.attempt.request.server_id for found in arrival.findings])
        self.assertEqual([0, 1], [
            under_way for *_, under_way in self.cloud.asked])

    def test_the_observation_goes_on_for_the_grace_time(self):
        self.conf.live_migration_ha.grace_time = 0.01
        (found,) = self.travel().findings
        self.assertEqual(found.attempt.ended_ns + 10_000_000,
                         self.watched.continuity.call_args.args[2])

    def test_the_deadline_goes_by_the_size(self):
        options = self.conf.live_migration_ha
        for block_migration, disks in ((True, 20), (False, 0)):
            self.cloud.servers['server-0'] = builders.server(
                server_id='server-0')
            (found,) = self.travel(
                move=self.test.new_move(block_migration)).findings
            self.assertEqual(attempts.Limits(
                options.migration_timeout +
                2 * options.migration_timeout_per_gib_ram +
                disks * options.migration_timeout_per_gib_disk,
                options.settle_timeout), found.attempt.limits)

    def test_bounds_of_its_own(self):
        bounds = findings.Bounds(9, 19)
        (found,) = self.travel(bounds=bounds).findings
        self.assertEqual(bounds, found.bounds)

    def test_another_verdict_than_expected(self):
        self.assertIn('expected: failed', self.violations(
            expected=(Kind.FAILED,))[0])

    def test_those_that_were_aborted_have_to_be_cancelled(self):
        arrival = self.test.travel(
            self.trip(2, strategy=strategies.window(2)),
            aborted=['server-1'])
        self.assertEqual(
            [(Kind.COMPLETED,), (Kind.CANCELLED,)],
            [found.expected for found in arrival.findings])
        self.assertEqual([False, True], [
            found.verdict.evidence.abort_asked
            for found in arrival.findings])

    def test_it_may_be_stepped_in(self):
        step_in, asker = mock.Mock(), mock.Mock(wraps=self.cloud)
        self.test.travel(self.trip(), step_in, asker)
        self.assertTrue(step_in.called)
        asker.live_migrate_server.assert_called_once()

    def test_a_guest_that_answers_nothing_is_not_asked(self):
        self.watched.continuity.return_value = builders.continuity(
            outage=builders.outage(50.0, open=True))
        (found,) = self.travel().findings
        self.assertEqual(Kind.LOST, found.verdict.kind)
        self.assertIn('does not answer', found.verdict.cause)
        self.remote.exec_command.assert_not_called()

    def test_ssh_that_fails_is_a_violation(self):
        self.remote.exec_command.side_effect = lib_exc.SSHTimeout(
            host='192.0.2.1', user='root', password='')
        violations = self.violations()
        self.assertEqual(1, len(violations))
        self.assertIn('192.0.2.1', violations[0])

    def test_a_guest_that_was_started_anew(self):
        self.remote.exec_command.return_value = 'boot-2\n'
        self.assertIn('started anew', self.violations()[0])

    def look_at(self, pulse):
        self.watched.continuity.return_value = builders.continuity(
            outage=builders.outage(50.0, open=True))
        self.test.reach = mock.Mock(pulse=pulse)
        self.test.reach.observe.return_value = None
        (found,) = self.travel().findings
        pulse.assert_called_once_with('beta', 'server-0')
        return str(found.verdict.evidence.guest)

    def test_a_guest_that_answers_nothing_is_looked_at(self):
        self.assertEqual(
            'does not answer; its CPUs worked',
            self.look_at(mock.Mock(return_value='its CPUs worked')))

    def test_a_guest_that_cannot_be_looked_at(self):
        self.assertEqual(
            'does not answer; what it does cannot be seen: gone',
            self.look_at(mock.Mock(side_effect=remotes.HostError('gone'))))

    def test_a_guest_that_is_not_to_answer(self):
        (found,) = self.travel(watched=None, boot_ids={}).findings
        self.assertEqual((None, evidences.UNSEEN), (
            found.continuity, found.verdict.evidence.guest))
        self.assertTrue(found.good)

    def test_the_scheduler_chooses(self):
        self.cloud.live_migrate_server = mock.Mock(
            side_effect=lib_exc.Conflict(
                'no', resp=api_fakes.Response(409)))
        (found,) = self.travel(destination='').findings
        self.assertIsNone(
            self.cloud.live_migrate_server.call_args.kwargs['host'])
        self.assertEqual('', found.verdict.evidence.destination)

    def test_what_cannot_go_well_is_not_begun(self):
        for kwargs in ({'destination': 'alpha'}, {'destination': 'gamma'}):
            self.assertRaises(
                preflight.CannotMove, self.test.travel, self.trip(**kwargs))
        self.cloud.servers['server-0'] = builders.migrating(
            server_id='server-0')
        self.assertRaises(
            preflight.CannotMove, self.test.travel, self.trip())
        self.assertEqual([], self.cloud.asked)

    def test_what_is_left_over(self):
        self.cloud.list_allocations = lambda consumer: {'allocations': {}}
        (what,) = self.travel().left_over
        self.assertIn('allocations are on no host', what)


class ReportTest(BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            self.test, 'attach_console'))

    def report(self, *found, left_over=()):
        drained = drain.Drained(
            [each.attempt for each in found], [], 0, 20 * builders.S, 40, 0)
        self.test.report(tempest_base.Arrival(
            drained, found, left_over, records=[b'{"a": 1}', b'{"b": 2}']),
            'to-beta')

    def assert_attached(self):
        detail = self.test.getDetails()['to-beta']
        self.assertEqual(b'{"a": 1}\n{"b": 2}\n',
                         b''.join(detail.iter_bytes()))
        self.assertEqual('text/x-ndjson; charset="utf8"',
                         str(detail.content_type))

    def assert_bad(self, parts, *found, **kwargs):
        exc = self.assertRaises(
            self.test.failureException, self.report, *found, **kwargs)
        for part in parts:
            self.assertIn(part, str(exc))

    def test_a_good_one(self):
        self.report(builders.finding())
        self.assert_attached()
        self.test.attach_console.assert_not_called()

    def test_a_bad_one_fails_and_all_is_attached(self):
        known = builders.evidence(guest=evidences.Guest(True, 'a', 'b'))
        bad = builders.finding(known)
        self.assert_bad(
            ['started anew', 'Figures: '], builders.finding(), bad)
        self.assert_attached()
        self.test.attach_console.assert_called_once_with(
            bad.attempt.request.server_id)

    def test_what_is_left_over_fails_as_well(self):
        self.assert_bad(['Left over: a binding'], builders.finding(),
                        left_over=['a binding'])
        self.assert_attached()


class RoundTripTest(BaseTestCase):

    def setUp(self):
        super().setUp()
        self.trips = []
        self.seen = mock.Mock(
            breaks=(), lost=0, repeated=0, corrupt=0,
            last_sent=99, last_echoed=99)
        watched = mock.create_autospec(watch.Watch, instance=True)
        watched.finish.return_value = {'192.0.2.1': self.seen}
        self.test.create_guest = fakes.guest
        self.test.start_watch = lambda *guests: watched
        self.test.travel = self.trips.append
        self.test.report = lambda arrival, name: None
        self.run_test = getattr(self.test, TEST)

    def test_there_and_back(self):
        self.run_test()
        self.assertEqual(
            [('beta', True, {'server-0': 'boot-1'}),
             ('alpha', True, {'server-0': 'boot-1'})],
            [(trip.destination, trip.move.block_migration, trip.boot_ids)
             for trip in self.trips])

    def test_what_was_sent_last_has_to_come_back(self):
        self.seen.last_echoed = 98
        exc = self.assertRaises(self.test.failureException, self.run_test)
        self.assertIn('has not come back', str(exc))

    def test_the_connection_has_to_live(self):
        self.seen.breaks = builders.broken('reset')
        exc = self.assertRaises(self.test.failureException, self.run_test)
        self.assertIn('unharmed', str(exc))
