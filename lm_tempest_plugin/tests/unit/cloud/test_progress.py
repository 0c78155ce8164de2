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

import json

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import progress
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


def copied(**kwargs):
    """Return a live migration under way as nova's JSON has it."""
    return {
        'id': 7, 'status': 'running', 'memory_total_bytes': 100,
        'memory_processed_bytes': 70, 'memory_remaining_bytes': 40,
        'disk_total_bytes': 20, 'disk_processed_bytes': 15,
        'disk_remaining_bytes': 5, **kwargs}


def expected(at_s, *values):
    """Return progress with these values, in the order of its fields."""
    return schema.Progress(**dict(zip(
        schema.Progress.__struct_fields__, (at_s, *values), strict=True)))


class ShowTest(base.TestCase):

    def show(self, *found, **kwargs):
        client = fakes.servers()
        client.list_in_progress_live_migration.return_value = {
            'migrations': list(found)}
        shown = progress.show(client, 'id', **kwargs)
        client.list_in_progress_live_migration.assert_called_once_with('id')
        return shown

    def test_what_is_copied(self):
        found = self.show(copied())
        self.assertEqual(expected(0.0, 100, 70, 40, 20, 15, 5), found)
        self.assertTrue(progress.is_known(found))

    def test_when_nova_was_asked(self):
        self.assertEqual(1.5, self.show(copied(), at_s=1.5).at_s)

    def test_one_that_waits_has_copied_nothing(self):
        found = self.show({
            name: None if name.endswith('_bytes') else value
            for name, value in copied().items()})
        self.assertEqual(expected(0.0, 0, 0, 0, 0, 0, 0), found)
        self.assertFalse(progress.is_known(found))

    def test_the_last_of_several(self):
        found = self.show(copied(), copied(memory_processed_bytes=90))
        self.assertEqual(90, found.memory_processed_bytes)

    def test_none_under_way(self):
        self.assertIsNone(self.show())

    def test_a_server_that_is_gone(self):
        client = fakes.servers()
        client.list_in_progress_live_migration.side_effect = (
            lib_exc.NotFound())
        self.assertIsNone(progress.show(client, 'id'))

    def test_other_errors_are_not_swallowed(self):
        client = fakes.servers()
        client.list_in_progress_live_migration.side_effect = (
            fakes.server_fault())
        self.assertRaises(
            lib_exc.ServerFault, progress.show, client, 'id')


class AbortTest(base.TestCase):

    def test_what_is_sent(self):
        client = fakes.acting()
        progress.abort(client, 'id', 7)
        client.delete.assert_called_once_with('servers/id/migrations/7')
        client.post.assert_not_called()

    def test_any_other_status_is_an_error(self):
        self.assertRaises(
            lib_exc.InvalidHttpSuccessCode, progress.abort,
            fakes.acting(204), 'id', 7)

    def test_a_refusal_is_for_the_caller(self):
        client = fakes.acting()
        client.delete.side_effect = lib_exc.BadRequest()
        self.assertRaises(
            lib_exc.BadRequest, progress.abort, client, 'id', 7)


class ForceCompleteTest(base.TestCase):

    def test_what_is_sent(self):
        client = fakes.acting()
        progress.force_complete(client, 'id', 7)
        (path, body), _ = client.post.call_args
        self.assertEqual('servers/id/migrations/7/action', path)
        self.assertEqual({'force_complete': None}, json.loads(body))
        client.delete.assert_not_called()

    def test_any_other_status_is_an_error(self):
        self.assertRaises(
            lib_exc.InvalidHttpSuccessCode, progress.force_complete,
            fakes.acting(200), 'id', 7)

    def test_a_refusal_is_for_the_caller(self):
        client = fakes.acting()
        client.post.side_effect = lib_exc.Conflict()
        self.assertRaises(
            lib_exc.Conflict, progress.force_complete, client, 'id', 7)
