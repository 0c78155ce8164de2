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

import itertools
import json
import threading

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import sockets
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes

SOURCE, DESTINATION = '192.0.2.1', '192.0.2.2'
ELSEWHERE = '192.0.2.9'

# As ss of iproute2 6.1 prints it.
SS = """\
0      0               192.0.2.1:36088          192.0.2.2:49152
0      0            192.0.2.1%lo:34428          192.0.2.2:16509
0      0                   [::1]:33508              [::1]:60917
0      0      [::ffff:192.0.2.1]:60917 [::ffff:192.0.2.2]:36088
0      20    [fe80::1]%eth0:22       [fe80::2%eth0]:40000 timer:(on,2ms,0)

"""

IP = json.dumps([
    {}, {'ifname': 'eth9', 'addr_info': []}, {'ifname': 'eth0', 'addr_info': [
        {'family': 'inet', 'local': '192.0.2.1', 'scope': 'global'},
        {'family': 'inet6', 'local': '2001:db8:0:0::1', 'scope': 'global'},
        {'family': 'inet'}]}])


def seen(source_port, destination_port, source=SOURCE,
         destination=DESTINATION):
    """Return a connection, seen from the source."""
    return sockets.HostConnection(source, source_port, destination,
                                  destination_port)


class ParseTest(base.TestCase):

    def test_all_kinds_of_addresses(self):
        self.assertEqual([
            sockets.HostConnection('192.0.2.1', 36088, '192.0.2.2', 49152),
            sockets.HostConnection('192.0.2.1', 34428, '192.0.2.2', 16509),
            sockets.HostConnection('::1', 33508, '::1', 60917),
            sockets.HostConnection('192.0.2.1', 60917, '192.0.2.2', 36088),
            sockets.HostConnection('fe80::1', 22, 'fe80::2', 40000),
        ], sockets.parse(SS))

    def test_nothing(self):
        self.assertEqual([], sockets.parse(''))

    def test_malformed(self):
        for line in ('0 0 192.0.2.1:22', '0 0 192.0.2.1 192.0.2.2:22',
                     '0 0 *:22 192.0.2.2:22', '0 0 a.example:22 b:22',
                     'ESTAB 0 0 192.0.2.1:22 192.0.2.2:22',
                     '0 0 192.0.2.1:ssh 192.0.2.2:22'):
            error = self.assertRaises(ValueError, sockets.parse, line)
            self.assertTrue(str(error))


class EstablishedTest(base.TestCase):

    def test_command(self):
        host = fakes.Answering(SS)
        self.assertEqual(5, len(sockets.established(host)))
        self.assertEqual([['ss', '--no-header', '--numeric', '--tcp',
                           'state', 'established']], host.asked)

    def test_malformed_output_names_the_host(self):
        raised = str(self.assertRaises(
            remote.HostError, sockets.established,
            fakes.Answering('0 0 here there')))
        for part in ('compute1', 'ss', 'here'):
            self.assertIn(part, raised)


class AddressesTest(base.TestCase):

    def test_spelling_is_the_one_of_connections(self):
        host = fakes.Answering(IP)
        self.assertEqual({'192.0.2.1', '2001:db8::1'},
                         sockets.addresses(host))
        self.assertEqual([['ip', '-json', 'address', 'show', 'scope',
                           'global']], host.asked)

    def test_malformed_output_names_the_host(self):
        for output in ('', '{', '7', '[7]', '[{"addr_info": 7}]',
                       '[{"addr_info": [{"local": "a"}]}]'):
            self.assertIn('compute1', str(self.assertRaises(
                remote.HostError, sockets.addresses,
                fakes.Answering(output))))


class FirstClientPortTest(base.TestCase):

    def test_first_of_the_range(self):
        host = fakes.Answering('10000\t65535\n')
        self.assertEqual(10000, sockets.first_client_port(host))
        self.assertEqual(
            [['cat', '/proc/sys/net/ipv4/ip_local_port_range']], host.asked)

    def test_malformed_output_names_host_and_file(self):
        for output in ('', '7', 'a b'):
            raised = str(self.assertRaises(
                remote.HostError, sockets.first_client_port,
                fakes.Answering(output)))
            self.assertIn('compute1', raised)
            self.assertIn('ip_local_port_range', raised)


class BetweenTest(base.TestCase):

    def test_seen_from_either_host(self):
        here, there = seen(40000, 49152), seen(40001, 16509)
        self.assertEqual({here, there}, sockets.between(
            [here, there.reverse, here.reverse], [SOURCE], [DESTINATION]))

    def test_other_hosts(self):
        self.assertEqual(frozenset(), sockets.between(
            [seen(40000, 49152, destination=ELSEWHERE),
             seen(40000, 49152, source=ELSEWHERE),
             seen(40000, 49152, destination=SOURCE)],
            [SOURCE], [DESTINATION]))


class TransportTest(base.TestCase):

    def check(self, expected, *pairs, ports=sockets.PORTS):
        """Check the transport of ports (source, destination)."""
        found = sockets.SeenConnections([SOURCE], [DESTINATION], ports=ports)
        found.add([seen(*pair) for pair in pairs])
        self.assertEqual(expected, found.results().transport)

    def test_nothing(self):
        self.check(sockets.Transport.UNSEEN)

    def test_direct(self):
        for port in (49152, 49180, 49215):
            self.check(sockets.Transport.DIRECT, (40000, port))
            self.check(sockets.Transport.DIRECT, (60999, port))
        self.check(sockets.Transport.DIRECT,
                   (40000, 16509), (40001, 49153), (40002, 49152))

    def test_beside_the_range(self):
        for port in (49151, 49216):
            self.check(sockets.Transport.UNSEEN, (40000, port))

    def test_tunnelled(self):
        for port in (16509, 16514, 22):
            self.check(sockets.Transport.TUNNELLED, (40000, port))

    def test_clients_of_libvirtd_have_any_port(self):
        self.check(sockets.Transport.TUNNELLED, (49160, 16509))
        # libvirtd of the destination has connected to the source's.
        for port in (16509, 16514, 22):
            self.check(sockets.Transport.UNSEEN, (port, 49160))

    def test_clients_of_other_daemons_have_any_port(self):
        for daemon in (53, 2049, 3300, 3306, 4789, 5672, 6641, 6642, 6789,
                       6800, 7300, 8774, 9100, 25672):
            # On either host, and the client on the other one.
            self.check(sockets.Transport.UNSEEN,
                       (daemon, 49160), (49160, daemon))

    def test_both_ports_in_the_range(self):
        self.check(sockets.Transport.DIRECT, (49170, 49152))

    def test_the_side_that_listens_counts(self):
        self.check(sockets.Transport.UNSEEN, (49152, 40000))

    def test_other_ports(self):
        ports = sockets.Ports(qemu_first=50000, qemu_last=50009,
                              libvirt=(16515,), client_first=10000)
        self.check(sockets.Transport.DIRECT, (10000, 50009), ports=ports)
        self.check(sockets.Transport.UNSEEN, (9999, 50009), ports=ports)
        self.check(sockets.Transport.UNSEEN, (40000, 49152), ports=ports)
        self.check(sockets.Transport.UNSEEN, (40000, 16509), ports=ports)
        self.check(sockets.Transport.TUNNELLED, (40000, 16515), ports=ports)
        # A service with a port in the range of clients.
        self.check(sockets.Transport.UNSEEN, (16515, 50000), ports=ports)


class SeenConnectionsTest(base.TestCase):

    def test_no_sample(self):
        found = sockets.SeenConnections([SOURCE], [DESTINATION])
        self.assertEqual(sockets.Transport.UNSEEN, found.results().transport)
        self.assertEqual(schema.Sockets(
            transport='unseen', samples=0, qemu_ports=(), qemu_connections=0,
            libvirt_ports=()), found.results())

    def test_several_samples_of_both_hosts(self):
        found = sockets.SeenConnections([SOURCE], [DESTINATION])
        found.add([])
        found.add([seen(40000, 16509)])
        self.assertEqual(
            sockets.Transport.TUNNELLED, found.results().transport)
        found.add([seen(40000, 16509).reverse, seen(40001, 49153).reverse,
                   seen(40002, 49152).reverse])
        found.add([seen(40002, 49152)])
        self.assertEqual(sockets.Transport.DIRECT, found.results().transport)
        self.assertEqual(schema.Sockets(
            transport='direct', samples=4, qemu_ports=(49152, 49153),
            qemu_connections=2, libvirt_ports=(16509,)), found.results())

    def test_others_do_not_count(self):
        found = sockets.SeenConnections([SOURCE], [DESTINATION])
        found.add([seen(40000, 49152, destination=ELSEWHERE)])
        self.assertEqual(sockets.Transport.UNSEEN, found.results().transport)

    def test_earlier_connections_do_not_count(self):
        brick, shell = seen(1023 + 40000, 49152), seen(40001, 22)
        found = sockets.SeenConnections(
            [SOURCE], [DESTINATION], before=[brick.reverse, shell])
        found.add([brick, shell])
        self.assertEqual(sockets.Transport.UNSEEN, found.results().transport)
        found.add([brick, seen(40002, 49152)])
        self.assertEqual(sockets.Transport.DIRECT, found.results().transport)
        self.assertEqual(1, found.results().qemu_connections)

    def test_the_other_direction_does_not_count(self):
        found = sockets.SeenConnections([DESTINATION], [SOURCE])
        found.add([seen(40000, 49152), seen(40000, 16509)])
        self.assertEqual(sockets.Transport.UNSEEN, found.results().transport)

    def test_addresses_in_any_spelling(self):
        found = sockets.SeenConnections(
            ['2001:DB8:0::1'], ['::ffff:192.0.2.2', '2001:db8::2'])
        found.add([seen(40000, 49152, '2001:db8::1', '2001:db8::2')])
        self.assertEqual(sockets.Transport.DIRECT, found.results().transport)

    def test_addresses_that_both_hosts_have(self):
        bridge = '198.51.100.1'
        found = sockets.SeenConnections(
            [SOURCE, bridge], [DESTINATION, bridge])
        found.add([seen(40000, 49152, bridge, bridge),
                   seen(40000, 49152, SOURCE, bridge)])
        self.assertEqual(sockets.Transport.UNSEEN, found.results().transport)

    def test_hosts_with_the_same_addresses(self):
        for source, destination in (
                ([SOURCE], [SOURCE]), ([], [DESTINATION]), ([SOURCE], [])):
            self.assertIn('does not have', str(self.assertRaises(
                ValueError, sockets.SeenConnections, source, destination)))

    def test_a_wrong_address(self):
        self.assertIn('compute1', str(self.assertRaises(
            ValueError, sockets.SeenConnections, ['compute1'], [DESTINATION])))


SOURCE_IP = '[{"addr_info": [{"local": "192.0.2.1"}]}]'
DESTINATION_IP = '[{"addr_info": [{"local": "192.0.2.2"}]}]'
BEFORE = '0 0 192.0.2.1:41000 192.0.2.2:5672\n'
QEMU = '0 0 192.0.2.1:41002 192.0.2.2:49152\n'


class Host:

    def __init__(self, name, addresses, *answers):
        self.name = name
        self._addresses = addresses
        self._answers = list(answers)
        self.listed = threading.Event()

    def run(self, *command, stdin='', timeout_s=30.0):
        if command[0] == 'ip':
            return self._addresses
        if command[0] == 'cat':
            return '32768\t60999\n'
        assert command[0] == 'ss'
        if len(self._answers) == 1:
            self.listed.set()
            found = self._answers[0]
        else:
            found = self._answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


class SocketWatchTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.clock = itertools.count(0, 0.5)

    def watch(self, *answers, destination=DESTINATION_IP):
        self.source = Host('alpha', SOURCE_IP, *answers)
        return sockets.SocketWatch(
            self.source, Host('beta', destination), 0.001,
            lambda: next(self.clock))

    def test_a_connection_during_the_watch(self):
        watched = self.watch(BEFORE, BEFORE + QEMU, BEFORE)
        with watched:
            self.source.listed.wait(10)
        self.assertEqual(sockets.Transport.DIRECT, watched.transport)
        self.assertEqual((49152,), watched.results().qemu_ports)
        self.assertIsNone(watched.results().error)
        self.assertIn('between alpha and beta: transport direct',
                      str(watched))

    def test_nothing(self):
        watched = self.watch(BEFORE, BEFORE)
        with watched:
            self.source.listed.wait(10)
        watched.stop()
        self.assertEqual(sockets.Transport.UNSEEN, watched.transport)

    def test_a_host_that_fails_later(self):
        watched = self.watch(BEFORE, remote.HostError('host alpha: gone'))
        with watched:
            self.source.listed.wait(10)
        self.assertRaises(remote.HostError, getattr, watched, 'transport')
        self.assertEqual('host alpha: gone', watched.results().error)

    def test_a_failed_snapshot_loses_no_connection(self):
        watched = self.watch(BEFORE, ValueError('what?'), BEFORE + QEMU)
        with watched:
            self.source.listed.wait(10)
        self.assertEqual(sockets.Transport.DIRECT, watched.transport)
        self.assertEqual('what?', watched.results().error)

    def test_snapshots_that_are_far_apart(self):
        for answers, good in (((BEFORE, BEFORE), False),
                              ((BEFORE, BEFORE + QEMU), True)):
            self.clock = itertools.chain([0.0, 2.1], itertools.repeat(2.1))
            watched = self.watch(*answers)
            with watched:
                self.source.listed.wait(10)
            if good:
                self.assertEqual(
                    sockets.Transport.DIRECT, watched.transport)
                continue
            exc = self.assertRaises(
                remote.HostError, getattr, watched, 'transport')
            self.assertIn('not seen all the time: 2.1 s', str(exc))

    def test_hosts_with_the_same_addresses(self):
        exc = self.assertRaises(
            remote.HostError,
            self.watch(BEFORE, destination=SOURCE_IP).start)
        self.assertIn('alpha and beta', str(exc))

    def test_a_watch_that_was_not_started(self):
        watched = self.watch(BEFORE)
        watched.stop()
        self.assertRaises(AssertionError, getattr, watched, 'transport')
