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

from lm_tempest_plugin import config
from lm_tempest_plugin.guests.workloads import choice
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base


class CreateTest(base.TestCase):

    def test_every_workload_of_the_options(self):
        for kind in config.WORKLOADS:
            asked = config.workload(kind.name, 24)
            found = choice.create(asked, '192.0.2.1')
            if kind.name == 'idle':
                self.assertIsNone(found)
                continue
            self.assertEqual(
                (kind.name, kind.unit, kind.per_s),
                (found.name, found.unit, found.asked_per_s))
            self.assertEqual(24 if kind.in_memory else 0, found.memory_mib)

    def test_no_other(self):
        self.assertEqual({each.name for each in config.WORKLOADS},
                         {'idle', *choice.MAKERS})

    def test_the_rate(self):
        self.assertEqual(3.0, choice.create(schema.WorkloadChoice(
            name='memory', unit='MiB', per_s=3.0, memory_mib=1),
            '').asked_per_s)
