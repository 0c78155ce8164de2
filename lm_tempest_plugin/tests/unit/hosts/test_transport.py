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

import itertools
import threading

from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.hosts import sockets
from lm_tempest_plugin.hosts import transport
from lm_tempest_plugin.tests.unit import base

SOURCE = '[{"addr_info": [{"local": "192.0.2.1"}]}]'
DESTINATION = '[{"addr_info": [{"local": "192.0.2.2"}]}]'
BEFORE = '0 0 192.0.2.1:41000 192.0.2.2:5672\n'
QEMU = '0 0 192.0.2.1:41002 192.0.2.2:49152\n'


class Host:

    def __init__(self, name, addresses, *answers):
        self.name = name
        self._addresses = addresses
        self._answers = list(answers)
        self.looked = threading.Event()

    def run(self, *command, stdin='', timeout_s=30.0):
        if command[0] == 'ip':
            return self._addresses
        if command[0] == 'cat':
            return '32768\t60999\n'
        assert command[0] == 'ss'
        if len(self._answers) == 1:
            self.looked.set()
            found = self._answers[0]
        else:
            found = self._answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


class WatchTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.clock = itertools.count(0, 0.5)

    def watch(self, *answers, destination=DESTINATION):
        self.source = Host('alpha', SOURCE, *answers)
        return transport.Watch(
            self.source, Host('beta', destination), 0.001,
            lambda: next(self.clock))

    def test_what_comes_while_it_looks(self):
        watched = self.watch(BEFORE, BEFORE + QEMU, BEFORE)
        with watched:
            self.source.looked.wait(10)
        self.assertEqual(sockets.Transport.DIRECT, watched.transport)
        self.assertEqual([49152], watched.as_dict()['qemu_ports'])
        self.assertIsNone(watched.as_dict()['error'])
        self.assertIn('between alpha and beta: transport direct',
                      str(watched))

    def test_nothing(self):
        watched = self.watch(BEFORE, BEFORE)
        with watched:
            self.source.looked.wait(10)
        watched.stop()
        self.assertEqual(sockets.Transport.UNSEEN, watched.transport)

    def test_a_host_that_cannot_be_asked_any_more(self):
        watched = self.watch(BEFORE, remotes.HostError('host alpha: gone'))
        with watched:
            self.source.looked.wait(10)
        self.assertRaises(remotes.HostError, getattr, watched, 'transport')
        self.assertEqual('host alpha: gone', watched.as_dict()['error'])

    def test_one_look_that_failed_takes_nothing_from_what_was_seen(self):
        watched = self.watch(BEFORE, ValueError('what?'), BEFORE + QEMU)
        with watched:
            self.source.looked.wait(10)
        self.assertEqual(sockets.Transport.DIRECT, watched.transport)
        self.assertEqual('what?', watched.as_dict()['error'])

    def test_looks_that_are_far_apart(self):
        for answers, good in (((BEFORE, BEFORE), False),
                              ((BEFORE, BEFORE + QEMU), True)):
            self.clock = itertools.chain([0.0, 2.1], itertools.repeat(2.1))
            watched = self.watch(*answers)
            with watched:
                self.source.looked.wait(10)
            if good:
                self.assertEqual(
                    sockets.Transport.DIRECT, watched.transport)
                continue
            exc = self.assertRaises(
                remotes.HostError, getattr, watched, 'transport')
            self.assertIn('could not be seen at times: 2.1 s', str(exc))

    def test_hosts_that_cannot_be_told_apart(self):
        exc = self.assertRaises(
            remotes.HostError,
            self.watch(BEFORE, destination=SOURCE).start)
        self.assertIn('alpha and beta', str(exc))

    def test_one_that_was_not_started(self):
        watched = self.watch(BEFORE)
        watched.stop()
        self.assertRaises(AssertionError, getattr, watched, 'transport')
