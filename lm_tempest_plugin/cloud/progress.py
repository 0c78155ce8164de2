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
"""A live migration that is under way: progress, abort, force-complete."""

import json
from typing import Any

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.results import schema

_FIELDS = ('memory_total_bytes', 'memory_processed_bytes',
           'memory_remaining_bytes', 'disk_total_bytes',
           'disk_processed_bytes', 'disk_remaining_bytes')


def show(servers_client: Any, server_id: str,
         at_s: float = 0.0) -> schema.Progress | None:
    """Return the progress of a server's live migration.

    nova asks libvirt for it every [libvirt]live_migration_monitor_interval
    seconds, 5 by default. All values are 0 until it has done so once.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param at_s: seconds from the migration's request until now
    :returns: None if nova shows no live migration of the server
    """
    try:
        found = servers_client.list_in_progress_live_migration(
            server_id)['migrations']
    except lib_exc.NotFound:
        # The server is gone.
        return None
    if not found:
        return None
    # The values of a migration that is queued are null.
    return schema.Progress(
        at_s=at_s, **{name: found[-1][name] or 0 for name in _FIELDS})


def is_known(progress: schema.Progress) -> bool:
    """Return whether nova has asked libvirt for the progress yet."""
    return progress.memory_total_bytes > 0


def abort(servers_client: Any, server_id: str, number: int) -> None:
    """Request that nova aborts a live migration.

    :param servers_client: tempest.lib's ServersClient, of an admin; with
        microversion 2.24, or 2.65 for a migration that is queued
    :param server_id: the server's UUID
    :param number: id of the migration record
    """
    resp, _ = servers_client.delete(
        f'servers/{server_id}/migrations/{number}')
    servers_client.expected_success(202, resp.status)


def force_complete(servers_client: Any, server_id: str, number: int) -> None:
    """Request that nova pauses the guest or switches to post-copy.

    :param servers_client: tempest.lib's ServersClient, of an admin; with
        microversion 2.22
    :param server_id: the server's UUID
    :param number: id of the migration record
    """
    # tempest.lib's own method sends the string 'null' and parses a body that
    # the answer does not have.
    resp, _ = servers_client.post(
        f'servers/{server_id}/migrations/{number}/action',
        json.dumps({'force_complete': None}))
    servers_client.expected_success(202, resp.status)
