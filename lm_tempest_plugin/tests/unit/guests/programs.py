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

"""Programs of workloads, on this machine in place of a guest."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.guests import test_disk

PATIENCE_S = 20.0


class ProgramTestCase(base.TestCase):
    """Runs the commands of a workload; a test ends what it has started.

    :ivar shell: a key of test_disk.SHELLS, for all commands and programs
    :ivar memory: stands for the guest's tmpfs
    :ivar home: stands for HOME
    """

    def setUp(self):
        super().setUp()
        self.shell = 'sh'
        # In memory, if possible: some tests write a lot.
        folder = pathlib.Path(tempfile.mkdtemp(
            dir='/dev/shm' if pathlib.Path('/dev/shm').is_dir() else None))
        self.addCleanup(shutil.rmtree, folder)
        self.memory = folder / 'memory'
        self.home = folder / 'home'
        for each in (self.memory, self.home):
            each.mkdir()
        self.mounts = folder / 'mounts'
        self.mounts.write_text(f'/dev/vda1 {folder} ext4 rw 0 0\n'
                               f'tmpfs {self.memory} tmpfs rw 0 0\n')
        self.available = folder / 'meminfo'
        self.available.write_text('MemAvailable:  204800 kB\n')
        self.programs = folder / 'programs'
        self.programs.mkdir()

    def run_here(self, command):
        """Run a command in place of a guest; return its output."""
        shell, prologue = test_disk.SHELLS[self.shell]
        ours = {'/proc/mounts': self.mounts, '/dev/shm': self.memory,
                '/proc/meminfo': self.available, ' /run ': ' /nowhere ',
                ' /tmp ': ' /nowhere ', 'setsid sh ': f'setsid {shell} ',
                '/proc/sys/vm/drop_caches': self.programs / 'caches',
                'sh -s <<': f'{shell} -s <<'}
        # All at once: our folder may be in /dev/shm itself.
        command = re.sub('|'.join(map(re.escape, ours)),
                         lambda match: str(ours[match[0]]), command)
        return subprocess.run(
            [*shell.split(), '-c', prologue + command], check=True, text=True,
            stdout=subprocess.PIPE, timeout=60, env={
                'HOME': str(self.home),
                'PATH': f'{self.programs}:/usr/sbin:/usr/bin:/sbin:/bin'}
        ).stdout.strip()

    def start(self, workload):
        """Start a workload that the end of the test stops; return it."""
        (self.programs / 'caches').touch()
        self.addCleanup(workload.stop, self.run_here)
        workload.start(self.run_here)
        return workload

    def log(self):
        """Return the lines of the program's log, as lists of numbers."""
        text, = (each.read_text() for each in self.memory.glob('lm-*/log'))
        return [list(map(int, line.split())) for line in text.splitlines()]

    def wait_for(self, condition):
        """Wait until a condition holds."""
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), end_s, condition)
            time.sleep(0.05)

    def each_shell(self):
        """Yield the names of the shells that are installed here."""
        for name, (shell, _) in test_disk.SHELLS.items():
            if shutil.which(shell.split()[0]):
                self.shell = name
                yield name
