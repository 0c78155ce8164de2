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

import fixtures
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.migration import cells
from lm_tempest_plugin.migration import concurrency
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import observation
from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection
from lm_tempest_plugin.tests.live_migration_ha import recorder
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.results import builders as lines

LEG = recorder.Leg(
    'a.test', observation.Declared(
        cells.Cell(1, tunnelled=False), cells.Storage.SHARED),
    strategies.window(2), 3, True, 'alpha', 'beta')


def about():
    return recorder.about('RegionOne', '2.104', [{
        'service': {'host': host}, 'hypervisor_type': 'QEMU',
        'hypervisor_version': 10000002} for host in ('alpha', 'beta')],
        {'alpha': '9.0.0'})


class RecorderTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.recorder = recorder.Recorder(self.directory, 'a run', about)
        self.found = builders.finding()

    def record(self, *found, **kwargs):
        recording = self.recorder.begin(LEG, [
            each.attempt.request.server_id for each in found])
        ended_ns = max(each.attempt.ended_ns for each in found)
        recording.finish(**{
            'drained': drain.Drained(
                [each.attempt for each in found],
                [concurrency.Observed('alpha', 1, 1, 1.0, 9.0, 0.5, 1)],
                0, ended_ns, 40, 0),
            'found': found, 'left_over': [], 'contradictions': [],
            'hosts': None, **kwargs})
        return recording

    def read(self):
        return collection.read(
            os.path.join(self.directory, name)
            for name in os.listdir(self.directory)
            if name.endswith(chain.SUFFIX))

    def test_what_is_written_can_be_read(self):
        self.record(self.found)
        read = self.read()
        attempt, = read.attempts
        whole, = read.drains
        self.assertEqual(
            ('drain-1', 'drain-1', 'window of 2', 3, 'completed', True),
            (attempt.drain, whole.identifier, attempt.strategy,
             attempt.trip, attempt.verdict, attempt.good))
        self.assertEqual(
            'shared, max concurrent live migrations 1, tunnelled off',
            str(attempt.cell))
        self.assertEqual(self.found.attempt.duration_s, attempt.duration_s)
        self.assertEqual(
            self.found.continuity.outage.longest_s, attempt.outage.seconds)
        self.assertEqual((1, 1.0, 1), (
            whole.ran, whole.ran_mean, whole.queued))
        self.assertEqual(([], []), (read.unjudged, read.remarks))

    def test_times_of_day(self):
        self.record(self.found)
        attempt, = self.read().attempts
        run, = self.read().runs
        self.assertAlmostEqual(
            attempt.requested_s - attempt.requested_monotonic_s,
            self.read().drains[0].began_s, delta=0.01)
        self.assertAlmostEqual(
            run.started_s, chain.datetime.datetime.now().timestamp(),
            delta=60)

    def test_the_run(self):
        self.record(self.found)
        run, = self.read().runs
        self.assertEqual('a run-%d' % os.getpid(), run.name)
        self.assertEqual(
            [('alpha', '10.0.2', '9.0.0'), ('beta', '10.0.2', None)],
            [(each['host'], each['version'], each['libvirt'])
             for each in run.body['cloud']['hypervisors']])

    def test_builders_have_what_is_written(self):
        """What other unit tests take for a record has the same parts."""
        recording = self.record(self.found)
        began, ended, attempt, whole = map(json.loads, recording.written)
        self.assertEqual([self.found.attempt.request.server_id],
                         began['server_ids'])
        for line, built in ((attempt, lines.attempt_line()),
                            (whole, lines.drain_line())):
            self.assertEqual(set(), set(built) - set(line))
        for part in ('icmp', 'tcp', 'icmp_control', 'flavor', 'cell'):
            self.assertEqual(
                set(), set(lines.attempt_line()[part]) -
                {'tunnelled'} - set(attempt[part]), part)
        self.assertEqual(
            set(lines.drain_line()['observed_concurrency'][0]),
            set(whole['observed_concurrency'][0]))

    def test_a_run_that_was_killed(self):
        server_id = self.found.attempt.request.server_id
        recording = self.recorder.begin(LEG, [server_id, 'another'])
        for known in ('it was under way', 'record completed'):
            read = self.read()
            self.assertEqual([], read.attempts)
            told, another = read.unjudged
            self.assertIn(server_id, told)
            self.assertIn(known, told)
            self.assertEqual(
                'server another from alpha to beta: it was under way',
                another)
            recording.look([self.found.attempt])
            recording.look([self.found.attempt])

    def test_a_test_that_fails(self):
        self.record(self.found)
        for exc in (AssertionError('disk of\nserver x ' + 'y' * 600),
                    chain.RecordsError('no disk'),
                    lib_exc.SSHTimeout(password='secret')):
            self.recorder.failed('a.test.of_it', exc)
        read = self.read()
        disk, ours, theirs = map(str, read.failed)
        self.assertIn('test of_it failed: disk of server x', disk)
        self.assertLess(len(disk), 600)
        self.assertEqual('test of_it failed: no disk', ours)
        self.assertEqual('test of_it failed: SSHTimeout', theirs)
        self.assertEqual({'a.test', 'a.test.of_it'}, read.tests)

    def test_drains_of_one_process_are_in_one_file(self):
        self.record(self.found)
        self.record(self.found, self.found)
        read = self.read()
        self.assertEqual(
            [('drain-1', 1), ('drain-2', 2)],
            [(each.identifier, each.servers) for each in read.drains])
        self.assertEqual(3, len(read.attempts))

    def test_no_file(self):
        self.recorder = recorder.Recorder('', '', about)
        recording = self.record(self.found)
        self.assertEqual([], os.listdir(self.directory))
        self.assertEqual(4, len(recording.written))

    def test_named_by_the_time(self):
        self.recorder = recorder.Recorder(self.directory, '', about)
        self.record(self.found)
        run, = self.read().runs
        self.assertRegex(run.name, r'^\d{8}T\d{6}Z-%d$' % os.getpid())

    def test_a_directory_that_cannot_be(self):
        path = os.path.join(self.directory, 'file')
        with open(path, 'w'):
            pass
        self.recorder = recorder.Recorder(path, '', about)
        exc = self.assertRaises(
            chain.RecordsError, self.recorder.begin, LEG, [])
        self.assertIn(path, str(exc))
