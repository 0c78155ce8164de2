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

import os
import pathlib
import socket
import threading
from unittest import mock
import urllib.request

import fixtures
import msgspec
from prometheus_client import parser

from lm_tempest_plugin.results import metrics
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

PROGRESS = schema.Progress(
    at_s=3.0, memory_total_bytes=1000, memory_processed_bytes=700,
    memory_remaining_bytes=300, disk_total_bytes=50, disk_processed_bytes=40,
    disk_remaining_bytes=10)


def of_run(line):
    return msgspec.structs.replace(line, run='run-1')


def started(servers=2):
    return schema.DrainStarted(
        run='run-1', drain='drain-1', test='', settings=schema.Settings(),
        strategy='', servers=servers, round_trip=1, measured=True,
        source='compute1', destination='compute2', server_ids=())


def followed(server_id='server-0', state='running', ended=False, **changes):
    return metrics.Followed(server_id, 'compute1', 'compute2', state, ended,
                            2000.0, **changes)


class MetricsTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.file = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'lm.prom')
        self.metrics = metrics.Metrics(textfile=str(self.file))
        self.addCleanup(self.metrics.close)
        self.metrics.stored(started())

    def samples(self):
        """Return all values, by name and labels, in their order."""
        return {
            (sample.name.removeprefix(metrics.PREFIX), *(
                value for label, value in sample.labels.items()
                if label != 'run')): sample.value
            for family in parser.text_string_to_metric_families(
                self.file.read_text()) for sample in family.samples}


class SnapshotTest(MetricsTestCase):

    def test_states(self):
        self.assertEqual(2, self.samples()['migrations', 'waiting'])
        self.metrics.snapshot(1000.0, [followed()], [])
        found = self.samples()
        self.assertEqual(
            (1, 1, 1, 1000.0),
            (found['active',], found['migrations', 'running'],
             found['migrations', 'waiting'],
             found['snapshot_timestamp_seconds',]))

    def test_run(self):
        self.metrics.snapshot(1000.0, [followed()], [])
        for line in self.file.read_text().splitlines():
            if not line.startswith('#'):
                self.assertIn('run="run-1"', line)

    def test_copy(self):
        server = 'compute2', 'server-0', 'compute1'
        self.metrics.snapshot(1000.0, [followed(
            progress_s=990.0, progress=PROGRESS)], [])
        found = self.samples()
        for name, value in (
                ('deadline_timestamp_seconds', 2000.0),
                ('progress_timestamp_seconds', 990.0),
                ('remaining_bytes', 310), ('processed_bytes', 740)):
            self.assertEqual(value, found[name, *server], name)

    def test_servers_are_forgotten_but_for_one_that_timed_out(self):
        self.metrics.snapshot(1000.0, [
            followed(progress=PROGRESS),
            followed('server-1', progress=PROGRESS)], [])
        self.metrics.snapshot(2001.0, [
            followed(state='completed', ended=True, progress=PROGRESS),
            followed('server-1', metrics.TIMED_OUT, True,
                     progress=PROGRESS)], [])
        self.metrics.stored(of_run(builders.drain()))
        self.assertEqual(
            [('deadline_timestamp_seconds', 'compute2', 'server-1',
              'compute1')],
            [key for key in self.samples() if len(key) == 4])
        # The next drain may be about other servers.
        self.metrics.stored(started())
        self.assertEqual([], [key for key in self.samples()
                              if len(key) == 4])

    def test_hosts(self):
        self.metrics.snapshot(1000.0, [], [
            metrics.HostState('compute1', False, 1, 0, 3),
            metrics.HostState('compute2', None, 0, 1, 0)])
        found = self.samples()
        for key, value in (
                (('compute_up', 'compute1'), 0),
                (('compute_up', 'compute2'), None),
                (('queued_migrations', 'compute1'), 3),
                (('host_migrations', 'compute1', 'source'), 1),
                (('host_migrations', 'compute2', 'destination'), 1)):
            self.assertEqual(value, found.get(key), key)


class StoredTest(MetricsTestCase):

    def test_migrations(self):
        for line in (
                builders.migration(), builders.failed(1),
                builders.migration(2, outage=builders.outage(1.5))):
            self.metrics.stored(of_run(line))
        found = self.samples()
        for key, value in (
                (('verdicts_total', 'completed'), 2),
                (('verdicts_total', 'rolled back'), 1),
                (('problems_total', 'verdict'), 1),
                (('duration_seconds_sum',), 27),
                (('phase_duration_seconds_count', 'copy'), 2),
                (('outage_seconds_bucket', '1.0'), 2),
                (('longest_outage_seconds',), 1.5),
                (('outage_limit_seconds',), 1),
                (('longest_stall_seconds',), 0.4)):
            self.assertEqual(value, found[key], key)
        # The bound is exceeded in one drain, and not for ever.
        self.metrics.stored(started())
        self.assertNotIn(('longest_outage_seconds',), self.samples())

    def test_without_probes(self):
        self.metrics.stored(of_run(builders.migration(continuity=None)))
        self.assertNotIn(('longest_outage_seconds',), self.samples())

    def test_drain(self):
        self.metrics.snapshot(1000.0, [], [
            metrics.HostState('compute1', True, 0, 0, 0)])
        self.metrics.stored(of_run(builders.drain(problems=(
            builders.problem(check='transport'),))))
        found = self.samples()
        for key, value in (
                (('active',), 0), (('problems_total', 'outage'), 0),
                (('problems_total', 'transport'), 1),
                (('compute_up', 'compute1'), None),
                (('snapshot_timestamp_seconds',), None)):
            self.assertEqual(value, found.get(key), key)

    def test_migrations_of_others_overlap(self):
        """The first line and the end of one say nothing of the others."""
        for _ in range(2):
            self.metrics.stored(msgspec.structs.replace(
                started(1), strategy=schema.BY_OTHERS))
        self.metrics.snapshot(1000.0, [followed(), followed('server-1')], [
            metrics.HostState('compute1', True, 2, 0, 0)])
        self.metrics.stored(of_run(builders.drain(
            strategy=schema.BY_OTHERS,
            problems=(builders.problem(check='transport'),))))
        found = self.samples()
        for key, value in (
                (('active',), 1), (('migrations', 'running'), 2),
                (('problems_total', 'transport'), 1),
                (('compute_up', 'compute1'), 1),
                (('snapshot_timestamp_seconds',), 1000.0)):
            self.assertEqual(value, found.get(key), key)
        self.metrics.rest()
        found = self.samples()
        self.assertEqual((0, None), (
            found['active',], found.get(('compute_up', 'compute1'))))

    def test_nobody_knows_how_many_others_will_request(self):
        self.metrics.stored(started(1))
        self.metrics.snapshot(1000.0, [followed(), followed('server-1')], [])
        self.assertEqual(0, self.samples()['migrations', 'waiting'])


class OutputTest(base.TestCase):

    def serve(self):
        served = metrics.Metrics(port=0)
        self.addCleanup(served.close)
        return served

    def scrape(self, served):
        # A proxy cannot reach this machine's own addresses.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f'http://127.0.0.1:{served.port}/metrics',
                         timeout=10) as answer:
            return answer.read().decode()

    def test_port(self):
        served = self.serve()
        served.stored(started())
        self.assertIn('lm_run_active{run="run-1"} 1.0', self.scrape(served))

    def test_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(('0.0.0.0', 0))
            taken.listen()
            port = taken.getsockname()[1]
            found = self.assertRaises(metrics.MetricsError, metrics.Metrics,
                                      port)
        self.assertEqual(
            f'option metrics_port: port {port} cannot be used for metrics: '
            'Address already in use', str(found))

    def test_last_values_are_scraped(self):
        served = self.serve()
        self.scrape(served)
        served.stored(started())
        ending = threading.Thread(target=served.close)
        ending.start()
        self.assertIn('lm_run_active', self.scrape(served))
        ending.join(10)
        self.assertFalse(ending.is_alive())

    def test_nobody_waits_for_a_prometheus_that_is_not_there(self):
        served = self.serve()
        with mock.patch.object(threading.Event, 'wait') as wait:
            served.close()
        # The server's own thread has an event, too.
        self.assertNotIn(mock.call(metrics.LAST_SCRAPE_S),
                         wait.call_args_list)

    def test_file(self):
        path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'lm.prom')
        metrics.Metrics(textfile=str(path)).close()
        # node_exporter has a user of its own.
        self.assertEqual(0o644, os.stat(path).st_mode & 0o777)

    def test_file_that_cannot_be_written(self):
        found = self.assertRaises(metrics.MetricsError, metrics.Metrics,
                                  textfile='/nowhere/lm.prom')
        self.assertEqual('option metrics_textfile: /nowhere/lm.prom cannot '
                         'be written: No such file or directory', str(found))
