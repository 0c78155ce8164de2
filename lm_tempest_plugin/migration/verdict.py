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

"""Whether a live migration went well, and if not, every way in which not."""

from collections.abc import Iterator
import dataclasses
from typing import Any

from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.probes.analysis import figures
from lm_tempest_plugin.probes.analysis import stalls
from lm_tempest_plugin.probes import watch


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a live migration may do to a guest.

    :ivar max_outage_s: longest outage, in seconds
    :ivar max_stall_s: longest stall, in seconds
    """

    max_outage_s: float
    max_stall_s: float


@dataclasses.dataclass(frozen=True)
class BootIds:
    """Whether the guest is still the one that it was.

    :ivar before: its boot id before the migration
    :ivar after: its boot id after it; None if it could not be read
    :ivar unread: why it could not be read
    """

    before: str
    after: str | None
    unread: str = ''


@dataclasses.dataclass(frozen=True)
class Attempt:
    """Everything that is known of one live migration.

    :ivar request: what was asked for
    :ivar outcome: what became of it
    :ivar continuity: what the probes saw meanwhile
    :ivar boot_ids: of the guest
    :ivar failed_events: the events of the instance action that failed, in
        words
    """

    request: requests.Request
    outcome: follow.Outcome
    continuity: watch.Continuity
    boot_ids: BootIds
    failed_events: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is to be said of an attempt.

    :ivar attempt: what is judged
    :ivar bounds: what it was judged by
    :ivar violations: every expectation that was not met, in words
    """

    attempt: Attempt
    bounds: Bounds
    violations: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether every expectation was met."""
        return not self.violations

    def line(self) -> str:
        """Return the figures on one line, for the log."""
        attempt = self.attempt
        outage = attempt.continuity.outage
        control = attempt.continuity.control
        stall = attempt.continuity.stall
        return (
            '%s: %s after %.1f s (%s); longest outage %.3f s +/- %.3f s '
            '(bound %g s; %d in all), %d of %d probes lost, %d late; at '
            'other times %.3f s +/- %.3f s; longest stall %.3f s +/- %.3f s '
            '(bound %g s); probe period %.4f s, achieved %.4f s%s' % (
                attempt.request, 'good' if self.good else 'BAD',
                attempt.outcome.duration_s,
                attempt.outcome.last.records_in_words,
                outage.longest_s, outage.error_bound_s,
                self.bounds.max_outage_s, len(outage.outages), outage.lost,
                outage.sent, outage.late, control.longest_s,
                control.error_bound_s, stall.longest_s, stall.error_bound_s,
                self.bounds.max_stall_s, outage.sending.period_s,
                outage.sending.achieved_period_s,
                '; this machine was too busy'
                if attempt.continuity.quality.too_busy else ''))

    def message(self) -> str:
        """Return what was expected and not found, with all evidence."""
        attempt = self.attempt
        last = attempt.outcome.last
        return '\n'.join([
            'The %s did not go as it should:' % attempt.request,
            *('- %s' % violation for violation in self.violations),
            'Migration: %s' % last.records_in_words,
            'Server: %s; fault: %s' % (
                last.server.state, last.server.fault or 'none shown'),
            'Failed events of request %s: %s' % (
                attempt.request.request_id, attempt.failed_events),
            'Transitions: %s' % ('; '.join(
                '%.2f s %s %s' % (seen.at_s, seen.what, seen.state)
                for seen in attempt.outcome.transitions) or 'none'),
            'Figures: %s' % self.line()])

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        attempt = self.attempt
        outcome = attempt.outcome
        return {
            'server_id': attempt.request.server.server_id,
            'server_name': attempt.request.server.name,
            'source': attempt.request.source,
            'destination': attempt.request.destination,
            'block_migration': attempt.request.block_migration,
            'request_id': attempt.request.request_id,
            'duration_s': outcome.duration_s,
            'migration_records': [
                dataclasses.asdict(record)
                for record in outcome.last.records],
            'server_status': outcome.last.server.status,
            'server_task_state': outcome.last.server.task_state,
            'server_host': outcome.last.server.host,
            'transitions': [
                seen.as_dict() for seen in outcome.transitions],
            'polls': outcome.polls,
            'poll_errors': outcome.poll_errors,
            **attempt.continuity.as_dict(),
            'max_outage_s': self.bounds.max_outage_s,
            'max_stall_s': self.bounds.max_stall_s,
            'boot_id_before': attempt.boot_ids.before,
            'boot_id_after': attempt.boot_ids.after,
            'violations': list(self.violations),
        }


def judge(attempt: Attempt, bounds: Bounds) -> Verdict:
    """Hold an attempt against what is expected of a live migration.

    :param attempt: everything that is known of it
    :param bounds: how much outage and stall there may be
    """
    return Verdict(attempt, bounds, (
        *_about_record(attempt),
        *_about_server(attempt),
        *_about_outage(attempt.continuity.outage, bounds.max_outage_s),
        *_about_stall(attempt.continuity.stall, bounds.max_stall_s),
        *_about_boot(attempt.boot_ids)))


def _about_record(attempt: Attempt) -> Iterator[str]:
    """One record, completed, from the right host to the right host."""
    request, found = attempt.request, attempt.outcome.last.records
    if attempt.outcome.given_up:
        yield attempt.outcome.given_up
    if len(found) != 1:
        yield ('expected exactly one migration record for the request, '
               'found %d' % len(found))
    for record in found:
        if record.status != 'completed':
            yield 'migration record %d is %s, not completed' % (
                record.number, record.status)
        if record.source != request.source:
            yield 'migration record %d has source %s, not %s' % (
                record.number, record.source, request.source)
        if record.destination != request.destination:
            yield 'migration record %d has destination %s, not %s' % (
                record.number, record.destination or 'none',
                request.destination)


def _about_server(attempt: Attempt) -> Iterator[str]:
    """ACTIVE on the destination, and nova does nothing with it."""
    server = attempt.outcome.last.server
    if server.status != 'ACTIVE':
        yield 'the server is %s, not ACTIVE' % server.status
    if server.task_state is not None:
        yield 'the server has task state %s, not None' % server.task_state
    if server.host != attempt.request.destination:
        yield 'the server is on host %s, not %s' % (
            server.host or 'none', attempt.request.destination)


def _about_outage(outage: figures.OutageFigures,
                  bound_s: float) -> Iterator[str]:
    """No outage beyond the bound, and probes that could have seen one."""
    longest = outage.longest
    if longest and longest.duration_s > bound_s:
        yield ('outage of %.3f s +/- %.3f s, more than %g s (%d probes lost '
               'in it, %d late)%s' % (
                   longest.duration_s, longest.error_bound_s, bound_s,
                   longest.lost, longest.late,
                   ', not over when the observation ended'
                   if longest.open else ''))
    if outage.sending.resolution_s > bound_s:
        yield ('the probes cannot tell: this machine sent so few that an '
               'outage of %.3f s could have been overlooked, more than the '
               '%g s that they are to find' % (
                   outage.sending.resolution_s, bound_s))
        if outage.send_error:
            yield ('%d probes could not be sent from this machine at all: '
                   '%s' % (outage.send_errors, outage.send_error))


def _about_stall(stall: stalls.StallFigures, bound_s: float) -> Iterator[str]:
    """No stall beyond the bound, on a connection that lives unharmed."""
    if stall.broken:
        yield 'the TCP connection broke: %s' % stall.broken
    if stall.trouble:
        yield stall.trouble
    if stall.longest_s > bound_s:
        yield 'stall of %.3f s +/- %.3f s, more than %g s%s' % (
            stall.longest_s, stall.error_bound_s, bound_s,
            ', not over when the observation ended' if stall.open else '')
    if stall.lost or stall.repeated:
        yield ('on the TCP connection %d messages were lost and %d '
               'repeated' % (stall.lost, stall.repeated))
    if stall.corrupt:
        yield ('on the TCP connection %d lines came back that were never '
               'sent, the first: %s' % (stall.corrupt, stall.example))


def _about_boot(boot_ids: BootIds) -> Iterator[str]:
    """The guest was not started anew."""
    if boot_ids.after is None:
        yield 'the boot id of the guest is not known: %s' % boot_ids.unread
    elif boot_ids.after != boot_ids.before:
        yield 'the guest was rebooted: boot id %s, before %s' % (
            boot_ids.after, boot_ids.before)
