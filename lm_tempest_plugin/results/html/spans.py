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

"""When what happened in a drain, in seconds after it began."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses

from lm_tempest_plugin.results import collection

QUEUED = 'queued'


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A part of the time of a server.

    :ivar name: what it is: the name of a phase
    :ivar begin_s: when it began, in seconds after the drain
    :ivar seconds: how long it lasted
    """

    name: str
    begin_s: float
    seconds: float

    @property
    def end_s(self) -> float:
        """When it ended."""
        return self.begin_s + self.seconds


def asked_s(drain: collection.Drain, attempt: collection.Attempt) -> float:
    """Return when a live migration was asked for."""
    return attempt.requested_monotonic_s - drain.began_monotonic_s


def phases(drain: collection.Drain,
           attempt: collection.Attempt) -> list[Span]:
    """Return the phases of an attempt, one after the other.

    A phase that nobody knows leaves a gap: at the beginning if it is the
    first, and otherwise at the end.

    :param drain: of which the attempt is a part
    :param attempt: which one
    """
    at_s = asked_s(drain, attempt)
    if attempt.phases and attempt.phases[0][0] != 'checks':
        at_s += max(0.0, attempt.duration_s - sum(
            seconds for _name, seconds in attempt.phases))
    found = []
    for name, seconds in attempt.phases:
        found.append(Span(name, at_s, seconds))
        at_s += seconds
    return found


def service(drain: collection.Drain,
            attempt: collection.Attempt) -> Span | None:
    """Return when the hosts were at work on it; None if nobody knows."""
    if attempt.service_s is None:
        return None
    end_s = asked_s(drain, attempt) + attempt.duration_s
    return Span('service', end_s - attempt.service_s, attempt.service_s)


def outage(drain: collection.Drain,
           attempt: collection.Attempt) -> Span | None:
    """Return when the longest outage was; None if there was none."""
    found = attempt.outage
    if found is None or found.start_s is None or not found.seconds:
        return None
    return Span('longest outage', asked_s(drain, attempt) + found.start_s,
                found.seconds)


def at_once(spans: Iterable[Span]) -> tuple[list[float], list[int]]:
    """Return how many spans there were at once: times, and the number after.

    :param spans: in any order; one of no length counts nowhere
    """
    steps = sorted(
        # To the millisecond: one that ends as another begins is no other.
        (round(at_s, 3), step) for span in spans if span.seconds > 0
        for at_s, step in ((span.begin_s, 1), (span.end_s, -1)))
    times, counts, count = [0.0], [0], 0
    for at_s, step in steps:
        count += step
        if at_s == times[-1]:
            counts[-1] = count
        else:
            times.append(at_s)
            counts.append(count)
    return times, counts


def queued(drain: collection.Drain,
           attempts: Sequence[collection.Attempt]) -> list[Span]:
    """Return when servers of a drain waited for others."""
    return [span for attempt in attempts
            for span in phases(drain, attempt) if span.name == QUEUED]


def running(drain: collection.Drain,
            attempts: Sequence[collection.Attempt]) -> list[Span]:
    """Return when the hosts were at work on servers of a drain."""
    return [span for attempt in attempts
            if (span := service(drain, attempt)) is not None]
