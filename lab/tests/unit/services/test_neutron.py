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

from lab import layout
from lab import services
from lab.services.base import Lab
from lab.services import neutron
from lab.tests.unit import base
from lab.topology import Topology


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        self.topology = Topology()
        self.patch(services.base, 'run', self._run)
        self.lab = Lab(self.layout, self.topology)
        self.lab.supervisor = self
        self.known = {program.identifier: program
                      for program in self.lab.programs}
        self.steps = {step.name: step.run for service in self.lab.services
                      if service.name in ('ovn', 'openvswitch')
                      for step in service.steps()}

    def _run(self, *command, host='controller'):
        self.events.append((host, ' '.join(str(word) for word in command)))

    def start(self, name):
        """Note the start, in place of a supervisor."""
        self.events.append(('supervisor', name))


class TestDatabase(TestCase):

    def test_northbound_and_southbound(self):
        for short, port in (('nb', 6641), ('sb', 6642)):
            self.events = []
            self.steps[f'ovn-{short}']()
            create, start, init, listen = self.events
            self.assertEqual(('supervisor', f'ovn-{short}'), start)
            # The file that is made is the one that the server opens.
            server = self.known[f'ovn-{short}'].command
            self.assertEqual(
                ('controller', f'ovsdb-tool create {server[-1]} '
                 f'/usr/share/ovn/ovn-{short}.ovsschema'), create)
            # The socket that is used is the one that it listens at.
            tool = f'ovn-{short}ctl --db=unix:'
            for _, command in (init, listen):
                self.assertTrue(command.startswith(tool))
                socket = command.removeprefix(tool).split()[0]
                self.assertIn(f'--remote=punix:{socket}', server)
            self.assertIn(f'ptcp:{port}:198.18.0.1', listen[1])
            self.assertIn(f'inactivity_probe={neutron.PROBE_MS}',
                          listen[1])

    def test_a_socket_that_opens_late(self):
        answers = iter(['no such file', 'no such file', ''])

        def run(*command, host='controller'):
            self._run(*command)
            if command[-1] == 'init' and (fault := next(answers)):
                raise neutron.errors.LabError(fault)

        self.patch(services.base, 'run', run)
        self.steps['ovn-sb']()
        self.assertEqual(3, sum(
            command.endswith(' init') for _, command in self.events))


class TestSwitch(TestCase):

    def setUp(self):
        super().setUp()
        self.host = self.topology.compute_hosts[1]
        for name in ('ovsdb', 'ovs-vswitchd', 'ovn-controller'):
            self.steps[f'compute2-{name}']()

    def test_order(self):
        self.assertEqual(
            ['ovsdb-tool', 'compute2-ovsdb', 'ovs-vsctl',
             'compute2-ovs-vswitchd', 'ovs-vsctl',
             'compute2-ovn-controller'],
            [what.split()[0] for _, what in self.events])

    def test_runs_in_the_host(self):
        for host, what in self.events:
            if what.startswith('ovs-vsctl'):
                self.assertEqual('compute2', host)
        self.assertIn(self.known['compute2-ovsdb'].command[-1],
                      self.events[0][1])

    def test_settings_before_the_switch_starts(self):
        settings = self.events[2][1]
        for expected in ('userspace-tso-enable=true',
                         'external_ids:system-id=compute2',
                         'ovn-remote="tcp:198.18.0.1:6642"',
                         f'ovn-encap-ip="{self.host.address}"',
                         'ovn-bridge-datapath-type="netdev"',
                         'ovn-bridge-mappings="prov:br-ex"'):
            self.assertIn(expected, settings)

    def test_keeps_taps_up(self):
        program = self.known['compute2-taps']
        python, *arguments = program.command
        self.assertEqual(['-m', 'lab.hosts.taps'], arguments)
        # A virtualenv that has pyroute2.
        self.assertEqual(self.layout.venv_bin('tempest', 'python'), python)
        self.assertEqual(str(layout.REPOSITORY),
                         dict(program.environment)['PYTHONPATH'])

    def test_provider_bridge(self):
        bridge = self.events[4][1]
        self.assertIn('add-br br-ex', bridge)
        self.assertIn('datapath_type=netdev', bridge)
        self.assertIn('add-port br-ex eth1', bridge)
