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

from lm_tempest_plugin.migration import late_probes
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders

SERVER = builders.server(
    addresses=('2001:db8::1', '192.0.2.1', '192.0.2.2'),
    floating_addresses=('198.51.100.7',))


class AddressTest(base.TestCase):

    def test_the_first_of_a_kind(self):
        for kind, address in (('floating', '198.51.100.7'),
                              ('fixed', '192.0.2.1')):
            self.assertEqual(address, late_probes.address_of(SERVER, kind))

    def test_ipv6_alone(self):
        self.assertEqual('2001:db8::1', late_probes.address_of(
            builders.server(addresses=('2001:db8::1',)), 'fixed'))

    def test_none(self):
        """A fixed address is never taken for a floating one."""
        self.assertEqual('', late_probes.address_of(
            builders.server(addresses=('192.0.2.1',)), 'floating'))


class StartTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.probes = mock.create_autospec(
            late_probes.LateWatch, instance=True)
        self.made = mock.Mock(return_value=self.probes)
        self.patch(late_probes, 'LateWatch', self.made)

    def test_a_guest_that_answers(self):
        self.assertEqual(
            ('198.51.100.7', self.probes),
            late_probes.start(SERVER, 'floating', 0.02))
        self.made.assert_called_once_with(['198.51.100.7'], 0.02)
        self.assertEqual(
            [mock.call.start(),
             mock.call.await_answers(late_probes.READY_S)],
            self.probes.mock_calls)

    def test_a_guest_that_does_not_answer(self):
        self.probes.await_answers.side_effect = errors.NotAnswering('no')
        self.assertEqual(('', None),
                         late_probes.start(SERVER, 'fixed', 0.02))
        self.probes.stop.assert_called_once_with()

    def test_an_address_that_cannot_be_probed(self):
        self.made.side_effect = errors.ProbeError('no IPv6')
        self.assertEqual(('', None),
                         late_probes.start(SERVER, 'fixed', 0.02))

    def test_a_signal(self):
        self.probes.await_answers.side_effect = KeyboardInterrupt
        self.assertRaises(KeyboardInterrupt, late_probes.start, SERVER,
                          'fixed', 0.02)
        self.probes.stop.assert_called_once_with()

    def test_nothing_to_probe(self):
        for server, kind in ((SERVER, ''), (builders.server(), 'floating')):
            self.assertEqual(('', None),
                             late_probes.start(server, kind, 0.02))
        self.made.assert_not_called()


class LateWatchTest(base.TestCase):

    def test_nothing_is_known_of_the_time_before(self):
        probes = late_probes.LateWatch.__new__(late_probes.LateWatch)
        probes.started = recording.Clocks(1000, 5)
        for start_ns, expected_ns in ((900, 1000), (1200, 1200)):
            with mock.patch.object(watch.Watch, 'continuity') as continuity:
                found = probes.continuity('192.0.2.1', start_ns, 2000)
            self.assertIs(continuity.return_value, found)
            continuity.assert_called_once_with(
                '192.0.2.1', expected_ns, 2000)
