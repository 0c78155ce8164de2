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

import time

from tempest.lib.common import rest_client
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class LiveMigrateTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.servers = fakes.servers(fakes.server())
        self.servers.live_migrate_server.return_value = (
            rest_client.ResponseBody(
                fakes.Response(202, **{'x-openstack-request-id': 'req-9'})))
        self.migrations = fakes.migrations([fakes.record('completed', 3)])

    def test_what_is_asked_for(self):
        before_ns = time.monotonic_ns()
        request = requests.live_migrate(
            self.servers, self.migrations, fakes.SERVER_ID, 'beta', True)
        self.servers.live_migrate_server.assert_called_once_with(
            fakes.SERVER_ID, host='beta', block_migration=True)
        self.assertEqual(('alpha', 'beta', 'req-9', frozenset([3])), (
            request.source, request.destination, request.request_id,
            request.known_records))
        self.assertGreaterEqual(request.requested_ns, before_ns)
        self.assertIn('from alpha to beta', str(request))

    def test_auto_unless_told_otherwise(self):
        requests.live_migrate(
            self.servers, self.migrations, fakes.SERVER_ID, 'beta')
        self.servers.live_migrate_server.assert_called_once_with(
            fakes.SERVER_ID, host='beta', block_migration='auto')

    def test_a_refusal_names_server_and_host(self):
        self.servers.live_migrate_server.side_effect = lib_exc.Conflict(
            'Cannot while it is in task_state migrating')
        exc = self.assertRaises(
            requests.RequestRefused, requests.live_migrate, self.servers,
            self.migrations, fakes.SERVER_ID, 'beta')
        for part in (fakes.SERVER_ID, 'guest', 'beta', 'status ACTIVE',
                     'task_state migrating'):
            self.assertIn(part, str(exc))
