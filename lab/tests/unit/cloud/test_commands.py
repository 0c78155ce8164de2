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

from lab.cloud import commands
from lab.tests.unit import base


class TestRun(base.TestCase):

    def test_output(self):
        self.assertEqual('a 1\n', commands.run('echo', 'a', 1))

    def test_input(self):
        self.assertEqual('SELECT 1;', commands.run('cat', text='SELECT 1;'))

    def test_environment(self):
        os.environ['LAB_TEST_OLD'] = 'old'
        self.assertEqual('old new\n', commands.run(
            'sh', '-c', 'echo $LAB_TEST_OLD $LAB_TEST_NEW',
            LAB_TEST_NEW='new'))

    def test_host(self):
        self.program('nsenter', 'echo "$@"')
        said = commands.run('ovs-vsctl', 'show', host='compute2').split()
        self.assertIn('--net=/run/lab/compute2/net', said)
        self.assertEqual(['--', 'ovs-vsctl', 'show'], said[-3:])

    def test_failure_tells_the_last_line(self):
        self.program('some-tool', 'echo out; echo noise >&2; '
                     'echo "the reason" >&2; exit 2')
        message = self.refused(commands.run, 'some-tool', 'db', 'sync')
        self.assertEqual('some-tool db sync failed on controller: the reason',
                         message)

    def test_failure_names_the_program_and_not_its_folder(self):
        self.program('some-tool', 'exit 2')
        message = self.refused(commands.run,
                               self.folder / 'bin' / 'some-tool', 'x')
        self.assertTrue(message.startswith('some-tool x failed'), message)
        self.assertTrue(message.endswith('it printed nothing'), message)

    def test_failure_on_a_host(self):
        self.program('nsenter', 'echo no; exit 1')
        message = self.refused(commands.run, 'ovs-vsctl', host='compute1')
        self.assertIn('failed on compute1: no', message)

    def test_long_command_is_cut(self):
        self.program('some-tool', 'exit 1')
        message = self.refused(commands.run, 'some-tool', 'x' * 1000)
        self.assertLess(len(message), 150)


class TestWaitForPort(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(commands, 'POLL_SECONDS', 0.005)
        self.server = socket.socket()
        self.addCleanup(self.server.close)
        self.server.bind(('127.0.0.1', 0))
        self.port = self.server.getsockname()[1]

    def test_open(self):
        self.server.listen()
        commands.wait_for_port('x', '127.0.0.1', self.port)

    def test_opens_later(self):
        slept = []

        def sleep(_):
            slept.append(True)
            if len(slept) == 3:
                self.server.listen()

        self.patch(commands.time, 'sleep', sleep)
        commands.wait_for_port('x', '127.0.0.1', self.port)
        self.assertEqual(3, len(slept))

    def test_never_opens(self):
        message = self.refused(commands.wait_for_port, 'glance', '127.0.0.1',
                               self.port, seconds=0.03)
        self.assertIn(f'glance did not open 127.0.0.1:{self.port}', message)
        self.assertIn('tools/run-lab.sh logs glance', message)
