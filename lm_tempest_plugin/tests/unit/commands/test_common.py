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

import argparse
import os
import pathlib
import stat

import fixtures

from lm_tempest_plugin.commands import common
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders


class ReadTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def test_argument(self):
        parser = argparse.ArgumentParser()
        common.add_results(parser)
        self.assertEqual(['a', 'b'],
                         parser.parse_args(['a', 'b']).results)
        parser = argparse.ArgumentParser()
        common.add_results(parser, 'before', None)
        self.assertEqual('a', parser.parse_args(['a']).before)
        self.assertIn('BEFORE', parser.format_help())

    def test_files_of_a_directory_are_sorted(self):
        two = builders.write(self.directory, 'run-2', [])
        one = builders.write(self.directory, 'run-1', [])
        (self.directory / 'other.txt').write_text('')
        found = common.files(['x.jsonl', str(self.directory)])
        self.assertEqual([pathlib.Path('x.jsonl'), one, two], found)
        self.assertEqual(['run-1', 'run-2'], [
            run.run for run in common.read([str(self.directory)]).runs])

    def test_a_directory_without_results(self):
        exc = self.assertRaises(store.ResultsError, common.files,
                                [str(self.directory)])
        self.assertIn(f'{self.directory} has no results file', str(exc))

    def test_a_missing_file(self):
        exc = self.assertRaises(store.ResultsError, common.read,
                                ['/no/such.jsonl'])
        self.assertIn('/no/such.jsonl', str(exc))


class OutputTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.path = self.directory / 'report.html'

    def refused(self, path, reason, inputs=()):
        """Check that a file is refused and nothing is changed."""
        before = sorted(self.directory.iterdir())
        exc = self.assertRaises(common.OutputError,
                                common.check_output, path, inputs)
        self.assertIn(str(path), str(exc))
        self.assertIn(reason, str(exc))
        self.assertEqual(before, sorted(self.directory.iterdir()))
        if not inputs:
            self.assertRaises(common.OutputError,
                              common.write_output, path, 'new')

    def test_a_new_file(self):
        common.check_output(self.path)
        self.assertEqual([], list(self.directory.iterdir()))
        common.write_output(self.path, '\u00fc\n')
        self.assertEqual(b'\xc3\xbc\n', self.path.read_bytes())
        self.assertEqual([self.path], list(self.directory.iterdir()))

    def test_as_readable_as_other_files(self):
        old = os.umask(0o027)
        self.addCleanup(os.umask, old)
        common.write_output(self.path, '')
        self.assertEqual(0o640, stat.S_IMODE(self.path.stat().st_mode))

    def test_an_old_file(self):
        self.path.write_text('old')
        common.write_output(self.path, 'new')
        self.assertEqual('new', self.path.read_text())

    def test_a_link(self):
        target = self.directory / 'target'
        self.path.symlink_to(target)
        common.write_output(self.path, 'new')
        self.assertEqual('new', target.read_text())
        self.assertTrue(self.path.is_symlink())

    def test_text_that_cannot_be_encoded(self):
        self.path.write_text('old')
        self.assertRaises(UnicodeEncodeError, common.write_output,
                          self.path, 'new \ud800')
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

    def test_a_directory_that_is_not_writable(self):
        if not os.geteuid():
            self.skipTest('root may write everywhere')
        self.directory.chmod(0o500)
        self.addCleanup(self.directory.chmod, 0o700)
        self.refused(self.path, 'is not writable')

    def test_files_that_are_read(self):
        results = self.directory / 'run.jsonl'
        results.write_text('results')
        link = self.directory / 'link'
        link.symlink_to(results)
        for path in (results, link):
            self.refused(path, 'files that are read', [results])
        common.check_output(self.path, [results])
