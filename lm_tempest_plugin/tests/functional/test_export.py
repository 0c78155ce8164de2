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

"""What export writes, as those programs read it for which it is written."""

import contextlib
import io
import os
import pathlib
import shutil
import socket
import subprocess
import time
import types

import fixtures
import requests

from lm_tempest_plugin.commands import export
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

DATABASE = 'lm'
START_S = 30.0
STOP_S = 20.0
HTTP_S = 10.0
QUERIES = {
    'live_migration': 'SELECT * FROM live_migration',
    'live_migration_drain': 'SELECT * FROM live_migration_drain'}
# Everything that the line protocol and the text format give a meaning.
ODD = 'a, b=c "d" \\e\\ \\,f {g} # h\u00e9\u4e16\U0001f600\nx\\'
FLAVOR = {'name': 'lm, odd="1" \u00fc\\', 'vcpus': 2, 'ram_gib': 1,
          'disk_gib': 1.5}
CONFIGURATION = """\
reporting-disabled = true
bind-address = "127.0.0.1:0"

[meta]
  dir = "%(top)s/meta"

[data]
  dir = "%(top)s/data"
  wal-dir = "%(top)s/wal"

[http]
  bind-address = "127.0.0.1:%(port)d"
"""


def program(test, name, package):
    """Return a program's path; the test fails if there is none."""
    # The daemons' folders are not on every user's PATH.
    path = shutil.which(name, path=os.pathsep.join(
        [os.environ.get('PATH', ''), '/usr/sbin', '/usr/bin']))
    if path is None:
        test.fail('there is no program %s on this machine: the Debian '
                  'package %s has it' % (name, package))
    return path


class Influxd(fixtures.Fixture):
    """A real influxd with a folder and a port of its own.

    :param path: of the program
    :ivar url: where it answers
    """

    def __init__(self, path):
        super().__init__()
        self._path = path

    def _setUp(self):
        top = self.useFixture(fixtures.TempDir()).path
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        self.url = 'http://127.0.0.1:%d' % port
        configuration = pathlib.Path(top, 'influxdb.conf')
        configuration.write_text(CONFIGURATION % {'top': top, 'port': port})
        self._log = pathlib.Path(top, 'log')
        with open(self._log, 'wb') as log:
            self._process = subprocess.Popen(
                [self._path, '-config', str(configuration)], cwd=top,
                stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT)
        self.addCleanup(self._stop)
        self._wait()
        self._request('POST', '/query', {
            'q': 'CREATE DATABASE "%s"' % DATABASE})

    def write(self, lines):
        """Write lines of the protocol, with times in nanoseconds."""
        self._request('POST', '/write', {'db': DATABASE, 'precision': 'ns'},
                      lines.encode())

    def points(self, measurement):
        """Return all points, a dictionary for each."""
        answer = self._request('GET', '/query', {
            'db': DATABASE, 'epoch': 'ns',
            'q': QUERIES[measurement]}).json()
        [result] = answer['results']
        if 'error' in result:
            raise AssertionError(result['error'])
        return [dict(zip(series['columns'], values))
                for series in result.get('series', ())
                for values in series['values']]

    def _request(self, method, path, parameters, data=None):
        answer = self._session().request(
            method, self.url + path, params=parameters, data=data,
            timeout=HTTP_S)
        if not answer.ok:
            raise AssertionError('influxd says %d: %s' % (
                answer.status_code, answer.text))
        return answer

    def _session(self):
        session = requests.Session()
        # No proxy is to be asked for what is on this machine.
        session.trust_env = False
        return session

    def _wait(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(requests.ConnectionError):
                self._request('GET', '/ping', {})
                return
            time.sleep(0.1)
        raise AssertionError('influxd does not answer on %s within %g s; it '
                             'said: %s' % (self.url, START_S,
                                           self._log.read_text()))

    def _stop(self):
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class ExportTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.stdout, self.stderr = io.StringIO(), io.StringIO()

    def export(self, form):
        command = export.Export(types.SimpleNamespace(
            stdout=self.stdout, stderr=self.stderr), None)
        written = pathlib.Path(self.directory, 'exported')
        parser = command.get_parser('export')
        self.assertEqual(0, command.take_action(parser.parse_args([
            self.directory, '--format', form, '-o', str(written)])),
            self.stderr.getvalue())
        return written.read_text(encoding='utf-8')


class InfluxTest(ExportTest):

    def setUp(self):
        super().setUp()
        self.influxd = self.useFixture(Influxd(
            program(self, 'influxd', 'influxdb')))

    def write_and_read(self, *lines, measurement='live_migration'):
        builders.write(self.directory, 'run-1', lines)
        self.influxd.write(self.export('influx'))
        return self.influxd.points(measurement)

    def test_values(self):
        [row] = self.write_and_read(('attempt', builders.attempt_line()))
        for name, value in {
                'run': 'run-1', 'storage': 'block', 'flavor': 'lm.small',
                'strategy': 'window of 2', 'verdict': 'completed',
                'setting_tunnelled': 'false', 'measured': 'true',
                'good': 'true', 'source': 'compute1', 'trip': 1,
                'server_id': 'server-0', 'duration_s': 9, 'queue_s': 2,
                'service_s': 6, 'outage_s': 0.25, 'outage_error_s': 0.015,
                'stall_s': 0.4, 'downtime_s': 0.18, 'phase_copy_s': 3,
                'memory_bytes': 200_000_000,
                'time': int(builders.BEGAN.timestamp()) * 10 ** 9}.items():
            self.assertEqual(value, row[name], name)
        self.assertNotIn('cause', row)

    def test_odd_names(self):
        [row] = self.write_and_read(('attempt', builders.attempt_line(
            server_name=ODD, flavor=FLAVOR, source='s p,a=c"e\\',
            cause='why\n"', violations=['one', 'two\\'])))
        self.assertEqual(ODD.replace('\n', '\\n'), row['server_name'])
        # What ends with a backslash gets a space.
        self.assertEqual(FLAVOR['name'] + ' ', row['flavor'])
        self.assertEqual('s p,a=c"e\\ ', row['source'])
        self.assertEqual('why\\n"', row['cause'])
        self.assertEqual('one; two\\', row['violations'])

    def test_each_attempt_is_a_point(self):
        # Of a batch, several are requested within a millisecond.
        lines = [('attempt', builders.attempt_line(
            number, requested_at=builders.iso(0))) for number in range(30)]
        rows = self.write_and_read(*lines)
        self.assertEqual(['server-%d' % number for number in range(30)],
                         [row['server_id'] for row in rows])
        # What is written again is there once.
        self.influxd.write(self.export('influx'))
        self.assertEqual(rows, self.influxd.points(
            'live_migration'))

    def test_a_failure_is_a_point(self):
        [row] = self.write_and_read(('attempt', builders.failed_line()))
        self.assertEqual('rolled back', row['verdict'])
        self.assertEqual('false', row['good'])
        self.assertNotIn('service_s', row)

    def test_drains(self):
        [row] = self.write_and_read(('drain', builders.drain_line(
            left_over=['a "record", 1'])),
            measurement='live_migration_drain')
        self.assertEqual(19, row['wall_s'])
        self.assertEqual('direct', row['transport'])
        self.assertEqual('a "record", 1', row['left_over'])
        self.assertEqual('false', row['good'])


class PromtoolTest(ExportTest):

    def check(self, text):
        return subprocess.run(
            [program(self, 'promtool', 'prometheus'), 'check', 'metrics'],
            input=text.encode(), capture_output=True, check=False)

    def test_no_complaint(self):
        builders.write(self.directory, 'run-1', [
            ('attempt', builders.attempt_line(server_name=ODD)),
            ('attempt', builders.attempt_line(1, flavor=FLAVOR, cell={
                'storage': None, 'settings': {}})),
            ('attempt', builders.failed_line(2, cause=ODD)),
            ('ended', {'attempt': 'attempt-9', 'drain': 'drain-1',
                       'server_id': 'x',
                       'source': ODD, 'destination': '', 'record_status': '',
                       'server_status': 'GONE'}),
            ('drain', builders.drain_line(strategy=ODD))])
        done = self.check(self.export('openmetrics'))
        self.assertEqual((0, b'', b''), (
            done.returncode, done.stdout, done.stderr))

    def test_promtool_complains_when_there_is_reason(self):
        # So that no complaint means something.
        done = self.check('# TYPE lm_count counter\nlm_count{a="b} 1\n')
        self.assertNotEqual(0, done.returncode)
        self.assertNotEqual(b'', done.stderr)
