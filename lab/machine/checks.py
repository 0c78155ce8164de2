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

"""Says in one sentence why a lab cannot run on this machine."""

from __future__ import annotations

import os
import pathlib
import platform
import re
import shutil
import sys

from lab import errors
from lab import layout as layouts

GIB = 1024 ** 3
#: Free disk to ask for before a first installation and before a start;
#: generous, so that a cloud does not fill the disk while it runs.
DISK_TO_INSTALL = 4 * GIB
DISK_TO_RUN = 1 * GIB
#: Free memory: the control plane, and what each compute host adds.
MEMORY_CONTROL_PLANE = 3 * GIB
MEMORY_COMPUTE = GIB
MEMORY_CEPH = GIB
MEMORY_VOLUMES = GIB
MIN_PYTHON = (3, 11)


def root() -> None:
    """Refuse anybody but root.

    :raises errors.LabError: if the user is not root
    """
    if os.geteuid() != 0:
        raise errors.LabError(
            'The lab makes network namespaces and installs packages: run it '
            'as root, for example with sudo.')


def system() -> None:
    """Refuse systems other than Debian and its descendants.

    :raises errors.LabError: if the system or its Python is another one
    """
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    family = {release.get('ID', ''), *release.get('ID_LIKE', '').split()}
    if 'debian' not in family or not shutil.which('apt-get'):
        name = release.get('PRETTY_NAME') or 'an unknown system'
        raise errors.LabError(
            f'The lab is made of Debian packages and this machine runs '
            f'{name}: use Debian 12.')
    if sys.version_info < MIN_PYTHON:
        raise errors.LabError(
            f'The lab needs Python {MIN_PYTHON[0]}.{MIN_PYTHON[1]} or later '
            f'and {sys.executable} is {platform.python_version()}: use '
            f'Debian 12 or later.')


def state_folder(layout: layouts.Layout) -> None:
    """Refuse a state folder in which a cloud cannot live.

    :param layout: paths of the lab
    :raises errors.LabError: if it is too long a path, hidden by the lab's
        own mounts, or something that the lab did not make
    """
    root = layout.root
    length = len(os.fsencode(root))
    if length > layouts.MAX_ROOT_LENGTH:
        raise errors.LabError(
            f'The path {root} has {length} bytes and sockets below it have '
            f'room for {layouts.MAX_ROOT_LENGTH}: set LM_LAB_DIR to a shorter '
            f'one.')
    if not re.fullmatch(r'[\w./+@=-]+', str(root)):
        raise errors.LabError(
            f'The path {root} has characters that mean something in '
            f'configuration files: set LM_LAB_DIR to one of letters, digits '
            f'and ./+@=-_ only.')
    for covered in layouts.COVERED:
        if root.is_relative_to(covered):
            raise errors.LabError(
                f'The state folder {root} lies in {covered}, which the lab '
                f'covers with its own: set LM_LAB_DIR to another folder.')
    if root.exists() and not root.is_dir():
        raise errors.LabError(
            f'{root} is not a folder: move it away or set LM_LAB_DIR.')
    strange = sorted(entry.name for entry in root.iterdir()
                     if not layouts.is_own(entry.name)
                     ) if root.exists() else []
    if strange:
        raise errors.LabError(
            f'{root} holds {strange[0]!r}, which is not of the lab: '
            f'set LM_LAB_DIR to a folder of its own, or move that away.')


def disk(layout: layouts.Layout, needed: int) -> None:
    """Refuse to begin what would fill the disk.

    :param layout: paths of the lab
    :param needed: bytes that will be written
    :raises errors.LabError: if fewer are free
    """
    folder = layout.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise errors.LabError(
            f'{folder} has {free / GIB:.1f} GiB free and the lab needs '
            f'{needed / GIB:.0f} GiB: free some, or set LM_LAB_DIR to a '
            f'folder on another disk.')


def memory(computes: int, has_ceph: bool = False,
           volumes: bool = False) -> None:
    """Refuse a cloud that this machine cannot hold.

    :param computes: how many compute hosts
    :param has_ceph: whether a Ceph cluster belongs to it
    :param volumes: whether cinder belongs to it
    :raises errors.LabError: if less memory is available than they need
    """
    needed = (MEMORY_CONTROL_PLANE + computes * MEMORY_COMPUTE
              + has_ceph * MEMORY_CEPH + volumes * MEMORY_VOLUMES)
    text = pathlib.Path('/proc/meminfo').read_text()
    available = next(int(line.split()[1]) * 1024
                     for line in text.splitlines()
                     if line.startswith('MemAvailable:'))
    if available < needed:
        raise errors.LabError(
            f'{available / GIB:.1f} GiB of memory are available and '
            f'{computes} compute hosts{" with Ceph" * has_ceph}'
            f'{" and volumes" * volumes} need '
            f'{needed / GIB:.0f} GiB: end other programs, or use fewer with '
            f'--computes.')
