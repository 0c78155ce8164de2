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

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes


class RestartTest(base.TestCase):

    kind = remote.HostError

    def setUp(self):
        super().setUp()
        self.now = 0.0
        self.host = fakes.Host()
        self.reports = ['12:00:00']
        self.events = []

    def sleep(self, seconds):
        self.now += seconds
        if self.events and self.now >= self.events[0][0]:
            self.events.pop(0)[1]()

    def restart(self, reported=None):
        service.Restarter(reported, 60.0, lambda: self.now,
                          self.sleep).restart(self.host)

    def reported(self, name):
        self.assertEqual('alpha', name)
        return self.reports[-1]

    def refused(self, *parts, reported=None):
        exc = self.assertRaises(self.kind, self.restart, reported)
        self.assertIs(self.kind, type(exc))
        for part in ('host alpha', *parts):
            self.assertIn(part, str(exc))

    def test_without_nova(self):
        self.restart()
        self.assertNotEqual(100, self.host.process)
        self.assertGreaterEqual(self.now, service.STEADY_S)
        self.assertLess(self.now, service.STEADY_S + 1)

    def test_it_waits_for_the_new_one_to_report(self):
        self.events = [(30, lambda: self.reports.append('12:00:40'))]
        self.restart(self.reported)
        self.assertGreaterEqual(self.now, 30)

    def test_a_slow_end_takes_nothing_from_the_start(self):
        self.host.processes = {100}
        restart = self.host._restart

        def slowly():
            restart()
            self.host.processes.add(100)

        self.host._restart = slowly
        self.events = [
            (50, lambda: self.host.processes.discard(100)),
            (90, lambda: self.reports.append('12:01:40'))]
        self.restart(self.reported)
        self.assertGreaterEqual(self.now, 90)

    def test_one_that_was_down_before(self):
        self.reports = [None]
        self.events = [(20, lambda: self.reports.append('12:00:40'))]
        self.restart(self.reported)
        self.assertGreaterEqual(self.now, 20)

    def test_the_new_one_does_not_report(self):
        self.kind = service.NotStarted
        self.refused('to report to nova', reported=self.reported)

    def test_the_old_one_stays(self):
        self.host._restart = lambda: None
        self.refused("'restart'", 'its old process, 100, to go')

    def test_the_new_one_does_not_start(self):
        self.host.refuses = lambda text: True
        self.kind = service.NotStarted
        self.refused('a new process that lives')

    def test_a_command_that_waits_and_fails(self):
        self.host.fails = 'restart'
        self.kind = service.NotStarted
        self.refused('ended with status 1')

    def test_one_that_is_started_again_and_again(self):
        restart = self.host._restart

        def again():
            restart()
            self.events.append((self.now + 2, again))

        self.host._restart = again
        self.kind = service.NotStarted
        self.refused('a new process that lives')

    def test_a_host_whose_service_did_not_run(self):
        self.host.process, self.host.processes = 0, set()
        self.restart()
        self.assertTrue(self.host.process)

    def test_no_process_id(self):
        self.host._sh = lambda words, stdin: 'what?\n'
        self.refused("'pid' is to print", "'what?'")

    def test_no_output_is_no_process(self):
        self.host._sh = lambda words, stdin: '\n'
        self.assertEqual(0, service.process_id(self.host))
