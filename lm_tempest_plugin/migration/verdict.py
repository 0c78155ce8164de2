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

"""The verdict on one migration, and its cause."""

from collections.abc import Iterator
import dataclasses
import enum

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.migration.evidence import Evidence
from lm_tempest_plugin.migration.evidence import rebooted
from lm_tempest_plugin.migration import signatures


class Kind(enum.StrEnum):
    """The verdicts.

    * completed: the server runs on the destination, its record is completed
      and names both hosts;
    * rolled back: the migration began and failed, and the server is on the
      source as before;
    * failed: nova refused, or its checks failed, before anything began and
      the server is as before; or the server ended in another status, such
      as ERROR;
    * cancelled: it was aborted, and the server is on the source as before;
    * stuck: nova never finished with the server or with the record;
    * lost: the server does not exist any more, or its guest does not answer
      or has booted again;
    * inconsistent: nova contradicts itself or the guest.
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
    """The verdict on one migration.

    :ivar kind: which verdict
    :ivar cause: why; empty if it was completed
    :ivar signature: slug of the known cause; empty if there is none
    :ivar evidence: the facts that it rests on
    """

    kind: Kind
    cause: str
    signature: str
    evidence: Evidence

    def __str__(self) -> str:
        return f'{self.kind}: {self.cause}' if self.cause else str(self.kind)


def judge(evidence: Evidence) -> Verdict:
    """Judge a migration.

    :param evidence: facts about a migration that has ended or timed out
    """
    kind, reason = _kind(evidence)
    if kind is Kind.COMPLETED:
        return Verdict(kind, '', '', evidence)
    signature = signatures.recognize(evidence)
    cause = '; '.join(filter(None, (
        reason, signature.cause if signature else '', *_details(evidence))))
    return Verdict(kind, cause, signature.slug if signature else '', evidence)


def _kind(evidence: Evidence) -> tuple[Kind, str]:
    """Return the verdict and the fact that decides it."""
    if evidence.server is None:
        return Kind.LOST, 'the server does not exist any more'
    if evidence.timed_out:
        return Kind.STUCK, evidence.timed_out
    if len(evidence.records) > 1:
        return Kind.INCONSISTENT, (
            f'one request has {len(evidence.records)} migration records')
    if not evidence.as_before:
        state = (f'the server is {evidence.server_status}, and was '
                 f'{evidence.request.server.status}')
        if evidence.status == 'completed':
            return Kind.INCONSISTENT, f'{state}, and the record is completed'
        if evidence.server_status == 'ERROR' and evidence.guest.answers:
            return Kind.INCONSISTENT, f'{state}, and the guest answers'
        return Kind.FAILED, state
    kind, reason = _state_as_before(evidence)
    guest = evidence.guest
    if kind is not Kind.INCONSISTENT and guest.answers is False:
        return Kind.LOST, (
            f'nova calls the server {evidence.server_status}, the migration '
            f'{kind}, and the guest does not answer any more')
    if rebooted(guest):
        return Kind.LOST, (
            f'the guest has booted again: boot id {guest.boot_id_after}, '
            f'before {guest.boot_id_before}')
    return kind, reason


def _state_as_before(evidence: Evidence) -> tuple[Kind, str]:
    host = evidence.server.host if evidence.server else 'none'
    where = (f'the record is {evidence.status or "missing"} and the server '
             f'is on host {host}')
    record = evidence.newest
    if evidence.status == 'completed' and record is not None:
        if not evidence.on_destination or evidence.on_source:
            return Kind.INCONSISTENT, where
        if (record.source, record.destination) != (evidence.source, host):
            return Kind.INCONSISTENT, (
                f'the record says {record.source} to {record.destination}, '
                f'and the server went from {evidence.source} to {host}')
        return Kind.COMPLETED, ''
    if not evidence.on_source:
        return Kind.INCONSISTENT, where
    if evidence.status == 'cancelled':
        return Kind.CANCELLED, ''
    if (evidence.status == 'error' and evidence.failed(actions.ABORT) and
            not evidence.abort_requested):
        # Seen on nova 34: the guest then ran on the destination.
        return Kind.INCONSISTENT, (
            'nova has reset the server on the source, and the copy was never '
            'seen to end')
    if evidence.begun:
        # nova does not show why a copy failed: the reason is only in the log
        # of nova-compute on the source.
        if not (evidence.was('running') or evidence.post_copied):
            return Kind.ROLLED_BACK, 'it failed before the copy'
        copied = evidence.copied()
        return Kind.ROLLED_BACK, 'it failed while copying' + (
            f' (last progress after {copied})' if copied else '')
    refusal = evidence.request.refusal
    if refusal is not None:
        return Kind.FAILED, (f'nova refused (HTTP '
                             f'{refusal.status or "no answer"}): '
                             f'{refusal.message}')
    return Kind.FAILED, 'nova gave up before anything began'


def _details(evidence: Evidence) -> Iterator[str]:
    """Yield errors that nova's events, the server and the services show."""
    for event in evidence.action.events if evidence.action else ():
        if event.failed or event.open:
            yield str(event)
    if evidence.server is not None and evidence.server.fault:
        yield f'fault: {evidence.server.fault}'
    for name in dict.fromkeys((evidence.source, evidence.destination)):
        service = evidence.service(name)
        if service is not None and not service.usable:
            yield (f'nova-compute of {name} is {service.status} and '
                   f'{service.state}')
