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

from lm_tempest_plugin.results.statistics import queueing
from lm_tempest_plugin.tests.unit import base


class TimesTest(base.TestCase):

    def test_all_at_once_one_after_the_other(self):
        queue = queueing.Queue(4, at_once=1, in_flight=4, barrier=True)
        self.assertEqual([(0, 10), (0, 20), (0, 30), (0, 40)],
                         queueing.times(queue, 10))
        # S (N + 1) / 2
        self.assertEqual(25, queueing.predicted_mean_s(queue, 10))
        self.assertEqual(40, queueing.predicted_wall_s(queue, 10))

    def test_several_at_once(self):
        # ceil(i / 3) S for the i-th
        queue = queueing.Queue(7, at_once=3, in_flight=9, barrier=False)
        self.assertEqual((3 * 10 + 3 * 20 + 30) / 7,
                         queueing.predicted_mean_s(queue, 10))
        self.assertEqual(30, queueing.predicted_wall_s(queue, 10))

    def test_one_is_asked_for_when_one_has_ended(self):
        queue = queueing.Queue(4, at_once=1, in_flight=2, barrier=False)
        self.assertEqual([(0, 10), (0, 20), (10, 30), (20, 40)],
                         queueing.times(queue, 10))

    def test_batches_wait_for_all(self):
        queue = queueing.Queue(5, at_once=2, in_flight=3, barrier=True)
        self.assertEqual([(0, 10), (0, 10), (0, 20), (20, 30), (20, 30)],
                         queueing.times(queue, 10))

    def test_published(self):
        # The white paper's batches: S from the wall time of a drain of 12,
        # and the mean time of a server, all in seconds.
        for size, service_s, mean_s in (
                (2, 253.2 / 12, 31.95), (3, 268.4 / 12, 44.67),
                (4, 269.3 / 12, 56.11)):
            queue = queueing.Queue(12, 1, size, barrier=True)
            self.assertAlmostEqual(
                mean_s, queueing.predicted_mean_s(queue, service_s),
                delta=0.4)

    def test_bad_input(self):
        for numbers in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
            self.assertRaises(ValueError, queueing.Queue, *numbers, False)


class ModelTest(base.TestCase):

    def test_errors(self):
        queue = queueing.Queue(4, 1, 4, barrier=False)
        found = queueing.model([
            queueing.Drained(queue, service_s=10, mean_s=26, wall_s=44),
            queueing.Drained(queue, service_s=10, mean_s=29, wall_s=48)])
        self.assertEqual(25, found.predicted_mean_s.value)
        self.assertEqual(27.5, found.observed_mean_s.value)
        self.assertAlmostEqual(0.1, found.mean_error.value)
        self.assertEqual(40, found.predicted_wall_s.value)
        self.assertAlmostEqual(0.15, found.wall_error.value)
        self.assertTrue(found.mean_error.known)

    def test_one_drain_gives_no_interval(self):
        queue = queueing.Queue(4, 1, 4, barrier=False)
        found = queueing.model([queueing.Drained(queue, 10, 25, 40)])
        self.assertEqual(0, found.mean_error.value)
        self.assertFalse(found.mean_error.known)

    def test_bad_input(self):
        self.assertRaises(ValueError, queueing.model, [])
