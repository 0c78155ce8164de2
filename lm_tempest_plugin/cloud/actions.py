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

"""What went wrong on the way, from a server's instance actions."""

import dataclasses
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions as lib_exc

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class FailedEvent:
    """One event of an instance action that ended with an error.

    :ivar name: such as compute_pre_live_migration
    :ivar host: where it happened; empty if nova does not say
    :ivar details: why; empty if nova does not say
    """

    name: str
    host: str
    details: str

    def __str__(self) -> str:
        return '%s on host %s: %s' % (
            self.name, self.host or 'unknown', self.details or 'no details')


def failed_events(servers_client: Any, server_id: str,
                  request_id: str) -> list[FailedEvent]:
    """Return the events of one request that ended with an error.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param request_id: of the request that caused the action: req-...
    """
    action = servers_client.show_instance_action(
        server_id, request_id)['instanceAction']
    return [FailedEvent(event['event'], event.get('host') or '',
                        event.get('details') or '')
            for event in action.get('events', [])
            if event['result'] == 'Error']


def describe_failures(servers_client: Any, server_id: str,
                      request_id: str) -> str:
    """Return the failed events of a request, in words, for a message.

    This is evidence for a failure that has been found already, so that not
    being able to read it is said in its place.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param server_id: the server's UUID
    :param request_id: of the request that caused the action: req-...
    """
    try:
        events = failed_events(servers_client, server_id, request_id)
    except lib_exc.RestClientException as exc:
        LOG.warning('The instance action of request %s on server %s cannot '
                    'be read: %s', request_id, server_id, exc)
        return 'not readable: %s' % exc
    return '; '.join(str(event) for event in events) or 'none'
