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

from lm_tempest_plugin.migration import request
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders

BEFORE = '2.84'


class RequestOptionsTest(base.TestCase):

    def body(self, destination='beta', **kwargs):
        return request.RequestOptions(**kwargs).body(destination)

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

    def test_the_scheduler_chooses(self):
        self.assertEqual({'host': None, 'block_migration': 'auto'},
                         self.body(''))

    def test_auto_before_2_25(self):
        exc = self.assertRaises(
            ValueError, request.RequestOptions, microversion='2.24')
        for part in ('2.24', '2.25', 'auto'):
            self.assertIn(part, str(exc))

    def test_those_of_others_are_not_known(self):
        options = request.OPTIONS_OF_OTHERS
        self.assertEqual(('unknown', '', True), (
            options.block_migration, options.microversion,
            options.copies_disks))

    def test_whether_disks_are_copied(self):
        for block_migration, copied in (
                (True, True), ('auto', True), (False, False)):
            self.assertEqual(copied, request.RequestOptions(
                block_migration=block_migration).copies_disks)


class LiveMigrateTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(base_compute_client, 'COMPUTE_MICROVERSION', BEFORE)
        self.client = mock.create_autospec(
            servers_client.ServersClient, instance=True)
        self.versions = []
        self.answer_with(rest_client.ResponseBody(
            fakes.Response(202, **{'x-openstack-request-id': 'req-9'})))

    def answer_with(self, answer):
        def answered(*args, **kwargs):
            self.versions.append(base_compute_client.COMPUTE_MICROVERSION)
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.client.live_migrate_server.side_effect = answered

    def send(self, destination='beta', **kwargs):
        found = request.live_migrate(
            self.client, builders.server(), destination,
            request.RequestOptions(**kwargs), frozenset(['uuid-3']))
        # Whatever the answer is.
        self.assertEqual(BEFORE, base_compute_client.COMPUTE_MICROVERSION)
        return found

    def test_accepted(self):
        before_ns = time.monotonic_ns()
        found = self.send()
        self.client.live_migrate_server.assert_called_once_with(
            fakes.SERVER_ID, host='beta', block_migration='auto')
        self.assertEqual(
            (fakes.SERVER_ID, 'alpha', 'req-9', frozenset(['uuid-3']), None),
            (found.server_id, found.source, found.request_id,
             found.known_records, found.refusal))
        self.assertFalse(found.cleanly_refused)
        self.assertGreaterEqual(found.requested_ns, before_ns)
        self.assertIn(f'{fakes.SERVER_ID} (guest) from alpha to beta',
                      str(found))

    def test_to_a_host_of_the_scheduler_s_choice(self):
        self.assertIn("the scheduler's choice", str(self.send('')))

    def test_the_microversion(self):
        for version in ('2.24', '2.25', '2.34'):
            self.send(microversion=version, block_migration=True)
        self.assertEqual(['2.24', '2.25', '2.34'], self.versions)

    def refused(self, answer):
        self.answer_with(answer)
        found = self.send()
        self.assertIsNotNone(found.refusal)
        return found

    def test_refused_by_the_client_s_fault(self):
        found = self.refused(lib_exc.Conflict(
            'task_state migrating', resp=fakes.Response(
                409, **{'x-openstack-request-id': 'req-8'})))
        self.assertEqual((409, True, 'req-8'), (
            found.refusal.status, found.cleanly_refused, found.request_id))
        self.assertIn('task_state migrating', found.refusal.message)

    def test_refused_by_the_server_s_fault(self):
        for status in (500, 503):
            found = self.refused(lib_exc.UnexpectedResponseCode(
                'oops', resp=fakes.Response(status, date='today')))
            self.assertEqual((status, False),
                             (found.refusal.status, found.cleanly_refused))

    def test_no_answer(self):
        for answer in (OSError('connection reset'),
                       urllib3.exceptions.ReadTimeoutError(
                           None, 'u', 'timed out'),
                       lib_exc.TimeoutException('no answer'),
                       ConnectionResetError('reset')):
            found = self.refused(answer)
            self.assertEqual((0, False, ''), (
                found.refusal.status, found.cleanly_refused,
                found.request_id))

    def test_the_microversion_is_restored_after_an_unexpected_error(self):
        self.answer_with(KeyError('x'))
        self.assertRaises(KeyError, self.send)
        self.assertEqual(BEFORE, base_compute_client.COMPUTE_MICROVERSION)
