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

"""What nova did for one request, step by step: its instance actions."""

import dataclasses
import datetime
from typing import Any

from tempest.lib import exceptions as lib_exc

# The events of a live migration, in the order in which they come; as of
# nova 34 (compute/manager.py). The second one ends when the job is queued.
CHECKS = 'conductor_live_migrate_instance'
JOB = 'compute_live_migration'
PRE = 'compute_pre_live_migration'
POST_AT_DESTINATION = 'compute_post_live_migration_at_destination'
ABORT = 'compute_live_migration_abort'


@dataclasses.dataclass(frozen=True)
class Event:
    """One event of an instance action.

    :ivar name: such as compute_pre_live_migration
    :ivar host: where it happened; empty if nova does not say
    :ivar start: when it began, by that host's clock, to the second; UTC
    :ivar finish: when it ended; None if nova does not know it to have ended
    :ivar result: Success or Error; empty as long as it has not ended
    :ivar details: why it failed; empty if nova does not say
    """

    name: str
    host: str
    start: datetime.datetime
    finish: datetime.datetime | None
    result: str
    details: str

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.result == 'Error'

    @property
    def open(self) -> bool:
        """Whether it began and is not known to have ended."""
        return self.finish is None

    def __str__(self) -> str:
        words = '%s on host %s: %s' % (
            self.name, self.host or 'unknown', self.result or 'not ended')
        return words + (' (%s)' % self.details if self.details else '')


@dataclasses.dataclass(frozen=True)
class Action:
    """One request that nova took, with what came of it.

    :ivar name: live-migration
    :ivar start: when it began, to the second; UTC
    :ivar message: what nova says of it; empty unless it failed
    :ivar events: in the order in which they began
    """

    name: str
    start: datetime.datetime
    message: str
    events: tuple[Event, ...]

    def event(self, name: str) -> Event | None:
        """Return the first event of a name; None if there is none."""
        return next((event for event in self.events if event.name == name),
                    None)

    def describe(self) -> str:
        """Return all events, in words."""
        return '; '.join(map(str, self.events)) or 'no event'


def show(servers_client: Any, server_id: str,
         request_id: str) -> Action | None:
    """Return the action of one request; None if nova knows of none.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param request_id: of the request that caused the action: req-...
    """
    try:
        body = servers_client.show_instance_action(
            server_id, request_id)['instanceAction']
    except lib_exc.NotFound:
        return None
    # nova lists the newest first, also of those that began within a second.
    events = sorted(map(_event, reversed(body.get('events', []))),
                    key=lambda event: event.start)
    return Action(body['action'], _time(body['start_time']),
                  body.get('message') or '', tuple(events))


def _event(body: dict[str, Any]) -> Event:
    finish = body.get('finish_time')
    return Event(
        name=body['event'], host=body.get('host') or '',
        start=_time(body['start_time']),
        finish=_time(finish) if finish else None,
        result=body.get('result') or '', details=body.get('details') or '')


def _time(text: str) -> datetime.datetime:
    """Return a time of the API, which is UTC without saying so."""
    return datetime.datetime.fromisoformat(text).replace(
        tzinfo=datetime.UTC)
