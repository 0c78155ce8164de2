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

"""QEMU: a version that migrates emulated guests safely, and a test of KVM.

Before 9.0, migration cleared the dirty bits of memory without telling the
emulated processor, which kept writing to the same pages and did not mark them
again. Such a write was not copied, and some guests were dead on arrival. (The
fix in QEMU: "physmem: Fix migration dirty bitmap coherency with TCG memory
access".)
"""

from __future__ import annotations

import pathlib
import subprocess
import threading
import typing

from lab import errors
from lab.machine import debian

#: The emulator, and the tools for disk images.
PACKAGES = ('qemu-system-x86', 'qemu-utils')
#: Opens images in Ceph; of the same version as the others.
CEPH_PACKAGE = 'qemu-block-extra'
#: With Debian's epoch.
OLDEST = '1:9.0'
#: Fail rather than remove packages that depend on the present QEMU.
NO_REMOVAL = ('-o', 'APT::Get::Remove=false')
#: The guest prints it on its console when it has booted.
BOOTED = '-----BEGIN SSH HOST KEY KEYS-----'
#: A guest boots in a second or two under KVM.
BOOT_SECONDS = 20


def packages(has_ceph: bool) -> tuple[str, ...]:
    """Return the names of QEMU's packages that a lab needs.

    :param has_ceph: whether guests' disks live in Ceph
    """
    return (*PACKAGES, CEPH_PACKAGE) if has_ceph else PACKAGES


def is_current(has_ceph: bool = False) -> bool:
    """Return whether all packages are installed and recent enough.

    :param has_ceph: whether guests' disks live in Ceph
    """
    wanted = packages(has_ceph)
    return not _outdated(wanted, debian.versions(wanted))


def install(log: pathlib.Path, has_ceph: bool = False) -> None:
    """Install or upgrade QEMU, from backports if the release's is too old.

    :param log: file for apt's output
    :param has_ceph: whether guests' disks live in Ceph
    :raises errors.LabError: if no QEMU is offered that is recent enough
    """
    wanted = packages(has_ceph)
    debian.ensure_lists(PACKAGES[0], log)
    if _outdated(wanted, {name: debian.candidate(name) for name in wanted}):
        with debian.backports(PACKAGES[0]) as options:
            debian.install_or_upgrade(wanted, log, (*NO_REMOVAL, *options))
    else:
        debian.install_or_upgrade(wanted, log, NO_REMOVAL)
    installed = debian.versions(wanted)
    outdated = _outdated(wanted, installed)
    if outdated:
        raise errors.LabError(
            f'apt-get succeeded but {outdated[0]} is '
            f'{installed.get(outdated[0], "not installed")}, and the lab '
            f'needs {OLDEST} or later: see {log}.')


def _outdated(wanted: typing.Iterable[str],
              versions: typing.Mapping[str, str]) -> list[str]:
    return [name for name in wanted
            if not debian.is_at_least(versions.get(name, ''), OLDEST)]


def try_kvm(image: pathlib.Path) -> None:
    """Boot the guest image under KVM, and refuse a machine that cannot.

    To open /dev/kvm proves nothing: on machines that are virtual themselves
    it may create virtual machines that then cannot run a single instruction
    of a kernel.

    :param image: the guest image; it is not changed
    :raises errors.LabError: if the guest does not boot, with QEMU's reason
    """
    command = ['qemu-system-x86_64', '-accel', 'kvm', '-cpu', 'host',
               '-m', '192',
               '-nographic', '-nodefaults', '-no-reboot', '-snapshot',
               '-serial', 'stdio', '-drive', f'file={image},if=virtio']
    lines: list[str] = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors='replace') as guest:
        assert guest.stdout is not None
        limit = threading.Timer(BOOT_SECONDS, guest.kill)
        limit.start()
        try:
            for line in guest.stdout:
                lines.append(line.strip())
                if BOOTED in line:
                    return
        finally:
            limit.cancel()
            guest.kill()
    telling = [line for line in lines if 'error' in line.lower()]
    reason = (telling or lines or ['it prints nothing'])[0]
    raise errors.LabError(
        f'A guest does not boot under KVM on this machine ({reason}): leave '
        f'out --kvm to emulate guests in software.')
