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

from lm_tempest_plugin.migration.checks import guest
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration.checks import base


class BootIdTest(base.CheckTestCase):

    check = staticmethod(guest.boot_id)

    def observation(self, inspected):
        return builders.observation(builders.judged(
            builders.new_evidence(guest=inspected)))

    def test_the_boot_id_from_before(self):
        self.assert_passes(self.observation(builders.ANSWERS))

    def test_a_silent_guest_is_no_matter_of_its_boot_id(self):
        self.assert_passes(self.observation(builders.SILENT))

    def test_a_boot_id_that_cannot_be_read(self):
        self.assert_problem(
            self.observation(schema.GuestState(
                answers=True, boot_id_before='boot-1',
                boot_id_error='no SSH')),
            'the boot id cannot be read: no SSH')

    def test_a_guest_that_has_booted_again(self):
        self.assert_problem(
            self.observation(builders.REBOOTED),
            'the guest has booted again: boot id boot-2, before boot-1')

    def test_no_boot_id_was_read_before(self):
        self.assert_skipped(
            builders.observation(plan=builders.new_plan(
                plan.PlannedServer(fakes.SERVER_ID))),
            'no boot id was read before')
