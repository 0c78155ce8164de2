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

import pathlib

import fixtures

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import images
from lm_tempest_plugin.operator import marks
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.operator import fakes


class ImagesTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.glance = self.access.connection.image
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def file(self, name, content=b'QFI\xfb and so on'):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def provide(self, wanted='', user=''):
        return images.provide(self.access, wanted, user)

    def refused(self, wanted=''):
        exc = self.assertRaises(errors.OperatorError, self.provide, wanted)
        self.assertEqual([], self.glance.uploaded)
        return str(exc)

    def add(self, name, **attributes):
        return self.glance.all_images.add(name=name, **{
            'status': 'active', 'visibility': 'public', **attributes})

    def test_a_file_is_uploaded(self):
        found = self.provide(self.file('guest.img'), 'me')
        image = self.glance.all_images[found.made.identifier]
        self.assertTrue(found.made.new)
        self.assertEqual(
            ('live-migration-ha-guest', 'qcow2', 'community', [marks.TAG],
             'me'),
            (image.name, image.disk_format, image.visibility, image.tags,
             image.os_admin_user))

    def test_a_second_time_it_is_not(self):
        first = self.provide(self.file('guest.img'))
        second = self.provide(self.file('renamed.img'))
        self.assertEqual(1, len(self.glance.uploaded))
        self.assertFalse(second.made.new)
        self.assertEqual(first.made.identifier, second.made.identifier)

    def test_another_file_is_another_image(self):
        self.provide(self.file('guest.img'))
        found = self.provide(self.file('guest.img', b'raw bytes'))
        self.assertTrue(found.made.new)
        self.assertEqual('raw', self.glance.all_images[
            found.made.identifier].disk_format)

    def test_an_upload_that_was_cut_off_is_not_used(self):
        self.provide(self.file('guest.img'))
        image, = self.glance.all_images.values()
        image._body.attributes['status'] = 'saving'
        self.assertTrue(self.provide(self.file('guest.img')).made.new)

    def test_files_that_are_no_images(self):
        self.assertIn('is empty', self.refused(self.file('a', b'')))
        self.assertIn('is compressed (gzip)',
                      self.refused(self.file('b', b'\x1f\x8b\x08')))
        self.assertIn('is compressed (xz)',
                      self.refused(self.file('c', b'\xfd7zXZ\x00')))

    def test_a_file_that_cannot_be_read(self):
        # Not even root reads the first page of a process.
        self.assertIn('cannot be read: ', self.refused('/proc/self/mem'))

    def test_neither_file_nor_image(self):
        self.assertEqual(
            'there is no file no.img, and cloud here has no image of that '
            'name or id', self.refused('no.img'))

    def test_by_name_and_by_id(self):
        image = self.add('mine')
        for wanted in ('mine', image.id):
            found = self.provide(wanted)
            self.assertEqual(image.id, found.made.identifier)
            self.assertFalse(found.made.new)

    def test_a_name_of_two(self):
        self.add('mine')
        self.add('mine')
        self.assertIn('several images are called mine',
                      self.refused('mine'))

    def test_images_that_guests_cannot_have(self):
        self.add('mine', visibility='private')
        self.add('slow', status='queued')
        self.assertIn('image mine is private', self.refused('mine'))
        self.assertIn('image slow is queued, not active',
                      self.refused('slow'))

    def test_the_one_of_before(self):
        first = self.provide(self.file('guest.img'))
        self.add('other')
        self.assertEqual(first.made.identifier,
                         self.provide().made.identifier)

    def test_none_given(self):
        self.assertIn('there is none', self.refused())
        self.add('cirros')
        self.assertIn('with --image; there are: cirros', self.refused())

    def test_two_of_before(self):
        for content in (b'one', b'two'):
            self.provide(self.file('guest.img', content))
        exc = self.assertRaises(errors.OperatorError, self.provide)
        self.assertIn('which image', str(exc))

    def test_who_logs_in(self):
        self.add('Debian 12', min_disk=2, min_ram=256)
        self.add('plain')
        self.add('said', os_admin_user='boss')
        self.add('distro', os_distro='ubuntu')
        for wanted, user in (('Debian 12', 'debian'), ('plain', 'root'),
                             ('said', 'boss'), ('distro', 'ubuntu')):
            self.assertEqual(user, self.provide(wanted).user)
            self.assertIn('as %s' % user, self.provide(wanted).made.remark)
        self.assertEqual('x', self.provide('said', 'x').user)
        found = self.provide('Debian 12')
        self.assertEqual((2, 256), (found.min_disk_gib, found.min_ram_mib))

    def test_what_a_volume_has_to_hold(self):
        for wanted, attributes in (
                (1, {}), (1, {'size': 1000}), (2, {'size': 2 ** 30 + 1}),
                (3, {'size': 5, 'virtual_size': 3 * 2 ** 30}),
                (7, {'size': 5, 'min_disk': 7})):
            image = self.add('sized', **attributes)
            self.assertEqual(wanted, self.provide(image.id).size_gib)
