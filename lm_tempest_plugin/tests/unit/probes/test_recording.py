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

import time

from lm_tempest_plugin.probes import recording
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
        quality = fakes.recorded().quality
        self.assertEqual((2000, 0, 0.01), (
            quality.due, quality.deadlines_missed, quality.period_s))
        self.assertEqual((3, 1, 2, 3), (
            quality.send_errors, quality.wall_clock_steps,
            quality.kernel_stamps_refused, quality.answers_dropped))
