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
import stat

import fixtures
import paramiko

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import logins
from lm_tempest_plugin.operator import manifest
from lm_tempest_plugin.operator import marks
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.operator import fakes


class LoginsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.nova = self.access.connection.compute
        self.workspace = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        # Keys of 3072 bits take a while.
        self.useFixture(fixtures.MockPatchObject(logins, 'BITS', 1024))

    def provide(self):
        return logins.provide(self.access, self.workspace,
                              manifest.load(self.workspace, 'here'))

    def remove(self):
        return logins.remove(self.access, self.workspace,
                             manifest.load(self.workspace, 'here'))[0]

    def test_the_private_key_fits(self):
        made, _ = self.provide()
        path = self.workspace / logins.FILE
        self.assertTrue(made.new)
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        key = paramiko.RSAKey.from_private_key_file(str(path))
        self.assertIn(key.get_base64(),
                      self.nova.all_keypairs[marks.NAME].public_key)

    def test_a_second_time_nothing_is_made(self):
        self.provide()
        made, _ = self.provide()
        self.assertFalse(made.new)
        self.assertEqual(1, self.nova.keypair_writes)

    def test_a_lost_private_key_makes_another_pair(self):
        self.provide()
        old = self.nova.all_keypairs[marks.NAME].public_key
        (self.workspace / logins.FILE).unlink()
        self.assertTrue(self.provide()[0].new)
        self.assertNotEqual(
            old, self.nova.all_keypairs[marks.NAME].public_key)

    def test_one_of_somebody_else(self):
        self.nova.create_keypair(marks.NAME, 'ssh-rsa AAAA')
        exc = self.assertRaises(errors.OperatorError, self.provide)
        self.assertIn('was not made from this workspace', str(exc))
        self.assertEqual([], self.remove())
        self.assertIn(marks.NAME, self.nova.all_keypairs)

    def test_one_without_a_public_key(self):
        self.nova.create_keypair(marks.NAME, '')
        self.nova.all_keypairs[marks.NAME]._body.attributes.pop('public_key')
        self.assertEqual([], self.remove())
        self.assertIn(marks.NAME, self.nova.all_keypairs)

    def test_remove(self):
        self.provide()
        self.nova.create_keypair('other', 'ssh-rsa AAAA')
        self.assertEqual(['key pair live-migration-ha'], self.remove())
        self.assertEqual(['other'], list(self.nova.all_keypairs))
        self.assertFalse((self.workspace / logins.FILE).exists())
        self.assertEqual([], self.remove())
