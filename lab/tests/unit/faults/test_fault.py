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

import re

from lab.faults import fault
from lab.tests.unit import base
from lm_tempest_plugin.migration import checks  # noqa: F401 (registers)
from lm_tempest_plugin.migration.checks import registry

#: Checks of the workloads, which are not in the list of checks.
WORKLOADS = {'disk', 'memory', 'volume', 'outbound', 'workloads'}


class TestDiscover(base.TestCase):

    def setUp(self):
        super().setUp()
        self.faults = fault.discover()

    def test_every_module(self):
        names = [each.name for each in self.faults]
        self.assertIn('network-20s', names)
        self.assertEqual(sorted(set(names)), sorted(names))

    def test_expectations_can_be_met(self):
        known = {*registry.CHECKS, *WORKLOADS}
        for each in self.faults:
            re.compile(each.cause)
            self.assertTrue(each.expected, each.name)
            self.assertEqual(set(), {
                *each.checks, *each.consequences} - known, each.name)
