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

"""libvirt and QEMU on each compute host."""

import pathlib
import uuid

from lab import files
from lab.services import base

PORT = 16509
#: Lines of /etc/passwd and /etc/group, with Debian's numbers.
QEMU_USER = {
    'passwd': 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/bin/false\n',
    'group': 'libvirt-qemu:x:64055:\n',
}


class Libvirt(base.Service):
    """libvirtd, which listens for migrations from other hosts."""

    name = 'libvirt'
    on_compute_hosts = True
    packages = ('libvirt-daemon', 'libvirt-daemon-driver-qemu',
                'libvirt-clients', 'python3-libvirt')

    def configure(self) -> None:
        """Write the files that it reads at fixed places."""
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, self.host.name)
        for name in ('libvirtd.conf', 'qemu.conf'):
            # This folder is mounted as the host's /etc/libvirt.
            self.write(self.data / 'etc' / 'libvirt' / name, name,
                       host_uuid=identity)
        # libvirtd wants to know this user although it will not use it.
        # Debian makes it together with services that a machine would start.
        for name, entry in QEMU_USER.items():
            known = pathlib.Path('/etc', name).read_text().rstrip('\n') + '\n'
            absent = f'\n{entry.partition(":")[0]}:' not in known
            files.write(self.etc / f'etc-{name}',
                        known + (entry if absent else ''))

    def programs(self) -> list[base.Program]:
        """Return the daemon; guests run with its priority."""
        return [self.program('libvirtd', '/usr/sbin/libvirtd', '--listen',
                             nice=base.DATA_PLANE)]
