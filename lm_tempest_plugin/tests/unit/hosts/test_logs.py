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


import datetime
import pathlib
import shlex
import subprocess

import fixtures

from lm_tempest_plugin.hosts import logs
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.tests.unit import base

SERVER = '26955a34-328e-4855-8514-313835496090'
OTHER = 'deae5766-6855-436d-b49d-f9c67aa2dbbf'
REQUEST = 'req-6aa508be-7b02-4789-9991-8e0696709ee2'
NOW = datetime.datetime.now(datetime.UTC)


class Host:
    """Stands in for a Remote: runs everything on this machine."""

    name = 'alpha'

    def run(self, *command, stdin='', timeout_s=30.0):
        return subprocess.run(
            command, input=stdin, text=True, capture_output=True, check=True,
            timeout=timeout_s, errors=remote.ERRORS).stdout


def local(age_s):
    """Return a time as nova writes it."""
    return f'{(NOW - datetime.timedelta(seconds=age_s)).astimezone():%F %T}.1'


def utc(age_s):
    """Return a time as libvirtd writes it."""
    return f'{NOW - datetime.timedelta(seconds=age_s):%F %T}.123+0000'


class ReadTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def read(self, name, *lines, command='', age_s=60, request=REQUEST):
        path = self.path / 'a log'
        path.write_text(''.join(f'{line}\n' for line in lines))
        found, = logs.read(
            Host(), {name: command or f'cat {shlex.quote(str(path))}'},
            SERVER, request, NOW - datetime.timedelta(seconds=age_s))
        self.assertEqual(('alpha', name), (found.host, found.name))
        return found

    def test_lines_of_nova_that_belong_to_the_migration(self):
        info = f'{local(9)} 360 INFO nova.compute.manager'
        error = f'{local(9)} 360 ERROR nova.compute.manager'
        wanted = [
            f'{info} [None {REQUEST} user project] Attempting claim',
            f'{info} [None req-1 user project] [instance: {SERVER}] Paused',
            f'{error} [None {REQUEST} user project] it failed',
            'nova.exception_Remote.MigrationError_Remote: it failed',
            '  File "manager.py", line 1',
            f'{error} Traceback (most recent call last):',
            f'{error}   File "driver.py", line 1']
        found = self.read(
            logs.NOVA_COMPUTE,
            f'{local(90)} 360 INFO nova [None {REQUEST} user] too old',
            '  continued', wanted[0],
            f'{info} [None req-2 user project] [instance: {OTHER}] Started',
            f'{error} [-] [instance: {OTHER}] another one',
            f'{error} [instance: {OTHER}] Traceback of another one',
            *wanted[1:], f'{info} [-] Running a periodic task',
            'continued')
        self.assertEqual(wanted, list(found.lines))
        self.assertEqual('', found.error)

    def test_lines_of_devstack(self):
        begin = f'{NOW:%FT%T}+0000 alpha nova-compute[360]: '
        found = self.read(
            logs.NOVA_COMPUTE,
            f'{begin}\033[01;31mERROR nova [\033[01;36mNone {REQUEST} '
            'admin\033[01;31m] \033[01;35mit failed\033[00m',
            f'{begin}ERROR nova \033[01;35mTraceback\033[00m',
            f'{begin}\033[01;31mERROR nova [\033[01;36mNone req-2 '
            'admin\033[01;31m] other')
        self.assertEqual((
            f'{begin}ERROR nova [None {REQUEST} admin] it failed',
            f'{begin}ERROR nova Traceback'), found.lines)

    def test_a_request_without_an_id(self):
        self.assertEqual((), self.read(
            logs.NOVA_COMPUTE, f'{local(9)} 360 INFO nova [None req-1] other',
            request='').lines)

    def test_lines_of_libvirtd_are_chosen_by_time(self):
        new = f'{utc(9)}: 118: error : virNetSocketWriteWire:1832 : Broken'
        for line in (new, new.replace(' ', 'T', 1),
                     # short-iso of journalctl.
                     f'{NOW:%FT%T}+0000 alpha libvirtd[93]: no cgroup'):
            self.assertEqual((line, 'continued'), self.read(
                logs.LIBVIRTD, f'{utc(90)}: 1: error : f:1 : old',
                'continued', line, 'continued').lines)

    def test_the_command_line_of_qemu_is_left_out(self):
        error = f'{NOW:%FT%T}.1Z qemu-system-x86_64: load of migration failed'
        found = self.read(
            logs.QEMU, f'{utc(9)}: starting up libvirt version: 9.0.0',
            'LC_ALL=C \\', '/usr/bin/qemu-system-x86_64 \\',
            f'-uuid {SERVER} \\', '-msg timestamp=on',
            'char device redirected to /dev/pts/0', error)
        self.assertEqual((
            f'{utc(9)}: starting up libvirt version: 9.0.0',
            'char device redirected to /dev/pts/0', error), found.lines)

    def test_placeholders(self):
        found = self.read(
            logs.LIBVIRTD, command='echo {server} @{since} $((x = 1))')
        server, since, number = found.lines[0].split()
        self.assertEqual((SERVER, '1'), (server, number))
        self.assertLess(
            abs(int(since[1:]) - (NOW.timestamp() - 60)), 5)

    def test_no_log(self):
        for command, error in (
                ('cat /no/such/file', 'cat: /no/such/file: No such file or '
                 'directory'),
                ('no-such-program', 'not found'),
                ('true', 'printed nothing')):
            found = self.read(logs.NOVA_COMPUTE, command=command)
            self.assertEqual((), found.lines)
            self.assertIn(error, found.error)

    def test_a_log_without_lines_of_the_migration_is_no_error(self):
        found = self.read(logs.NOVA_COMPUTE, f'{local(9)} 1 INFO nova [-] x')
        self.assertEqual(((), ''), (found.lines, found.error))

    def test_errors_do_not_hide_lines(self):
        found = self.read(logs.LIBVIRTD, command='echo no 1>&2; echo yes')
        self.assertEqual((('yes',), ''), (found.lines, found.error))

    def test_bounded(self):
        found = self.read(logs.LIBVIRTD, command='seq 200000')
        # The last line is a number that is not part of the log.
        self.assertEqual(logs.MAX_LINES - 1, len(found.lines))
        self.assertEqual('200000', found.lines[-1])
        line, = self.read(
            logs.LIBVIRTD, command="printf '%09999999d\\n' 1").lines
        self.assertIn(len(line), range(logs.MAX_BYTES - 99, logs.MAX_BYTES))

    def test_secrets_are_masked(self):
        found = self.read(
            logs.LIBVIRTD, "a {'adminPass': 'geheim'} b",
            'rabbit://nova:geheim@192.0.2.1:5672/ qemu+tcp://beta/system')
        self.assertEqual((
            "a {'adminPass': '***'} b",
            'rabbit://nova:***@192.0.2.1:5672/ qemu+tcp://beta/system'),
            found.lines)

    def test_bytes_that_are_no_text(self):
        found = self.read(logs.LIBVIRTD, command=r"printf 'a\377b\n'")
        self.assertEqual(('a\ufffdb',), found.lines)

    def test_several_logs(self):
        found = logs.read(
            Host(), {'one': 'echo 1', 'two': 'true', 'three': "echo 'a b'"},
            SERVER, REQUEST, NOW)
        self.assertEqual(
            [('one', ('1',)), ('two', ()), ('three', ('a b',))],
            [(each.name, each.lines) for each in found])

    def test_a_host_that_cannot_be_asked(self):
        class Down(Host):
            def run(self, *command, **kwargs):
                raise remote.HostError('no SSH')

        self.assertRaises(remote.HostError, logs.read, Down(), {'one': 'cat'},
                          SERVER, REQUEST, NOW)
