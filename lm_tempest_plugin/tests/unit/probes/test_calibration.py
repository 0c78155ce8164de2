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

from unittest import mock

import numpy

from lm_tempest_plugin.probes import calibration
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import prober as icmp
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.tests.unit import base

MS = 1_000_000


def observe(delays_ms):
    """Return what is seen of a guest; None for no answer."""
    sent_ns = numpy.arange(len(delays_ms), dtype=numpy.int64) * 10 * MS
    return observations.Observations(
        '127.0.0.1', 10 * MS, sent_ns, sent_ns, numpy.zeros_like(sent_ns),
        numpy.array([
            observations.UNANSWERED if delay_ms is None
            else at_ns + round(delay_ms * MS)
            for at_ns, delay_ms in zip(sent_ns, delays_ms, strict=True)],
            numpy.int64))


class SimulatedTest(base.TestCase):

    def calibrate(self, seen, targets=1, **counters):
        prober = mock.MagicMock(
            spec=icmp.IcmpProber, clock_steps=0, stamps_refused=0,
            answers_dropped=0)
        prober.configure_mock(**counters)
        prober.__enter__.return_value = prober
        prober.seen.side_effect = lambda address: seen
        with mock.patch.object(icmp, 'IcmpProber', autospec=True,
                               return_value=prober) as made:
            found = calibration.calibrate(targets, 0.01, 0.0)
        self.addresses, self.period_s = made.call_args.args
        return found

    def test_delays(self):
        found = self.calibrate(observe([1] * 98 + [5, 9]))
        self.assertAlmostEqual(0.001, found.delay_p50_s)
        self.assertAlmostEqual(0.005, found.delay_p99_s)
        self.assertFalse(found.quality.too_busy)

    def test_noise_is_what_is_between_two_answers_beyond_a_period(self):
        self.assertEqual(0.0, self.calibrate(observe([1] * 9)).noise_floor_s)
        self.assertAlmostEqual(0.003, self.calibrate(
            observe([1, 1, 4, 1, 1])).noise_floor_s)
        self.assertAlmostEqual(0.01, self.calibrate(
            observe([1, 1, None, 1, 1])).noise_floor_s)
        self.assertEqual(0.0, self.calibrate(observe([1])).noise_floor_s)

    def test_each_target_has_an_address_of_its_own(self):
        self.calibrate(observe([1]), targets=1000)
        self.assertEqual(1000, len(set(self.addresses)))
        self.assertEqual('127.0.0.1', self.addresses[0])
        self.assertEqual('127.0.0.254', self.addresses[253])
        self.assertEqual('127.0.1.1', self.addresses[254])
        self.assertEqual(0.01, self.period_s)
        for address in self.addresses:
            self.assertNotIn(address.rpartition('.')[2], ('0', '255'))

    def test_the_loopback_is_down(self):
        exc = self.assertRaises(
            errors.ProbeError, self.calibrate, observe([None] * 9))
        self.assertIn('loopback', str(exc))
        self.assertIn('127.0.0.1', str(exc))

    def test_what_the_prober_counted(self):
        found = self.calibrate(observe([1] * 9), clock_steps=1,
                               stamps_refused=2, answers_dropped=3).quality
        self.assertEqual((1, 2, 3), (
            found.wall_clock_steps, found.kernel_stamps_refused,
            found.answers_dropped))
        self.assertTrue(found.too_busy)

    def test_names_say_their_units(self):
        figures = self.calibrate(observe([1] * 9)).as_dict()
        self.assertEqual(1, figures['targets'])
        self.assertEqual(0.01, figures['achieved_period_s'])
        for name, value in figures.items():
            if isinstance(value, float):
                self.assertTrue(name.endswith('_s'), name)


class LoopbackTest(base.TestCase):

    def test_on_this_machine(self):
        try:
            found = calibration.calibrate(3, 0.01, 0.2)
        except errors.ProbesNotPermitted as exc:
            self.skipTest(str(exc))
        self.assertEqual((3, 0.2), (found.targets, found.duration_s))
        self.assertTrue(0 < found.delay_p50_s <= found.delay_p99_s < 1)
        self.assertGreaterEqual(found.noise_floor_s, 0)
        self.assertGreater(found.quality.due, 3)
