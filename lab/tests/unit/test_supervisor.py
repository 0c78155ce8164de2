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
import http.client
import io
import os
import shlex
import socket
import socketserver
import subprocess
import sys
import threading
import types
from unittest import mock
import xmlrpc.client
import xmlrpc.server

from lab import errors
from lab import layout
from lab import supervisor
from lab.tests.unit import base


class Handler(xmlrpc.server.SimpleXMLRPCRequestHandler):

    # There is no such thing for a Unix socket.
    disable_nagle_algorithm = False
    # As the real one: the connection stays.
    protocol_version = 'HTTP/1.1'

    def setup(self):
        super().setup()
        self.server.connections.append(self)

    def address_string(self):
        return 'unix'


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer,
             xmlrpc.server.SimpleXMLRPCDispatcher):
    """A supervisor's API, over a Unix socket as the real one."""

    daemon_threads = True
    logRequests = False

    def __init__(self, path):
        xmlrpc.server.SimpleXMLRPCDispatcher.__init__(
            self, allow_none=True, encoding='utf-8')
        self.connections = []
        socketserver.UnixStreamServer.__init__(self, str(path), Handler)


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(supervisor, 'POLL_SECONDS', 0.001)
        self.processes = {}
        self.calls = []
        socket = self.folder / 'supervisor.sock'
        self.server = Server(socket)
        for function in (self.startProcess, self.stopProcess,
                         self.getProcessInfo, self.getAllProcessInfo,
                         self.reloadConfig, self.removeProcessGroup,
                         self.addProcessGroup):
            self.server.register_function(
                function, f'supervisor.{function.__name__}')
        thread = threading.Thread(target=self.server.serve_forever,
                                  kwargs={'poll_interval': 0.005})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.supervisor = supervisor.Supervisor(socket)

    def startProcess(self, name, wait):
        self.calls.append(('start', name, wait))
        if name not in self.processes:
            raise xmlrpc.client.Fault(10, f'BAD_NAME: {name}')
        if self.processes[name][0] == 'RUNNING':
            raise xmlrpc.client.Fault(60, f'ALREADY_STARTED: {name}')
        return True

    def stopProcess(self, name, wait):
        self.calls.append(('stop', name, wait))
        if name not in self.processes:
            raise xmlrpc.client.Fault(70, f'NOT_RUNNING: {name}')
        return True

    def reloadConfig(self):
        self.calls.append(('reload',))
        return True

    def removeProcessGroup(self, name):
        self.calls.append(('remove', name))
        return True

    def addProcessGroup(self, name):
        self.calls.append(('add', name))
        return True

    def getProcessInfo(self, name):
        if name not in self.processes:
            raise xmlrpc.client.Fault(10, f'BAD_NAME: {name}')
        states = self.processes[name]
        return self._info(name, states.pop(0) if states[1:] else states[0])

    def getAllProcessInfo(self):
        return [self._info(name, states[0])
                for name, states in self.processes.items()]

    def _info(self, name, state):
        return {'name': name, 'statename': state,
                'description': f'{name} is {state}',
                'stdout_logfile': f'/log/{name}.log', 'pid': 1}


class TestSupervisor(TestCase):

    def test_states(self):
        self.processes = {'a': ['RUNNING'], 'b': ['FATAL'], 'c': ['STOPPED']}
        states = self.supervisor.states()
        self.assertEqual(
            [('a', 'RUNNING', 'a is RUNNING', '/log/a.log'),
             ('b', 'FATAL', 'b is FATAL', '/log/b.log'),
             ('c', 'STOPPED', 'c is STOPPED', '/log/c.log')],
            [(state.name, state.state, state.description, state.log)
             for state in states])
        self.assertEqual([True, False, False],
                         [state.up for state in states])

    def test_start_waits_until_it_is_up(self):
        self.processes = {'a': ['STARTING', 'BACKOFF', 'STARTING',
                                'RUNNING']}
        self.supervisor.start('a')
        self.assertEqual(['RUNNING'], self.processes['a'])
        # Side by side with others: the supervisor is not asked to wait.
        self.assertEqual([('start', 'a', False)], self.calls)

    def test_start_of_what_is_up(self):
        self.processes = {'a': ['RUNNING']}
        self.supervisor.start('a')

    def test_start_of_what_ends_again(self):
        for state in ('FATAL', 'EXITED', 'STOPPED'):
            self.processes = {'a': ['STARTING', state]}
            message = self.refused(self.supervisor.start, 'a')
            self.assertIn(f'a does not stay up ({state})', message)
            self.assertIn('/log/a.log', message)

    def test_start_of_what_never_decides(self):
        self.patch(supervisor, 'START_SECONDS', 0.02)
        self.processes = {'a': ['BACKOFF']}
        self.assertIn('BACKOFF', self.refused(self.supervisor.start, 'a'))

    def test_start_of_what_is_unknown(self):
        message = self.refused(self.supervisor.start, 'x')
        self.assertIn('BAD_NAME: x', message)
        self.assert_sentence(message)

    def test_stop_waits_until_it_is_gone(self):
        self.processes = {'a': ['STOPPING', 'STOPPING', 'STOPPED']}
        self.supervisor.stop('a')
        self.assertEqual(['STOPPED'], self.processes['a'])
        # The supervisor would take a whole core if it were asked to wait.
        self.assertEqual([('stop', 'a', False)], self.calls)

    def test_stop_of_what_does_not_end(self):
        self.patch(supervisor, 'STOP_SECONDS', 0.02)
        self.processes = {'a': ['STOPPING']}
        message = self.refused(self.supervisor.stop, 'a')
        self.assertEqual('a did not end within 0.02 s.', message)

    def test_restart(self):
        for state in ('RUNNING', 'STARTING', 'BACKOFF'):
            self.calls.clear()
            self.processes = {'a': [state, 'STOPPING', 'STOPPED', 'STARTING',
                                    'RUNNING']}
            self.supervisor.restart('a')
            self.assertEqual([('stop', 'a', False), ('start', 'a', False)],
                             self.calls)
            self.assertEqual(['RUNNING'], self.processes['a'])

    def test_restart_of_what_is_not_up(self):
        for states in (['STOPPED', 'STOPPED'], ['EXITED', 'EXITED'],
                       ['FATAL', 'FATAL'], ['STOPPING', 'STOPPED'],
                       ['STOPPING', 'STOPPING', 'STOPPED']):
            self.calls.clear()
            self.processes = {'a': [*states, 'STARTING', 'RUNNING']}
            self.supervisor.restart('a')
            self.assertEqual([('start', 'a', False)], self.calls)

    def test_restart_of_what_does_not_come_up_again(self):
        self.processes = {'a': ['RUNNING', 'STOPPED', 'STARTING', 'FATAL']}
        self.assertIn('a does not stay up (FATAL)',
                      self.refused(self.supervisor.restart, 'a'))

    def test_reread(self):
        self.processes = {'a': ['STOPPED', 'STARTING', 'RUNNING'],
                          'b': ['STOPPING', 'STOPPED', 'RUNNING']}
        self.supervisor.reread(['a', 'b'])
        self.assertEqual(
            [('reload',), *((action, name, *rest) for name in 'ab'
                            for action, *rest in (
                ('stop', False), ('remove',), ('add',), ('start', False)))],
            self.calls)

    def test_what_the_supervisor_refuses(self):
        for call, reason in ((self.supervisor.stop, 'NOT_RUNNING: x'),
                             (self.supervisor.state, 'BAD_NAME: x')):
            message = self.refused(call, 'x')
            self.assertIn(reason, message)
            self.assert_sentence(message)

    def test_many_threads(self):
        self.processes = {'a': ['RUNNING']}
        failures = []

        def ask():
            try:
                self.supervisor.start('a')
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)
        self.assertEqual(1, len(self.server.connections))


class TestBroken(TestCase):
    """A connection that breaks."""

    def _failing(self, error):
        """Return a supervisor, and the list of events of its connection."""
        seen = []

        class Api:

            supervisor = mock.Mock(**{'stopProcess.side_effect': error})

            def __call__(api, attribute):
                def closed():
                    seen.append((attribute, failing._lock.locked()))

                return closed

        failing = supervisor.Supervisor(self.folder / 'none.sock')
        failing._api = Api()
        return failing, seen

    def test_it_is_closed_before_somebody_else_calls(self):
        for error in (ConnectionResetError(104, 'reset'),
                      http.client.BadStatusLine('nonsense')):
            failing, seen = self._failing(error)
            message = self.refused(failing.stop, 'a')
            self.assertIn('does not answer', message)
            self.assertEqual([('close', True)], seen)
            self.assertFalse(failing._lock.locked())

    def test_what_is_an_answer_does_not_close_it(self):
        for error in (xmlrpc.client.Fault(70, 'NOT_RUNNING: a'),
                      xmlrpc.client.ProtocolError('/', 500, 'no', {})):
            failing, seen = self._failing(error)
            self.refused(failing.stop, 'a')
            self.assertEqual([], seen)
            self.assertFalse(failing._lock.locked())

    def test_the_next_call_connects_again(self):
        self.processes = {'a': ['RUNNING']}
        self.supervisor.states()
        with mock.patch.object(
                self.supervisor._api('transport'), 'request', autospec=True,
                side_effect=ConnectionResetError(104, 'reset')):
            self.refused(self.supervisor.states)
        self.assertEqual(['a'], [
            state.name for state in self.supervisor.states()])
        self.assertEqual(2, len(self.server.connections))


class TestNoSupervisor(base.TestCase):

    def _check(self, socket):
        gone = supervisor.Supervisor(socket)
        for call, *args in ((gone.states,), (gone.state, 'a'),
                            (gone.start, 'a'), (gone.stop, 'a')):
            message = self.refused(call, *args)
            self.assertIn('does not answer', message)
            self.assertIn('run-lab.sh down', message)

    def test_no_answer(self):
        self._check(self.folder / 'none.sock')

    def test_answer_that_is_none(self):
        for answer in (b'', b'nonsense\n', b'HTTP/1.1 500 Broken\r\n\r\n'):
            path = self.folder / f'{len(answer)}.sock'
            handler = type('Handler', (socketserver.StreamRequestHandler,), {
                'handle': lambda handler, answer=answer: (
                    handler.rfile.readline(), handler.wfile.write(answer))})
            with socketserver.UnixStreamServer(str(path), handler) as server:
                thread = threading.Thread(target=server.serve_forever,
                                          kwargs={'poll_interval': 0.005})
                thread.start()
                try:
                    self._check(path)
                finally:
                    server.shutdown()
                    thread.join()


class TestMain(base.TestCase):

    def _main(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = supervisor.main(*arguments)
        return status, out.getvalue(), err.getvalue()

    def test_restart(self):
        restarted = []
        self.patch(supervisor.Supervisor, 'restart',
                   lambda _, name: restarted.append(name))
        self.assertEqual((0, '', ''),
                         self._main('restart', 'compute1-nova-compute'))
        self.assertEqual(['compute1-nova-compute'], restarted)

    def test_pid(self):
        for pid in (17, 0):
            self.patch(supervisor.Supervisor, 'state',
                       lambda _, name, pid=pid: types.SimpleNamespace(
                           pid=pid))
            self.assertEqual((0, f'{pid}\n', ''), self._main('pid', 'x'))

    def test_refusal(self):
        self.patch(supervisor.Supervisor, 'restart',
                   side_effect=errors.LabError('It does not end.'))
        self.assertEqual((1, '', 'run-lab.sh: It does not end.\n'),
                         self._main('restart', 'x'))


class TestCommand(base.TestCase):

    def test_it_finds_the_lab_from_anywhere(self):
        python = self.layout.venvs / 'tempest' / 'bin' / 'python'
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        self.write(self.folder / 'a b' / 'lab' / 'supervisor.py',
                   'import sys; print(sys.argv[1:])')
        self.patch(layout, 'REPOSITORY', self.folder / 'a b')
        line = f'{supervisor.command(self.layout)} restart x'
        self.assertEqual(str(python), shlex.split(line)[2])
        done = subprocess.run(
            ['sh', '-c', line], cwd=self.folder, env=dict(os.environ),
            capture_output=True, text=True)
        self.assertEqual("['restart', 'x']\n", done.stdout, done.stderr)


class TestWaitForPort(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(supervisor, 'POLL_SECONDS', 0.005)
        self.server = socket.socket()
        self.addCleanup(self.server.close)
        self.server.bind(('127.0.0.1', 0))
        self.address = self.server.getsockname()

    def test_opens_later(self):
        real = socket.create_connection
        tried = []

        def connect(*args, **options):
            tried.append(True)
            if len(tried) == 3:
                self.server.listen()
            return real(*args, **options)

        self.patch(supervisor.socket, 'create_connection', connect)
        supervisor.wait_for_port('x', *self.address)
        self.assertEqual(3, len(tried))

    def test_never_opens(self):
        message = self.refused(supervisor.wait_for_port, 'glance',
                               *self.address, seconds=0.03)
        self.assertIn(f'for glance to open 127.0.0.1:{self.address[1]}; last '
                      f'state: [Errno', message)
