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

"""What is found of one live migration: verdict, phases and continuity.

A verdict says what became of it. What is expected of it is more: that it is
this verdict and no other, and that the guest was not harmed on the way.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

from lm_tempest_plugin.hosts import jobs
from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import phases as phases_of
from lm_tempest_plugin.migration import verdict as verdicts
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
class Finding:
    """Everything that is found of one attempt.

    :ivar attempt: what was seen on the way
    :ivar verdict: what became of it
    :ivar continuity: what the probes saw meanwhile; None if the guest was
        not to answer
    :ivar bounds: what it is judged by
    :ivar expected: the verdicts of which it has to be one
    :ivar job: libvirt's figures; None if they are not known
    """

    attempt: attempts.Attempt
    verdict: verdicts.Verdict
    continuity: watch.Continuity | None
    bounds: Bounds
    expected: tuple[verdicts.Kind, ...] = (verdicts.Kind.COMPLETED,)
    job: jobs.Job | None = None

    @property
    def phases(self) -> list[phases_of.Phase]:
        """Where the time went."""
        return phases_of.phases(self.attempt, self.verdict.evidence.action)

    @property
    def service(self) -> phases_of.Phase | None:
        """How long the hosts were at work; None if that is not known."""
        return phases_of.service(
            self.attempt, self.verdict.evidence.action)

    @property
    def good(self) -> bool:
        """Whether every expectation was met."""
        return not self.violations

    @property
    def violations(self) -> tuple[str, ...]:
        """Every expectation that was not met, in words."""
        return tuple(self._violations())

    def _violations(self) -> Iterator[str]:
        if self.verdict.kind not in self.expected:
            yield 'the verdict is %s; expected: %s' % (
                self.verdict, ' or '.join(self.expected))
        guest = self.verdict.evidence.guest
        if guest.unread:
            yield 'the boot id of the guest is not known: %s' % guest.unread
        if self.continuity is not None:
            yield from _about_outage(
                self.continuity.outage, self.bounds.max_outage_s)
            yield from _about_stall(
                self.continuity.stall, self.bounds.max_stall_s)

    def line(self) -> str:
        """Return the figures on one line, for the log."""
        service = self.service
        return '%s: %s (%s) after %.1f s (%s%s)%s%s' % (
            self.attempt, self.verdict.kind, 'good' if self.good else 'BAD',
            self.attempt.duration_s,
            ', '.join(map(str, self.phases)) or 'no phase is known',
            '; %s' % service if service else '', self._job_line(),
            self._continuity_line())

    def _job_line(self) -> str:
        if self.job is None or self.job.downtime_ms is None:
            return ''
        return "; libvirt's downtime %d ms" % self.job.downtime_ms

    def _continuity_line(self) -> str:
        if self.continuity is None:
            return ''
        outage, stall = self.continuity.outage, self.continuity.stall
        control = self.continuity.control
        return (
            '; longest outage %.3f s +/- %.3f s (bound %g s; %d in all), %d '
            'of %d probes lost, %d late; at other times %.3f s +/- %.3f s; '
            'longest stall %.3f s +/- %.3f s (bound %g s); probe period '
            '%.4f s, achieved %.4f s%s' % (
                outage.longest_s, outage.error_bound_s,
                self.bounds.max_outage_s, len(outage.outages), outage.lost,
                outage.sent, outage.late, control.longest_s,
                control.error_bound_s, stall.longest_s, stall.error_bound_s,
                self.bounds.max_stall_s, outage.sending.period_s,
                outage.sending.achieved_period_s,
                '; this machine was too busy'
                if self.continuity.quality.too_busy else ''))

    def message(self) -> str:
        """Return what was expected and not found, with all evidence."""
        return '\n'.join([
            'The %s did not go as it should:' % self.attempt,
            *('- %s' % violation for violation in self.violations),
            *self.verdict.evidence.lines(),
            'Figures: %s' % self.line()])

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under names that say their units."""
        service = self.service
        return {
            **self.verdict.evidence.as_dict(),
            'verdict': str(self.verdict.kind),
            'expected_verdicts': list(map(str, self.expected)),
            'cause': self.verdict.cause,
            'signature': self.verdict.signature,
            'duration_s': self.attempt.duration_s,
            'phases': [phase.as_dict() for phase in self.phases],
            'service': service.as_dict() if service else None,
            'queue_s': phases_of.queue_s(self.phases),
            **(self.continuity.as_dict() if self.continuity else {}),
            'job': self.job.as_dict() if self.job else None,
            'max_outage_s': self.bounds.max_outage_s,
            'max_stall_s': self.bounds.max_stall_s,
            'violations': list(self.violations),
        }


def describe(findings: Sequence[Finding]) -> str:
    """Return the messages of all findings that are bad."""
    return '\n\n'.join(
        found.message() for found in findings if not found.good)


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
