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
    """Return what a host prints."""
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
        '==> %s <==\n%s\n' % (name, '\n'.join(lines))
        for name, lines in files.items() if name != leave_out)


def reading(uptime_s=100.0, cpu=(0, 0, 0), interfaces=(), disks=()):
    """Return a reading.

    :param interfaces: names, and bytes in both directions
    :param disks: the same
    """
    return samples.Reading(
        uptime_s, samples.Cpu(*cpu), 1000, 600,
        {name: samples.Flow(*flow) for name, *flow in interfaces},
        {name: samples.Flow(*flow) for name, *flow in disks})


class ParseTest(base.TestCase):

    def test_all_counters(self):
        found = samples.parse(printed())
        self.assertEqual(100.0, found.uptime_s)
        # Guests are within user and nice.
        self.assertEqual(samples.Cpu(
            busy=1000 + 20 + 300 + 4 + 6, idle=5080, stolen=50), found.cpu)
        self.assertEqual((1024000, 614400), (
            found.memory_total_bytes, found.memory_available_bytes))
        self.assertEqual({
            'eth0': samples.Flow(1000, 2000),
            'tap0:1': samples.Flow(5000, 6000)}, found.interfaces)
        self.assertEqual({
            'sda': samples.Flow(5120, 10240),
            'nvme0n1': samples.Flow(15360, 20480)}, found.disks)

    def test_what_this_machine_prints(self):
        lines = []
        for path in (samples.UPTIME, samples.STAT, samples.MEMINFO,
                     samples.NET, samples.DISKS):
            with open(path, encoding='utf-8') as file:
                lines += ['==> %s <==' % path, file.read()]
        found = samples.parse('\n'.join(lines))
        self.assertGreater(found.uptime_s, 0)
        self.assertGreater(found.cpu.busy, 0)
        self.assertGreater(found.memory_total_bytes,
                           found.memory_available_bytes)

    def test_no_disks_and_no_interfaces(self):
        found = samples.parse(printed(disks=(), net=()))
        self.assertEqual(({}, {}), (found.disks, found.interfaces))

    def test_disks_that_lie_on_others(self):
        line = ' 7 0 %s 9 0 10 0 9 0 20 0 0 0 0'
        names = ('vda', 'vda1', 'vdb1', 'sdaa', 'sdaa11', 'mmcblk0',
                 'mmcblk0p1', 'nvme1n1', 'nvme1c0n1', 'nvme1n1p1', 'rbd0',
                 'rbd0p1', 'md0', 'md127p1', 'md_home', 'loop3', 'ram0',
                 'zram0', 'bcache0', 'dm-12')
        found = samples.parse(printed(
            disks=[line % name for name in names]))
        # A partition without its disk is a disk to us: some clouds have it.
        self.assertEqual({'vda', 'vdb1', 'sdaa', 'mmcblk0', 'nvme1n1',
                          'rbd0'}, set(found.disks))

    def test_a_file_is_missing(self):
        for name in ('/proc/uptime', '/proc/stat', '/proc/meminfo',
                     '/proc/net/dev', '/proc/diskstats'):
            self.assertEqual('%s is missing' % name, str(self.assertRaises(
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

    def test_what_is_asked(self):
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


class RatesTest(base.TestCase):

    def test_cpu(self):
        found = sampler.rates(
            reading(100.0, (1000, 5000, 50)),
            reading(102.0, (1100, 5080, 70)))
        self.assertEqual((2.0, 0.5, 0.1), (
            found.seconds, found.cpu_busy, found.cpu_stolen))

    def test_idle_may_go_back(self):
        found = sampler.rates(
            reading(100.0, (0, 5000, 0)),
            reading(101.0, (100, 4999, 0)))
        self.assertEqual((1.0, 0.0), (found.cpu_busy, found.cpu_stolen))

    def test_cpu_that_is_not_known(self):
        for before, after in (
                ((100, 0, 0), (99, 50, 0)), ((0, 0, 9), (5, 50, 8)),
                ((1, 2, 3), (1, 2, 3))):
            found = sampler.rates(reading(100.0, before),
                                  reading(101.0, after))
            self.assertEqual((None, None), (
                found.cpu_busy, found.cpu_stolen))

    def test_interfaces(self):
        found = sampler.rates(
            reading(100.0, interfaces=[
                ('eth0', 100, 200), ('tap0', 10, 10), ('tap1', 7, 7),
                ('gone', 5, 5)]),
            reading(102.0, interfaces=[
                ('eth0', 300, 800), ('tap0', 30, 10), ('tap1', 7, 7),
                ('new', 1000, 1000)]))
        self.assertEqual(sampler.Rate(110.0, 300.0), found.network)
        self.assertEqual({
            'eth0': sampler.Rate(100.0, 300.0),
            'tap0': sampler.Rate(10.0, 0.0)}, found.interfaces)

    def test_no_interfaces(self):
        found = sampler.rates(reading(100.0), reading(101.0))
        self.assertEqual(sampler.Rate(0.0, 0.0), found.network)

    def test_disks(self):
        found = sampler.rates(
            reading(100.0, disks=[('sda', 0, 100), ('sdb', 50, 0)]),
            reading(100.5, disks=[('sda', 10, 100), ('sdb', 50, 20)]))
        self.assertEqual(sampler.Rate(20.0, 40.0), found.disk)

    def test_disks_that_are_missing(self):
        for before, after in (
                ([], []), ([('sda', 1, 1)], []), ([], [('sda', 1, 1)])):
            self.assertIsNone(sampler.rates(
                reading(100.0, disks=before),
                reading(101.0, disks=after)).disk)

    def test_a_counter_that_begins_anew(self):
        found = sampler.rates(
            reading(100.0, interfaces=[('tap0', 900, 10)]),
            reading(101.0, interfaces=[('tap0', 40, 30)]))
        self.assertEqual(sampler.Rate(40.0, 20.0), found.network)

    def test_a_host_that_was_started_anew(self):
        for uptime_s in (5.0, 100.0):
            self.assertIsNone(sampler.rates(
                reading(100.0), reading(uptime_s)))


class NextTest(base.TestCase):

    def test_on_the_grid(self):
        for now_s, expected in ((10.0, 11.0), (10.4, 11.0), (11.0, 11.0),
                                (11.1, 12.0), (14.5, 15.0)):
            self.assertEqual(expected, sampler._next(10.0, 1.0, now_s))


class SampledTest(base.TestCase):

    def sampled(self):
        known = sampler.rates(
            reading(
                100.0, (0, 0, 0), [('eth0', 0, 0)], [('sda', 0, 0)]),
            reading(
                102.0, (60, 20, 20), [('eth0', 2, 4)], [('sda', 6, 8)]))
        return sampler.Sampled('compute1', 1.0, (
            sampler.Sample(0, 10, 1000, 600, None),
            sampler.Sample(100, 110, 1000, 500, known)), (
                sampler.Failure(50, 60, 'no route'),
                sampler.Failure(200, 210, 'gone')))

    def test_rows(self):
        found = json.loads(json.dumps(self.sampled().as_dict()))
        self.assertEqual(('compute1', 1.0, 'no route'), (
            found['host'], found['period_s'], found['first_error']))
        self.assertEqual({
            'before_ns': 200, 'after_ns': 210, 'error': 'gone'},
            found['failures'][1])
        first, second = found['samples']
        self.assertEqual({
            'before_ns': 100, 'after_ns': 110, 'seconds': 2.0,
            'cpu_busy_fraction': 0.6, 'cpu_stolen_fraction': 0.2,
            'memory_total_bytes': 1000, 'memory_available_bytes': 500,
            'received_bytes_per_s': 1.0, 'sent_bytes_per_s': 2.0,
            'read_bytes_per_s': 3.0, 'written_bytes_per_s': 4.0,
            'interfaces': {'eth0': {'received_bytes_per_s': 1.0,
                                    'sent_bytes_per_s': 2.0}}}, second)
        self.assertEqual(set(second), set(first))
        self.assertEqual((None, None, {}, 600), (
            first['cpu_busy_fraction'], first['read_bytes_per_s'],
            first['interfaces'], first['memory_available_bytes']))

    def test_disks_that_are_not_known(self):
        row = sampler.Sample(0, 1, 1000, 600, sampler.rates(
            reading(100.0), reading(101.0))).row()
        self.assertEqual((None, None, 0.0), (
            row['read_bytes_per_s'], row['written_bytes_per_s'],
            row['sent_bytes_per_s']))

    def test_nothing_failed(self):
        self.assertEqual('', sampler.Sampled(
            'compute1', 1.0, (), ()).as_dict()['first_error'])


class SamplerTest(base.TestCase):

    def sample(self, *answers, samples=1, failures=0):
        """Return what was sampled once there is as much."""
        end_s = time.monotonic() + PATIENCE_S
        with samples.Sampler(
                fakes.Answering(*answers), PERIOD_S) as taking:
            while time.monotonic() < end_s:
                found = taking.sampled()
                if (len(found.samples) >= samples and
                        len(found.failures) >= failures):
                    break
                time.sleep(PERIOD_S)
            else:
                self.fail('not as much was sampled: %s' % (found,))
        return taking.sampled()

    def test_samples(self):
        begun_ns = time.monotonic_ns()
        found = self.sample(
            printed('100.00 1.0'), printed('101.00 1.0'),
            samples=3)
        self.assertEqual(('compute1', PERIOD_S, ()), (
            found.host, found.period_s, found.failures))
        first, second, third = found.samples[:3]
        self.assertIsNone(first.rates)
        self.assertEqual(1.0, second.rates.seconds)
        # No time has gone by.
        self.assertIsNone(third.rates)
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
                printed('102.00 1.0'), samples=2, failures=2)
        self.assertIn('no route to host', found.failures[0].error)
        self.assertNotIn('\n', found.failures[0].error)
        self.assertIn('/proc/meminfo is missing', found.failures[1].error)
        self.assertEqual(found.failures[0].error,
                         found.as_dict()['first_error'])
        # The rates span what is missing.
        self.assertEqual(2.0, found.samples[1].rates.seconds)
        warned.assert_called_once()
        self.assertIn(found.failures[0].error, warned.call_args[0])

    def test_nothing_but_failures(self):
        found = self.sample(fakes.refusal(), samples=0, failures=3)
        self.assertEqual((), found.samples)

    def test_what_is_no_failure_of_a_host(self):
        taking = samples.Sampler(
            fakes.Answering(ZeroDivisionError('a bug')), PERIOD_S)
        taking.start()
        self.assertIn('a bug', str(self.assertRaises(
            remote.HostError, taking.stop)))
        self.assertRaises(remote.HostError, taking.sampled)

    def test_stopped_twice_and_never_started(self):
        taking = samples.Sampler(
            fakes.Answering(printed()), PERIOD_S)
        taking.stop()
        taking.start()
        taking.stop()
        taking.stop()

    def test_a_long_period_does_not_keep_who_stops_waiting(self):
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
        taking = samples.Sampler(host, PERIOD_S, 0.01)
        taking.start()
        with mock.patch.object(sampler, 'GRACE_S', 0.01):
            raised = str(self.assertRaises(remote.HostError, taking.stop))
        for part in ('compute1', '0.02 s'):
            self.assertIn(part, raised)

    def test_a_period_that_is_none(self):
        for period_s in (0, -1.0):
            self.assertRaises(ValueError, samples.Sampler,
                              fakes.Answering(''), period_s)
