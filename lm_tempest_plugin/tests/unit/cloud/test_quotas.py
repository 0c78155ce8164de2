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

from unittest import mock

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import quotas
from lm_tempest_plugin.tests.unit import base

SERVER = placement.Resources(2, 512, 1)


class LiftTest(base.TestCase):

    def test_lift(self):
        client = mock.Mock()
        quotas.lift(client, 'project-1')
        client.update_quota_set.assert_called_once_with(
            'project-1', instances=-1, cores=-1, ram=-1)


class RoomTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.limits = {
            'maxTotalInstances': -1, 'totalInstancesUsed': 2,
            'maxTotalCores': -1, 'totalCoresUsed': 4,
            'maxTotalRAMSize': -1, 'totalRAMUsed': 1024}
        self.client = mock.Mock()
        self.client.show_limits.return_value = {
            'limits': {'absolute': self.limits}}

    def test_unlimited(self):
        self.assertIsNone(quotas.room(self.client, SERVER))

    def test_the_smallest_of_three_decides(self):
        for name, limit, expected in (
                ('maxTotalInstances', 10, 8), ('maxTotalCores', 9, 2),
                ('maxTotalRAMSize', 1536, 1), ('maxTotalCores', 3, 0)):
            self.limits[name] = limit
            self.assertEqual(expected, quotas.room(self.client, SERVER))
