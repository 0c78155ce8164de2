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
import dataclasses
import io
from unittest import mock

import testtools

from bench.precision import children
from bench.precision import testbed
from bench.precision import tools
from bench import targets

GOOD = targets.TargetsCost(0.4, 0.01, 0.0001, 0.002, 0.0003, False)


class CostTest(testtools.TestCase):

    def test_limits(self):
        for changes, expected in (
                ({}, True), ({'too_busy': True}, False),
                ({'cpu_share': 1.1}, False),
                ({'lateness_p99_s': 0.011}, False)):
            cost = dataclasses.replace(GOOD, **changes)
            self.assertEqual(expected, cost.holds(0.01), changes)

    def test_its_text(self):
        self.assertEqual(
            '0.40 CPUs (limit 1), one request each 10.0 ms, lateness 0.10 ms '
            '(median) and 2.00 ms (99 %); a process that only sleeps: '
            '0.30 ms', str(GOOD))
        self.assertIn('too busy', str(
            dataclasses.replace(GOOD, too_busy=True)))


class OursTest(testtools.TestCase):

    def test_the_figures_of_the_prober(self):
        probe = mock.create_autospec(tools.ProbeProcess, instance=True)
        probe.stop.return_value = tools.ProbeReport({'prober': {
            'achieved_period_s': 0.1, 'lateness_p50_s': 0.001,
            'lateness_p99_s': 0.02, 'too_busy': False}}, 3.0, 10.0)
        with (mock.patch.object(tools, 'ProbeProcess', return_value=probe
                                ) as created,
              mock.patch.object(testbed, 'sleep_lateness', return_value={
                  'lateness_p99_s': 0.004})):
            self.assertEqual(
                targets.TargetsCost(0.3, 0.1, 0.001, 0.02, 0.004, False),
                targets.ours(1000, 0.1, 0.0))
        addresses, interval_s = created.call_args.args
        self.assertEqual((1000, 0.1), (len(set(addresses)), interval_s))


class FpingTest(testtools.TestCase):

    def test_texts(self):
        for about, expected in (
                ({'cpu_share': 0.25, 'achieved_period_s': 0.1},
                 '0.25 CPUs, one request each 100.0 ms'),
                ({'error': 'not enough sequence numbers'},
                 'failed: not enough sequence numbers')):
            with mock.patch.object(
                    targets.scale, 'fping',
                    lambda found, *args, about=about: found.scale.append(
                        about)):
                self.assertEqual(expected, targets.fping(300, 0.01, 1.0))


class MainTest(testtools.TestCase):

    def run_main(self, cost):
        with (mock.patch.object(testbed, 'enter'),
              mock.patch.object(testbed, 'Far'),
              mock.patch.object(targets, 'ours', side_effect=cost),
              mock.patch.object(targets, 'fping', return_value='figures'),
              contextlib.redirect_stdout(io.StringIO()) as stdout,
              contextlib.redirect_stderr(io.StringIO()) as stderr):
            code = targets.main(['--seconds', '1'])
        return code, stdout.getvalue(), stderr.getvalue()

    def test_exit_codes(self):
        late = dataclasses.replace(GOOD, lateness_p99_s=0.05)
        for cost, expected in (
                ([GOOD, GOOD], 0), ([GOOD, late], 1), ([late, late], 1),
                (children.BenchError('no root.'), 2)):
            self.assertEqual(expected, self.run_main(cost)[0], cost)

    def test_the_output(self):
        _code, text, _ = self.run_main([
            GOOD, dataclasses.replace(GOOD, lateness_p99_s=0.05)])
        for part in ('PASS 1000 targets at 100 ms: 0.40 CPUs',
                     'FAIL 300 targets at 10 ms', 'fping: figures'):
            self.assertIn(part, text)

    def test_a_failure_is_told(self):
        self.assertEqual('bench.targets: no root.\n', self.run_main(
            children.BenchError('no root.'))[2])
