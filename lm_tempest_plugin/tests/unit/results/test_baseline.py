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

from lm_tempest_plugin.results import baseline
from lm_tempest_plugin.tests.unit import base


class PublishedTest(base.TestCase):

    def find(self, **parts):
        return [each for each in baseline.read() if all(
            getattr(each, name) == value for name, value in parts.items())]

    def test_all_of_it(self):
        self.assertEqual(18, len(baseline.read()))
        self.assertEqual(14, len([
            each for each in baseline.read() if each.serial]))

    def test_one(self):
        found, = self.find(storage='block', tunnelled=False, flavor='small')
        self.assertEqual(
            (360, 360, 66.25, 61.61, 70.75, 6, 60, 402.0, ''),
            (found.attempted, found.moved, found.median_s, found.p5_s,
             found.p95_s, found.servers, found.drains, found.drain_mean_s,
             found.note))
        self.assertEqual((2, 4, 40), (
            found.size.vcpus, found.size.ram_gib, found.size.disk_gib))

    def test_failed_attempts(self):
        # What the raw logs have, though the paper says that none failed.
        self.assertEqual(42, sum(
            each.attempted - each.moved for each in baseline.read()))

    def test_figures_that_belong_together(self):
        for each in baseline.read():
            self.assertLessEqual(each.moved, each.attempted)
            ordered = [each.least_s, each.p5_s, each.median_s, each.p95_s,
                       each.largest_s]
            self.assertEqual(sorted(ordered), ordered)
            self.assertLessEqual(each.drain_least_s, each.drain_mean_s)
            self.assertLessEqual(each.drain_mean_s, each.drain_largest_s)

    def test_batches_are_queueing(self):
        for each in self.find(servers=12):
            alone = each.drain_mean_s / each.servers * (each.batch + 1) / 2
            self.assertLess(abs(each.mean_s - alone), 0.7)

    def test_words(self):
        self.assertEqual('shared, tunnelled off, large (progress timeout of '
                         '150 s)', str(self.find(moved=226)[0]))
        self.assertEqual('block, tunnelled on, small', str(self.find(
            storage='block', tunnelled=True, flavor='small')[0]))

    def test_what_is_wrong_with_it(self):
        self.assertTrue(all(each.endswith('.')
                            for each in baseline.defects()))
        self.assertIn('42', baseline.defects()[0])
