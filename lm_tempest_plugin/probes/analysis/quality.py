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


"""Whether the prober itself kept its word, and what to think of it if not."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy

from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule

# The machine was too busy if one in a hundred questions was late by more
# than this part of a period, or if more than this part were never sent.
LATE_PART = 0.5
MISSED_PART = 0.01


@dataclasses.dataclass(frozen=True)
class Quality:
    """How well a prober did what it was to do, over all its guests.

    :ivar period_s: nominal distance of two questions to one guest
    :ivar achieved_period_s: mean distance; 0 if unknown
    :ivar lateness_p50_s: how late questions were sent: the median
    :ivar lateness_p99_s: 99 of 100 were sent no later
    :ivar lateness_max_s: the latest
    :ivar max_gap_s: longest time in which a guest was not asked
    :ivar due: questions that should have been sent
    :ivar deadlines_missed: those that never were, for want of time
    :ivar send_errors: requests that this machine refused to send
    :ivar wall_clock_steps: how often the wall clock was set meanwhile
    :ivar kernel_stamps_refused: answers without a usable kernel time stamp
    :ivar answers_dropped: packets for which this machine had no room
    """

    period_s: float
    achieved_period_s: float
    lateness_p50_s: float
    lateness_p99_s: float
    lateness_max_s: float
    max_gap_s: float
    due: int
    deadlines_missed: int
    send_errors: int
    wall_clock_steps: int
    kernel_stamps_refused: int
    answers_dropped: int

    @property
    def too_busy(self) -> bool:
        """Whether this machine was too busy for what was asked of it."""
        return self._late or self.answers_dropped > 0

    @property
    def _late(self) -> bool:
        return (self.lateness_p99_s > LATE_PART * self.period_s or
                self.deadlines_missed > MISSED_PART * self.due)

    def remarks(self) -> list[str]:
        """Return what somebody who reads the figures has to know."""
        remarks = []
        if self._late:
            remarks.append(
                'This machine was too busy to ask every %g s: the period '
                'achieved is %.4f s, one in a hundred requests was late by '
                '%.4f s or more, %d of %d were not sent at all, and the '
                'longest time without a request was %.4f s. The error '
                'bounds allow for it.' % (
                    self.period_s, self.achieved_period_s,
                    self.lateness_p99_s, self.deadlines_missed, self.due,
                    self.max_gap_s))
        if self.answers_dropped:
            remarks.append(
                'This machine had no room for %d answers, which count as '
                'lost (sysctl net.core.rmem_max limits the room).' %
                self.answers_dropped)
        if self.send_errors:
            remarks.append(
                'This machine refused to send %d requests; nothing is known '
                'of the guests at those times.' % self.send_errors)
        if self.wall_clock_steps:
            remarks.append(
                'The wall clock was set %d times meanwhile; the figures do '
                'not depend on it.' % self.wall_clock_steps)
        if self.kernel_stamps_refused:
            remarks.append(
                '%d answers have no usable time stamp from the kernel; the '
                'time when they were read stands for it.' %
                self.kernel_stamps_refused)
        return remarks

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        return {**dataclasses.asdict(self), 'too_busy': self.too_busy,
                'remarks': self.remarks()}


def _left_out(seen: observations.Observations, period_s: float) -> int:
    """Return how many questions to a guest were never sent."""
    periods = numpy.rint(numpy.diff(seen.due_ns) / schedule.NS / period_s)
    return max(0, int((periods - 1).sum()) - seen.send_errors)


def quality(seen: Sequence[observations.Observations], period_s: float,
            wall_clock_steps: int = 0, kernel_stamps_refused: int = 0,
            answers_dropped: int = 0) -> Quality:
    """Return how well a prober did.

    :param seen: what it saw of each guest
    :param period_s: nominal distance of two questions
    :param wall_clock_steps: as it counted them
    :param kernel_stamps_refused: as it counted them
    :param answers_dropped: as it counted them
    """
    late_s = _joined([one.sent_ns - one.due_ns for one in seen])
    sent_s = _joined([numpy.diff(one.sent_ns) for one in seen])
    refused = sum(one.send_errors for one in seen)
    # A request that was refused leaves a place as well.
    left_out = sum(_left_out(one, period_s) for one in seen)
    p50_s, p99_s, max_s = (
        numpy.percentile(late_s, (50, 99, 100), method='inverted_cdf')
        if late_s.size else (0.0, 0.0, 0.0))
    return Quality(
        period_s=period_s,
        achieved_period_s=float(sent_s.mean()) if sent_s.size else 0.0,
        lateness_p50_s=float(p50_s), lateness_p99_s=float(p99_s),
        lateness_max_s=float(max_s),
        max_gap_s=float(sent_s.max(initial=0.0)),
        due=late_s.size + left_out, deadlines_missed=left_out,
        send_errors=refused,
        wall_clock_steps=wall_clock_steps,
        kernel_stamps_refused=kernel_stamps_refused,
        answers_dropped=answers_dropped)


def _joined(parts_ns: Sequence[observations.Times]) -> numpy.typing.NDArray[
        numpy.float64]:
    """Return times in nanoseconds as one array in seconds."""
    return numpy.concatenate([*parts_ns, numpy.zeros(0)]) / schedule.NS
