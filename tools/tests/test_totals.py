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

import io
import os
import pathlib
import tempfile
from unittest import mock

import fixtures
from stestr.repository import file as file_repository
import subunit
import testtools

from tools import totals


def stream_of(*events):
    """Return a subunit stream of (test id, status) pairs."""
    raw = io.BytesIO()
    stream = subunit.StreamResultToBytes(raw)
    for test_id, status in events:
        stream.status(test_id=test_id, test_status=status)
    raw.seek(0)
    return raw


def printed(stream):
    """Return the text written to a stream that capture() made."""
    return stream.buffer.getvalue().decode()


class CountTest(testtools.TestCase):

    def test_each_kind_of_result(self):
        stream = stream_of(('a', 'inprogress'), ('a', 'success'),
                           ('b', 'inprogress'), ('b', 'fail'),
                           ('c', 'skip'),
                           ('d', 'xfail'),
                           ('e', 'uxsuccess'))
        self.assertEqual(totals.Totals(passed=2, failed=2, skipped=1),
                         totals.count(stream))

    def test_nothing(self):
        self.assertEqual(totals.Totals(), totals.count(io.BytesIO()))

    def test_listed_only(self):
        self.assertEqual(totals.Totals(),
                         totals.count(stream_of(('a', 'exists'))))

    def test_never_ended(self):
        stream = stream_of(('a', 'inprogress'), ('b', 'success'))
        self.assertEqual(totals.Totals(passed=1, failed=1),
                         totals.count(stream))

    def test_cut_short(self):
        whole = stream_of(('a', 'inprogress'), ('b', 'inprogress')).getvalue()
        self.assertEqual(totals.Totals(failed=1),
                         totals.count(io.BytesIO(whole[:-4])))

    def test_worker_ended_badly(self):
        stream = stream_of(('process-returncode', 'fail'))
        self.assertEqual(totals.Totals(failed=1), totals.count(stream))

    def test_worker_ended_badly_beside_a_failure(self):
        stream = stream_of(('a', 'fail'), ('b', 'success'),
                           ('process-returncode', 'fail'))
        self.assertEqual(totals.Totals(passed=1, failed=1),
                         totals.count(stream))

    def test_sum_and_text(self):
        total = totals.Totals(1, 2, 3) + totals.Totals(10, 20, 30)
        self.assertEqual('11 passed, 22 failed, 33 skipped', str(total))


class RepositoryTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.stdout = self.capture('stdout')
        self.stderr = self.capture('stderr')

    def capture(self, name):
        """Capture printed text; with a buffer, because subunit needs one."""
        stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
        self.useFixture(fixtures.MonkeyPatch('sys.' + name, stream))
        return stream

    def folder(self, *events):
        """A folder with a repository that holds one run of these events."""
        path = self.useFixture(fixtures.TempDir()).path
        repository = file_repository.RepositoryFactory().initialise(path)
        inserter = repository.get_inserter()
        inserter.startTestRun()
        for test_id, status in events:
            inserter.status(test_id=test_id, test_status=status)
        inserter.stopTestRun()
        return path

    def test_last_run(self):
        folder = self.folder(('a', 'success'), ('b', 'skip'))
        self.assertEqual(totals.Totals(passed=1, skipped=1),
                         totals.last_run(folder))

    def test_no_repository(self):
        with tempfile.TemporaryDirectory() as empty:
            e = self.assertRaises(totals.NoResults, totals.last_run, empty)
        self.assertIn('no test run found', str(e))
        self.assertIn(empty, str(e))

    def test_no_run(self):
        folder = self.useFixture(fixtures.TempDir()).path
        file_repository.RepositoryFactory().initialise(folder)
        self.assertRaises(totals.NoResults, totals.last_run, folder)

    def test_no_test(self):
        e = self.assertRaises(totals.NoResults, totals.last_run,
                              self.folder())
        self.assertIn('no test ran', str(e))

    def test_old_run(self):
        folder = self.folder(('a', 'success'))
        recorded = pathlib.Path(folder, '.stestr', '0')
        os.utime(recorded, (1000, 1000))
        self.assertEqual(totals.Totals(passed=1),
                         totals.last_run(folder, since=1000))
        e = self.assertRaises(totals.NoResults, totals.last_run, folder,
                              since=1001)
        self.assertIn('too old', str(e))

    def test_main_adds_up(self):
        folders = [self.folder(('a', 'success')),
                   self.folder(('b', 'success'), ('c', 'fail'))]
        self.assertEqual(0, totals.main(folders))
        self.assertEqual('2 passed, 1 failed, 0 skipped\n',
                         printed(self.stdout))

    def test_main_counts_what_there_is(self):
        folder = self.folder(('a', 'success'))
        missing = os.path.join(folder, 'nowhere')
        self.assertEqual(1, totals.main([missing, folder]))
        self.assertEqual('1 passed, 0 failed, 0 skipped\n',
                         printed(self.stdout))
        self.assertIn(missing, printed(self.stderr))

    def test_main_title(self):
        self.assertEqual(0, totals.main(['--title', 'unit tests: ',
                                         self.folder(('a', 'success'))]))
        self.assertEqual('unit tests: 1 passed, 0 failed, 0 skipped\n',
                         printed(self.stdout))

    def test_main_reads_the_command_line(self):
        folder = self.folder(('a', 'success'))
        with mock.patch('sys.argv', ['totals.py', '--since', '0', folder]):
            self.assertEqual(0, totals.main())
