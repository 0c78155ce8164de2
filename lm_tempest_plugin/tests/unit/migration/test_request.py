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
from unittest import mock

from tempest.lib.common import rest_client
from tempest.lib import exceptions as lib_exc
from tempest.lib.services.compute import base_compute_client
from tempest.lib.services.compute import servers_client
import urllib3

from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders

BEFORE = '2.84'


class MoveTest(base.TestCase):

    def body(self, **kwargs):
        return builders.move(**kwargs).body()

    def test_2_24(self):
        self.assertEqual(
            {'host': 'beta', 'block_migration': True,
             'disk_over_commit': False},
            self.body(microversion='2.24', block_migration=True))
        self.assertIs(True, self.body(
            microversion='2.24', block_migration=False,
            disk_over_commit=True)['disk_over_commit'])

    def test_2_25_and_2_34(self):
        for version in ('2.25', '2.34', '2.100'):
            self.assertEqual(
                {'host': 'beta', 'block_migration': 'auto'},
                self.body(microversion=version))

    def test_the_choice_is_left_to_the_scheduler(self):
        self.assertEqual({'host': None, 'block_migration': 'auto'},
                         self.body(destination=''))

    def test_auto_before_2_25(self):
        exc = self.assertRaises(
            ValueError, builders.move, microversion='2.24')
        for part in ('2.24', '2.25', 'auto'):
            self.assertIn(part, str(exc))

    def test_whether_disks_are_copied(self):
        for block_migration, copied in (
                (True, True), ('auto', True), (False, False)):
            self.assertEqual(copied, builders.move(
                block_migration=block_migration).disks_copied)


class LiveMigrateTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(base_compute_client, 'COMPUTE_MICROVERSION', BEFORE)
        self.client = mock.create_autospec(
            servers_client.ServersClient, instance=True)
        self.versions = []
        self.answers(rest_client.ResponseBody(
            fakes.Response(202, **{'x-openstack-request-id': 'req-9'})))

    def answers(self, answer):
        def asked(*args, **kwargs):
            self.versions.append(base_compute_client.COMPUTE_MICROVERSION)
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.client.live_migrate_server.side_effect = asked

    def ask(self, **kwargs):
        found = requests.live_migrate(
            self.client, builders.server(), builders.move(**kwargs),
            frozenset(['uuid-3']))
        # Whatever comes of it.
        self.assertEqual(BEFORE, base_compute_client.COMPUTE_MICROVERSION)
        return found

    def test_accepted(self):
        before_ns = time.monotonic_ns()
        request = self.ask()
        self.client.live_migrate_server.assert_called_once_with(
            fakes.SERVER_ID, host='beta', block_migration='auto')
        self.assertEqual(
            (fakes.SERVER_ID, 'alpha', 'req-9', frozenset(['uuid-3']), None),
            (request.server_id, request.source, request.request_id,
             request.known_records, request.refusal))
        self.assertGreaterEqual(request.requested_ns, before_ns)
        self.assertIn('%s (guest) from alpha to beta' % fakes.SERVER_ID,
                      str(request))

    def test_to_wherever_the_scheduler_likes(self):
        self.assertIn("the scheduler's choice", str(
            self.ask(destination='')))

    def test_the_microversion(self):
        for version in ('2.24', '2.25', '2.34'):
            self.ask(microversion=version, block_migration=True)
        self.assertEqual(['2.24', '2.25', '2.34'], self.versions)

    def refusal(self, answer):
        self.answers(answer)
        request = self.ask()
        self.assertIsNotNone(request.refusal)
        return request, request.refusal

    def test_refused_by_the_client_s_fault(self):
        request, refusal = self.refusal(lib_exc.Conflict(
            'task_state migrating', resp=fakes.Response(
                409, **{'x-openstack-request-id': 'req-8'})))
        self.assertEqual((409, True, 'req-8'), (
            refusal.status, refusal.clean, request.request_id))
        self.assertIn('task_state migrating', refusal.message)

    def test_refused_by_the_server_s_fault(self):
        for status in (500, 503):
            _, refusal = self.refusal(lib_exc.UnexpectedResponseCode(
                'oops', resp=fakes.Response(status, date='today')))
            self.assertEqual((status, False),
                             (refusal.status, refusal.clean))

    def test_no_answer(self):
        for answer in (OSError('connection reset'),
                       urllib3.exceptions.ReadTimeoutError(
                           None, 'u', 'timed out'),
                       lib_exc.TimeoutException('no answer')):
            request, refusal = self.refusal(answer)
            self.assertEqual((0, False, ''), (
                refusal.status, refusal.clean, request.request_id))
        self.refusal(ConnectionResetError('reset'))

    def test_the_microversion_comes_back_after_a_mistake_too(self):
        self.answers(KeyError('x'))
        self.assertRaises(KeyError, self.ask)
        self.assertEqual(BEFORE, base_compute_client.COMPUTE_MICROVERSION)
