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

from lm_tempest_plugin.hosts import uninterrupted
from lm_tempest_plugin.tests.unit import base


class SectionTest(base.TestCase):

    def kill(self):
        os.kill(os.getpid(), signal.SIGINT)

    def test_a_signal_is_heeded_afterwards(self):
        done = []

        def work():
            with uninterrupted.section('work'):
                self.kill()
                self.kill()
                done.append('all of it')

        self.assertRaises(KeyboardInterrupt, work)
        self.assertEqual(['all of it'], done)
        self.assertIs(signal.default_int_handler,
                      signal.getsignal(signal.SIGINT))

    def test_what_is_ignored_stays_ignored(self):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        with uninterrupted.section('work'):
            self.kill()

    def test_an_exception_is_not_lost(self):
        def work():
            with uninterrupted.section('work'):
                raise ValueError('no')

        self.assertRaises(ValueError, work)

    def test_another_thread(self):
        seen = []

        def work():
            with uninterrupted.section('work'):
                seen.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual([signal.default_int_handler], seen)
