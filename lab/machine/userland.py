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

"""libvirt and QEMU of another release of Debian, for single hosts.

In a rolling upgrade of a distribution, hosts have different releases of
libvirt and QEMU. The packages of the other release are not installed but
extracted into a folder, with everything that they need, the C library
included. libvirtd runs there in a chroot, and starts QEMU there. All that it
shares with other programs of its host is mounted at the same paths.

Both come together, since one has to know the other: libvirt 9.0 cannot send a
guest of QEMU 11.1, whose command "migrate" has lost an argument.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import tempfile

from lab import errors
from lab import layout
from lab.machine import debian
from lab.machine import qemu
from lab import topology

#: libvirtd loads the drivers that it finds. nova needs these three; the driver
#: of networks wants a firewall, that of packet filters D-Bus.
PACKAGES = (qemu.PACKAGES[0], 'libvirt-daemon', 'libvirt-daemon-driver-qemu',
            'libvirt-daemon-driver-nodedev', 'libvirt-daemon-driver-secret')
#: Name of a suite.
SUITE = re.compile('[a-z]+(-[a-z]+)*')
#: Each is a link since packages have all their files below /usr.
LINKS = ('bin', 'lib', 'lib64', 'sbin')
#: Of the kernel, and of the host.
FOLDERS = ('/proc', '/sys', '/dev', '/run', *(
    place for place in layout.PRIVATE if place.endswith('libvirt')))
#: Users and names of hosts.
FILES = ('passwd', 'group', 'hosts', 'nsswitch.conf')


def check(wanted: topology.Topology) -> None:
    """Refuse hosts that cannot have another libvirt and QEMU.

    :param wanted: the hosts
    :raises errors.LabError: if there is no such host, or guests' disks are in
        Ceph
    """
    names = [host.name for host in wanted.compute_hosts]
    for host in wanted.suites:
        if host not in names:
            raise errors.LabError(
                f'--qemu-on {wanted.qemu_on}: the lab has no compute host '
                f'{host!r}, only {", ".join(names)}.')
    if wanted.suites and wanted.has_ceph:
        raise errors.LabError(
            f'--qemu-on does not work with --storage {topology.CEPH}, whose '
            f'programs are those of the machine: use --storage '
            f'{topology.BLOCK}.')


def install(paths: layout.Layout, suite: str,
            log: pathlib.Path) -> pathlib.Path:
    """Return a folder with libvirt and QEMU of a suite; make a missing one.

    :param paths: paths of the lab
    :param suite: such as trixie or trixie-backports
    :param log: file for apt's output
    :raises errors.LabError: if there is no such suite, or it has no QEMU that
        is recent enough
    """
    if not SUITE.fullmatch(suite):
        raise errors.LabError(f'{suite!r} is no suite of Debian, such as '
                              f'trixie.')
    target = paths.userlands / suite
    if target.is_dir():
        return target
    debian.ensure_lists(PACKAGES[0], log)
    paths.userlands.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.', dir=paths.userlands) as name:
        folder = pathlib.Path(name)
        packages = debian.download(PACKAGES, suite, folder, log)
        _check(packages, suite)
        made = folder / 'root'
        for link in LINKS:
            (made / 'usr' / link).mkdir(parents=True)
            (made / link).symlink_to(f'usr/{link}')
        for package in packages:
            debian.run_installer(
                ['dpkg-deb', '--extract', str(package), str(made)], log,
                f'dpkg-deb --extract {package.name}')
        # It is whole, or it does not exist.
        made.rename(target)
    return target


def _check(packages: list[pathlib.Path], suite: str) -> None:
    """Refuse a QEMU that does not migrate emulated guests safely.

    :raises errors.LabError: if it is too old
    """
    emulator = next(each for each in packages
                    if each.name.startswith(f'{PACKAGES[0]}_'))
    version = subprocess.run(
        ['dpkg-deb', '--field', str(emulator), 'Version'], check=True,
        capture_output=True, text=True).stdout.strip()
    if not debian.is_at_least(version, qemu.OLDEST):
        raise errors.LabError(
            f'QEMU of Debian {suite} is {version}, and the lab needs '
            f'{qemu.OLDEST} or later.')


def mounts(paths: layout.Layout, root: pathlib.Path
           ) -> list[tuple[str, pathlib.Path]]:
    """Return the mounts for a folder that install() returned.

    Missing places are made. Mounts of one host are seen by no other.

    :param paths: paths of the lab
    :param root: the folder
    :returns: paths of the host, with the places to mount them with all that
        is mounted below
    """
    found = []
    for source in (*FOLDERS, str(paths.cloud)):
        place = root / source.lstrip('/')
        place.mkdir(parents=True, exist_ok=True)
        found.append((source, place))
    for name in FILES:
        place = root / 'etc' / name
        place.parent.mkdir(exist_ok=True)
        place.touch()
        found.append((f'/etc/{name}', place))
    return found
