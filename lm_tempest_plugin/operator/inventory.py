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

"""What of ours is in the cloud, and how it goes away again."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
from typing import Any

from openstack import exceptions as sdk_exc

from lm_tempest_plugin.operator import access as accesses
from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import marks

# In the order in which they can be deleted.
KINDS = ('router', 'subnet', 'network', 'security group', 'flavor', 'image')
# How many servers are named where something is in use.
NAMED = 3


@dataclasses.dataclass(frozen=True)
class Found:
    """Something in the cloud that was made here.

    :ivar kind: one of KINDS
    :ivar identifier: its id
    :ivar name: its name
    """

    kind: str
    identifier: str
    name: str

    def __str__(self) -> str:
        return '%s %s (%s)' % (self.kind, self.name, self.identifier)


@dataclasses.dataclass(frozen=True)
class Removal:
    """What became of things that were to be deleted.

    :ivar deleted: in words
    :ivar kept: what is still there, with the reason, in words
    """

    deleted: tuple[str, ...]
    kept: tuple[str, ...]


class InUse(Exception):
    """Something that cannot be deleted; says what uses it."""


def find(access: accesses.Access) -> list[Found]:
    """Return what was made here, in the order in which it can be deleted.

    :param access: the way to the cloud
    :raises OperatorError: the cloud cannot be asked
    """
    return [each for kind in KINDS for each in _find(access, kind)]


def _find(access: accesses.Access, kind: str) -> list[Found]:
    """Return what was made here of one kind.

    :raises OperatorError: the cloud cannot be asked
    """
    with access.to('list %ss' % kind):
        return [Found(kind, each.id, each.name)
                for each in _LIST[kind](access.connection)
                if marks.ours(each)]


def _marked(listing: Callable[..., Iterable[Any]]) -> Iterator[Any]:
    """Yield networks and the like: by tag, and by name what has none yet."""
    seen: set[str] = set()
    for query in ({'tags': marks.TAG}, {'name': marks.NAME}):
        for each in listing(**query):
            if each.id not in seen:
                seen.add(each.id)
                yield each


def remove(access: accesses.Access, keep: Collection[str] = ()) -> Removal:
    """Delete what was made here, and nothing else.

    What cannot be listed or deleted keeps nothing else from being deleted.

    :param access: the way to the cloud
    :param keep: ids of what is to stay
    """
    deleted: list[str] = []
    kept: list[str] = []
    for kind in KINDS:
        try:
            found = _find(access, kind)
        except errors.OperatorError as exc:
            kept.append('%ss, if there are any: %s' % (kind, exc))
            continue
        for each in found:
            if each.identifier not in keep:
                _remove(access, each, deleted, kept)
    return Removal(tuple(deleted), tuple(kept))


def _remove(access: accesses.Access, found: Found, deleted: list[str],
            kept: list[str]) -> None:
    """Delete one thing, and note what became of it."""
    try:
        with access.to('delete %s' % found):
            _DELETE[found.kind](access.connection, found)
    except InUse as exc:
        kept.append('%s is in use: %s' % (found, exc))
    except errors.OperatorError as exc:
        kept.append('%s: %s' % (found, exc))
    else:
        deleted.append(str(found))


def _delete_router(connection: Any, found: Found) -> None:
    network = connection.network
    foreign = []
    for port in network.ports(device_id=found.identifier):
        if port.device_owner == 'network:router_gateway':
            continue
        subnets = [network.get_subnet(each['subnet_id'])
                   for each in port.fixed_ips or ()]
        if subnets and all(marks.ours(subnet) for subnet in subnets):
            _unless_used(network.remove_interface_from_router,
                         found.identifier, None, port.id)
        elif subnets:
            foreign.append(port.id)
    if foreign:
        raise InUse('it has interfaces on networks that were not made here '
                    '(ports %s)' % ', '.join(foreign))
    _unless_used(network.delete_router, found.identifier)


def _delete_subnet(connection: Any, found: Found) -> None:
    _refuse_ports(connection, found, connection.network.ports(
        fixed_ips='subnet_id=%s' % found.identifier))
    _unless_used(connection.network.delete_subnet, found.identifier)


def _delete_network(connection: Any, found: Found) -> None:
    # neutron deletes the subnets along with the network.
    foreign = [each for each in connection.network.subnets(
        network_id=found.identifier) if not marks.ours(each)]
    if foreign:
        raise InUse('it has subnets that were not made here: %s' % ', '.join(
            '%s (%s)' % (each.name, each.id) for each in foreign))
    _refuse_ports(connection, found, connection.network.ports(
        network_id=found.identifier))
    _unless_used(connection.network.delete_network, found.identifier)


def _refuse_ports(connection: Any, found: Found,
                  ports: Iterable[Any]) -> None:
    """Refuse to delete what has ports of others than neutron itself.

    :raises InUse: names them
    """
    used = ['port %s of %s %s' % (
        port.id, port.device_owner or 'nobody', port.device_id or '')
        for port in ports
        if not str(port.device_owner or '').startswith('network:')]
    if used:
        raise InUse(', '.join(each.strip() for each in used))


def _delete_group(connection: Any, found: Found) -> None:
    _unless_used(connection.network.delete_security_group, found.identifier)


def _delete_flavor(connection: Any, found: Found) -> None:
    # nova would delete it all the same.
    _refuse_servers(connection, flavor=found.identifier)
    _unless_used(connection.compute.delete_flavor, found.identifier)


def _delete_image(connection: Any, found: Found) -> None:
    # So would glance, unless servers' disks are clones of it.
    _refuse_servers(connection, image=found.identifier)
    _unless_used(connection.image.delete_image, found.identifier)


def _refuse_servers(connection: Any, **query: str) -> None:
    """Refuse to delete what servers were made of.

    :raises InUse: names some
    """
    used = ['%s (%s)' % (server.name, server.id) for server in
            connection.compute.servers(all_projects=True, **query)]
    if used:
        raise InUse('%d servers were made of it: %s%s' % (
            len(used), ', '.join(used[:NAMED]),
            ' ...' if len(used) > NAMED else ''))


def _unless_used(call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Delete something; it is fine if it is gone already.

    :raises InUse: the cloud says that it is in use (HTTP 409)
    """
    try:
        call(*args, **kwargs)
    except sdk_exc.NotFoundException:
        return
    except sdk_exc.ConflictException as exc:
        raise InUse(' '.join(str(exc).split())) from exc


_LIST: dict[str, Callable[[Any], Iterable[Any]]] = {
    'router': lambda connection: _marked(connection.network.routers),
    'subnet': lambda connection: _marked(connection.network.subnets),
    'network': lambda connection: _marked(connection.network.networks),
    'security group': lambda connection: _marked(
        connection.network.security_groups),
    'flavor': lambda connection: connection.compute.flavors(),
    'image': lambda connection: connection.image.images(tag=marks.TAG)}
_DELETE: dict[str, Callable[[Any, Found], None]] = {
    'router': _delete_router, 'subnet': _delete_subnet,
    'network': _delete_network, 'security group': _delete_group,
    'flavor': _delete_flavor, 'image': _delete_image}
