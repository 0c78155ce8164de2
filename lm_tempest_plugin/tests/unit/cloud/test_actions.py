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

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class FailedEventsTest(base.TestCase):

    def describe(self, *events):
        client = fakes.servers()
        client.show_instance_action.return_value = {
            'instanceAction': {'events': list(events)}}
        return actions.describe_failures(client, 'id', 'req-1')

    def test_only_what_failed(self):
        self.assertEqual(
            'compute_pre_live_migration on host beta: no libvirt',
            self.describe(
                {'event': 'conductor_live_migrate_instance',
                 'result': 'Success', 'host': 'x', 'details': None},
                {'event': 'compute_pre_live_migration', 'result': 'Error',
                 'host': 'beta', 'details': 'no libvirt'}))

    def test_what_nova_does_not_say(self):
        self.assertEqual(
            'e on host unknown: no details',
            self.describe({'event': 'e', 'result': 'Error'}))

    def test_nothing_failed(self):
        self.assertEqual('none', self.describe())

    def test_what_cannot_be_read_is_said(self):
        client = fakes.servers()
        client.show_instance_action.side_effect = lib_exc.NotFound(
            'Action for request_id req-1 could not be found')
        said = actions.describe_failures(client, 'id', 'req-1')
        self.assertIn('not readable', said)
        self.assertIn('req-1', said)
