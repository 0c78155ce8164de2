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

import hashlib
import json
import os
import pathlib

import fixtures
import msgspec

from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders


class StoreTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def write(self, run='one', number=3):
        return builders.write(self.directory, run, [
            builders.migration(each) for each in range(number)])

    def assert_refused(self, path, *parts):
        exc = self.assertRaises(store.ResultsError, store.read, [path])
        for part in (str(path), *parts):
            self.assertIn(part, str(exc))

    def alter(self, path, change):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b''.join(change(lines)))


class WriterTest(StoreTest):

    def test_round_trip(self):
        line = builders.migration(
            transitions=(schema.Transition(
                at_s=1.5, uncertainty_s=0.5, subject='server',
                state='MIGRATING'),),
            problems=(builders.problem(evidence=('a', 'b')),))
        path = builders.write(self.directory, 'one', [line])
        results = store.read([path], keep_details=True)
        found, = results.migrations
        self.assertEqual(line, msgspec.structs.replace(
            found, previous=line.previous, run='',
            written_at=line.written_at))
        self.assertEqual('one', found.run)
        self.assertEqual(schema.VERSION, found.version)
        self.assertEqual([], results.remarks)
        self.assertEqual({'one': str(path)}, results.files)

    def test_kinds(self):
        path = self.write()
        self.assertEqual(
            ['run', 'migration', 'migration', 'migration'],
            [json.loads(line)['kind']
             for line in path.read_bytes().splitlines()])

    def test_an_existing_file_is_not_touched(self):
        path = self.write()
        before = path.read_bytes()
        exc = self.assertRaises(
            store.ResultsError, store.Writer, self.directory, 'one')
        self.assertIn(f'{path} cannot be created: File exists', str(exc))
        self.assertEqual(before, path.read_bytes())

    def test_directories_are_created(self):
        path = builders.write(self.directory / 'a' / 'b', 'one', [])
        self.assertEqual(1, len(store.read([path]).runs))
        self.assertEqual([path], list(path.parent.iterdir()))

    def test_fields_of_every_line_are_filled_in(self):
        chain = store.Chain('one')
        first = chain.append(builders.run(version=7, run='two'))
        second = json.loads(chain.append(builders.ended()))
        self.assertEqual(
            (schema.VERSION, 'one', hashlib.sha256(first).hexdigest()),
            (second['version'], second['run'], second['previous']))
        self.assertEqual(2, chain.count)

    def test_a_line_that_does_not_match_the_schema(self):
        chain = store.Chain('one')
        for value in (float('nan'), float('inf'), None, 'long'):
            self.assertRaises(ValueError, chain.append,
                              builders.drain(wall_s=value))
        self.assertEqual((0, schema.NO_DIGEST),
                         (chain.count, chain.previous))

    def test_a_full_disk(self):
        writer = store.Writer(self.directory, 'one')
        self.addCleanup(writer.close)
        self.useFixture(fixtures.MockPatchObject(
            os, 'write', side_effect=OSError(28, 'No space left on device')))
        exc = self.assertRaises(
            store.ResultsError, writer.append, builders.run())
        self.assertIn('No space left on device', str(exc))

    def test_a_file_that_was_deleted(self):
        writer = store.Writer(self.directory, 'one')
        self.addCleanup(writer.close)
        writer.append(builders.run())
        writer.path.unlink()
        exc = self.assertRaises(
            store.ResultsError, writer.append, builders.migration())
        self.assertIn('one.jsonl was deleted during the run', str(exc))

    def test_a_signal_in_the_middle_of_a_line(self):
        writer = store.Writer(self.directory, 'one')
        self.addCleanup(writer.close)
        writer.append(builders.run())
        write = os.write

        def interrupted(descriptor, text):
            write(descriptor, text[:19])
            raise KeyboardInterrupt

        with fixtures.MockPatchObject(os, 'write', interrupted):
            self.assertRaises(KeyboardInterrupt, writer.append,
                              builders.migration(0))
        writer.append(builders.migration(1))
        read = store.read([writer.path])
        self.assertEqual(['server-1'],
                         [each.server_id for each in read.migrations])

    def test_a_disk_that_is_full_for_a_while(self):
        writer = store.Writer(self.directory, 'one')
        self.addCleanup(writer.close)
        writer.append(builders.run())
        write = os.write

        def full(descriptor, text):
            if len(text) < 20:
                raise OSError(28, 'No space left on device')
            return write(descriptor, text[:19])

        def broken(descriptor):
            raise OSError(5, 'broken')

        for name, replacement in (('write', full), ('fsync', broken)):
            with fixtures.MockPatchObject(os, name, replacement):
                self.assertRaises(store.ResultsError, writer.append,
                                  builders.migration(1))
        writer.append(builders.migration(2))
        results = store.read([writer.path])
        self.assertEqual(['server-2'],
                         [each.server_id for each in results.migrations])
        self.assertEqual([], results.remarks)


class AlteredTest(StoreTest):

    def test_each_missing_line_but_the_last(self):
        for number in range(3):
            path = self.write(f'without {number}')
            self.alter(path, lambda lines, number=number: (
                lines[:number] + lines[number + 1:]))
            self.assert_refused(path, 'was altered')

    def test_each_edited_line_but_the_last(self):
        for number in range(3):
            path = self.write(f'edited {number}')

            def edit(lines, number=number):
                line = json.loads(lines[number])
                line['written_at'] = '2020-01-01T00:00:00.000+00:00'
                lines[number] = json.dumps(line).encode() + b'\n'
                return lines

            self.alter(path, edit)
            self.assert_refused(path, 'was altered', f'line {number + 2}')

    def test_the_end_is_not_protected(self):
        # No later line has a digest of it; the documentation says so.
        path = self.write()
        self.alter(path, lambda lines: lines[:-1])
        self.assertEqual(2, len(store.read([path]).migrations))

    def test_lines_that_changed_places(self):
        path = self.write()
        self.alter(path, lambda lines: [
            lines[0], lines[2], lines[1], lines[3]])
        self.assert_refused(path, 'was altered', 'line 2')

    def test_a_repeated_line(self):
        path = self.write()
        self.alter(path, lambda lines: lines[:2] + lines[1:])
        self.assert_refused(path, 'was altered', 'line 3')

    def test_without_the_first_line(self):
        path = self.write()
        self.alter(path, lambda lines: lines[1:])
        self.assert_refused(path, 'lines before line 1 are missing')

    def test_a_crash_in_a_line(self):
        path = self.write()
        with open(path, 'ab') as stream:
            stream.write(b'{"version": 2, "prev')
        results = store.read([path])
        self.assertEqual(3, len(results.migrations))
        remark, = results.remarks
        self.assertIn('in the middle of line 5', remark)

    def test_truncated(self):
        path = self.write()
        self.alter(path, lambda lines: lines[:-1] + [lines[-1][:20]])
        results = store.read([path])
        self.assertEqual(2, len(results.migrations))
        self.assertIn(f'{path} ends in the middle of line 4',
                      *results.remarks)


class BadFileTest(StoreTest):

    def test_bad_files(self):
        path = self.directory / 'bad.jsonl'
        for text, reason in (
                ('', 'has no results'), ('{"vers', 'has no results'),
                ('{}\n', 'line 1 of'), ('no JSON\n', 'line 1 of'),
                ('[1]\n', 'is not a result')):
            path.write_text(text)
            self.assert_refused(path, reason)

    def test_no_file(self):
        self.assert_refused(
            self.directory / 'none.jsonl', 'No such file or directory')
        exc = self.assertRaises(
            store.ResultsError, store.read, [self.directory])
        self.assertIn('Is a directory', str(exc))

    def test_another_version(self):
        path = self.write()
        self.alter(path, lambda lines: [
            lines[0], lines[1].replace(b'"version":2', b'"version":3')])
        self.assert_refused(path, 'line 2', 'version 3', 'version 2')

    def test_a_file_of_version_1(self):
        path = self.directory / 'old.jsonl'
        path.write_text(json.dumps({
            'schema': 1, 'previous': '0' * 64, 'kind': 'run', 'run': 'old',
            'written_at': '2026-11-25T08:00:00.000+00:00',
            'cloud': {}}) + '\n')
        self.assert_refused(
            path, 'version 1 of the results format', 'line 1',
            'reads version 2 only', 'Run the tests again')

    def test_a_line_without_a_field(self):
        chain = store.Chain('one')
        line = json.loads(chain.append(builders.migration()))
        del line['verdict']
        path = self.directory / 'one.jsonl'
        path.write_text(json.dumps(line) + '\n')
        self.assert_refused(
            path, f'line 1 of {path} does not match the schema', '`verdict`')


class ResultsTest(StoreTest):

    def test_the_same_run_twice(self):
        path = self.write()
        exc = self.assertRaises(
            store.ResultsError, store.read, [path, path])
        self.assertIn('hold the same run, one', str(exc))

    def test_several_files(self):
        found = store.read([self.write('one'), self.write('two', 1)])
        self.assertEqual(['one', 'two'], [each.run for each in found.runs])
        self.assertEqual(['one'] * 3 + ['two'],
                         [each.run for each in found.migrations])

    def test_migrations(self):
        path = builders.write(self.directory, 'one', [
            builders.migration(1),
            builders.failed(2, continuity=None)])
        good, bad = store.read([path]).migrations
        self.assertEqual(((), True), (good.problems, good.completed))
        self.assertEqual((1, False), (len(bad.problems), bad.completed))
        self.assertEqual(
            (0.25, 0.015, 1.0, 5016.0), (
                good.continuity.outage.longest_s,
                good.continuity.outage.error_bound_s, good.max_outage_s,
                good.continuity.outage.longest.start_ns / 1e9))
        self.assertEqual((180, 6.0, 2.0), (
            good.job.downtime_ms, good.service.seconds, good.queue_s))
        self.assertEqual('block, tunnelled off', str(good.settings))
        self.assertEqual((None, None, None),
                         (bad.continuity, bad.job, bad.service))

    def test_drains(self):
        path = builders.write(self.directory, 'one', [
            builders.drain(), builders.drain(
                'drain-2', sockets=None, hosts=(), concurrency=(),
                problems=(builders.problem('a binding'),))])
        whole, bare = store.read([path]).drains
        self.assertEqual((1, 1.0, 1, 'direct', ()), (
            whole.concurrency[0].running, whole.concurrency[0].mean,
            whole.concurrency[0].queued, whole.sockets.transport,
            whole.problems))
        self.assertEqual(('compute1', 20), (
            whole.hosts[0].host, len(whole.hosts[0].samples)))
        self.assertEqual(((), None, (), 1), (
            bare.concurrency, bare.sockets, bare.hosts, len(bare.problems)))

    def test_unjudged(self):
        started = schema.DrainStarted(**{
            name: getattr(builders.drain(), name) for name in (
                'drain', 'test', 'settings', 'strategy', 'servers',
                'round_trip', 'measured', 'source', 'destination')},
            server_ids=('server-0', 'server-1', 'server-2'))
        found = builders.read([
            started, builders.ended(1), builders.migration(2)])
        self.assertEqual([
            'server server-0 from compute1 to compute2: its live migration '
            'was under way',
            'server server-1 from compute1 to compute2: migration record '
            'completed, server ACTIVE'], found.unjudged)
        self.assertEqual({builders.TEST}, found.tests)

    def test_failed_tests(self):
        failure = schema.TestFailure(test='a.test', reason='the disk')
        found = builders.read([failure])
        self.assertEqual(['the disk'],
                         [each.reason for each in found.failures])
        self.assertEqual({'a.test'}, found.tests)

    def test_details_are_dropped(self):
        outages = (*builders.outage(0.1).outages, *builders.outage().outages)
        line = builders.migration(
            events=('compute_live_migration',),
            outage=msgspec.structs.replace(builders.outage(),
                                           outages=outages))
        one, other = builders.read([
            line, line, builders.drain(hosts=(schema.HostSamples(
                host='compute1', period_s=1.0, samples=(builders.sample(
                    1, interfaces={'eth0': schema.InterfaceRate(
                        received_bytes_per_s=1.0,
                        sent_bytes_per_s=2.0)}),)),))]).migrations
        self.assertEqual((), one.events)
        self.assertEqual(
            builders.outage().outages, one.continuity.outage.outages)
        self.assertIs(one.settings, other.settings)
        self.assertIs(one.flavor, other.flavor)

    def test_settings_are_keys(self):
        one = builders.settings(a=1, b=True)
        other = builders.settings(b=True, a=1)
        self.assertEqual({one: 1}, {other: 1})

    def test_names_of_flavors(self):
        flavor = builders.SMALL
        self.assertEqual(
            ['lm.small', 'lm.small (no local disk)', '1 vCPUs, 0.1875 GiB'],
            [str(msgspec.structs.replace(flavor, **changes)) for changes in (
                {}, {'disk_gib': 0.0}, {'name': ''})])
