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
import sys
import time

import fixtures

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import running
from lm_tempest_plugin.tests.unit import base

# A child with a child of its own, as `tempest run` and the tests.
PARENT = """
import subprocess, sys
code = subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()
print('below ended with', code, flush=True)
sys.exit(1 if code else 0)
"""
# Says that it was told to end, deletes something for a while, and ends.
CHILD = """
import signal, time
def told(number, frame):
    print('told', flush=True)
    time.sleep(0.2)
    raise SystemExit(3)
signal.signal(signal.SIGINT, told)
print('ready', flush=True)
time.sleep(60)
"""
# Takes no notice of anything.
DEAF = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(60)
"""


class RunTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.log = self.folder / 'log'

    def start(self, *arguments):
        run = running.Run([sys.executable, '-c', *arguments], self.folder,
                          {**os.environ, 'WORD': 'seen'}, self.log)
        self.addCleanup(run.kill, 0)
        return run

    def await_text(self, text):
        deadline = time.monotonic() + 20
        while text not in self.log.read_text():
            self.assertTrue(time.monotonic() < deadline,
                            self.log.read_text())
            time.sleep(0.02)

    def test_ends_by_itself(self):
        run = self.start('import os; print(os.environ["WORD"], os.getcwd());'
                         'raise SystemExit(7)')
        self.assertEqual(7, run.wait(20))
        self.assertEqual('seen %s\n' % self.folder, self.log.read_text())

    def test_goes_on(self):
        self.assertIsNone(self.start('import time; time.sleep(60)').wait(
            0.05))

    def test_a_group_of_its_own(self):
        run = self.start('import os; print(os.getpgrp() == os.getpid())')
        run.wait(20)
        self.assertEqual('True\n', self.log.read_text())

    def test_told_to_end_are_those_below(self):
        run = self.start(PARENT, CHILD)
        self.await_text('ready')
        run.interrupt()
        self.assertEqual(1, run.wait(20))
        # Who started them has seen how they ended.
        self.assertEqual('ready\ntold\nbelow ended with 3\n',
                         self.log.read_text())

    def test_one_without_others_below(self):
        run = self.start(CHILD)
        self.await_text('ready')
        run.interrupt()
        self.assertEqual(3, run.wait(20))

    def test_kill_ends_all(self):
        run = self.start(PARENT, DEAF)
        self.await_text('ready')
        group = run._child.pid
        self.assertEqual(2, len(running.members(group)))
        run.kill(0.1)
        deadline = time.monotonic() + 10
        while running.members(group) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual([], running.members(group))
        self.assertIn(run.wait(0), (-signal.SIGTERM, -signal.SIGKILL))
        run.interrupt()

    def test_what_cannot_be_started(self):
        exc = self.assertRaises(
            errors.OperatorError, running.Run, ['/no/such'], self.folder,
            {}, self.log)
        self.assertIn('/no/such cannot be started', str(exc))

    def test_command(self):
        found = running.command('a.*b', 'c')
        self.assertEqual(sys.executable, found[0])
        self.assertEqual(['--regex', 'a.*b', '--exclude-regex', 'c'],
                         found[-4:])
        self.assertNotIn('--exclude-regex', running.command('a'))

    def test_environment(self):
        found = running.environment(pathlib.Path('/w/etc/verify.conf'))
        self.assertEqual(('/w/etc', 'verify.conf'), (
            found['TEMPEST_CONFIG_DIR'], found['TEMPEST_CONFIG']))
