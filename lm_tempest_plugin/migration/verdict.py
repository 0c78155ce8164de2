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
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.migration.evidence import describe_actions
from lm_tempest_plugin.migration.evidence import Evidence
from lm_tempest_plugin.migration.evidence import rebooted
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import signatures


class Kind(enum.StrEnum):
    """The verdicts.

    * runs twice: the guest runs on both hosts, so both write to its disks;
    * completed: the server runs on the destination, its record is completed
      and names both hosts;
    * rolled back: the migration began and failed, and the server is on the
      source as before;
    * failed: nova refused, or its checks failed, before anything began and
      the server is as before; or the server ended in another status, such
      as ERROR;
    * cancelled: it was aborted, and the server is on the source as before,
      whatever nova calls the record;
    * stuck: nova never finished with the server or with the record;
    * lost: the server does not exist any more, or libvirt has no living
      domain of it, or its guest does not answer or has booted again;
    * inconsistent: nova contradicts itself, libvirt or the guest.
    """

    RUNS_TWICE = 'runs twice'
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
        reason, signature.cause if signature else '',
        *_details(kind, evidence))))
    return Verdict(kind, cause, signature.slug if signature else '', evidence)


def _kind(evidence: Evidence) -> tuple[Kind, str]:
    """Return the verdict and the fact that decides it."""
    if len(evidence.running_on) > 1:
        return Kind.RUNS_TWICE, (
            f'libvirt runs the guest on hosts '
            f'{" and ".join(evidence.running_on)}')
    if evidence.server is None:
        return Kind.LOST, 'the server does not exist any more'
    state = f'the server is {evidence.server_status}' + (
        f' ({evidence.server.task_state})' if evidence.server.task_state
        else '')
    if not evidence.as_before:
        state += f', and was {evidence.request.server.status}'
    guest = evidence.guest
    # Servers of other statuses had no living domain before.
    if (evidence.alive_on == () and
            evidence.request.server.status in preflight.MIGRATABLE):
        if guest.answers:
            return Kind.INCONSISTENT, (
                f'the guest answers, and libvirt shows {evidence.domains()}: '
                'libvirt has lost it, or virsh_command asks another libvirt')
        return Kind.LOST, f'the guest is dead: {evidence.domains()}; {state}'
    if rebooted(guest):
        return Kind.LOST, (
            f'the guest has booted again: boot id {guest.boot_id_after}, '
            f'before {guest.boot_id_before}')
    if evidence.timed_out:
        return Kind.STUCK, evidence.timed_out
    if len(evidence.records) > 1:
        return Kind.INCONSISTENT, (
            f'one request has {len(evidence.records)} migration records')
    if contradiction := _contradiction(evidence):
        return Kind.INCONSISTENT, f'{state}; {contradiction}'
    kind, reason = (_as_before(evidence) if evidence.as_before
                    else _changed(evidence, state))
    if guest.answers is False and kind is not Kind.INCONSISTENT:
        return Kind.LOST, (f'{_silence(evidence)}; {state}, and the record is '
                           f'{evidence.status or "missing"}')
    return kind, reason


def _contradiction(evidence: Evidence) -> str:
    """Return the contradiction of nova and libvirt; empty if there is none."""
    # A domain that waits for its memory, or whose memory was handed over, is
    # alive and paused.
    hosts = evidence.running_on or evidence.alive_on
    if not hosts or evidence.server is None:
        return ''
    if evidence.server.host not in hosts:
        verb = 'runs' if evidence.running_on else 'has'
        return (f'nova shows it on host {evidence.server.host}, and libvirt '
                f'{verb} its guest on host {", ".join(hosts)}')
    if evidence.copy is not None:
        return (f'nova calls the record {evidence.status}, and libvirt '
                'still copies the guest')
    return ''


def _changed(evidence: Evidence, state: str) -> tuple[Kind, str]:
    """Return the verdict on a server that is not as before."""
    if evidence.guest.answers is not False:
        if evidence.status == 'completed':
            return Kind.INCONSISTENT, f'{state}, and the record is completed'
        if evidence.server_status == 'ERROR':
            if evidence.guest.answers:
                return Kind.INCONSISTENT, f'{state}, and the guest answers'
            # Nobody probes the guests of others.
            if evidence.running_on:
                return Kind.INCONSISTENT, (
                    f'{state}, and libvirt runs its guest on host '
                    f'{evidence.running_on[0]}')
    return Kind.FAILED, state


def _as_before(evidence: Evidence) -> tuple[Kind, str]:
    """Return the verdict on a server that has its earlier status."""
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
    if evidence.abort_requested and evidence.status in ('failed', 'error'):
        # The monitor of nova-compute finds no job any more, and takes that
        # for a failure (34.0.0 mostly does).
        return Kind.CANCELLED, f'nova calls the record {evidence.status}'
    if (evidence.status == 'error' and evidence.failed(actions.ABORT) and
            evidence.alive_on is None):
        # Seen on nova 34: the guest then ran on the destination.
        return Kind.INCONSISTENT, (
            'nova has reset the server on the source, the copy was never seen '
            'to end, and the hosts could not be asked')
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


def _silence(evidence: Evidence) -> str:
    silent_s = evidence.guest.silent_s
    return 'the guest does not answer any more' + (
        f', for {silent_s:.0f} s now' if silent_s else '')


def _details(kind: Kind, evidence: Evidence) -> Iterator[str]:
    """Yield facts about the guest, libvirt, nova and its users."""
    if evidence.guest.answers is False:
        if kind is not Kind.LOST:
            yield _silence(evidence)
        yield evidence.guest.libvirt_state
    if (kind is Kind.STUCK and evidence.server is not None and
            evidence.server.settled and evidence.newest is not None and
            migration_records.is_terminal(evidence.newest)):
        yield (f'nova has finished since then: the record is '
               f'{evidence.status}, and the server is '
               f'{evidence.server_status} on host {evidence.server.host}')
    if evidence.copy is not None:
        yield str(evidence.copy)
    if evidence.reason is not None:
        yield f'{evidence.reason.text} ({evidence.reason.slug})'
    if evidence.other_actions:
        yield f'meanwhile {describe_actions(evidence.other_actions)}'
    for event in evidence.action.events if evidence.action else ():
        if event.open:
            waited_s = evidence.waited_s(event.start)
            yield f'nova has waited {waited_s:.0f} s for {event}'
        elif event.failed:
            yield str(event)
    for host in evidence.silent_hosts:
        yield f'host {host} does not answer (SSH or libvirt)'
    if evidence.alive_on:
        yield f'libvirt: {evidence.domains()}'
    if evidence.server is not None and evidence.server.fault:
        yield f'fault: {evidence.server.fault}'
    for name in dict.fromkeys((evidence.source, evidence.destination)):
        service = evidence.service(name)
        if service is not None and not service.usable:
            yield (f'nova-compute of {name} is {service.status} and '
                   f'{service.state}')
