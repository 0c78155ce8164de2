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

"""Single packets to a server behind a veth pair, in network namespaces."""

import os
import shutil
import subprocess
import sys

import msgspec

from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base

# Reserved for benchmarks and documentation (RFC 2544, RFC 3849).
PROBER, ADDRESS, SECOND = '198.18.0.1', '198.18.0.2', '198.18.0.3'
PROBER_6, ADDRESS_6 = '2001:db8::1', '2001:db8::2'
SERVER = 'server'
LOOK = (
    'import sys, msgspec\n'
    'from lm_tempest_plugin.probes import reachability\n'
    'from lm_tempest_plugin.results import schema\n'
    'addresses, before = msgspec.json.decode(sys.argv[1], type=tuple[\n'
    '    dict[str, list[str]], dict[str, schema.Reachability]])\n'
    'found = reachability.look(addresses, before)\n'
    'sys.stdout.buffer.write(msgspec.json.encode(found))\n')


class Namespace:
    """A network namespace without a name, held by a sleeping process."""

    def __init__(self, test):
        # Once cat answers, the process has left our namespace.
        self._holder = subprocess.Popen(
            ['unshare', '--net', 'cat'], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        test.addCleanup(self._holder.communicate)
        self._holder.stdin.write(b'x\n')
        self._holder.stdin.flush()
        self._holder.stdout.readline()
        self.pid = str(self._holder.pid)

    def run(self, *command, **kwargs):
        """Run a command inside, and return its output."""
        return subprocess.run(
            ['nsenter', f'--net=/proc/{self.pid}/ns/net', *command],
            check=True, capture_output=True, **kwargs).stdout


class ReachabilityTest(base.TestCase):
    """A prober and a server, each in a namespace, joined by a veth pair."""

    def setUp(self):
        super().setUp()
        missing = [name for name in
                   ('ip', 'nft', 'nsenter', 'ping', 'unshare')
                   if shutil.which(name) is None]
        if os.geteuid() != 0 or missing:
            self.skipTest('network namespaces need root, and '
                          f'{missing or "nothing else"}')
        self.prober, self.server = Namespace(self), Namespace(self)
        self.prober.run('ip', 'link', 'add', 'veth', 'type', 'veth', 'peer',
                        'name', 'veth', 'netns', self.server.pid)
        for where, *addresses in (
                (self.prober, f'{PROBER}/24', f'{PROBER_6}/64'),
                (self.server, f'{ADDRESS}/24', f'{SECOND}/24',
                 f'{ADDRESS_6}/64')):
            for address in addresses:
                # Duplicate address detection would take a second or two.
                flags = ['nodad'] if ':' in address else []
                where.run('ip', 'address', 'add', address, 'dev', 'veth',
                          *flags)
            where.run('ip', 'link', 'set', 'veth', 'up')
        # IPv6 begins up to a second after the link is up.
        self.prober.run('ping', '-c1', '-w5', '-i0.2', ADDRESS_6)
        self.filter_closed_port()

    def filter_closed_port(self, action='drop'):
        """Have the server treat connections as a security group does."""
        self.server.run('nft', '-f', '-', input=(
            'table inet group\ndelete table inet group\n'
            'table inet group { chain input {\n'
            'type filter hook input priority 0;\n'
            f'tcp dport 9 {action}; }}; }}\n').encode())

    def look(self, before=None):
        return msgspec.json.decode(self.prober.run(
            sys.executable, '-c', LOOK, msgspec.json.encode([
                {SERVER: [ADDRESS, SECOND, ADDRESS_6]},
                {SERVER: before} if before else {}])),
            type=dict[str, schema.Reachability])[SERVER]

    def test_nothing_changes(self):
        before = self.look()
        self.assertEqual(schema.Reachability(
            answering=(ADDRESS, SECOND, ADDRESS_6),
            full_size_bytes=dict.fromkeys(
                (ADDRESS, SECOND, ADDRESS_6), 1500),
            closed_port=dict.fromkeys(
                (ADDRESS, SECOND, ADDRESS_6), 'silent')), before)
        self.assertEqual(before, self.look(before))

    def test_without_privileges(self):
        self.prober.run('sysctl', '-w',
                        'net.ipv4.ping_group_range=0 2147483647')
        self.test_nothing_changes()

    def test_an_address_is_gone(self):
        before = self.look()
        self.server.run('ip', 'address', 'del', f'{SECOND}/24', 'dev', 'veth')
        after = self.look(before)
        self.assertEqual((ADDRESS, ADDRESS_6), after.answering)
        self.assertNotIn(SECOND, after.full_size_bytes)

    def test_an_mtu_black_hole(self):
        before = self.look()
        # A veth drops longer packets, and sends no ICMP error. An IPv6
        # interface has no smaller MTU than this.
        self.server.run('ip', 'link', 'set', 'veth', 'mtu', '1280')
        after = self.look(before)
        self.assertEqual(before.answering, after.answering)
        self.assertEqual({}, after.full_size_bytes)
        self.assertEqual({ADDRESS: 1280, SECOND: 1280, ADDRESS_6: 1280},
                         self.look().full_size_bytes)

    def test_a_path_mtu_that_the_kernel_has_learned_is_ignored(self):
        before = self.look()
        for address in (ADDRESS, SECOND):
            self.prober.run('ip', 'route', 'add', address, 'dev', 'veth',
                            'mtu', '1280')
        self.assertEqual(before, self.look(before))

    def test_the_security_group_is_not_applied(self):
        before = self.look()
        self.filter_closed_port('accept')
        self.assertEqual(
            dict.fromkeys((ADDRESS, SECOND, ADDRESS_6), 'refused'),
            self.look(before).closed_port)

    def test_a_security_group_that_rejects(self):
        self.filter_closed_port('reject with tcp reset')
        self.assertEqual(
            dict.fromkeys((ADDRESS, SECOND, ADDRESS_6), 'refused'),
            self.look().closed_port)

    def test_a_lossy_moment(self):
        # Two of three packets are lost, with any content.
        self.server.run('nft', '-f', '-', input=(
            b'table inet loss { chain input {\n'
            b'type filter hook input priority -1;\n'
            b'meta l4proto icmp numgen inc mod 3 < 2 drop; }; }\n'))
        self.assertEqual((ADDRESS, SECOND, ADDRESS_6), self.look().answering)

    def test_without_ipv6(self):
        self.prober.run('sysctl', '-w', 'net.ipv6.conf.all.disable_ipv6=1')
        before = self.look()
        self.assertEqual((ADDRESS, SECOND), before.answering)
        self.assertEqual({ADDRESS: 1500, SECOND: 1500},
                         before.full_size_bytes)
        self.assertEqual(before, self.look(before))

    def test_the_server_is_gone(self):
        before = self.look()
        self.server.run('ip', 'link', 'set', 'veth', 'down')
        after = self.look(before)
        self.assertEqual(((), {}), (after.answering, after.full_size_bytes))
        self.assertNotIn('refused', after.closed_port.values())
