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

    What cannot be listed or deleted keeps nothing else from being deleted.

    :param access: the way to the cloud
    :param prefix: of the names
    :param timeout_s: how long servers may take to be gone, in seconds
    :returns: what was deleted, and what could not be, in words
    """
    clearing = _Clearing(access, prefix, timeout_s)
    clearing.run()
    return clearing.deleted, clearing.kept


class _Clearing:
    """Deletes what a run has left over, and notes what becomes of it."""

    def __init__(self, access: accesses.Access, prefix: str,
                 timeout_s: float) -> None:
        self._access = access
        self._connection = access.connection
        self._prefix = prefix
        self._timeout_s = timeout_s
        self.deleted: list[str] = []
        self.kept: list[str] = []

    def run(self) -> None:
        """Delete it, in the order in which it can be deleted."""
        connection = self._connection
        for each in self._named('server', lambda: connection.compute.servers(
                all_projects=True, name=self._prefix)):
            self._delete('server', each, self._delete_server)
        for each in self._named('volume', self._volumes):
            self._delete('volume', each, lambda volume: (
                connection.block_storage.delete_volume(volume.id)))
        for each in self._named('security group', lambda: (
                connection.network.security_groups())):
            self._delete_group(each)
        for each in self._named('user', lambda: connection.identity.users()):
            self._delete_user(each)
        for each in self._named('project', lambda: (
                connection.identity.projects())):
            self._delete_project(each)

    def _listed(self, kind: str, of: str,
                listing: Callable[[], Iterable[Any]]) -> list[Any]:
        """Return what there is of a kind; nothing if that cannot be told."""
        try:
            with self._access.to('list %ss%s' % (kind, of)):
                return list(listing())
        except errors.OperatorError as exc:
            self.kept.append('%ss%s, if there are any: %s' % (kind, of, exc))
            return []

    def _named(self, kind: str,
               listing: Callable[[], Iterable[Any]]) -> list[Any]:
        """Return what bears the prefix."""
        return [each for each in self._listed(kind, '', listing)
                if str(each.name or '').startswith(self._prefix)]

    def _volumes(self) -> Iterable[Any]:
        if not self._connection.has_service('block-storage'):
            return ()
        found: Iterable[Any] = self._connection.block_storage.volumes(
            all_projects=True)
        return found

    def _delete(self, kind: str, each: Any,
                delete: Callable[[Any], Any]) -> None:
        said = '%s %s (%s)' % (kind, each.name, each.id)
        try:
            with self._access.to('delete %s' % said):
                _gone(delete, each)
        except errors.OperatorError as exc:
            self.kept.append('%s: %s' % (said, exc))
        else:
            self.deleted.append(said)

    def _delete_server(self, server: Any) -> None:
        self._connection.compute.delete_server(server.id)
        _await_gone(self._connection.compute, server, self._timeout_s)

    def _delete_group(self, group: Any) -> None:
        self._delete('security group', group, lambda each: (
            self._connection.network.delete_security_group(each.id)))

    def _delete_user(self, user: Any) -> None:
        """Delete a user's key pairs, and then the user.

        nova knows key pairs by their owner alone, and keeps them when the
        owner goes.
        """
        compute, before = self._connection.compute, len(self.kept)
        for each in self._listed('key pair', ' of user %s' % user.name, (
                lambda: compute.keypairs(user_id=user.id))):
            self._delete('key pair', each, lambda pair: (
                compute.delete_keypair(pair.name, user_id=user.id)))
        self._delete_owner('user', user, before, lambda each: (
            self._connection.identity.delete_user(each.id)))

    def _delete_project(self, project: Any) -> None:
        """Delete what bears another name in a project, and then that."""
        network, before = self._connection.network, len(self.kept)
        of = ' of project %s' % project.name
        for each in self._listed('floating IP', of, lambda: network.ips(
                project_id=project.id)):
            self._delete('floating IP', each, lambda address: (
                network.delete_ip(address.id)))
        # With the project goes the last who could use its default group.
        for each in self._listed('security group', of, lambda: (
                network.security_groups(project_id=project.id))):
            self._delete_group(each)
        self._delete_owner('project', project, before, lambda each: (
            self._connection.identity.delete_project(each.id)))

    def _delete_owner(self, kind: str, owner: Any, before: int,
                      delete: Callable[[Any], Any]) -> None:
        """Delete an owner, unless something of it had to be kept.

        :param before: how much had been kept before
        """
        if len(self.kept) == before:
            self._delete(kind, owner, delete)
        else:
            self.kept.append('%s %s (%s): it is the owner of what was not '
                             'deleted' % (kind, owner.name, owner.id))


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
