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

"""Refuse, in one sentence, a machine that cannot run a lab."""

from __future__ import annotations

import os
import pathlib
import platform
import re
import shutil
import sys

from lab import errors
from lab import layout

GIB = 1024 ** 3
#: Free disk that a first installation and a start ask for; generous, so that
#: a cloud does not fill the disk while it runs.
DISK_TO_INSTALL = 4 * GIB
DISK_TO_RUN = 1 * GIB
#: Free memory: for the control plane, and for each addition to it.
MEMORY_CONTROL_PLANE = 3 * GIB
MEMORY_COMPUTE = GIB
MEMORY_CEPH = GIB
MEMORY_VOLUMES = GIB
MEMORY_HEAT = GIB // 2
MIN_PYTHON = (3, 11)


def root() -> None:
    """Refuse users other than root.

    :raises errors.LabError: if the user is not root
    """
    if os.geteuid() != 0:
        raise errors.LabError(
            'The lab makes network namespaces and installs packages: run it '
            'as root, for example with sudo.')


def system() -> None:
    """Refuse systems other than Debian and its descendants.

    :raises errors.LabError: if the system is another one, or its Python is
        too old
    """
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    family = {release.get('ID', ''), *release.get('ID_LIKE', '').split()}
    if 'debian' not in family or not shutil.which('apt-get'):
        name = release.get('PRETTY_NAME') or 'an unknown system'
        raise errors.LabError(
            f'The lab consists of Debian packages and this machine runs '
            f'{name}: use Debian 12.')
    if sys.version_info < MIN_PYTHON:
        raise errors.LabError(
            f'The lab needs Python {MIN_PYTHON[0]}.{MIN_PYTHON[1]} or later '
            f'and {sys.executable} is {platform.python_version()}: use '
            f'Debian 12 or later.')


def state_folder(paths: layout.Layout) -> None:
    """Refuse a state folder in which a cloud cannot live.

    :param paths: paths of the lab
    :raises errors.LabError: if its path is too long, hidden by the lab's own
        mounts, or belongs to something else
    """
    folder = paths.root
    length = len(os.fsencode(folder))
    if length > paths.max_length:
        raise errors.LabError(
            f'The path {folder} has {length} bytes and sockets below it have '
            f'room for {paths.max_length}: set {paths.variable} to a shorter '
            f'one.')
    if not re.fullmatch(r'[\w./+@=-]+', str(folder)):
        raise errors.LabError(
            f'The path {folder} has characters with a meaning in '
            f'configuration files: set {paths.variable} to one of letters, '
            f'digits and ./+@=-_ only.')
    for covered in layout.COVERED:
        if folder.is_relative_to(covered):
            raise errors.LabError(
                f'The state folder {folder} lies in {covered}, which the lab '
                f'covers with its own: set {paths.variable} to another '
                f'folder.')
    if folder.exists() and not folder.is_dir():
        raise errors.LabError(
            f'{folder} is not a folder: move it away or set '
            f'{paths.variable}.')
    strange = sorted(entry.name for entry in folder.iterdir()
                     if not layout.is_own(entry.name, paths.entries)
                     ) if folder.exists() else []
    if strange:
        raise errors.LabError(
            f'{folder} holds {strange[0]!r}, which does not belong to the '
            f'lab: set {paths.variable} to a folder of its own, or move that '
            f'away.')


def disk(paths: layout.Layout, needed: int) -> None:
    """Refuse to start with too little free disk.

    :param paths: paths of the lab
    :param needed: bytes that will be written
    :raises errors.LabError: if fewer are free
    """
    folder = paths.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise errors.LabError(
            f'{folder} has {free / GIB:.1f} GiB free and the lab needs '
            f'{needed / GIB:.0f} GiB: free some, or set {paths.variable} to a '
            f'folder on another disk.')


def memory(computes: int, has_ceph: bool = False,
           volumes: bool = False, heat: bool = False) -> None:
    """Refuse a cloud that does not fit into this machine's memory.

    :param computes: number of compute hosts
    :param has_ceph: whether it includes a Ceph cluster
    :param volumes: whether it includes cinder
    :param heat: whether it includes Heat
    :raises errors.LabError: if less memory is available than they need
    """
    memory_for(
        f'{computes} compute hosts{" with Ceph" * has_ceph}'
        f'{" and volumes" * volumes}{" and Heat" * heat}',
        MEMORY_CONTROL_PLANE + computes * MEMORY_COMPUTE
        + has_ceph * MEMORY_CEPH + volumes * MEMORY_VOLUMES
        + heat * MEMORY_HEAT,
        'use fewer with --computes')


def memory_for(purpose: str, needed: int,
               remedy: str = 'try again later') -> None:
    """Refuse to start programs that do not fit into the free memory.

    :param purpose: the programs, in the plural
    :param needed: bytes that they need
    :param remedy: the alternative to ending other programs
    :raises errors.LabError: if less is available
    """
    text = pathlib.Path('/proc/meminfo').read_text()
    available = next(int(line.split()[1]) * 1024
                     for line in text.splitlines()
                     if line.startswith('MemAvailable:'))
    if available < needed:
        raise errors.LabError(
            f'{available / GIB:.1f} GiB of memory are available and '
            f'{purpose} need '
            f'{needed / GIB:g} GiB: end other programs, or {remedy}.')
