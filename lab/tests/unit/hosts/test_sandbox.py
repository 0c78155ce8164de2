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

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from unittest import mock

from lab import errors
from lab.hosts import sandbox
from lab import layout
from lab import lifecycle
from lab.tests.unit import base

MOUNTS = """\
22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
30 28 0:25 / /run rw,nosuid shared:12 - tmpfs {} rw,size=100k,mode=755
31 28 0:26 / /dev/shm rw - tmpfs tmpfs rw
"""


class Machine(base.TestCase):
    """A machine whose processes are files."""

    def setUp(self):
        super().setUp()
        self.proc = self.folder / 'proc'
        self.write(self.proc / 'self' / 'mountinfo', MOUNTS.format('no'))
        self.write(self.proc / 'meminfo', 'MemFree: 0 kB\n')
        self.add(1, None, [1])
        self.processes = sandbox.processes
        self.patch(sandbox, 'processes', lambda mark=sandbox.MARK:
                   self.processes(self.proc, mark))
        self.patch(sandbox, 'POLL_SECONDS', 0.001)
        self.root = self.folder / 'a lab'

    def add(self, pid, root, numbers):
        """A process of a lab, or of nobody, with its pid in each level."""
        mark = 'tmpfs'
        if root is not None:
            escaped = (str(root).replace('\\', '\\134')
                       .replace(' ', '\\040').replace('\t', '\\011'))
            mark = f'lm-lab:{escaped}'
        folder = self.proc / str(pid)
        self.write(folder / 'mountinfo', MOUNTS.format(mark))
        listed = '\t'.join(str(number) for number in numbers)
        self.write(folder / 'status',
                   f'Name:\tsleep\nPid:\t{pid}\nNSpid:\t{listed}\n')

    def remove(self, pid):
        for path in (self.proc / str(pid)).iterdir():
            path.unlink()
        (self.proc / str(pid)).rmdir()

    def lab(self, root, first=100, count=3):
        """A living lab: unshare's parent, the first process, and others."""
        self.add(first - 1, root, [first - 1])
        self.add(first, root, [first, 1])
        for number in range(1, count):
            self.add(first + number, root, [first + number, 1 + number])


class TestProcesses(Machine):

    def test_none(self):
        self.assertEqual([], list(sandbox.processes()))

    def test_marks(self):
        self.lab(self.root)
        self.add(500, '/other/lab', [500, 1])
        found = {process.pid: process for process in sandbox.processes()}
        self.assertEqual({99, 100, 101, 102, 500}, set(found))
        self.assertEqual(self.root, found[101].root)
        self.assertEqual(pathlib.Path('/other/lab'), found[500].root)

    def test_first(self):
        self.lab(self.root)
        self.assertEqual([100], [process.pid for process
                                 in sandbox.processes() if process.first])

    def test_first_of_a_namespace_below_the_lab_is_not_meant(self):
        # A guest of a container that somebody runs inside of the lab.
        self.add(7, self.root, [7, 5, 1])
        self.assertFalse(next(sandbox.processes()).first)

    def test_escapes(self):
        roots = ('/a b', '/a\tb', '/a\\b', '/a\\040b', '/\u00e9 b')
        for number, root in enumerate(roots):
            self.add(200 + number, root, [200 + number, 1])
        self.assertEqual(set(roots), {str(process.root) for process
                                      in sandbox.processes()})

    def test_names_that_are_no_text(self):
        # Some program of the machine; the kernel cuts names after 15 bytes.
        self.add(3, None, [3])
        (self.proc / '3' / 'status').write_bytes(
            b'Name:\tabcdefghijklmn\xc3\nPid:\t3\nNSpid:\t3\n')
        self.lab(self.root)
        path = self.proc / '100' / 'status'
        path.write_bytes(path.read_bytes().replace(b'sleep', b'\xff'))
        self.assertEqual(100, sandbox.find(self.root).pid)

    def test_root_that_is_no_text(self):
        self.add(200, '/odd', [200, 1])
        path = self.proc / '200' / 'mountinfo'
        path.write_bytes(path.read_bytes().replace(b'/odd', b'/\xff'))
        [found] = sandbox.processes()
        self.assertEqual(b'/\xff', os.fsencode(found.root))

    def test_process_that_ends_meanwhile(self):
        self.lab(self.root)
        (self.proc / '101' / 'status').unlink()
        (self.proc / '102' / 'mountinfo').unlink()
        self.assertEqual({99, 100}, {process.pid for process
                                     in sandbox.processes()})

    def test_process_without_namespaces_of_its_own(self):
        self.add(3, self.root, [])
        self.write(self.proc / '3' / 'status', 'Name:\told kernel\n')
        self.assertFalse(next(sandbox.processes()).first)

    def test_tmpfs_of_others_does_not_count(self):
        self.add(3, None, [3])
        self.write(self.proc / '3' / 'mountinfo',
                   '30 28 0:25 / /mnt/lm-lab:/x rw - ext4 lm-lab:/x rw\n')
        self.assertEqual([], list(sandbox.processes()))

    def test_real_processes(self):
        # Whatever runs here, nothing of it is a lab in our folder.
        self.assertNotIn(self.root, [process.root for process
                                     in self.processes()])


class TestFind(Machine):

    def test_find(self):
        self.assertIsNone(sandbox.find(self.root))
        self.lab('/other')
        self.assertIsNone(sandbox.find(self.root))
        self.lab(self.root, first=300)
        self.assertEqual(sandbox.Process(300, self.root, True),
                         sandbox.find(self.root))

    def test_remains_without_a_first_process(self):
        self.add(5, self.root, [5])
        self.assertIsNone(sandbox.find(self.root))


class TestRefuseOthers(Machine):

    def test_nobody(self):
        sandbox.refuse_others(self.root)

    def test_own_lab(self):
        self.lab(self.root)
        sandbox.refuse_others(self.root)

    def test_other_lab_is_named(self):
        self.lab('/srv/other')
        message = self.refused(sandbox.refuse_others, self.root)
        self.assertIn('in /srv/other:', message)
        self.assertIn('LM_LAB_DIR=/srv/other tools/run-lab.sh down', message)
        self.assert_sentence(message)

    def test_other_lab_that_is_dead(self):
        self.lab('/srv/other')
        self.remove(100)
        sandbox.refuse_others(self.root)


class TestEnd(Machine):

    def setUp(self):
        super().setUp()
        self.killed = []
        self.immortal = set()
        self.patch(os, 'kill', self._kill)

    def _kill(self, pid, number):
        self.assertEqual(signal.SIGKILL, number)
        if not (self.proc / str(pid)).exists():
            raise ProcessLookupError
        self.killed.append(pid)
        if pid in self.immortal:
            return
        self.remove(pid)
        if pid == 100:
            # The kernel ends those in the namespace, not unshare's parent.
            for child in (101, 102):
                self.remove(child)

    def test_nothing(self):
        self.lab('/other', first=200)
        self.assertFalse(sandbox.end(self.root))
        self.assertEqual([], self.killed)

    def test_only_this_lab(self):
        self.lab(self.root)
        self.lab('/other', first=200)
        self.assertTrue(sandbox.end(self.root))
        self.assertEqual({199, 200, 201, 202},
                         {process.pid for process in sandbox.processes()})
        self.assertEqual({99, 100}, set(self.killed))

    def test_first_process_is_the_first_to_go(self):
        self.lab(self.root)
        sandbox.end(self.root)
        self.assertEqual(100, self.killed[0])

    def test_remains(self):
        self.add(7, self.root, [7])
        self.assertTrue(sandbox.end(self.root))
        self.assertEqual([7], self.killed)

    def test_until_gone(self):
        self.add(7, self.root, [7])
        self.immortal = {7}

        def sleep(_):
            if len(self.killed) == 3:
                self.remove(7)

        self.patch(time, 'sleep', sleep)
        self.assertTrue(sandbox.end(self.root))
        self.assertEqual(3, len(self.killed))

    def test_process_that_does_not_go(self):
        self.patch(sandbox, 'END_SECONDS', 0.01)
        self.lab(self.root)
        self.immortal = {99}
        message = self.refused(sandbox.end, self.root)
        self.assertIn('99', message)
        self.assertNotIn('102', message)
        self.assertIn(str(self.root), message)
        self.assert_sentence(message)


class TestBegin(Machine):

    def setUp(self):
        super().setUp()
        self.log = self.layout.log
        self.log.mkdir(parents=True)
        self.conf = self.folder / 'supervisord.conf'
        self.patch(sandbox, 'START_SECONDS', 5)

    def _begin(self):
        started = []
        real = subprocess.Popen

        def popen(command, **options):
            started.append(real(command, **options))
            self.addCleanup(started[0].wait)
            self.addCleanup(started[0].kill)
            return started[0]

        self.patch(sandbox, 'SYSTEM_PATH', os.environ['PATH'])
        with mock.patch.object(subprocess, 'Popen', popen):
            sandbox.begin(self.layout, self.conf)
        return started[0]

    def test_waits_for_the_supervisor(self):
        self.program('unshare', 'echo "$@"; env; pwd; exec sleep 60')
        self.lab(self.layout.root)
        socket = self.write(self.folder / 'socket')
        asked = []

        def inside(process, path):
            asked.append((process.pid, path))
            return socket if len(asked) == 3 else self.folder / 'none'

        self.patch(sandbox, 'inside', inside)
        os.environ['LAB_TEST'] = 'of the user'
        child = self._begin()
        self.assertIsNone(child.poll())
        self.assertEqual([(100, layout.SUPERVISOR_SOCKET)] * 3, asked)
        deadline = time.monotonic() + 5
        log = self.log / 'supervisord.log'
        while (str(layout.REPOSITORY) not in log.read_text().splitlines()
               and time.monotonic() < deadline):
            time.sleep(0.005)
        said = log.read_text().splitlines()
        self.assertEqual(
            f'{sys.executable} -m lab.hosts.namespaces controller '
            f'{self.layout.root} {self.conf}',
            said[0][said[0].index(sys.executable):])
        for option in ('--pid', '--fork', '--mount', '--net', '--uts',
                       '--ipc', '--propagation private'):
            self.assertIn(option, said[0])
        self.assertNotIn('LAB_TEST=of the user', said)
        # Ctrl-C on the terminal is not for the lab.
        self.assertNotEqual(os.getsid(0), os.getsid(child.pid))

    def test_ends_at_once(self):
        self.program('unshare', 'echo "unshare: no"; exit 1')
        began = time.monotonic()
        message = self.refused(self._begin)
        self.assertLess(time.monotonic() - began, 4)
        self.assertIn(f'{self.log}/supervisord.log', message)
        self.assert_sentence(message)
        self.assertEqual('unshare: no\n',
                         (self.log / 'supervisord.log').read_text())

    def test_does_not_come_up(self):
        self.patch(sandbox, 'START_SECONDS', 0.05)
        self.program('unshare', 'exec sleep 60')
        self.assertIn('did not come up', self.refused(self._begin))


class TestEnter(base.TestCase):

    def setUp(self):
        super().setUp()
        self.process = sandbox.Process(4711, self.folder, True)

    def test_inside(self):
        self.assertEqual(
            pathlib.Path('/proc/4711/root/run/lab/x'),
            sandbox.inside(self.process, pathlib.Path('/run/lab/x')))

    def test_controller(self):
        line = sandbox.enter(self.process, 'controller', self.folder)
        self.assertEqual(['nsenter', '--target=4711'], line[:2])
        self.assertEqual({'--pid', '--mount', '--net', '--uts', '--ipc'},
                         set(line[2:line.index('--')]))
        self.assertEqual(['env', f'--chdir={self.folder}'],
                         line[line.index('--') + 1:])

    def test_compute(self):
        line = sandbox.enter(self.process, 'compute2', self.folder)
        rest = line[line.index('--') + 1:]
        self.assertEqual(
            ['nsenter', '--net=/run/lab/compute2/net',
             '--mount=/run/lab/compute2/mnt',
             '--uts=/run/lab/compute2/uts', '--'], rest[:5])
        self.assertEqual(['env', f'--chdir={self.folder}'], rest[5:])

    def test_from_inside(self):
        self.assertEqual([], sandbox.enter_compute('controller'))
        self.assertEqual('nsenter', sandbox.enter_compute('compute1')[0])


class TestEnvironment(base.TestCase):

    def test_what_misleads_is_left_out(self):
        os.environ.update({
            'PYTHONPATH': '/x', 'http_proxy': 'x', 'HTTPS_PROXY': 'x',
            'No_Proxy': 'x', 'LAB_TEST': 'kept', 'OS_CLOUD': 'theirs'})
        found = sandbox.environment(OS_CLOUD='lab')
        for name in ('PYTHONPATH', 'http_proxy', 'HTTPS_PROXY', 'No_Proxy'):
            self.assertNotIn(name, found)
        self.assertEqual('kept', found['LAB_TEST'])
        self.assertEqual('lab', found['OS_CLOUD'])
        self.assertEqual('theirs', os.environ['OS_CLOUD'])


class LabProcess(base.TestCase):
    """A machine on which a lab is a process that is there or not."""

    def setUp(self):
        super().setUp()
        self.process = None
        self.patch(sandbox, 'find', lambda *_: self.process)
        self.patch(sandbox, 'end', self._end)

    def up(self):
        self.process = sandbox.Process(7, self.layout.root, True)
        for path in (self.layout.image, self.layout.log / 'x.log',
                     self.layout.secrets, self.layout.venvs / 'cloud/stamp'):
            self.write(path)
        self.write(self.layout.ready, json.dumps(
            {'computes': 2, 'kvm': False, 'storage': 'block'}))

    def _end(self, root, mark):
        self.assertEqual(self.layout.root, root)
        # Nobody else may begin meanwhile.
        if root.exists():
            self.refused(layout.locked(self.layout).__enter__)
        was, self.process = self.process, None
        return was is not None


class TestDown(LabProcess):

    def test_down(self):
        self.up()
        self.assertTrue(sandbox.down(self.layout))
        self.assertIsNone(self.process)
        self.assertIsNone(lifecycle.running(self.layout))
        self.assertTrue(self.layout.image.exists())
        self.assertTrue(self.layout.log.exists())

    def test_nothing_up(self):
        self.assertFalse(sandbox.down(self.layout))
        # Nor does that leave a folder behind.
        self.assertFalse(self.layout.root.exists())

    def test_processes_without_a_folder(self):
        self.process = sandbox.Process(7, self.layout.root, True)
        self.assertTrue(sandbox.down(self.layout))
        self.assertIsNone(self.process)

    def test_damaged_record_does_not_matter(self):
        self.up()
        self.layout.ready.write_text('{')
        self.assertTrue(sandbox.down(self.layout))

    def test_process_that_stays(self):
        # It is no cloud any more, although something of it lives.
        self.up()
        self.patch(sandbox, 'end', side_effect=errors.LabError('Stays.'))
        self.refused(sandbox.down, self.layout)
        self.assertIsNone(lifecycle.running(self.layout))


class TestDestroy(LabProcess):

    def test_destroy(self):
        self.up()
        self.write(self.layout.root / '.secrets.json.x')
        self.assertTrue(sandbox.destroy(self.layout))
        self.assertIsNone(self.process)
        self.assertFalse(self.layout.root.exists())
        # Nothing beside it.
        self.assertEqual([], list(self.folder.iterdir()))

    def test_nothing_there(self):
        self.assertFalse(sandbox.destroy(self.layout))
        self.assertFalse(self.layout.root.exists())

    def test_processes_without_a_folder(self):
        self.process = sandbox.Process(7, self.layout.root, True)
        self.assertTrue(sandbox.destroy(self.layout))
        self.assertIsNone(self.process)

    def test_what_links_lead_to_is_left(self):
        kept = self.write(self.folder / 'elsewhere' / 'file')
        self.layout.cache.mkdir(parents=True)
        (self.layout.cache / 'link').symlink_to(kept.parent)
        sandbox.destroy(self.layout)
        self.assertTrue(kept.exists())

    def test_folder_that_is_a_link(self):
        # To a larger disk.
        kept = self.write(self.folder / 'large' / 'file')
        self.layout.root.mkdir()
        self.layout.cache.symlink_to(kept.parent)
        self.assertTrue(sandbox.destroy(self.layout))
        self.assertFalse(self.layout.root.exists())
        self.assertTrue(kept.exists())

    def test_what_is_not_of_the_lab_is_left(self):
        self.up()
        kept = [self.write(self.layout.root / name) for name in (
            '.ssh/id_rsa', '.bashrc', 'thesis.tex')]
        sandbox.destroy(self.layout)
        for path in kept:
            self.assertTrue(path.exists(), path)
        self.assertEqual({'.ssh', '.bashrc', 'thesis.tex'},
                         {path.name for path in self.layout.root.iterdir()})

    def test_files_stay_while_a_process_does(self):
        self.up()
        self.patch(sandbox, 'end', side_effect=errors.LabError('Stays.'))
        self.assertEqual('Stays.', self.refused(sandbox.destroy,
                                                self.layout))
        self.assertTrue(self.layout.cloud.exists())
