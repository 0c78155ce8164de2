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


import struct

import fixtures

from lm_tempest_plugin.probes import wakefulness
from lm_tempest_plugin.tests.unit import base


class AwakeTest(base.TestCase):

    def test_the_latency_is_asked_for(self):
        path = self.useFixture(fixtures.TempDir()).join('cpu_dma_latency')
        with wakefulness.awake(path) as reason:
            self.assertEqual('', reason)
            with open(path, 'rb') as device:
                self.assertEqual((0,), struct.unpack('=i', device.read()))

    def test_without_permission_it_says_why(self):
        with wakefulness.awake('/nonexistent/device') as reason:
            self.assertEqual(
                '/nonexistent/device: No such file or directory', reason)

    def test_what_cannot_be_written_is_said_too(self):
        self.useFixture(fixtures.WarningsFilter(
            [{'action': 'error', 'category': ResourceWarning}]))
        with wakefulness.awake('/dev/full') as reason:
            self.assertEqual('/dev/full: No space left on device', reason)

    def test_what_goes_wrong_meanwhile_is_not_taken_for_that(self):
        path = self.useFixture(fixtures.TempDir()).join('cpu_dma_latency')
        for device in (path, '/nonexistent/device'):
            def fail(device=device):
                with wakefulness.awake(device):
                    raise OSError('another')

            exc = self.assertRaises(OSError, fail)
            self.assertEqual('another', str(exc))

    def test_the_file_is_closed_whatever_happens(self):
        path = self.useFixture(fixtures.TempDir()).join('cpu_dma_latency')
        self.useFixture(fixtures.WarningsFilter(
            [{'action': 'error', 'category': ResourceWarning}]))

        def fail():
            with wakefulness.awake(path):
                raise ValueError

        self.assertRaises(ValueError, fail)
