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

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

import fixtures

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

    def test_it_waits_for_the_report_of_the_new_process(self):
        self.events = [(30, lambda: self.reports.append('12:00:40'))]
        self.restart(self.reported)
        self.assertGreaterEqual(self.now, 30)

    def test_a_slow_end_takes_no_time_from_the_start(self):
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

    def test_a_service_that_was_down_before(self):
        self.reports = [None]
        self.events = [(20, lambda: self.reports.append('12:00:40'))]
        self.restart(self.reported)
        self.assertGreaterEqual(self.now, 20)

    def test_the_new_process_does_not_report(self):
        self.kind = service.NotStarted
        self.refused('a report to nova', reported=self.reported)

    def test_the_old_process_stays(self):
        self.host._restart = lambda: None
        self.refused("'restart'", 'the end of the old process, 100')

    def test_the_new_process_does_not_start(self):
        self.host.refuses = lambda text: True
        self.kind = service.NotStarted
        self.refused('a new process that lives')

    def test_a_command_that_waits_and_fails(self):
        self.host.fails = 'restart'
        self.kind = service.NotStarted
        self.refused('ended with status 1')

    def test_a_process_that_is_restarted_again_and_again(self):
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

    def test_output_that_is_not_a_process_id(self):
        self.host._sh = lambda words, stdin: 'what?\n'
        self.refused("'pid' printed 'what?'", 'not a process id')

    def test_no_output_means_no_process(self):
        self.host._sh = lambda words, stdin: '\n'
        self.assertEqual(0, service.process_id(self.host))


class NovaVersionTest(base.TestCase):

    PYTHON = '/opt/venv/bin/python3'
    CMDLINE = PYTHON + '\0/opt/venv/bin/nova-compute\0--config-file\0x\0'
    SAME = 'mnt:[4026531841]\nmnt:[4026531841]\n'
    # Real, effective, saved and file system ids.
    STATUS = ('Name:\tnova-compute\nPid:\t42\n'
              'Uid:\t64\t0\t0\t0\nGid:\t65\t0\t0\t0\n'
              'Name:\tcat\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n')

    def version(self, *answers):
        self.host = fakes.Answering(*answers)
        self.host.site = fakes.host_site()
        return service.nova_version(self.host)

    def test_the_running_interpreter_is_asked(self):
        self.assertEqual('34.0.0', self.version(
            '42\n', self.CMDLINE, self.STATUS, self.SAME, '34.0.0\n'))
        self.assertEqual([
            ['cat', '--', '/proc/42/cmdline'],
            ['cat', '--', '/proc/42/status', '/proc/self/status'],
            ['readlink', '--', '/proc/42/ns/mnt', '/proc/self/ns/mnt']],
            self.host.asked[1:-1])
        self.assertEqual(
            [self.PYTHON, '-c', service.VERSION_PROGRAM],
            self.host.asked[-1][-3:])

    def test_it_runs_as_the_user_of_the_process(self):
        self.version(
            '42\n', self.CMDLINE, self.STATUS, self.SAME, '34.0.0\n')
        self.assertEqual(
            ['setpriv', '--reuid=64', '--regid=65', '--clear-groups', '--',
             self.PYTHON], self.host.asked[-1][:6])

    def test_the_user_is_the_same_already(self):
        both = 2 * 'Uid:\t64\t64\t64\t64\nGid:\t65\t65\t65\t65\n'
        self.version('42\n', self.CMDLINE, both, self.SAME, '34.0.0\n')
        self.assertEqual(self.PYTHON, self.host.asked[-1][0])

    def test_a_process_whose_user_is_not_known(self):
        self.assertEqual('', self.version(
            '42\n', self.CMDLINE, 'Uid:\t64\t64\t64\t64\n'))
        self.assertEqual(3, len(self.host.asked))

    def test_a_container(self):
        self.assertEqual('34.0.1.dev7', self.version(
            '42\n', self.CMDLINE, self.STATUS, 'mnt:[1]\nmnt:[2]\n',
            '34.0.1.dev7\n'))
        self.assertEqual(
            ['nsenter', '--target=42', '--mount', '--setuid=64',
             '--setgid=65', '--', self.PYTHON], self.host.asked[-1][:7])

    def test_another_program_is_not_run(self):
        self.assertEqual('', self.version('42\n', 'dumb-init\0--\0nova\0'))
        self.assertEqual(2, len(self.host.asked))

    def test_it_never_fails(self):
        for answers in (
                ('',), ('0\n',), ('what?',), (fakes.refusal(),),
                ('42\n', fakes.refusal()), ('42\n', ''),
                ('42\n', self.CMDLINE, fakes.refusal()),
                ('42\n', self.CMDLINE, self.STATUS, fakes.refusal()),
                *(('42\n', self.CMDLINE, self.STATUS, self.SAME, last)
                  for last in (fakes.refusal(), 'Traceback\nx\n', ''))):
            self.assertEqual('', self.version(*answers))

    def printed(self, package, **variables):
        """Return the output of the program for another package."""
        return subprocess.run(
            [sys.executable, '-c', service.VERSION_PROGRAM.replace(
                "'nova'", f"'{package}'")],
            check=True, capture_output=True, text=True,
            env={**os.environ, **variables}).stdout.strip()

    def test_the_program_prints_the_version_of_a_package(self):
        self.assertEqual(importlib.metadata.version('oslo.config'),
                         self.printed('oslo.config'))

    def test_the_program_prints_the_commit_of_no_release(self):
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        info = directory / 'nova-34.1.0.dev5.dist-info'
        info.mkdir()
        info.joinpath('METADATA').write_text(
            'Metadata-Version: 2.1\nName: nova\nVersion: 34.1.0.dev5\n')
        for is_release, expected in (
                (True, '34.1.0.dev5'), (False, '34.1.0.dev5+g1234abc')):
            info.joinpath('pbr.json').write_text(json.dumps(
                {'git_version': '1234abc', 'is_release': is_release}))
            self.assertEqual(expected, self.printed(
                'nova', PYTHONPATH=str(directory)))
        self.assertEqual(expected, self.version(
            '42\n', self.CMDLINE, self.STATUS, self.SAME, f'{expected}\n'))


class OvnVersionTest(base.TestCase):

    def version(self, answer):
        self.host = fakes.Answering(answer)
        return service.ovn_version(self.host, ['docker', 'exec', 'ovn'])

    def test_of_the_running_process(self):
        self.assertEqual('23.03.1', self.version(
            'ovn-controller 23.03.1\nOpen vSwitch Library 3.1.0\n'
            'SB DB Schema 20.27.0\n'))
        self.assertEqual(
            ['docker', 'exec', 'ovn', '--timeout=5',
             '--target=ovn-controller', 'version'], self.host.asked[0])

    def test_it_never_fails(self):
        for answer in (fakes.refusal(), 'what?', ''):
            self.assertEqual('', self.version(answer))
