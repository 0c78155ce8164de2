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

"""How many live migrations a host really ran at once."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from lm_tempest_plugin.migration import poll

NS = poll.NS


@dataclasses.dataclass(frozen=True)
class Count:
    """What one host was at at one time.

    :ivar at_ns: CLOCK_MONOTONIC
    :ivar running: records that it worked on: preparing and running
    :ivar queued: UUIDs of the records that waited for it
    """

    at_ns: int
    running: int
    queued: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Observed:
    """What one host did in the time of a drain.

    :ivar host: name of the host that servers left
    :ivar running: how many it ran at once, at most
    :ivar queued: how many waited, at most
    :ivar mean: how many it ran at once on the average, while it ran any
    :ivar busy_s: time in which it ran any, in seconds
    :ivar idle_s: time in which it ran none though others waited, in seconds
    :ivar full: how many it ran at most while another one had to wait; None
        if none had to for longer than a moment
    """

    host: str
    running: int
    queued: int
    mean: float
    busy_s: float
    idle_s: float
    full: int | None

    def __str__(self) -> str:
        return (
            '%s ran %d at once (%.2f on the average in %.1f s), %d queued '
            '(%.1f s of it while none ran)' % (
                self.host, self.running, self.mean, self.busy_s,
                self.queued, self.idle_s))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return dataclasses.asdict(self)

    def contradicts(self, declared: int) -> str:
        """Return how a declared limit was not in force; '' if it was.

        That a host runs fewer than the limit says shows only while others
        wait.

        :param declared: max_concurrent_live_migrations of the host
        """
        if self.running > declared:
            return ('host %s is declared to run %d live migrations at once, '
                    'and %d ran at once' % (
                        self.host, declared, self.running))
        if self.full is not None and self.full < declared:
            return ('host %s is declared to run %d live migrations at once, '
                    'and no more than %d ran while others were queued' % (
                        self.host, declared, self.full))
        return ''


def count(look: poll.Look, host: str) -> Count:
    """Count what a host is at.

    :param look: the records of the whole cloud
    :param host: name of the host
    """
    found = look.on_source(host)
    return Count(
        look.at_ns, sum(record.in_service for record in found),
        frozenset(record.uuid for record in found
                  if record.status == 'queued'))


def observe(host: str, counts: Sequence[Count]) -> Observed:
    """Sum up what was counted.

    :param host: name of the host
    :param counts: in the order in which they were taken
    """
    busy_ns = idle_ns = weighted = 0
    for one, following in zip(counts, counts[1:]):
        span_ns = following.at_ns - one.at_ns
        if one.queued and not one.running:
            idle_ns += span_ns
        if one.running:
            busy_ns += span_ns
            weighted += span_ns * one.running
    return Observed(
        host=host,
        running=max((one.running for one in counts), default=0),
        queued=max((len(one.queued) for one in counts), default=0),
        mean=weighted / busy_ns if busy_ns else 0.0,
        busy_s=busy_ns / NS, idle_s=idle_ns / NS, full=_full(counts))


def _full(counts: Sequence[Count]) -> int | None:
    """Return how many ran at most while another one had to wait.

    Every migration is queued for a moment, and a place that is left is
    empty for a moment: one has to wait that is queued in three looks
    running.
    """
    full = [
        middle.running
        for before, middle, after in zip(counts, counts[1:], counts[2:])
        if before.queued & middle.queued & after.queued]
    return max(full, default=None)
