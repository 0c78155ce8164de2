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

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp_echo
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

HERE, THERE = '127.0.0.1', '127.0.0.2'
# Nobody has it, and no route leads there (RFC 5737).
NOWHERE = '192.0.2.77'


class LookTest(base.TestCase):
    """Packets over this machine's loopback, whose MTU is large."""

    def setUp(self):
        super().setUp()
        why = fakes.why_no_icmp()
        if why:
            self.skipTest(why)
        patcher = mock.patch.object(reachability, 'INTERVAL_S', 0.05)
        patcher.start()
        self.addCleanup(patcher.stop)

    def look(self, *addresses, before=None):
        """Return the answers of one server."""
        found = reachability.look(
            {'server': addresses}, {'server': before} if before else {})
        return found['server']

    def test_all_lengths_of_a_server_that_answers(self):
        found = self.look(HERE, THERE)
        self.assertEqual((HERE, THERE), found.answering)
        self.assertEqual({HERE: 9000, THERE: 9000}, found.full_size_bytes)
        self.assertEqual({HERE: 'refused', THERE: 'refused'},
                         found.closed_port)

    def test_the_length_from_before_is_sent_again(self):
        before = schema.Reachability(
            answering=(HERE, THERE), full_size_bytes={HERE: 1400})
        found = self.look(HERE, THERE, before=before)
        self.assertEqual({HERE: 1400}, found.full_size_bytes)
        self.assertEqual((HERE, THERE), found.answering)

    def test_a_length_that_this_machine_cannot_send(self):
        with mock.patch.object(reachability, 'LENGTHS', (70000, 1280)):
            self.assertEqual({HERE: 1280}, self.look(HERE).full_size_bytes)

    def test_no_address(self):
        self.assertEqual(schema.Reachability(), self.look())
        self.assertEqual({}, reachability.look({}, {}))

    def test_two_servers_side_by_side(self):
        found = reachability.look({'one': [HERE], 'two': [THERE, HERE]}, {})
        self.assertEqual((HERE,), found['one'].answering)
        self.assertEqual((THERE, HERE), found['two'].answering)
        self.assertEqual({HERE: 9000}, found['one'].full_size_bytes)

    def test_the_probed_address_is_a_fixed_one_as_well(self):
        self.assertEqual((THERE, HERE),
                         self.look(THERE, HERE, THERE).answering)

    def test_a_silent_address(self):
        found = self.look(NOWHERE, HERE)
        self.assertEqual((HERE,), found.answering)
        self.assertNotIn(NOWHERE, found.full_size_bytes)
        # Without any route it is missing.
        self.assertEqual('silent',
                         found.closed_port.get(NOWHERE, 'silent'))

    def test_the_port_is_open(self):
        server = fakes.EchoServer()
        self.addCleanup(server.close)
        with mock.patch.object(reachability, 'CLOSED_PORT', server.port):
            self.assertEqual({HERE: 'open', THERE: 'refused'},
                             self.look(HERE, THERE).closed_port)

    def test_ipv6(self):
        why = fakes.why_no_icmp('::1')
        if why:
            self.skipTest(why)
        found = self.look('::1', HERE)
        self.assertEqual(('::1', HERE), found.answering)
        self.assertEqual({'::1': 9000, HERE: 9000}, found.full_size_bytes)
        self.assertEqual('refused', found.closed_port['::1'])

    def test_a_machine_without_ipv6(self):
        opened = icmp_echo.open_socket

        def open_socket(family, identifier):
            if family is icmp_echo.IPV6:
                raise errors.ProbeError('this machine has no IPv6')
            return opened(family, identifier)

        with mock.patch.object(icmp_echo, 'open_socket', open_socket):
            found = self.look('2001:db8::1', HERE)
        self.assertEqual((HERE,), found.answering)
        self.assertEqual({HERE: 9000}, found.full_size_bytes)
        self.assertEqual('refused', found.closed_port[HERE])

    def test_no_socket_is_left(self):
        with mock.patch.object(reachability.socket, 'socket', autospec=True,
                               side_effect=OSError(24, 'too many files')):
            found = self.look(HERE)
        self.assertEqual((HERE,), found.answering)
        self.assertEqual({}, found.closed_port)
