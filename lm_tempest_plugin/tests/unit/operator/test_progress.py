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

import pathlib

import fixtures

from lm_tempest_plugin.operator import progress
from lm_tempest_plugin.results import chain
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

ENDED = {
    'attempt': 'drain-1/1', 'drain': 'drain-1', 'server_id': 's1',
    'source': 'compute1', 'destination': 'compute2',
    'requested_at': builders.iso(0), 'duration_s': 9.25,
    'record_status': 'completed', 'server_status': 'ACTIVE',
    'given_up': False}


class ProgressTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.progress = progress.Progress(4, lambda: self.now)
        self.chain = chain.Chain('run-1')

    def take(self, kind, body):
        return self.progress.record(self.chain.append(kind, body))

    def test_run(self):
        self.assertEqual(
            'run run-1: compute API 2.104, hosts compute1 (QEMU 10.0.2), '
            'compute2 (QEMU 10.0.2)', self.take('run', builders.run_line()))

    def test_what_is_left(self):
        self.assertEqual('0 of about 4', self.progress.left())
        self.now += 100
        self.assertEqual(
            'server s1, compute1 to compute2: completed after 9.2 s (1 of '
            'about 4, about 5 min left)', self.take('ended', ENDED))
        for _ in range(2):
            self.take('ended', ENDED)
        self.assertEqual('3 of about 4, about 33 s left',
                         self.progress.left())
        self.take('ended', ENDED)
        self.assertEqual('4 of about 4, nearly done', self.progress.left())
        self.take('ended', ENDED)
        self.assertEqual('5 of about 5, nearly done', self.progress.left())

    def test_nobody_knows_how_many(self):
        self.progress = progress.Progress(0)
        self.take('ended', ENDED)
        self.assertEqual('1 done', self.progress.left())

    def test_attempts(self):
        self.assertEqual('', self.take('attempt', builders.attempt_line()))
        said = self.take('attempt', builders.failed_line())
        self.assertIn('BAD: server guest-0, flavor lm.small: the verdict is '
                      'rolled back', said)
        self.assertEqual(1, self.progress.bad)

    def test_drains(self):
        self.assertEqual(
            'cell block, tunnelled off; window of 2; trip 1: 2 servers from '
            'compute1 to compute2 in 19.0 s; 0 of about 4',
            self.take('drain', builders.drain_line()))
        said = self.take('drain', builders.drain_line(
            source='', contradictions=['ran 2 at once']))
        self.assertIn('from several hosts', said)
        self.assertIn('BAD: ran 2 at once', said)

    def test_what_is_no_record(self):
        for line in (b'{', b'[]', b'{"kind": "ended"}'):
            self.assertIn('a record that cannot be read',
                          self.progress.record(line))

    def test_records_of_which_nothing_is_told(self):
        for kind in (b'began', b'failed', b'one of tomorrow'):
            self.assertEqual('', self.progress.record(
                b'{"kind": "%s"}' % kind))

    def test_output_of_tempest(self):
        for line, said in (
                ('{0} a.b.C.test_x [43.83s] ... ok', 'test test_x: ok'),
                ('{0} a.b.C.test_y [0.10s] ... FAILED',
                 'test test_y: FAILED'),
                ('{0} a.b.C.test_z ... SKIPPED: why', 'test test_z: SKIPPED:'
                 ' why'),
                ('{0} setUpClass (a.b.C) [0.0s] ... FAILED',
                 'test setUpClass (a.b.C): FAILED'),
                ('Traceback (most recent call last):', '')):
            self.assertEqual(said, self.progress.output(line.encode()))
        self.assertEqual({'ok': 1, 'failed': 2, 'skipped': 1},
                         self.progress.tests)

    def test_durations(self):
        for seconds, said in ((0.4, '0 s'), (89, '89 s'), (91, '2 min'),
                              (5300, '88 min'), (5400, '1 h 30 min'),
                              (7260, '2 h 01 min')):
            self.assertEqual(said,
                             progress.duration(seconds))


class FollowerTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.log = self.folder / 'log'
        self.follower = progress.Follower(
            self.folder / 'results', self.log, progress.Progress(2))

    def news(self):
        return list(self.follower.news())

    def test_nothing_yet(self):
        self.assertEqual([], self.news())

    def test_each_line_once_when_it_is_whole(self):
        self.log.write_text('{0} a.test_x [1.0s] ... o')
        self.assertEqual([], self.news())
        self.log.write_text('{0} a.test_x [1.0s] ... ok\n{0} a')
        self.assertEqual(['test test_x: ok'], self.news())
        self.assertEqual([], self.news())

    def test_records_of_several_processes(self):
        for run in ('a-1', 'a-2'):
            builders.write(self.folder / 'results', run,
                           [('ended', ENDED)])
        said = self.news()
        self.assertEqual(4, len(said))
        self.assertIn('2 of about 2', said[3])
        self.assertEqual([], self.news())
