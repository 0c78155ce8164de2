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

import pathlib
import types

import fixtures

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import reporting
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders


class ReportingTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.page = self.folder / 'report.html'
        self.modules = {
            'summary': types.SimpleNamespace(
                summarize=lambda records: types.SimpleNamespace(
                    good=all(each.good for each in records.attempts))),
            'rendering.text': types.SimpleNamespace(
                render=lambda summary, records: 'good: %s' % summary.good),
            'html.page': types.SimpleNamespace(
                render=lambda summary, records, title: '<h1>%s' % title)}

    def fake(self):
        self.useFixture(fixtures.MockPatchObject(
            reporting, '_module', self.modules.__getitem__))

    def report(self):
        return reporting.report(self.folder, self.page, 'a title')

    def test_good_and_bad(self):
        self.fake()
        builders.write(self.folder, 'one',
                       [('attempt', builders.attempt_line())])
        self.assertEqual((True, 'good: True'), self.report())
        self.assertEqual('<h1>a title', self.page.read_text())
        builders.write(self.folder, 'two',
                       [('attempt', builders.failed_line())])
        self.assertEqual((False, 'good: False'), self.report())

    def test_with_what_makes_reports(self):
        reporting.check(self.page)
        builders.write(self.folder, 'one', [
            ('attempt', builders.attempt_line()),
            ('attempt', builders.attempt_line(1)),
            ('drain', builders.drain_line())])
        good, text = self.report()
        self.assertTrue(good, text)
        self.assertIn('a title', self.page.read_text())

    def test_no_records(self):
        self.fake()
        exc = self.assertRaises(errors.OperatorError, self.report)
        self.assertIn('no live migration was recorded', str(exc))
        self.assertFalse(self.page.exists())

    def test_altered_records(self):
        self.fake()
        path = builders.write(
            self.folder, 'one', [('attempt', builders.failed_line()),
                                 ('attempt', builders.attempt_line(1))])
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b''.join(lines[:1] + lines[2:]))
        exc = self.assertRaises(errors.OperatorError, self.report)
        self.assertIn('was altered', str(exc))

    def test_a_page_that_cannot_be_written(self):
        self.fake()
        exc = self.assertRaises(errors.OperatorError, reporting.check,
                                self.folder / 'no' / 'report.html')
        self.assertIn('there is no directory', str(exc))
        reporting.check(self.page)
        reporting.check(None)

    def test_a_library_that_is_not_there(self):
        def load(name):
            raise ModuleNotFoundError('No module', name='scipy')

        self.useFixture(fixtures.MockPatchObject(
            reporting.importlib, 'import_module', load))
        exc = self.assertRaises(errors.OperatorError, reporting.check, None)
        self.assertEqual(
            'the report needs scipy, which is not installed: pip install '
            'lm-tempest-plugin[report]', str(exc))

    def test_a_mistake_of_our_own_is_not_taken_for_that(self):
        self.useFixture(fixtures.MockPatchObject(
            reporting, 'PARTS', ('nowhere',)))
        self.assertRaises(ModuleNotFoundError, reporting.check, None)
