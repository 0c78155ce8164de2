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

from lab.machine import kvm
from lab.tests.unit import base


class TestTryGuest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.image = self.write(self.folder / 'guest.qcow2')

    def _qemu(self, script):
        self.program('qemu-system-x86_64', script)

    def test_boots(self):
        self._qemu(f'echo "$@" > {self.folder}/arguments; echo booting; '
                   f"echo '{kvm.BOOTED}'; exec sleep 60")
        kvm.try_guest(self.image)
        given = (self.folder / 'arguments').read_text()
        self.assertIn('-accel kvm', given)
        self.assertIn(f'file={self.image},', given)
        # The image is not written to.
        self.assertIn('-snapshot', given)

    def test_qemu_ends(self):
        self._qemu('echo first; echo qemu: error: no MSR >&2; exit 1')
        message = self.refused(kvm.try_guest, self.image)
        self.assert_sentence(message)
        self.assertIn('(qemu: error: no MSR)', message)
        self.assertIn('leave out --kvm', message)

    def test_guest_hangs(self):
        self.patch(kvm, 'SECONDS', 0.2)
        self._qemu('echo KVM internal error; exec sleep 60')
        self.assertIn('(KVM internal error)',
                      self.refused(kvm.try_guest, self.image))

    def test_guest_says_nothing(self):
        self._qemu('exit 0')
        self.assertIn('it says nothing',
                      self.refused(kvm.try_guest, self.image))
