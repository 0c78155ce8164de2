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
import signal
import threading

import testtools

from lm_tempest_plugin.tests.live_migration_ha import interruption
from lm_tempest_plugin.tests.unit import base


def new_test(signals=(), in_cleanup=()):
    """Return a test under which signals come, in it and in its cleanups."""

    # Within a function, so that nobody finds it and runs it.
    class Interrupted(testtools.TestCase):

        def setUp(self):
            super().setUp()
            self.seen = []
            self.useFixture(interruption.Interruption())

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


class InterruptionTest(base.TestCase):

    def setUp(self):
        super().setUp()
        # The class knows of it until the run has ended.
        self.patch(interruption.Interruption, '_interrupted_by', '')
        self.before = {
            number: signal.getsignal(number)
            for number in interruption.SIGNALS}
        for number in interruption.SIGNALS:
            self.addCleanup(signal.signal, number, self.before[number])

    def run_one(self, *args):
        """Run a test; return what it did, and how it failed."""
        test, result = new_test(*args), testtools.TestResult()
        test.run(result)
        self.assertEqual(self.before, {
            number: signal.getsignal(number)
            for number in interruption.SIGNALS})
        self.assertEqual([], result.failures)
        return test.seen, ''.join(text for _, text in result.errors)

    def test_no_signal(self):
        self.assertEqual(
            (['at the end', 'last made', 'first made'], ''), self.run_one())

    def test_a_signal_ends_the_test_and_it_is_cleaned_up(self):
        for number in interruption.SIGNALS:
            interruption.Interruption._interrupted_by = ''
            seen, errors = self.run_one([number])
            self.assertEqual(['last made', 'first made'], seen)
            self.assertIn('Interrupted: the run was told to end (%s)' % (
                signal.Signals(number).name), errors)

    def test_a_further_signal_does_not_end_the_cleanups(self):
        seen, errors = self.run_one([signal.SIGINT], [signal.SIGINT])
        self.assertEqual(['last made', 'first made'], seen)
        self.assertEqual(1, errors.count('Interrupted: '))

    def test_nor_does_another_one(self):
        seen, _ = self.run_one(
            [signal.SIGTERM], [signal.SIGINT, signal.SIGHUP])
        self.assertEqual(['last made', 'first made'], seen)

    def test_all_tests_that_follow_fail_at_once(self):
        self.run_one([signal.SIGINT])
        seen, errors = self.run_one()
        self.assertEqual([], seen)
        self.assertIn('told to end (SIGINT)', errors)

    def test_it_is_no_keyboard_interrupt(self):
        # With that, testtools runs no cleanups, and stops.
        self.assertTrue(issubclass(interruption.Interrupted, Exception))

    def test_what_is_ignored_stays_ignored(self):
        for number in interruption.SIGNALS:
            signal.signal(number, signal.SIG_IGN)
            self.before[number] = signal.SIG_IGN
            seen, errors = self.run_one([number])
            self.assertEqual(('at the end', ''), (seen[0], errors))

    def test_in_another_thread_there_are_no_signals(self):
        found = []

        def run():
            with interruption.Interruption():
                found.append({number: signal.getsignal(number)
                              for number in interruption.SIGNALS})

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertEqual([self.before], found)
