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

"""Deletion of marked resources, and of leftovers of an interrupted run.

A failure to list or delete one resource does not stop the others.

``tempest cleanup --prefix`` does not find the leftovers: it lists servers and
volumes of the administrator's project only, skips floating IPs and default
security groups, and ends with success even if it deleted nothing.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import functools
from typing import Any

from openstack import exceptions

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud import stacks
from lm_tempest_plugin import utils

# Number of servers that a message names.
NAMED_SERVERS = 3
POLL_S = 1.0
TIMEOUT_S = 120.0


class InUse(Exception):
    """A resource cannot be deleted. The text says what uses it."""


class Cleanup:
    """Deletes resources, and remembers the outcome.

    :param access: connection to the cloud
    :ivar deleted: texts of the resources that were deleted
    :ivar kept: texts of those that still exist, with the reason
    """

    def __init__(self, access: discovery.Access) -> None:
        self.access = access
        self.connection = access.connection
        self.deleted: list[str] = []
        self.kept: list[str] = []

    def find(self, kind: str, list_: Callable[..., Iterable[Any]],
             prefix: str = '', owner: str = '', **query: Any) -> list[Any]:
        """Return the resources of a kind; none if they cannot be listed.

        :param kind: such as: server
        :param list_: lists them; gets the query
        :param prefix: begin of their names
        :param owner: text of their owner, for messages
        """
        kinds = f'{kind}s of {owner}' if owner else f'{kind}s'
        try:
            with self.access.explaining(f'list {kinds}'):
                return [each for each in list_(**query)
                        if str(each.name or '').startswith(prefix)]
        except setup.SetupError as exc:
            self.kept.append(f'{kinds}, if there are any: {exc}')
            return []

    def delete(self, kind: str, resource: Any, delete: Callable[..., Any],
               *args: Any, **kwargs: Any) -> None:
        """Delete a resource. It is fine if it no longer exists.

        :param kind: such as: server
        :param resource: openstacksdk's resource
        :param delete: deletes it; gets the remaining arguments
        """
        name = f'{kind} {resource.name} ({resource.id})'
        try:
            with self.access.explaining(f'delete {name}'):
                try:
                    delete(*args, **kwargs)
                except exceptions.NotFoundException:
                    pass
                except exceptions.ConflictException as exc:
                    raise InUse(' '.join(str(exc).split())) from exc
        except InUse as exc:
            self.kept.append(f'{name} is in use: {exc}')
        except setup.SetupError as exc:
            self.kept.append(f'{name}: {exc}')
        else:
            self.deleted.append(name)

    def delete_all(self, kind: str, list_: Callable[..., Iterable[Any]],
                   delete: Callable[[str], Any], prefix: str = '',
                   owner: str = '', **query: Any) -> None:
        """Delete the resources that find() returns.

        :param delete: deletes one; gets its id
        """
        for each in self.find(kind, list_, prefix, owner, **query):
            self.delete(kind, each, delete, each.id)

    def delete_owner(self, kind: str, owner: Any, before: int,
                     delete: Callable[..., Any]) -> None:
        """Delete a user or project, unless it still owns resources.

        Nobody would find these again without their owner.

        :param kind: user or project
        :param owner: openstacksdk's resource
        :param before: number of kept resources before those of the owner
        :param delete: deletes it; gets its id
        """
        if len(self.kept) == before:
            self.delete(kind, owner, delete, owner.id)
        else:
            self.kept.append(f'{kind} {owner.name} ({owner.id}): it owns '
                             'resources that were not deleted')


def marked_ids(access: discovery.Access) -> set[str]:
    """Return the ids of all marked resources.

    :param access: connection to the cloud
    :raises SetupError: the cloud refuses, or does not answer
    """
    found: set[str] = set()
    for kind, (list_, _) in MARKED.items():
        with access.explaining(f'list {kind}s'):
            found |= {each.id for each in list_(access.connection)
                      if resources.is_marked(each)}
    return found


def delete_marked(access: discovery.Access,
                  keep: Collection[str] = ()) -> Cleanup:
    """Delete all marked resources, and nothing else.

    :param access: connection to the cloud
    :param keep: ids of resources to keep
    """
    cleanup = Cleanup(access)
    for kind, (list_, delete) in MARKED.items():
        for each in cleanup.find(
                kind, functools.partial(list_, access.connection)):
            if resources.is_marked(each) and each.id not in keep:
                cleanup.delete(
                    kind, each, delete, access.connection, each.id)
    return cleanup


def _by_mark(list_: Callable[..., Iterable[Any]]) -> Iterator[Any]:
    """Yield by tag, and by name those that did not get their tag."""
    seen: set[str] = set()
    for query in ({'tags': resources.TAG}, {'name': resources.NAME}):
        for each in list_(**query):
            if each.id not in seen:
                seen.add(each.id)
                yield each


def _delete_router(connection: Any, identifier: str) -> None:
    network = connection.network
    foreign = []
    for port in network.ports(device_id=identifier):
        if port.device_owner == 'network:router_gateway':
            continue
        subnets = [network.get_subnet(each['subnet_id'])
                   for each in port.fixed_ips or ()]
        if subnets and all(map(resources.is_marked, subnets)):
            with contextlib.suppress(exceptions.NotFoundException):
                network.remove_interface_from_router(
                    identifier, None, port.id)
        elif subnets:
            foreign.append(port.id)
    if foreign:
        raise InUse('it has interfaces on networks that this plugin did not '
                    f'create (ports {", ".join(foreign)})')
    network.delete_router(identifier)


def _delete_subnet(connection: Any, identifier: str) -> None:
    _refuse_ports(connection.network.ports(
        fixed_ips=f'subnet_id={identifier}'))
    connection.network.delete_subnet(identifier)


def _delete_network(connection: Any, identifier: str) -> None:
    # neutron deletes the subnets along with the network.
    foreign = [f'{each.name} ({each.id})' for each in
               connection.network.subnets(network_id=identifier)
               if not resources.is_marked(each)]
    if foreign:
        raise InUse('it has subnets that this plugin did not create: '
                    f'{", ".join(foreign)}')
    _refuse_ports(connection.network.ports(network_id=identifier))
    connection.network.delete_network(identifier)


def _refuse_ports(ports: Iterable[Any]) -> None:
    # Ports of neutron itself (DHCP) go along with the network.
    used = [f'port {port.id} of {port.device_owner or "nobody"} '
            f'{port.device_id or ""}'.strip() for port in ports
            if not str(port.device_owner or '').startswith('network:')]
    if used:
        raise InUse(', '.join(used))


def _delete_flavor(connection: Any, identifier: str) -> None:
    # nova would delete it all the same.
    _refuse_servers(connection, flavor=identifier)
    connection.compute.delete_flavor(identifier)


def _delete_image(connection: Any, identifier: str) -> None:
    # glance would delete it, unless disks of servers are clones of it.
    _refuse_servers(connection, image=identifier)
    connection.image.delete_image(identifier)


def _refuse_servers(connection: Any, **query: str) -> None:
    used = [f'{server.name} ({server.id})' for server in
            connection.compute.servers(all_projects=True, **query)]
    if used:
        more = ', ...' if len(used) > NAMED_SERVERS else ''
        raise InUse(f'servers that use it: {len(used)}: '
                    f'{", ".join(used[:NAMED_SERVERS])}{more}')


# How each kind is listed and deleted, in an order that can work.
MARKED: dict[str, tuple[Callable[[Any], Iterable[Any]],
                        Callable[[Any, str], None]]] = {
    'server': (lambda connection: connection.compute.servers(
                   all_projects=True, tags=resources.TAG),
               lambda connection, identifier: _delete(
                   connection.compute.get_server,
                   connection.compute.delete_server, TIMEOUT_S, identifier)),
    'floating IP': (lambda connection: connection.network.ips(
                        description=resources.DESCRIPTION),
                    lambda connection, identifier:
                        connection.network.delete_ip(identifier)),
    'security group': (lambda connection: connection.network.security_groups(
                           description=resources.DESCRIPTION),
                       lambda connection, identifier:
                           connection.network.delete_security_group(
                               identifier)),
    # Of the account itself; the id of a key pair is its name.
    'key pair': (lambda connection: connection.compute.keypairs(),
                 lambda connection, identifier:
                     connection.compute.delete_keypair(identifier)),
    'router': (lambda connection: _by_mark(connection.network.routers),
               _delete_router),
    'subnet': (lambda connection: _by_mark(connection.network.subnets),
               _delete_subnet),
    'network': (lambda connection: _by_mark(connection.network.networks),
                _delete_network),
    'flavor': (lambda connection: connection.compute.flavors(),
               _delete_flavor),
    'image': (lambda connection: connection.image.images(tag=resources.TAG),
              _delete_image)}


def delete_leftovers(access: discovery.Access, prefix: str,
                     timeout_s: float = TIMEOUT_S) -> Cleanup:
    """Delete everything that the tests of a run left behind.

    Tempest begins the names of its resources with [DEFAULT]
    resource_name_prefix. Resources without such a name are found by their
    owner.

    :param access: connection to the cloud
    :param prefix: begin of the names
    :param timeout_s: limit for the deletion of one server, in seconds
    """
    cleanup = Cleanup(access)
    connection = access.connection
    compute, network = connection.compute, connection.network
    if connection.has_service(stacks.SERVICE):
        heat = connection.orchestration
        # Before their servers: Heat deletes these.
        cleanup.delete_all('stack', heat.stacks, functools.partial(
            _delete, heat.get_stack, heat.delete_stack, timeout_s), prefix)
    cleanup.delete_all(
        'server', compute.servers, functools.partial(
            _delete, compute.get_server, compute.delete_server, timeout_s),
        prefix, all_projects=True, name=prefix)
    if connection.has_service('block-storage'):
        cleanup.delete_all(
            'volume', connection.block_storage.volumes,
            connection.block_storage.delete_volume, prefix, all_projects=True)
    cleanup.delete_all('image', connection.image.images,
                       connection.image.delete_image, prefix)
    cleanup.delete_all('security group', network.security_groups,
                       network.delete_security_group, prefix)
    # The account's own, which belong to stacks.
    cleanup.delete_all('key pair', compute.keypairs, compute.delete_keypair,
                       prefix)
    for each in cleanup.find('user', connection.identity.users, prefix):
        before = len(cleanup.kept)
        # nova keeps key pairs when their owner is deleted.
        for pair in cleanup.find('key pair', compute.keypairs,
                                 owner=f'user {each.name}', user_id=each.id):
            cleanup.delete('key pair', pair, compute.delete_keypair,
                           pair.name, user_id=each.id)
        cleanup.delete_owner('user', each, before,
                             connection.identity.delete_user)
    for each in cleanup.find('project', connection.identity.projects, prefix):
        before = len(cleanup.kept)
        # Floating IPs have no name, and each project has a security group
        # with the name "default".
        for kind, list_, delete in (
                ('floating IP', network.ips, network.delete_ip),
                ('security group', network.security_groups,
                 network.delete_security_group)):
            cleanup.delete_all(kind, list_, delete, project_id=each.id,
                               owner=f'project {each.name}')
        cleanup.delete_owner('project', each, before,
                             connection.identity.delete_project)
    return cleanup


def _delete(get: Callable[[str], Any], delete: Callable[[str], object],
            timeout_s: float, identifier: str) -> None:
    """Delete a server or a stack, and wait: it uses others until then."""
    def status() -> str:
        try:
            return str(get(identifier).status)
        except exceptions.NotFoundException:
            return ''

    delete(identifier)
    utils.wait_until(lambda state: not state, status, 'its deletion',
                     timeout_s, POLL_S, error=setup.SetupError)
