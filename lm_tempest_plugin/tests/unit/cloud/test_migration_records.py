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

import datetime
import json
from unittest import mock

import fixtures
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


def second(number, zone=datetime.UTC):
    return datetime.datetime(
        2026, 1, 1, 12, tzinfo=zone) + datetime.timedelta(seconds=number)


def text(number):
    """Return such a time as nova's JSON has it."""
    return second(number).strftime('%Y-%m-%dT%H:%M:%S.000000')


def newest_first(*numbers):
    """Return records that were made in the seconds of their numbers."""
    return [fakes.record('completed', number, created_at=text(number))
            for number in sorted(numbers, reverse=True)]


class RecordTest(base.TestCase):

    def only(self, *args, **kwargs):
        found, = migration_records.list_of_server(
            fakes.migrations([fakes.record(*args, **kwargs)]), 'id')
        return found

    def test_what_is_of_interest(self):
        self.assertEqual(
            schema.MigrationRecord(
                number=7, uuid='uuid-7', server_id='server-2',
                status='running', source='alpha', destination='beta',
                created_at=text(1), updated_at=text(2)),
            self.only('running', instance_uuid='server-2',
                      created_at=text(1), updated_at=text(2)))

    def test_what_nova_has_not_filled_in_yet(self):
        found = self.only('accepted', source=None, destination=None,
                          created_at=None, updated_at=None)
        self.assertEqual(
            ('', '', '', ''), (found.source, found.destination,
                               found.created_at, found.updated_at))
        self.assertEqual(
            'record 7 accepted from nowhere to nowhere',
            migration_records.describe([found]))

    def test_with_which_nova_is_done(self):
        for status in ('completed', 'failed', 'error', 'cancelled'):
            self.assertTrue(
                migration_records.is_terminal(self.only(status)), status)
        for status in ('accepted', 'queued', 'preparing', 'running',
                       'running (post-copy)', 'post-migrating'):
            self.assertFalse(
                migration_records.is_terminal(self.only(status)), status)

    def test_at_which_the_source_is_at_work(self):
        for status in ('preparing', 'running', 'running (post-copy)'):
            self.assertTrue(
                migration_records.in_service(self.only(status)), status)
        for status in ('accepted', 'queued', 'completed', 'error',
                       'cancelled'):
            self.assertFalse(
                migration_records.in_service(self.only(status)), status)

    def test_in_words(self):
        found = [self.only('completed'), self.only('queued', 8, 'beta', None)]
        self.assertEqual(
            'record 7 completed from alpha to beta; '
            'record 8 queued from beta to nowhere',
            migration_records.describe(found))
        self.assertEqual('no record', migration_records.describe([]))


class OfServerTest(base.TestCase):

    def test_the_oldest_comes_first(self):
        client = fakes.migrations([
            fakes.record('running', 9), fakes.record('completed', 7)])
        found = migration_records.list_of_server(client, 'id')
        self.assertEqual([7, 9], [record.number for record in found])
        client.list_migrations.assert_called_once_with(
            instance_uuid='id', migration_type='live-migration')

    def test_none(self):
        self.assertEqual(
            (), migration_records.list_of_server(fakes.migrations([]), 'id'))

    def test_known_ones_are_left_out(self):
        client = fakes.migrations([
            fakes.record('running', 9), fakes.record('completed', 7)])
        newest = migration_records.list_of_server(client, 'id')[-1]
        found = migration_records.list_of_server(client, 'id', [newest.uuid])
        self.assertEqual([7], [record.number for record in found])


class SinceTest(base.TestCase):

    def setUp(self):
        super().setUp()
        patcher = mock.patch.object(migration_records, 'PAGE', 3)
        patcher.start()
        self.addCleanup(patcher.stop)

    def list(self, begin, *pages):
        """Return the numbers of the found records, and the sent markers."""
        client = fakes.migrations(*pages)
        found = migration_records.list_since(client, begin)
        markers = []
        for call in client.list_migrations.mock_calls:
            query = dict(call.kwargs)
            markers.append(query.pop('marker', None))
            self.assertEqual(
                {'migration_type': 'live-migration', 'limit': '3'}, query)
        return [record.number for record in found], markers

    def test_none_at_all(self):
        self.assertEqual(([], [None]), self.list(second(0), []))

    def test_a_page_that_is_not_full_is_the_last(self):
        self.assertEqual(
            ([1, 2], [None]), self.list(second(0), newest_first(1, 2)))

    def test_as_many_pages_as_it_takes_the_oldest_first(self):
        self.assertEqual(
            ([1, 2, 3, 4, 5, 6, 7], [None, 'uuid-5', 'uuid-2']),
            self.list(second(0), newest_first(5, 6, 7),
                      newest_first(2, 3, 4), newest_first(1)))

    def test_a_page_is_large_enough_for_those_that_are_expected(self):
        for expected, limit in ((0, '3'), (7, '10'), (2000, '1000')):
            client = fakes.migrations(newest_first(*range(8)))
            self.assertEqual(7, len(migration_records.list_since(
                client, second(1), expected)))
            client.list_migrations.assert_called_once_with(
                migration_type='live-migration', limit=limit)

    def test_nova_gives_fewer_than_the_limit(self):
        client = fakes.migrations(newest_first(4, 5, 6), newest_first(2, 3))
        self.assertEqual(5, len(migration_records.list_since(
            client, second(1), 10)))

    def test_no_page_beyond_the_beginning(self):
        self.assertEqual(
            ([5, 6, 7], [None, 'uuid-5']),
            self.list(second(5), newest_first(5, 6, 7),
                      newest_first(2, 3, 4), newest_first(1)))

    def test_a_page_that_passes_the_beginning_is_the_last(self):
        self.assertEqual(
            ([6, 7], [None]),
            self.list(second(6), newest_first(5, 6, 7),
                      newest_first(2, 3, 4)))

    def test_one_that_was_made_at_the_beginning_is_among_them(self):
        self.assertEqual(
            ([4, 5, 6, 7], [None, 'uuid-5']),
            self.list(second(4), newest_first(5, 6, 7),
                      newest_first(2, 3, 4)))

    def test_those_of_one_second_on_both_sides_of_a_page_border(self):
        def made_at_5(*numbers):
            return [fakes.record('queued', number, created_at=text(5))
                    for number in numbers]

        self.assertEqual(
            ([1, 2, 3, 4, 5], [None, 'uuid-3']),
            self.list(second(5), made_at_5(5, 4, 3), made_at_5(2, 1)))

    def test_a_full_page_may_be_the_last_there_is(self):
        self.assertEqual(
            ([1, 2, 3], [None, 'uuid-1']),
            self.list(second(0), newest_first(1, 2, 3), []))

    def test_all_are_older(self):
        self.assertEqual(
            ([], [None]), self.list(second(9), newest_first(1, 2, 3)))

    def test_one_that_was_never_updated_is_among_them(self):
        body = fakes.record(
            'accepted', 7, created_at=text(5), updated_at=None)
        self.assertEqual(([7], [None]), self.list(second(5), [body]))

    def test_one_that_is_older_is_not_whenever_it_was_updated(self):
        body = fakes.record(
            'running', 7, created_at=text(4), updated_at=text(9))
        self.assertEqual(([], [None]), self.list(second(5), [body]))

    def test_the_beginning_may_be_in_any_zone(self):
        zone = datetime.timezone(datetime.timedelta(hours=2))
        begin = second(6).astimezone(zone)
        self.assertEqual(
            ([6, 7], [None]), self.list(begin, newest_first(5, 6, 7)))

    def test_the_beginning_is_exact_to_the_microsecond(self):
        begin = second(6) + datetime.timedelta(microseconds=1)
        self.assertEqual(
            ([7], [None]), self.list(begin, newest_first(5, 6, 7)))


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


class ChangedTest(base.TestCase):

    def test_all_pages(self):
        self.useFixture(fixtures.MockPatchObject(
            migration_records, 'PAGE', 2))
        client = fakes.migrations(
            [fakes.record('running', 5), fakes.record('failed', 4)],
            [fakes.record('queued', 3)])
        found = migration_records.list_changed(client, second(7))
        self.assertEqual([5, 4, 3], [each.number for each in found])
        common = {'migration_type': 'live-migration', 'limit': '1000',
                  'changes-since': second(7).isoformat()}
        self.assertEqual(
            [mock.call(**common), mock.call(**common, marker='uuid-4')],
            client.list_migrations.mock_calls)


class ShowProgressTest(base.TestCase):

    def show(self, *found, **kwargs):
        client = fakes.servers()
        client.list_in_progress_live_migration.return_value = {
            'migrations': list(found)}
        shown = migration_records.show_progress(client, 'id', **kwargs)
        client.list_in_progress_live_migration.assert_called_once_with('id')
        return shown

    def test_what_is_copied(self):
        found = self.show(copied())
        self.assertEqual(expected(0.0, 100, 70, 40, 20, 15, 5), found)
        self.assertTrue(migration_records.is_progress_known(found))

    def test_when_nova_was_asked(self):
        self.assertEqual(1.5, self.show(copied(), at_s=1.5).at_s)

    def test_one_that_waits_has_copied_nothing(self):
        found = self.show({
            name: None if name.endswith('_bytes') else value
            for name, value in copied().items()})
        self.assertEqual(expected(0.0, 0, 0, 0, 0, 0, 0), found)
        self.assertFalse(migration_records.is_progress_known(found))

    def test_the_last_of_several(self):
        found = self.show(copied(), copied(memory_processed_bytes=90))
        self.assertEqual(90, found.memory_processed_bytes)

    def test_none_under_way(self):
        self.assertIsNone(self.show())

    def test_a_server_that_is_gone(self):
        client = fakes.servers()
        client.list_in_progress_live_migration.side_effect = (
            exceptions.NotFound())
        self.assertIsNone(migration_records.show_progress(client, 'id'))

    def test_other_errors_are_not_swallowed(self):
        client = fakes.servers()
        client.list_in_progress_live_migration.side_effect = (
            fakes.server_fault())
        self.assertRaises(
            exceptions.ServerFault, migration_records.show_progress, client,
            'id')


class AbortTest(base.TestCase):

    def test_what_is_sent(self):
        client = fakes.acting()
        migration_records.abort(client, 'id', 7)
        client.delete.assert_called_once_with('servers/id/migrations/7')
        client.post.assert_not_called()

    def test_any_other_status_is_an_error(self):
        self.assertRaises(
            exceptions.InvalidHttpSuccessCode, migration_records.abort,
            fakes.acting(204), 'id', 7)

    def test_a_refusal_is_for_the_caller(self):
        client = fakes.acting()
        client.delete.side_effect = exceptions.BadRequest()
        self.assertRaises(
            exceptions.BadRequest, migration_records.abort, client, 'id', 7)


class ForceCompleteTest(base.TestCase):

    def test_what_is_sent(self):
        client = fakes.acting()
        migration_records.force_complete(client, 'id', 7)
        (path, body), _ = client.post.call_args
        self.assertEqual('servers/id/migrations/7/action', path)
        self.assertEqual({'force_complete': None}, json.loads(body))
        client.delete.assert_not_called()

    def test_any_other_status_is_an_error(self):
        self.assertRaises(
            exceptions.InvalidHttpSuccessCode,
            migration_records.force_complete, fakes.acting(200), 'id', 7)

    def test_a_refusal_is_for_the_caller(self):
        client = fakes.acting()
        client.post.side_effect = exceptions.Conflict()
        self.assertRaises(
            exceptions.Conflict, migration_records.force_complete, client,
            'id', 7)
