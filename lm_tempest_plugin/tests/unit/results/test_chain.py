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
import os
import pathlib
from unittest import mock

import fixtures

from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders


class ChainTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def write(self, run='one', number=3):
        return builders.write(self.directory, run, [
            ('attempt', builders.attempt_line(each))
            for each in range(number)])

    def read(self, path):
        reader = chain.Reader(path)
        return list(reader), reader.remarks

    def assert_refused(self, path, *parts):
        exc = self.assertRaises(chain.RecordsError, self.read, path)
        for part in (str(path), *parts):
            self.assertIn(part, str(exc))

    def alter(self, path, change):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b''.join(change(lines)))


class WriterTest(ChainTest):

    def test_what_is_written_is_read(self):
        lines, remarks = self.read(self.write())
        self.assertEqual(
            ['run', 'attempt', 'attempt', 'attempt'],
            [line['kind'] for line in lines])
        self.assertEqual({'one'}, {line['run'] for line in lines})
        self.assertEqual('server-2', lines[-1]['server_id'])
        self.assertEqual([], remarks)

    def test_a_file_that_is_there_is_not_touched(self):
        path = self.write()
        before = path.read_bytes()
        exc = self.assertRaises(
            chain.RecordsError, chain.Writer, self.directory, 'one')
        self.assertIn('%s cannot be made: File exists' % path, str(exc))
        self.assertEqual(before, path.read_bytes())

    def test_directories_are_made(self):
        path = builders.write(self.directory / 'a' / 'b', 'one', [])
        self.assertEqual(1, len(self.read(path)[0]))

    def test_the_envelope_is_not_for_the_body(self):
        self.assertRaises(
            ValueError, chain.Chain('one').append, 'run', {'schema': 2})

    def test_no_figure_that_is_none(self):
        lines = chain.Chain('one')
        self.assertRaises(
            ValueError, lines.append, 'run', {'value': float('nan')})
        self.assertEqual((0, chain.NOTHING), (lines.count, lines.previous))

    def test_a_disk_that_is_full(self):
        writer = chain.Writer(self.directory, 'one')
        self.addCleanup(writer.close)
        self.useFixture(fixtures.MockPatchObject(
            os, 'write', side_effect=OSError(28, 'No space left on device')))
        exc = self.assertRaises(
            chain.RecordsError, writer.append, 'run', builders.run_line())
        self.assertIn('No space left on device', str(exc))

    def test_a_disk_that_is_full_for_a_while(self):
        writer = chain.Writer(self.directory, 'one')
        self.addCleanup(writer.close)
        writer.append('run', builders.run_line())
        write = os.write

        def full(descriptor, text):
            if len(text) < 20:
                raise OSError(28, 'No space left on device')
            return write(descriptor, text[:19])

        for module, name, broken in (
                (os, 'write', full),
                (os, 'replace', mock.Mock(side_effect=OSError(5, 'broken')))):
            with fixtures.MockPatchObject(module, name, broken):
                self.assertRaises(chain.RecordsError, writer.append,
                                  'attempt', builders.attempt_line(1))
        writer.append('attempt', builders.attempt_line(2))
        reader = chain.Reader(writer.path)
        self.assertEqual(['run', 'attempt'],
                         [line['kind'] for line in reader])
        self.assertEqual([], reader.remarks)

    def test_a_head_that_cannot_be_written_leaves_nothing(self):
        writer = chain.Writer(self.directory, 'one')
        self.addCleanup(writer.close)
        with fixtures.MockPatchObject(os, 'replace', side_effect=OSError(
                13, 'Permission denied')):
            self.assertRaises(chain.RecordsError, writer.append, 'run',
                              builders.run_line())
        self.assertEqual([writer.path], list(self.directory.iterdir()))


class AlteredTest(ChainTest):

    def test_each_line_that_is_missing_shows(self):
        for number in range(4):
            path = self.write('without %d' % number)
            self.alter(path, lambda lines, number=number: (
                lines[:number] + lines[number + 1:]))
            self.assert_refused(path, 'was altered')

    def test_each_line_that_was_edited_shows(self):
        for number in range(4):
            path = self.write('edited %d' % number)

            def edit(lines, number=number):
                line = json.loads(lines[number])
                line['written_at'] = '2020-01-01T00:00:00.000+00:00'
                lines[number] = json.dumps(line).encode() + b'\n'
                return lines

            self.alter(path, edit)
            self.assert_refused(path, 'was altered')

    def test_lines_that_changed_places(self):
        path = self.write()
        self.alter(path, lambda lines: [
            lines[0], lines[2], lines[1], lines[3]])
        self.assert_refused(path, 'was altered', 'line 2')

    def test_a_line_that_was_put_in_twice(self):
        path = self.write()
        self.alter(path, lambda lines: lines[:2] + lines[1:])
        self.assert_refused(path, 'was altered', 'line 3')

    def test_a_crash_between_line_and_head(self):
        path = self.write()
        third = path.read_bytes().splitlines()[2]
        chain.head_path(path).write_text(json.dumps(
            {'lines': 3, 'digest': chain.digest(third)}))
        lines, remarks = self.read(path)
        self.assertEqual(4, len(lines))
        self.assertIn('a line more than its head', *remarks)

    def test_lines_that_were_added_at_the_end(self):
        path = self.write()
        second = path.read_bytes().splitlines()[1]
        chain.head_path(path).write_text(json.dumps(
            {'lines': 2, 'digest': chain.digest(second)}))
        self.assert_refused(path, 'was altered', '4 lines', 'line 2')

    def test_a_crash_in_a_line(self):
        path = self.write()
        with open(path, 'ab') as records:
            records.write(b'{"schema": 1, "prev')
        lines, (remark,) = self.read(path)
        self.assertEqual(4, len(lines))
        self.assertIn('in the middle of line 5', remark)

    def test_cut_off_before_its_head(self):
        path = self.write()
        self.alter(path, lambda lines: lines[:-1] + [lines[-1][:20]])
        self.assert_refused(path, 'it has 3 lines, and had 4')

    def test_without_a_head_there_is_a_remark(self):
        path = self.write()
        chain.head_path(path).unlink()
        lines, (remark,) = self.read(path)
        self.assertEqual(4, len(lines))
        self.assertIn('nobody can tell whether lines are missing', remark)

    def test_a_head_that_is_none(self):
        path = self.write()
        for text in ('', '[]', '{"lines": "many"}'):
            chain.head_path(path).write_text(text)
            exc = self.assertRaises(chain.RecordsError, self.read, path)
            self.assertIn(str(chain.head_path(path)), str(exc))


class BadFileTest(ChainTest):

    def test_bad_files(self):
        path = self.directory / 'bad.jsonl'
        for text, said in (
                ('', 'has no record'),
                ('{}\n', 'line 1 of'), ('no JSON\n', 'line 1 of'),
                ('[1]\n', 'is no record')):
            path.write_text(text)
            self.assert_refused(path, said)

    def test_no_file(self):
        self.assert_refused(
            self.directory / 'none.jsonl', 'No such file or directory')
        exc = self.assertRaises(
            chain.RecordsError, self.read, self.directory)
        self.assertIn('Is a directory', str(exc))

    def test_another_version(self):
        path = self.write()
        self.alter(path, lambda lines: [
            lines[0], lines[1].replace(b'"schema": 1', b'"schema": 2')])
        self.assert_refused(path, 'line 2', 'version 2', 'version 1')


class CollectionTest(ChainTest):

    def test_a_line_that_lacks_something(self):
        line = builders.attempt_line()
        del line['verdict']
        path = builders.write(self.directory, 'one', [('attempt', line)])
        exc = self.assertRaises(chain.RecordsError, collection.read, [path])
        self.assertIn("line 2 of %s is not as its schema has it: "
                      "KeyError('verdict')" % path, str(exc))

    def test_the_same_run_twice(self):
        path = self.write()
        exc = self.assertRaises(
            chain.RecordsError, collection.read, [path, path])
        self.assertIn('hold the same run, one', str(exc))

    def test_several_files(self):
        read = collection.read([self.write('one'), self.write('two', 1)])
        self.assertEqual(['one', 'two'], [run.name for run in read.runs])
        self.assertEqual(['one'] * 3 + ['two'],
                         [each.run for each in read.attempts])

    def test_an_attempt(self):
        path = builders.write(self.directory, 'one', [
            ('attempt', builders.attempt_line(1)),
            ('attempt', builders.failed_line(2, icmp=None, tcp=None))])
        good, bad = collection.read([path]).attempts
        self.assertEqual((True, True), (good.good, good.completed))
        self.assertEqual((False, False), (bad.good, bad.completed))
        self.assertEqual(
            collection.Longest(0.25, 0.015, 1.0, 6.0), good.outage)
        self.assertEqual((0.18, 6.0, 2.0), (
            good.downtime_s, good.service_s, good.queue_s))
        self.assertEqual('block, tunnelled off', str(good.cell))
        self.assertEqual(
            (None, None, None, None),
            (bad.outage, bad.stall, bad.downtime_s, bad.service_s))

    def test_a_drain(self):
        path = builders.write(self.directory, 'one', [
            ('drain', builders.drain_line()),
            ('drain', builders.drain_line(
                'drain-2', hosts=None, observed_concurrency=[],
                left_over=['a binding']))])
        whole, bare = collection.read([path]).drains
        self.assertEqual((1, 1.0, 1, 'direct', True), (
            whole.ran, whole.ran_mean, whole.queued, whole.transport,
            whole.good))
        self.assertEqual(20, len(whole.samples['compute1']))
        self.assertEqual(
            (None, '', {}, False),
            (bare.ran, bare.transport, bare.samples, bare.good))
