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

"""Checks of the guest. Each of its workloads is one more check, by name."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping

from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import evidence
from lm_tempest_plugin.results import schema

# Time for four writes of 4 KiB, each of three or more operations: a disk that
# needs longer does less than two operations a second. A guest in software
# emulation needs 0.2 s, and 2 s on a machine with too many of them.
MAX_DISK_WRITE_S = 10.0
# Services that compare clocks live with this, such as Ceph's and etcd's.
MAX_CLOCK_CHANGE_S = 1.0


@registry.check
def boot_id(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the boot id from before."""
    if not any(each.inspection for each in seen.plan.servers):
        raise registry.SkipCheck('no boot id was read before')
    for each in seen.migrations:
        guest = each.verdict.evidence.guest
        if guest.boot_id_error:
            yield each.problem('boot-id', 'the boot id cannot be read: '
                               f'{guest.boot_id_error}')
        elif evidence.rebooted(guest):
            yield each.problem(
                'boot-id', 'the guest has booted again: boot id '
                f'{guest.boot_id_after}, before {guest.boot_id_before}')


@registry.check
def metadata(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the metadata service to answer the guest, for this server."""
    for each, before, after in _compared(seen, 'metadata'):
        # Old answers have no UUID, and prove nothing.
        if before.metadata_server_id == each.server_id and (
                after.metadata_server_id not in ('', each.server_id)):
            yield each.problem(
                'metadata', 'the metadata service answers the guest with '
                f'server {after.metadata_server_id}')
        yield from _failed(each, after, 'metadata')


@registry.check
def dhcp_lease(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect an answer to a DHCP request, with the address from before."""
    for each, before, after in _compared(seen, 'dhcp-lease'):
        if after.leased_address not in ('', before.leased_address):
            yield each.problem(
                'dhcp-lease', f'DHCP offers address {after.leased_address}, '
                f'and offered {before.leased_address} before')
        yield from _failed(each, after, 'dhcp-lease')


@registry.check
def disk_write(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect a small write to be on the disk in time, and no read-only disk.

    The bound is that of a disk that does not work, not of a slow one.
    """
    for each, before, after in _compared(seen, 'disk-write'):
        took_s = after.disk_write_s or 0.0
        if took_s > MAX_DISK_WRITE_S:
            yield each.problem(
                'disk-write', f'four small writes took {took_s:.1f} s '
                f'(limit {MAX_DISK_WRITE_S:g} s; {before.disk_write_s:g} s '
                'before)')
        for point in sorted({*before.read_write} & {*after.read_only}):
            yield each.problem(
                'disk-write', f'the file system at {point} has become '
                'read-only')
        yield from _failed(each, after, 'disk-write')


@registry.check
def clock(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the guest's clocks to run on as ours did.

    A paused guest loses the time of its pause: QEMU stops the TSC
    (cpu_disable_ticks() in system/cpus.c) and kvm-clock (hw/i386/kvm/clock.c)
    with the CPUs, and nova sets the guest's time only after unpause and
    resume (sync_guest_time()). So it may be behind by as long as it may have
    been interrupted.
    """
    pause_s = seen.plan.bounds.max_outage_s
    for each, before, after in _compared(seen, 'clock'):
        # NTP corrects a clock by up to 500 ppm (adjtimex(2)).
        slew_s = (after.at_ns - before.at_ns) / 1e9 * 500e-6
        for name, then_s, now_s, error_s in (
                ('monotonic clock (uptime)', before.uptime_ahead_s,
                 after.uptime_ahead_s,
                 before.uptime_error_s + after.uptime_error_s),
                ('wall clock', before.wall_ahead_s, after.wall_ahead_s,
                 before.wall_error_s + after.wall_error_s)):
            if then_s is None or now_s is None:
                continue
            change_s = now_s - then_s
            accepted_s = MAX_CLOCK_CHANGE_S + slew_s + (
                pause_s if change_s < 0 else 0.0)
            # A wall clock that has come closer to ours was set right.
            if abs(change_s) - error_s > accepted_s and (
                    name != 'wall clock' or abs(now_s) > abs(then_s)):
                yield each.problem(
                    'clock', f"the guest's {name} is {abs(change_s):.1f} s "
                    f'+/- {error_s:.1f} s '
                    f'{"ahead of" if change_s > 0 else "behind"} ours, '
                    f'compared with before (limit {accepted_s:.1f} s)')


@registry.check
def kernel_log(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect no new failure in the log of the guest's kernel."""
    for each, before, after in _compared(seen, 'kernel-log'):
        new = [line for line in after.kernel_lines
               if line not in before.kernel_lines]
        if new:
            yield each.problem(
                'kernel-log', f"the guest's kernel logged {len(new)} "
                f'failures, the first: {new[0]}')


@registry.check
def base_image(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect parts of the root disk that nobody writes to be unchanged."""
    return _unchanged(seen, 'base-image', lambda found: found.base_image)


@registry.check
def ephemeral_disks(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect parts of other disks that nobody writes to be unchanged."""
    return _unchanged(seen, 'ephemeral-disks',
                      lambda found: found.ephemeral_disks)


@registry.check
def outbound(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect a connection that the guest opened to this machine to live."""
    if not any('outbound' in each.workloads for each in seen.migrations):
        # It raises the reason, if one is known.
        _compared(seen, 'outbound')
        raise registry.SkipCheck('no connection could be verified')
    yield from registry.workload_problems('outbound', seen)


@registry.check
def workload(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the work of the guest to go on, and nothing of it to be lost."""
    if not any('workload' in each.workloads for each in seen.migrations):
        reasons = dict.fromkeys(each.work.skipped for each in seen.migrations
                                if each.work and each.work.skipped)
        raise registry.SkipCheck('; '.join(reasons) or (
            'no work could be verified' if seen.plan.workload.unit
            else 'the guests are idle'))
    yield from registry.workload_problems('workload', seen)


def _compared(seen: registry.Observation, slug: str) -> list[tuple[
        registry.Judged, schema.GuestInspection, schema.GuestInspection]]:
    """Return migrations with the facts before and after.

    :param slug: guests are left out whose facts for this check are unknown
    :raises SkipCheck: there is none
    """
    compared, reasons = [], []
    for each in seen.migrations:
        before = seen.plan.planned(each.server_id).inspection
        after = each.inspection
        if before is None:
            reasons.append('the guest was not inspected before')
        elif after is None:
            reasons.append('the guest was not inspected')
        elif before.boot_id != after.boot_id:
            reasons.append('the guest has booted again')
        elif slug in before.failed:
            reasons.append(f'before the migration: {before.failed[slug]}')
        elif slug in before.skipped or slug in after.skipped:
            reasons.append(before.skipped.get(slug) or after.skipped[slug])
        else:
            compared.append((each, before, after))
    if not compared:
        raise registry.SkipCheck('; '.join(dict.fromkeys(reasons)))
    return compared


def _failed(judged: registry.Judged, after: schema.GuestInspection,
            slug: str) -> Iterator[schema.Problem]:
    """Yield the problem of a part that worked before and does not now."""
    if slug in after.failed:
        yield judged.problem(slug, after.failed[slug])


def _unchanged(seen: registry.Observation, slug: str,
               sums: Callable[[schema.GuestInspection], Mapping[str, str]]
               ) -> Iterator[schema.Problem]:
    """Compare checksums of parts of disks to which the guest wrote nothing."""
    found = []
    for each, before, after in _compared(seen, slug):
        # A file has size and time in its name instead.
        same = {name for name, written in before.written_sectors.items()
                if after.written_sectors.get(name) == written}
        places = [place for place in sums(before) if place in sums(after) and
                  (place.startswith('/') or place.split('@')[0] in same)]
        found.append((each, after, places, [
            place for place in places
            if sums(before)[place] != sums(after)[place]]))
    if not any(places or slug in after.failed
               for _, after, places, _ in found):
        raise registry.SkipCheck(
            'the guest has written to all parts that were read')
    for each, after, places, changed in found:
        if changed:
            yield each.problem(
                slug, f'the guest reads other data from {len(changed)} of '
                f'{len(places)} places that nobody wrote to, the first: '
                f'{changed[0]}')
        yield from _failed(each, after, slug)
