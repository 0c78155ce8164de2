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

"""What can be known to be in the way before anything is moved."""

from collections.abc import Iterable
from collections.abc import Sequence
import functools
import operator

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import clients as cloud_clients
from lm_tempest_plugin.cloud import hosts
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import servers

# What live migration takes: nova refuses others with HTTP 409.
MOVABLE = ('ACTIVE', 'PAUSED')


class CannotMove(lib_exc.TempestException):
    """A live migration that cannot go well; nothing was begun."""

    message = 'Cannot be live-migrated'


def check_source(known: Iterable[hosts.Host], source: str) -> None:
    """Refuse to move servers off a host that does not exist, or is down.

    One that is disabled is fine: that is how one begins to empty it.

    :param known: the cloud's compute hosts
    :param source: name of the host
    :raises CannotMove: names the host and says why
    """
    host = _find(known, 'source', source)
    if host.state != 'up':
        raise CannotMove('the source, host %s, is %s' % (
            host.name, host.state))


def check_servers(moved: Iterable[servers.Server]) -> None:
    """Refuse servers in a state in which nova does not move them, and none.

    :param moved: the servers
    :raises CannotMove: names server and state
    """
    moved = list(moved)
    if not moved:
        raise CannotMove('there is no server to move')
    for server in moved:
        if server.status not in MOVABLE or server.task_state is not None:
            raise CannotMove(
                'server %s (%s) is not in a state in which it can be '
                'live-migrated: %s; it has to be %s, without a task' % (
                    server.server_id, server.name, server.state,
                    ' or '.join(MOVABLE)))


def check_destination(clients: cloud_clients.Clients,
                      known: Iterable[hosts.Host], destination: str,
                      moved: Sequence[servers.Server]) -> None:
    """Refuse a destination that cannot take the servers.

    :param clients: of an administrator
    :param known: the cloud's compute hosts
    :param destination: name of the host
    :param moved: the servers that are to go there
    :raises CannotMove: names the host and says why
    """
    host = _find(known, 'destination', destination)
    if not host.usable:
        raise CannotMove('the destination, host %s, is %s and %s' % (
            host.name, host.status, host.state))
    for server in moved:
        if server.host == destination:
            raise CannotMove(
                'server %s (%s) is on host %s already, the destination' % (
                    server.server_id, server.name, destination))
    _check_room(clients, destination, moved)


def _find(known: Iterable[hosts.Host], role: str, name: str) -> hosts.Host:
    """Return the host of a name.

    :raises CannotMove: there is none
    """
    known = list(known)
    for host in known:
        if host.name == name:
            return host
    raise CannotMove(
        'the %s, host %s, has no nova-compute service; those that have: %s' %
        (role, name, hosts.describe(known)))


def _check_room(clients: cloud_clients.Clients, destination: str,
                moved: Sequence[servers.Server]) -> None:
    needed = functools.reduce(
        operator.add, map(placement.Resources.of, moved), placement.NOTHING)
    free = room(clients, destination)
    lacking = needed.beyond(free)
    if lacking:
        raise CannotMove(
            'the destination, host %s, has no room for %d servers: %s' % (
                destination, len(moved), '; '.join(lacking)))


def room(clients: cloud_clients.Clients,
         host: str) -> placement.Resources:
    """Return what a host has left, by placement.

    :param clients: of an administrator
    :param host: name of the host
    :raises CannotMove: it has no hypervisor
    """
    uuid = hosts.provider_uuids(clients.hypervisors).get(host)
    if uuid is None:
        raise CannotMove('host %s has no hypervisor' % host)
    return placement.free(clients.providers, uuid)
