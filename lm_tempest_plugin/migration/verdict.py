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

"""What became of a live migration, and why."""

from collections.abc import Iterator
import dataclasses
import enum

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.migration import evidence as evidences
from lm_tempest_plugin.migration import signatures


class Kind(enum.StrEnum):
    """What there is to be said of an attempt.

    * completed: the server runs on the destination, its record is
      completed and names both hosts;
    * rolled back: the attempt was begun and failed, and the server is on
      the source as before;
    * failed: nova refused, or its checks did, before anything was begun
      and the server is as before; or it has left the server in ERROR;
    * cancelled: it was aborted, and the server is on the source as before;
    * stuck: nova never finished with the server, or with the record;
    * lost: the server is gone, or its guest: it does not answer any more,
      or was started anew;
    * inconsistent: what nova says contradicts itself, or the guest.
    """

    COMPLETED = 'completed'
    ROLLED_BACK = 'rolled back'
    FAILED = 'failed'
    CANCELLED = 'cancelled'
    STUCK = 'stuck'
    LOST = 'lost'
    INCONSISTENT = 'inconsistent'


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is to be said of an attempt.

    :ivar kind: what became of it
    :ivar cause: why; empty if it was completed
    :ivar signature: number of the known case, 1 to 15; 0 for none
    :ivar evidence: what it rests on
    """

    kind: Kind
    cause: str
    signature: int
    evidence: evidences.Evidence

    def __str__(self) -> str:
        return '%s%s' % (self.kind, ': ' + self.cause if self.cause else '')


def judge(evidence: evidences.Evidence) -> Verdict:
    """Return the verdict on an attempt.

    :param evidence: what is known of it when it has ended or was given up
    """
    kind, what = _kind(evidence)
    if kind is Kind.COMPLETED:
        return Verdict(kind, '', 0, evidence)
    signature = signatures.recognize(evidence)
    cause = '; '.join(part for part in (
        what, signature.cause if signature else '', *_details(evidence))
        if part)
    return Verdict(
        kind, cause, signature.number if signature else 0, evidence)


def _kind(evidence: evidences.Evidence) -> tuple[Kind, str]:
    """Return what became of an attempt, with what tells so."""
    if evidence.server is None:
        return Kind.LOST, 'the server does not exist any more'
    if evidence.given_up:
        return Kind.STUCK, evidence.given_up
    if len(evidence.records) > 1:
        return Kind.INCONSISTENT, 'one request has %d migration records' % (
            len(evidence.records))
    if not evidence.as_before:
        return _harmed(evidence)
    kind, what = _unharmed(evidence)
    if kind is not Kind.INCONSISTENT and evidence.guest.answers is False:
        return Kind.LOST, (
            'nova calls the server %s, the migration %s, and the guest does '
            'not answer any more' % (evidence.server_status, kind))
    if evidence.guest.rebooted:
        return Kind.LOST, 'the guest was started anew: boot id %s, before %s' \
            % (evidence.guest.boot_id_after, evidence.guest.boot_id_before)
    return kind, what


def _harmed(evidence: evidences.Evidence) -> tuple[Kind, str]:
    """Judge where the server is not in the state of before."""
    state = 'the server is %s, and was %s' % (
        evidence.server_status, evidence.request.server.status)
    if evidence.status == 'completed':
        return Kind.INCONSISTENT, state + ', and the record is completed'
    if evidence.server_status == 'ERROR' and evidence.guest.answers:
        return Kind.INCONSISTENT, state + ', and the guest answers'
    return Kind.FAILED, state


def _unharmed(evidence: evidences.Evidence) -> tuple[Kind, str]:
    """Judge where the server is in the state of before."""
    refusal = evidence.request.refusal
    where = 'the record is %s and the server is on host %s' % (
        evidence.status or 'missing',
        evidence.server.host if evidence.server else 'none')
    if evidence.status == 'completed':
        if not evidence.on_destination or evidence.on_source:
            return Kind.INCONSISTENT, where
        astray = _astray(evidence)
        return (Kind.INCONSISTENT, astray) if astray else (Kind.COMPLETED, '')
    if not evidence.on_source:
        return Kind.INCONSISTENT, where
    if evidence.status == 'cancelled':
        return Kind.CANCELLED, ''
    if (evidence.status == 'error' and evidence.failed(actions.ABORT) and
            not evidence.abort_asked):
        # Seen on nova 34: the guest then ran on the destination.
        return Kind.INCONSISTENT, (
            'nova has reset the server on the source without an end of the '
            'copy')
    if evidence.begun:
        return Kind.ROLLED_BACK, _how_far(evidence)
    if refusal is not None:
        return Kind.FAILED, 'nova refused (HTTP %s): %s' % (
            refusal.status or 'no answer', refusal.message)
    return Kind.FAILED, 'nova gave up before anything was begun'


def _astray(evidence: evidences.Evidence) -> str:
    """Return how a record names other hosts than those of the server.

    :returns: in words; '' if it names the right ones
    """
    record, server = evidence.newest, evidence.server
    if record is None or server is None or (
            record.source, record.destination) == (
                evidence.source, server.host):
        return ''
    return 'the %s, and the server went from %s to %s' % (
        record, evidence.source, server.host)


def _how_far(evidence: evidences.Evidence) -> str:
    """Return how far an attempt came that failed, in words.

    Of a copy that fails nova tells nothing but this: the reason is in the
    log of nova-compute on the source.
    """
    if evidence.was('running') or evidence.was(records.POST_COPY):
        copied = evidence.copied()
        return 'it failed while copying%s' % (
            ' (last seen after %s)' % copied if copied else '')
    return 'it failed before the copy'


def _details(evidence: evidences.Evidence) -> Iterator[str]:
    """What nova and the services say of what went wrong."""
    for event in evidence.action.events if evidence.action else ():
        if event.failed or event.open:
            yield str(event)
    if evidence.server is not None and evidence.server.fault:
        yield 'fault: %s' % evidence.server.fault
    for name in dict.fromkeys((evidence.source, evidence.destination)):
        host = evidence.host(name)
        if host is not None and not host.usable:
            yield 'nova-compute of %s is %s and %s' % (
                name, host.status, host.state)
