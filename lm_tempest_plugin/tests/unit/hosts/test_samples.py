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

import threading
import time
from unittest import mock

import msgspec

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import samples
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes

CPU = 'cpu  1000 20 300 5000 80 4 6 50 700 10'
NET = ('    lo: 99 9 0 0 0 0 0 0 99 9 0 0 0 0 0 0',
       '  eth0: 1000 9 0 0 0 0 0 0 2000 9 0 0 0 0 0 0',
       'tap0:1:5000 9 0 0 0 0 0 0 6000 9 0 0 0 0 0 0')
DISKS = ('   8       0 sda 9 0 10 0 9 0 20 0 0 0 0 0 0 0 0 0 0',
         '   8       1 sda1 9 0 10 0 9 0 20 0 0 0 0',
         ' 259       0 nvme0n1 9 0 30 0 9 0 40 0 0 0 0 0 0 0 0 0 0',
         ' 259       1 nvme0n1p2 9 0 30 0 9 0 40 0 0 0 0',
         ' 254       0 dm-0 9 0 10 0 9 0 20 0 0 0 0')
MEMORY = ('MemTotal:        1000 kB', 'MemFree:          10 kB',
          'MemAvailable:     600 kB', 'HugePages_Total:    0')


def printed(uptime='100.00 150.00', cpu=CPU, net=NET, disks=DISKS,
            memory=MEMORY, leave_out=''):
    """Return the output of a host."""
    files = {
        '/proc/uptime': [uptime],
        '/proc/stat': [cpu, 'cpu0 1 2 3 4 5 6 7 8 9 10', 'intr 7 0 0',
                       'btime 1700000000'],
        '/proc/meminfo': memory,
        '/proc/net/dev': [
            'Inter-|   Receive               |  Transmit',
            ' face |bytes    packets errs drop|bytes    packets', *net],
        '/proc/diskstats': disks,
    }
    return '\n'.join(
        '\n'.join([f'==> {name} <==', *lines, ''])
        for name, lines in files.items() if name != leave_out)


def counters(uptime_s=100.0, cpu=(0, 0, 0), interfaces=(), disks=()):
    """Return counters.

    :param interfaces: name, bytes received and sent of each
    :param disks: name, bytes read and written of each
    """
    return samples.Counters(
        uptime_s, samples.CpuTime(*cpu), 1000, 600,
        {name: tuple(moved) for name, *moved in interfaces},
        {name: tuple(moved) for name, *moved in disks})


class ParseTest(base.TestCase):

    def test_all_counters(self):
        found = samples.parse(printed())
        self.assertEqual(100.0, found.uptime_s)
        # Guests are within user and nice.
        self.assertEqual(samples.CpuTime(
            busy=1000 + 20 + 300 + 4 + 6, idle=5080, stolen=50), found.cpu)
        self.assertEqual((1024000, 614400), (
            found.memory_total_bytes, found.memory_available_bytes))
        self.assertEqual({
            'eth0': (1000, 2000),
            'tap0:1': (5000, 6000)}, found.interfaces)
        self.assertEqual({
            'sda': (5120, 10240),
            'nvme0n1': (15360, 20480)}, found.disks)

    def test_output_of_this_machine(self):
        lines = []
        for path in (samples.UPTIME, samples.STAT, samples.MEMINFO,
                     samples.NET, samples.DISKS):
            with open(path, encoding='utf-8') as file:
                lines += [f'==> {path} <==', file.read()]
        found = samples.parse('\n'.join(lines))
        self.assertGreater(found.uptime_s, 0)
        self.assertGreater(found.cpu.busy, 0)
        self.assertGreater(found.memory_total_bytes,
                           found.memory_available_bytes)

    def test_no_disks_and_no_interfaces(self):
        found = samples.parse(printed(disks=(), net=()))
        self.assertEqual(({}, {}), (found.disks, found.interfaces))

    def test_devices_on_other_disks(self):
        names = ('vda', 'vda1', 'vdb1', 'sdaa', 'sdaa11', 'mmcblk0',
                 'mmcblk0p1', 'nvme1n1', 'nvme1c0n1', 'nvme1n1p1', 'rbd0',
                 'rbd0p1', 'md0', 'md127p1', 'md_home', 'loop3', 'ram0',
                 'zram0', 'bcache0', 'dm-12')
        found = samples.parse(printed(
            disks=[f' 7 0 {name} 9 0 10 0 9 0 20 0 0 0 0' for name in names]))
        # A partition without its disk is a disk to us: some clouds have it.
        self.assertEqual({'vda', 'vdb1', 'sdaa', 'mmcblk0', 'nvme1n1',
                          'rbd0'}, set(found.disks))

    def test_a_file_is_missing(self):
        for name in ('/proc/uptime', '/proc/stat', '/proc/meminfo',
                     '/proc/net/dev', '/proc/diskstats'):
            self.assertEqual(f'{name} is missing', str(self.assertRaises(
                ValueError, samples.parse, printed(leave_out=name))))

    def test_malformed(self):
        for name, wrong in (
                ('/proc/uptime', {'uptime': 'long'}),
                ('/proc/uptime', {'uptime': ''}),
                ('/proc/stat', {'cpu': 'cpu  1 2 3 4 5 6 7'}),
                ('/proc/stat', {'cpu': 'cpu  1 2 3 4 5 6 7 x'}),
                ('/proc/stat', {'cpu': 'cpu1 1 2 3 4 5 6 7 8'}),
                ('/proc/meminfo', {'memory': MEMORY[:2]}),
                ('/proc/meminfo', {
                    'memory': ('MemTotal:', *MEMORY[1:])}),
                ('/proc/net/dev', {'net': ['eth0: 1 2 3']}),
                ('/proc/net/dev', {'net': ['eth0']}),
                ('/proc/diskstats', {'disks': ['8 0 sda 1 2 3']}),
                ('/proc/diskstats', {'disks': ['8']})):
            self.assertIn(name + ':', str(self.assertRaises(
                ValueError, samples.parse, printed(**wrong))))


class ReadTest(base.TestCase):

    def test_command(self):
        host = fakes.Answering(printed())
        self.assertEqual(
            samples.parse(printed()), samples.read(host, 3.0))
        self.assertEqual([[
            'tail', '-v', '-n', '+1', '/proc/uptime', '/proc/stat',
            '/proc/meminfo', '/proc/net/dev', '/proc/diskstats']],
            host.asked)
        self.assertEqual([3.0], host.timeouts)

    def test_malformed_output_names_host_and_file(self):
        raised = str(self.assertRaises(
            remote.HostError, samples.read,
            fakes.Answering(printed(cpu='cpu what'))))
        for part in ('compute1', '/proc/stat', 'cpu what'):
            self.assertIn(part, raised)


PERIOD_S = 0.001
PATIENCE_S = 20.0


def rates(before, after):
    """Return a sample with the rates from one time to another."""
    return samples.sample(0, 1, before, after)


def rate(received, sent):
    return schema.InterfaceRate(
        received_bytes_per_s=received, sent_bytes_per_s=sent)


def network(found):
    return found.received_bytes_per_s, found.sent_bytes_per_s


def disk(found):
    return found.read_bytes_per_s, found.written_bytes_per_s


class RatesTest(base.TestCase):

    def test_cpu(self):
        found = rates(
            counters(100.0, (1000, 5000, 50)),
            counters(102.0, (1100, 5080, 70)))
        self.assertEqual((2.0, 0.5, 0.1), (
            found.seconds, found.cpu_busy_fraction, found.cpu_stolen_fraction))

    def test_idle_may_go_back(self):
        found = rates(
            counters(100.0, (0, 5000, 0)),
            counters(101.0, (100, 4999, 0)))
        self.assertEqual((1.0, 0.0), (
            found.cpu_busy_fraction, found.cpu_stolen_fraction))

    def test_unknown_cpu_times(self):
        for before, after in (
                ((100, 0, 0), (99, 50, 0)), ((0, 0, 9), (5, 50, 8)),
                ((1, 2, 3), (1, 2, 3))):
            found = rates(counters(100.0, before), counters(101.0, after))
            self.assertEqual((None, None), (
                found.cpu_busy_fraction, found.cpu_stolen_fraction))

    def test_interfaces(self):
        found = rates(
            counters(100.0, interfaces=[
                ('eth0', 100, 200), ('tap0', 10, 10), ('tap1', 7, 7),
                ('gone', 5, 5)]),
            counters(102.0, interfaces=[
                ('eth0', 300, 800), ('tap0', 30, 10), ('tap1', 7, 7),
                ('new', 1000, 1000)]))
        self.assertEqual((110.0, 300.0), network(found))
        self.assertEqual({
            'eth0': rate(100.0, 300.0), 'tap0': rate(10.0, 0.0)},
            found.interfaces)

    def test_no_interfaces(self):
        found = rates(counters(100.0), counters(101.0))
        self.assertEqual((0.0, 0.0), network(found))

    def test_disks(self):
        found = rates(
            counters(100.0, disks=[('sda', 0, 100), ('sdb', 50, 0)]),
            counters(100.5, disks=[('sda', 10, 100), ('sdb', 50, 20)]))
        self.assertEqual((20.0, 40.0), disk(found))

    def test_missing_disks(self):
        for before, after in (
                ([], []), ([('sda', 1, 1)], []), ([], [('sda', 1, 1)])):
            self.assertIsNone(rates(
                counters(100.0, disks=before),
                counters(101.0, disks=after)).read_bytes_per_s)

    def test_a_counter_that_starts_again(self):
        found = rates(
            counters(100.0, interfaces=[('tap0', 900, 10)]),
            counters(101.0, interfaces=[('tap0', 40, 30)]))
        self.assertEqual((40.0, 20.0), network(found))

    def test_a_host_that_was_rebooted(self):
        for uptime_s in (5.0, 100.0):
            self.assertIsNone(rates(
                counters(100.0), counters(uptime_s)).seconds)


class NextDueTest(base.TestCase):

    def test_on_the_grid(self):
        for now_s, expected in ((10.0, 11.0), (10.4, 11.0), (11.0, 11.0),
                                (11.1, 12.0), (14.5, 15.0)):
            self.assertEqual(expected, samples.next_due_s(10.0, 1.0, now_s))


class SampleTest(base.TestCase):

    def test_it_can_be_stored(self):
        before = counters(
            100.0, (0, 0, 0), [('eth0', 0, 0)], [('sda', 0, 0)])
        after = counters(
            102.0, (60, 20, 20), [('eth0', 2, 4)], [('sda', 6, 8)])
        first, second = msgspec.json.decode(msgspec.json.encode([
            samples.sample(0, 10, None, before),
            samples.sample(100, 110, before, after)]))
        self.assertEqual({
            'before_ns': 100, 'after_ns': 110, 'seconds': 2.0,
            'cpu_busy_fraction': 0.6, 'cpu_stolen_fraction': 0.2,
            'memory_total_bytes': 1000, 'memory_available_bytes': 600,
            'received_bytes_per_s': 1.0, 'sent_bytes_per_s': 2.0,
            'read_bytes_per_s': 3.0, 'written_bytes_per_s': 4.0,
            'interfaces': {'eth0': {'received_bytes_per_s': 1.0,
                                    'sent_bytes_per_s': 2.0}}}, second)
        self.assertEqual(set(second), set(first))
        self.assertEqual((None, None, {}, 600), (
            first['cpu_busy_fraction'], first['read_bytes_per_s'],
            first['interfaces'], first['memory_available_bytes']))

    def test_unknown_disks(self):
        found = rates(counters(100.0), counters(101.0))
        self.assertEqual((None, None, 0.0), (
            *disk(found), found.sent_bytes_per_s))


class SamplerTest(base.TestCase):

    def sample(self, *answers, number=1, missed=0):
        """Return the samples as soon as there are enough."""
        end_s = time.monotonic() + PATIENCE_S
        with samples.Sampler(
                fakes.Answering(*answers), PERIOD_S) as taking:
            while time.monotonic() < end_s:
                found = taking.results()
                if (len(found.samples) >= number and
                        len(found.missed) >= missed):
                    break
                time.sleep(PERIOD_S)
            else:
                self.fail(f'not enough samples: {found}')
        return taking.results()

    def test_samples(self):
        begun_ns = time.monotonic_ns()
        found = self.sample(
            printed('100.00 1.0'), printed('101.00 1.0'),
            number=3)
        self.assertEqual(('compute1', PERIOD_S, ()), (
            found.host, found.period_s, found.missed))
        first, second, third = found.samples[:3]
        self.assertIsNone(first.seconds)
        self.assertEqual(1.0, second.seconds)
        # No time has gone by.
        self.assertIsNone(third.seconds)
        stamps = [stamp for sample in found.samples
                  for stamp in (sample.before_ns, sample.after_ns)]
        self.assertEqual(sorted(stamps), stamps)
        self.assertLessEqual(begun_ns, stamps[0])
        self.assertLessEqual(stamps[-1], time.monotonic_ns())

    def test_samples_that_fail(self):
        with mock.patch.object(
                samples.LOG, 'warning', autospec=True) as warned:
            found = self.sample(
                printed('100.00 1.0'), fakes.refusal(), 'what?',
                printed('102.00 1.0'), number=2, missed=2)
        self.assertIn('no route to host', found.missed[0].error)
        self.assertNotIn('\n', found.missed[0].error)
        self.assertIn('/proc/meminfo is missing', found.missed[1].error)
        # The rates span the missing samples.
        self.assertEqual(2.0, found.samples[1].seconds)
        warned.assert_called_once()
        self.assertIn(found.missed[0].error, warned.call_args[0])

    def test_nothing_but_failures(self):
        found = self.sample(fakes.refusal(), number=0, missed=3)
        self.assertEqual((), found.samples)

    def test_an_error_of_another_kind(self):
        taking = samples.Sampler(
            fakes.Answering(ZeroDivisionError('a bug')), PERIOD_S)
        taking.start()
        self.assertIn('a bug', str(self.assertRaises(
            remote.HostError, taking.stop)))
        self.assertRaises(remote.HostError, taking.results)

    def test_stopped_twice_and_never_started(self):
        taking = samples.Sampler(
            fakes.Answering(printed()), PERIOD_S)
        taking.stop()
        taking.start()
        taking.stop()
        taking.stop()

    def test_stop_does_not_wait_for_a_long_period(self):
        host = fakes.Answering(printed())
        begun_s = time.monotonic()
        with samples.Sampler(host, 3600.0, 7.0):
            while not host.timeouts:
                time.sleep(PERIOD_S)
        self.assertLess(time.monotonic() - begun_s, PATIENCE_S)
        self.assertEqual([7.0], host.timeouts)

    def test_a_command_that_does_not_end(self):
        end = threading.Event()
        self.addCleanup(end.set)
        host = mock.Mock(spec=['name', 'run'])
        host.name = 'compute1'
        host.run.side_effect = lambda *command, timeout_s: end.wait() and ''
        with mock.patch.object(remote, 'GRACE_S', 0.01):
            taking = samples.Sampler(host, PERIOD_S, 0.01)
        taking.start()
        raised = str(self.assertRaises(remote.HostError, taking.stop))
        for part in ('compute1', '0.02 s'):
            self.assertIn(part, raised)

    def test_a_wrong_period(self):
        for period_s in (0, -1.0):
            self.assertRaises(ValueError, samples.Sampler,
                              fakes.Answering(''), period_s)
