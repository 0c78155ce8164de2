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

"""The hosts of a lab, and their addresses.

All of them lie in 198.18.0.0/15, the range that RFC 2544 sets aside for
benchmarks, and exist only inside the lab's own network namespaces.
"""

from __future__ import annotations

import dataclasses
import ipaddress

MANAGEMENT = ipaddress.ip_network('198.18.0.0/24')
PROVIDER = ipaddress.ip_network('198.18.4.0/22')
#: Name of the provider network in neutron, and of its physical network.
PROVIDER_NAME = 'prov'
#: First and last address that neutron hands out on the provider network.
PROVIDER_POOL = ('198.18.4.100', '198.18.7.250')

MIN_COMPUTES = 1
MAX_COMPUTES = 8
#: Bounds of the number of live migrations that a compute host may run at once.
MIN_CONCURRENT = 1
MAX_CONCURRENT = 16
BLOCK, CEPH = 'block', 'ceph'
STORAGES = (BLOCK, CEPH)


@dataclasses.dataclass(frozen=True)
class Host:
    """A host of the lab: a set of namespaces with a name and an address.

    :ivar name: host name, as nova and libvirt see it
    :ivar address: IPv4 address on the management network
    """

    name: str
    address: str

    @property
    def is_controller(self) -> bool:
        """Return whether this is the host of the control plane."""
        return self == CONTROLLER


CONTROLLER = Host('controller', str(MANAGEMENT[1]))


@dataclasses.dataclass(frozen=True)
class Topology:
    """The parts of a lab; chosen at ``up`` and fixed until ``down``.

    Another ``up`` can change the storage, volumes with it, and the sources of
    projects, and can add Heat.

    :ivar computes: number of compute hosts
    :ivar qemu_on: hosts with libvirt and QEMU of another suite of Debian,
        each ``HOST=SUITE``, separated by commas
    :ivar kvm: whether guests run under KVM instead of software emulation
    :ivar storage: where guests' disks live; ``block``: local qcow2 files;
        ``ceph``: images in a Ceph cluster, which all hosts share
    :ivar max_concurrent_live_migrations: number of live migrations that a
        compute host runs at once as their source; nova's default is 1
    :ivar volumes: whether there is cinder, with volumes in the Ceph cluster
    :ivar heat: whether there is Heat, installed for such labs only
    :ivar sources: projects that are not the pinned releases, each
        ``PROJECT=VERSION``, or ``PROJECT=PATH`` with the absolute path of a
        checkout; the first one of a project counts
    :ivar nova_on: exceptions of single hosts, each ``HOST=VERSION`` or
        ``HOST=PATH``; the first one of a host counts
    """

    computes: int = 2
    qemu_on: str = ''
    kvm: bool = False
    storage: str = BLOCK
    max_concurrent_live_migrations: int = 1
    volumes: bool = False
    heat: bool = False
    sources: tuple[str, ...] = ()
    nova_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ('sources', 'nova_on'):
            # A list, if it comes from JSON.
            first: dict[str, str] = {}
            for entry in getattr(self, name):
                first.setdefault(entry.partition('=')[0], entry)
            object.__setattr__(self, name, tuple(first.values()))

    @property
    def compute_hosts(self) -> tuple[Host, ...]:
        """Return the compute hosts, compute1 first."""
        return tuple(Host(f'compute{n}', str(MANAGEMENT[10 + n]))
                     for n in range(1, self.computes + 1))

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Return all hosts, the controller first."""
        return (CONTROLLER, *self.compute_hosts)

    @property
    def suites(self) -> dict[str, str]:
        """Return the suites of hosts that have not the machine's QEMU."""
        return {host: suite for host, _, suite in (
            each.partition('=') for each in self.qemu_on.split(',') if each)}

    @property
    def has_ceph(self) -> bool:
        """Return whether a Ceph cluster belongs to it."""
        return self.storage == CEPH

    def has_all_of(self, other: Topology) -> bool:
        """Return whether a cloud like this serves a request for another.

        Volumes and Heat that were not requested do no harm.

        :param other: the requested topology
        """
        return self == dataclasses.replace(
            other, volumes=self.volumes or other.volumes,
            heat=self.heat or other.heat)

    def source_of(self, project: str, host: str = '') -> str:
        """Return the source of a project on a host; empty for the pinned one.

        :param project: name of the project
        :param host: name of the host
        """
        of_projects, novas_of_hosts = (
            dict(entry.split('=', 1) for entry in entries)
            for entries in (self.sources, self.nova_on))
        if project == 'nova' and host in novas_of_hosts:
            return novas_of_hosts[host]
        return of_projects.get(project, '')

    @property
    def provider_gateway(self) -> str:
        """Return the controller's address on the provider network."""
        return str(PROVIDER[1])

    @property
    def provider_cidr(self) -> str:
        """Return the provider network's address range."""
        return str(PROVIDER)

    def describe(self) -> str:
        """Return the options of ``up`` that make this lab, for messages."""
        words = ['--computes', str(self.computes), '--storage', self.storage]
        if self.qemu_on:
            words += ['--qemu-on', self.qemu_on]
        if self.kvm:
            words.append('--kvm')
        if self.max_concurrent_live_migrations > 1:
            words += ['--max-concurrent-live-migrations',
                      str(self.max_concurrent_live_migrations)]
        if self.volumes:
            words.append('--volumes')
        if self.heat:
            words.append('--heat')
        for entry in self.sources:
            words += ['--from', entry]
        for entry in self.nova_on:
            words += ['--nova-on', entry]
        return ' '.join(words)
