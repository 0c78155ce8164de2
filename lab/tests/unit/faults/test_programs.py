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
import subprocess
import time
import types
from unittest import mock

from supervisor import datatypes

from lab.faults import programs
from lab.tests.unit import base

CONF = """[program:a]
command = one
environment = PATH="/bin:/sbin",NAME="a b"
autostart = false

[program:ab]
command = two
environment = PATH="/bin"
"""


class TestPrograms(base.TestCase):

    def setUp(self):
        super().setUp()
        self.supervisor = self.patch(programs, 'supervisor').return_value
        # As the supervisor does it: a group of its own, with a worker.
        self.process = subprocess.Popen(
            ['sh', '-c', 'sleep 60 & echo $!; wait'], process_group=0,
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self._end)
        self.worker = int(self.process.stdout.readline())
        self.supervisor.state.side_effect = lambda name: (
            types.SimpleNamespace(up=name != 'down', pid={
                'worker': self.worker}.get(name, self.process.pid)))

    def _end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def test_pause(self):
        self.assertFalse(programs.paused('a'))
        programs.pause('a')
        self.assertEqual(['T', 'T'], self._states())
        self.assertTrue(programs.paused('a'))
        for _ in range(2):
            programs.resume('a')
            self.assertFalse(programs.paused('a'))
            self.assertNotIn('T', self._states())

    def test_one_process_goes_on(self):
        programs.pause('a')
        os.kill(self.worker, signal.SIGCONT)
        self.assertFalse(programs.paused('a'))

    def _states(self):
        return [pathlib.Path(f'/proc/{pid}/stat').read_text().split()[2]
                for pid in (self.process.pid, self.worker)]

    def test_kill(self):
        programs.kill('worker')
        self.assertEqual(0, self.process.wait(10))

    def test_not_up(self):
        for act in (programs.kill, programs.pause, programs.resume):
            self.assertEqual('down is not up.', self.refused(act, 'down'))

    def test_for_a_while(self):
        done = []
        programs.for_a_while(0.01, lambda: done.append('begin'),
                             lambda: done.append('end'))
        self.assertEqual('begin', done[0])
        deadline = time.monotonic() + 10
        while done[-1] != 'end' and time.monotonic() < deadline:
            time.sleep(0.001)
        self.assertEqual(['begin', 'end'], done)


class TestVariables(base.TestCase):

    def setUp(self):
        super().setUp()
        self.supervisor = self.patch(programs, 'supervisor').return_value
        self.conf = self.write(self.folder / 'supervisord.conf', CONF)

    def _environments(self):
        return [datatypes.dict_of_key_value_pairs(line.partition(' = ')[2])
                for line in self.conf.read_text().splitlines()
                if line.startswith('environment')]

    def test_set_again_and_unset(self):
        for variables in ({'X': '-600s', 'Y': '/a.so'}, {'X': '1'}):
            programs.set_variables(self.conf, ['a'], variables)
            self.assertEqual(
                [{'PATH': '/bin:/sbin', 'NAME': 'a b', **variables},
                 {'PATH': '/bin'}], self._environments())
        for _ in range(2):
            programs.set_variables(self.conf, ['a'], {})
        self.assertEqual(CONF, self.conf.read_text())
        self.assertEqual([mock.call(['a'])] * 3,
                         self.supervisor.reread.mock_calls)
