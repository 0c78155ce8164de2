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

r"""virsh on a compute host: statistics of a migration, and a guest's state.

The statistics come from ``virsh domjobinfo --completed --keep-completed
--rawstats``, which prints the result of virDomainGetJobStats() under the
names of libvirt's API, untranslated and unscaled (libvirt 9.0:
cmdDomjobinfo in tools/virsh-domain.c; names and units: VIR_DOMAIN_JOB_* in
include/libvirt/libvirt-domain.h). Without --rawstats, the output is
translated and rounded.

Where and until when they exist, according to libvirt 9.0's source:

* On the *destination*, after a migration without post-copy
  (qemuMigrationDstFinishFresh() in src/qemu/qemu_migration.c). libvirt drops
  them when they are read without ``--keep-completed``, when libvirtd is
  restarted, when the domain's next job has ended on this host (it leaves
  again; a snapshot, a backup), and when the domain is undefined. A stop and
  start of the domain keeps them. While another job runs, they are hidden.
* After *post-copy* the destination has none (qemuMigrationDstComplete(): all
  but the times would be outdated).
* On the *source* nova leaves none: it migrates with
  VIR_MIGRATE_UNDEFINE_SOURCE (nova/virt/libvirt/driver.py), so they go with
  the domain. virsh fails there, because the domain is unknown.
* A *failed* migration leaves none of its own. Its source then still shows the
  statistics of the migration that brought the server there. So ask only the
  destination of a completed migration.

The destination has only the part that the source sends along
(qemuMigrationCookieStatisticsXMLFormat() in
src/qemu/qemu_migration_cookie.c): not the kind of the job, and for a block
migration not the disks, which NBD copies outside of the migration.

Times without "net" are a time on the destination's clock minus one on the
source's, so they include the difference of both clocks. Net times leave out
the hand-over between the hosts and do not have that error. libvirt omits them
if, by these clocks, the hand-over took a negative time or all of the time
(qemuDomainMigrationJobDataToParams() in src/qemu/qemu_domainjob.c).
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import re
import shlex
import time
from typing import Any

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.results import schema

NS = 1_000_000_000
# Time between the two snapshots of a silent guest.
INTERVAL_S = 2.0
# virDomainState in include/libvirt/libvirt-domain.h.
STATES = ('no state', 'running', 'blocked', 'paused', 'shutting down',
          'shut off', 'crashed', 'suspended by its power management')
# States in which a guest may answer again by itself.
ALIVE = frozenset(('running', 'blocked', 'paused',
                   'suspended by its power management'))
# State of a guest that waits for memory which post-copy did not bring. Only an
# administrator can go on with the migration: libvirt and nova never do. It is
# no state of libvirt, but VIR_DOMAIN_RUNNING_POSTCOPY_FAILED or
# VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: the state and its reason.
POST_COPY_FAILED = 'post-copy failed'
_POST_COPY_FAILED = ((1, 11), (3, 13))
# virDomainJobType and virDomainJobOperation in the same file.
_BOUNDED, _UNBOUNDED, _COMPLETED = 1, 2, 3
_UNKNOWN, _MIGRATION_IN, _MIGRATION_OUT = 0, 4, 5

# libvirt's names by the names of our fields.
_NAMES = {
    'total_ms': 'time_elapsed',
    'total_net_ms': 'time_elapsed_net',
    'downtime_ms': 'downtime',
    'downtime_net_ms': 'downtime_net',
    'setup_ms': 'setup_time',
    'memory_bytes_total': 'memory_total',
    'memory_bytes_processed': 'memory_processed',
    'memory_bytes_remaining': 'memory_remaining',
    'memory_bytes_per_s': 'memory_bps',
    'page_bytes': 'memory_page_size',
    'dirty_pages_per_s': 'memory_dirty_rate',
    'iterations': 'memory_iteration',
    'postcopy_requests': 'memory_postcopy_requests',
    'disk_bytes_total': 'disk_total',
    'disk_bytes_processed': 'disk_processed',
    'disk_bytes_remaining': 'disk_remaining',
    'throttle_percent': 'auto_converge_throttle',
}
_DISK = ('disk_bytes_total', 'disk_bytes_processed', 'disk_bytes_remaining')


def completed_job(host: remote.Remote, virsh: Sequence[str],
                  domain: str) -> schema.LibvirtJob | None:
    """Return the statistics of the newest migration of a server.

    Reading does not remove them. The module's description says where and
    until when they exist.

    :param host: the destination of the migration
    :param virsh: command line of virsh, such as ['virsh'] or ['virsh',
        '--connect', 'qemu:///system']
    :param domain: name of the domain, or its UUID, which is the server's
    :returns: None if libvirt has none: another job runs or ran after it, or
        they were dropped
    :raises HostError: the host cannot be asked, does not know the domain, or
        its answer cannot be parsed
    """
    return remote.ask(
        host, parse_job, *virsh, 'domjobinfo', '--domain', domain,
        '--completed', '--keep-completed', '--rawstats')


def running_job(host: remote.Remote, virsh: Sequence[str],
                domain: str) -> schema.LibvirtJob | None:
    """Return the statistics of a migration that goes on.

    :param host: the source of the migration
    :param virsh: command line of virsh
    :param domain: name of the domain, or its UUID
    :returns: None if none goes on, or the domain is gone
    :raises HostError: the host cannot be asked, or its answer cannot be
        parsed
    """
    try:
        return remote.ask(
            host, lambda output: parse_job(output, _BOUNDED, _UNBOUNDED),
            'env', 'LC_ALL=C', *virsh, 'domjobinfo', '--domain', domain,
            '--rawstats')
    except remote.CommandFailed as exc:
        if 'failed to get domain' in str(exc):
            return None
        raise


def parse_job(output: str, *types: int) -> schema.LibvirtJob | None:
    """Return the statistics in the output of virsh; None if it has none.

    Unknown names are skipped: new releases of libvirt add some.

    :param output: of virsh domjobinfo --rawstats
    :param types: the types of job to return; by default completed
    :raises ValueError: it is something else; names the wrong part
    """
    values: dict[str, str] = {}
    for line in filter(None, output.splitlines()):
        name, colon, value = line.partition(':')
        if not colon:
            raise ValueError(f'{line!r} is not a name with a value')
        values[name.strip()] = value.strip()

    def number(name: str) -> int:
        if name not in values:
            raise ValueError(f'{name!r} is missing')
        if not values[name].isdecimal():
            raise ValueError(
                f'{name!r} is {values[name]!r}, which is not a number')
        return int(values[name])

    if number('Job type') not in (types or (_COMPLETED,)):
        return None
    if number('operation') not in (_UNKNOWN, _MIGRATION_IN, _MIGRATION_OUT):
        return None
    found: dict[str, Any] = {
        ours: number(theirs)
        for ours, theirs in _NAMES.items() if theirs in values}
    # 0 bytes: the disks were not migrated, or this is the destination, which
    # does not know.
    if not found.get('disk_bytes_total'):
        found.update(dict.fromkeys(_DISK))
    return schema.LibvirtJob(**found)


def daemon_versions(host: remote.Remote,
                    virsh: Sequence[str]) -> tuple[str, str]:
    """Return the versions of a host's libvirtd and of its hypervisor.

    :param host: the host
    :param virsh: command line of virsh
    :returns: such as 9.0.0 and 10.0.2; the second one is that of the QEMU
        which the daemon starts now, and is empty if it finds none
    :raises HostError: the host cannot be asked, or its answer cannot be
        parsed
    """
    def parse(output: str) -> tuple[str, str]:
        found = dict(re.findall(
            r'^Running (against daemon|hypervisor):.*?(\d+\.\d+\.\d+)$',
            output, re.MULTILINE))
        if 'against daemon' not in found:
            raise ValueError(f'no version of libvirtd in {output!r}')
        return found['against daemon'], found.get('hypervisor', '')

    return remote.ask(
        host, parse, 'env', 'LC_ALL=C', *virsh, 'version', '--daemon')


# virDomainDirtyRateStatus in include/libvirt/libvirt-domain.h: measured.
_MEASURED = 2
# QEMU samples 512 pages of each GiB and compares their content: of a small
# guest that writes little, few samples change. KVM's bitmap needs no samples;
# in software emulation it counts nothing (seen with QEMU 10.0).
_DIRTY_RATE = """\
for round in 1 2 3 4 5; do
    for domain; do
        mode=page-sampling
        ! {virsh} dumpxml "$domain" | grep -q "<domain type='kvm'" ||
            mode=dirty-bitmap
        {virsh} domdirtyrate-calc "$domain" --seconds 1 --mode $mode ||
            {virsh} domdirtyrate-calc "$domain" --seconds 1 || exit
    done > /dev/null
    sleep 2
    for domain; do
        echo "$domain"
        {virsh} domstats --raw --nowait --dirtyrate "$domain" || exit
    done
done
"""


def dirty_rates(host: remote.Remote, virsh: Sequence[str],
                domains: Sequence[str]) -> dict[str, float]:
    """Return the memory that guests write, in bytes per second.

    A page counts once in a second, as for a live migration. It takes more
    than ten seconds. Needs libvirt 7.2 and QEMU 5.2.

    :param host: the host that the guests are on
    :param virsh: command line of virsh
    :param domains: names of the domains, or their UUIDs
    :returns: by the domain; without those that were not measured
    :raises HostError: the host cannot be asked, or its answer cannot be
        parsed
    """
    output = host.run(
        'sh', '-s', '--', *domains,
        stdin=_DIRTY_RATE.format(virsh=shlex.join(virsh)))
    rates: dict[str, list[float]] = {}
    for part in re.split(
            f'^(?={"|".join(map(re.escape, domains))})', output,
            flags=re.MULTILINE)[1:]:
        values = dict(re.findall(r'dirtyrate\.(\w+)=(\d+)', part))
        if int(values.get('calc_status', 0)) == _MEASURED:
            rates.setdefault(part.split()[0], []).append(
                int(values['megabytes_per_second']) * 2.0 ** 20)
    return {domain: sum(found) / len(found)
            for domain, found in rates.items()}


def parse_state(output: str) -> str:
    """Return the state of a domain in the output of virsh domstats --raw.

    :param output: name=value on each line
    :returns: one of STATES, or POST_COPY_FAILED
    :raises KeyError: there is no state
    :raises IndexError: the state is unknown
    """
    values = dict(re.findall(r'state\.(state|reason)=(\d+)', output))
    state, reason = int(values['state']), int(values.get('reason', 0))
    if (state, reason) in _POST_COPY_FAILED:
        return POST_COPY_FAILED
    return STATES[state]


@dataclasses.dataclass(frozen=True)
class DomainStats:
    """Counters of a guest.

    :ivar state: one of STATES, or POST_COPY_FAILED
    :ivar cpu_s: time of all virtual CPUs together
    :ivar received: packets that all interfaces received
    :ivar dropped: packets for them that the guest did not take in time
    :ivar sent: packets that they sent
    """

    state: str
    cpu_s: float
    received: int
    dropped: int
    sent: int


def guest_state(host: remote.Remote, virsh: Sequence[str], domain: str,
                interval_s: float = INTERVAL_S,
                clock: Callable[[], float] = time.monotonic,
                sleep: Callable[[float], None] = time.sleep) -> str:
    """Return the state and the activity of a guest that answers no probe.

    A guest whose CPUs work, and that does not answer the packets that reach
    its interface, hangs. One that sends, and whose packets arrive nowhere, has
    lost its network, and so has one that nothing reaches although it is
    probed. One whose CPUs stand still does not run, whatever its state is.

    :param host: the host that the guest is on
    :param virsh: command line of virsh
    :param domain: name or UUID
    :param interval_s: time between two snapshots, in seconds
    :param clock: returns a monotonic time in seconds
    :param sleep: takes seconds
    :raises HostError: the host cannot be asked, or its answer cannot be
        parsed
    """
    def ask() -> DomainStats:
        # Some figures need the lock of the domain, which a migration holds.
        return remote.ask(
            host, parse_stats, *virsh, 'domstats', '--raw', '--nowait',
            '--state', '--vcpu', '--interface', domain)

    first, begin_s = ask(), clock()
    sleep(interval_s)
    second, end_s = ask(), clock()
    cpu_s, sent = second.cpu_s - first.cpu_s, second.sent - first.sent
    received = second.received - first.received
    dropped = second.dropped - first.dropped
    # STATES: no state, running, blocked.
    if second.state == POST_COPY_FAILED:
        conclusion = ('the guest waits for memory that post-copy did not '
                      'bring')
    elif second.state not in STATES[:3]:
        conclusion = f'the guest is {second.state}'
    elif sent:
        conclusion = ('the guest runs and sends: the network does not follow '
                      'it')
    elif not cpu_s:
        conclusion = 'the CPUs of the guest stand still'
    elif received or dropped:
        conclusion = 'the guest runs and sends nothing: it hangs'
    else:
        # A guest that hangs takes no packets: its interface soon drops them.
        conclusion = 'the guest runs, and the network brings it no packets'
    return (f'libvirt on {host.name}: {second.state}; within '
            f'{end_s - begin_s:.1f} s: CPU time {cpu_s:.2f} s, '
            f'{received} packets received, {dropped} dropped, {sent} sent: '
            f'{conclusion}')


def parse_stats(output: str) -> DomainStats:
    """Return the counters in the output of virsh domstats --raw.

    Names and units are those of virConnectGetAllDomainStats() in libvirt's
    src/libvirt-domain.c: vcpu.N.time is in ns; net.N.rx and net.N.tx are
    counted from the guest's side.

    :param output: name=value on each line
    :raises KeyError: there is no state
    :raises ValueError: a value is not a number
    :raises IndexError: the state is unknown
    """
    values = dict(re.findall(r'^\s*(\S+?)=(\S*)\s*$', output, re.M))

    def total(pattern: str) -> int:
        return sum(int(value) for name, value in values.items()
                   if re.fullmatch(pattern, name))

    return DomainStats(
        parse_state(output),
        total(r'vcpu\.\d+\.time') / NS, total(r'net\.\d+\.rx\.pkts'),
        total(r'net\.\d+\.rx\.drop'), total(r'net\.\d+\.tx\.pkts'))
