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

from lm_tempest_plugin.tests.live_migration_ha import test_block_migration
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes


class BlockMigrationTest(fakes.TempestTestCase):

    def setUp(self):
        super().setUp()
        self.test = self.new(test_block_migration.BlockMigrationTest,
                             'test_block_live_migration_round_trip')

    def test_there_and_back(self):
        self.passes(self.test)
        self.assertEqual(['beta', 'alpha'], [
            plan.destination for plan in self.plans])
        for plan in self.plans:
            self.assertIs(True, plan.options.block_migration)
            self.assertEqual(['boot-1'], [
                each.inspection.boot_id for each in plan.servers])
        # The second guest stays where it is.
        self.builder.write_disks.assert_called_once_with(self.guests[0])

    def test_the_last_message_has_to_come_back(self):
        self.streams['192.0.2.0'] = fakes.stream(last_echoed=98)
        self.fails(self.test, 'did not come back')

    def test_the_connection_has_to_live(self):
        self.streams['192.0.2.0'] = fakes.stream(breaks=('reset',))
        self.fails(self.test, 'the TCP connection broke')

    def test_a_problem_on_the_way_there_ends_it(self):
        self.problems = [fakes.problem()]
        self.fails(self.test, 'the verdict is stuck')
        self.assertEqual(1, len(self.plans))
