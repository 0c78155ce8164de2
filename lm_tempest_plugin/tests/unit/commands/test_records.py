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
import pathlib

import fixtures

from lm_tempest_plugin.commands import records
from lm_tempest_plugin.results import chain
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders


class RecordsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def test_argument(self):
        parser = argparse.ArgumentParser()
        records.add_argument(parser)
        self.assertEqual(['a', 'b'],
                         parser.parse_args(['a', 'b']).records)
        parser = argparse.ArgumentParser()
        records.add_argument(parser, 'before', None)
        self.assertEqual('a', parser.parse_args(['a']).before)
        self.assertIn('BEFORE', parser.format_help())

    def test_files_of_a_directory_in_their_order(self):
        two = builders.write(self.directory, 'run-2', [])
        one = builders.write(self.directory, 'run-1', [])
        (self.directory / 'other.txt').write_text('')
        found = records.files(['x.jsonl', str(self.directory)])
        self.assertEqual([pathlib.Path('x.jsonl'), one, two], found)
        self.assertEqual(['run-1', 'run-2'], [
            run.name for run in records.read([str(self.directory)]).runs])

    def test_a_directory_without_records(self):
        exc = self.assertRaises(chain.RecordsError, records.files,
                                [str(self.directory)])
        self.assertIn('%s has no file of records' % self.directory, str(exc))

    def test_a_file_that_is_not_there(self):
        exc = self.assertRaises(chain.RecordsError, records.read,
                                ['/no/such.jsonl'])
        self.assertIn('/no/such.jsonl', str(exc))
