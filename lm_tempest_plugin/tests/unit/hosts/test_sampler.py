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
import threading
import time
from unittest import mock

from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.hosts import sampler
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import answering
from lm_tempest_plugin.tests.unit.hosts import counting

PERIOD_S = 0.001
PATIENCE_S = 20.0


class RatesTest(base.TestCase):

    def test_cpu(self):
        found = sampler.rates(
            counting.reading(100.0, (1000, 5000, 50)),
            counting.reading(102.0, (1100, 5080, 70)))
        self.assertEqual((2.0, 0.5, 0.1), (
            found.seconds, found.cpu_busy, found.cpu_stolen))

    def test_idle_may_go_back(self):
        found = sampler.rates(
            counting.reading(100.0, (0, 5000, 0)),
            counting.reading(101.0, (100, 4999, 0)))
        self.assertEqual((1.0, 0.0), (found.cpu_busy, found.cpu_stolen))

    def test_cpu_that_is_not_known(self):
        for before, after in (
                ((100, 0, 0), (99, 50, 0)), ((0, 0, 9), (5, 50, 8)),
                ((1, 2, 3), (1, 2, 3))):
            found = sampler.rates(counting.reading(100.0, before),
                                  counting.reading(101.0, after))
            self.assertEqual((None, None), (
                found.cpu_busy, found.cpu_stolen))

    def test_interfaces(self):
        found = sampler.rates(
            counting.reading(100.0, interfaces=[
                ('eth0', 100, 200), ('tap0', 10, 10), ('tap1', 7, 7),
                ('gone', 5, 5)]),
            counting.reading(102.0, interfaces=[
                ('eth0', 300, 800), ('tap0', 30, 10), ('tap1', 7, 7),
                ('new', 1000, 1000)]))
        self.assertEqual(sampler.Rate(110.0, 300.0), found.network)
        self.assertEqual({
            'eth0': sampler.Rate(100.0, 300.0),
            'tap0': sampler.Rate(10.0, 0.0)}, found.interfaces)

    def test_no_interfaces(self):
        found = sampler.rates(counting.reading(100.0), counting.reading(101.0))
        self.assertEqual(sampler.Rate(0.0, 0.0), found.network)

    def test_disks(self):
        found = sampler.rates(
            counting.reading(100.0, disks=[('sda', 0, 100), ('sdb', 50, 0)]),
            counting.reading(100.5, disks=[('sda', 10, 100), ('sdb', 50, 20)]))
        self.assertEqual(sampler.Rate(20.0, 40.0), found.disk)

    def test_disks_that_are_missing(self):
        for before, after in (
                ([], []), ([('sda', 1, 1)], []), ([], [('sda', 1, 1)])):
            self.assertIsNone(sampler.rates(
                counting.reading(100.0, disks=before),
                counting.reading(101.0, disks=after)).disk)

    def test_a_counter_that_begins_anew(self):
        found = sampler.rates(
            counting.reading(100.0, interfaces=[('tap0', 900, 10)]),
            counting.reading(101.0, interfaces=[('tap0', 40, 30)]))
        self.assertEqual(sampler.Rate(40.0, 20.0), found.network)

    def test_a_host_that_was_started_anew(self):
        for uptime_s in (5.0, 100.0):
            self.assertIsNone(sampler.rates(
                counting.reading(100.0), counting.reading(uptime_s)))


class NextTest(base.TestCase):

    def test_on_the_grid(self):
        for now_s, expected in ((10.0, 11.0), (10.4, 11.0), (11.0, 11.0),
                                (11.1, 12.0), (14.5, 15.0)):
            self.assertEqual(expected, sampler._next(10.0, 1.0, now_s))


class SampledTest(base.TestCase):

    def sampled(self):
        known = sampler.rates(
            counting.reading(
                100.0, (0, 0, 0), [('eth0', 0, 0)], [('sda', 0, 0)]),
            counting.reading(
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
            counting.reading(100.0), counting.reading(101.0))).row()
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
        with sampler.Sampler(
                answering.Answering(*answers), PERIOD_S) as taking:
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
            counting.printed('100.00 1.0'), counting.printed('101.00 1.0'),
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
                sampler.LOG, 'warning', autospec=True) as warned:
            found = self.sample(
                counting.printed('100.00 1.0'), answering.refusal(), 'what?',
                counting.printed('102.00 1.0'), samples=2, failures=2)
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
        found = self.sample(answering.refusal(), samples=0, failures=3)
        self.assertEqual((), found.samples)

    def test_what_is_no_failure_of_a_host(self):
        taking = sampler.Sampler(
            answering.Answering(ZeroDivisionError('a bug')), PERIOD_S)
        taking.start()
        self.assertIn('a bug', str(self.assertRaises(
            remotes.HostError, taking.stop)))
        self.assertRaises(remotes.HostError, taking.sampled)

    def test_stopped_twice_and_never_started(self):
        taking = sampler.Sampler(
            answering.Answering(counting.printed()), PERIOD_S)
        taking.stop()
        taking.start()
        taking.stop()
        taking.stop()

    def test_a_long_period_does_not_keep_who_stops_waiting(self):
        host = answering.Answering(counting.printed())
        begun_s = time.monotonic()
        with sampler.Sampler(host, 3600.0, 7.0):
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
        taking = sampler.Sampler(host, PERIOD_S, 0.01)
        taking.start()
        with mock.patch.object(sampler, 'GRACE_S', 0.01):
            raised = str(self.assertRaises(remotes.HostError, taking.stop))
        for part in ('compute1', '0.02 s'):
            self.assertIn(part, raised)

    def test_a_period_that_is_none(self):
        for period_s in (0, -1.0):
            self.assertRaises(ValueError, sampler.Sampler,
                              answering.Answering(''), period_s)
