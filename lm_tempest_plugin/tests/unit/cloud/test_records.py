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

from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class RecordsTest(base.TestCase):

    def test_the_oldest_comes_first(self):
        client = fakes.migrations([
            fakes.record('running', 9), fakes.record('completed', 7)])
        found = records.list_live_migrations(client, 'id')
        self.assertEqual([7, 9], [record.number for record in found])
        self.assertEqual([True, False],
                         [record.terminal for record in found])
        client.list_migrations.assert_called_once_with(
            instance_uuid='id', migration_type='live-migration')

    def test_what_nova_has_not_filled_in_yet(self):
        body = fakes.record('accepted', destination=None)
        body['updated_at'] = None
        found, = records.list_live_migrations(
            fakes.migrations([body]), 'id')
        self.assertEqual(('', ''), (found.destination, found.updated_at))
