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

from lm_tempest_plugin.migration import strategy
from lm_tempest_plugin.tests.unit import base


class StrategyTest(base.TestCase):

    def test_a_batch_waits_for_all(self):
        found = strategy.batches(3)
        self.assertEqual([3, 0, 0, 0], [found.room(n) for n in range(4)])
        self.assertEqual('batch of 3', str(found))

    def test_a_window_is_filled_up(self):
        found = strategy.window(3)
        self.assertEqual([3, 2, 1, 0, 0], [found.room(n) for n in range(5)])
        self.assertEqual('window of 3', str(found))

    def test_one_at_a_time(self):
        self.assertEqual([1, 0], [
            strategy.ONE_AT_A_TIME.room(n) for n in range(2)])

    def test_none_is_refused(self):
        for make, name in ((strategy.batches, 'batch'),
                           (strategy.window, 'window')):
            exc = self.assertRaises(ValueError, make, 0)
            self.assertIn('size of a %s is 0' % name, str(exc))
