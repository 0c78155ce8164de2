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
from tempest.lib.services.image.v2 import images_client
import testtools

from lm_tempest_plugin.tests.live_migration_ha import test_block_migration
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes


class BlockMigrationTest(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.test = self.new(test_block_migration.BlockMigrationTest,
                             'test_block_live_migration_round_trip')

    def test_there_and_back(self):
        self.passes(self.test)
        self.assertEqual(['beta', 'alpha'], [
            plan.destination for plan in self.plans])
        for plan in self.plans:
            self.assertIs(True, plan.options.block_migration)
            self.assertEqual(['boot-1'], [
                each.inspection.boot_id for each in plan.servers])
        # The second guest stays where it is.
        self.builder.write_disks.assert_called_once_with(self.guests[0])

    def test_the_last_message_has_to_come_back(self):
        self.streams['192.0.2.0'] = fakes.stream(last_echoed=98)
        self.fails(self.test, 'did not come back')

    def test_the_connection_has_to_live(self):
        self.streams['192.0.2.0'] = fakes.stream(breaks=('reset',))
        self.fails(self.test, 'the TCP connection broke')

    def test_a_problem_on_the_way_there_ends_it(self):
        self.problems = [fakes.problem()]
        self.fails(self.test, 'the verdict is stuck')
        self.assertEqual(1, len(self.plans))


class SkipTest(fakes.LiveMigrationHaTestCase):

    def assert_skipped(self, kind, text):
        exc = self.assertRaises(
            testtools.TestCase.skipException, kind.skip_checks)
        self.assertIn(f'{kind.__name__} skipped: {text}', str(exc))

    def test_no_block_migration(self):
        features = self.conf.compute_feature_enabled
        features.block_migration_for_live_migration = False
        for kind in (test_block_migration.BlockMigrationTest,
                     test_block_migration.ImageDeletedTest):
            self.assert_skipped(kind, '[compute-feature-enabled] '
                                'block_migration_for_live_migration is False')

    def test_no_glance(self):
        self.conf.service_available.glance = False
        test_block_migration.BlockMigrationTest.skip_checks()
        self.assert_skipped(test_block_migration.ImageDeletedTest,
                            '[service_available] glance is False')


class ImageDeletedTest(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.image = {
            'id': 'image-1', 'name': 'guest', 'status': 'active',
            'size': 13_000_000, 'visibility': 'public', 'checksum': 'c',
            'os_hash_value': 'h', 'self': '/v2/images/image-1', 'owner': 'o',
            'os_glance_importing_to_stores': '', 'kernel_id': None,
            'disk_format': 'qcow2', 'container_format': 'bare',
            'min_disk': 1, 'hw_disk_bus': 'virtio', 'os_distro': 'debian'}
        self.images = mock.create_autospec(
            images_client.ImagesClient, instance=True)
        self.images.show_image.side_effect = lambda image_id: self.image
        self.images.create_image.return_value = {'id': 'copy'}
        self.data = mock.Mock()
        self.data.read.side_effect = [b'first, ', b'last', b'']
        self.stored = []
        self.images.show_image_file.return_value = self.data
        self.owner.image_client_v2 = self.images
        self.images.store_image_file.side_effect = (
            lambda image_id, stream: self.stored.append(stream.read()))
        self.events = []
        for client, names in (
                (self.images, ('store_image_file', 'delete_image',
                               'wait_for_resource_deletion')),
                (self.builder, ('build', 'delete', 'write_disks'))):
            for name in names:
                method = getattr(client, name)
                method.side_effect = self.noting(
                    name, method.side_effect or mock.Mock())
        self.test = self.new(test_block_migration.ImageDeletedTest,
                             'test_image_deleted')

    def noting(self, name, function):
        def note(*args, **kwargs):
            self.events.append(name)
            return function(*args, **kwargs)

        return note

    def migrated(self, plan, clients, **kwargs):
        self.events.append('migrate')
        return super().migrated(plan, clients, **kwargs)

    def test_it_is_gone_before_the_migration(self):
        self.passes(self.test)
        self.assertEqual(
            ['store_image_file', 'build', 'build', 'delete', 'delete_image',
             'wait_for_resource_deletion', 'write_disks', 'migrate',
             # Its cleanup.
             'delete_image'], self.events)
        plan, = self.plans
        self.assertEqual(('beta', True, False), (
            plan.destination, plan.options.block_migration, plan.measured))
        self.assertEqual(['server-0'], [
            each.server_id for each in plan.servers])
        self.assertEqual([mock.call('copy'), mock.call('copy')],
                         self.images.delete_image.call_args_list)

    def test_the_destination_has_the_image_in_its_cache(self):
        self.passes(self.test)
        self.assertEqual(
            [mock.call(1, image_id='copy', host=''),
             mock.call(1, 'beta', image_id='copy')],
            self.builder.build.call_args_list)
        self.builder.delete.assert_called_once_with(self.guests[1])

    def test_nova_copies_it_from_the_source(self):
        self.conf.live_migration_ha.copies_images = True
        self.passes(self.test)
        self.builder.build.assert_called_once_with(
            1, image_id='copy', host='')
        self.builder.delete.assert_not_called()

    def test_the_copy_is_like_the_guest_image(self):
        self.passes(self.test)
        self.images.show_image.assert_called_once_with('image-1')
        kwargs = self.images.create_image.call_args.kwargs
        self.assertIn('ImageDeletedTest-image', kwargs.pop('name'))
        self.assertEqual(
            {'visibility': 'private', 'disk_format': 'qcow2',
             'container_format': 'bare', 'min_disk': 1,
             'hw_disk_bus': 'virtio', 'os_distro': 'debian'}, kwargs)
        self.images.show_image_file.assert_called_once_with(
            'image-1', chunked=True)
        self.images.store_image_file.assert_called_once_with(
            'copy', mock.ANY)
        self.assertEqual([b'first, last'], self.stored)

    def test_the_download_has_ended_before_the_upload(self):
        self.data.release_conn.side_effect = (
            lambda: self.events.append('downloaded'))
        self.passes(self.test)
        self.assertEqual(['downloaded', 'store_image_file'], self.events[:2])

    def test_a_download_that_fails(self):
        self.data.read.side_effect = lib_exc.ServerFault('cut off')
        self.fails(self.test, 'cut off')
        self.data.release_conn.assert_called_once_with()
        self.images.delete_image.assert_called_once_with('copy')

    def test_an_upload_that_fails(self):
        self.images.store_image_file.side_effect = lib_exc.ServerFault('full')
        self.fails(self.test, 'full')
        self.data.release_conn.assert_called_once_with()
        self.images.delete_image.assert_called_once_with('copy')

    def test_an_image_that_is_too_large(self):
        self.image['size'] = 5 * 2 ** 30
        self.skips(self.test, 'Image image-1 has 5.0 GiB')
        self.images.create_image.assert_not_called()

    def test_an_image_that_is_in_use(self):
        self.images.delete_image.side_effect = [
            lib_exc.Conflict('clones'), None]
        self.skips(self.test, 'glance does not delete an image in use',
                   'clones')
        self.assertEqual([], self.plans)

    def test_a_problem(self):
        self.problems = [fakes.problem()]
        self.fails(self.test, 'the verdict is stuck')
