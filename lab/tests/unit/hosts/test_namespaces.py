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
import signal
import socket
import subprocess
import sys
from unittest import mock

from lab.hosts import namespaces
from lab.hosts import network
from lab.hosts import sandbox
from lab import layout
from lab.tests.unit import base


class TestMakeCompute(base.TestCase):

    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / 'run'
        self.run_folder.mkdir()
        self.patch(layout, 'RUN', self.run_folder)
        self.calls = self.folder / 'calls'

    def _end(self, pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def test_namespaces_are_those_of_the_keeper(self):
        self.program('unshare', f'echo $$ "$@" > {self.calls}\n'
                     "echo 'set up'; exec sleep 60 > /dev/null")
        with mock.patch('subprocess.Popen.__del__'):
            namespaces.make_compute(self.layout, 'compute1')
        links = {path.name: os.readlink(path) for path
                 in (self.run_folder / 'compute1').iterdir()}
        pid = int(pathlib.Path(links['net']).parts[2])
        self.addCleanup(self._end, pid)
        self.assertEqual({kind: f'/proc/{pid}/ns/{kind}'
                          for kind in ('net', 'mnt', 'uts')}, links)
        number, *said = self.calls.read_text().split()
        self.assertEqual(pid, int(number))
        for option in ('--net', '--mount', '--uts', 'private'):
            self.assertIn(option, said)
        # The host is in the lab's PID namespace, and ends with it.
        self.assertNotIn('--pid', said)
        self.assertEqual([sys.executable, '-m', 'lab.hosts.namespaces',
                          'compute', str(self.layout.root), 'compute1'],
                         said[-6:])

    def test_keeper_that_fails(self):
        for script in ('exit 1', 'echo something else'):
            self.program('unshare', script)
            message = self.refused(namespaces.make_compute, self.layout,
                                   'compute1')
            self.assertIn('compute1', message)
            self.assertEqual([], list(self.run_folder.iterdir()))


class TestBecomeCompute(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        for owner, name in ((namespaces, 'mount_private'),
                            (socket, 'sethostname'),
                            (network, 'loopback_up'), (os, 'dup2'),
                            (os, 'execvp')):
            self.patch(owner, name, self._recorder(name))
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.patch(sys, 'stdout', mock.Mock(**{
            'fileno.return_value': self.writer}))

    def _recorder(self, name):
        return lambda *args: self.events.append((name, *args))

    def test_says_so_last_and_stays(self):
        opened = []
        real = os.open
        self.patch(os, 'open', lambda *args: opened.append(real(*args))
                   or opened[-1])
        namespaces.become_compute(str(self.layout.root), 'compute1')
        for number in (self.writer, *opened):
            self.addCleanup(os.close, number)
        self.assertEqual(namespaces.SET_UP, os.read(self.reader, 100))
        self.assertEqual(('mount_private', self.layout, 'compute1'),
                         self.events[0])
        self.assertIn(('sethostname', 'compute1'), self.events)
        self.assertIn(('loopback_up',), self.events)
        self.assertEqual('execvp', self.events[-1][0])
        # Nobody waits any more for the end of its output.
        self.assertIn(('dup2', opened[0], self.writer), self.events)

    def test_failure_says_nothing(self):
        self.patch(namespaces, 'mount_private', side_effect=OSError)
        with self.assertRaises(OSError):
            namespaces.become_compute(str(self.layout.root), 'compute1')
        os.close(self.writer)
        self.assertEqual(b'', os.read(self.reader, 100))


class TestBecomeController(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        for owner, name in ((namespaces, 'mount_private'),
                            (socket, 'sethostname'),
                            (network, 'loopback_up'),
                            (network, 'allow_ping_sockets'), (os, 'execv')):
            self.patch(owner, name, self._recorder(name))

    def _recorder(self, name):
        return lambda *args: self.events.append((name, *args))

    def test_becomes_the_supervisor(self):
        namespaces.become_controller(str(self.layout.root),
                                     '/x/supervisord.conf')
        self.assertEqual(('mount_private', self.layout, 'controller'),
                         self.events[0])
        self.assertIn(('sethostname', 'controller'), self.events)
        self.assertIn(('loopback_up',), self.events)
        self.assertIn(('allow_ping_sockets',), self.events)
        name, program, arguments = self.events[-1]
        self.assertEqual('execv', name)
        self.assertEqual(self.layout.venv_bin('tempest', 'supervisord'),
                         program)
        # It is to stay the first process, so it must not go away.
        self.assertEqual([program, '--nodaemon', '--configuration',
                          '/x/supervisord.conf'], arguments)


class TestMountPrivate(base.TestCase):

    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / 'run'
        self.patch(layout, 'RUN', self.run_folder / 'lab')
        self.socket = self.run_folder / 'lab' / 'supervisor.sock'
        self.patch(layout, 'SUPERVISOR_SOCKET', self.socket)
        self.folders = namespaces.DAEMON_FOLDERS
        self.patch(namespaces, 'DAEMON_FOLDERS', (self.run_folder / 'ovn',))
        self.there = self.folder / 'var' / 'lib' / 'libvirt'
        self.there.mkdir(parents=True)
        self.absent = self.folder / 'var' / 'absent'
        self.patch(layout, 'PRIVATE', (str(self.there), str(self.absent)))
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
        namespaces.mount_private(self.layout, 'controller')
        self.assertEqual(
            [(f'lm-lab:{self.layout.root}', '/run'),
             (str(self.layout.etc('controller') / 'etc-hosts'),
              '/etc/hosts')], self.mounted)
        self.assertTrue((self.run_folder / 'lab').is_dir())
        self.assertTrue((self.run_folder / 'ovn').is_dir())
        # The supervisor makes it.
        self.assertFalse(self.socket.is_symlink())

    def test_userland_of_another_suite(self):
        root = self.layout.userlands / 'trixie'
        root.mkdir(parents=True)
        self.layout.cloud.mkdir(parents=True, exist_ok=True)
        link = self.layout.userland('compute2')
        link.parent.mkdir()
        link.symlink_to(root)
        for host, expected in (('compute1', False), ('compute2', True)):
            self.mounted.clear()
            shutil.rmtree(self.run_folder, ignore_errors=True)
            namespaces.mount_private(self.layout, host)
            targets = [target for _, target in self.mounted]
            self.assertIs(expected, f'{root}/proc' in targets)
        # After its own folders, which are seen there as well.
        self.assertLess(targets.index(str(self.layout.instances)),
                        targets.index(f'{root}{self.layout.cloud}'))

    def test_socket_of_the_supervisor_is_that_of_the_first_process(self):
        namespaces.mount_private(self.layout, 'compute1')
        self.assertEqual(f'/proc/1/root{self.socket}',
                         str(self.socket.readlink()))

    def test_folders_are_not_for_others_to_write(self):
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        namespaces.mount_private(self.layout, 'compute1')
        for name in ('lab', 'ovn'):
            self.assertEqual(
                0o755, (self.run_folder / name).stat().st_mode & 0o777)

    def test_sshd_has_its_folder(self):
        self.assertIn(pathlib.Path('/run/sshd'), self.folders)

    def test_mark_is_what_labs_are_recognised_by(self):
        namespaces.mount_private(self.layout, 'controller')
        proc = self.folder / 'proc'
        self.write(proc / '7' / 'mountinfo',
                   f'30 28 0:25 / /run rw - tmpfs {self.mounted[0][0]} rw\n')
        self.write(proc / '7' / 'status', 'NSpid:\t7\t1\n')
        self.assertEqual([sandbox.Process(7, self.layout.root, True)],
                         list(sandbox.processes(proc)))

    def test_compute(self):
        namespaces.mount_private(self.layout, 'compute1')
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
            namespaces.mount_private(self.layout, host)
            self.assertIn((str(own), '/etc/ceph'), self.mounted)
            shutil.rmtree(self.run_folder)

    def test_what_a_package_lacks_is_left_out(self):
        namespaces.mount_private(self.layout, 'compute1')
        self.assertNotIn(str(self.absent),
                         [target for _, target in self.mounted])
        self.assertFalse(self.absent.exists())

    def test_hosts_do_not_share_data(self):
        sources = {}
        for host in ('compute1', 'compute2'):
            self.mounted = []
            namespaces.mount_private(self.layout, host)
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
            namespaces.mount_private(self.layout, 'controller')
