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

"""Port bindings: on which hosts a server's ports are plugged."""

import dataclasses
from typing import Any

ACTIVE = 'ACTIVE'


@dataclasses.dataclass(frozen=True)
class Binding:
    """One binding of a port.

    :ivar port_id: the port's UUID
    :ivar host: name of the host
    :ivar status: ACTIVE or INACTIVE
    """

    port_id: str
    host: str
    status: str

    @property
    def active(self) -> bool:
        """Whether the port's traffic goes to this host."""
        return self.status == ACTIVE

    def __str__(self) -> str:
        return 'port %s bound to %s (%s)' % (
            self.port_id, self.host, self.status)


def list_bindings(ports_client: Any, server_id: str) -> list[Binding]:
    """Return all bindings of a server's ports.

    :param ports_client: tempest.lib's PortsClient, of an admin
    :param server_id: the server's UUID
    """
    return [
        Binding(port['id'], binding['host'], binding['status'])
        for port in ports_client.list_ports(device_id=server_id)['ports']
        for binding in _bindings(ports_client, port['id'])]


def _bindings(ports_client: Any, port_id: str) -> list[dict[str, Any]]:
    # tempest.lib has no method for the extension binding-extended.
    found = ports_client.list_resources('/ports/%s/bindings' % port_id)
    return list(found['bindings'])
