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

import json
import os
import pathlib
import signal
import stat

import fixtures

from lm_tempest_plugin.hosts import journal
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes


def entry(name='alpha'):
    return journal.Entry(fakes.host_site(name), '/etc/nova/backup', 'abc')


class JournalTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path) / 'state'
        self.journal = journal.Journal(self.directory)

    def test_nothing_yet(self):
        self.assertEqual([], self.journal.hosts())

    def test_what_is_added_is_there_for_whoever_comes_next(self):
        for name in ('beta', 'alpha'):
            self.journal.add(entry(name))
        other = journal.Journal(self.directory)
        self.assertEqual(['alpha', 'beta'], other.hosts())
        self.assertEqual(entry('beta'), other.read('beta'))
        self.journal.remove('alpha')
        self.assertEqual(['beta'], other.hosts())
        self.assertEqual(0o700, stat.S_IMODE(self.directory.stat().st_mode))
        # Nothing half written is left.
        self.assertEqual(['beta.json'], [
            path.name for path in self.directory.iterdir()])

    def test_a_host_is_changed_by_one_run_only(self):
        self.journal.add(entry())
        exc = self.assertRaises(
            journal.JournalError, self.journal.add, entry())
        for part in ('host alpha', 'recover', str(self.directory)):
            self.assertIn(part, str(exc))

    def test_a_run_that_is_still_at_work(self):
        self.journal.add(entry())
        self.assertTrue(self.journal.holds('alpha'))
        other = journal.Journal(self.directory)
        exc = self.assertRaises(journal.JournalError, other.claim, 'alpha')
        self.assertIn('still at work', str(exc))
        self.assertFalse(other.holds('alpha'))

    def test_a_run_that_was_killed(self):
        pid = os.fork()
        if not pid:
            try:
                self.journal.add(entry())
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        self.journal.claim('alpha')
        self.assertTrue(self.journal.holds('alpha'))
        self.journal.remove('alpha')
        self.assertFalse(self.journal.holds('alpha'))

    def test_an_entry_that_somebody_has_removed(self):
        self.journal.add(entry())
        (self.directory / 'alpha.json').unlink()
        self.assertFalse(self.journal.holds('alpha'))
        self.assertRaises(
            journal.JournalError, self.journal.remove, 'alpha')
        self.assertRaises(journal.JournalError, self.journal.claim, 'alpha')

    def test_it_cannot_be_written(self):
        self.directory.write_text('a file')
        exc = self.assertRaises(
            journal.JournalError, self.journal.add, entry())
        for part in (str(self.directory), 'nothing was changed'):
            self.assertIn(part, str(exc))

    def test_it_cannot_be_read(self):
        self.directory.mkdir()
        path = self.directory / 'alpha.json'
        for text in ('{', '[]', json.dumps({'site': {}})):
            path.write_text(text)
            exc = self.assertRaises(
                journal.JournalError, self.journal.read, 'alpha')
            self.assertIn(str(path), str(exc))

    def test_no_name_of_a_host(self):
        for name in ('', '../x', '.x'):
            self.assertRaises(
                journal.JournalError, self.journal.add, entry(name))
