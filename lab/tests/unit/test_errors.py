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

import contextlib
import errno
import io
import os
import shutil

from lab import errors
from lab.tests.unit import base


class TestExplain(base.TestCase):

    def _explain(self, error):
        said = errors.explain(error)
        self.assertNotIn('None', said)
        self.assertNotIn('\n', said)
        self.assertTrue(said.endswith('.'), said)
        return said

    def test_file(self):
        said = self._explain(PermissionError(
            errno.EACCES, 'Permission denied', '/x'))
        self.assertIn('Permission denied (/x): ', said)

    def test_no_file(self):
        self.assertIn('Too many open files: ', self._explain(OSError(
            errno.EMFILE, 'Too many open files')))

    def test_words_only(self):
        self.assertIn('Cannot call rmtree', self._explain(OSError(
            'Cannot call rmtree on a symbolic link')))

    def test_full_disk(self):
        with self.assertRaises(OSError) as caught:
            with open('/dev/full', 'w') as stream:
                stream.write('x')
        self.assertIn('The disk is full', self._explain(caught.exception))

    def test_full_disk_while_many_files_are_copied(self):
        error = shutil.Error([('a', 'b', f'[Errno 28] {os.strerror(28)}')])
        self.assertIn('The disk is full', self._explain(error))


class TestTell(base.TestCase):

    def test_sentence_and_exit_code(self):
        for error, expected in (
                (errors.LabError('No cloud.', status=3),
                 (3, 'run-lab.sh: No cloud.\n')),
                (OSError(errno.ENOSPC, 'x'),
                 (1, 'run-lab.sh: The disk is full: free some space and try '
                     'again.\n'))):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                status = errors.tell(error)
            self.assertEqual(expected, (status, said.getvalue()))
