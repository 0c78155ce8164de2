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

import shutil
import subprocess
import unittest

from lab.services import base as services
from lab.services import hypervisors
from lab.tests.unit import base
from lab.topology import Topology

#: Writes two files as ssh-keygen does, and refuses to overwrite one.
KEYGEN = """\
printf '%s\\n' "$@" > {0}/arguments
while [ "$1" != -f ]; do [ "$1" = -C ] && comment=$2; shift; done
[ ! -e "$2" ] && [ ! -e "$2.pub" ] || exit 1
umask 077
echo $$ > "$2"
echo "ssh-ed25519 AAAA$$ $comment" > "$2.pub"
"""
TOPOLOGY = Topology(computes=2)


def mode_of(path):
    return path.stat().st_mode & 0o777


class TestMakeKeys(base.TestCase):

    def setUp(self):
        super().setUp()
        self.program('ssh-keygen', KEYGEN.format(self.folder))
        hypervisors.make_keys(self.layout, TOPOLOGY)
        self.keys = [self.layout.etc(host.name) / 'ssh_host_ed25519_key'
                     for host in TOPOLOGY.compute_hosts]

    def _public(self, path):
        return path.with_name(f'{path.name}.pub').read_text()

    def test_private_keys_are_for_their_owner_only(self):
        for path in (self.layout.ssh_key, *self.keys):
            self.assertEqual(0o600, mode_of(path))

    def test_everybody_has_a_key_of_their_own(self):
        texts = {path.read_text() for path in (self.layout.ssh_key,
                                               *self.keys)}
        self.assertEqual(3, len(texts))

    def test_hosts_let_the_user_in(self):
        for host in TOPOLOGY.compute_hosts:
            path = self.layout.etc(host.name) / 'authorized_keys'
            self.assertEqual(self._public(self.layout.ssh_key),
                             path.read_text())

    def test_hosts_are_known_by_name_and_address(self):
        lines = self.layout.known_hosts.read_text().splitlines()
        self.assertEqual(
            [f'{host.name},{host.address} {self._public(key).strip()}'
             for host, key in zip(TOPOLOGY.compute_hosts, self.keys,
                                  strict=True)], lines)

    def test_no_passphrase(self):
        words = (self.folder / 'arguments').read_text().split('\n')
        self.assertEqual('', words[words.index('-N') + 1])
        self.assertEqual('ed25519', words[words.index('-t') + 1])

    def test_another_cloud_has_other_keys(self):
        before = {path: path.read_text() for path in (
            self.layout.ssh_key, self.layout.known_hosts)}
        shutil.rmtree(self.layout.cloud)
        hypervisors.make_keys(self.layout, TOPOLOGY)
        for path, text in before.items():
            self.assertNotEqual(text, path.read_text())

    def test_failure_is_told(self):
        self.program('ssh-keygen', 'echo "no entropy" >&2; exit 1')
        message = self.refused(hypervisors.make_keys, self.layout, TOPOLOGY)
        self.assertIn('ssh-keygen', message)
        self.assertIn('no entropy', message)


class TestLibvirt(base.TestCase):

    def test_of_another_suite(self):
        made = services.Lab(self.layout, Topology(
            qemu_on='compute2=trixie-backports'))
        root = self.layout.userlands / 'trixie-backports'
        first, second = (each for each in made.services
                         if isinstance(each, hypervisors.Libvirt))
        for service, expected in (
                (first, ()), (second, ('/usr/sbin/chroot', str(root)))):
            service.configure()
            program, = service.programs()
            self.assertEqual((*expected, '/usr/sbin/libvirtd', '--listen'),
                             program.command)
            self.assertIs(bool(expected), self.layout.userland(
                service.host.name).is_symlink())
        self.assertEqual(root, self.layout.userland('compute2').readlink())


@unittest.skipUnless(shutil.which('ssh-keygen'), 'no ssh-keygen')
class TestRealKeys(base.TestCase):

    def test_host_is_found_by_name_and_address(self):
        hypervisors.make_keys(self.layout, TOPOLOGY)
        for known in ('compute2', '198.18.0.12'):
            found = subprocess.run(
                ['ssh-keygen', '-F', known, '-f', self.layout.known_hosts],
                capture_output=True, text=True, check=True).stdout
            key = (self.layout.etc('compute2') / 'ssh_host_ed25519_key.pub'
                   ).read_text().split()[1]
            self.assertIn(key, found)
        self.assertEqual(0o600, mode_of(self.layout.ssh_key))
