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
import pathlib
import subprocess
from unittest import mock

import fixtures
import msgspec

from lm_tempest_plugin.hosts import libvirt
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes

UUID = 'c0ffee00-0000-4000-8000-000000000001'
VIRSH = ('virsh', '--connect', 'qemu:///system')

# As virsh 9.0 prints it on the destination of a block migration.
DESTINATION = """\
Job type: 3

operation: 0
time_elapsed: 2931
time_elapsed_net: 2929
downtime: 187
downtime_net: 185
setup_time: 12
data_total: 276111360
data_processed: 58012345
data_remaining: 0
memory_total: 276111360
memory_processed: 58012345
memory_remaining: 0
memory_bps: 40123456
memory_constant: 53321
memory_normal: 14087
memory_normal_bytes: 57700352
memory_dirty_rate: 310
memory_iteration: 4
memory_postcopy_requests: 0
memory_page_size: 4096
disk_total: 0
disk_processed: 0
disk_remaining: 0

"""

NONE = 'Job type: 0\n\n\n'


def changed(**kwargs):
    """Return the output with other values; None removes a line."""
    lines = []
    for line in DESTINATION.splitlines():
        name = line.partition(':')[0].replace(' ', '_')
        if name not in kwargs:
            lines.append(line)
        elif kwargs[name] is not None:
            lines.append(f"{line.partition(':')[0]}: {kwargs[name]}")
    return '\n'.join(lines)


class ParseTest(base.TestCase):

    def test_all_figures(self):
        job = libvirt.parse_job(DESTINATION)
        self.assertEqual((2931, 2929, 187, 185, 12), (
            job.total_ms, job.total_net_ms, job.downtime_ms,
            job.downtime_net_ms, job.setup_ms))
        self.assertEqual((276111360, 58012345, 0, 40123456), (
            job.memory_bytes_total, job.memory_bytes_processed,
            job.memory_bytes_remaining, job.memory_bytes_per_s))
        self.assertEqual((4096, 310, 4, 0), (
            job.page_bytes, job.dirty_pages_per_s, job.iterations,
            job.postcopy_requests))

    def test_none_where_libvirt_gives_none(self):
        job = libvirt.parse_job(changed(downtime_net=None, setup_time=None))
        self.assertIsNone(job.downtime_net_ms)
        self.assertIsNone(job.setup_ms)
        self.assertIsNone(job.throttle_percent)

    def test_disks_are_not_known_on_the_destination(self):
        job = libvirt.parse_job(DESTINATION)
        self.assertEqual((None, None, None), (
            job.disk_bytes_total, job.disk_bytes_processed,
            job.disk_bytes_remaining))

    def test_disks_where_they_are_known(self):
        job = libvirt.parse_job(changed(
            operation=5, disk_total=100, disk_processed=100))
        self.assertEqual((100, 100, 0), (
            job.disk_bytes_total, job.disk_bytes_processed,
            job.disk_bytes_remaining))

    def test_throttle(self):
        self.assertEqual(20, libvirt.parse_job(
            DESTINATION + 'auto_converge_throttle: 20\n').throttle_percent)

    def test_unknown_names(self):
        self.assertEqual(libvirt.parse_job(DESTINATION), libvirt.parse_job(
            DESTINATION + 'vfio_data: 7\nnote: a: b\n'))

    def test_no_job(self):
        self.assertIsNone(libvirt.parse_job(NONE))

    def test_a_job_that_is_not_completed(self):
        for kind in (1, 2, 4, 5):
            self.assertIsNone(libvirt.parse_job(changed(Job_type=kind)))

    def test_a_job_that_is_not_a_migration(self):
        for operation in (0, 4, 5):
            self.assertIsNotNone(
                libvirt.parse_job(changed(operation=operation)))
        for operation in (2, 6, 9, 10):
            self.assertIsNone(libvirt.parse_job(changed(operation=operation)))

    def test_malformed(self):
        for output, part in (
                ('', 'Job type'),
                ('Typ: 3\n', 'Job type'),
                ('Job type: Completed\n', 'Completed'),
                ('error\n', 'error'),
                (changed(operation=None), 'operation'),
                (changed(downtime='187 ms'), 'downtime'),
                (changed(downtime='-1'), 'downtime'),
                (changed(downtime=''), 'downtime')):
            self.assertIn(part, str(self.assertRaises(
                ValueError, libvirt.parse_job, output)))

    def test_it_can_be_stored(self):
        found = msgspec.json.decode(msgspec.json.encode(
            libvirt.parse_job(DESTINATION)))
        self.assertEqual(187, found['downtime_ms'])
        self.assertIsNone(found['disk_bytes_processed'])


class CompletedTest(base.TestCase):

    def test_command(self):
        host = fakes.Answering(DESTINATION)
        job = libvirt.completed_job(host, VIRSH, UUID)
        self.assertEqual(187, job.downtime_ms)
        self.assertEqual([[
            'virsh', '--connect', 'qemu:///system', 'domjobinfo', '--domain',
            UUID, '--completed', '--keep-completed', '--rawstats']],
            host.asked)

    def test_none(self):
        self.assertIsNone(libvirt.completed_job(
            fakes.Answering(NONE), VIRSH, UUID))

    def test_malformed_output_names_host_and_domain(self):
        raised = str(self.assertRaises(
            remote.HostError, libvirt.completed_job,
            fakes.Answering('what?'), VIRSH, UUID))
        for part in ('compute1', UUID, 'what?'):
            self.assertIn(part, raised)

    def test_an_error_of_the_host_is_raised(self):
        self.assertRaises(
            remote.HostError, libvirt.completed_job,
            fakes.Answering(fakes.refusal()), VIRSH, UUID)


class RunningJobTest(base.TestCase):

    def job(self, answer):
        self.host = fakes.Answering(answer)
        return libvirt.running_job(self.host, VIRSH, UUID)

    def test_of_both_types(self):
        for number in (1, 2):
            job = self.job(changed(Job_type=number, operation=5))
            self.assertEqual((310, 4096, 40123456), (
                job.dirty_pages_per_s, job.page_bytes,
                job.memory_bytes_per_s))
        self.assertEqual([[
            'env', 'LC_ALL=C', *VIRSH, 'domjobinfo', '--domain', UUID,
            '--rawstats']], self.host.asked)

    def test_none(self):
        for answer in (
                NONE, DESTINATION,
                remote.CommandFailed("error: failed to get domain 'x'")):
            self.assertIsNone(self.job(answer))

    def test_an_error_of_the_host_is_raised(self):
        self.assertRaises(remote.HostError, self.job,
                          remote.CommandFailed('failed to connect'))


class DaemonVersionsTest(base.TestCase):

    def test_of_the_daemon(self):
        host = fakes.Answering(
            'Compiled against library: libvirt 9.0.1\n'
            'Using library: libvirt 9.0.1\n'
            'Using API: QEMU 9.0.1\n'
            'Running hypervisor: QEMU 10.0.2\n'
            'Running against daemon: 9.0.0\n\n')
        self.assertEqual(('9.0.0', '10.0.2'),
                         libvirt.daemon_versions(host, VIRSH))
        self.assertEqual([['env', 'LC_ALL=C', *VIRSH, 'version', '--daemon']],
                         host.asked)

    def test_a_daemon_that_finds_no_qemu(self):
        self.assertEqual(('9.0.0', ''), libvirt.daemon_versions(
            fakes.Answering(
                'Cannot extract running QEMU hypervisor version\n'
                'Running against daemon: 9.0.0\n'), VIRSH))

    def test_malformed_output_names_the_host(self):
        raised = str(self.assertRaises(
            remote.HostError, libvirt.daemon_versions,
            fakes.Answering('what?'), VIRSH))
        for part in ('compute1', 'what?'):
            self.assertIn(part, raised)


def stats(state=1, cpu_ns=(1_000_000_000, 500_000_000), received=7, sent=3,
          reason=3, dropped=1):
    """Return the output of virsh for a guest with two CPUs."""
    return '\n'.join([
        "Domain: 'instance-00000001'", f'  state.state={state}',
        f'  state.reason={reason}', '  vcpu.current=2', '  vcpu.maximum=2',
        *(f'  vcpu.{number}.{name}={value}'
          for number, time_ns in enumerate(cpu_ns)
          for name, value in (('state', 1), ('time', time_ns), ('wait', 0))),
        '  net.count=1', '  net.0.name=tap0', '  net.0.rx.bytes=900',
        f'  net.0.rx.pkts={received}', f'  net.0.rx.drop={dropped}',
        f'  net.0.tx.pkts={sent}',
        '  net.0.tx.errs=0', ''])


class GuestStateTest(base.TestCase):

    def take(self, *answers):
        self.host = fakes.Answering(*answers)
        times = iter((10.0, 12.1))
        self.slept = []
        return libvirt.guest_state(self.host, VIRSH, 'server-1', 2.0,
                                   lambda: next(times), self.slept.append)

    def test_a_guest_that_hangs(self):
        found = self.take(stats(), stats(
            cpu_ns=(3_000_000_000, 500_000_000), received=49))
        self.assertEqual(
            'libvirt on compute1: running; within 2.1 s: CPU time 2.00 s, '
            '42 packets received, 0 dropped, 0 sent: the guest runs and sends '
            'nothing: it hangs', found)
        self.assertEqual([2.0], self.slept)
        self.assertEqual([[
            *VIRSH, 'domstats', '--raw', '--nowait', '--state', '--vcpu',
            '--interface', 'server-1']] * 2, self.host.asked)

    def test_conclusions(self):
        for second, conclusion in (
                (stats(sent=99), 'the network does not follow it'),
                (stats(reason=11, sent=99), 'memory that post-copy did not '
                 'bring'),
                (stats(), 'the CPUs of the guest stand still'),
                (stats(cpu_ns=(2_000_000_000,)), 'no packets'),
                (stats(cpu_ns=(2_000_000_000,), dropped=9), '8 dropped, 0 '
                 'sent: the guest runs and sends nothing: it hangs'),
                (stats(5, sent=99), 'the guest is shut off')):
            self.assertTrue(self.take(stats(), second).endswith(conclusion))

    def test_states(self):
        self.assertEqual('paused', libvirt.parse_stats(stats(3)).state)
        self.assertEqual('crashed', libvirt.parse_stats(stats(6)).state)
        for state, reason, text in (
                (1, 11, libvirt.POST_COPY_FAILED),
                (3, 13, libvirt.POST_COPY_FAILED),
                (1, 10, 'running'), (3, 11, 'paused')):
            self.assertEqual(text, libvirt.parse_state(
                f'  state.state={state}\n  state.reason={reason}\n'))
        self.assertNotIn(libvirt.POST_COPY_FAILED, libvirt.ALIVE)

    def test_without_interfaces(self):
        self.assertEqual(libvirt.DomainStats('running', 0.0, 0, 0, 0),
                         libvirt.parse_stats('state.state=1\n'))

    def test_malformed(self):
        for output in ('', 'error: no domain', stats('x'), stats(99),
                       stats(sent='many')):
            exc = self.assertRaises(remote.HostError, self.take, output)
            self.assertIn('domstats', str(exc))
            self.assertIn('server-1', str(exc))
            self.assertIn('compute1', str(exc))

    def test_a_host_that_refuses(self):
        self.assertRaises(
            remote.HostError, self.take, fakes.refusal())


class DirtyRatesTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.host = mock.create_autospec(remote.Remote, instance=True)
        self.host.run.side_effect = self.run_here
        self.rates = {'one': [2, 3, 1, 2, 2], 'two': [0] * 5}
        self.kvm = False
        self.modes = True

    def run_here(self, *command, stdin):
        """Run the commands of the host here, with a fake virsh."""
        virsh = self.folder / 'virsh'
        for domain, rates in self.rates.items():
            (self.folder / domain).write_text(
                ''.join(f'{each}\n' for each in rates))
        virsh.write_text(f"""\
#!/bin/sh
cd {self.folder}
echo "$*" >> calls
case $1 in
    dumpxml) echo "<domain type='{'kvm' if self.kvm else 'qemu'}' id='1'>" ;;
    domdirtyrate-calc) case $*:{self.modes} in (*--mode*:False) exit 1 ;;
        esac ;;
    domstats)
        for domain; do :; done
        rate=$(head -n 1 $domain)
        sed -i 1d $domain
        echo "Domain: '$domain'"
        [ -z "$rate" ] && echo dirtyrate.calc_status=1 && exit
        echo "dirtyrate.calc_status=2
dirtyrate.megabytes_per_second=$rate" ;;
esac
""")
        virsh.chmod(0o755)
        return subprocess.run(
            command, check=True, text=True,
            input=stdin.replace('sleep 2', ''),
            stdout=subprocess.PIPE).stdout

    def answer(self):
        return libvirt.dirty_rates(
            self.host, [str(self.folder / 'virsh')], list(self.rates))

    def calls(self):
        return (self.folder / 'calls').read_text()

    def test_the_mean_of_five(self):
        self.assertEqual({'one': 2 * 2.0 ** 20, 'two': 0.0}, self.answer())
        self.assertIn('domdirtyrate-calc one --seconds 1 --mode page-sampling',
                      self.calls())

    def test_kvm_counts_every_page(self):
        self.kvm = True
        self.answer()
        self.assertIn('domdirtyrate-calc one --seconds 1 --mode dirty-bitmap',
                      self.calls())

    def test_a_libvirt_without_modes(self):
        self.modes = False
        self.assertEqual({'one': 2 * 2.0 ** 20, 'two': 0.0}, self.answer())
        self.assertIn('domdirtyrate-calc one --seconds 1\n', self.calls())

    def test_a_measurement_that_does_not_end(self):
        self.rates = {'one': [4, 4], 'two': []}
        self.assertEqual({'one': 4 * 2.0 ** 20}, self.answer())
