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

r"""What libvirt says of a migration that has ended: its job's figures.

They come from ``virsh domjobinfo --completed --keep-completed --rawstats``,
which prints what virDomainGetJobStats() returns under the names of
libvirt's API, untranslated and unscaled (libvirt 9.0: cmdDomjobinfo in
tools/virsh-domain.c; names and units: VIR_DOMAIN_JOB_* in
include/libvirt/libvirt-domain.h). The output for people is translated and
rounded.

Where and until when they can be had, by libvirt 9.0's source:

* On the *destination*, after a migration without post-copy
  (qemuMigrationDstFinishFresh() in src/qemu/qemu_migration.c). libvirt
  throws them away when they are read without ``--keep-completed``, when
  libvirtd is restarted, when the domain's next job has ended on this host
  (it leaves again; a snapshot, a backup), and when the domain is undefined.
  That it stops and starts again is no reason. While another job is under
  way none are shown.
* After *post-copy* the destination has none
  (qemuMigrationDstComplete(): all but the times would be out of date).
* On the *source* nova leaves none: it migrates with
  VIR_MIGRATE_UNDEFINE_SOURCE (nova/virt/libvirt/driver.py), and they go
  with the domain. virsh fails there, as it knows no such domain.
* A migration that *failed* leaves none of its own. What is shown on its
  source after that is what the migration that brought the server there
  had left: so ask only the destination of a migration that is completed.

What is in them on the destination is what the source has sent along
(qemuMigrationCookieStatisticsXMLFormat() in
src/qemu/qemu_migration_cookie.c): neither the kind of the job nor, for a
block migration, the disks, which NBD copies apart from the migration.
"""

from collections.abc import Sequence
import dataclasses
import re
from typing import Any

from lm_tempest_plugin.hosts import remote as remotes

# virDomainJobType and virDomainJobOperation in libvirt-domain.h.
_COMPLETED = 3
_OPERATION = 'operation'
_UNKNOWN, _MIGRATION_IN, _MIGRATION_OUT = 0, 4, 5
_TYPE = 'Job type'

# Our names, with units, of what libvirt calls otherwise.
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


@dataclasses.dataclass(frozen=True)
class Job:
    """A migration's figures; None for those that libvirt does not give.

    total_ms and downtime_ms are a time by the destination's clock less one
    by the source's, and wrong by the difference of both clocks. Those
    without the hand-over (net) are what passed on the source and what
    passed on the destination, each by its own clock, and free of that
    error. libvirt leaves them out if by these clocks the hand-over took
    less than nothing, or all of the time
    (qemuDomainMigrationJobDataToParams() in src/qemu/qemu_domainjob.c).

    :ivar total_ms: from the begin of libvirt's job to the guest's running
        on the destination
    :ivar total_net_ms: without the hand-over: from the source's libvirtd
        being done with the copy to the destination's being told
    :ivar downtime_ms: from the guest's CPUs stopping on the source to their
        running on the destination: the guest's pause, which its users
        notice as an outage that is somewhat longer
    :ivar downtime_net_ms: the same, without the hand-over as above
    :ivar setup_ms: QEMU's preparations before the first page is sent
    :ivar memory_bytes_total: the guest's memory
    :ivar memory_bytes_processed: sent, pages that were sent again included
    :ivar memory_bytes_remaining: what was left when it was over
    :ivar memory_bytes_per_s: throughput, as QEMU had it last
    :ivar page_bytes: size of a page
    :ivar dirty_pages_per_s: pages that the guest wrote to, as QEMU had it
        last
    :ivar iterations: how many times QEMU looked for pages that were written
        to since they were sent
    :ivar postcopy_requests: pages for which the guest had to wait after it
        ran on the destination already
    :ivar disk_bytes_total: disks that were copied; None, as those below,
        where libvirt knows of none, be it because they were not migrated,
        or because this is the destination
    :ivar disk_bytes_processed: of them, copied
    :ivar disk_bytes_remaining: of them, left when it was over
    :ivar throttle_percent: how far auto-converge slowed the guest's CPUs;
        None if it did not
    """

    total_ms: int | None = None
    total_net_ms: int | None = None
    downtime_ms: int | None = None
    downtime_net_ms: int | None = None
    setup_ms: int | None = None
    memory_bytes_total: int | None = None
    memory_bytes_processed: int | None = None
    memory_bytes_remaining: int | None = None
    memory_bytes_per_s: int | None = None
    page_bytes: int | None = None
    dirty_pages_per_s: int | None = None
    iterations: int | None = None
    postcopy_requests: int | None = None
    disk_bytes_total: int | None = None
    disk_bytes_processed: int | None = None
    disk_bytes_remaining: int | None = None
    throttle_percent: int | None = None

    def as_dict(self) -> dict[str, int | None]:
        """Return the figures under names that say their units."""
        return dataclasses.asdict(self)


def completed(remote: remotes.Remote, virsh: Sequence[str],
              domain: str) -> Job | None:
    """Return the figures of the newest migration of a server.

    They stay where they are, to be read again. See above for where and
    until when they are there.

    :param remote: the host: the destination of the migration
    :param virsh: how virsh is called, such as ['virsh'] or ['virsh',
        '--connect', 'qemu:///system']
    :param domain: the domain's name, or its UUID, which is the server's
    :returns: None if libvirt has none: another job is under way, has come
        after it, or they are gone
    :raises HostError: the host cannot be asked, knows no such domain, or
        answers what cannot be understood
    """
    output = remote.run(
        *virsh, 'domjobinfo', '--domain', domain, '--completed',
        '--keep-completed', '--rawstats')
    try:
        return parse(output)
    except ValueError as exc:
        raise remotes.HostError(
            '%s: what virsh says of the job of domain %s cannot be '
            'understood: %s' % (remote.name, domain, exc)) from exc


def libvirt_version(remote: remotes.Remote, virsh: Sequence[str]) -> str:
    """Return the version of a host's libvirtd, such as 9.0.0.

    :param remote: the host
    :param virsh: how virsh is called
    :raises HostError: the host cannot be asked, or answers what cannot be
        understood
    """
    output = remote.run(*virsh, 'version', '--daemon')
    # The words are translated; the daemon's version stands at the end.
    found = re.search(r'(\d+\.\d+\.\d+)\s*$', output)
    if found is None:
        raise remotes.HostError(
            '%s: virsh does not say the version of libvirtd: %r' % (
                remote.name, output))
    return found[1]


def parse(output: str) -> Job | None:
    """Return the figures in what virsh prints; None if there are none.

    Names that are not known are left out: libvirt adds some at times.

    :param output: of virsh domjobinfo --completed --rawstats
    :raises ValueError: it is something else; says what
    """
    values = _values(output)
    if _number(values, _TYPE) != _COMPLETED:
        return None
    if _number(values, _OPERATION) not in (
            _UNKNOWN, _MIGRATION_IN, _MIGRATION_OUT):
        return None
    found: dict[str, Any] = {
        ours: _number(values, theirs)
        for ours, theirs in _NAMES.items() if theirs in values}
    if not found.get('disk_bytes_total'):
        found.update(dict.fromkeys(_DISK))
    return Job(**found)


def _values(output: str) -> dict[str, str]:
    """Return the values by their names."""
    values = {}
    for line in filter(None, output.splitlines()):
        name, colon, value = line.partition(':')
        if not colon:
            raise ValueError('%r is no name with a value' % line)
        values[name.strip()] = value.strip()
    return values


def _number(values: dict[str, str], name: str) -> int:
    if name not in values:
        raise ValueError('no %r in it' % name)
    if not values[name].isdecimal():
        raise ValueError('%r is %r, which is no number' % (
            name, values[name]))
    return int(values[name])
