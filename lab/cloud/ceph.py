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

"""A Ceph cluster of the lab's own, for images and guests' disks.

One monitor, one manager and one OSD on the controller, which is reached over
the management network. It lives and dies with the cloud.
"""

import base64
import dataclasses
import hmac
import json
import struct
import time
import uuid

from lab.cloud import commands
from lab.cloud import supervisor as supervisors
from lab import errors
from lab import layout as layouts
from lab import topology as topologies

#: TCP port of the monitor: the second version of the protocol, no other.
PORT = 3300
LIBVIRT_PORT = 16509
#: Size of the sparse file that holds everything, bytes. Not a byte is kept
#: twice, and guests' disks are clones of one image.
STORE_BYTES = 16 * 1024 ** 3
#: Bytes that the OSD caches.
CACHE_BYTES = 64 * 1024 ** 2
#: Placement groups of a pool; one OSD needs no more.
GROUPS = 8
#: Pools of glance's images and of nova's disks.
IMAGES, DISKS = 'images', 'vms'
POOLS = (IMAGES, DISKS)
CLUSTER_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, 'ceph'))
OSD_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, 'osd.0'))
#: Under which libvirt keeps nova's key.
SECRET_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, 'client.nova'))
SECONDS = 120
POLL_SECONDS = 1
#: How long the command "ceph" looks for the monitor before it gives up.
CONNECT_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class User:
    """Somebody whom the cluster knows by a key.

    :ivar name: kind of daemon or client, a dot, and its own name
    :ivar caps: what it may do, by kind of daemon
    """

    name: str
    caps: tuple[tuple[str, str], ...]

    def key(self, secret: str) -> str:
        """Its key, as keyrings have it.

        :param secret: hexadecimal; who knows it knows all keys
        """
        kept = hmac.digest(bytes.fromhex(secret), self.name.encode(),
                           'sha256')[:16]
        # AES, made at a time that does not matter (seconds, nanoseconds).
        head = struct.pack('<HIIH', 1, 0, 0, len(kept))
        return base64.b64encode(head + kept).decode()


MONITOR = User('mon.', (('mon', 'allow *'),))
ADMIN = User('client.admin', (('mon', 'allow *'), ('mgr', 'allow *'),
                              ('osd', 'allow *')))
MANAGER = User(f'mgr.{topologies.CONTROLLER.name}',
               (('mon', 'allow profile mgr'), ('osd', 'allow *')))
OSD = User('osd.0', (('mon', 'allow profile osd'),
                     ('mgr', 'allow profile osd'), ('osd', 'allow *')))
GLANCE = User('client.glance', (
    ('mon', 'profile rbd'), ('mgr', f'profile rbd pool={IMAGES}'),
    ('osd', f'profile rbd pool={IMAGES}')))
NOVA = User('client.nova', (
    ('mon', 'profile rbd'), ('mgr', f'profile rbd pool={DISKS}'),
    ('osd', f'profile rbd pool={DISKS}, '
     f'profile rbd-read-only pool={IMAGES}')))
USERS = (MONITOR, ADMIN, MANAGER, OSD, GLANCE, NOVA)


class Cluster:
    """The cluster's daemons and what it holds.

    :param layout: paths of the lab
    :param supervisor: keeps the daemons
    """

    def __init__(self, layout: layouts.Layout,
                 supervisor: supervisors.Supervisor) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._etc = layout.etc(topologies.CONTROLLER.name)
        self._data = layout.data(topologies.CONTROLLER.name) / 'ceph'

    def start_monitor(self) -> None:
        """Make and start the monitor, which knows all keys."""
        for name in ('mon', 'mgr', 'crash'):
            (self._data / name).mkdir(parents=True)
        commands.run('ceph-mon', '--mkfs', '--id', topologies.CONTROLLER.name,
                     '--keyring', self._etc / 'ceph.keyring')
        self._supervisor.start('ceph-mon')
        commands.wait_for_port('ceph-mon', topologies.CONTROLLER.address,
                               PORT)

    def make_store(self) -> None:
        """Make the file in which the OSD keeps everything."""
        (self._data / 'osd').mkdir(parents=True)
        commands.run('ceph-osd', '--mkfs', '--id', 0, '--osd-uuid', OSD_ID,
                     '--no-mon-config')

    def start_osd(self) -> None:
        """Make the OSD known and start it; its store is there."""
        _ceph('osd', 'new', OSD_ID)
        self._supervisor.start('ceph-osd')

    def make_pools(self) -> None:
        """Make the pools, and wait until they can be written to."""
        for pool in POOLS:
            _ceph('osd', 'pool', 'create', pool)
            commands.run('rbd', 'pool', 'init', pool)
        deadline = time.monotonic() + SECONDS
        while not _is_counted():
            if time.monotonic() > deadline:
                raise errors.LabError(
                    f'After {SECONDS} s the Ceph cluster does not say how '
                    f'much it holds: tools/run-lab.sh exec -- ceph status')
            time.sleep(POLL_SECONDS)

    def give_key(self, host: topologies.Host) -> None:
        """Let a compute host's libvirt, which was started, know nova's key.

        :param host: the compute host
        """
        commands.wait_for_port(f'{host.name}-libvirtd', host.address,
                               LIBVIRT_PORT)
        etc = self._layout.etc(host.name)
        commands.run('virsh', 'secret-define', etc / 'ceph-secret.xml',
                     host=host.name)
        commands.run('virsh', 'secret-set-value', '--secret', SECRET_ID,
                     '--file', etc / 'ceph-secret.key', host=host.name)


def _ceph(*arguments: str) -> str:
    return commands.run('ceph', f'--connect-timeout={CONNECT_SECONDS}',
                        *arguments)


def _is_counted() -> bool:
    """Whether the manager has told how much room each pool has.

    Without that, nova-compute would report no disk and end.
    """
    found = {pool['name']: pool['stats'] for pool in
             json.loads(_ceph('df', '--format=json'))['pools']}
    return all(found.get(pool, {}).get('max_avail') for pool in POOLS)
