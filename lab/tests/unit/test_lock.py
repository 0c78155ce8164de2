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

import fcntl
import os
import subprocess
import sys

from lab import errors
from lab import layout
from lab import lock
from lab.tests.unit import base


class TestHeld(base.TestCase):

    def test_second_holder_is_refused(self):
        with lock.held(self.layout):
            message = self.refused(lock.held(self.layout).__enter__)
        self.assertIn(f'process {os.getpid()}', message)
        self.assertIn(str(self.layout.root), message)
        self.assert_sentence(message)

    def test_other_process_is_refused(self):
        code = ('import pathlib, sys; from lab import lock, errors, layout\n'
                'try:\n'
                '    with lock.held(layout.Layout(pathlib.Path('
                'sys.argv[1]))):\n'
                '        print("held")\n'
                'except errors.LabError as error:\n'
                '    print(error)\n')
        command = [sys.executable, '-c', code, str(self.layout.root)]
        with lock.held(self.layout):
            refused = subprocess.run(command, cwd=layout.REPOSITORY,
                                     capture_output=True, text=True)
        taken = subprocess.run(command, cwd=layout.REPOSITORY,
                               capture_output=True, text=True)
        self.assertIn(f'(process {os.getpid()})', refused.stdout)
        self.assertEqual('held\n', taken.stdout)

    def test_folder_is_for_its_owner_only(self):
        # Passwords will lie in it.
        with lock.held(self.layout):
            self.assertEqual(0o700, self.layout.root.stat().st_mode & 0o777)

    def test_given_back(self):
        for _ in range(2):
            with lock.held(self.layout):
                self.assertEqual(f'{os.getpid()}\n',
                                 self.layout.lock.read_text())

    def test_given_back_after_a_failure(self):
        with self.assertRaises(errors.LabError):
            with lock.held(self.layout):
                raise errors.LabError('no')
        with lock.held(self.layout):
            pass

    def test_number_of_a_dead_holder_is_replaced(self):
        self.write(self.layout.lock, '123456789012345\n')
        with lock.held(self.layout):
            self.assertEqual(f'{os.getpid()}\n',
                             self.layout.lock.read_text())

    def test_programs_that_are_started_do_not_inherit_it(self):
        with lock.held(self.layout):
            child = subprocess.Popen(['sleep', '10'])
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
        with open(self.layout.lock) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
