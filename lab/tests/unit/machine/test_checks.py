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

import os
import pathlib
import platform
import shutil
import sys
import types

from lab import layout
from lab.machine import checks
from lab.tests.unit import base

DEBIAN = {'ID': 'debian', 'PRETTY_NAME': 'Debian GNU/Linux 12 (bookworm)'}
UBUNTU = {'ID': 'ubuntu', 'ID_LIKE': 'debian', 'PRETTY_NAME': 'Ubuntu 24.04'}
MINT = {'ID': 'linuxmint', 'ID_LIKE': 'ubuntu debian'}
FEDORA = {'ID': 'fedora', 'PRETTY_NAME': 'Fedora Linux 43'}


class TestCase(base.TestCase):

    def refusal(self, check, *args):
        """Return the refusal of a check: one sentence with the remedy."""
        message = self.refused(check, *args)
        self.assert_sentence(message)
        self.assertIn(':', message)
        return message


class TestRoot(TestCase):

    def test_root(self):
        self.patch(os, 'geteuid', return_value=0)
        checks.root()

    def test_somebody(self):
        self.patch(os, 'geteuid', return_value=1000)
        self.assertIn('as root', self.refusal(checks.root))


class TestSystem(TestCase):

    def setUp(self):
        super().setUp()
        self.release = self.patch(platform, 'freedesktop_os_release',
                                  return_value=DEBIAN)
        self.which = self.patch(shutil, 'which',
                                return_value='/usr/bin/apt-get')
        self.patch(sys, 'version_info', (3, 11, 2))

    def test_debian_and_its_descendants(self):
        for release in (DEBIAN, UBUNTU, MINT):
            self.release.return_value = release
            checks.system()

    def test_other_system(self):
        self.release.return_value = FEDORA
        message = self.refusal(checks.system)
        self.assertIn('Fedora Linux 43', message)
        self.assertIn('use Debian 12', message)

    def test_unknown_system(self):
        self.release.side_effect = FileNotFoundError
        self.assertIn('an unknown system', self.refusal(checks.system))

    def test_debian_without_apt(self):
        self.which.return_value = None
        self.assertIn('Debian packages', self.refusal(checks.system))

    def test_old_python(self):
        self.patch(sys, 'version_info', (3, 10, 12))
        message = self.refusal(checks.system)
        self.assertIn('Python 3.11', message)
        self.assertIn(sys.executable, message)

    def test_new_python(self):
        self.patch(sys, 'version_info', (4, 0, 0))
        checks.system()


class TestStateFolder(TestCase):

    def test_new_empty_and_used(self):
        checks.state_folder(self.layout)
        self.layout.root.mkdir()
        checks.state_folder(self.layout)
        for path in (self.layout.venvs, self.layout.cache, self.layout.cloud,
                     self.layout.log, self.layout.workspace,
                     self.layout.root / 'install'):
            path.mkdir()
        for path in (self.layout.lock, self.layout.secrets):
            path.touch()
        checks.state_folder(self.layout)

    def test_temporary_file_that_a_killed_command_left(self):
        self.write(self.layout.root / '.secrets.json.x1y2z3')
        checks.state_folder(self.layout)

    def test_long_path(self):
        fits = pathlib.Path('/' + 'x' * (layout.MAX_ROOT_LENGTH - 1))
        checks.state_folder(layout.Layout(fits))
        message = self.refusal(
            checks.state_folder, layout.Layout(fits.with_name(
                fits.name + 'x')))
        self.assertIn('LM_LAB_DIR', message)
        self.assertIn(f'{layout.MAX_ROOT_LENGTH + 1} bytes', message)

    def test_length_is_that_of_bytes(self):
        longest = layout.MAX_ROOT_LENGTH
        name = '\u00e9' * (longest // 2) + 'x' * (longest % 2)
        message = self.refusal(checks.state_folder,
                               layout.Layout(pathlib.Path('/', name)))
        self.assertIn(f'{longest + 1} bytes', message)

    def test_characters_that_configuration_files_interpret(self):
        for character in ' %$#;:,"\'\\{}[]*?!&|<>()`~':
            root = pathlib.Path(f'/srv/a{character}b')
            message = self.refusal(checks.state_folder, layout.Layout(root))
            self.assertIn(str(root), message)
            self.assertIn('LM_LAB_DIR', message)
        for name in ('a\nb', 'a\n', os.fsdecode(b'a\xff')):
            self.refused(checks.state_folder,
                         layout.Layout(pathlib.Path('/srv', name)))
        for name in ('a-b_c.d', 'a+b@c=d', 'A1', '\u00e9'):
            checks.state_folder(layout.Layout(pathlib.Path('/srv', name)))

    def test_hidden_by_the_labs_own_mounts(self):
        for root in ('/run', '/run/lab', '/run/user/0/x', '/sys/x',
                     '/etc/libvirt', '/etc/openvswitch/x',
                     '/var/lib/libvirt/lab', '/var/lib/openvswitch/x',
                     '/var/cache/libvirt/x', '/var/log/libvirt/x'):
            message = self.refusal(checks.state_folder,
                                   layout.Layout(pathlib.Path(root)))
            self.assertIn('LM_LAB_DIR', message)
        for root in ('/runaway/lab', '/var/lib/libvirt-lab', '/etc/lab'):
            checks.state_folder(layout.Layout(pathlib.Path(root)))

    def test_not_a_folder(self):
        self.layout.root.write_text('mine')
        message = self.refusal(checks.state_folder, self.layout)
        self.assertIn(str(self.layout.root), message)
        self.assertEqual('mine', self.layout.root.read_text())

    def test_strange_content(self):
        for name in ('venvs', 'thesis.tex', 'zebra'):
            self.write(self.layout.root / name)
        message = self.refusal(checks.state_folder, self.layout)
        self.assertIn("'thesis.tex'", message)
        self.assertIn('LM_LAB_DIR', message)

    def test_strange_content_with_a_dot_before_its_name(self):
        for name in ('.ssh', '.git', '.bashrc', '.lockfile'):
            path = self.write(self.layout.root / name)
            self.assertIn(f"'{name}'", self.refusal(checks.state_folder,
                                                    self.layout))
            path.unlink()


class TestDisk(TestCase):

    def setUp(self):
        super().setUp()
        self.asked = []
        self.free = 3 * checks.GIB
        self.patch(shutil, 'disk_usage', lambda folder: (
            self.asked.append(folder),
            types.SimpleNamespace(free=self.free))[1])

    def test_enough(self):
        checks.disk(self.layout, 3 * checks.GIB)

    def test_too_little(self):
        message = self.refusal(checks.disk, self.layout, 4 * checks.GIB)
        self.assertIn('has 3.0 GiB free and the lab needs 4 GiB', message)

    def test_asks_the_disk_that_will_hold_it(self):
        checks.disk(self.layout, 0)
        self.assertEqual([self.folder], self.asked)
        self.layout.root.mkdir()
        checks.disk(self.layout, 0)
        self.assertEqual(self.layout.root, self.asked[-1])


class TestMemory(TestCase):

    def setUp(self):
        super().setUp()
        self.patch(pathlib.Path, 'read_text', lambda path, *_, **__: (
            f'MemTotal: 99999999 kB\nMemFree: 1 kB\n'
            f'MemAvailable:   {self.available // 1024} kB\n'))

    def test_enough(self):
        self.available = (checks.MEMORY_CONTROL_PLANE
                          + 2 * checks.MEMORY_COMPUTE)
        checks.memory(2)

    def test_too_little(self):
        self.available = (checks.MEMORY_CONTROL_PLANE
                          + 2 * checks.MEMORY_COMPUTE)
        message = self.refusal(checks.memory, 3)
        self.assertIn('3 compute hosts need 6 GiB', message)
        self.assertIn('--computes', message)

    def test_ceph_needs_more(self):
        self.available = (checks.MEMORY_CONTROL_PLANE
                          + 2 * checks.MEMORY_COMPUTE)
        message = self.refusal(checks.memory, 2, True)
        self.assertIn('2 compute hosts with Ceph need 6 GiB', message)
        self.available += checks.MEMORY_CEPH
        checks.memory(2, True)

    def test_volumes_need_more(self):
        self.available = (checks.MEMORY_CONTROL_PLANE + checks.MEMORY_CEPH
                          + 2 * checks.MEMORY_COMPUTE)
        message = self.refusal(checks.memory, 2, True, True)
        self.assertIn('2 compute hosts with Ceph and volumes need 7 GiB',
                      message)
        self.available += checks.MEMORY_VOLUMES
        checks.memory(2, True, True)

    def test_heat_needs_more(self):
        self.available = (checks.MEMORY_CONTROL_PLANE
                          + 2 * checks.MEMORY_COMPUTE)
        message = self.refusal(checks.memory, 2, False, False, True)
        self.assertIn('2 compute hosts and Heat need 5.5 GiB', message)
        self.available += checks.MEMORY_HEAT
        checks.memory(2, heat=True)
