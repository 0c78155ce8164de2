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
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

S = 1_000_000_000


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
            self.refused('is no recording of version 1')

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
        self.assertIn('allow_pickle', self.refused(
            'is no recording of version 1'))

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
