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


from lm_tempest_plugin.hosts import pulse
from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import answering

VIRSH = ['virsh', '-c', 'qemu:///system']


def printed(state=1, cpu_ns=(1_000_000_000, 500_000_000), received=7, sent=3):
    """Return what virsh prints of a guest with two CPUs."""
    return '\n'.join([
        "Domain: 'instance-00000001'", '  state.state=%s' % state,
        '  state.reason=3', '  vcpu.current=2', '  vcpu.maximum=2',
        *('  vcpu.%d.%s=%s' % (number, name, value)
          for number, time_ns in enumerate(cpu_ns)
          for name, value in (('state', 1), ('time', time_ns), ('wait', 0))),
        '  net.count=1', '  net.0.name=tap0', '  net.0.rx.bytes=900',
        '  net.0.rx.pkts=%s' % received, '  net.0.tx.pkts=%s' % sent,
        '  net.0.tx.errs=0', ''])


class PulseTest(base.TestCase):

    def take(self, *answers):
        self.host = answering.Answering(*answers)
        times = iter((10.0, 12.1))
        self.slept = []
        return pulse.take(self.host, VIRSH, 'server-1', 2.0,
                          lambda: next(times), self.slept.append)

    def test_one_that_is_stuck(self):
        found = self.take(printed(), printed(
            cpu_ns=(3_000_000_000, 500_000_000), received=49))
        self.assertEqual(
            'libvirt on compute1 says that it is running; within 2.1 s its '
            'CPUs worked for 2.00 s, and it received 42 packets and sent 0',
            found)
        self.assertEqual([2.0], self.slept)
        self.assertEqual([[
            *VIRSH, 'domstats', '--raw', '--state', '--vcpu', '--interface',
            'server-1']] * 2, self.host.asked)

    def test_states(self):
        self.assertEqual('paused', pulse.parse(printed(3)).state)
        self.assertEqual('crashed', pulse.parse(printed(6)).state)

    def test_without_interfaces(self):
        self.assertEqual(pulse.Beat('running', 0.0, 0, 0),
                         pulse.parse('state.state=1\n'))

    def test_malformed(self):
        for output in ('', 'error: no domain', printed('x'), printed(99),
                       printed(sent='many')):
            exc = self.assertRaises(remotes.HostError, self.take, output)
            self.assertIn('domain server-1', str(exc))
            self.assertIn('compute1', str(exc))

    def test_a_host_that_refuses(self):
        self.assertRaises(
            remotes.HostError, self.take, answering.refusal())
