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

"""The network of the guests, over which they are reached from here.

Whether a network can be reached from this machine no API tells. One that is
shared between projects is taken to be one that can; where there is an
external network, guests get floating addresses of it.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

from lm_tempest_plugin.operator import access as accesses
from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import made
from lm_tempest_plugin.operator import marks

# Private (RFC 1918). It is behind a router and meets no other network.
CIDR = '192.168.229.0/24'


@dataclasses.dataclass(frozen=True)
class Network:
    """How guests are connected.

    :ivar name: of the network that guests are on
    :ivar external_id: id of the network of floating addresses; empty where
        guests are reached without
    :ivar external_name: its name
    :ivar made: what it takes
    """

    name: str
    external_id: str
    external_name: str
    made: tuple[made.Made, ...]

    @property
    def floating(self) -> bool:
        """Whether guests get floating addresses."""
        return bool(self.external_id)


def choose(access: accesses.Access, wanted: str) -> Any:
    """Return the network to use: an external one, or one of the guests.

    :param access: the way to the cloud
    :param wanted: its name or id; empty for the only one that comes into
        question
    :raises OperatorError: there is none, or more than one, or its name is
        not its own
    """
    with access.to('list networks'):
        known = list(access.connection.network.networks())
    chosen = (_named(access, wanted, known) if wanted
              else _only(access, known))
    _check_name(access, chosen, known)
    return chosen


def _usable(network: Any) -> bool:
    """Return whether projects that are made for the tests can use one."""
    return bool(network.is_router_external or network.is_shared)


def _only(access: accesses.Access, known: Sequence[Any]) -> Any:
    """Return the only network that comes into question.

    :raises OperatorError: there is none, or more than one
    """
    usable = [each for each in known if _usable(each) and
              each.subnet_ids and not marks.ours(each)]
    external = [each for each in usable if each.is_router_external]
    for kind, found in (
            ('external', external),
            ('shared', [each for each in usable if each not in external])):
        if len(found) == 1:
            return found[0]
        if found:
            raise errors.OperatorError(
                'cloud %s has several %s networks: say with --network over '
                'which guests are reached: %s' % (
                    access.cloud, kind, ', '.join(
                        sorted(each.name for each in found))))
    raise errors.OperatorError(
        'cloud %s has neither an external network nor one that is shared '
        'between projects, so guests could not be reached' % access.cloud)


def _named(access: accesses.Access, wanted: str, known: Sequence[Any]) -> Any:
    """Return the network of a name or an id.

    :raises OperatorError: there is none, the tests cannot use it, or it
        takes an id to tell it from others
    """
    found = [each for each in known if wanted in (each.id, each.name)]
    if not found:
        raise errors.OperatorError('cloud %s has no network %s' % (
            access.cloud, wanted))
    usable = [each for each in found if _usable(each)]
    if not usable:
        raise errors.OperatorError(
            'cloud %s: network %s is neither external nor shared between '
            'projects: those of the tests cannot use it' % (
                access.cloud, wanted))
    external = [each for each in usable if each.is_router_external]
    if external and len(usable) > 1:
        raise errors.OperatorError(
            'cloud %s: several networks are called %s: give the id of one '
            'that is external: %s' % (access.cloud, wanted, ', '.join(
                sorted(each.id for each in external))))
    return usable[0]


def _check_name(access: accesses.Access, chosen: Any,
                known: Sequence[Any]) -> None:
    """Refuse to put guests on a network that shares its name with another.

    tempest.conf has the name alone (fixed_network_name), and Tempest finds
    no network if there are two of that name. An external network is there
    by its id; guests are then on one of ours.

    :raises OperatorError: says which
    """
    name = marks.NAME if chosen.is_router_external else chosen.name
    others = sorted(each.id for each in known if each.name == name and
                    each.id != chosen.id and _usable(each) and
                    not marks.ours(each))
    if others:
        raise errors.OperatorError(
            'cloud %s: guests are to be on network %s, which Tempest knows '
            'by its name alone, and others have the same name (%s): rename '
            'these, or give another network with --network' % (
                access.cloud, name, ', '.join(others)))


def provide(access: accesses.Access, chosen: Any) -> Network:
    """Return how guests are connected; made where it is missing.

    A shared network is all that it takes. With an external one there is a
    network of ours, and a router between the two.

    :param access: the way to the cloud
    :param chosen: what choose() has returned
    :raises OperatorError: the cloud refuses
    """
    if not chosen.is_router_external:
        return Network(chosen.name, '', '', (made.Made(
            'network', chosen.id, chosen.name, False,
            'guests are reached at their addresses in it'),))
    network = access.connection.network
    inner, new_inner = _ours(
        access, 'network', network.networks, network.create_network,
        is_shared=True)
    subnet, new_subnet = _ours(
        access, 'subnet', network.subnets, network.create_subnet,
        network_id=inner.id, ip_version=4, cidr=CIDR)
    router, new_router = _ours(
        access, 'router', network.routers, network.create_router,
        external_gateway_info={'network_id': chosen.id})
    _check_gateway(access, router, chosen)
    _join(access, router, subnet)
    return Network(inner.name, chosen.id, chosen.name, (
        made.Made('network', inner.id, inner.name, new_inner,
                  'guests get floating addresses of %s' % chosen.name),
        made.Made('subnet', subnet.id, subnet.name, new_subnet, CIDR),
        made.Made('router', router.id, router.name, new_router,
                  'to %s' % chosen.name)))


def _ours(access: accesses.Access, kind: str, listing: Any, create: Any,
          **attributes: Any) -> tuple[Any, bool]:
    """Return what was made before or is made now, and whether it is new.

    :raises OperatorError: the cloud refuses
    """
    with access.to('make %s %s' % (kind, marks.NAME)):
        found = next((each for each in listing(name=marks.NAME)
                      if marks.ours(each)), None)
        new = found is None
        if found is None:
            found = create(name=marks.NAME, description=marks.DESCRIPTION,
                           **attributes)
        if marks.TAG not in (found.tags or ()):
            access.connection.network.set_tags(
                found, [*(found.tags or ()), marks.TAG])
    return found, new


def _check_gateway(access: accesses.Access, router: Any,
                   chosen: Any) -> None:
    """Refuse a router that was made for another external network.

    :raises OperatorError: says what to do
    """
    info = router.external_gateway_info or {}
    if info.get('network_id') != chosen.id:
        raise errors.OperatorError(
            'cloud %s: the router %s that was made before does not lead to '
            'network %s: delete it with bootstrap --delete' % (
                access.cloud, router.id, chosen.name))


def _join(access: accesses.Access, router: Any, subnet: Any) -> None:
    """Give a router an interface in a subnet, unless it has one."""
    network = access.connection.network
    with access.to('give router %s an interface' % router.name):
        joined = {each['subnet_id']
                  for port in network.ports(device_id=router.id)
                  for each in port.fixed_ips or ()}
        if subnet.id not in joined:
            network.add_interface_to_router(router, subnet.id)


def provide_group(access: accesses.Access,
                  ports: Sequence[int]) -> made.Made:
    """Return a security group that lets in ICMP and some TCP ports.

    :param access: the way to the cloud
    :param ports: the TCP ports
    :raises OperatorError: the cloud refuses
    """
    network = access.connection.network
    group, new = _ours(access, 'security group', network.security_groups,
                       network.create_security_group)
    rules: list[dict[str, Any]] = [{'protocol': 'icmp'}]
    rules += [{'protocol': 'tcp', 'port_range_min': port,
               'port_range_max': port} for port in sorted(set(ports))]
    with access.to('make the rules of security group %s' % group.name):
        there = [
            {name: rule[name] for name in (
                'protocol', 'port_range_min', 'port_range_max')
             if rule[name] is not None}
            for rule in network.security_group_rules(
                security_group_id=group.id, direction='ingress')]
        for rule in rules:
            if rule not in there:
                network.create_security_group_rule(
                    security_group_id=group.id, direction='ingress', **rule)
    return made.Made('security group', group.id, group.name, new,
                     'ICMP and TCP ports %s' % ', '.join(
                         map(str, sorted(set(ports)))))
