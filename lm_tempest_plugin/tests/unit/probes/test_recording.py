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

import dataclasses
import datetime
import json
import os
import stat
import tempfile
import time
from unittest import mock
import zipfile

import fixtures
import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

S = 1_000_000_000
PROBER = [
    'period_s', 'achieved_period_s', 'lateness_p50_s', 'lateness_p99_s',
    'lateness_max_s', 'max_gap_s', 'due', 'deadlines_missed',
    'send_errors', 'wall_clock_steps', 'kernel_stamps_refused',
    'answers_dropped', 'too_busy', 'remarks', 'cpu_s']
CALIBRATION = [
    'targets', 'duration_s', 'noise_floor_s', 'delay_p50_s', 'delay_p99_s',
    'achieved_period_s', 'lateness_p50_s', 'lateness_p99_s',
    'lateness_max_s', 'too_busy']
TARGET = [
    'address', 'error', 'sent', 'answered', 'late', 'lost',
    'scattered_losses', 'send_errors', 'longest_outage_s',
    'longest_outage_start_monotonic_s', 'error_bound_s',
    'longest_outage_open', 'outages_sum_s', 'outages_count', 'outages',
    'delay_p50_s', 'delay_p99_s', 'period_s', 'achieved_period_s',
    'max_gap_s', 'resolution_s', 'lateness_p50_s', 'lateness_p99_s',
    'lateness_max_s', 'duplicates', 'strangers', 'longest_outage_start',
    'tcp']
TCP = [
    'port', 'longest_stall_start_monotonic_s', 'longest_stall_start',
    'longest_stall_s', 'longest_stall_open', 'stall_error_bound_s',
    'never_echoed', 'messages_sent', 'messages_outstanding',
    'messages_lost', 'messages_repeated', 'messages_corrupt',
    'messages_corrupt_example', 'messages_skipped', 'last_sent',
    'last_echoed', 'connection_broken', 'breaks', 'breaks_total', 'resets',
    'closes', 'reconnects', 'connect_failures', 'connect_error',
    'retransmissions', 'error', 'trouble', 'period_s', 'achieved_period_s']


class ClocksTest(base.TestCase):

    def test_what_a_wall_clock_shows(self):
        clocks = recording.Clocks(7 * S, 1_700_000_000 * S)
        self.assertEqual(1_700_000_000.5, clocks.wall_s(7 * S + S // 2))
        self.assertEqual(1_699_999_998, clocks.wall_s(5 * S))

    def test_the_present(self):
        before_ns = time.monotonic_ns()
        clocks = recording.Clocks.now()
        self.assertTrue(
            before_ns <= clocks.monotonic_ns <= time.monotonic_ns())
        self.assertLess(abs(time.time_ns() - clocks.wall_ns), 60 * S)


class RecordingTest(base.TestCase):

    def test_how_long_it_lasted(self):
        self.assertEqual(10.0, fakes.recorded().duration_s)

    def test_the_quality_is_that_of_all_guests(self):
        found = fakes.recorded().quality
        self.assertEqual((2000, 0, 0.01), (
            found.due, found.deadlines_missed, found.period_s))
        self.assertEqual((3, 1, 2, 3), (
            found.send_errors, found.wall_clock_steps,
            found.kernel_stamps_refused, found.answers_dropped))


def field_values(one):
    """Return the fields of a dataclass, arrays as lists."""
    values = {}
    for field in dataclasses.fields(one):
        value = getattr(one, field.name)
        if isinstance(value, numpy.ndarray):
            value = value.dtype, value.tolist()
        elif isinstance(value, answers.Answers):
            value = field_values(value)
        values[field.name] = value
    return values


class ArchiveTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.folder, 'recording')

    def put(self, content):
        with open(self.path, 'wb') as stream:
            stream.write(content)

    def content(self):
        with open(self.path, 'rb') as stream:
            return stream.read()


class RoundTripTest(ArchiveTestCase):

    def again(self, recorded):
        recording.save(recorded, self.path)
        return recording.load(self.path)

    def assert_same(self, expected, loaded):
        for name in ('started', 'ended_ns', 'period_s', 'calibration',
                     'wall_clock_steps', 'kernel_stamps_refused',
                     'answers_dropped', 'cpu_s', 'quality', 'duration_s'):
            self.assertEqual(
                getattr(expected, name), getattr(loaded, name), name)
        for name in ('icmp', 'tcp'):
            one, other = getattr(expected, name), getattr(loaded, name)
            self.assertEqual(list(one), list(other))
            for address in one:
                self.assertEqual(field_values(one[address]),
                                 field_values(other[address]))

    def test_everything_comes_back(self):
        recorded = fakes.recorded()
        loaded = self.again(recorded)
        self.assert_same(recorded, loaded)
        self.assertIsInstance(
            loaded.tcp['192.0.2.1'].breaks[0].kind, tcp.BreakKind)
        # And once more, from the loaded recording.
        self.assert_same(recorded, self.again(loaded))

    def test_without_tcp_and_calibration(self):
        recorded = fakes.recorded(tcp={}, calibration=None)
        loaded = self.again(recorded)
        self.assert_same(recorded, loaded)
        self.assertIsNone(loaded.calibration)

    def test_nothing_was_asked(self):
        recorded = fakes.recorded(
            icmp={'192.0.2.1': fakes.observed(count=0)}, tcp={})
        self.assert_same(recorded, self.again(recorded))

    def test_no_guests(self):
        recorded = fakes.recorded(icmp={}, tcp={})
        self.assert_same(recorded, self.again(recorded))

    def test_names_that_are_no_file_names(self):
        for name in ('../guest', 'fe80::1%lo', 'g\u00e4st', 'a/b'):
            recorded = fakes.recorded(
                icmp={name: fakes.observed(name, 3)}, tcp={})
            self.assert_same(recorded, self.again(recorded))

    def test_times_of_years_are_exact(self):
        seen = fakes.observed(count=5)
        shift_ns = 10 * 365 * 86400 * 10 ** 9 + 1
        seen = dataclasses.replace(
            seen, due_ns=seen.due_ns + shift_ns,
            sent_ns=seen.sent_ns + shift_ns,
            answered_ns=seen.answered_ns + shift_ns)
        recorded = fakes.recorded(icmp={seen.target: seen}, tcp={})
        self.assert_same(recorded, self.again(recorded))

    def test_little_room_is_taken(self):
        generator = numpy.random.default_rng(1)
        seen = fakes.observed(count=100_000, lost=range(70_000, 70_300))
        late_ns = generator.gamma(2, 30_000, 100_000).astype(numpy.int64)
        delays_us = 400 + generator.gamma(2, 40, 100_000).astype(
            numpy.int64)
        sent_ns = seen.due_ns + late_ns
        seen = dataclasses.replace(
            seen, sent_ns=sent_ns, answered_ns=numpy.where(
                seen.answered, sent_ns + 1000 * delays_us,
                answers.UNANSWERED))
        recorded = fakes.recorded(icmp={seen.target: seen}, tcp={})
        self.assert_same(recorded, self.again(recorded))
        self.assertLess(os.path.getsize(self.path), 8 * 100_000)


class SaveTest(ArchiveTestCase):

    def test_a_file_that_is_there_is_replaced(self):
        self.put(b'old')
        recording.save(fakes.recorded(), self.path)
        recording.load(self.path)
        self.assertEqual(['recording'], os.listdir(self.folder))

    def test_the_mode_is_that_of_other_files(self):
        for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0, 0o666)):
            before = os.umask(mask)
            try:
                recording.save(fakes.recorded(), self.path)
            finally:
                os.umask(before)
            self.assertEqual(mode, stat.S_IMODE(os.stat(self.path).st_mode))

    def test_it_is_written_beside_and_then_moved(self):
        names = []
        replace = os.replace

        def note(source, target):
            self.assertEqual(self.path, target)
            self.assertEqual([os.path.basename(source)],
                             os.listdir(self.folder))
            names.append(source)
            replace(source, target)

        with mock.patch.object(os, 'replace', autospec=True,
                               side_effect=note):
            recording.save(fakes.recorded(), self.path)
        name, = names
        self.assertRegex(
            os.path.basename(name), r'^\.recording\.[a-z0-9_]{8}$')
        self.assertEqual(['recording'], os.listdir(self.folder))

    def test_what_lies_there_already_is_not_written_to(self):
        scratch = os.path.join(self.folder, '.recording.taken')
        with open(scratch, 'wb') as stream:
            stream.write(b'of somebody else')
        with mock.patch.object(
                tempfile, '_get_candidate_names', autospec=True,
                return_value=iter(('taken', 'free'))):
            recording.save(fakes.recorded(), self.path)
        recording.load(self.path)
        with open(scratch, 'rb') as stream:
            self.assertEqual(b'of somebody else', stream.read())

    def test_a_path_without_a_folder(self):
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        recording.save(fakes.recorded(), 'recording')
        recording.load('recording')

    def test_no_folder(self):
        path = os.path.join(self.folder, 'nowhere', 'recording')
        exc = self.assertRaises(
            errors.ProbeError, recording.save, fakes.recorded(), path)
        self.assertIn('cannot be written to %s' % path, str(exc))
        self.assertEqual([], os.listdir(self.folder))

    def test_a_folder_is_not_replaced(self):
        os.mkdir(self.path)
        self.assertRaises(
            errors.ProbeError, recording.save, fakes.recorded(), self.path)
        self.assertEqual(['recording'], os.listdir(self.folder))

    def _test_failure(self, error, expected):
        self.put(b'old')

        def write(stream, **arrays):
            stream.write(b'half of it')
            raise error

        with mock.patch.object(numpy, 'savez_compressed', autospec=True,
                               side_effect=write):
            exc = self.assertRaises(
                expected, recording.save, fakes.recorded(), self.path)
        self.assertEqual(b'old', self.content())
        self.assertEqual(['recording'], os.listdir(self.folder))
        return str(exc)

    def test_a_full_disk_leaves_the_old_file_and_nothing_else(self):
        self.assertIn('No space left', self._test_failure(
            OSError(28, 'No space left on device'), errors.ProbeError))

    def test_so_does_an_interruption(self):
        self._test_failure(SystemExit('interrupted'), SystemExit)

    def test_a_failing_replacement(self):
        self.put(b'old')
        with mock.patch.object(os, 'replace', autospec=True,
                               side_effect=PermissionError(13, 'no')):
            self.assertRaises(errors.ProbeError, recording.save,
                              fakes.recorded(), self.path)
        self.assertEqual(b'old', self.content())
        self.assertEqual(['recording'], os.listdir(self.folder))


class LoadTest(ArchiveTestCase):

    def refused(self, start):
        exc = self.assertRaises(
            errors.ProbeError, recording.load, self.path)
        self.assertIn('%s %s' % (self.path, start), str(exc))
        self.assertNotIn('\n', str(exc))
        return str(exc)

    def header(self, old, new):
        """Save a recording, and replace something in its header."""
        recording.save(fakes.recorded(), self.path)
        with numpy.load(self.path) as loaded:
            arrays = dict(loaded)
        header = arrays[recording.HEADER].tobytes()
        self.assertIn(old, header)
        arrays[recording.HEADER] = numpy.frombuffer(
            header.replace(old, new), numpy.uint8)
        with open(self.path, 'wb') as stream:
            numpy.savez_compressed(stream, **arrays)

    def test_no_file(self):
        self.assertIn('No such file', self.refused('cannot be read'))

    def test_a_folder(self):
        os.mkdir(self.path)
        self.refused('cannot be read')

    def test_not_a_recording(self):
        for content in (b'hello\n', b'{"a": 1}', b'PK\x03\x04', b'PK\x05\x06',
                        b'\x93NUMPY\x01\x00', b'\x80\x04]\x94.'):
            self.put(content)
            reason = self.refused('is no recording of version 1')
            if not content.startswith(b'PK'):
                self.assertIn('it is not a zip archive', reason)
            self.assertNotIn('pickle', reason)

    def test_an_empty_file(self):
        self.put(b'')
        self.refused('is no recording of version 1')

    def test_one_array(self):
        with open(self.path, 'wb') as stream:
            numpy.save(stream, numpy.arange(3))
        self.refused('is no recording of version 1')

    def test_objects_are_not_unpickled(self):
        with open(self.path, 'wb') as stream:
            numpy.savez(stream, header=numpy.array([{}], object))
        reason = self.refused('is no recording of version 1')
        self.assertIn('it contains Python objects', reason)
        self.assertNotIn('allow_pickle', reason)

    def test_another_archive(self):
        with zipfile.ZipFile(self.path, 'w') as zipped:
            zipped.writestr('other', 'content')
        self.refused('is no recording of version 1')
        with zipfile.ZipFile(self.path, 'w') as zipped:
            zipped.writestr('header', 'content')
        self.refused('is no recording of version 1')

    def test_another_version(self):
        self.header(b'"version": 1', b'"version": 2')
        self.assertIn('version 2', self.refused(
            'is no recording of version 1'))

    def test_another_format(self):
        self.header(recording.FORMAT.encode(), b'something else')
        self.assertIn('something else', self.refused(
            'is no recording of version 1'))

    def test_the_header_does_not_fit(self):
        for old, new in ((b'"ended_ns"', b'"ending"'),
                         (b'"strangers"', b'"unheard_of"'),
                         (b'"reset"', b'"vanished"'),
                         (b'"icmp": [', b'"icmp": [{}, '),
                         (b'{"format"', b'[{"format"'),
                         (b'"started": {', b'"started": null, "x": {')):
            self.header(old, new)
            self.refused('is no recording of version 1')

    def test_a_part_is_missing(self):
        recording.save(fakes.recorded(), self.path)
        content = self.content()
        for size in (10, len(content) // 2, len(content) - 1):
            self.put(content[:size])
            self.refused('is no recording of version 1')

    def test_a_byte_was_altered(self):
        recording.save(fakes.recorded(), self.path)
        content = self.content()
        for place in range(40, len(content), len(content) // 60):
            altered = bytearray(content)
            altered[place] ^= 0xff
            self.put(altered)
            # Some bytes have no meaning.
            try:
                recording.load(self.path)
            except errors.ProbeError as exc:
                self.assertIn(self.path, str(exc))


def items(value):
    """Yield each name with its value, at any depth."""
    if isinstance(value, dict):
        for name, content in value.items():
            yield name, content
            yield from items(content)
    elif isinstance(value, list):
        for content in value:
            yield from items(content)


class DocumentTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.recorded = fakes.recorded()
        self.document = recording.document(self.recorded)
        self.well, self.silent = self.document['targets']

    def only(self, seen, **kwargs):
        """Return the entry of one guest."""
        target, = recording.document(fakes.recorded(
            icmp={seen.target: seen}, tcp={}, **kwargs))['targets']
        return target

    def tcp_error(self, **kwargs):
        """Return the error of a guest that answers to ICMP."""
        stream = dataclasses.replace(
            self.recorded.tcp['192.0.2.1'], **kwargs)
        target, _ = recording.document(fakes.recorded(
            tcp={'192.0.2.1': stream}))['targets']
        return target['error']

    def test_the_observation(self):
        self.assertEqual(
            ('2023-11-14T22:13:20.000+00:00', 5000.0, 10.0, 0.01), tuple(
                self.document[name] for name in (
                    'started', 'started_monotonic_s', 'duration_s',
                    'interval_s')))
        self.assertEqual(recording.SCHEMA, self.document['schema'])
        self.assertEqual(
            ['192.0.2.1', '2001:db8::1'],
            [target['address'] for target in self.document['targets']])

    def test_json_takes_it_as_it_is(self):
        self.assertEqual(self.document, json.loads(
            json.dumps(self.document, allow_nan=False)))

    def test_all_that_is_a_time_says_its_unit(self):
        for name, value in items(self.document):
            if isinstance(value, float):
                self.assertTrue(name.endswith('_s'), name)
            if name.endswith('_s') and value is not None:
                self.assertIsInstance(value, float, name)

    def test_times_of_day_say_their_zone(self):
        seen = 0
        for name, value in items(self.document):
            if value and (name.endswith('start') or name == 'started'):
                seen += 1
                at = datetime.datetime.fromisoformat(value)
                self.assertEqual(datetime.timedelta(0), at.utcoffset())
                self.assertEqual(
                    1_700_000_000, at.timestamp() // 100 * 100)
        # Of the observation; twice of each outage; of each stall.
        self.assertEqual(1 + 2 * 2 + 2, seen)

    def test_the_longest_outage(self):
        self.assertEqual(1, self.well['outages_count'])
        outage, = self.well['outages']
        for value in (self.well['longest_outage_s'],
                      self.well['outages_sum_s'], outage['duration_s']):
            self.assertLess(abs(value - 1.0), self.well['error_bound_s'])
        self.assertTrue(0 < self.well['error_bound_s'] < 0.02)
        self.assertEqual(
            (1000, 900, 100, 0, False), tuple(self.well[name] for name in (
                'sent', 'answered', 'lost', 'late', 'longest_outage_open')))
        # Between the requests at 2.99 and 3.00 s.
        self.assertEqual(
            '2023-11-14T22:13:22.995', self.well['longest_outage_start'][:23])
        self.assertEqual(self.well['longest_outage_start'], outage['start'])
        self.assertAlmostEqual(
            5002.995, self.well['longest_outage_start_monotonic_s'],
            delta=0.0001)

    def test_no_outage(self):
        target = self.only(fakes.observed())
        self.assertEqual(
            (0.0, None, None, [], None), tuple(target[name] for name in (
                'longest_outage_s', 'longest_outage_start',
                'longest_outage_start_monotonic_s', 'outages', 'error')))
        self.assertGreater(target['error_bound_s'], 0)
        self.assertEqual(0.0, target['outages_sum_s'])
        self.assertIsInstance(target['outages_sum_s'], float)

    def test_it_never_answered(self):
        self.assertIn('2001:db8::1 never answered', self.silent['error'])
        self.assertTrue(self.silent['longest_outage_open'])
        self.assertAlmostEqual(
            10, self.silent['longest_outage_s'],
            delta=self.silent['error_bound_s'] + 0.0001)

    def test_it_answered_only_once(self):
        target = self.only(fakes.observed(lost=range(1, 1000)))
        self.assertTrue(target['longest_outage_open'])
        # It cannot have begun before the first question.
        self.assertAlmostEqual(10, target['longest_outage_s'],
                               delta=target['error_bound_s'] + 0.0001)
        self.assertIsNone(target['error'])

    def test_what_could_not_be_sent(self):
        self.assertIn('3 requests could not be sent to 2001:db8::1: no '
                      'buffer space; ', self.silent['error'])
        # Where nothing was sent, nothing could be answered.
        target = self.only(fakes.observed(
            count=0, send_errors=1000, send_error='no route to host'))
        self.assertEqual(
            '1000 requests could not be sent to 192.0.2.1: no route to host',
            target['error'])

    def test_it_was_never_asked(self):
        target = self.only(fakes.observed(count=0))
        self.assertEqual(
            '192.0.2.1 was never probed: the duration is shorter than one '
            'interval', target['error'])
        self.assertEqual((0, 0, []), (
            target['sent'], target['lost'], target['outages']))

    def test_asked_once_it_was_asked(self):
        self.assertIsNone(self.only(fakes.observed(count=1))['error'])

    def test_the_gap_before_the_first_question_counts(self):
        started = recording.Clocks(
            fakes.BEGIN_NS - 2000 * fakes.MS,
            fakes.BEGIN_WALL_NS - 2000 * fakes.MS)
        target = self.only(fakes.observed(), started=started)
        self.assertAlmostEqual(2.0, target['max_gap_s'], delta=0.01)
        self.assertLess(
            self.only(fakes.observed())['max_gap_s'], 0.02)

    def test_trouble_with_tcp_is_named(self):
        self.assertIn('; TCP port 7 of 2001:db8::1: connection refused (20 '
                      'attempts)', self.silent['error'])
        self.assertIn(self.silent['tcp']['trouble'], self.silent['error'])
        self.assertTrue(self.silent['tcp']['never_echoed'])

    def test_a_guest_that_is_well_has_no_error(self):
        # Even though its connection broke: that is a figure.
        self.assertIsNone(self.tcp_error(corrupt=0))

    def test_lines_that_were_never_sent(self):
        self.assertEqual(
            'TCP port 7 of 192.0.2.1 sent back 2 lines that it was never '
            'sent, the first: \u201cx\u201d', self.well['error'])

    def test_they_are_named_once_where_the_connection_was_given_up(self):
        self.assertEqual(
            'it does not echo',
            self.tcp_error(connected=False, error='it does not echo'))

    def test_what_came_that_was_not_expected(self):
        self.assertEqual((1, 2), (
            self.well['duplicates'], self.well['strangers']))
        self.assertEqual((0, 0), (
            self.silent['duplicates'], self.silent['strangers']))

    def test_the_longest_stall(self):
        tcp = self.well['tcp']
        # From the echo of message 59 to that of message 80.
        self.assertAlmostEqual(1.05, tcp['longest_stall_s'], delta=0.001)
        self.assertEqual('2023-11-14T22:13:22.950',
                         tcp['longest_stall_start'][:23])
        self.assertEqual(
            (7, False, 1, 1, 20, 5, 199, 199), tuple(tcp[name] for name in (
                'port', 'longest_stall_open', 'resets', 'reconnects',
                'messages_lost', 'retransmissions', 'last_sent',
                'last_echoed')))
        self.assertFalse([name for name in tcp if name.startswith('tcp_')])

    def test_without_tcp_and_calibration(self):
        recorded = fakes.recorded(tcp={}, calibration=None)
        document = recording.document(recorded)
        self.assertIsNone(document['calibration'])
        self.assertEqual(
            [None, None], [one['tcp'] for one in document['targets']])

    def test_the_prober_and_the_calibration(self):
        prober = self.document['prober']
        self.assertEqual((3, 1, 2, 3), tuple(prober[name] for name in (
            'send_errors', 'wall_clock_steps', 'kernel_stamps_refused',
            'answers_dropped')))
        self.assertTrue(prober['too_busy'])
        self.assertEqual(4, len(prober['remarks']))
        self.assertEqual(0.0007, self.document['calibration'][
            'noise_floor_s'])

    def test_the_same_from_a_file(self):
        path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'recording')
        recording.save(self.recorded, path)
        self.assertEqual(
            self.document, recording.document(recording.load(path)))

    def test_an_outage(self):
        found = recording._outage(self.recorded, schema.Outage(
            start_ns=1000 * fakes.MS, end_ns=1250 * fakes.MS,
            duration_s=0.25, error_bound_s=0.01, lost=20, late=5,
            kind='mixed', open=False))
        del found['start']
        self.assertEqual({
            'start_monotonic_s': 1.0, 'end_monotonic_s': 1.25,
            'duration_s': 0.25, 'error_bound_s': 0.01, 'lost': 20,
            'late': 5, 'kind': 'mixed', 'open': False}, found)

    def test_its_keys_stay_the_same_for_other_programs(self):
        self.assertEqual(
            ['schema', 'started', 'started_monotonic_s', 'duration_s',
             'interval_s', 'prober', 'calibration', 'targets'],
            list(self.document))
        self.assertEqual(PROBER, list(self.document['prober']))
        self.assertEqual(CALIBRATION, list(self.document['calibration']))
        for target in self.document['targets']:
            self.assertEqual(TARGET, list(target))
            self.assertEqual(TCP, list(target['tcp']))
