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
import pathlib
import shutil
import socket
import subprocess
import sys

import fixtures

from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

# Commands that the script needs besides a server.
TOOLS = ('cat', 'grep', 'printf', 'sleep')


class RenderTest(base.TestCase):

    def test_the_port_is_put_in(self):
        script = builder.echo_script(4711)
        self.assertTrue(script.startswith('#!/bin/sh\n'))
        self.assertIn('\nPORT=4711\n', script)
        self.assertNotIn('@PORT@', script)

    def test_what_is_no_port(self):
        for port in (0, -1, 65536):
            self.assertRaises(ValueError, builder.echo_script, port)

    def test_the_shell_can_read_it(self):
        subprocess.run(['sh', '-n', '-c', builder.echo_script(7)], check=True)


class RunTest(base.TestCase):
    """The script itself, on this machine in place of a guest."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        with socket.create_server(('127.0.0.1', 0)) as free:
            self.port = free.getsockname()[1]

    def provide(self, *commands):
        for command in commands:
            found = shutil.which(command)
            if command == 'python3':
                found = os.path.realpath(sys.executable)
            if found is None:
                self.skipTest('%s is not installed here' % command)
            (self.folder / command).symlink_to(found)

    def run_script(self, port):
        """Run the script with the provided commands; return code, output."""
        self.provide(*TOOLS)
        process = subprocess.Popen(
            [shutil.which('setsid'), shutil.which('sh'), '-c',
             builder.echo_script(port)],
            env={'PATH': str(self.folder)}, stdout=subprocess.PIPE,
            text=True)
        self.addCleanup(self.end, process.pid)
        output, _ = process.communicate(timeout=30)
        return process.returncode, output

    def end(self, session):
        """Kill every process of the session that the script has started."""
        for entry in pathlib.Path('/proc').iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if os.getsid(int(entry.name)) == session:
                    os.kill(int(entry.name), 9)
            except ProcessLookupError:
                continue

    def _test_echo(self, *commands):
        self.provide(*commands)
        status, output = self.run_script(self.port)
        self.assertEqual(0, status, output)
        self.assertIn('listens on port %d' % self.port, output)
        prober = tcp.TcpProber(0.05)
        prober.add('127.0.0.1', self.port)
        with prober:
            fakes.wait_for(
                lambda: prober.seen('127.0.0.1').last_echoed > 0, 5)

    def test_python3(self):
        self._test_echo('python3')

    def test_socat(self):
        self._test_echo('socat')

    def test_something_listens_already(self):
        server = fakes.EchoServer()
        self.addCleanup(server.close)
        status, output = self.run_script(server.port)
        self.assertEqual(0, status)
        self.assertIn('served already', output)

    def test_nothing_can_serve(self):
        status, output = self.run_script(self.port)
        self.assertEqual(1, status)
        self.assertIn(f'cannot serve port {self.port}', output)
