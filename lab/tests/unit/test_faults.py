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
import io
import os
import pathlib
import signal
import types

import openstack

from lab.cloud import supervisor
from lab import faults
from lab.tests.unit import base


def thing(**values):
    return types.SimpleNamespace(**values)


# Like no word on the command line of any real process.
SERVER = 'd2c9a8f5-6a41-4c52-9f13-d77e4ac10b6e'
RECORD = thing(id=12, uuid='u-12', status='running', server_id=SERVER,
               source_compute='compute1', dest_compute='compute2')
# As lm_tempest_plugin.migration.verdict words it.
MESSAGE = (f'The live migration of server {SERVER} did not go as it should:\n'
           'Migration: record 12 error from compute1 to compute2\n\n'
           'test ... FAILED\n')


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(faults, 'POLL_SECONDS', 0)
        self.records = []
        self.servers = []
        self.ports = []
        self.cloud = thing(
            compute=thing(migrations=lambda: list(self.records),
                          servers=lambda all_projects: list(self.servers)),
            network=thing(ports=lambda: list(self.ports)))


class TestRunningMigration(TestCase):

    def _wait(self, polls):
        answers = iter(polls)

        def poll():
            answer = next(answers)
            if callable(answer):
                answer()
                return None
            return answer

        return faults.running_migration(self.cloud, {'old'},
                                        thing(poll=poll))

    def test_waits_until_one_copies(self):
        self.records = [thing(uuid='old', status='running')]
        new = thing(uuid='new', status='preparing')
        found = self._wait([None, lambda: self.records.append(new), None,
                            lambda: setattr(new, 'status', 'running')])
        self.assertIs(new, found)

    def test_test_that_ends_before(self):
        with self.assertRaisesRegex(faults.Unexpected, 'before a migration'):
            self._wait([None, None, 1])


class TestCheck(TestCase):

    def test_good_message(self):
        faults.check(MESSAGE, RECORD)

    def test_test_that_passed(self):
        with self.assertRaisesRegex(faults.Unexpected, 'did not fail'):
            faults.check(MESSAGE.replace('FAILED', 'ok'), RECORD)

    def test_names_what_the_message_lacks(self):
        for gone, what in ((SERVER, 'server'), ('record 12 ', 'record'),
                           ('error ', 'status'), ('from compute1', 'hosts'),
                           ('to compute2', 'hosts')):
            with self.assertRaisesRegex(faults.Unexpected, what):
                faults.check(MESSAGE.replace(gone, ''), RECORD)


class TestKillLibvirtd(TestCase):

    def test_libvirtd_that_is_not_up(self):
        # The supervisor says 0 then, which to kill() is a process group.
        killed = []
        self.patch(os, 'kill', lambda *args: killed.append(args))
        for state in ('STOPPED', 'FATAL', 'BACKOFF'):
            self.patch(supervisor.Supervisor, 'state',
                       return_value=supervisor._state({
                           'name': 'compute1-libvirtd', 'statename': state,
                           'description': '', 'stdout_logfile': '',
                           'pid': 0}))
            with self.assertRaisesRegex(faults.Unexpected, 'compute1'):
                faults.kill_libvirtd('compute1')
        self.assertEqual([], killed)


class TestLeftovers(TestCase):

    def test_nothing(self):
        self.servers = [thing(id='somebody', status='ACTIVE')]
        self.ports = [thing(id='p-1', device_id='somebody')]
        self.assertEqual([], faults.leftovers(self.cloud, 'no-such-server'))

    def test_each_kind(self):
        self.servers = [thing(id=SERVER, status='ERROR')]
        self.ports = [thing(id='p-1', device_id=SERVER)]
        proc = self.folder / 'proc'
        self.write(proc / '7' / 'cmdline', f'qemu\0-uuid\0{SERVER}\0')
        self.write(proc / '8' / 'cmdline', 'sleep\0')
        (proc / '9' / 'cmdline').mkdir(parents=True)
        self.patch(faults.pathlib, 'Path', lambda path: pathlib.PosixPath(
            proc if path == '/proc' else path))
        found = faults.leftovers(self.cloud, SERVER)
        self.assertEqual([f'server {SERVER} (ERROR)', 'port p-1',
                          'QEMU process 7'], found)


class TestMain(TestCase):

    def setUp(self):
        super().setUp()
        # A Tempest that fails as it should once the fault is there.
        self.killed = self.folder / 'killed'
        self.program('tempest', f'for _ in $(seq 500); do '
                     f'[ ! -e {self.killed} ] || break; sleep 0.01; done; '
                     f'cat {self.folder}/message; exit 1')
        self.write(self.folder / 'message', MESSAGE)
        os.environ['TEMPEST_CONFIG_DIR'] = str(self.folder / 'etc')
        self.patch(openstack, 'connect', lambda: self.cloud)
        asked = iter([[]])
        self.cloud.compute.migrations = lambda: next(asked, [RECORD])
        self.patch(supervisor.Supervisor, 'state', lambda _, name: thing(
            pid={'compute2-libvirtd': 4711}[name], up=True))
        self.patch(os, 'kill', self._kill)

    def _kill(self, pid, number):
        self.assertEqual((4711, signal.SIGKILL), (pid, number))
        self.killed.touch()

    def _main(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = faults.main()
        return status, out.getvalue()

    def test_success(self):
        status, said = self._main()
        self.assertEqual(0, status)
        self.assertIn('from compute1 to compute2', said)
        self.assertIn('nothing is left behind', said)

    def test_test_that_does_not_notice(self):
        self.write(self.folder / 'message', 'test ... ok\n')
        with self.assertRaisesRegex(faults.Unexpected, 'did not fail'):
            self._main()

    def test_something_left_behind(self):
        self.servers = [thing(id=SERVER, status='ERROR')]
        with self.assertRaisesRegex(faults.Unexpected, f'server {SERVER}'):
            self._main()
