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

"""Ports of servers, as an administrator sees them."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class PortBinding:
    """One binding of a server's port to a host.

    :ivar port_id: the port's UUID
    :ivar host: name of the host; empty for the binding of an unbound port
    :ivar status: ACTIVE or INACTIVE
    """

    port_id: str
    host: str
    status: str

    @property
    def active(self) -> bool:
        """Whether the port's traffic goes to this host."""
        return self.status == 'ACTIVE'

    def __str__(self) -> str:
        return (f'port {self.port_id} bound to {self.host or "no host"} '
                f'({self.status})')


@dataclasses.dataclass(frozen=True)
class Port:
    """A port of a server, or a subport of its trunk.

    :ivar port_id: UUID
    :ivar status: ACTIVE, DOWN, BUILD or ERROR
    :ivar enabled: whether its administrative state is up
    :ivar host: name of the host that it is bound to; empty if it is not
        bound, such as a subport with ML2/OVN
    :ivar parent_id: UUID of the trunk's parent port; empty for a port that is
        no subport
    """

    port_id: str
    status: str
    enabled: bool
    host: str
    parent_id: str = ''

    def __str__(self) -> str:
        if self.parent_id:
            return (f'subport {self.port_id} of the trunk of port '
                    f'{self.parent_id}')
        return f'port {self.port_id}'


def list_all(ports_client: Any, server_id: str) -> list[Port]:
    """Return the ports of a server, and the subports of their trunks.

    Without neutron's extension trunk-details, there are no subports.

    :param ports_client: tempest.lib's PortsClient, of an admin
    :param server_id: the server's UUID
    """
    own = ports_client.list_ports(device_id=server_id)['ports']
    # A subport names the server nowhere, so that its parent is asked.
    parents = {subport['port_id']: port['id'] for port in own
               for subport in (port.get('trunk_details') or {}).get(
                   'sub_ports', ())}
    below = ports_client.list_ports(
        id=sorted(parents))['ports'] if parents else []
    return [Port(port['id'], port['status'], port['admin_state_up'],
                 port.get('binding:host_id') or '',
                 parents.get(port['id'], ''))
            for port in (*own, *below)]


def list_bindings(ports_client: Any, server_id: str) -> list[PortBinding]:
    """Return all bindings of a server's ports.

    :param ports_client: tempest.lib's PortsClient, of an admin
    :param server_id: the server's UUID
    """
    # tempest.lib has no method for the extension binding-extended.
    return [
        PortBinding(port['id'], binding['host'], binding['status'])
        for port in ports_client.list_ports(device_id=server_id)['ports']
        for binding in ports_client.list_resources(
            f'/ports/{port["id"]}/bindings')['bindings']]
