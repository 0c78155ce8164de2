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
import stat

import fixtures

from lm_tempest_plugin.results import output
from lm_tempest_plugin.tests.unit import base


class OutputTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.path = self.directory / 'report.html'

    def refused(self, path, reason, inputs=()):
        """Look whether a file is refused, and nothing is changed."""
        before = sorted(self.directory.iterdir())
        exc = self.assertRaises(output.OutputError, output.check, path,
                                inputs)
        self.assertIn(str(path), str(exc))
        self.assertIn(reason, str(exc))
        self.assertEqual(before, sorted(self.directory.iterdir()))
        if not inputs:
            self.assertRaises(output.OutputError, output.write, path, 'new')

    def test_a_new_file(self):
        output.check(self.path)
        self.assertEqual([], list(self.directory.iterdir()))
        output.write(self.path, '\u00fc\n')
        self.assertEqual(b'\xc3\xbc\n', self.path.read_bytes())
        self.assertEqual([self.path], list(self.directory.iterdir()))

    def test_as_readable_as_other_files(self):
        old = os.umask(0o027)
        self.addCleanup(os.umask, old)
        output.write(self.path, '')
        self.assertEqual(0o640, stat.S_IMODE(self.path.stat().st_mode))

    def test_an_old_file(self):
        self.path.write_text('old')
        output.write(self.path, 'new')
        self.assertEqual('new', self.path.read_text())

    def test_a_link(self):
        target = self.directory / 'target'
        self.path.symlink_to(target)
        output.write(self.path, 'new')
        self.assertEqual('new', target.read_text())
        self.assertTrue(self.path.is_symlink())

    def test_what_cannot_be_encoded(self):
        self.path.write_text('old')
        self.assertRaises(UnicodeEncodeError, output.write, self.path,
                          'new \ud800')
        self.assertEqual('old', self.path.read_text())
        self.assertEqual([self.path], list(self.directory.iterdir()))

    def test_no_directory(self):
        self.refused(self.directory / 'no' / 'report', 'no directory')

    def test_a_directory(self):
        self.refused(self.directory, 'is a directory')

    def test_a_device(self):
        self.refused(pathlib.Path('/dev/null'), 'no regular file')
        self.assertTrue(pathlib.Path('/dev/null').is_char_device())

    def test_a_name_that_is_too_long(self):
        self.refused(self.directory / ('x' * 300), 'cannot be written')

    def test_a_directory_in_which_nothing_can_be_made(self):
        if not os.geteuid():
            self.skipTest('root may write everywhere')
        self.directory.chmod(0o500)
        self.addCleanup(self.directory.chmod, 0o700)
        self.refused(self.path, 'nothing can be made')

    def test_what_is_read(self):
        records = self.directory / 'run.jsonl'
        records.write_text('records')
        head = self.directory / 'run.jsonl.head'
        head.write_text('head')
        link = self.directory / 'link'
        link.symlink_to(records)
        for path in (records, head, link):
            self.refused(path, 'files that are read', [records])
        output.check(self.path, [records])
