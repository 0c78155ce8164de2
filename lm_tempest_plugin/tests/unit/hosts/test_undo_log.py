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

import dataclasses
import json
import os
import pathlib
import signal
import stat
import threading

import fixtures

from lm_tempest_plugin.hosts import undo_log
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes


def entry(name='alpha'):
    return undo_log.UndoEntry(fakes.host_site(name), '/etc/nova/backup', 'abc')


class UndoLogTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path) / 'state'
        self.log = undo_log.UndoLog(self.directory)

    def test_nothing_yet(self):
        self.assertEqual([], self.log.hosts())

    def test_a_later_run_reads_the_entries(self):
        for name in ('beta', 'alpha'):
            self.log.add(entry(name))
        other = undo_log.UndoLog(self.directory)
        self.assertEqual(['alpha', 'beta'], other.hosts())
        self.assertEqual(entry('beta'), other.read('beta'))
        self.log.remove('alpha')
        self.assertEqual(['beta'], other.hosts())
        self.assertEqual(0o700, stat.S_IMODE(self.directory.stat().st_mode))
        # Nothing half written is left.
        self.assertEqual(['beta.json'], [
            path.name for path in self.directory.iterdir()])

    def test_a_host_is_changed_by_one_run_only(self):
        self.log.add(entry())
        exc = self.assertRaises(
            undo_log.UndoLogError, self.log.add, entry())
        for part in ('host alpha', 'recover', str(self.directory)):
            self.assertIn(part, str(exc))

    def test_a_run_that_is_still_alive(self):
        self.log.add(entry())
        self.assertTrue(self.log.holds('alpha'))
        other = undo_log.UndoLog(self.directory)
        exc = self.assertRaises(undo_log.UndoLogError, other.claim, 'alpha')
        self.assertIn('still alive', str(exc))
        self.assertFalse(other.holds('alpha'))

    def test_a_run_that_was_killed(self):
        pid = os.fork()
        if not pid:
            try:
                self.log.add(entry())
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        self.log.claim('alpha')
        self.assertTrue(self.log.holds('alpha'))
        self.log.remove('alpha')
        self.assertFalse(self.log.holds('alpha'))

    def test_an_entry_that_was_removed(self):
        self.log.add(entry())
        (self.directory / 'alpha.json').unlink()
        self.assertFalse(self.log.holds('alpha'))
        self.assertRaises(
            undo_log.UndoLogError, self.log.remove, 'alpha')
        self.assertRaises(undo_log.UndoLogError, self.log.claim, 'alpha')

    def test_it_cannot_be_written(self):
        self.directory.write_text('a file')
        exc = self.assertRaises(
            undo_log.UndoLogError, self.log.add, entry())
        for part in (str(self.directory), 'nothing was changed'):
            self.assertIn(part, str(exc))

    def test_it_cannot_be_read(self):
        self.directory.mkdir()
        path = self.directory / 'alpha.json'
        for text in ('{', '[]', json.dumps({'site': {}})):
            path.write_text(text)
            exc = self.assertRaises(
                undo_log.UndoLogError, self.log.read, 'alpha')
            self.assertIn(str(path), str(exc))

    def test_it_is_not_an_entry_of_this_program(self):
        self.directory.mkdir()
        path = self.directory / 'alpha.json'
        good = dataclasses.asdict(entry())
        for content, reason in (
                ('{', 'line 1 column 2'),
                ('[' * 9999, 'maximum recursion depth'),
                ([], 'Expected `object`, got `array`'),
                ({**good, 'site': []}, 'got `array` - at `$.site`'),
                ({**good, 'site': {}}, 'missing required field `name`'),
                ({**good, 'site': {**good['site'], 'port': 'x'}},
                 'Expected `int`, got `str` - at `$.site.port`'),
                ({**good, 'site': {**good['site'], 'later': 1}},
                 'unknown field `later`'),
                ({**good, 'later': 1}, 'unknown field `later`')):
            path.write_text(content if isinstance(content, str) else
                            json.dumps(content))
            exc = self.assertRaises(
                undo_log.UndoLogError, self.log.read, 'alpha')
            self.assertTrue(str(exc).startswith(
                f'{path} is not an undo log entry of this program: '), exc)
            self.assertIn(reason, str(exc))
            self.assertIn('restore host alpha by hand', str(exc))
        path.unlink()
        path.mkdir()
        exc = self.assertRaises(
            undo_log.UndoLogError, self.log.read, 'alpha')
        self.assertIn('cannot be read: Is a directory', str(exc))

    def test_a_wrong_name_of_a_host(self):
        for name in ('', '../x', '.x'):
            self.assertRaises(
                undo_log.UndoLogError, self.log.add, entry(name))


class DeferredSignalsTest(base.TestCase):

    def kill(self):
        os.kill(os.getpid(), signal.SIGINT)

    def test_a_signal_takes_effect_afterwards(self):
        done = []

        def work():
            with undo_log.deferred_signals('work'):
                self.kill()
                self.kill()
                done.append('all of it')

        self.assertRaises(KeyboardInterrupt, work)
        self.assertEqual(['all of it'], done)
        self.assertIs(signal.default_int_handler,
                      signal.getsignal(signal.SIGINT))

    def test_an_ignored_signal_stays_ignored(self):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        with undo_log.deferred_signals('work'):
            self.kill()

    def test_an_exception_is_not_lost(self):
        def work():
            with undo_log.deferred_signals('work'):
                raise ValueError('no')

        self.assertRaises(ValueError, work)

    def test_another_thread(self):
        seen = []

        def work():
            with undo_log.deferred_signals('work'):
                seen.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual([signal.default_int_handler], seen)
