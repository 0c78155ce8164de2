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
import shutil
import subprocess

from lab.hosts import mounts
from lab.hosts import sandbox
from lab import layout as layouts
from lab.tests.unit import base


class TestMake(base.TestCase):

    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / 'run'
        self.patch(layouts, 'RUN', self.run_folder / 'lab')
        self.socket = self.run_folder / 'lab' / 'supervisor.sock'
        self.patch(layouts, 'SUPERVISOR_SOCKET', self.socket)
        self.folders = mounts.DAEMON_FOLDERS
        self.patch(mounts, 'DAEMON_FOLDERS', (self.run_folder / 'ovn',))
        self.there = self.folder / 'var' / 'lib' / 'libvirt'
        self.there.mkdir(parents=True)
        self.absent = self.folder / 'var' / 'absent'
        self.patch(layouts, 'PRIVATE', (str(self.there), str(self.absent)))
        self.mounted = []
        self.patch(subprocess, 'run', self._mount)
        for host in ('controller', 'compute1', 'compute2'):
            etc = self.layout.etc(host)
            self.write(etc / 'etc-hosts')
            self.write(etc / 'nova.conf')
        self.write(self.layout.etc('compute1') / 'etc-passwd')

    def _mount(self, command, check):
        self.assertTrue(check)
        self.assertEqual('mount', command[0])
        *options, source, target = command[1:]
        if '--bind' in options:
            self.assertTrue(pathlib.Path(source).exists(), source)
        if target == '/run':
            # An empty file system, as a new tmpfs is.
            self.run_folder.mkdir()
        self.mounted.append((source, target))

    def test_controller(self):
        mounts.make(self.layout, 'controller')
        self.assertEqual(
            [(f'lm-lab:{self.layout.root}', '/run'),
             (str(self.layout.etc('controller') / 'etc-hosts'),
              '/etc/hosts')], self.mounted)
        self.assertTrue((self.run_folder / 'lab').is_dir())
        self.assertTrue((self.run_folder / 'ovn').is_dir())
        # The supervisor makes it.
        self.assertFalse(self.socket.is_symlink())

    def test_socket_of_the_supervisor_is_that_of_the_first_process(self):
        mounts.make(self.layout, 'compute1')
        self.assertEqual(f'/proc/1/root{self.socket}',
                         str(self.socket.readlink()))

    def test_folders_are_not_for_others_to_write(self):
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        mounts.make(self.layout, 'compute1')
        for name in ('lab', 'ovn'):
            self.assertEqual(
                0o755, (self.run_folder / name).stat().st_mode & 0o777)

    def test_sshd_has_its_folder(self):
        self.assertIn(pathlib.Path('/run/sshd'), self.folders)

    def test_mark_is_what_labs_are_recognised_by(self):
        mounts.make(self.layout, 'controller')
        proc = self.folder / 'proc'
        self.write(proc / '7' / 'mountinfo',
                   f'30 28 0:25 / /run rw - tmpfs {self.mounted[0][0]} rw\n')
        self.write(proc / '7' / 'status', 'NSpid:\t7\t1\n')
        self.assertEqual([sandbox.Process(7, self.layout.root, True)],
                         list(sandbox.processes(proc)))

    def test_compute(self):
        mounts.make(self.layout, 'compute1')
        targets = [target for _, target in self.mounted]
        self.assertEqual('/run', targets[0])
        self.assertEqual(
            {'/run', '/etc/hosts', '/etc/passwd', '/sys', str(self.there),
             str(self.layout.instances)}, set(targets))
        self.assertEqual(len(targets), len(set(targets)))

    def test_ceph(self):
        for host in ('controller', 'compute1'):
            self.mounted = []
            own = self.layout.ceph(host)
            own.mkdir()
            mounts.make(self.layout, host)
            self.assertIn((str(own), '/etc/ceph'), self.mounted)
            shutil.rmtree(self.run_folder)

    def test_what_a_package_lacks_is_left_out(self):
        mounts.make(self.layout, 'compute1')
        self.assertNotIn(str(self.absent),
                         [target for _, target in self.mounted])
        self.assertFalse(self.absent.exists())

    def test_hosts_do_not_share_data(self):
        sources = {}
        for host in ('compute1', 'compute2'):
            self.mounted = []
            mounts.make(self.layout, host)
            sources[host] = {source for source, target in self.mounted
                             if target not in ('/run', '/sys')}
            shutil.rmtree(self.run_folder)
            # Instances have one path on all hosts, and a folder on each.
            self.assertIn((str(self.layout.data(host) / 'instances'),
                           str(self.layout.instances)), self.mounted)
        self.assertEqual(set(), sources['compute1'] & sources['compute2'])

    def test_refused_mount(self):
        self.patch(subprocess, 'run',
                   side_effect=subprocess.CalledProcessError(32, 'mount'))
        with self.assertRaises(subprocess.CalledProcessError):
            mounts.make(self.layout, 'controller')
