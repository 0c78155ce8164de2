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

"""What a run has left in the cloud: whatever bears its prefix.

Tempest puts [DEFAULT] resource_name_prefix before the name of all that it
makes, and verify gives each run a prefix of its own. Each test deletes what it
made; what is still there is of one that was killed.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import time
from typing import Any

from openstack import exceptions as sdk_exc

from lm_tempest_plugin.operator import access as accesses
from lm_tempest_plugin.operator import errors

POLL_S = 1.0
TIMEOUT_S = 120.0


def clear(access: accesses.Access, prefix: str,
          timeout_s: float = TIMEOUT_S) -> tuple[list[str], list[str]]:
    """Delete what a run has left over.

    :param access: the way to the cloud
    :param prefix: of the names
    :param timeout_s: how long servers may take to be gone, in seconds
    :returns: what was deleted, and what could not be, in words
    """
    deleted: list[str] = []
    kept: list[str] = []
    for kind, found, delete in _plan(access, prefix, timeout_s):
        for each in found:
            said = '%s %s (%s)' % (kind, each.name, each.id)
            try:
                with access.to('delete %s' % said):
                    _gone(delete, each)
            except errors.OperatorError as exc:
                kept.append('%s: %s' % (said, exc))
            else:
                deleted.append(said)
    return deleted, kept


def _plan(access: accesses.Access, prefix: str, timeout_s: float
          ) -> Iterator[tuple[str, list[Any], Callable[[Any], Any]]]:
    """Yield what there is, in the order in which it can be deleted."""
    compute = access.connection.compute
    network = access.connection.network
    identity = access.connection.identity

    def listed(kind: str, listing: Callable[[], Iterable[Any]]) -> list[Any]:
        with access.to('list %ss' % kind):
            return [each for each in listing()
                    if str(each.name or '').startswith(prefix)]

    def delete_server(server: Any) -> None:
        compute.delete_server(server.id)
        _await_gone(compute, server, timeout_s)

    yield ('server', listed('server', lambda: compute.servers(
        all_projects=True, name=prefix)), delete_server)
    if access.connection.has_service('block-storage'):
        volumes = access.connection.block_storage
        yield ('volume', listed('volume', lambda: volumes.volumes(
            all_projects=True)), lambda each: volumes.delete_volume(each.id))
    projects = listed('project', identity.projects)
    for project in projects:
        yield from _of_project(access, project)
    yield ('security group', listed(
        'security group', network.security_groups),
        lambda each: network.delete_security_group(each.id))
    yield ('user', listed('user', identity.users),
           lambda each: identity.delete_user(each.id))
    yield ('project', projects,
           lambda each: identity.delete_project(each.id))


def _of_project(access: accesses.Access, project: Any
                ) -> Iterator[tuple[str, list[Any], Callable[[Any], Any]]]:
    """Yield what bears no name, or another one, in a project of the run."""
    network = access.connection.network
    with access.to('list what project %s has' % project.name):
        addresses = list(network.ips(project_id=project.id))
        groups = list(network.security_groups(project_id=project.id))
    yield ('floating address', addresses,
           lambda each: network.delete_ip(each.id))
    # With the project goes the last who could use its default group.
    yield ('security group', groups,
           lambda each: network.delete_security_group(each.id))


def _gone(delete: Callable[[Any], Any], each: Any) -> None:
    """Delete something; it is fine if it is gone already."""
    try:
        delete(each)
    except sdk_exc.NotFoundException:
        return


def _await_gone(compute: Any, server: Any, timeout_s: float) -> None:
    """Wait until a server is gone.

    :raises OperatorError: it is still there
    """
    deadline = time.monotonic() + timeout_s
    status = 'unknown'
    while time.monotonic() < deadline:
        try:
            status = compute.get_server(server.id).status
        except sdk_exc.NotFoundException:
            return
        time.sleep(POLL_S)
    raise errors.OperatorError('it is still there after %g s, %s' % (
        timeout_s, status))
