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

from lm_tempest_plugin.migration import deadline
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders


class AllowanceTest(base.TestCase):

    def test_by_size(self):
        allowance = deadline.Allowance(300, 60, 30)
        server = builders.server(ram_gib=2.0, disk_gib=20.0)
        self.assertEqual(420, allowance.timeout_s(server, False))
        self.assertEqual(1020, allowance.timeout_s(server, True))
