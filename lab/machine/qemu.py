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

"""QEMU, recent enough to migrate guests that it emulates.

Before 9.0, migration cleared the marks of written memory behind the back of
the emulated processor, which went on writing to pages without marking them
again: such a write was not copied, and now and then a guest was dead on
arrival. (QEMU's change: "physmem: Fix migration dirty bitmap coherency with
TCG memory access".)
"""

from __future__ import annotations

import pathlib
import typing

from lab import errors
from lab.machine import backports
from lab.machine import debian

#: What runs guests, and what makes their disks.
PACKAGES = ('qemu-system-x86', 'qemu-utils')
#: What opens images in Ceph; of the same version as the others.
CEPH_PACKAGE = 'qemu-block-extra'
#: With Debian's epoch.
OLDEST = '1:9.0'
#: Rather fail than take away what depends on the QEMU that is there.
NO_REMOVAL = ('-o', 'APT::Get::Remove=false')


def packages(has_ceph: bool) -> tuple[str, ...]:
    """The packages that a lab needs.

    :param has_ceph: whether guests' disks live in Ceph
    """
    return (*PACKAGES, CEPH_PACKAGE) if has_ceph else PACKAGES


def is_current(has_ceph: bool = False) -> bool:
    """Whether a QEMU that is recent enough is installed, all of it.

    :param has_ceph: whether guests' disks live in Ceph
    """
    wanted = packages(has_ceph)
    return not _outdated(wanted, debian.versions(wanted))


def install(log: pathlib.Path, has_ceph: bool = False) -> None:
    """Install or upgrade QEMU, from backports if the release's is too old.

    :param log: file for apt's output
    :param has_ceph: whether guests' disks live in Ceph
    :raises errors.LabError: if no QEMU can be had that is recent enough
    """
    wanted = packages(has_ceph)
    debian.know(PACKAGES[0], log)
    if _outdated(wanted, {name: debian.candidate(name) for name in wanted}):
        with backports.options(PACKAGES[0]) as options:
            debian.get(wanted, log, (*NO_REMOVAL, *options))
    else:
        debian.get(wanted, log, NO_REMOVAL)
    installed = debian.versions(wanted)
    outdated = _outdated(wanted, installed)
    if outdated:
        raise errors.LabError(
            f'apt-get ended well but {outdated[0]} is '
            f'{installed.get(outdated[0], "not installed")}, and the lab '
            f'needs {OLDEST} or later: see {log}.')


def _outdated(wanted: typing.Iterable[str],
              versions: typing.Mapping[str, str]) -> list[str]:
    return [name for name in wanted
            if not debian.is_at_least(versions.get(name, ''), OLDEST)]
