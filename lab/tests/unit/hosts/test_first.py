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
import socket

from lab.hosts import first
from lab.hosts import mounts
from lab.hosts import network
from lab.tests.unit import base


class TestMain(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        for owner, name in ((mounts, 'make'), (socket, 'sethostname'),
                            (network, 'loopback_up'),
                            (network, 'allow_ping_sockets'), (os, 'execv')):
            self.patch(owner, name, self._recorder(name))

    def _recorder(self, name):
        return lambda *args: self.events.append((name, *args))

    def test_becomes_the_supervisor(self):
        first.main(str(self.layout.root), '/x/supervisord.conf')
        self.assertEqual(('make', self.layout, 'controller'), self.events[0])
        self.assertIn(('sethostname', 'controller'), self.events)
        self.assertIn(('loopback_up',), self.events)
        self.assertIn(('allow_ping_sockets',), self.events)
        name, program, arguments = self.events[-1]
        self.assertEqual('execv', name)
        self.assertEqual(self.layout.venv_bin('tempest', 'supervisord'),
                         program)
        # It is to stay the first process, so it must not go away.
        self.assertEqual([program, '--nodaemon', '--configuration',
                          '/x/supervisord.conf'], arguments)
