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

"""Operations on a server after its live migration."""

from collections.abc import Callable
from collections.abc import Iterable
from typing import TypeVar

from tempest.config import CONF
from tempest.lib import decorators

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import ports
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.guests import inspection
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.tests.live_migration_ha import base
from lm_tempest_plugin import utils

State = TypeVar('State')


# Serial: other tests would disturb the measurement of the migration.
@decorators.serial
class OperationsTest(base.LiveMigrationHaTest):
    """A server that its users work with after its live migration.

    A guest may run on although the destination knows too little of its
    server. That comes out at the next operation, days later.
    """

    @decorators.idempotent_id('7a9c21f4-6d0b-4e57-8b37-1f0c5ad2e946')
    @decorators.attr(type=['slow', 'multinode'])
    def test_operations_on_destination(self) -> None:
        """Live-migrate a server, use it there, and delete it.

        Asserted, beside everything that is asserted for the migration:

        * a security group that is added opens a port of the guest (unless the
          port was open before);
        * a port that is attached becomes ACTIVE on the destination, and is
          deleted when it is detached (unless [compute-feature-enabled]
          interface_attach is False);
        * after a hard reboot, the guest answers with another boot id, and
          reads from its disk the data that it wrote before the migration;
        * its console log can be read, and is not empty (unless
          [compute-feature-enabled] console_output is False);
        * after the deletion of the server, no allocation and no port is left,
          and, with access to the hosts, no domain, instance directory or
          interface on either host.
        """
        guest, = self.build()
        destination = self.choose_destination(guest.host)
        with self.observe(guest) as fleet:
            self.migrate(fleet, destination, measured=False)
            self._open_port(guest)
            if CONF.compute_feature_enabled.interface_attach:
                self._attach_interface(guest, destination)
        boot_id = fleet.inspections[guest.server_id].boot_id
        self.servers_client.reboot_server(guest.server_id, type='HARD')
        self.builder.wait_for(guest, 'ACTIVE')
        self.assertNotEqual(
            boot_id, self.builder.inspect(guest, inspection.PARTS).boot_id,
            'the hard reboot has not booted the guest again')
        # No other workload: connections have ended with the guest.
        self.assertEqual('', self.builder.verify(guest).get('disk', ''))
        if CONF.compute_feature_enabled.console_output:
            # The destination's log has begun with the reboot.
            self.assertTrue(self.servers_client.get_console_output(
                guest.server_id)['output'], 'the console log is empty')
        self.builder.delete(guest)
        # nova deletes the allocation after the server.
        self._wait(
            lambda left: not left,
            lambda: self._leftovers(
                guest.server_id, (guest.host, destination)),
            f'the traces of server {guest.server_id}, which is deleted, to go')

    def _open_port(self, guest: builder.Guest) -> None:
        """Add a security group that permits TCP to a port."""
        def state() -> str:
            found = reachability.look(
                {guest.server_id: [guest.address]}, {})[guest.server_id]
            return found.closed_port.get(guest.address, '')

        if state() != reachability.SILENT:
            return
        group = self.create_empty_security_group(
            self.owner.security_groups_client, namestart='live-migration')
        self.create_security_group_rule(
            secgroup=group, direction='ingress', protocol='tcp',
            port_range_min=reachability.CLOSED_PORT,
            port_range_max=reachability.CLOSED_PORT,
            ethertype=f'IPv{CONF.validation.ip_version_for_ssh}',
            sec_group_rules_client=self.owner.security_group_rules_client,
            security_groups_client=self.owner.security_groups_client)
        self.servers_client.add_security_group(
            guest.server_id, name=group['id'])
        self._wait(
            lambda found: found != reachability.SILENT, state,
            f'TCP port {reachability.CLOSED_PORT} of {guest.address}, which a '
            'security group permits since the live migration, to answer')

    def _attach_interface(self, guest: builder.Guest,
                          destination: str) -> None:
        """Attach a port on the guest's network, and detach it again."""
        client = self.owner.interfaces_client
        network = client.list_interfaces(
            guest.server_id)['interfaceAttachments'][0]['net_id']
        port_id = client.create_interface(
            guest.server_id, net_id=network)['interfaceAttachment']['port_id']

        def find() -> list[ports.Port]:
            return [each for each in ports.list_all(
                self.clients.ports, guest.server_id)
                if each.port_id == port_id]

        self._wait(
            lambda found: [(each.status, each.host) for each in found] == [
                ('ACTIVE', destination)], find,
            f'port {port_id} to be ACTIVE on host {destination}')
        client.delete_interface(guest.server_id, port_id)
        self._wait(lambda found: not found, find,
                   f'port {port_id} to be detached')

    def _leftovers(self, server_id: str, hosts: Iterable[str]) -> list[str]:
        """Return the traces of a server in the cloud and on hosts."""
        found = [
            *(f'allocation on provider {each}' for each in sorted(
                placement.allocations(self.clients.placement, server_id))),
            *map(str, ports.list_all(self.clients.ports, server_id))]
        for host in hosts:
            if self.hosts is None or not self.hosts.has(host):
                continue
            traces = self.hosts.traces(host, [server_id])[server_id]
            left = [*(traces.interfaces or ())]
            if traces.state:
                left.append(f'domain ({traces.state})')
            if traces.directory:
                left.append('instance directory')
            found += [f'{each} on host {host}' for each in left]
        return found

    def _wait(self, condition: Callable[[State], bool],
              read: Callable[[], State], awaited: str) -> None:
        """Fail unless a condition holds in time."""
        utils.wait_until(
            condition, read, awaited, CONF.compute.build_timeout,
            CONF.compute.build_interval, error=self.failureException)
