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

"""Stacks of Heat whose servers are live-migrated."""

from tempest.config import CONF
from tempest.lib import decorators

from lm_tempest_plugin.cloud import ports
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.cloud import stacks
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.tests.live_migration_ha import base

FEWEST = 2


# Serial: other tests would disturb its measurement.
@decorators.serial
class StackTest(base.LiveMigrationHaTest):
    """A drain of the servers of a stack, whose owner must not notice."""

    placed = True

    @classmethod
    def choose_owner(cls) -> object:
        """Return the client manager of the project that owns stacks."""
        return cls.account_manager()

    @decorators.idempotent_id('d2b1f0c7-9e53-4a86-b1d4-7c60e58fa321')
    @decorators.attr(type=['slow', 'multinode'])
    def test_drain_stack(self) -> None:
        """Drain the servers of a stack, then check, update and delete it.

        The stack is the one that option stack_id names, which is neither
        deleted nor left on the other host, or else a new one. Skipped if the
        cloud has no orchestration service. Asserted for each server: the same
        as in test_block_live_migration_round_trip; moreover, with all servers
        on the other host:

        * a check of the stack by Heat is complete;
        * an update with the same template and parameters changes no
          resource: each has the same id, and for Heat the check is still the
          last action with it;
        * the servers are still on the other host;
        * the deletion of a new stack leaves no resource of it, and neither
          servers nor their ports.
        """
        try:
            stacked = self.build_stacks()
        except stacks.NoHeat as exc:
            raise self.skipException(str(exc)) from exc
        client, options = stacked.client, CONF.live_migration_ha
        found, guests = stacked.adopt_stack()
        if found is None:
            source, destination = self.choose_hosts()
            number = stacked.room(
                options.drain_servers, FEWEST, source, destination)
            stack, guests = stacked.deploy(number, source)
        else:
            stack, source = found, guests[0].host
            destination = self.choose_destination(source)
        timeout_s = CONF.compute.build_timeout * len(guests)
        with self.observe(*guests) as fleet:
            self.migrate(fleet, destination,
                         strategy=plan.window(options.window_size))
            client.check(stack, timeout_s)
            before = client.resources(stack)
            client.update(stack, timeout_s)
            self.assertEqual(before, client.resources(stack))
            self.assertEqual({destination}, {servers.show(
                self.clients.servers, each.server_id).host
                for each in guests})
            if found is not None:
                self.migrate(fleet, source,
                             strategy=plan.window(options.window_size))
        if found is None:
            self._delete(client, stack, before)

    def _delete(self, client: stacks.StacksClient, stack: stacks.Stack,
                resources: list[stacks.StackResource]) -> None:
        client.delete(stack.stack_id, CONF.compute.build_timeout)
        self.assertIsNone(client.find(stack.stack_id))
        for each in resources:
            if each.kind == stacks.SERVER:
                self.assertIsNone(servers.find(
                    self.clients.servers, each.physical_id))
                self.assertEqual([], ports.list_all(
                    self.clients.ports, each.physical_id))
            elif each.kind == 'OS::Neutron::SecurityGroup':
                self.assertEqual([], self.owner.security_groups_client
                                 .list_security_groups(id=each.physical_id)
                                 ['security_groups'])
