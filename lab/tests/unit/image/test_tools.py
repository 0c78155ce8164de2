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

import errno
import subprocess
import unittest
from unittest import mock

from lab.image import tools


class TestRun(unittest.TestCase):

    def test_output(self):
        done = subprocess.CompletedProcess([], 0, b'out', b'')
        with mock.patch('subprocess.run', return_value=done) as run:
            self.assertEqual('out', tools.run('tool', 'x', stdin=b'in'))
        self.assertEqual(['tool', 'x'], run.call_args.args[0])
        self.assertEqual(b'in', run.call_args.kwargs['input'])
        self.assertEqual('C', run.call_args.kwargs['env']['LC_ALL'])

    def _message(self, failure):
        with mock.patch('subprocess.run', side_effect=failure):
            with self.assertRaises(tools.ImageError) as caught:
                tools.run('tool', 'x')
        return str(caught.exception)

    def test_failure_names_command_and_last_line(self):
        self.assertEqual(
            'The command "tool x" failed: the reason',
            self._message(subprocess.CalledProcessError(
                1, ['tool'], stderr=b'noise\nthe reason\nW: other\n\n')))

    def test_failure_without_a_word(self):
        self.assertEqual(
            'The command "tool x" failed: exit status 3',
            self._message(subprocess.CalledProcessError(3, ['tool'])))

    def test_missing_tool(self):
        self.assertIn('install the packages',
                      self._message(FileNotFoundError()))

    def test_full_disk_of_a_tool(self):
        message = self._message(subprocess.CalledProcessError(
            1, ['tool'], stderr=b'write: No space left on device\nbye\n'))
        self.assertEqual('The disk is full: tool failed (bye).', message)


class TestExplainOSError(unittest.TestCase):

    def test_full_disk(self):
        error = OSError(errno.ENOSPC, 'No space', 'some/file')
        self.assertEqual(
            'The disk is full under some/file: the image was not made.',
            tools.explain_os_error(error))

    def test_other(self):
        self.assertIn('denied', tools.explain_os_error(
            OSError(errno.EACCES, 'denied')))
