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
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from unittest import mock

import fixtures

from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.guests.workloads import outbound
from lm_tempest_plugin.tests.unit import base


class OutboundTest(base.TestCase):
    """This machine is the guest, too."""

    def setUp(self):
        super().setUp()
        for name in ('CONNECT_S', 'LINE_S'):
            self.patch(outbound, name, 5.0)
        self.workload = outbound.OutboundWorkload('127.0.0.1')
        self.addCleanup(self.workload.close)
        self.commands = []

    def run_here(self, *tools):
        """Return a function that runs a command with these tools only."""
        folder = self.useFixture(fixtures.TempDir()).path
        for tool in ('cat', 'sleep', *tools):
            found = shutil.which(tool)
            if tool == 'python3':
                # Not a script that starts it.
                found = os.path.realpath(sys.executable)
            if not found:
                self.skipTest(f'{tool} is not installed here')
            os.symlink(found, os.path.join(folder, tool))

        def run(command):
            return subprocess.run(
                ['/bin/sh', '-euc', command.replace('sleep 1', 'sleep 0.1')],
                env={'PATH': folder}, check=True, stdout=subprocess.PIPE,
                text=True, timeout=30).stdout.strip()

        return run

    def client(self, behave):
        """Return a function that connects to where a command says."""
        def run(command):
            port = int(command.partition('port=')[2].split()[0])

            def connect():
                with socket.create_connection(('127.0.0.1', port)) as guest:
                    # The workload may close it at any time.
                    with contextlib.suppress(OSError):
                        behave(guest)

            thread = threading.Thread(target=connect)
            thread.start()
            self.addCleanup(thread.join)
            # Before the guest is waited for.
            self.addCleanup(self.workload.close)
            return 'socat'

        return run

    def _test_lives(self, *tools):
        run = self.run_here(*tools)
        self.workload.start(run)
        self.assertEqual(['', ''], [
            self.workload.verify(run), self.workload.verify(run)])

    def test_socat(self):
        self._test_lives('socat')

    def test_python3(self):
        self._test_lives('python3')

    def test_bash(self):
        self._test_lives('bash')

    def test_ncat(self):
        self._test_lives('ncat')

    def test_nc(self):
        self._test_lives('nc')

    def test_the_client_ends_with_the_connection(self):
        self._test_lives('python3')
        port = self.workload._connection.getsockname()[1]
        self.workload.close()

        def clients():
            return subprocess.run(
                ['pgrep', '-f', f'127.0.0.1 {port}'], check=False,
                stdout=subprocess.PIPE).stdout

        for _ in range(50):
            if not clients():
                break
            time.sleep(0.1)
        self.assertEqual(b'', clients())

    def skipped(self, run):
        return str(self.assertRaises(
            workloads.Skipped, self.workload.start, run))

    def test_no_tool(self):
        self.assertIn('has no socat, nc, ncat, python3 or bash',
                      self.skipped(self.run_here()))

    def test_a_guest_that_does_not_connect(self):
        self.patch(outbound, 'CONNECT_S', 0.1)
        self.assertIn('to 127.0.0.1 within 0.1 s (bash): NAT or a firewall',
                      self.skipped(lambda command: 'bash'))

    def test_another_machine_does_not_count(self):
        self.patch(outbound, 'CONNECT_S', 0.5)
        # Its way leads over lo as well.
        self.workload = outbound.OutboundWorkload('127.0.0.2')
        self.assertIn('within 0.5 s', self.skipped(
            self.client(lambda guest: guest.recv(1))))

    def test_an_address_without_a_route(self):
        self.workload = outbound.OutboundWorkload('2001:db8::zz')
        self.assertIn('cannot listen', self.skipped(None))

    def test_a_client_that_sends_nothing(self):
        self.assertIn('socat in the guest: the guest has closed',
                      self.skipped(self.client(lambda guest: None)))
        self.assertEqual(-1, self.workload._connection.fileno())

    def problem(self, behave):
        """Return the problem of a guest that sends one line first."""
        def once(guest):
            guest.sendall(b'1\n')
            guest.recv(10)
            behave(guest)

        self.workload.start(self.client(once))
        return self.workload.verify(None)

    def test_a_guest_that_has_closed(self):
        self.assertIn('the guest has closed', self.problem(
            lambda guest: None))

    def test_a_connection_that_was_reset(self):
        self.assertIn('broke: ', self.problem(
            lambda guest: guest.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')))

    def test_no_line_in_time(self):
        self.patch(outbound, 'LINE_S', 0.1)
        self.assertIn('nothing came from the guest within 0.1 s', self.problem(
            lambda guest: guest.recv(10)))

    def test_lines_from_before_are_no_proof(self):
        self.patch(outbound, 'LINE_S', 0.1)
        sent = threading.Event()

        def behave(guest):
            guest.sendall(b'1\n')
            guest.recv(10)
            guest.sendall(b'2\n' * 100000)
            sent.set()
            guest.recv(10)

        self.workload.start(self.client(behave))
        self.assertTrue(sent.wait(5))
        self.assertIn('nothing came from the guest within 0.1 s',
                      self.workload.verify(None))

    def test_our_line_has_to_be_acknowledged(self):
        self.patch(outbound, 'LINE_S', 0.1)

        def behave(guest):
            for _ in range(10):
                guest.sendall(b'2\n')
                time.sleep(0.05)

        with mock.patch.object(outbound, '_unacknowledged',
                               side_effect=[0, *[5] * 1000]):
            self.assertIn('acknowledged no line within 0.1 s',
                          self.problem(behave))

    def test_an_ipv6_address_for_socat(self):
        self.assertIn("host='[2001:db8::1]' port=7\n",
                      outbound.command('2001:db8::1', 7))
