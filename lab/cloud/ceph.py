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

"""A Ceph cluster of the lab's own, for images, guests' disks and volumes.

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
#: Pools of glance's images, of nova's disks, and of cinder's volumes.
IMAGES, DISKS, VOLUMES = 'images', 'vms', 'volumes'
CLUSTER_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, 'ceph'))
OSD_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, 'osd.0'))
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

    @property
    def secret_id(self) -> str:
        """Under which libvirt keeps its key."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, self.name))

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
CINDER = User('client.cinder', (
    ('mon', 'profile rbd'), ('mgr', f'profile rbd pool={VOLUMES}'),
    ('osd', f'profile rbd pool={VOLUMES}, '
     f'profile rbd-read-only pool={IMAGES}')))


def pools(topology: topologies.Topology) -> tuple[str, ...]:
    """The pools of a lab's cluster.

    :param topology: the hosts
    """
    return (IMAGES, DISKS, *((VOLUMES,) if topology.volumes else ()))


def users(topology: topologies.Topology) -> tuple[User, ...]:
    """Whom a lab's cluster knows.

    :param topology: the hosts
    """
    return (MONITOR, ADMIN, MANAGER, OSD, GLANCE, *disk_users(topology))


def disk_users(topology: topologies.Topology) -> tuple[User, ...]:
    """As whom a guest's QEMU opens its disks, with a key from libvirt.

    :param topology: the hosts
    """
    return (NOVA, *((CINDER,) if topology.volumes else ()))


class Cluster:
    """The cluster's daemons and what it holds.

    :param layout: paths of the lab
    :param topology: the hosts
    :param supervisor: keeps the daemons
    """

    def __init__(self, layout: layouts.Layout, topology: topologies.Topology,
                 supervisor: supervisors.Supervisor) -> None:
        self._layout = layout
        self._pools = pools(topology)
        self._disk_users = disk_users(topology)
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
        for pool in self._pools:
            _ceph('osd', 'pool', 'create', pool)
            commands.run('rbd', 'pool', 'init', pool)
        deadline = time.monotonic() + SECONDS
        while not self._is_counted():
            if time.monotonic() > deadline:
                raise errors.LabError(
                    f'After {SECONDS} s the Ceph cluster does not say how '
                    f'much it holds: tools/run-lab.sh exec -- ceph status')
            time.sleep(POLL_SECONDS)

    def _is_counted(self) -> bool:
        """Whether the manager has told how much room each pool has.

        Without that, nova-compute would report no disk and end.
        """
        found = {pool['name']: pool['stats'] for pool in
                 json.loads(_ceph('df', '--format=json'))['pools']}
        return all(found.get(pool, {}).get('max_avail')
                   for pool in self._pools)

    def give_keys(self, host: topologies.Host) -> None:
        """Let a compute host's libvirt, which was started, know keys.

        :param host: the compute host
        """
        commands.wait_for_port(f'{host.name}-libvirtd', host.address,
                               LIBVIRT_PORT)
        etc = self._layout.etc(host.name)
        for user in self._disk_users:
            commands.run('virsh', 'secret-define', etc / f'{user.name}.xml',
                         host=host.name)
            commands.run('virsh', 'secret-set-value', '--secret',
                         user.secret_id, '--file', etc / f'{user.name}.key',
                         host=host.name)


def _ceph(*arguments: str) -> str:
    return commands.run('ceph', f'--connect-timeout={CONNECT_SECONDS}',
                        *arguments)
