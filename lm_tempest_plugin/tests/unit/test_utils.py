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
import importlib
import os
import pathlib
import signal
import stat
import threading

import fixtures
from tempest.lib import exceptions as lib_exc
import testtools

from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin import utils


class WaitUntilTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now_s = 0.0
        self.slept_s = []

    def sleep(self, time_s):
        self.slept_s.append(time_s)
        self.now_s += time_s

    def wait(self, states, timeout_s=3.0, **kwargs):
        states = iter(states)
        return utils.wait_until(
            lambda state: state == 'done', lambda: next(states), 'the end',
            timeout_s, clock=lambda: self.now_s, sleep=self.sleep, **kwargs)

    def test_returns_the_state(self):
        self.assertEqual('done', self.wait(['begin', 'done']))
        self.assertEqual([1.0], self.slept_s)

    def test_reads_once_without_time(self):
        self.assertEqual('done', self.wait(['done'], timeout_s=0))
        self.assertEqual([], self.slept_s)

    def test_reads_once_more_at_the_end(self):
        self.assertEqual('done', self.wait(['1', '2', 'done'], 1.5))
        self.assertEqual([1.0, 0.5], self.slept_s)

    def test_timeout_names_the_state_and_the_time(self):
        exc = self.assertRaises(
            ValueError, self.wait, ['1', '2', '3'], 2, error=ValueError,
            describe=lambda state: f'state {state}')
        self.assertEqual('waited 2.0 s (limit 2 s) for the end; last state: '
                         'state 3', str(exc))

    def test_errors_of_reading_are_passed_on(self):
        self.assertRaises(StopIteration, self.wait, [])


class WriteAtomicallyTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.path = self.directory / 'file'

    def mode(self):
        return stat.S_IMODE(self.path.stat().st_mode)

    def test_text_for_the_owner_only(self):
        utils.write_atomically(self.path, 'zürich\n')
        self.assertEqual('zürich\n'.encode(), self.path.read_bytes())
        self.assertEqual(0o600, self.mode())

    def test_bytes_and_mode_whatever_the_umask(self):
        self.addCleanup(os.umask, os.umask(0o077))
        utils.write_atomically(str(self.path), b'\x00\xff', mode=0o644)
        self.assertEqual(b'\x00\xff', self.path.read_bytes())
        self.assertEqual(0o644, self.mode())

    def test_replaces(self):
        self.path.write_text('old')
        utils.write_atomically(self.path, 'new')
        self.assertEqual('new', self.path.read_text())

    def test_name_without_a_directory(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        utils.write_atomically('file', 'new')
        self.assertEqual('new', self.path.read_text())

    def test_a_failure_keeps_the_old_file_and_leaves_no_other(self):
        self.path.write_text('old')

        def fail(*args):
            raise OSError(28, 'No space left on device')

        for name in ('fsync', 'replace'):
            with fixtures.MonkeyPatch(f'os.{name}', fail):
                self.assertRaises(
                    OSError, utils.write_atomically, self.path, 'new')
        self.assertEqual('old', self.path.read_text())
        self.assertEqual([self.path], list(self.directory.iterdir()))

    def test_no_directory(self):
        self.assertRaises(FileNotFoundError, utils.write_atomically,
                          self.directory / 'none' / 'file', 'new')


class ImportOptionalTest(base.TestCase):

    def missing(self, name):
        def load(module):
            raise ModuleNotFoundError('No module', name=name)

        self.useFixture(fixtures.MonkeyPatch('importlib.import_module', load))

    def test_module(self):
        self.assertIs(importlib, utils.import_optional('importlib', 'report'))

    def test_missing_library(self):
        self.missing('scipy')
        exc = self.assertRaises(
            utils.MissingLibrary, utils.import_optional,
            'lm_tempest_plugin.results.report', 'report')
        self.assertEqual('scipy is not installed: pip install '
                         'lm-tempest-plugin[report]', str(exc))

    def test_a_missing_module_of_the_plugin_is_a_bug(self):
        self.missing('lm_tempest_plugin.nothing')
        self.assertRaises(ModuleNotFoundError, utils.import_optional,
                          'lm_tempest_plugin.nothing', 'report')


class SignalTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        # As in the foreground, however the unit tests were started.
        for number in utils.SIGNALS:
            self.addCleanup(signal.signal, number, signal.signal(
                number, signal.default_int_handler))

    def send(self, number=signal.SIGINT):
        os.kill(os.getpid(), number)

    def handlers(self):
        return {number: signal.getsignal(number) for number in utils.SIGNALS}


class SignalHandlerTest(SignalTestCase):

    def test_counted_only(self):
        seen = []
        with utils.SignalHandler(
                on_signal=lambda *args: seen.append(args)) as handler:
            self.send(signal.SIGTERM)
            self.send()
            self.assertEqual((2, 'SIGTERM'), (handler.count, handler.name))
        self.assertEqual([('SIGTERM', 1), ('SIGINT', 2)], seen)

    def test_handlers_are_put_back(self):
        before = self.handlers()
        with utils.SignalHandler():
            self.assertNotEqual(before, self.handlers())
        self.assertEqual(before, self.handlers())
        self.assertRaises(KeyboardInterrupt, self.send)

    def test_an_ignored_signal_stays_ignored(self):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with utils.SignalHandler() as handler:
            self.send(signal.SIGHUP)
        self.assertEqual(0, handler.count)
        self.assertEqual(signal.SIG_IGN, signal.getsignal(signal.SIGHUP))

    def test_no_library_takes_it_for_an_error_of_its_own(self):
        def work(handler):
            with handler.interruptible():
                try:
                    self.send()
                except Exception as exc:
                    raise ValueError('it failed') from exc

        with utils.SignalHandler() as handler:
            self.assertRaises(utils.Interrupted, work, handler)

    def test_interruptible(self):
        reached = []

        def work(handler):
            with handler.interruptible():
                reached.append('begin')
                self.send(signal.SIGTERM)
                reached.append('end')

        with utils.SignalHandler() as handler:
            exc = self.assertRaises(utils.Interrupted, work, handler)
            self.assertEqual('told to end by SIGTERM', str(exc))
            self.assertEqual(['begin'], reached)
            # Later signals are counted only.
            self.send()
            self.assertEqual(2, handler.count)
            self.assertRaises(utils.Interrupted, work, handler)
            self.assertEqual(['begin'], reached)

    def test_in_another_thread_there_are_no_signals(self):
        before, found = self.handlers(), []

        def run():
            with utils.SignalHandler():
                found.append(self.handlers())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertEqual([before], found)


class EndOfTest(Exception):
    """The exception that the tests below are given."""


def new_test(handler, signals, in_cleanup):
    """Return a test that gets signals, and gets more in its cleanups."""

    # Inside a function, so that no test runner discovers it.
    class Interrupted(testtools.TestCase):

        def setUp(self):
            super().setUp()
            self.seen = []
            stack = contextlib.ExitStack()
            self.addCleanup(stack.close)
            stack.enter_context(handler)
            stack.enter_context(handler.interruptible())

        def clean_up(self, name):
            for number in in_cleanup:
                os.kill(os.getpid(), number)
            self.seen.append(name)

        def test(self):
            self.addCleanup(self.clean_up, 'first made')
            self.addCleanup(self.clean_up, 'last made')
            for number in signals:
                os.kill(os.getpid(), number)
            self.seen.append('at the end')

    return Interrupted('test')


class SignalHandlerInTestsTest(SignalTestCase):

    def setUp(self):
        super().setUp()
        self.handler = utils.SignalHandler(EndOfTest)

    def run_one(self, signals=(), in_cleanup=()):
        """Run a test; return its actions, and the text of its errors."""
        before = self.handlers()
        test = new_test(self.handler, signals, in_cleanup)
        result = testtools.TestResult()
        test.run(result)
        self.assertEqual(before, self.handlers())
        self.assertEqual([], result.failures)
        return test.seen, ''.join(text for _, text in result.errors)

    def test_no_signal(self):
        self.assertEqual(
            (['at the end', 'last made', 'first made'], ''), self.run_one())

    def test_a_signal_ends_the_test_and_it_is_cleaned_up(self):
        for number in utils.SIGNALS:
            self.handler = utils.SignalHandler(EndOfTest)
            seen, errors = self.run_one([number])
            self.assertEqual(['last made', 'first made'], seen)
            self.assertIn('EndOfTest: told to end by '
                          f'{signal.Signals(number).name}', errors)

    def test_a_further_signal_does_not_end_the_cleanups(self):
        seen, errors = self.run_one([signal.SIGINT], [signal.SIGINT])
        self.assertEqual(['last made', 'first made'], seen)
        self.assertEqual(1, errors.count('EndOfTest: '))

    def test_nor_does_another_one(self):
        seen, _ = self.run_one(
            [signal.SIGTERM], [signal.SIGINT, signal.SIGHUP])
        self.assertEqual(['last made', 'first made'], seen)

    def test_all_tests_that_follow_fail_at_once(self):
        self.run_one([signal.SIGINT])
        seen, errors = self.run_one()
        self.assertEqual([], seen)
        self.assertIn('told to end by SIGINT', errors)

    def test_an_ignored_signal_stays_ignored(self):
        for number in utils.SIGNALS:
            signal.signal(number, signal.SIG_IGN)
            seen, errors = self.run_one([number])
            self.assertEqual(('at the end', ''), (seen[0], errors))


class DescribeErrorTest(base.TestCase):

    def test_an_assertion_is_one_line(self):
        self.assertEqual('disk of server x', utils.describe_error(
            AssertionError('disk of\nserver x')))

    def test_a_long_text_is_cut(self):
        text = utils.describe_error(AssertionError('y ' * 600))
        self.assertLessEqual(len(text), utils.ERROR_LENGTH)
        self.assertTrue(text.endswith(' ...'), text)

    def test_our_own_exceptions_have_their_text(self):
        self.assertEqual('no disk', utils.describe_error(
            store.ResultsError('no disk')))

    def test_foreign_text_is_not_stored(self):
        """Tempest's message about SSH contains the password."""
        exc = lib_exc.SSHTimeout(
            host='192.0.2.1', user='root', password='secret')
        self.assertIn('secret', str(exc))
        self.assertEqual('SSHTimeout', utils.describe_error(exc))

    def test_without_a_text(self):
        self.assertEqual('AssertionError',
                         utils.describe_error(AssertionError()))
