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

"""Phases of a live migration: durations, each with its resolution.

nova shows them in two ways. The status of the migration record is polled, so
a change is known to the time between two snapshots. Events of the instance
action carry time stamps in whole seconds, by the clocks of different hosts.
Each phase is taken from the source that knows it better. post and cleanup
have no status of their own, so they come from events alone.
"""

import dataclasses
import datetime

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.results import schema

# nova keeps whole seconds, so a difference is known to one second.
EVENT_RESOLUTION_S = 1.0
# The source prepares before the first event of the destination, and has no
# event for that: 0.3 to 0.5 s, measured as the mean of a drain on the lab.
SOURCE_PREPARES_S = 1.0
POLLS = 'polls'
EVENTS = 'events'
_SPANS = (
    ('checks', 'request', 'queued'), ('queued', 'queued', 'setup'),
    ('setup', 'setup', 'copy'), ('copy', 'copy', 'post'),
    ('post', 'post', 'cleanup'), ('cleanup', 'cleanup', 'end'))
# The border that a status of the migration record marks.
_BORDERS = {'queued': 'queued', 'preparing': 'setup', 'running': 'copy',
            **dict.fromkeys(migration_records.TERMINAL, 'end')}


@dataclasses.dataclass(frozen=True)
class _Border:
    """Time of a border between two phases.

    :ivar at_s: in seconds; polls and events have different origins
    :ivar early_s: the border may be this much earlier
    :ivar late_s: the border may be this much later
    """

    at_s: float
    early_s: float
    late_s: float

    def until(self, end: '_Border', name: str, origin: str) -> schema.Phase:
        return schema.Phase(
            name=name, seconds=max(0.0, end.at_s - self.at_s),
            resolution_s=max(end.late_s + self.early_s,
                             end.early_s + self.late_s), origin=origin)


def phases(migration: follow.Migration,
           action: actions.InstanceAction | None) -> list[schema.Phase]:
    """Return the known phases of a migration, in order.

    * checks: the conductor chooses and checks both hosts, until the source
      host has queued the job;
    * queued: the job waits in the queue of the source host;
    * setup: both hosts prepare networks, volumes, disks;
    * copy: memory, and disks for a block migration, with the switch-over;
    * post: nova's work on the destination after the copy;
    * cleanup: nova's work on the source, until the record is completed.

    :param migration: one that has ended
    :param action: its instance action; None if there is none
    """
    return [phase for name, begin, end in _SPANS
            if (phase := _best(migration, action, name, begin, end))]


def service(migration: follow.Migration,
            action: actions.InstanceAction | None) -> schema.Phase | None:
    """Return the time from setup to the end; None if it is not known.

    That is how long the hosts worked on the migration, without the queue.

    :param migration: one that has ended
    :param action: its instance action; None if there is none
    """
    return _best(migration, action, 'service', 'setup', 'end')


def _best(migration: follow.Migration, action: actions.InstanceAction | None,
          name: str, begin: str, end: str) -> schema.Phase | None:
    """Return the span between two borders with the best resolution."""
    known = [
        borders[begin].until(borders[end], name, origin)
        for borders, origin in ((_from_polls(migration), POLLS),
                                (_from_events(migration, action), EVENTS))
        if begin in borders and end in borders]
    return min(known, key=lambda phase: phase.resolution_s, default=None)


def _from_polls(migration: follow.Migration) -> dict[str, _Border]:
    error_s = migration.request.uncertainty_s
    borders = {'request': _Border(0.0, error_s, error_s)}
    for transition in migration.transitions:
        name = _BORDERS.get(transition.state)
        if name and transition.subject == follow.RECORD:
            borders.setdefault(name, _Border(
                transition.at_s, transition.uncertainty_s, 0.0))
    return borders


def _from_events(migration: follow.Migration,
                 action: actions.InstanceAction | None) -> dict[str, _Border]:
    if action is None:
        return {}
    job = action.event(actions.JOB)
    pre = action.event(actions.PRE)
    post = action.event(actions.POST_AT_DESTINATION)
    times = {
        'request': action.start,
        # The event of the job ends when the job is queued.
        'queued': job.finish if job else None,
        'setup': pre.start if pre else None,
        'copy': pre.finish if pre else None,
        'post': post.start if post else None,
        'cleanup': post.finish if post else None,
    }
    newest = migration.newest
    if newest is not None and newest.updated_at and (
            migration_records.is_terminal(newest)):
        times['end'] = datetime.datetime.fromisoformat(
            newest.updated_at).replace(tzinfo=datetime.UTC)
    return {name: _Border(time.timestamp(), SOURCE_PREPARES_S
                          if name == 'setup' else 0.0, EVENT_RESOLUTION_S)
            for name, time in times.items() if time is not None}
