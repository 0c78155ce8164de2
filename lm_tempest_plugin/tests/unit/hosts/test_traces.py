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

import json
import pathlib
import re
import subprocess

import fixtures

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import traces
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base

ONE, TWO = (f'c0ffee00-0000-4000-8000-00000000000{number}'
            for number in (1, 2))
INSTANCES = '/var/lib/nova/instances'
URI = 'qemu:///system'
RUNNING = "Domain: 'instance-00000001'\n  state.state=1\n  state.reason=5\n"

# As libvirt 9.0 prints them after a block migration, shortened.
ACTIVE = """\
<domain type='qemu' id='7'>
  <name>instance-00000001</name>
  <os>
    <type arch='x86_64' machine='pc-i440fx-9.2'>hvm</type>
  </os>
  <cpu mode='custom' match='exact' check='full'>
    <model fallback='forbid'>Nehalem</model>
    <topology sockets='1' dies='1' cores='1' threads='1'/>
    <feature policy='require' name='x2apic'/>
    <feature policy='disable' name='vmx'/>
    <feature policy='require' name='hypervisor'/>
  </cpu>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='/var/lib/nova/instances/c0ffee/disk' index='1'/>
      <backingStore type='file' index='2'>
        <format type='raw'/>
        <source file='/var/lib/nova/instances/_base/2eabab'/>
        <backingStore/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
      <alias name='virtio-disk0'/>
    </disk>
    <disk type='network' device='disk'>
      <source protocol='rbd' name='volumes/volume-1' index='3'>
        <host name='192.0.2.9' port='6789'/>
      </source>
      <target dev='vdb' bus='virtio'/>
    </disk>
    <interface type='ethernet'>
      <mac address='fa:16:3e:0a:9e:cc'/>
      <target dev='tap2f35f434-9b' managed='no'/>
      <alias name='net0'/>
    </interface>
    <interface type='hostdev' managed='yes'>
      <mac address='fa:16:3e:0a:9e:dd'/>
      <driver name='vfio'/>
      <source>
        <address type='pci' domain='0x0000' bus='0x03' slot='0x02'/>
      </source>
    </interface>
    <hostdev mode='subsystem' type='mdev' managed='no'>
      <source>
        <address uuid='c0ffee00-0000-4000-8000-0000000000aa'/>
      </source>
    </hostdev>
  </devices>
</domain>
"""
INACTIVE = re.sub(r" (index|id)='\d'| *<alias .*\n", '', re.sub(
    r' *<backingStore type.*</backingStore>\n', '', ACTIVE, flags=re.S))
PORTS = json.dumps({'headings': ['name', 'external_ids'], 'data': [
    ['br-int', ['map', []]],
    ['tap8425df94-c0', ['map', [['iface-id', 'metadata']]]],
    ['tap2f35f434-9b', ['map', [['iface-id', 'port-1'], ['vm-uuid', ONE]]]],
    ['qvo77777777-77', ['map', [['vm-uuid', TWO]]]]]})
DEVICES = ('lo', 'br-int', 'tap2f35f434-9b', 'tap8425df94-c0',
           'tap99999999-99')
ERROR = f"error: failed to get domain '{TWO}'"


def flags(*names, value='0x1103'):
    """Return the lines of grep for the flags of interfaces."""
    return '\n'.join(f'/sys/class/net/{name}/flags:{value}'
                     for name in names)


class Host:
    """Stands in for a Remote: prints parts with the mark of the program."""

    name = 'alpha'

    def __init__(self, **parts):
        self.parts = {
            'uri': URI, 'domains': ONE, 'persistent': ONE,
            f'state:{ONE}': RUNNING, f'active:{ONE}': ACTIVE,
            f'inactive:{ONE}': INACTIVE,
            f'state:{TWO}': ERROR, f'active:{TWO}': ERROR,
            f'inactive:{TWO}': ERROR,
            'end': '', 'ports': PORTS, 'devices': flags(*DEVICES),
            'instances': f'{INSTANCES}/.',
            f'directory:{ONE}': '2252829\next2/ext3', f'directory:{TWO}': '',
            f'qemu:{ONE}': 'qemu version: 10.0.2',
            # An earlier guest of this name.
            f'qemu:{TWO}': 'qemu version: 7.2.9',
            **parts}
        self.command, self.program = (), ''

    def run(self, *command, stdin=''):
        self.command, self.program = command, stdin
        mark, = set(re.findall('[0-9a-f]{32}', stdin))
        return ''.join(
            f'{mark}:{name if ":" in name else name + ":"}:{text}\n'
            for name, text in self.parts.items() if text is not None)


def read(host, qemu_log="cat 'log of'/{server}"):
    return traces.read(host, ['virsh'], ['docker', 'exec', 'o v s'],
                       INSTANCES, qemu_log, [ONE, TWO])


class ReadTest(base.TestCase):

    def test_all_that_a_host_has(self):
        self.assertEqual({
            ONE: schema.HostTraces(
                host='alpha', state='running', persistent=True,
                directory='2252829 ext2/ext3',
                interfaces=('tap2f35f434-9b',),
                stray_taps=('tap99999999-99',),
                hardware=schema.GuestHardware(
                    machine='pc-i440fx-9.2',
                    cpu='custom Nehalem +hypervisor +x2apic -vmx',
                    qemu_version='10.0.2')),
            # Its tap device is gone, its port has stayed.
            TWO: schema.HostTraces(
                host='alpha', directory='', interfaces=('qvo77777777-77',),
                stray_taps=('tap99999999-99',))},
            read(Host()))

    def test_a_domain_that_is_not_defined(self):
        found = read(Host(persistent=''))[ONE]
        self.assertIs(False, found.persistent)

    def test_a_domain_that_goes_away_meanwhile(self):
        found = read(Host(domains=f'{ONE}\n{TWO}'))[TWO]
        self.assertEqual(('', None), (found.state, found.persistent))

    def test_warnings_of_the_tools(self):
        self.assertEqual(read(Host()), read(Host(
            uri=f'sh: a warning\n{URI}', ports=f'a warning\n{PORTS}')))

    def test_xml_that_cannot_be_read(self):
        found = read(Host(**{f'inactive:{ONE}': 'error: no'}))[ONE]
        self.assertEqual(('running', ()), (found.state, found.differences))
        self.assertEqual({'differences': 'error: no'}, found.unknown)

    def test_bridges_for_iptables(self):
        names = [f'{kind}77777777-77' for kind in ('qbr', 'qvb', 'tap')]
        found = read(Host(devices=flags('lo', *names)))
        self.assertEqual(
            ('qbr77777777-77', 'qvb77777777-77', 'qvo77777777-77',
             'tap77777777-77'), found[TWO].interfaces)
        self.assertEqual((), found[TWO].stray_taps)

    def test_interfaces_that_are_down(self):
        found = read(Host(devices='\n'.join((
            flags('tap2f35f434-9b', 'tap99999999-99', value='0x1102'),
            flags('tap77777777-77')))))
        self.assertEqual(('tap2f35f434-9b',), found[ONE].interfaces_down)
        # A port without an interface is not down.
        self.assertEqual((), found[TWO].interfaces_down)

    def test_a_directory_that_goes_away_meanwhile(self):
        found = read(Host(**{f'directory:{ONE}': "stat: cannot statx '/x'"}))
        self.assertEqual('', found[ONE].directory)

    def test_libvirt_does_not_answer(self):
        for parts, text in (
                ({'uri': 'error: no connection driver for qemu:///system'},
                 'no connection driver'),
                ({'uri': 'error: failed to connect\nerror: no socket'},
                 'failed to connect error: no socket'),
                ({'uri': 'sh: 1: virsh: not found'}, 'not found'),
                ({'uri': ''}, 'no URI within'),
                ({'end': None}, 'does not answer')):
            exc = self.assertRaises(remote.HostError, read, Host(**parts))
            self.assertIn('alpha: libvirt does not answer', str(exc))
            self.assertIn(text, str(exc))

    def test_a_libvirt_without_nova_s_domains(self):
        exc = self.assertRaises(remote.HostError, read, Host(
            uri='a warning\nqemu:///session', domains=''))
        self.assertIn('--connect qemu:///system', str(exc))

    def test_answers_that_cannot_be_parsed(self):
        for parts in (
                {f'state:{ONE}': 'error: Timed out'},
                {f'state:{ONE}': 'state.state=99'},
                {'devices': None}, {'devices': flags('lo', value='up')}):
            exc = self.assertRaises(remote.HostError, read, Host(**parts))
            self.assertIn('alpha: traces of servers cannot', str(exc))

    def test_without_open_vswitch(self):
        for answer, text in (('sh: 1: ovs-vsctl: not found', 'not found'),
                             ('', 'no answer within'),
                             ('null', 'null'), ('{"data": 1}', 'data'),
                             ('{"data": [[1]]}', 'data')):
            found = read(Host(ports=answer))
            self.assertEqual(
                ('tap2f35f434-9b',), found[ONE].interfaces)
            self.assertEqual((), found[TWO].interfaces)
            self.assertIn('Open vSwitch cannot be asked',
                          found[TWO].unknown['interfaces'])
            self.assertIn(text, found[TWO].unknown['interfaces'])

    def test_instances_path_is_wrong(self):
        found = read(Host(instances='ls: cannot access'))[ONE]
        self.assertIsNone(found.directory)
        self.assertIn(f'{INSTANCES} cannot be listed',
                      found.unknown['directory'])

    def test_a_guest_that_does_not_run_has_no_hardware(self):
        # libvirt shows the definition instead.
        shut_off = RUNNING.replace('state.state=1', 'state.state=5')
        found = read(Host(**{f'state:{ONE}': shut_off}))[ONE]
        self.assertEqual(('shut off', None), (found.state, found.hardware))

    def test_the_version_of_qemu(self):
        log = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'log')
        log.write_bytes(b'\xff\n' + b''.join(
            b'2026-01-0%d 00:00:00.000+0000: starting up libvirt version: '
            b'9.0.0, package: 9.0.0-4, qemu version: %s, kernel: 6.1.0\n'
            % each for each in ((1, b'7.2.9Debian 1:7.2+dfsg-7'),
                                (2, b'10.0.2Debian 1:10.0.2+ds-2'))))
        host = Host()
        for command, expected in (
                (f'cat {log}', 'qemu version: 10.0.2\n'),
                (f'cat {log} # {{server}}', 'qemu version: 10.0.2\n'),
                ('echo >&2 no; exit 1', ''), ('', '')):
            read(host, command)
            printed = subprocess.run(
                ['sh', '-s'], text=True, capture_output=True, check=True,
                input=host.program.replace('exec 2>&1', '')).stdout
            self.assertEqual(expected, printed.partition(
                f':qemu:{ONE}:\n')[2].partition(
                    re.search('[0-9a-f]{32}', printed)[0])[0])

    def test_the_program(self):
        host = Host()
        read(host)
        self.assertEqual(('env', 'LC_ALL=C', 'sh', '-s'), host.command)
        self.assertIn("timeout 8 docker exec 'o v s' --format=json",
                      host.program)
        # A syntax error would end the shell before it runs anything.
        subprocess.run(['sh', '-n'], input=host.program, text=True,
                       check=True)


class HardwareTest(base.TestCase):

    def test_a_cpu_that_qemu_chooses(self):
        self.assertEqual(
            schema.GuestHardware(machine='q35'), traces.hardware(
                "<domain><os><type machine='q35'/></os></domain>"))

    def test_a_cpu_of_the_host(self):
        self.assertEqual('host-passthrough', traces.hardware(
            "<domain><cpu mode='host-passthrough'/></domain>").cpu)

    def test_no_xml(self):
        self.assertRaises(ValueError, traces.hardware, 'error: no domain')


class DifferencesTest(base.TestCase):

    def test_what_libvirt_adds_to_a_running_domain_is_no_difference(self):
        self.assertNotEqual(ACTIVE, INACTIVE)
        self.assertEqual([], list(traces.differences(ACTIVE, INACTIVE)))

    def test_differences(self):
        for old, new, text in (
                ('/c0ffee/disk', '/other/disk',
                 'disk vda is disk file file=/var/lib/nova/instances/c0ffee/'
                 'disk, and after a new start it is disk file file='
                 '/var/lib/nova/instances/other/disk'),
                ('volume-1', 'volume-2',
                 'disk vdb is disk network name=volumes/volume-1 '
                 'protocol=rbd, and after a new start it is disk network '
                 'name=volumes/volume-2 protocol=rbd'),
                ("bus='0x03'", "bus='0x04'",
                 'interface fa:16:3e:0a:9e:dd is hostdev bus=0x03'),
                ("'ethernet'", "'bridge'",
                 'interface fa:16:3e:0a:9e:cc is ethernet, and after a new '
                 'start it is bridge')):
            found = list(traces.differences(
                ACTIVE, INACTIVE.replace(old, new)))
            self.assertEqual(1, len(found), found)
            self.assertIn(text, found[0])

    def test_a_device_that_is_missing(self):
        found = list(traces.differences(ACTIVE, '<domain/>'))
        self.assertEqual(5, len(found))
        self.assertIn('host device mdev uuid=c0ffee00-0000-4000-8000-'
                      '0000000000aa is present, and after a new start it is '
                      'absent', found)
