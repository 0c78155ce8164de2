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

"""Answers of a simulated guest, as a prober records them.

A question reaches the guest, and its answer comes back, after delays that
differ a little. In an outage packets to the guest are lost, or held until the
outage is over. The recorded times have the errors that the probers state.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses

import numpy

from lm_tempest_plugin.probes import answers

MS = 1_000_000
# When the observation begins, CLOCK_MONOTONIC.
BEGIN_NS = 10_000 * MS
# How long answers are waited for after the last question.
AFTERWARDS_NS = 50 * MS
# By how much the conversion of a kernel stamp may be wrong.
STAMP_ERROR_NS = 50_000


@dataclasses.dataclass(frozen=True)
class Outage:
    """An outage as it is.

    :ivar start_ms: from the beginning of the observation
    :ivar length_ms: how long
    :ivar held: whether questions are held until it is over, not lost
    """

    start_ms: float
    length_ms: float
    held: bool = False

    @property
    def start_ns(self) -> int:
        """When it begins, CLOCK_MONOTONIC."""
        return BEGIN_NS + round(self.start_ms * MS)

    @property
    def length_ns(self) -> int:
        """How long it is."""
        return round(self.length_ms * MS)

    @property
    def end_ns(self) -> int:
        """When it is over, CLOCK_MONOTONIC."""
        return self.start_ns + self.length_ns


@dataclasses.dataclass(frozen=True)
class Path:
    """The path between the prober and its guest.

    :ivar late_ms: mean time by which a question is sent too late
    :ivar sent_error_ms: by how much it may be unknown when it was sent
    :ivar jitter_ms: mean addition to the least delay
    :ivar spikes: part of the questions that take some milliseconds more
    :ivar loss: part of the questions or answers that are lost
    :ivar slower_ms: addition to the delay of probes that are sent
        at some times (in milliseconds from the beginning)
    """

    late_ms: float = 0.3
    sent_error_ms: float = 0.02
    jitter_ms: float = 0.1
    spikes: float = 0.0
    loss: float = 0.0
    slower_ms: Callable[[numpy.ndarray], numpy.ndarray] = numpy.zeros_like


def _ns(times_ms):
    return (times_ms * MS).astype(numpy.int64)


def observe(rng: numpy.random.Generator, outages: Sequence[Outage] = (),
            path: Path = Path(), period_ms: float = 10,
            length_ms: float = 4000) -> answers.Answers:
    """Return the answers that a prober records.

    :param rng: source of the random numbers
    :param outages: one after the other
    :param path: between the prober and its guest
    :param period_ms: distance of two questions
    :param length_ms: how long something is asked
    """
    count = int(length_ms / period_ms)
    due_ns = BEGIN_NS + _ns(numpy.arange(count) * period_ms)
    sent_ns = numpy.maximum.accumulate(
        due_ns + _ns(rng.exponential(path.late_ms, count)))
    one_way_ms = 0.05 + rng.exponential(path.jitter_ms / 2, (2, count))
    there_ns = sent_ns + _ns(
        one_way_ms[0] +
        (rng.random(count) < path.spikes) * rng.exponential(3, count) +
        path.slower_ms((sent_ns - BEGIN_NS) / MS))
    lost = rng.random(count) < path.loss
    for outage in outages:
        inside = (there_ns >= outage.start_ns) & (there_ns < outage.end_ns)
        if outage.held:
            there_ns[inside] = outage.end_ns
        else:
            lost |= inside
    answered_ns = there_ns + _ns(one_way_ms[1]) + rng.integers(
        -STAMP_ERROR_NS, STAMP_ERROR_NS, count, endpoint=True)
    sent_error_ns = numpy.full(count, round(path.sent_error_ms * MS))
    seen_sent_ns = numpy.minimum(answered_ns, sent_ns + rng.integers(
        -sent_error_ns, sent_error_ns, endpoint=True))
    return answers.Answers(
        '192.0.2.1', round(period_ms * MS), due_ns=due_ns,
        sent_ns=numpy.maximum.accumulate(seen_sent_ns),
        sent_error_ns=sent_error_ns,
        answered_ns=numpy.where(
            lost, answers.UNANSWERED, answered_ns))


def without(seen: answers.Answers,
            left_out: numpy.ndarray) -> answers.Answers:
    """Return the answers without some of the probes.

    :param seen: the answers
    :param left_out: whether each question is left out
    """
    return dataclasses.replace(
        seen, due_ns=seen.due_ns[~left_out], sent_ns=seen.sent_ns[~left_out],
        sent_error_ns=seen.sent_error_ns[~left_out],
        answered_ns=seen.answered_ns[~left_out])


def at_ms(seen: answers.Answers) -> numpy.ndarray:
    """Return when each was sent, in milliseconds from the beginning."""
    return (seen.sent_ns - BEGIN_NS) / MS


def since_ns(seen: answers.Answers) -> int:
    """Return when the observation begins: a period before it first asks."""
    return BEGIN_NS - seen.period_ns


def end_ns(seen: answers.Answers,
           afterwards_ns: int = AFTERWARDS_NS) -> int:
    """Return when the observation ends: answers had the time to come.

    :param seen: the answers
    :param afterwards_ns: how long nothing is asked before
    """
    return int(seen.sent_ns[-1]) + afterwards_ns
