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


import contextlib
import functools
import io
from unittest import mock

import testtools

from bench import scale
from bench import simulated_nova
from lm_tempest_plugin.cloud import api


class ScaleTest(testtools.TestCase):

    def use(self, **values):
        """Let the benchmark run a cloud of 12 hosts, for a short time."""
        for name, value in {
                'WARM_UP_S': 1.0, 'INTERVAL_S': 0.1, 'SHORT_S': 0.2,
                'DRAINED_HOSTS': 2, 'DRAINED': 4,
                # This process runs all tests, and takes what they need.
                'memory_bytes': lambda: 78_000_000, **values}.items():
            self.patch(scale, name, value)
        self.patch(simulated_nova, 'running', functools.partial(
            simulated_nova.running, '--hosts', '12', '--servers', '24',
            '--history', '10'))

    def run_main(self):
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            code = scale.main(['--seconds', '0.5', '--size', '3'])
        return code, stdout.getvalue()

    def test_the_claims_hold(self):
        self.use()
        code, text = self.run_main()
        self.assertEqual(0, code, text)
        for part in ('PASS drain, 3 in flight: 2.00 calls',
                     'PASS watch, 3 in flight: 3.00 calls',
                     'PASS drain: 4 of 4 servers moved', 'PASS memory'):
            self.assertIn(part, text)

    def test_limits_that_are_not_kept(self):
        self.use(POLLERS={'drain': (scale.drain_poller, 1.0)},
                 DRAIN_CALLS=1.0, BYTES=1)
        code, text = self.run_main()
        self.assertEqual(1, code)
        self.assertEqual(3, text.count('FAIL'), text)

    def test_migrations_that_end_too_early(self):
        self.use(LONG_S=0)
        with api.use_microversion(api.MICROVERSION):
            with testtools.ExpectedException(ValueError, '0 migrations .* 3'):
                scale.snapshots(3, 0.1)


class CostTest(testtools.TestCase):

    def test_its_text(self):
        with mock.patch.object(scale, 'memory_bytes', lambda: 66_000_000):
            self.assertEqual(
                '2.50 calls, 0.100 s, 0.050 s of CPU and 12 kB for each '
                'snapshot; 5.00 calls per second; 66 MB of memory',
                str(scale.SnapshotCost(4, 2.0, 0.4, 0.2, 10, 48_000)))
