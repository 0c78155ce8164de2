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

import signal
import subprocess
import types
from unittest import mock
from xml.etree import ElementTree

from lab.faults import fault
from lab.faults import hypervisors
from lab.tests.unit import base

DOMAIN = """\
<domain type='qemu'><name>instance-1</name><uuid>server</uuid><devices>
<emulator>qemu</emulator><disk type='file'/><interface type='ethernet'/>
<serial type='pty'/><console type='pty'/><rng model='virtio'/>
</devices></domain>"""


class FaultsCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.place = fault.Place(
            self.layout, 'compute1', 'compute2', 'server')
        self.faults = {each.name: each for each in hypervisors.FAULTS}
        self.commands, self.answers = [], {}
        self.rows = [['server', 'compute2', 'active', 'NULL', 'completed']]
        self.states = {'compute2': 'running'}
        fleet = hypervisors.fleet
        self.patch(fleet, 'inside', self._inside)
        self.patch(fleet, 'sql', lambda layout, statement: self.rows)
        self.patch(fleet, 'domain_state',
                   lambda host, server_id: self.states.get(host, ''))
        self.removed = self.patch(fleet, 'remove_traces')
        self.signals = self.patch(hypervisors.os, 'kill')
        self.patch(hypervisors.time, 'sleep')

    def _inside(self, host, *command, check=True):
        self.commands.append((host, *command))
        return subprocess.CompletedProcess(
            command, 0, self.answers.get(command[:2], ''), '')


class TestGuests(FaultsCase):

    def test_commands(self):
        for name, wanted in (
                ('guest-destroyed', ['destroy']),
                ('guest-paused', ['suspend']),
                ('guest-4s', ['suspend', 'resume'])):
            self.commands.clear()
            self.faults[name].inject(self.place)
            self.assertEqual([('compute2', 'virsh', command, 'server')
                              for command in wanted], self.commands)

    def test_present(self):
        for name, state in (('guest-destroyed', 'shut off'),
                            ('guest-paused', 'paused'),
                            ('guest-4s', 'running')):
            self.states = {'compute2': state}
            self.assertEqual('', self.faults[name].present(self.place))
            self.states = {}
            self.assertEqual(f'the guest is absent, not {state}',
                             self.faults[name].present(self.place))


class TestDomains(FaultsCase):

    def setUp(self):
        super().setUp()
        self.answers['virsh', 'dumpxml'] = DOMAIN
        # Of cloud/data/compute1.
        self.path = self.layout.data('compute1') / 'planted.xml'

    def test_defined(self):
        chosen = self.faults['domain-twice']
        chosen.inject(self.place)
        self.assertEqual(
            ('compute1', 'virsh', 'define', str(self.path)),
            self.commands[-1])
        self.assertEqual(DOMAIN, self.path.read_text())

    def test_second_has_nothing_of_the_guest(self):
        self.faults['runs-twice'].inject(self.place)
        self.assertEqual(
            ('compute1', 'virsh', 'create', str(self.path)),
            self.commands[-1])
        devices = ElementTree.parse(self.path).find('devices')
        self.assertEqual(['emulator', 'rng'], [each.tag for each in devices])

    def test_planted_after_the_record_has_ended(self):
        self.rows[0][-1] = 'running'
        self.patch(hypervisors, 'HAND_OVER_S', 0)
        for name in ('domain-twice', 'runs-twice', 'directory', 'interface'):
            self.assertIn('the record to end', self.refused(
                self.faults[name].inject, self.place))
        self.assertEqual([], self.commands)

    def test_present(self):
        for name, state in (('domain-twice', 'shut off'),
                            ('runs-twice', 'running')):
            self.states['compute1'] = state
            self.assertEqual('', self.faults[name].present(self.place))
            del self.states['compute1']
            self.assertEqual(
                f'its domain on compute1 is absent, not {state}',
                self.faults[name].present(self.place))

    def test_healed(self):
        chosen = self.faults['runs-twice']
        # Nothing was planted.
        chosen.heal(self.place)
        self.removed.assert_not_called()
        chosen.inject(self.place)
        chosen.heal(self.place)
        self.removed.assert_called_once_with(
            self.layout, 'compute1', 'server', ())
        self.assertFalse(self.path.exists())


class TestLeftovers(FaultsCase):

    def test_directory(self):
        chosen = self.faults['directory']
        self.assertNotEqual('', chosen.present(self.place))
        chosen.inject(self.place)
        self.assertTrue((self.layout.data('compute1') / 'instances' /
                         'server' / 'disk').exists())
        self.assertEqual('', chosen.present(self.place))
        chosen.heal(self.place)
        self.removed.assert_called_once_with(
            self.layout, 'compute1', 'server', ())

    def test_interface(self):
        port = types.SimpleNamespace(id='0123456789abcdef',
                                     mac_address='fa:16:3e:00:00:01')
        self.patch(hypervisors.openstack, 'connect').return_value = (
            mock.Mock(**{'network.ports.return_value': iter([port])}))
        for act, wanted in (('inject', 'add-port'), ('heal', 'del-port')):
            hypervisors.openstack.connect().network.ports.return_value = (
                iter([port]))
            self.commands.clear()
            getattr(self.faults['interface'], act)(self.place)
            [command] = self.commands
            self.assertEqual(('compute1', 'ovs-vsctl'), command[:2])
            self.assertIn(wanted, command)
            self.assertIn('tap0123456789a', command)

    def test_interface_is_there(self):
        self.patch(hypervisors, '_interface', return_value=('tap0', '', ''))
        self.answers['ovs-vsctl', 'list-ports'] = 'tap0\ntap1\n'
        chosen = self.faults['interface']
        self.assertEqual('', chosen.present(self.place))
        self.answers.clear()
        self.assertEqual('tap0 is gone', chosen.present(self.place))

    def test_interface_down(self):
        self.patch(hypervisors, '_interface', return_value=('tap0', '', ''))
        programs = self.patch(hypervisors, 'programs')
        chosen = self.faults['interface-down']
        chosen.inject(self.place)
        programs.pause.assert_called_once_with('compute2-taps')
        self.assertEqual(
            [('compute2', 'ip', 'link', 'set', 'tap0', 'down')],
            self.commands)
        self.assertEqual('', chosen.present(self.place))
        self.answers['ip', 'link'] = '7: tap0: <UP> mtu 1500'
        self.assertEqual('tap0 is up', chosen.present(self.place))
        chosen.heal(self.place)
        programs.resume.assert_called_once_with('compute2-taps')


class TestPrograms(FaultsCase):

    def setUp(self):
        super().setUp()
        self.programs = self.patch(hypervisors, 'programs')
        self.programs.pid.return_value = 7

    def test_killed(self):
        for name, program in (
                ('libvirtd', 'compute2-libvirtd'),
                ('compute-running', 'compute1-nova-compute'),
                ('compute-queued', 'compute1-nova-compute')):
            self.faults[name].inject(self.place)
            self.programs.kill.assert_called_with(program)

    def test_compute_is_restarted_after_libvirtd(self):
        restart = self.patch(hypervisors.settings, 'restart_compute')
        self.faults['libvirtd'].heal(self.place)
        restart.assert_called_once_with(self.layout, 'compute2')

    def test_present_if_started_since_the_request(self):
        self.rows = [['other', '90'], ['server', '20'], ['server', '50']]
        for seconds, wanted in (
                (19, ''), (21, 'compute2-libvirtd runs since 21 s')):
            self.answers['ps', '-o'] = f'{seconds:8}\n'
            self.assertEqual(
                wanted, self.faults['libvirtd'].present(self.place))

    def test_paused_until_healed(self):
        for name, host in (('libvirtd-destination', 'compute2'),
                           ('libvirtd-source', 'compute1')):
            chosen, program = self.faults[name], f'{host}-libvirtd'
            chosen.inject(self.place)
            self.programs.pause.assert_called_with(program)
            self.programs.paused.return_value = False
            self.assertEqual(f'{program} is not paused',
                             chosen.present(self.place))
            chosen.heal(self.place)
            self.programs.resume.assert_called_with(program)

    def test_healed_when_the_migration_has_ended(self):
        self.rows[0][-2:] = 'migrating', 'running'
        self.patch(hypervisors, 'END_S', 0)
        for name in ('libvirtd-destination', 'libvirtd-source', 'copy-slow',
                     'copy-not-converging'):
            self.assertIn('the migration to end', self.refused(
                self.faults[name].heal, self.place))

    def test_orphans(self):
        self.patch(hypervisors.fleet, 'running_on', lambda hosts: {
            'orphan': ['compute2'], 'other': ['compute2']})
        self.rows = [['orphan', 'compute1'], ['other', 'compute2']]
        self.faults['compute-running'].heal(self.place)
        self.removed.assert_called_once_with(
            self.layout, 'compute2', 'orphan', ())


class TestCopy(FaultsCase):

    def test_limited(self):
        for name, limit in (('copy-slow', '1'),
                            ('copy-not-converging', '4')):
            chosen = self.faults[name]
            chosen.inject(self.place)
            self.assertEqual(
                ('compute1', 'virsh', 'migrate-setspeed', 'server', limit),
                self.commands[-1])
            for found, wanted in ((limit, ''), (
                    '99', 'the limit is 99 MiB/s')):
                self.answers['virsh', 'migrate-getspeed'] = f'{found}\n'
                self.assertEqual(wanted, chosen.present(self.place))

    def test_post_copy(self):
        change = self.patch(hypervisors.settings, 'change')
        restore = self.patch(hypervisors.settings, 'restore')
        chosen = self.faults['qemu-post-copy']
        chosen.prepare(self.place)
        change.assert_called_once_with(self.layout, 'compute1',
                                       hypervisors.POST_COPY)
        self.assertIn('--postcopy', self.commands[-1])
        self.answers['virsh', 'domname'] = 'instance-1\n\n'
        self.answers['cat', '/run/libvirt/qemu/instance-1.pid'] = '99'
        chosen.inject(self.place)
        self.signals.assert_called_once_with(99, signal.SIGKILL)
        for state, wanted in (
                ('running (post-copy failed)', ''),
                ('running (post-copy)', ''),
                ('running (migrated)', 'the guest is running (migrated)')):
            self.answers['virsh', 'domstate'] = f'{state}\n\n'
            self.assertEqual(wanted, chosen.present(self.place))
        chosen.heal(self.place)
        restore.assert_called_once_with(self.layout, 'compute1')
