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

"""Where the time of a live migration went.

nova tells of it in two ways. The record's status is seen by looking, known
to the time between two looks. The events of the instance action have
stamps of their own, to the second, by the clocks of different hosts. Each
phase is taken from where it is known better; post and cleanup have no
status and are known from events alone.
"""

from collections.abc import Sequence
import dataclasses
import datetime
from typing import Any

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.migration import attempt as attempts

# nova keeps whole seconds; the difference of two of them is known to one.
EVENT_RESOLUTION_S = 1.0
# The source makes ready before the destination's first event, and has no event
# of its own for that: on the lab 0.3 to 0.5 s on the average of a drain.
SOURCE_PREPARES_S = 1.0
POLLS = 'polls'
EVENTS = 'events'


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a live migration.

    :ivar name: checks, queued, setup, copy, post or cleanup
    :ivar seconds: how long it lasted
    :ivar resolution_s: the true duration differs by no more; for events
        on different hosts their clocks' difference comes on top
    :ivar origin: polls or events
    """

    name: str
    seconds: float
    resolution_s: float
    origin: str

    def as_dict(self) -> dict[str, Any]:
        """Return the phase under names that say their units."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return '%s %.1f +/- %.1f s' % (
            self.name, self.seconds, self.resolution_s)


@dataclasses.dataclass(frozen=True)
class _Mark:
    """When something happened.

    :ivar at_s: in seconds, by a clock of its own
    :ivar early_s: it may have been earlier by as much
    :ivar late_s: it may have been later by as much
    """

    at_s: float
    early_s: float
    late_s: float

    def until(self, end: '_Mark', name: str, origin: str) -> Phase:
        """Return the phase that lasts from here to another mark."""
        seconds = max(0.0, end.at_s - self.at_s)
        return Phase(name, seconds, max(
            end.late_s + self.early_s, end.early_s + self.late_s), origin)


def phases(attempt: attempts.Attempt,
           action: actions.Action | None) -> list[Phase]:
    """Return the phases of an attempt, in order; only those that are known.

    * checks: the conductor chooses and asks both hosts, until the source
      host has queued the job;
    * queued: it waits for its turn on the source host;
    * setup: both hosts make ready: networks, volumes, disks;
    * copy: memory, and disks for a block migration, with switch-over, until
      nova begins with what comes after;
    * post: what nova does on the destination afterwards;
    * cleanup: what it does on the source, until the record is completed.

    :param attempt: one that has ended
    :param action: its instance action; None if there is none
    """
    seen, told = _seen(attempt), _told(attempt, action)
    spans = (
        ('checks', 'request', 'queued'), ('queued', 'queued', 'setup'),
        ('setup', 'setup', 'copy'), ('copy', 'copy', 'post'),
        ('post', 'post', 'cleanup'), ('cleanup', 'cleanup', 'end'))
    found = []
    for name, begin, end in spans:
        known = [
            marks[begin].until(marks[end], name, origin)
            for marks, origin in ((seen, POLLS), (told, EVENTS))
            if begin in marks and end in marks]
        if known:
            found.append(min(known, key=lambda phase: phase.resolution_s))
    return found


def queue_s(found: Sequence[Phase]) -> float:
    """Return how long a migration had to wait for others, in seconds."""
    return sum(phase.seconds for phase in found if phase.name == 'queued')


def service(attempt: attempts.Attempt,
            action: actions.Action | None) -> Phase | None:
    """Return how long the hosts were at work; None if that is not known.

    From the begin of the setup to the end of the record, by nova's stamps
    or by ours, whichever is known better. Queueing is no part of it.

    :param attempt: one that has ended
    :param action: its instance action; None if there is none
    """
    known = [
        marks['setup'].until(marks['end'], 'service', origin)
        for marks, origin in ((_seen(attempt), POLLS),
                              (_told(attempt, action), EVENTS))
        if 'setup' in marks and 'end' in marks]
    return min(known, key=lambda phase: phase.resolution_s, default=None)


def _seen(attempt: attempts.Attempt) -> dict[str, _Mark]:
    """Return the marks that the looks have set."""
    marks = {'request': _Mark(0.0, 0.0, 0.0)}
    for transition in attempt.transitions:
        name = _mark_name(transition)
        if name:
            marks.setdefault(name, _Mark(
                transition.at_s, transition.uncertainty_s, 0.0))
    return marks


def _mark_name(transition: attempts.Transition) -> str:
    """Return what a transition of the record begins; '' for others."""
    if transition.what != attempts.RECORD:
        return ''
    if transition.state in records.TERMINAL:
        return 'end'
    return {'queued': 'queued', 'preparing': 'setup',
            'running': 'copy'}.get(transition.state, '')


def _told(attempt: attempts.Attempt,
          action: actions.Action | None) -> dict[str, _Mark]:
    """Return the marks that nova's events have set."""
    if action is None:
        return {}
    job = action.event(actions.JOB)
    pre = action.event(actions.PRE)
    post = action.event(actions.POST_AT_DESTINATION)
    times = {
        'request': action.start,
        # The job's event ends when it is queued.
        'queued': job.finish if job else None,
        'setup': pre.start if pre else None,
        'copy': pre.finish if pre else None,
        'post': post.start if post else None,
        'cleanup': post.finish if post else None,
        'end': _ended(attempt),
    }
    return {name: _Mark(time.timestamp(), SOURCE_PREPARES_S
                        if name == 'setup' else 0.0, EVENT_RESOLUTION_S)
            for name, time in times.items() if time is not None}


def _ended(attempt: attempts.Attempt) -> datetime.datetime | None:
    """Return when nova wrote the end of the record."""
    newest = attempt.newest
    if newest is None or not newest.terminal or not newest.updated_at:
        return None
    return datetime.datetime.fromisoformat(newest.updated_at).replace(
        tzinfo=datetime.UTC)
