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

from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import volumes
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.guests.workloads import volume as workload
from lm_tempest_plugin.migration import plan as plans
from lm_tempest_plugin.tests.live_migration_ha import test_volumes
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders


class SkipTest(fakes.LiveMigrationHaTestCase):

    def assert_skipped(self, *parts):
        exc = self.assertRaises(
            testtools.TestCase.skipException,
            test_volumes.VolumesTest.skip_checks)
        for part in ('VolumesTest', *parts):
            self.assertIn(part, str(exc))

    def test_volumes_and_everything_is_enabled(self):
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

    def test_a_skip_does_not_hide_a_bad_value(self):
        self.conf.service_available.cinder = False
        self.conf.live_migration_ha.max_outage = -1
        self.assertRaises(lib_exc.InvalidConfiguration,
                          test_volumes.VolumesTest.skip_checks)


class VolumesTestCase(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        self.owner.volumes_client_latest.create_volume.side_effect = (
            lambda **kwargs: self.note('create', {'volume': {'id': 'v'}}))
        for name in ('write_disks', 'start', 'delete'):
            getattr(self.builder, name).side_effect = self.noting(name)
        self.probes.finish.side_effect = lambda timeout_s: self.note(
            'finish', {each.address: fakes.stream() for each in self.guests})
        # Requests to cinder are tested with the functions that make them.
        self.wait = self.useFixture(fixtures.MockPatchObject(
            volumes, 'wait_for', side_effect=lambda client, volume_id, status,
            *_: self.note(f'wait for {status}'))).mock
        self.deleted = self.useFixture(fixtures.MockPatchObject(
            volumes, 'delete', side_effect=lambda client, volume_id, *_: (
                self.note(f'delete {volume_id}')))).mock
        self.attachments = []
        self.useFixture(fixtures.MockPatchObject(
            volumes, 'list_attachments',
            side_effect=lambda *_: self.attachments))

    def note(self, event, answer=None):
        self.events.append(event)
        return answer

    def noting(self, event):
        return lambda *_, **__: self.note(event)

    def build(self, number=1, host='', flavor='', **kwargs):
        return self.note('build', super().build(number, host, flavor))

    def migrated(self, plan, clients, **kwargs):
        self.note(f'to {plan.destination}')
        return super().migrated(plan, clients, **kwargs)

    def new_test(self, name):
        test = self.new(test_volumes.VolumesTest, name)
        test.servers_client.attach_volume.side_effect = self.noting('attach')
        return test

    def assert_order(self, *events):
        places = [self.events.index(event) for event in events]
        self.assertEqual(sorted(places), places, self.events)


class AttachedTest(VolumesTestCase):

    def setUp(self):
        super().setUp()
        self.test = self.new_test('test_with_volume_attached')

    def test_there_and_back(self):
        self.passes(self.test)
        self.assertEqual(['beta', 'alpha'],
                         [plan.destination for plan in self.plans])
        self.assertEqual([True, True],
                         [plan.measured for plan in self.plans])
        # The checks of the volume's attachment and copy look for these.
        self.assertEqual([('v',), ('v',)], [
            plan.servers[0].volumes for plan in self.plans])
        self.assert_order('create', 'wait for available', 'build', 'attach',
                          'wait for in-use', 'start', 'write_disks',
                          'to beta', 'to alpha', 'finish', 'delete',
                          'delete v')
        self.test.servers_client.attach_volume.assert_called_once_with(
            'server-0', volumeId='v')

    def test_the_volume_is_written(self):
        self.passes(self.test)
        guest, started = self.builder.start.call_args.args
        self.assertEqual(self.guests[0], guest)
        run = mock.Mock(return_value='sum')
        started.start(run)
        started.verify(run)
        mib = self.conf.live_migration_ha.disk_mib
        self.assertEqual(
            [workload.write('v', mib), workload.read('v', mib)],
            [call.args[0] for call in run.call_args_list])

    def test_a_volume_that_is_damaged(self):
        self.builder.verify.return_value = {
            'disk': '', 'volume': 'from volume v was read another sum'}
        self.fails(self.test, 'volume: from volume v')

    def test_a_volume_that_is_misplaced_or_was_copied(self):
        for check in ('volume-attachment', 'volume-copied'):
            self.problems = [fakes.problem(check, 'volume v')]
            self.fails(self.new_test('test_with_volume_attached'),
                       f'{check}: volume v')

    def test_nothing_to_write(self):
        self.conf.live_migration_ha.disk_mib = 0
        self.passes(self.test)
        self.builder.start.assert_not_called()

    def test_an_attachment_that_stays(self):
        self.attachments = [volumes.Attachment(
            'one', 'v', 'server-0', 'detaching')]
        self.fails(self.test, 'attachment one is detaching')

    def test_the_volume_is_deleted_come_what_may(self):
        self.wait.side_effect = lib_exc.TimeoutException('creating')
        self.fails(self.test, 'creating')
        self.assertEqual(['create', 'delete v'], self.events)

    def test_a_volume_that_stays_fails_the_test(self):
        self.deleted.side_effect = lib_exc.BadRequest('in-use')
        self.fails(self.test, 'in-use')


class BootedTest(VolumesTestCase):

    def new_booted(self):
        return self.new_test('test_booted_from_volume')

    def created(self):
        return self.owner.volumes_client_latest.create_volume.call_args.kwargs

    def built(self):
        return self.builder.build.call_args.kwargs

    def test_its_disk_is_the_volume(self):
        self.passes(self.new_booted())
        self.assertEqual(('image-1', 1), (
            self.created()['imageRef'], self.created()['size']))
        self.assertEqual(('', ''), (
            self.built()['image_id'], self.built()['host']))
        mapping, = self.built()['block_device_mapping_v2']
        self.assertEqual(('v', 0, False), (
            mapping['uuid'], mapping['boot_index'],
            mapping['delete_on_termination']))
        self.assert_order('wait for available', 'build', 'write_disks',
                          'to beta', 'to alpha', 'finish', 'delete')
        self.assertEqual([('v',), ('v',)], [
            plan.servers[0].volumes for plan in self.plans])

    def test_figures_count_where_nobody_copies_disks(self):
        for storage, measured in (('shared', True), ('block', False),
                                  ('', False)):
            self.plans.clear()
            self.conf.live_migration_ha.storage = storage
            self.passes(self.new_booted())
            self.assertEqual([measured, measured],
                             [plan.measured for plan in self.plans])

    def test_where_it_is_not_supported(self):
        features = self.conf.compute_feature_enabled
        features.volume_backed_live_migration = False
        self.skips(self.new_booted(),
                   'volume_backed_live_migration is False')
        self.assertEqual([], self.events)

    def test_configured_type_and_places(self):
        self.conf.volume.volume_type = 'fast'
        self.conf.compute.compute_volume_common_az = 'zone'
        self.conf.compute.migration_source_host = 'alpha'
        self.passes(self.new_booted())
        self.assertEqual(('fast', 'zone'), (
            self.created()['volume_type'],
            self.created()['availability_zone']))
        self.assertEqual('alpha', self.built()['host'])


class AbortedTest(VolumesTestCase):

    def setUp(self):
        super().setUp()
        self.engine.side_effect = self.polled
        self.useFixture(fixtures.MockPatchObject(
            migration_records, 'show_progress', autospec=True,
            return_value=builders.progress()))
        self.abort = self.useFixture(fixtures.MockPatchObject(
            migration_records, 'abort', autospec=True,
            side_effect=self.noting('abort'))).mock
        self.status = 'running'
        self.aborted = []
        self.test = self.new_test('test_abort_with_volume_attached')

    def polled(self, plan, clients, on_poll, aborted, **kwargs):
        """Call back as the engine does, and note the servers."""
        if on_poll:
            on_poll(builders.snapshot(1), [builders.migration(
                builders.snapshot(1, [builders.record(self.status)]))])
        self.aborted.append(list(aborted))
        return self.migrated(plan, clients, **kwargs)

    def test_aborted_and_repeated(self):
        self.passes(self.test)
        server_id = builders.server().server_id
        self.abort.assert_called_once_with(
            self.clients.servers, server_id, 7)
        # The first one has to be cancelled, and the second one completed.
        self.assertEqual([[server_id], []], self.aborted)
        options = self.conf.live_migration_ha
        self.assertEqual(
            [('beta', False, ('v',), plans.Bounds.of(options)),
             ('beta', False, ('v',), plans.Bounds.forced(options))],
            [(plan.destination, plan.measured, plan.servers[0].volumes,
              plan.bounds) for plan in self.plans])
        self.assertEqual(
            ['create', 'wait for available', 'build', 'attach',
             'wait for in-use', 'start', 'write_disks', 'start', 'abort',
             'to beta', 'to beta', 'finish', 'delete', 'wait for available',
             'delete v'], self.events)

    def test_the_guest_writes_volume_and_memory(self):
        self.passes(self.test)
        self.assertEqual([workload.VolumeWorkload, memory.MemoryWorkload], [
            type(call.args[1]) for call in self.builder.start.call_args_list])

    def test_a_volume_that_is_misplaced(self):
        self.problems = [fakes.problem('volume-attachment', 'volume v')]
        self.fails(self.test, 'volume-attachment: volume v')
        self.assertEqual(1, len(self.plans))

    def test_an_attachment_that_stays(self):
        self.attachments = [volumes.Attachment(
            'one', 'v', 'server-0', 'reserved')]
        self.fails(self.test, 'attachment one is reserved')

    def test_a_copy_that_was_too_fast(self):
        self.status = 'completed'
        self.skips(self.test, 'No migration was seen in the state')
        self.assertEqual(1, len(self.plans))

    def test_a_nova_that_does_not_recover(self):
        self.conf.live_migration_ha.recovers_from_failure = False
        self.skips(self.test, 'recovers_from_failure is False')
        self.assertEqual([], self.events)
