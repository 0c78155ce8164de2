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


"""Faults of disks, images and their storage."""

from __future__ import annotations

import filecmp
import functools
import pathlib
import re
import subprocess

from lab import errors
from lab.faults.fault import Fault
from lab.faults.fault import Needs
from lab.faults.fault import Place
from lab.faults.fault import When
from lab.faults import programs
from lab.faults import settings
from lab import fleet
from lab.services import ceph
from lab.topology import BLOCK
from lab.topology import CEPH
from lm_tempest_plugin.migration.verdict import Kind

#: Less than a guest's overlay and its base image take.
FULL_DISK = '6m'
#: The boot partition of the guest's disk begins at 1 MiB and ends before
#: 40 MiB: the kernel has read it, and nobody writes it. These bytes lie
#: beyond its files.
IN_IMAGE = 38 << 20
#: The check reads the first 4 MiB of every 64 MiB of an ephemeral disk.
IN_EPHEMERAL = 3 << 20
ALTERED_BYTES = 4096
SLOW_IOPS = 1
ROOT_DISK = 'vda'
#: Names of nova's cached files: an image's is a digest of its UUID.
IMAGE, EPHEMERAL = r'[0-9a-f]{40}', r'ephemeral_.*'


def _fill(place: Place) -> None:
    fleet.inside(place.destination, 'mount', '-t', 'tmpfs', '-o',
                 f'size={FULL_DISK}', 'full', str(place.layout.instances))


def _empty(place: Place) -> None:
    """Give the destination its disk back, and let nova know how large it is.

    Its inventory in placement is that of the small disk.
    """
    if not _is_full(place):
        fleet.inside(place.destination, 'umount', '--lazy',
                     str(place.layout.instances))
        settings.restart_compute(place.layout, place.destination)


def _is_full(place: Place) -> str:
    found = fleet.inside(place.destination, 'stat', '--file-system',
                         '--format=%T', str(place.layout.instances)).stdout
    return '' if found.strip() == 'tmpfs' else 'the full disk is gone'


def _cached(place: Place, kind: str) -> list[tuple[pathlib.Path,
                                                   pathlib.Path]]:
    """Return the base images of the source's guests, and the destination's.

    :param kind: pattern of the names: images have digests
    :returns: paths on the source and on the destination, seen from the
        controller
    :raises errors.LabError: if the source has none
    """
    folders = [place.layout.data(host) / 'instances' / '_base'
               for host in (place.source, place.destination)]
    names = [path.name for path in folders[0].glob('*')
             if re.fullmatch(kind, path.name)]
    if not names:
        raise errors.LabError(f'{place.source} has no base image like '
                              f'{kind}.')
    return [(folders[0] / name, folders[1] / name) for name in names]


def _alter(kind: str, at: int, place: Place) -> None:
    """Give the destination base images that differ from the source's.

    :param kind: pattern of their names
    :param at: first byte that differs
    """
    for source, destination in _cached(place, kind):
        destination.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, destination)
        with open(destination, 'r+b') as stream:
            stream.seek(at)
            found = stream.read(ALTERED_BYTES)
            stream.seek(at)
            stream.write(bytes(byte ^ 0xff for byte in found))


def _copy(source: pathlib.Path, destination: pathlib.Path) -> None:
    """Copy a sparse file; a guest that has the old one open sees the new."""
    subprocess.run(['cp', '--sparse=always', '--no-preserve=all', source,
                    destination], check=True)


def _mend_base(kind: str, place: Place) -> None:
    for source, destination in _cached(place, kind):
        _copy(source, destination)


def _is_altered(kind: str, place: Place) -> str:
    same = [destination.name for source, destination in _cached(place, kind)
            if filecmp.cmp(source, destination, shallow=False)]
    return f'base images {", ".join(same)} are not altered' if same else ''


def _lose_image(place: Place) -> None:
    """Take the base image from the destination, and stop glance."""
    for _, destination in _cached(place, IMAGE):
        destination.unlink(missing_ok=True)
    programs.supervisor().stop('glance')


def _start_glance(place: Place) -> None:
    programs.supervisor().start('glance')


def _is_lost(place: Place) -> str:
    if programs.supervisor().state('glance').up:
        return 'glance is up'
    found = [destination.name for _, destination in _cached(place, IMAGE)
             if destination.exists()]
    return f'{place.destination} has {", ".join(found)}' if found else ''


def _limit(iops: int, place: Place) -> None:
    """Limit the root disk of the guest, in operations a second; 0: none."""
    fleet.inside(place.destination, 'virsh', 'blkdeviotune', '--live',
                 place.server_id, ROOT_DISK, '--total-iops-sec', str(iops))


def _unlimit(place: Place) -> None:
    # A guest that is gone has no limit either.
    if fleet.running_on([place.destination]).get(place.server_id):
        _limit(0, place)


def _is_limited(place: Place) -> str:
    found = fleet.inside(place.destination, 'virsh', 'blkdeviotune',
                         place.server_id, ROOT_DISK).stdout
    return '' if re.search(rf'(?m)^total_iops_sec\s*: {SLOW_IOPS}$', found
                           ) else 'the disk has no such limit'


def _forget_secret(place: Place) -> None:
    fleet.inside(place.destination, 'virsh', 'secret-undefine',
                 ceph.NOVA.secret_id)


def _define_secret(place: Place) -> None:
    etc = place.layout.etc(place.destination)
    fleet.inside(place.destination, 'virsh', 'secret-define',
                 str(etc / f'{ceph.NOVA.name}.xml'))
    fleet.inside(place.destination, 'virsh', 'secret-set-value', '--secret',
                 ceph.NOVA.secret_id, '--file',
                 str(etc / f'{ceph.NOVA.name}.key'))


def _is_forgotten(place: Place) -> str:
    found = fleet.inside(place.destination, 'virsh', 'secret-list').stdout
    return 'the secret is defined' if ceph.NOVA.secret_id in found else ''


FAULTS = (
    Fault('disk', "the destination's disk is full", When.BEFORE, _fill,
          _empty, (Kind.ROLLED_BACK, Kind.FAILED),
          # nova shows only the class of an exception that is not its own.
          cause=r'(?i)no space|too large|pre_live_migration on host \S+: '
          r'Error \(OSError', present=_is_full,
          # With Ceph nothing is written to it.
          storages=(BLOCK,)),
    Fault('base-image', "the destination's cached base image differs",
          When.BEFORE, functools.partial(_alter, IMAGE, IN_IMAGE),
          functools.partial(_mend_base, IMAGE), (Kind.COMPLETED,),
          checks=('base-image',), present=functools.partial(
              _is_altered, IMAGE), storages=(BLOCK,)),
    Fault('ephemeral-disk', "the destination's cached ephemeral disk differs",
          When.BEFORE, functools.partial(_alter, EPHEMERAL, IN_EPHEMERAL),
          functools.partial(_mend_base, EPHEMERAL), (Kind.COMPLETED,),
          checks=('ephemeral-disks',), present=functools.partial(
              _is_altered, EPHEMERAL), needs=Needs(ephemeral=True),
          storages=(BLOCK,)),
    Fault('glance', 'glance is down, and the destination lacks the base '
          'image', When.BEFORE, _lose_image, _start_glance,
          (Kind.ROLLED_BACK, Kind.FAILED), cause=r'(?i)glance',
          present=_is_lost, storages=(BLOCK,)),
    Fault('slow-disk', "the guest's disk does one operation a second from "
          'its arrival', When.ARRIVED, functools.partial(_limit, SLOW_IOPS),
          _unlimit, (Kind.COMPLETED,), checks=('disk-write',),
          # The workload that reads the disk does not end, either.
          consequences=('disk', 'workloads'), present=_is_limited),
    Fault('ceph-secret', "the destination's libvirt lacks the key for Ceph",
          When.BEFORE, _forget_secret, _define_secret,
          # Once it has rolled back, nova 34.0.0 sets the server to ERROR.
          (Kind.INCONSISTENT,), checks=('server-status',),
          cause=r'(?i)secret', present=_is_forgotten, storages=(CEPH,)),
)
