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


from lm_tempest_plugin.hosts import counters
from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import answering
from lm_tempest_plugin.tests.unit.hosts import counting


class ParseTest(base.TestCase):

    def test_all_counters(self):
        found = counters.parse(counting.printed())
        self.assertEqual(100.0, found.uptime_s)
        # Guests are within user and nice.
        self.assertEqual(counters.Cpu(
            busy=1000 + 20 + 300 + 4 + 6, idle=5080, stolen=50), found.cpu)
        self.assertEqual((1024000, 614400), (
            found.memory_total_bytes, found.memory_available_bytes))
        self.assertEqual({
            'eth0': counters.Flow(1000, 2000),
            'tap0:1': counters.Flow(5000, 6000)}, found.interfaces)
        self.assertEqual({
            'sda': counters.Flow(5120, 10240),
            'nvme0n1': counters.Flow(15360, 20480)}, found.disks)

    def test_what_this_machine_prints(self):
        lines = []
        for path in (counters.UPTIME, counters.STAT, counters.MEMINFO,
                     counters.NET, counters.DISKS):
            with open(path, encoding='utf-8') as file:
                lines += ['==> %s <==' % path, file.read()]
        found = counters.parse('\n'.join(lines))
        self.assertGreater(found.uptime_s, 0)
        self.assertGreater(found.cpu.busy, 0)
        self.assertGreater(found.memory_total_bytes,
                           found.memory_available_bytes)

    def test_no_disks_and_no_interfaces(self):
        found = counters.parse(counting.printed(disks=(), net=()))
        self.assertEqual(({}, {}), (found.disks, found.interfaces))

    def test_disks_that_lie_on_others(self):
        line = ' 7 0 %s 9 0 10 0 9 0 20 0 0 0 0'
        names = ('vda', 'vda1', 'vdb1', 'sdaa', 'sdaa11', 'mmcblk0',
                 'mmcblk0p1', 'nvme1n1', 'nvme1c0n1', 'nvme1n1p1', 'rbd0',
                 'rbd0p1', 'md0', 'md127p1', 'md_home', 'loop3', 'ram0',
                 'zram0', 'bcache0', 'dm-12')
        found = counters.parse(counting.printed(
            disks=[line % name for name in names]))
        # A partition without its disk is a disk to us: some clouds have it.
        self.assertEqual({'vda', 'vdb1', 'sdaa', 'mmcblk0', 'nvme1n1',
                          'rbd0'}, set(found.disks))

    def test_a_file_is_missing(self):
        for name in ('/proc/uptime', '/proc/stat', '/proc/meminfo',
                     '/proc/net/dev', '/proc/diskstats'):
            self.assertEqual('%s is missing' % name, str(self.assertRaises(
                ValueError, counters.parse, counting.printed(leave_out=name))))

    def test_malformed(self):
        for name, wrong in (
                ('/proc/uptime', {'uptime': 'long'}),
                ('/proc/uptime', {'uptime': ''}),
                ('/proc/stat', {'cpu': 'cpu  1 2 3 4 5 6 7'}),
                ('/proc/stat', {'cpu': 'cpu  1 2 3 4 5 6 7 x'}),
                ('/proc/stat', {'cpu': 'cpu1 1 2 3 4 5 6 7 8'}),
                ('/proc/meminfo', {'memory': counting.MEMORY[:2]}),
                ('/proc/meminfo', {
                    'memory': ('MemTotal:', *counting.MEMORY[1:])}),
                ('/proc/net/dev', {'net': ['eth0: 1 2 3']}),
                ('/proc/net/dev', {'net': ['eth0']}),
                ('/proc/diskstats', {'disks': ['8 0 sda 1 2 3']}),
                ('/proc/diskstats', {'disks': ['8']})):
            self.assertIn(name + ':', str(self.assertRaises(
                ValueError, counters.parse, counting.printed(**wrong))))


class ReadTest(base.TestCase):

    def test_what_is_asked(self):
        host = answering.Answering(counting.printed())
        self.assertEqual(
            counters.parse(counting.printed()), counters.read(host, 3.0))
        self.assertEqual([[
            'tail', '-v', '-n', '+1', '/proc/uptime', '/proc/stat',
            '/proc/meminfo', '/proc/net/dev', '/proc/diskstats']],
            host.asked)
        self.assertEqual([3.0], host.timeouts)

    def test_malformed_output_names_host_and_file(self):
        raised = str(self.assertRaises(
            remotes.HostError, counters.read,
            answering.Answering(counting.printed(cpu='cpu what'))))
        for part in ('compute1', '/proc/stat', 'cpu what'):
            self.assertIn(part, raised)
