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

"""nova's migration records, as os-migrations shows them."""

import dataclasses
from typing import Any

# None of these is left by nova, but for an error that becomes failed when
# the rollback is done.
TERMINAL = frozenset(['completed', 'failed', 'error', 'cancelled'])


@dataclasses.dataclass(frozen=True)
class Record:
    """One migration record.

    :ivar number: its id: later records have higher ones
    :ivar uuid: the consumer of its allocation in placement
    :ivar status: accepted, queued, preparing, running and so on
    :ivar source: name of the host that the server leaves
    :ivar destination: name of the host that it goes to; empty as long as
        the scheduler has not chosen one
    :ivar updated_at: when nova last wrote it; empty if it never did
    """

    number: int
    uuid: str
    status: str
    source: str
    destination: str
    updated_at: str

    @property
    def terminal(self) -> bool:
        """Whether nova is done with it."""
        return self.status in TERMINAL


def list_live_migrations(migrations_client: Any,
                         server_id: str) -> list[Record]:
    """Return a server's live migration records, the oldest first.

    :param migrations_client: tempest.lib's MigrationsClient, of an admin
    :param server_id: the server's UUID
    """
    found = migrations_client.list_migrations(
        instance_uuid=server_id, migration_type='live-migration')
    records = [_record(body) for body in found['migrations']]
    return sorted(records, key=lambda record: record.number)


def _record(body: dict[str, Any]) -> Record:
    return Record(
        number=body['id'], uuid=body['uuid'], status=body['status'],
        source=body['source_compute'] or '',
        destination=body['dest_compute'] or '',
        updated_at=body['updated_at'] or '')
