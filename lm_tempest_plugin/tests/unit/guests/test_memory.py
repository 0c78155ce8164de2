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


import pathlib
import subprocess
import tempfile
import time

from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.tests.unit import base


class MemoryTest(base.TestCase):

    def test_writes_until_it_is_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            # Not where a guest would have it, and with its process id.
            command = memory.command(1).replace(
                '/dev/shm', folder) + 'echo $!'
            shell = subprocess.run(['sh', '-c', command], text=True,
                                   capture_output=True, check=True)
            pid = int(shell.stdout)
            try:
                target = pathlib.Path(folder, 'lm-target')
                before = target.stat().st_mtime_ns
                end = time.monotonic() + 10
                while target.stat().st_mtime_ns == before:
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.01)
            finally:
                subprocess.run(['kill', str(pid)], check=True)
                time.sleep(0.2)

    def test_nothing_to_write(self):
        self.assertRaises(ValueError, memory.command, 0)
