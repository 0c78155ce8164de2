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

"""libvirtd and sshd on each compute host, and the keys of both sides.

A cloud has SSH keys of its own. The hosts' keys are known because they are
made here; nobody asks the network for them.
"""

import pathlib
import uuid

from lab import layout
from lab.services import base
from lab.steps import Step
from lab.topology import Topology

LIBVIRT_PORT = 16509
#: Lines of /etc/passwd and /etc/group, with Debian's numbers.
QEMU_USER = {
    'passwd': 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/bin/false\n',
    'group': 'libvirt-qemu:x:64055:\n',
}
#: TCP port of sshd on each compute host's management address.
SSH_PORT = 22
SSH_USER = 'root'
KEYS = 'SSH keys'
#: Line of /etc/shadow of a root who has no password and is not locked.
ROOT_SHADOW = 'root:*:::::::\n'


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
            layout.write(self.etc / f'etc-{name}',
                         known + (entry if absent else ''))
        if self._suite:
            link = self.paths.userland(self.host.name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(self.paths.userlands / self._suite)

    def programs(self) -> list[base.Program]:
        """Return the daemon; guests run with its priority."""
        # QEMU is its child, and runs where it runs.
        into = (('/usr/sbin/chroot', self.paths.userlands / self._suite)
                if self._suite else ())
        return [self.program('libvirtd', *into, '/usr/sbin/libvirtd',
                             '--listen', nice=base.DATA_PLANE)]

    @property
    def _suite(self) -> str:
        """Return the suite of Debian that it comes from; empty for our own."""
        return self.lab.topology.suites.get(self.host.name, '')


class SshKeys(base.Service):
    """Keys of the compute hosts, and of whoever logs in; no program."""

    name = 'ssh-keys'

    def steps(self) -> list[Step]:
        """Make the keys."""
        return [self.step(KEYS, lambda: make_keys(
            self.paths, self.lab.topology))]


class Sshd(base.Service):
    """sshd on a compute host."""

    name = 'ssh'
    on_compute_hosts = True
    packages = ('openssh-server',)
    configuration = 'sshd_config'
    needs = (KEYS,)

    def configure(self) -> None:
        """Write its configuration, and a root who is not locked."""
        self.write(self.etc / self.configuration, self.configuration,
                   variables=self.variables)
        # Where the machine's root is locked, sshd would not take a key
        # either.
        layout.write(self.etc / 'etc-shadow', ROOT_SHADOW, mode=0o600)

    def programs(self) -> list[base.Program]:
        """Return the daemon: in the foreground, with its log to stderr."""
        return [self.program('sshd', '/usr/sbin/sshd', '-D', '-e', '-f',
                             self.etc / 'sshd_config', port=SSH_PORT)]


def make_keys(paths: layout.Layout, topology: Topology) -> None:
    """Make a key for each compute host, and one for those who log in.

    :param paths: paths of the lab
    :param topology: the hosts
    :raises errors.LabError: if ssh-keygen fails
    """
    user = _make_key(paths.ssh_key, 'lab')
    known = []
    for host in topology.compute_hosts:
        etc = paths.etc(host.name)
        key = _make_key(etc / 'ssh_host_ed25519_key', host.name)
        known.append(f'{host.name},{host.address} {key}')
        layout.write(etc / 'authorized_keys', user, mode=0o600)
    layout.write(paths.known_hosts, ''.join(known))


def _make_key(path: pathlib.Path, comment: str) -> str:
    """Make a key, and return the line of its public part.

    :param path: file of the private key; an old one is replaced
    :param comment: comment of the key
    """
    public = path.with_name(f'{path.name}.pub')
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path, public):
        # ssh-keygen would ask whether to overwrite it.
        old.unlink(missing_ok=True)
    base.run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment,
             '-f', path)
    return public.read_text()
