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

"""Output of export, read by a real InfluxDB and by promtool."""

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

from lm_tempest_plugin.commands import reports
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

DATABASE = 'lm'
START_S = 30.0
STOP_S = 20.0
HTTP_S = 10.0
QUERIES = {
    'live_migration': 'SELECT * FROM live_migration',
    'live_migration_drain': 'SELECT * FROM live_migration_drain'}
# All characters that the line protocol and the text format treat specially.
ODD = 'a, b=c "d" \\e\\ \\,f {g} # h\u00e9\u4e16\U0001f600\nx\\'
FLAVOR = schema.Flavor(name='lm, odd="1" \u00fc\\', vcpus=2, ram_gib=1.0,
                       disk_gib=1.5)
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
    # The daemons' directories are not on every user's PATH.
    path = shutil.which(name, path=os.pathsep.join(
        [os.environ.get('PATH', ''), '/usr/sbin', '/usr/bin']))
    if path is None:
        test.fail(f'program {name} is not installed: install the Debian '
                  f'package {package}')
    return path


class Influxd(fixtures.Fixture):
    """A real influxd with its own directory and port.

    :param path: of the program
    :ivar url: its address
    """

    def __init__(self, path):
        super().__init__()
        self._path = path

    def _setUp(self):
        top = self.useFixture(fixtures.TempDir()).path
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        self.url = f'http://127.0.0.1:{port}'
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
            'q': f'CREATE DATABASE "{DATABASE}"'})

    def write(self, lines):
        """Write lines of the protocol, with times in nanoseconds."""
        self._request('POST', '/write', {'db': DATABASE, 'precision': 'ns'},
                      lines.encode())

    def points(self, measurement):
        """Return all points, one dictionary each."""
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
            raise AssertionError(
                f'influxd answers {answer.status_code}: {answer.text}')
        return answer

    def _session(self):
        session = requests.Session()
        # A proxy cannot reach this machine's own addresses.
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
        raise AssertionError(
            f'influxd does not answer on {self.url} within {START_S:g} s; '
            f'its log: {self._log.read_text()}')

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
        command = reports.Export(types.SimpleNamespace(
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
        [row] = self.write_and_read(builders.migration())
        for name, value in {
                'run': 'run-1', 'storage': 'block', 'flavor': 'lm.small',
                'strategy': 'window of 2', 'verdict': 'completed',
                'setting_tunnelled': 'false', 'measured': 'true',
                'good': 'true', 'source': 'compute1', 'round_trip': 1,
                'server_id': 'server-0', 'duration_s': 9, 'queue_s': 2,
                'service_s': 6, 'outage_s': 0.25, 'outage_error_s': 0.015,
                'stall_s': 0.4, 'downtime_s': 0.18, 'phase_copy_s': 3,
                'memory_bytes': 200_000_000,
                'time': int(builders.STARTED.timestamp()) * 10 ** 9}.items():
            self.assertEqual(value, row[name], name)
        self.assertNotIn('cause', row)

    def test_odd_names(self):
        [row] = self.write_and_read(builders.migration(
            server_name=ODD, flavor=FLAVOR, source='s p,a=c"e\\',
            cause='why\n"', problems=(
                builders.problem('one'), builders.problem('two\\'))))
        self.assertEqual(ODD.replace('\n', '\\n'), row['server_name'])
        # A backslash at the end of a tag gets a space.
        self.assertEqual(FLAVOR.name + ' ', row['flavor'])
        self.assertEqual('s p,a=c"e\\ ', row['source'])
        self.assertEqual('why\\n"', row['cause'])
        self.assertEqual('outage: one; outage: two\\', row['problems'])

    def test_each_migration_is_a_point(self):
        # Several migrations of a batch are requested within a millisecond.
        rows = self.write_and_read(*(
            builders.migration(number, requested_at=builders.STARTED)
            for number in range(30)))
        self.assertEqual([f'server-{number}' for number in range(30)],
                         [row['server_id'] for row in rows])
        # Writing again adds nothing.
        self.influxd.write(self.export('influx'))
        self.assertEqual(rows, self.influxd.points('live_migration'))

    def test_a_failure_is_a_point(self):
        [row] = self.write_and_read(builders.failed())
        self.assertEqual('rolled back', row['verdict'])
        self.assertEqual('false', row['good'])
        self.assertNotIn('service_s', row)

    def test_drains(self):
        [row] = self.write_and_read(
            builders.drain(problems=(builders.problem('a "record", 1'),)),
            measurement='live_migration_drain')
        self.assertEqual(19, row['wall_s'])
        self.assertEqual('direct', row['transport'])
        self.assertEqual('outage: a "record", 1', row['problems'])
        self.assertEqual('false', row['good'])


class PromtoolTest(ExportTest):

    def check(self, text):
        return subprocess.run(
            [program(self, 'promtool', 'prometheus'), 'check', 'metrics'],
            input=text.encode(), capture_output=True, check=False)

    def test_no_complaint(self):
        builders.write(self.directory, 'run-1', [
            builders.migration(server_name=ODD),
            builders.migration(1, flavor=FLAVOR, settings=schema.Settings()),
            builders.failed(2, cause=ODD),
            builders.ended(9, source=ODD, destination='', record_status='',
                           server_status='GONE'),
            builders.drain(strategy=ODD)])
        done = self.check(self.export('openmetrics'))
        self.assertEqual((0, b'', b''), (
            done.returncode, done.stdout, done.stderr))

    def test_promtool_complains_when_there_is_reason(self):
        # Otherwise the test above would prove nothing.
        done = self.check('# TYPE lm_count counter\nlm_count{a="b} 1\n')
        self.assertNotEqual(0, done.returncode)
        self.assertNotEqual(b'', done.stderr)
