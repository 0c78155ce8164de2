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

import argparse
import contextlib
import io
import json
import pathlib
import signal
import subprocess
import sys

from lab.bugs import loader
from lab import cli
from lab import errors
from lab.gate import preparation
from lab.hosts import sandbox
from lab import layout
from lab import lifecycle
from lab.services.base import Lab
from lab import supervisor
from lab.tests.unit import base
from lab import topology
from lab import use


class TestDispatch(base.TestCase):

    def _run(self, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = use.dispatch(cli.parse(list(arguments)), self.layout)
        return status, out.getvalue()

    def test_everything(self):
        run = self.patch(use, 'run_everything', autospec=True, return_value=7)
        self.assertEqual(7, self._run('--computes', '3', '--keep')[0])
        run.assert_called_once_with(
            self.layout, topology.Topology(computes=3), True)

    def test_up(self):
        up = self.patch(lifecycle, 'up', autospec=True)
        self.assertEqual(0, self._run('up', '--kvm')[0])
        up.assert_called_once_with(
            self.layout, topology.Topology(kvm=True), False, False)

    def test_reload(self):
        up = self.patch(lifecycle, 'up', autospec=True)
        self._run('up', '--reload', '--nova', '33.0.2')
        up.assert_called_once_with(
            self.layout, topology.Topology(sources=('nova=33.0.2',)), False,
            True)

    def test_storage_is_changed_only_when_it_is_named(self):
        up = self.patch(lifecycle, 'up', autospec=True)
        for storage in topology.STORAGES:
            self._run('up', '--storage', storage)
            up.assert_called_with(
                self.layout, topology.Topology(storage=storage), True, False)

    def test_run(self):
        run = self.patch(use, 'run_tempest', autospec=True, return_value=1)
        self.assertEqual(1, self._run('run', '--list')[0])
        run.assert_called_once_with(self.layout, ['--list'], None)

    def test_run_with_a_profile(self):
        run = self.patch(use, 'run_tempest', autospec=True, return_value=0)
        self._run('run', '--profile', 'etc/x.conf', '--list')
        run.assert_called_once_with(
            self.layout, ['--list'], pathlib.Path('etc/x.conf'))

    def test_exec(self):
        execute = self.patch(use, 'execute', autospec=True, return_value=5)
        self.assertEqual(5, self._run('exec', '--host', 'compute1', 'ls')[0])
        execute.assert_called_once_with(self.layout, 'compute1', ['ls'],
                                        pathlib.Path.cwd())

    def test_faults(self):
        execute = self.patch(use, 'execute', autospec=True, return_value=1)
        for arguments in (['disk', 'mtu'], ['--list'],
                          ['--part=1/3', 'disk'], []):
            self.assertEqual(1, self._run('faults', *arguments)[0])
            execute.assert_called_with(
                self.layout, 'controller',
                ['python', '-m', 'lab.faults', *arguments],
                layout.REPOSITORY)

    def test_bugs(self):
        execute = self.patch(use, 'execute', autospec=True, return_value=1)
        for arguments in (['executor_deadlock'], ['--clear'], [],
                          ['--keep', 'executor_deadlock']):
            self.assertEqual(1, self._run('bugs', *arguments)[0])
            execute.assert_called_with(
                self.layout, 'controller',
                ['python', '-m', 'lab.bugs', *arguments], layout.REPOSITORY)

    def test_bugs_are_listed_without_a_cloud(self):
        status, output = self._run('bugs', '--list')
        self.assertEqual(0, status)
        self.assertIn('executor_deadlock', output)

    def test_status(self):
        self.patch(use, 'status', autospec=True, return_value=3)
        self.assertEqual(3, self._run('status')[0])

    def test_logs(self):
        logs = self.patch(use, 'logs', autospec=True, return_value=0)
        self._run('logs', 'mariadb', '--follow', '--lines', '3')
        logs.assert_called_once_with(self.layout, 'mariadb', 3, True)

    def test_unknown(self):
        with self.assertRaisesRegex(ValueError, 'sideways'):
            use.dispatch(argparse.Namespace(command='sideways'), self.layout)


class TestRunEverything(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = None
        self.tested = []
        self.status = 0
        self.patch(lifecycle, 'running', lambda layout: self.cloud)
        self.patch(lifecycle, 'up', self._up)
        self.patch(sandbox, 'down', self._down)
        self.patch(use, 'run_tempest', self._test)

    def _up(self, layout, topology):
        self.cloud = topology

    def _down(self, layout):
        self.cloud = None

    def _test(self, layout, arguments):
        self.assertIsNotNone(self.cloud)
        self.tested.append(arguments)
        if isinstance(self.status, BaseException):
            raise self.status
        return self.status

    def _run(self, keep=False):
        self.out = io.StringIO()
        with contextlib.redirect_stdout(self.out):
            return use.run_everything(self.layout, topology.Topology(), keep)

    def test_exit_code_is_tempests(self):
        for status in (0, 1, 42):
            self.status = status
            self.assertEqual(status, self._run())
            self.assertIsNone(self.cloud)
        self.assertEqual([['--regex', 'live_migration_ha']] * 3, self.tested)

    def test_keep(self):
        self.status = 1
        self.assertEqual(1, self._run(keep=True))
        self.assertEqual(topology.Topology(), self.cloud)
        self.assertIn('left running', self.out.getvalue())

    def test_cloud_of_somebody_else_is_left(self):
        self.cloud = topology.Topology()
        self._run()
        self.assertIsNotNone(self.cloud)
        self.assertIn('left running', self.out.getvalue())

    def test_cloud_ends_whatever_happens(self):
        for error in (errors.LabError('no'), KeyboardInterrupt()):
            self.status = error
            with self.assertRaises(type(error)):
                self._run()
            self.assertIsNone(self.cloud)

    def test_nothing_is_tested_without_a_cloud(self):
        self.patch(lifecycle, 'up', side_effect=errors.LabError('no'))
        self.refused(self._run)
        self.assertEqual([], self.tested)


class TestGate(base.TestCase):

    def setUp(self):
        super().setUp()
        self.layout.root.mkdir()
        self.done = []
        self.cloud = topology.Topology()
        plan = preparation.Plan('HEAD^', 'abc', '/nova', 'quick', (2, 4),
                                3000.0, '/results')
        self.plan = self.patch(preparation, 'plan', autospec=True,
                               return_value=plan)
        self.patch(preparation, 'install', self._install)
        self.patch(lifecycle, 'running', lambda layout: self.cloud)
        self.patch(lifecycle, 'up',
                   lambda layout, hosts: self.done.append('up'))
        self.patch(sandbox, 'down',
                   lambda layout: self.done.append('down'))
        self.patch(use, 'execute', self._execute)

    def _install(self, layout, plan):
        self.done.append('install')
        return plan

    def _execute(self, paths, host, command, folder):
        self.assertEqual(['python', '-m', 'lab.gate'], command[:3])
        self.assertEqual('HEAD^', json.loads(command[3])['base_name'])
        self.assertIn('is changing', self.refused(
            layout.locked(paths).__enter__))
        self.done.append('run')
        return 1

    def _gate(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = use.dispatch(cli.parse(['gate', '--nova', '/nova',
                                           *arguments]), self.layout)
        self.assertIn('about 15 to 30 minutes', out.getvalue())
        return code

    def test_cloud_that_is_up(self):
        self.assertEqual(1, self._gate('--base', 'HEAD~3', '--limit', '20'))
        self.plan.assert_called_once_with(
            self.layout, '/nova', 'HEAD~3', 'quick', 1200)
        self.assertEqual(['install', 'run'], self.done)

    def test_cloud_of_its_own(self):
        self.cloud = None
        self._gate('--profile', 'gate')
        self.plan.assert_called_once_with(
            self.layout, '/nova', None, 'gate', 3000)
        self.assertEqual(['up', 'install', 'run', 'down'], self.done)

    def test_wrong_arguments_start_no_cloud(self):
        self.cloud = None
        self.plan.side_effect = errors.LabError('No such revision.')
        self.assertIn('No such', self.refused(use.gate, self.layout, cli.parse(
            ['gate', '--nova', '/nova'])))
        self.assertEqual([], self.done)


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.process = sandbox.Process(4711, self.layout.root, True)
        self.topology = topology.Topology()
        self.patch(sandbox, 'find', lambda root: self.process)
        self.patch(lifecycle, 'running', lambda layout: self.topology)

    def printed(self, call, *args):
        """Return the result and the output of a call."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            result = call(*args)
        return result, out.getvalue()


class TestNoCloud(TestCase):

    def test_message_and_exit_code(self):
        calls = ((use.execute, self.layout, 'controller', ['ls'],
                  self.folder), (use.run_tempest, self.layout, []),
                 (use.status, self.layout))
        for missing in ('process', 'topology'):
            setattr(self, missing, None)
            for call, *args in calls:
                with self.assertRaises(use.errors.LabError) as caught:
                    call(*args)
                self.assertEqual(3, caught.exception.status)
                self.assertIn('tools/run-lab.sh up', str(caught.exception))
                self.assert_sentence(str(caught.exception))


class TestExecute(TestCase):

    def setUp(self):
        super().setUp()
        # Runs the command of nsenter, and notes the arguments.
        self.entered = self.folder / 'entered'
        script = (f'echo "$@" >> {self.entered}\n'
                  'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
        binaries = self.layout.venvs / 'tempest' / 'bin'
        self.write(binaries / 'nsenter', f'#!/bin/sh\n{script}\n', 0o755)
        self.out = self.folder / 'out'

    def _execute(self, *command, host='controller'):
        return use.execute(self.layout, host, list(command), self.folder)

    def test_exit_code(self):
        for status in (0, 1, 42):
            self.assertEqual(status, self._execute(
                'sh', '-c', f'exit {status}'))

    def test_exit_code_of_a_signal(self):
        # As a shell has it.
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.assertEqual(128 + number, self._execute(
                'sh', '-c', f'kill -{number:d} $$'))

    def test_arguments_arrive_as_they_are(self):
        words = ['a b', '', '$HOME', '--host', '*']
        self._execute('sh', '-c', f'for word; do echo "<$word>"; done '
                      f'> {self.out}', 'sh', *words)
        self.assertEqual([f'<{word}>' for word in words],
                         self.out.read_text().splitlines())

    def test_folder_and_credentials(self):
        self._execute('sh', '-c', f'pwd > {self.out}; env >> {self.out}')
        folder, *values = self.out.read_text().splitlines()
        self.assertEqual(str(self.folder), folder)
        self.assertIn('OS_CLOUD=lab', values)
        self.assertIn(f'OS_CLIENT_CONFIG_FILE={self.layout.clouds_yaml}',
                      values)

    def test_enters_the_host(self):
        self._execute('true', host='compute2')
        said = self.entered.read_text().splitlines()
        self.assertIn('--target=4711', said[0])
        self.assertIn('--net=/run/lab/compute2/net', said[-1])

    def test_unknown_host(self):
        message = self.refused(self._execute, 'true', host='compute3')
        self.assertIn("no host 'compute3'", message)
        self.assertIn('controller, compute1, compute2.', message)
        self.assertFalse(self.entered.exists())


class TestWait(TestCase):

    def test_interrupted_child_may_clean_up(self):
        handlers = []
        self.patch(signal, 'signal', lambda number, handler:
                   handlers.append((number, handler)))

        class Child:

            answers = [KeyboardInterrupt, 130]
            killed = False

            def wait(self):
                answer = self.answers.pop(0)
                if answer is KeyboardInterrupt:
                    raise KeyboardInterrupt
                return answer

            def kill(self):
                self.killed = True

        child = Child()
        self.assertEqual(130, use._wait(child))
        self.assertFalse(child.killed)
        # The second Ctrl-C ends it.
        [(number, handler)] = handlers
        self.assertEqual(signal.SIGINT, number)
        handler(number, None)
        self.assertTrue(child.killed)


class TestRunTempest(TestCase):

    def test_runs_tempest_in_the_workspace(self):
        execute = self.patch(use, 'execute', autospec=True, return_value=1)
        status, said = self.printed(use.run_tempest, self.layout, ['--list'])
        self.assertEqual(1, status)
        execute.assert_called_once_with(
            self.layout, 'controller', ['tempest', 'run', '--list'],
            self.layout.workspace)
        self.assertIn(str(self.layout.workspace), said)

    def test_reports_the_results_of_this_run_alone(self):
        self.write(self.layout.results / 'earlier.jsonl', '')
        commands = []

        def execute(layout, host, command, folder):
            commands.append(command)
            if command[1] == 'run':
                for name in 'ba':
                    self.write(layout.results / f'{name}.jsonl', '')
                return 1
            return 0

        self.patch(use, 'execute', execute)
        status, said = self.printed(use.run_tempest, self.layout, [])
        self.assertEqual(1, status)
        page = str(self.layout.results / 'a.html')
        report = ['tempest', 'live-migration-ha', 'report', *(
            str(self.layout.results / f'{name}.jsonl') for name in 'ab')]
        self.assertEqual([report, [*report, '-o', page]], commands[1:])
        self.assertIn(f'Report: {page}\n', said)

    def test_says_that_there_is_no_report(self):
        def execute(layout, host, command, folder):
            self.write(layout.results / 'a.jsonl', '')
            return 0 if command[1] == 'run' else 2

        self.patch(use, 'execute', execute)
        status, said = self.printed(use.run_tempest, self.layout, [])
        self.assertEqual(0, status)
        self.assertIn('There is no report', said)
        self.assertNotIn('Report: ', said)

    def test_a_profile_comes_last(self):
        execute = self.patch(use, 'execute', autospec=True, return_value=0)
        layout.write(self.layout.tempest_conf, '[a]\nx = 1\n')
        profile = self.folder / 'profile.conf'
        profile.write_text('[a]\nx = 2\n')
        self.printed(use.run_tempest, self.layout, ['--list'], profile)
        command = execute.call_args.args[2]
        name = command[1].removeprefix('TEMPEST_CONFIG=')
        self.assertEqual(['tempest', 'run', '--list'], command[2:])
        combined = self.layout.tempest_conf.with_name(name)
        self.assertEqual('[a]\nx = 1\n\n[a]\nx = 2\n',
                         combined.read_text())

    def test_a_profile_that_is_not_there(self):
        with self.assertRaises(use.errors.LabError) as caught:
            use.run_tempest(self.layout, [], self.folder / 'none.conf')
        self.assertIn('none.conf', str(caught.exception))
        self.assert_sentence(str(caught.exception))


class TestStatus(TestCase):

    def setUp(self):
        super().setUp()
        self.layout.root.mkdir()
        self.plan = Lab(self.layout, self.topology).programs
        self.states = {each.identifier: ('RUNNING', 'pid 7, uptime 0:01:00')
                       for each in self.plan}
        self.logs = {each.identifier: str(each.log) for each in self.plan}
        asked = self.asked = []

        def states(self_):
            return [supervisor._state({
                'name': name, 'statename': state, 'description': description,
                'stdout_logfile': self.logs[name], 'pid': 7})
                for name, (state, description) in self.states.items()]

        self.patch(supervisor.Supervisor, '__init__',
                   lambda self_, socket: asked.append(socket))
        self.patch(supervisor.Supervisor, 'states', states)

    def test_active_bug(self):
        active = self.layout.cloud / loader.FOLDER / loader.ACTIVE
        text = 'bugs has put executor_deadlock into nova: '
        self.assertNotIn(text, self.printed(use.status, self.layout)[1])
        self.write(active, 'executor_deadlock\n')
        self.assertIn(text, self.printed(use.status, self.layout)[1])

    def _rows(self):
        status, said = self.printed(use.status, self.layout)
        lines = said.splitlines()
        return status, {line.split()[1]: line for line in lines[1:]}

    def test_all_up(self):
        status, rows = self._rows()
        self.assertEqual(0, status)
        self.assertEqual(set(self.states), set(rows))
        for each in self.plan:
            row = rows[each.identifier]
            self.assertEqual(each.host, row.split()[0])
            self.assertIn(' up ', row)
            # Whole, or one cannot copy it.
            self.assertTrue(row.rstrip().endswith(str(each.log)), row)

    def test_asks_the_labs_supervisor(self):
        self._rows()
        self.assertEqual(
            [sandbox.inside(self.process, layout.SUPERVISOR_SOCKET)],
            self.asked)

    def test_code(self):
        self.nova()
        vif = self.project('os-vif', 'os-vif-1', '5.4.0')
        nova = self.nova('several-1', '35.0.0')
        for venv, names in ((vif, ('os-vif',)), (nova, ('nova', 'os-vif'))):
            self.project('os-vif', venv.name, '5.4.0')
            layout.write_json(venv / 'stamp', {'base': 'x', 'sources': {
                name: {'text': f'/{name}', 'commit': 'abc', 'changed': True}
                for name in names}})
        self.run_nova(controller=vif, compute1=nova, compute2=nova)
        for project in ('neutron', 'keystone'):
            layout.link(self.layout.code / project / 'controller', vif)
        said = self.printed(use.status, self.layout)[1].splitlines()
        place = '(/nova at abc with changes)'
        self.assertEqual([
            'nova on controller: 34.0.0', f'nova on compute1: 35.0.0 {place}',
            f'nova on compute2: 35.0.0 {place}',
            'os-vif: 5.4.0 (/os-vif at abc with changes)'], said[-4:])

    def test_one_is_down(self):
        self.states['compute1-libvirtd'] = ('FATAL', 'Exited too quickly')
        status, rows = self._rows()
        self.assertEqual(1, status)
        self.assertIn('fatal', rows['compute1-libvirtd'])
        self.assertIn('Exited too quickly', rows['compute1-libvirtd'])
        self.assertIn(' up ', rows['compute2-libvirtd'])

    def test_cloud_of_an_older_checkout(self):
        del self.states['compute1-libvirtd']
        self.states['nova-cert'] = ('RUNNING', 'pid 7, uptime 0:01:00')
        self.logs['nova-cert'] = '/log/nova-cert.log'
        status, rows = self._rows()
        self.assertEqual(0, status)
        self.assertEqual(set(self.states), set(rows))
        self.assertEqual('?', rows['nova-cert'].split()[0])
        self.assertIn('/log/nova-cert.log', rows['nova-cert'])


class TestLogs(TestCase):

    def setUp(self):
        super().setUp()
        # Logs are there also when no cloud is.
        self.process = self.topology = None
        self.write(self.layout.log / 'mariadb.log', 'one\ntwo\nthree\n')
        self.write(self.layout.log / 'compute1-libvirtd.log', '')

    def _logs(self, service, lines=100, follow=False):
        real = subprocess.Popen
        commands = []

        def popen(command):
            commands.append(command)
            if '--follow' in command:
                command = [sys.executable, '-c', '']
            with open(self.folder / 'out', 'w') as out:
                return real(command, stdout=out)

        self.patch(subprocess, 'Popen', popen)
        status = use.logs(self.layout, service, lines, follow)
        self.assertEqual(0, status)
        return commands[0], (self.folder / 'out').read_text()

    def test_whole(self):
        self.assertEqual('one\ntwo\nthree\n', self._logs('mariadb')[1])

    def test_last_lines(self):
        self.assertEqual('two\nthree\n', self._logs('mariadb', 2)[1])

    def test_follow(self):
        self.assertIn('--follow', self._logs('mariadb', follow=True)[0])

    def test_unknown_service(self):
        message = self.refused(use.logs, self.layout, 'oracle', 1, False)
        self.assertIn("'oracle'", message)
        self.assertIn('compute1-libvirtd, mariadb', message)
        self.assert_sentence(message)

    def test_no_logs_at_all(self):
        empty = layout.Layout(self.folder / 'empty')
        self.assertIn('none at all', self.refused(
            use.logs, empty, 'mariadb', 1, False))

    def test_nothing_else_is_shown(self):
        self.write(self.layout.root / 'secret.log')
        for service in ('../secret', '/etc/hosts', 'x/../mariadb'):
            self.refused(use.logs, self.layout, service, 1, False)
