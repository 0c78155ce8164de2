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

"""The two networks between hosts: bridges, veth pairs and addresses."""

import pathlib
import subprocess

import pyroute2

from lab import layout
from lab.topology import CONTROLLER
from lab.topology import Host
from lab.topology import MANAGEMENT
from lab.topology import PROVIDER
from lab.topology import Topology

MANAGEMENT_BRIDGE = 'br-mgmt'
PROVIDER_BRIDGE = 'br-prov'
#: Names of a compute host's two interfaces.
MANAGEMENT_PORT = 'eth0'
PROVIDER_PORT = 'eth1'
PING_GROUPS = pathlib.Path('/proc/sys/net/ipv4/ping_group_range')


def loopback_up() -> None:
    """Bring up the loopback interface of the current namespace."""
    with pyroute2.IPRoute() as route:
        route.link('set', index=route.link_lookup(ifname='lo')[0],
                   state='up')


def allow_ping_sockets() -> None:
    """Let all users of the current namespace open ICMP datagram sockets."""
    PING_GROUPS.write_text('0 2147483647')


def make(topology: Topology) -> None:
    """Connect the hosts by two bridges in the controller.

    :param topology: the hosts; their namespaces exist already
    :raises pyroute2.NetlinkError: if the kernel refuses something
    """
    with pyroute2.IPRoute() as route:
        _bridge(route, MANAGEMENT_BRIDGE, CONTROLLER.address,
                MANAGEMENT.prefixlen)
        _bridge(route, PROVIDER_BRIDGE, topology.provider_gateway,
                PROVIDER.prefixlen)
        for host in topology.compute_hosts:
            _connect(route, host)


def _bridge(route: pyroute2.IPRoute, name: str, address: str,
            prefix: int) -> None:
    route.link('add', ifname=name, kind='bridge')
    index = route.link_lookup(ifname=name)[0]
    route.addr('add', index=index, address=address, prefixlen=prefix)
    route.link('set', index=index, state='up')
    _complete_checksums(name)


def _connect(route: pyroute2.IPRoute, host: Host) -> None:
    """Give a compute host its two interfaces."""
    there = str(layout.namespace(host.name, 'net'))
    for bridge, port in ((MANAGEMENT_BRIDGE, MANAGEMENT_PORT),
                         (PROVIDER_BRIDGE, PROVIDER_PORT)):
        here = f'{host.name}-{port}'
        route.link('add', ifname=here, kind='veth',
                   peer={'ifname': port, 'net_ns_fd': there})
        route.link('set', index=route.link_lookup(ifname=here)[0],
                   master=route.link_lookup(ifname=bridge)[0], state='up')
        _complete_checksums(here)
        _complete_checksums(port, 'nsenter', f'--net={there}')
    with pyroute2.NetNS(there) as inside:
        management = inside.link_lookup(ifname=MANAGEMENT_PORT)[0]
        inside.addr('add', index=management, address=host.address,
                    prefixlen=MANAGEMENT.prefixlen)
        for port in (MANAGEMENT_PORT, PROVIDER_PORT):
            inside.link('set', index=inside.link_lookup(ifname=port)[0],
                        state='up')


def set_management(host: str, up: bool) -> None:
    """Cut or restore a compute host's management network.

    Call it in the controller's namespace.

    :param host: name of the host
    :param up: True to restore it
    """
    with pyroute2.IPRoute() as route:
        index = route.link_lookup(ifname=f'{host}-{MANAGEMENT_PORT}')[0]
        route.link('set', index=index, state='up' if up else 'down')


def set_provider_address(address: str, prefix: int, present: bool) -> None:
    """Give the controller one more address on the provider network.

    Call it in the controller's namespace.

    :param address: IPv4 address
    :param prefix: length of its network's prefix
    :param present: False to take it away
    """
    with pyroute2.IPRoute() as route:
        index = route.link_lookup(ifname=PROVIDER_BRIDGE)[0]
        # "replace" succeeds where a run that was killed has left it.
        route.addr('replace' if present else 'del', index=index,
                   address=address, prefixlen=prefix)


def _complete_checksums(interface: str, *within: str) -> None:
    """Let an interface complete the checksum of each packet it sends.

    A veth pair or bridge leaves that to a network card, and there is none;
    the userspace datapath's connection tracking drops such packets.
    """
    subprocess.run([*within, 'ethtool', '--offload', interface, 'tx', 'off'],
                   check=True, stdout=subprocess.DEVNULL)
