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

"""The namespaces are made in the one order that works."""

import os
import subprocess
from unittest import mock

from gate import machine
from gate import namespaces
from gate.tests import base
from lab.hosts import namespaces as lab_namespaces
from lab.hosts import network


class ControllerTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        self.patch(machine, 'JOBS', self.folder / 'jobs')
        self.outside = mock.MagicMock()
        go = self.outside.stdin.__enter__.return_value
        go.write.side_effect = self.note('connected to the outside')
        self.patch(subprocess, 'Popen', side_effect=self.note(
            'program of the outside'), return_value=self.outside)
        self.patch(machine, 'call', self.note('network namespace'))
        self.patch(network, 'loopback_up', self.note('loopback'))
        self.patch(lab_namespaces, 'mount_private', self.note('/run'))
        self.patch(subprocess, 'run', self.note('jobs'))
        self.execv = self.patch(os, 'execv')

    def note(self, event):
        """Return a function that notes an event."""
        def call(*_, **__):
            self.events.append(event)
            return mock.DEFAULT
        return call

    def test_order(self):
        namespaces.become_controller(str(self.paths.root), 'the.conf')
        self.assertEqual([
            # It has to be outside of the new network, and inside of the PID
            # namespace.
            'program of the outside', 'network namespace', 'loopback', '/run',
            'jobs', 'connected to the outside'], self.events)
        self.assertTrue((self.paths.services / 'jobs').is_dir())
        program = self.paths.venv_bin('machine', 'supervisord')
        self.execv.assert_called_once_with(program, [
            program, '--nodaemon', '--configuration', 'the.conf'])
