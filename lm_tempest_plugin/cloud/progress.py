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

"""A live migration under way: what it has copied, ending it, forcing it."""

import dataclasses
import json
from typing import Any

from tempest.lib import exceptions as lib_exc


@dataclasses.dataclass(frozen=True)
class Progress:
    """What nova last knew of a copy, all in bytes.

    nova asks libvirt every [libvirt]live_migration_monitor_interval
    seconds, 5 by default.

    :ivar memory_total: memory to copy
    :ivar memory_processed: sent, pages that were sent again included
    :ivar memory_remaining: still to be sent
    :ivar disk_total: local disks to copy
    :ivar disk_processed: of them, sent
    :ivar disk_remaining: of them, still to be sent
    """

    memory_total: int
    memory_processed: int
    memory_remaining: int
    disk_total: int
    disk_processed: int
    disk_remaining: int

    @property
    def known(self) -> bool:
        """Whether nova has asked libvirt yet."""
        return self.memory_total > 0


def show(servers_client: Any, server_id: str) -> Progress | None:
    """Return how far a server's live migration is; None if nova shows none.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    """
    try:
        found = servers_client.list_in_progress_live_migration(
            server_id)['migrations']
    except lib_exc.NotFound:
        # The server is gone.
        return None
    if not found:
        return None
    # A migration that waits has none of them yet.
    return Progress(**{
        name: found[-1]['%s_bytes' % name] or 0
        for name in (field.name for field in dataclasses.fields(Progress))})


def abort(servers_client: Any, server_id: str, number: int) -> None:
    """Ask nova to end a live migration and leave the server where it is.

    :param servers_client: tempest.lib's ServersClient, of an admin; with
        microversion 2.24, or 2.65 for a migration that waits
    :param server_id: the server's UUID
    :param number: of the migration record
    """
    resp, _ = servers_client.delete('servers/%s/migrations/%d' % (
        server_id, number))
    servers_client.expected_success(202, resp.status)


def force_complete(servers_client: Any, server_id: str, number: int) -> None:
    """Ask nova to end the copy soon: it pauses the guest or goes post-copy.

    :param servers_client: tempest.lib's ServersClient, of an admin; with
        microversion 2.22
    :param server_id: the server's UUID
    :param number: of the migration record
    """
    # tempest.lib's method sends the string 'null', and reads a body where
    # there is none.
    resp, _ = servers_client.post(
        'servers/%s/migrations/%d/action' % (server_id, number),
        json.dumps({'force_complete': None}))
    servers_client.expected_success(202, resp.status)
