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

from lm_tempest_plugin.operator import interrupts
from lm_tempest_plugin.tests.unit import base


class InterruptsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        # As in the foreground, whoever runs the tests.
        for number in interrupts.SIGNALS:
            self.addCleanup(signal.signal, number, signal.signal(
                number, signal.default_int_handler))

    def send(self, number=signal.SIGINT):
        os.kill(os.getpid(), number)

    def test_counted_only(self):
        with interrupts.Interrupts() as told:
            self.send(signal.SIGTERM)
            self.send()
            self.assertEqual((2, 'SIGTERM'), (told.count, told.name))

    def test_put_back(self):
        with interrupts.Interrupts():
            pass
        self.assertRaises(KeyboardInterrupt, self.send)

    def test_what_is_ignored_stays_ignored(self):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with interrupts.Interrupts() as told:
            self.send(signal.SIGHUP)
        self.assertEqual(0, told.count)
        self.assertEqual(signal.SIG_IGN, signal.getsignal(signal.SIGHUP))

    def test_no_library_takes_it_for_an_error_of_its_own(self):
        def work(told):
            with told.ending():
                try:
                    self.send()
                except Exception as exc:
                    raise ValueError('it failed') from exc

        with interrupts.Interrupts() as told:
            self.assertRaises(interrupts.Interrupted, work, told)

    def test_ending(self):
        reached = []

        def work(told):
            with told.ending():
                reached.append('begin')
                self.send(signal.SIGTERM)
                reached.append('end')

        with interrupts.Interrupts() as told:
            exc = self.assertRaises(interrupts.Interrupted, work, told)
            self.assertEqual('SIGTERM', str(exc))
            self.assertEqual(['begin'], reached)
            # What comes after that is not ended.
            self.send()
            self.assertEqual(2, told.count)
            self.assertRaises(interrupts.Interrupted, work, told)
            self.assertEqual(['begin'], reached)
