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
from unittest import mock

import fixtures
from tempest.lib import exceptions as lib_exc
import testtools

from lm_tempest_plugin.cloud import progress
from lm_tempest_plugin.cloud import volumes
from lm_tempest_plugin.tests.live_migration_ha import base as tempest_base
from lm_tempest_plugin.tests.live_migration_ha import test_volumes
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.workloads import volume as workload

GUEST_ID = builders.server().server_id


class VolumesTestCase(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        namespace = types.SimpleNamespace
        self.conf.service_available = namespace(cinder=True)
        self.conf.volume = namespace(
            volume_type='', volume_size=1, build_timeout=10,
            build_interval=0, max_microversion='latest')
        self.conf.compute.image_ref = 'image-1'
        self.conf.compute.compute_volume_common_az = None
        self.conf.compute_feature_enabled.volume_backed_live_migration = True
        self.conf.resource_name_prefix = 'tempest'
        self.useFixture(fixtures.MonkeyPatch(
            '%s.CONF' % test_volumes.__name__, self.conf))


class SkipTest(VolumesTestCase):

    def assert_skipped(self, *parts):
        exc = self.assertRaises(
            testtools.TestCase.skipException,
            test_volumes.VolumesTest.skip_checks)
        for part in ('VolumesTest', *parts):
            self.assertIn(part, str(exc))

    def test_volumes_and_all_is_enabled(self):
        test_volumes.VolumesTest.skip_checks()

    def test_no_cinder(self):
        self.conf.service_available.cinder = False
        self.assert_skipped('[service_available] cinder is False')

    def test_no_microversions(self):
        self.conf.volume.max_microversion = None
        self.assert_skipped('[volume] max_microversion is not set')

    def test_no_live_migration(self):
        self.conf.compute_feature_enabled.live_migration = False
        self.assert_skipped('live_migration is False')

    def test_a_bad_value_does_not_hide_behind_a_skip(self):
        self.conf.service_available.cinder = False
        self.conf.live_migration_ha.max_outage = -1
        self.assertRaises(lib_exc.InvalidConfiguration,
                          test_volumes.VolumesTest.skip_checks)

    def test_it_measures_and_so_is_serial(self):
        self.assertTrue(
            test_volumes.VolumesTest.is_serial_execution_requested())


class TravelCase(VolumesTestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        self.owner = mock.Mock()
        self.owner.volumes_client_latest.create_volume.side_effect = (
            lambda **kwargs: self.note('create', {'volume': {'id': 'v'}}))
        kind = type('VolumesTest', (test_volumes.VolumesTest,), {
            'owner': self.owner, 'admin_volumes': mock.Mock(),
            'admin_attachments': mock.Mock(), 'microversion': '2.84',
            'servers_client': mock.Mock()})
        self.test = kind('test_with_volume_attached')
        self.test.attached = {}
        self.test.servers_client.attach_volume.side_effect = (
            lambda *args, **kwargs: self.note('attach'))
        guest = fakes.guest(server_id=GUEST_ID)
        for name, value in (
                ('_login', ('secret', {'keypair': {'name': 'k'}})),
                ('_security_group', {'name': 'g'})):
            setattr(self.test, name, value)
        for name, value in (
                ('_build', {'id': GUEST_ID}), ('_built', guest),
                ('choose_destination', 'beta'), ('read_boot_ids', {}),
                ('write_disks', {GUEST_ID: 'sum'}), ('start_watch', None),
                ('assert_unharmed', None), ('assert_disks', None),
                ('delete_guests', None), ('report', None)):
            setattr(self.test, name, mock.Mock(
                side_effect=self.noting(name), return_value=value))
        self.test.start_watch.return_value = mock.Mock()
        self.sums = iter(['one', 'one'])
        self.test._run_in = mock.Mock(side_effect=lambda guest, command: (
            self.note('run', next(self.sums))))
        # What is asked of cinder is tested with the functions that do it.
        self.wait = self.useFixture(fixtures.MockPatchObject(
            volumes, 'wait_for', side_effect=lambda client, volume_id, status,
            *_: self.note('wait for %s' % status))).mock
        self.deleted = self.useFixture(fixtures.MockPatchObject(
            volumes, 'delete', side_effect=lambda client, volume_id, *_: (
                self.note('delete %s' % volume_id)))).mock
        self.attachments = []
        self.useFixture(fixtures.MockPatchObject(
            volumes, 'list_attachments',
            side_effect=lambda *_: self.attachments))
        self.faults = []
        self.misplaced = self.useFixture(fixtures.MockPatchObject(
            volumes, 'misplaced', side_effect=lambda *_: self.faults)).mock
        self.trips = []
        self.useFixture(fixtures.MockPatchObject(
            tempest_base.LiveMigrationHaTest, 'travel',
            side_effect=self.travelled))

    def note(self, what, answer=None):
        self.events.append(what)
        return answer

    def noting(self, what):
        # The answer is the return value that is set beside it.
        return lambda *_, **__: self.note(what, mock.DEFAULT)

    def travelled(self, trip, *_):
        self.note('to %s' % trip.destination)
        self.trips.append(trip)
        found = [builders.finding(builders.evidence(
            server=builders.server(host=trip.destination)))]
        return tempest_base.Arrival(
            mock.Mock(), found, self.test.look_further(found))

    def assert_order(self, *events):
        places = [self.events.index(event) for event in events]
        self.assertEqual(sorted(places), places, self.events)


class AttachedTest(TravelCase):

    def test_there_and_back(self):
        self.test.test_with_volume_attached()
        self.assertEqual(['beta', 'alpha'],
                         [trip.destination for trip in self.trips])
        self.assertEqual([True, True],
                         [trip.measured for trip in self.trips])
        self.assert_order('create', 'wait for available', '_build', 'attach',
                          'wait for in-use', 'run', 'to beta', 'to alpha',
                          'assert_unharmed', 'assert_disks', 'delete_guests')
        self.test.servers_client.attach_volume.assert_called_once_with(
            GUEST_ID, volumeId='v')
        mib = self.conf.live_migration_ha.disk_mib
        self.assertEqual(
            [workload.write('v', mib), workload.read('v', mib)],
            [call.args[1] for call in self.test._run_in.call_args_list])

    def test_where_it_is_looked_for(self):
        self.test.test_with_volume_attached()
        self.assertEqual(
            [('v', GUEST_ID, 'beta'), ('v', GUEST_ID, 'alpha')],
            [call.args[2:] for call in self.misplaced.call_args_list])

    def test_what_is_misplaced_is_left_over(self):
        self.faults = ['volume v is elsewhere']
        self.test.test_with_volume_attached()
        for call in self.test.report.call_args_list:
            self.assertEqual(['volume v is elsewhere'],
                             call.args[0].left_over)

    def copied(self, gib, disk_gib):
        """Return what is said of a server of which so much was copied."""
        found = builders.finding(attempt=builders.attempt(
            server=builders.server(disk_gib=disk_gib)))
        found.attempt.add_sample(builders.REQUESTED_NS, progress.Progress(
            1, 1, 0, round(gib * builders.GIB), 0, 0))
        return self.test.look_further([found])

    def test_a_volume_that_was_copied(self):
        # It has one GiB; the first of each was booted from it.
        for gib, disk_gib in ((0.0, 0.0), (0.1, 0.0), (20.0, 20.0),
                              (20.1, 20.0), (0.0, 20.0)):
            self.assertEqual([], self.copied(gib, disk_gib))
        for gib, disk_gib in ((1.0, 0.0), (21.0, 20.0)):
            said, = self.copied(gib, disk_gib)
            self.assertIn('its volume was among them', said)

    def test_a_server_that_is_gone(self):
        self.test.attached = {GUEST_ID: ['v']}
        self.assertEqual([], self.test.look_further([
            builders.finding(builders.evidence(server=None))]))

    def test_what_is_read_is_not_what_was_written(self):
        self.sums = iter(['one', 'two'])
        exc = self.assertRaises(
            AssertionError, self.test.test_with_volume_attached)
        self.assertIn('from volume v', str(exc))

    def test_nothing_to_write(self):
        self.conf.live_migration_ha.disk_mib = 0
        self.test.test_with_volume_attached()
        self.test._run_in.assert_not_called()

    def test_an_attachment_that_stays(self):
        self.attachments = [volumes.Attachment(
            'one', 'v', GUEST_ID, 'detaching')]
        exc = self.assertRaises(
            AssertionError, self.test.test_with_volume_attached)
        self.assertIn('attachment one is detaching', str(exc))

    def test_the_volume_goes_whatever_happens(self):
        self.wait.side_effect = lib_exc.TimeoutException('creating')
        self.assertRaises(lib_exc.TimeoutException,
                          self.test.test_with_volume_attached)
        self.test.doCleanups()
        self.assertEqual(['create', 'delete v'], self.events)

    def test_a_volume_that_stays_fails_the_test(self):
        self.test.test_with_volume_attached()
        self.deleted.side_effect = lib_exc.BadRequest('in-use')
        # Each that fails is told once all have run.
        self.assertFalse(self.test.doCleanups())


class BootedTest(TravelCase):

    def test_its_disk_is_the_volume(self):
        self.test.test_booted_from_volume()
        kwargs = self.owner.volumes_client_latest.create_volume.call_args[1]
        self.assertEqual(('image-1', 1), (kwargs['imageRef'],
                                          kwargs['size']))
        (group, asked), _ = self.test._build.call_args
        self.assertEqual({'name': 'k'}, asked['keypair'])
        self.assertEqual('', asked['image_id'])
        mapping, = asked['block_device_mapping_v2']
        self.assertEqual(('v', 0, False), (
            mapping['uuid'], mapping['boot_index'],
            mapping['delete_on_termination']))
        self.assertNotIn('host', asked)
        self.assert_order('wait for available', '_build', 'write_disks',
                          'to beta', 'to alpha', 'assert_disks',
                          'delete_guests')
        self.assertEqual(2, self.misplaced.call_count)

    def test_figures_count_where_nobody_copies_disks(self):
        for storage, measured in (('shared', True), ('block', False),
                                  ('', False)):
            self.trips.clear()
            self.conf.live_migration_ha.storage = storage
            self.test.test_booted_from_volume()
            self.assertEqual([measured, measured],
                             [trip.measured for trip in self.trips])

    def test_not_where_it_is_not_supported(self):
        features = self.conf.compute_feature_enabled
        features.volume_backed_live_migration = False
        self.assertRaises(testtools.TestCase.skipException,
                          self.test.test_booted_from_volume)
        self.assertEqual([], self.events)

    def test_what_is_configured(self):
        self.conf.volume.volume_type = 'fast'
        self.conf.compute.compute_volume_common_az = 'zone'
        self.conf.compute.migration_source_host = 'alpha'
        self.test.test_booted_from_volume()
        kwargs = self.owner.volumes_client_latest.create_volume.call_args[1]
        self.assertEqual(('fast', 'zone'), (kwargs['volume_type'],
                                            kwargs['availability_zone']))
        self.assertEqual('alpha', self.test._build.call_args[0][1]['host'])
