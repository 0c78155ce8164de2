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

"""The pace of a copy that goes on: moving, standing still, not converging.

A copy that takes longer than the time-out may be slow, and end by itself. One
that stands still, or whose guest writes faster than is sent, never ends.
"""

from collections.abc import Sequence
import dataclasses
import enum

from lm_tempest_plugin.results import schema

MIB = 2 ** 20
# nova asks libvirt every [libvirt]live_migration_monitor_interval seconds, 5
# by default. Within a shorter time its figures may be the same ones.
NOVA_INTERVAL_S = 10.0
# QEMU counts a page once for each pass, however often it is written. So a
# guest that writes the same pages for ever has about the rate at which they
# are sent. Passes that shrink by less than a fifth do not end in useful time.
DIRTIED_RATIO = 0.8


class Pace(enum.StrEnum):
    """How a copy goes on."""

    MOVES = 'moves'
    STANDS_STILL = 'stands still'
    NOT_CONVERGING = 'does not converge'


@dataclasses.dataclass(frozen=True)
class Copying:
    """A copy within some seconds.

    :ivar pace: how it goes on
    :ivar text: the pace with its figures
    """

    pace: Pace
    text: str

    def __str__(self) -> str:
        return f'the copy {self.text}'


@dataclasses.dataclass(frozen=True)
class _Reading:
    """Figures of a copy at one time, in seconds and bytes.

    :ivar total: memory and disks
    :ivar sent: data sent, resent pages included
    :ivar remaining: data still to send
    :ivar dirtied_per_s: memory that the guest writes; None if not known
    """

    at_s: float
    total: int
    sent: int
    remaining: int
    dirtied_per_s: float | None


def of_jobs(first: schema.LibvirtJob, second: schema.LibvirtJob,
            seconds: float) -> Copying | None:
    """Return the pace of a copy between two readings of libvirt's figures.

    :param first: libvirt's figures
    :param second: the same, later
    :param seconds: time between both
    :returns: None if nothing is left to send
    """
    return _judge(_of_job(first, 0.0), _of_job(second, seconds), 'libvirt')


def of_progress(progress: Sequence[schema.Progress]) -> Copying | None:
    """Return the pace of a copy by the figures of nova's API.

    :param progress: in order of time
    :returns: None if nothing is left to send, or there are too few figures
    """
    last = progress[-1] if progress else None
    first = next((
        each for each in reversed(progress)
        if last and last.at_s - each.at_s >= NOVA_INTERVAL_S), None)
    if last is None or first is None:
        return None
    return _judge(_of_nova(first), _of_nova(last), 'nova')


def _of_job(job: schema.LibvirtJob, at_s: float) -> _Reading:
    dirtied = None
    if job.dirty_pages_per_s is not None and job.page_bytes is not None:
        dirtied = float(job.dirty_pages_per_s * job.page_bytes)
    return _Reading(
        at_s, (job.memory_bytes_total or 0) + (job.disk_bytes_total or 0),
        (job.memory_bytes_processed or 0) + (job.disk_bytes_processed or 0),
        (job.memory_bytes_remaining or 0) + (job.disk_bytes_remaining or 0),
        dirtied)


def _of_nova(progress: schema.Progress) -> _Reading:
    return _Reading(
        progress.at_s,
        progress.memory_total_bytes + progress.disk_total_bytes,
        progress.memory_processed_bytes + progress.disk_processed_bytes,
        progress.memory_remaining_bytes + progress.disk_remaining_bytes, None)


def _judge(first: _Reading, second: _Reading, origin: str) -> Copying | None:
    if not second.remaining:
        return None
    seconds = second.at_s - first.at_s
    rate = (second.sent - first.sent) / seconds
    left = (f'{second.remaining / MIB:.0f} MiB remain (within {seconds:.0f} '
            f's, by {origin})')
    if rate <= 0:
        return Copying(Pace.STANDS_STILL,
                       f'{Pace.STANDS_STILL}: nothing was sent, and {left}')
    sent = f'{rate / MIB:.1f} MiB/s'
    dirtied = second.dirtied_per_s or 0.0
    # Zero-filled pages are skipped, so less than the whole memory may have
    # been sent when the second pass begins. That all of it was sent, and no
    # less remains than before, is a sure sign.
    resent = (0 < second.total < second.sent and
              second.remaining >= first.remaining)
    if dirtied >= DIRTIED_RATIO * rate or resent:
        written = (f'the guest writes {dirtied / MIB:.1f} MiB/s, '
                   if dirtied else '')
        return Copying(
            Pace.NOT_CONVERGING, f'{Pace.NOT_CONVERGING}: {written}{sent} '
            f'are sent, {second.sent / MIB:.0f} MiB of '
            f'{second.total / MIB:.0f} MiB were sent, and {left}')
    forecast_s = second.remaining / (rate - dirtied)
    return Copying(Pace.MOVES, f'{Pace.MOVES}: {sent}, about '
                   f'{forecast_s:.0f} s more, for {left}')
