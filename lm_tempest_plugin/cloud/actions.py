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
"""nova's instance actions: the steps of one request."""

import dataclasses
import datetime
from typing import Any

from tempest.lib import exceptions

from lm_tempest_plugin.results import schema

# Events of a live migration in order, as of nova 34 (compute/manager.py). JOB
# ends when the migration is queued on the source host.
CHECKS = 'conductor_live_migrate_instance'
DESTINATION_CHECK = 'compute_check_can_live_migrate_destination'
SOURCE_CHECK = 'compute_check_can_live_migrate_source'
CANDIDATE_CHECKS = (DESTINATION_CHECK, SOURCE_CHECK)
JOB = 'compute_live_migration'
PRE = 'compute_pre_live_migration'
POST_AT_DESTINATION = 'compute_post_live_migration_at_destination'
ABORT = 'compute_live_migration_abort'
# Names of actions, as of nova 34 (compute/instance_actions.py).
LIVE_MIGRATION = 'live-migration'
CANCEL = 'live_migration_cancel'
FORCE_COMPLETE = 'live_migration_force_complete'
RESET_STATE = 'resetState'
DELETE = 'delete'


@dataclasses.dataclass(frozen=True)
class ActionEvent:
    """One event of an instance action.

    :ivar name: such as compute_pre_live_migration
    :ivar host: name of its host; empty if nova does not say
    :ivar start: when it began, by that host's clock, to the second; UTC
    :ivar finish: when it ended; None if nova has recorded no end
    :ivar result: Success or Error; empty while it has not ended
    :ivar details: cause of an error; empty if nova does not say
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
        """Whether nova has recorded no end."""
        return self.finish is None

    @property
    def succeeded(self) -> bool:
        """Whether it ended without an error."""
        return not self.open and self.result == 'Success'

    def __str__(self) -> str:
        details = f' ({self.details})' if self.details else ''
        return (f'{self.name} on host {self.host or "unknown"}: '
                f'{self.result or "not ended"}{details}')


@dataclasses.dataclass(frozen=True)
class InstanceAction:
    """One request that nova accepted, with its events.

    :ivar name: live-migration
    :ivar start: when it began, to the second; UTC
    :ivar message: nova's message; empty unless it failed
    :ivar events: in the order in which they began
    """

    name: str
    start: datetime.datetime
    message: str
    events: tuple[ActionEvent, ...]

    def event(self, name: str) -> ActionEvent | None:
        """Return the first event of a name; None if there is none."""
        return next((event for event in self.events if event.name == name),
                    None)

    def describe(self) -> str:
        """Return a text that lists all events."""
        return '; '.join(map(str, self.events)) or 'no event'


def show(servers_client: Any, server_id: str,
         request_id: str) -> InstanceAction | None:
    """Return the action of one request; None if nova has none.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param request_id: id of the request: req-...
    """
    try:
        body = servers_client.show_instance_action(
            server_id, request_id)['instanceAction']
    except exceptions.NotFound:
        return None
    # nova lists the newest first. sorted() is stable, so reversing them first
    # keeps the order of events that began within the same second.
    events = sorted(
        (ActionEvent(
            name=each['event'], host=each.get('host') or '',
            start=_time(each['start_time']),
            finish=_time(each['finish_time']) if each.get('finish_time')
            else None, result=each.get('result') or '',
            details=each.get('details') or '')
         for each in reversed(body.get('events', []))),
        key=lambda event: event.start)
    return InstanceAction(body['action'], _time(body['start_time']),
                          body.get('message') or '', tuple(events))


def find_request_id(servers_client: Any, server_id: str,
                    created_at: str) -> str:
    """Return the id of the request that a live migration began with.

    nova's migration records do not tell it. So take the action that began
    nearest to the time at which the record was created: the conductor creates
    it as soon as it has the request.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param created_at: of the record; empty for the newest action
    :returns: empty if nova lists no such action
    """
    try:
        found = servers_client.list_instance_actions(
            server_id)['instanceActions']
    except exceptions.NotFound:
        return ''
    # nova lists the newest first.
    begun = [each for each in found if each['action'] == LIVE_MIGRATION]
    if created_at:
        begun.sort(key=lambda each: abs(
            _time(each['start_time']) - _time(created_at)))
    return str(begun[0]['request_id']) if begun else ''


def list_later(servers_client: Any, server_id: str,
               request_id: str) -> tuple[schema.OtherAction, ...]:
    """Return the actions of a server after one of its requests, in order.

    nova tells them of a server that was deleted as well. No clock is
    compared: nova lists the newest first, and by number within a second.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param request_id: id of the request: req-...
    :returns: none if nova does not list this request
    """
    try:
        found = servers_client.list_instance_actions(
            server_id)['instanceActions']
    except exceptions.NotFound:
        return ()
    number = next((number for number, each in enumerate(found)
                   if each['request_id'] == request_id), 0)
    return tuple(
        schema.OtherAction(
            name=each['action'], user=each.get('user_id') or 'unknown',
            started_at=each['start_time'])
        for each in reversed(found[:number]))


def _time(text: str) -> datetime.datetime:
    # The API's times are UTC but carry no zone.
    return datetime.datetime.fromisoformat(text).replace(
        tzinfo=datetime.UTC)
