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

"""Over SSH, to a server in this process at an address of loopback."""

import pathlib
import shlex
import socket
import threading

import fixtures
import paramiko

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes

ADDRESS = '127.0.0.1'


class Server(paramiko.ServerInterface):
    """Accepts one key and answers commands from a function."""

    def __init__(self, key, commands):
        self._key = key
        self._commands = commands

    def check_auth_publickey(self, username, key):
        if username == 'nova' and key == self._key:
            return paramiko.AUTH_SUCCESSFUL
        return paramiko.AUTH_FAILED

    def get_allowed_auths(self, username):
        return 'publickey'

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=self._answer, args=(
            channel, command.decode()), daemon=True).start()
        return True

    def _answer(self, channel, line):
        with channel:
            stdin = channel.makefile('rb').read()
            answer = self._commands(line, stdin)
            if answer is None:
                # Hangs until the client has gone.
                channel.event.clear()
                channel.event.wait(10)
                return
            status, output, error = answer
            channel.sendall(output)
            channel.sendall_stderr(error)
            channel.send_exit_status(status)


class Listener(fixtures.Fixture):
    """An SSH server.

    :ivar connections: number of connections so far
    """

    def __init__(self, host_key, user_key, commands):
        self._host_key = host_key
        self._user_key = user_key
        self._commands = commands
        self.transports = []
        self.connections = 0

    def _setUp(self):
        self._socket = socket.create_server((ADDRESS, 0))
        self.port = self._socket.getsockname()[1]
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.hang_up)
        self.addCleanup(self._socket.close)
        self.addCleanup(self._socket.shutdown, socket.SHUT_RDWR)

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            transport = paramiko.Transport(connection)
            transport.add_server_key(self._host_key)
            self.transports.append(transport)
            try:
                transport.start_server(server=Server(
                    self._user_key, self._commands))
            except (paramiko.SSHException, EOFError):
                # The client does not like our key.
                continue

    def hang_up(self):
        for transport in self.transports:
            transport.close()


class RemoteTest(base.TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.host_key, cls.user_key, cls.other_key = (
            paramiko.ECDSAKey.generate() for _ in range(3))

    def setUp(self):
        super().setUp()
        self.lines = []
        self.answer = (0, b'', b'')
        self.listener = self.useFixture(Listener(
            self.host_key, self.user_key, self.command))
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.write_key(self.user_key)
        self.write_known(self.host_key)

    def command(self, line, stdin):
        self.lines.append((line, stdin))
        return self.answer

    def write_key(self, key):
        key.write_private_key_file(str(self.folder / 'key'))

    def write_known(self, key):
        (self.folder / 'known').write_text(
            f'[{ADDRESS}]:{self.listener.port} {key.get_name()} '
            f'{key.get_base64()}\n')

    def remote(self, **values):
        found = remote.Remote(fakes.host_site(**{
            'address': ADDRESS, 'port': self.listener.port,
            'key_file': str(self.folder / 'key'),
            'known_hosts_file': str(self.folder / 'known')} | values))
        self.addCleanup(found.close)
        return found

    def refused(self, call, *parts, **kwargs):
        exc = self.assertRaises(remote.HostError, call, 'true', **kwargs)
        for part in ('host alpha', *parts):
            self.assertIn(part, str(exc))

    def test_output(self):
        self.answer = (0, 'Grüße\n'.encode(), b'a warning')
        self.assertEqual('Grüße\n', self.remote().run('cat', 'a file'))
        self.assertEqual([("cat 'a file'", b'')], self.lines)

    def test_words_are_quoted(self):
        self.remote().run('echo', '$(id); rm -r /', "it's")
        line, _ = self.lines[0]
        self.assertEqual(['echo', '$(id); rm -r /', "it's"],
                         shlex.split(line))

    def test_input_and_output_are_not_changed(self):
        data = b'\xff\xfe not UTF-8 \n' * 10000
        self.answer = (0, data, b'')
        found = self.remote()
        self.assertEqual(data.decode('utf-8', 'surrogateescape'),
                         found.run('cat'))
        found.run('dd', stdin=data.decode('utf-8', 'surrogateescape'))
        self.assertEqual(data, self.lines[1][1])

    def test_sudo(self):
        self.remote(sudo=True).run('true')
        self.assertEqual('sudo --non-interactive true', self.lines[0][0])

    def test_one_connection_for_all_commands(self):
        found = self.remote()
        for _ in range(3):
            found.run('true')
        self.assertEqual(1, self.listener.connections)

    def test_a_connection_that_broke_is_made_again(self):
        found = self.remote()
        found.run('true')
        self.listener.hang_up()
        try:
            found.run('true')
        except remote.HostError:
            # It broke under the command itself.
            found.run('true')
        self.assertEqual(2, self.listener.connections)

    def test_a_command_that_fails(self):
        self.answer = (3, b'', b'sudo: a password is required\n')
        self.refused(self.remote().run, "'true' ended with status 3",
                     'a password is required')

    def test_a_command_that_hangs(self):
        self.answer = None
        self.refused(self.remote().run, 'printed nothing for 0.2 s',
                     timeout_s=0.2)

    def test_a_host_key_that_has_changed(self):
        self.write_known(self.other_key)
        self.refused(self.remote().run, 'is not the one in known_hosts')
        self.assertEqual([], self.lines)

    def test_a_host_key_that_is_not_known(self):
        (self.folder / 'known').write_text('')
        self.refused(self.remote().run, 'not found in known_hosts')

    def test_no_file_of_known_hosts(self):
        self.refused(self.remote(
            known_hosts_file=str(self.folder / 'none')).run,
            str(self.folder / 'none'))

    def test_a_key_that_is_refused(self):
        self.write_key(self.other_key)
        self.refused(self.remote().run, 'refuses this user')

    def test_a_missing_key(self):
        self.refused(self.remote(key_file=str(self.folder / 'none')).run,
                     str(self.folder / 'none'))

    def test_a_file_without_a_key(self):
        (self.folder / 'key').write_text('no key')
        self.refused(self.remote().run, 'cannot be reached with SSH')

    def test_a_key_with_a_passphrase(self):
        self.user_key.write_private_key_file(
            str(self.folder / 'key'), password='secret')
        self.refused(self.remote().run, 'cannot be reached with SSH')

    def test_a_line_of_known_hosts_that_cannot_be_read(self):
        with open(self.folder / 'known', 'a') as file:
            file.write('alpha ssh-ed25519 abc\n')
        self.refused(self.remote().run, 'known_hosts cannot be read')

    def test_nobody_listens(self):
        with socket.create_server((ADDRESS, 0)) as other:
            port = other.getsockname()[1]
        self.refused(self.remote(port=port).run, 'cannot be reached with SSH',
                     str(port))

    def test_leaving_the_context_closes_the_connection(self):
        with self.remote() as found:
            found.run('true')
        self.assertIsNone(found._client)


class RepeatingThreadTest(base.TestCase):

    class Counting(remote.RepeatingThread):

        number = 0

        def step(self):
            self.number += 1
            if self.number == 3:
                raise ValueError('three')

    def test_an_error_ends_it_and_stop_raises_it(self):
        counting = self.Counting('counting', 0.001)
        counting.start()
        counting._thread.join(10)
        exc = self.assertRaises(remote.HostError, counting.stop)
        self.assertIn('counting', str(exc))
        self.assertIn('three', str(exc))
        self.assertEqual(3, counting.number)

    def test_it_waits_before_the_first_step(self):
        with self.Counting('counting', 3600.0) as counting:
            self.assertTrue(counting._thread.is_alive())
        self.assertEqual(0, counting.number)
        counting.stop()
