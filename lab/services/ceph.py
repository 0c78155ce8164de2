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

One monitor, one manager and one OSD on the controller, reached over the
management network. It lives and dies with the cloud. It needs no module of
the kernel: the OSD keeps everything in a plain file.
"""

import base64
import dataclasses
import functools
import hmac
import json
import struct
import time
import uuid

from lab import errors
from lab import layout
from lab.services import base
from lab.services import hypervisors
from lab.steps import Step
from lab import supervisor
from lab.topology import CONTROLLER
from lab.topology import Topology

#: TCP port of the monitor: the second version of the protocol, no other.
PORT = 3300
#: Size of the sparse file that holds everything, bytes. Not a byte is kept
#: twice, and guests' disks are clones of one image.
STORE_BYTES = 16 * 1024 ** 3
#: Bytes that the OSD caches.
CACHE_BYTES = 64 * 1024 ** 2
#: Placement groups of a pool; one OSD needs no more.
GROUPS = 8
#: Pools of glance's images, of nova's disks, and of cinder's volumes.
IMAGES, DISKS, VOLUMES = 'images', 'vms', 'volumes'
#: Steps that make the OSD's store, and the pools.
STORE, POOLS = 'Ceph store', 'Ceph pools'
CLUSTER_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, 'ceph'))
OSD_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, 'osd.0'))
SECONDS = 120
POLL_SECONDS = 1
#: Time-out of the command "ceph" when it looks for the monitor.
CONNECT_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class User:
    """A user of the cluster, who has a key.

    :ivar name: kind of daemon or client, a dot, and its own name
    :ivar caps: its capabilities, by kind of daemon
    """

    name: str
    caps: tuple[tuple[str, str], ...]

    @property
    def secret_id(self) -> str:
        """Return the id under which libvirt keeps its key."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, self.name))

    def key(self, secret: str) -> str:
        """Return its key, as keyrings have it.

        :param secret: hexadecimal; it gives away all keys
        """
        kept = hmac.digest(bytes.fromhex(secret), self.name.encode(),
                           'sha256')[:16]
        # AES, made at a time that does not matter (seconds, nanoseconds).
        head = struct.pack('<HIIH', 1, 0, 0, len(kept))
        return base64.b64encode(head + kept).decode()


MONITOR = User('mon.', (('mon', 'allow *'),))
ADMIN = User('client.admin', (('mon', 'allow *'), ('mgr', 'allow *'),
                              ('osd', 'allow *')))
MANAGER = User(f'mgr.{CONTROLLER.name}',
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


def pools(topology: Topology) -> tuple[str, ...]:
    """Return the pools of a lab's cluster.

    :param topology: the hosts
    """
    return (IMAGES, DISKS, *((VOLUMES,) if topology.volumes else ()))


def users(topology: Topology) -> tuple[User, ...]:
    """Return the users that a lab's cluster knows.

    :param topology: the hosts
    """
    return (MONITOR, ADMIN, MANAGER, OSD, GLANCE, *disk_users(topology))


def disk_users(topology: Topology) -> tuple[User, ...]:
    """Return the users as which QEMU opens disks, with keys from libvirt.

    :param topology: the hosts
    """
    return (NOVA, *((CINDER,) if topology.volumes else ()))


class Ceph(base.Service):
    """The cluster's daemons; the cluster is ready when its pools are."""

    name = 'ceph'
    packages = ('ceph-common', 'ceph-mgr', 'ceph-mon', 'ceph-osd',
                'python3-rados', 'python3-rbd')

    @classmethod
    def is_part_of(cls, topology: Topology) -> bool:
        """Return whether guests' disks live in Ceph."""
        return topology.has_ceph

    def configure(self) -> None:
        """Write the daemons' files, and the keys of clients on this host."""
        self.write(self.etc / 'ceph.keyring', 'ceph.keyring',
                   users=users(self.lab.topology))
        # cinder-volume runs here; nova-compute does not.
        _write_client_files(self, ADMIN, GLANCE, *(
            user for user in disk_users(self.lab.topology) if user != NOVA))

    def programs(self) -> list[base.Program]:
        """Return the daemons, in the foreground.

        A guest waits for the disk that it writes to, and when it moves it
        opens that anew: monitor and OSD have the priority of guests.
        """
        name = self.host.name
        return [
            self.program('ceph-mon', '/usr/bin/ceph-mon', '-f', '--id', name,
                         nice=base.DATA_PLANE, port=PORT,
                         before=self._make_monitor),
            self.program('ceph-osd', '/usr/bin/ceph-osd', '-f', '--id', 0,
                         nice=base.DATA_PLANE, needs=('ceph-mon', STORE),
                         before=functools.partial(_ceph, 'osd', 'new',
                                                  OSD_ID)),
            self.program('ceph-mgr', '/usr/bin/ceph-mgr', '-f', '--id', name,
                         needs=('ceph-mon',)),
        ]

    def steps(self) -> list[Step]:
        """Start the daemons, and make the pools."""
        return [*super().steps(), self.step(STORE, self._make_store),
                self.step(POOLS, self._make_pools, 'ceph-osd', 'ceph-mgr')]

    def _make_monitor(self) -> None:
        """Make the monitor, which knows all keys."""
        for name in ('mon', 'mgr', 'crash'):
            (self.data / 'ceph' / name).mkdir(parents=True)
        base.run('ceph-mon', '--mkfs', '--id', self.host.name, '--keyring',
                 self.etc / 'ceph.keyring')

    def _make_store(self) -> None:
        """Make the file in which the OSD keeps everything."""
        (self.data / 'ceph' / 'osd').mkdir(parents=True)
        base.run('ceph-osd', '--mkfs', '--id', 0, '--osd-uuid', OSD_ID,
                 '--no-mon-config')

    def _make_pools(self) -> None:
        """Make the pools, and wait until they can be written to."""
        wanted = pools(self.lab.topology)
        for pool in wanted:
            _ceph('osd', 'pool', 'create', pool)
            base.run('rbd', 'pool', 'init', pool)
        deadline = time.monotonic() + SECONDS
        while True:
            found = {pool['name']: pool['stats'] for pool in
                     json.loads(_ceph('df', '--format=json'))['pools']}
            # Until the manager has told how much room each pool has,
            # nova-compute would report no disk and end.
            if all(found.get(pool, {}).get('max_avail') for pool in wanted):
                return
            if time.monotonic() > deadline:
                raise errors.LabError(
                    f'After {SECONDS} s the Ceph cluster does not say how '
                    f'much it holds: tools/run-lab.sh exec -- ceph status')
            time.sleep(POLL_SECONDS)


class CephClient(base.Service):
    """Access to the cluster for a compute host's nova and libvirt."""

    name = 'ceph-client'
    on_compute_hosts = True
    needs = ('libvirt',)

    @classmethod
    def is_part_of(cls, topology: Topology) -> bool:
        """Return whether guests' disks live in Ceph."""
        return topology.has_ceph

    def configure(self) -> None:
        """Write nova's key, and the secrets that libvirt is to know."""
        _write_client_files(self, NOVA)
        for user in disk_users(self.lab.topology):
            for kind in ('key', 'xml'):
                self.write(self.etc / f'{user.name}.{kind}',
                           f'ceph-secret.{kind}', user=user)

    def steps(self) -> list[Step]:
        """Let libvirt, which was started, know the keys."""
        return [self.step(f'keys of {self.host.name}', self._give_keys)]

    def _give_keys(self) -> None:
        supervisor.wait_for_port(
            f'{self.host.name}-libvirtd', self.host.address,
            hypervisors.LIBVIRT_PORT)
        for user in disk_users(self.lab.topology):
            base.run('virsh', 'secret-define', self.etc / f'{user.name}.xml',
                     host=self.host.name)
            base.run('virsh', 'secret-set-value', '--secret', user.secret_id,
                     '--file', self.etc / f'{user.name}.key',
                     host=self.host.name)


def _write_client_files(service: base.Service, *clients: User) -> None:
    """Write the content of a host's /etc/ceph."""
    folder = service.paths.ceph(service.host.name)
    layout.write(folder / 'ceph.conf', service.render(
        'ceph.conf', cluster_id=CLUSTER_ID, port=PORT, groups=GROUPS,
        store_bytes=STORE_BYTES, cache_bytes=CACHE_BYTES))
    for user in clients:
        service.write(folder / f'ceph.{user.name}.keyring', 'ceph.keyring',
                      users=(user,))


def _ceph(*arguments: str) -> str:
    return base.run('ceph', f'--connect-timeout={CONNECT_SECONDS}',
                    *arguments)
