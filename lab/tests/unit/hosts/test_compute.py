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
import signal
import socket
import sys
from unittest import mock

from lab.hosts import compute
from lab.hosts import mounts
from lab.hosts import network
from lab import layout as layouts
from lab.tests.unit import base


class TestMake(base.TestCase):

    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / 'run'
        self.run_folder.mkdir()
        self.patch(layouts, 'RUN', self.run_folder)
        self.calls = self.folder / 'calls'

    def _end(self, pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def test_namespaces_are_those_of_the_keeper(self):
        self.program('unshare', f'echo $$ "$@" > {self.calls}\n'
                     "echo 'set up'; exec sleep 60 > /dev/null")
        with mock.patch('subprocess.Popen.__del__'):
            compute.make(self.layout, 'compute1')
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
        self.assertEqual([sys.executable, '-m', 'lab.hosts.compute',
                          str(self.layout.root), 'compute1'], said[-5:])

    def test_keeper_that_fails(self):
        for script in ('exit 1', 'echo something else'):
            self.program('unshare', script)
            message = self.refused(compute.make, self.layout, 'compute1')
            self.assertIn('compute1', message)
            self.assertEqual([], list(self.run_folder.iterdir()))


class TestMain(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        for owner, name in ((mounts, 'make'), (socket, 'sethostname'),
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
        compute.main(str(self.layout.root), 'compute1')
        for number in (self.writer, *opened):
            self.addCleanup(os.close, number)
        self.assertEqual(compute.SET_UP, os.read(self.reader, 100))
        self.assertEqual(('make', self.layout, 'compute1'), self.events[0])
        self.assertIn(('sethostname', 'compute1'), self.events)
        self.assertIn(('loopback_up',), self.events)
        self.assertEqual('execvp', self.events[-1][0])
        # Nobody waits any more for the end of what it prints.
        self.assertIn(('dup2', opened[0], self.writer), self.events)

    def test_failure_says_nothing(self):
        self.patch(mounts, 'make', side_effect=OSError)
        with self.assertRaises(OSError):
            compute.main(str(self.layout.root), 'compute1')
        os.close(self.writer)
        self.assertEqual(b'', os.read(self.reader, 100))
