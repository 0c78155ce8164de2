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

import testtools

from bench.precision import testbed


class CpuTimesTest(testtools.TestCase):

    def test_stolen_cpu_time(self):
        self.assertEqual((7, 107), testbed.cpu_times(
            'cpu  10 20 30 40 0 0 0 7 5 5\ncpu0 1 2 3'))


class SleeperTest(testtools.TestCase):

    def test_it_is_never_early(self):
        late = testbed.sleep_lateness(0.1, 0.001)
        self.assertTrue(0 <= late['lateness_p50_s'] <=
                        late['lateness_p99_s'])
        self.assertLess(late['lateness_p50_s'], late['lateness_max_s'] + 1e-9)
