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

"""The network over which guests are reached from this machine.

No API tells whether this machine reaches a network. A network that is shared
between projects is assumed to be reachable; with an external network, guests
get floating addresses of it.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import account
from lm_tempest_plugin.cloud.setup import resources

# Private (RFC 1918), and behind a router: it cannot clash with another one.
CIDR = '192.168.229.0/24'


@dataclasses.dataclass(frozen=True)
class GuestNetwork:
    """The connection of guests.

    :ivar name: name of the guests' network
    :ivar external_id: id of the network of floating addresses; empty if
        guests are reached at their own addresses
    :ivar external_name: its name
    :ivar resources: networks, subnet and router that it uses
    """

    name: str
    external_id: str
    external_name: str
    resources: tuple[resources.Resource, ...]

    @property
    def floating(self) -> bool:
        """Whether guests get floating addresses."""
        return bool(self.external_id)


def choose(access: account.Access, wanted: str) -> Any:
    """Return the network to use: an external or a shared one.

    :param access: connection to the cloud
    :param wanted: its name or id; empty for the only external network, or
        else the only shared one
    :raises SetupError: there is none or more than one, or another network
        has the same name
    """
    with access.explaining('list networks'):
        known = list(access.connection.network.networks())
    chosen = (_named(access, wanted, known) if wanted
              else _only(access, known))
    # tempest.conf names the guests' network (fixed_network_name), and Tempest
    # finds none if two have that name. An external network is given by its id
    # instead; guests are then on the network that provide() creates.
    name = resources.NAME if chosen.is_router_external else chosen.name
    others = sorted(
        each.id for each in known
        if each.name == name and each.id != chosen.id and
        _is_visible(each) and not resources.is_marked(each))
    if others:
        raise setup.SetupError(
            f'cloud {access.cloud}: guests would be on network {name}, which '
            'Tempest knows by its name only, and others have the same name '
            f'({", ".join(others)}): rename these, or choose another network '
            'with --network')
    return chosen


def _is_visible(network: Any) -> bool:
    """Return whether the projects of the tests can use a network."""
    return bool(network.is_router_external or network.is_shared)


def _only(access: account.Access, known: Sequence[Any]) -> Any:
    """Return the only candidate.

    :raises SetupError: there is none, or more than one
    """
    usable = [each for each in known if _is_visible(each) and
              each.subnet_ids and not resources.is_marked(each)]
    external = [each for each in usable if each.is_router_external]
    for kind, found in (
            ('external', external),
            ('shared', [each for each in usable if each not in external])):
        if len(found) == 1:
            return found[0]
        if found:
            names = ', '.join(sorted(each.name for each in found))
            raise setup.SetupError(
                f'cloud {access.cloud} has {len(found)} {kind} networks: '
                f'choose one with --network: {names}')
    raise setup.SetupError(
        f'cloud {access.cloud} has neither an external network nor one that '
        'is shared between projects, so guests could not be reached')


def _named(access: account.Access, wanted: str, known: Sequence[Any]) -> Any:
    """Return the network with a name or id.

    :raises SetupError: there is none, the tests cannot use it, or the name
        is ambiguous
    """
    found = [each for each in known if wanted in (each.id, each.name)]
    if not found:
        raise setup.SetupError(f'cloud {access.cloud} has no network {wanted}')
    usable = [each for each in found if _is_visible(each)]
    if not usable:
        raise setup.SetupError(
            f'cloud {access.cloud}: network {wanted} is neither external nor '
            'shared, so the projects of the tests cannot use it')
    external = [each for each in usable if each.is_router_external]
    if external and len(usable) > 1:
        identifiers = ', '.join(sorted(each.id for each in external))
        raise setup.SetupError(
            f'cloud {access.cloud}: {len(usable)} networks have the name '
            f'{wanted}: give the id of an external one: {identifiers}')
    return usable[0]


def provide(access: account.Access, chosen: Any) -> GuestNetwork:
    """Return the connection of guests; create the missing parts.

    A shared network is enough. Behind an external network, guests are on a
    network of their own, and a router connects both.

    :param access: connection to the cloud
    :param chosen: result of choose()
    :raises SetupError: the cloud refuses, or does not answer
    """
    if not chosen.is_router_external:
        return GuestNetwork(chosen.name, '', '', (resources.Resource(
            'network', chosen.id, chosen.name, False,
            'guests are reached at their own addresses'),))
    network = access.connection.network
    inner, new_inner = _marked(
        access, 'network', network.networks, network.create_network,
        is_shared=True)
    subnet, new_subnet = _marked(
        access, 'subnet', network.subnets, network.create_subnet,
        network_id=inner.id, ip_version=4, cidr=CIDR)
    router, new_router = _marked(
        access, 'router', network.routers, network.create_router,
        external_gateway_info={'network_id': chosen.id})
    gateway = router.external_gateway_info or {}
    if gateway.get('network_id') != chosen.id:
        raise setup.SetupError(
            f'cloud {access.cloud}: router {router.id} of an earlier run does '
            f'not lead to network {chosen.name}: delete it with bootstrap '
            '--delete')
    with access.explaining(f'connect router {router.name}'):
        connected = {each['subnet_id']
                     for port in network.ports(device_id=router.id)
                     for each in port.fixed_ips or ()}
        if subnet.id not in connected:
            network.add_interface_to_router(router, subnet.id)
    return GuestNetwork(inner.name, chosen.id, chosen.name, (
        resources.Resource(
            'network', inner.id, inner.name, new_inner,
            f'guests get floating addresses of {chosen.name}'),
        resources.Resource('subnet', subnet.id, subnet.name, new_subnet, CIDR),
        resources.Resource('router', router.id, router.name, new_router,
                           f'to {chosen.name}')))


def _marked(access: account.Access, kind: str, list_: Any, create: Any,
            **attributes: Any) -> tuple[Any, bool]:
    """Return a marked resource, and whether it had to be created."""
    name = resources.NAME
    with access.explaining(f'create {kind} {name}'):
        found = next((each for each in list_(name=name)
                      if resources.is_marked(each)), None)
        created = found is None
        if found is None:
            found = create(name=name, description=resources.DESCRIPTION,
                           **attributes)
        tags = found.tags or ()
        if resources.TAG not in tags:
            access.connection.network.set_tags(
                found, [*tags, resources.TAG])
    return found, created
