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

"""Checks of nova's view: verdict, migration records, allocations, volumes."""

from collections.abc import Iterable
from collections.abc import Iterator

from tempest.lib import exceptions

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.cloud import volumes
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.results import schema

ACCEPTED = 202
GIB = 2 ** 30
# nova's monitor looks for a request to force the end every 0.5 s.
FORCED_S = 10.0
# With which nova resets the server's progress first.
RESETS_PROGRESS = ('completed', 'failed', 'cancelled')


@registry.check
def verdict(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect each verdict to be one of the expected ones."""
    for each in seen.migrations:
        if each.verdict.kind not in each.expected:
            yield each.problem(
                'verdict', f'the verdict is {each.verdict}; expected: '
                f'{" or ".join(each.expected)}')


@registry.check
def answer(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the planned refusal: HTTP status, or failed checks later.

    nova checks before its answer or after it, in the conductor. Then only the
    instance action tells a user that nothing was done.
    """
    wanted = seen.plan.expected_refusal
    if wanted is None:
        raise registry.SkipCheck('the plan expects no refusal')
    for each in seen.migrations:
        refusal = each.migration.request.refusal
        status = refusal.status if refusal else ACCEPTED
        if status != wanted.status:
            said = f': {refusal.message}' if refusal else ''
            yield each.problem(
                'answer', f'nova answered with HTTP {status or "nothing"}'
                f'{said}; expected: HTTP {wanted.status}')
            continue
        action = each.verdict.evidence.action
        if status == ACCEPTED and not any(
                event.failed for event in (action.events if action else ())):
            yield each.problem(
                'answer', 'nova accepted the request, which it had to '
                'refuse, and no event of the instance action failed: '
                f'{action.describe() if action else "no action"}')


@registry.check
def server_exists(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect each server to exist."""
    for each in seen.migrations:
        if seen.servers[each.server_id] is None:
            yield each.problem('server-exists', 'the server does not exist '
                               'any more')


@registry.check
def server_stayed(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the planned status, on the source, where servers have to stay."""
    wanted = seen.plan.expected_status
    if not wanted:
        raise registry.SkipCheck('the plan names no status')
    for each, server in seen.existing():
        source = each.verdict.evidence.source
        if (server.host, server.status) != (source, wanted):
            yield each.problem(
                'server-stayed', f'the server is {server.status} on host '
                f'{server.host}; expected: {wanted} on host {source}')


@registry.check
def server_status(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect each server to have the status from before, and no task.

    nova may set a server to ERROR after it has completed the record. Without a
    task there is no progress either: nova resets it at the destination, or on
    the source when it rolls back. It does not after a restart of nova-compute
    (_reset_live_migration() in nova/compute/manager.py, record in error).
    """
    for each, server in seen.existing():
        wanted = (seen.plan.expected_status or
                  each.migration.request.server.status)
        if server.status != wanted or server.task_state is not None:
            yield each.problem(
                'server-status', f'the server is in {server.state}; '
                f'expected: {wanted}, without a task'
                + (f'; fault: {server.fault}' if server.fault else ''))
        elif (each.verdict.evidence.status in RESETS_PROGRESS and
                0 < server.progress < 100):
            yield each.problem(
                'server-status', f'the server is in {server.state}, and nova '
                f'still shows a progress of {server.progress} %')


@registry.check
def events(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect all events of a completed migration's action, all successful.

    The action is read here, not taken from the evidence: nova may record an
    end later than the end of the migration record, and problems are looked for
    a second time.
    """
    judged = [each for each, _ in seen.existing()
              if each.verdict.kind is Kind.COMPLETED and
              each.migration.request.request_id]
    if not judged:
        raise registry.SkipCheck(
            'no migration with a known request id was completed')
    for each in judged:
        try:
            action = actions.show(
                seen.clients.servers, each.server_id,
                each.migration.request.request_id)
        except exceptions.Forbidden as exc:
            raise registry.SkipCheck(
                f'the policy hides instance actions: {exc}') from exc
        if action is None:
            yield each.problem(
                'events', 'the migration is completed, and nova has no '
                'instance action of request '
                f'{each.migration.request.request_id}')
            continue
        for text in _faulty_events(each, action):
            yield each.problem(
                'events', f'the migration is completed, and {text}')


def _faulty_events(each: registry.Judged, action: actions.InstanceAction
                   ) -> Iterator[str]:
    """Yield texts about events that failed, are missing or have no end."""
    evidence = each.verdict.evidence
    # The conductor tries one host after the other if none was named, and a
    # host that refuses is no failure (_find_destination() in
    # nova/conductor/tasks/live_migrate.py).
    accepted = (() if each.migration.request.destination
                else actions.CANDIDATE_CHECKS)
    failed = [event for event in action.events
              if event.failed and event.name not in accepted]
    for event in failed:
        yield f'an event of it failed: {event}'
    # nova-compute of nova 22 (the oldest with our microversion) to 34 records
    # these. The first ends when the job is queued; the others are RPC calls,
    # for which nova waits before it completes the record. The conductor's own
    # event is not expected: its name depends on the request's microversion.
    source, destination = evidence.source, evidence.destination
    missing = [
        f'{name} on host {host}'
        for name, host in ((actions.JOB, source),
                           (actions.DESTINATION_CHECK, destination),
                           (actions.SOURCE_CHECK, source),
                           (actions.PRE, destination),
                           (actions.POST_AT_DESTINATION, destination))
        if not any(
            event.name == name and (event in failed or event.succeeded and
                                    # The policy may hide hosts.
                                    event.host in ('', host))
            for event in action.events)]
    if missing:
        yield (f'these events of it are missing: {", ".join(missing)}; nova '
               f'shows: {action.describe()}')


@registry.check
def force_complete(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect a forced migration to end, or to pause its guest, in seconds.

    nova switches to post-copy or pauses the guest for the rest of the copy.
    """
    # Only probes tell whether a guest is paused.
    forced = [(each, each.forced_ns) for each in seen.migrations
              if each.forced_ns is not None and each.continuity]
    if not forced:
        raise registry.SkipCheck(
            'no migration of a probed guest was forced to complete')
    for each, forced_ns in forced:
        effects_ns = list(_effects_ns(each))
        if not any(0 <= at_ns - forced_ns <= FORCED_S * poll.NS
                   for at_ns in effects_ns):
            later = min((at_ns for at_ns in effects_ns if at_ns > forced_ns),
                        default=None)
            seen_later = ('' if later is None else ', but '
                          f'{(later - forced_ns) / poll.NS:.1f} s after it')
            yield each.problem(
                'force-complete', 'the request to force it to complete had '
                f'no effect within {FORCED_S:g} s{seen_later}: no end, no '
                'post-copy, no outage')


def _effects_ns(each: registry.Judged) -> Iterator[int]:
    """Yield the times at which a forced migration may have gone on."""
    migration = each.migration
    if migration.ended_ns is not None:
        yield migration.ended_ns
    for change in migration.transitions:
        if change.state in (*migration_records.TERMINAL,
                            migration_records.POST_COPY):
            yield migration.request.requested_ns + round(
                change.at_s * poll.NS)
    for outage in each.continuity.outage.outages if each.continuity else ():
        yield outage.start_ns


@registry.check
def left_migrating(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect no server on the hosts, of any project, to be left MIGRATING.

    Others may migrate their servers at the same time: as long as the record of
    such a migration has not ended, it is none of our business.
    """
    ours = {each.server_id for each in seen.migrations}
    involved = {name for each in seen.migrations for name in (
        each.verdict.evidence.source, each.verdict.evidence.destination)
        if name}
    for host in sorted(involved):
        for server in servers.list_on_host(seen.clients.servers, host):
            if 'MIGRATING' in (
                    server.status, (server.task_state or '').upper()) and (
                    server.server_id in ours or
                    all(map(migration_records.is_terminal,
                            migration_records.list_of_server(
                                seen.clients.migrations,
                                server.server_id)))):
                yield schema.Problem(
                    check='left-migrating', server_id=server.server_id,
                    text=f'server {server.server_id} ({server.name}) is '
                    f'left in {server.state}')


@registry.check
def left_behind(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect no server of a completed migration on the source."""
    for each, server in seen.existing():
        if (each.verdict.kind is Kind.COMPLETED and
                server.host == each.verdict.evidence.source):
            yield each.problem('left-behind', 'the server is still on the '
                               f'source, host {server.host}')


@registry.check
def one_record(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect one migration record for each request, and its end."""
    # nova hides the records of a server that was deleted.
    for each, _ in seen.existing():
        records = seen.records[each.server_id]
        refused = each.migration.request.refusal is not None
        if len(records) > 1 or not records and not refused:
            yield each.problem(
                'one-record', f'one request has {len(records)} migration '
                f'records: {migration_records.describe(records)}')
        for record in records:
            if not migration_records.is_terminal(record):
                yield each.problem(
                    'one-record', 'the migration record never ended: '
                    f'{migration_records.describe([record])}')


@registry.check
def allocations(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect allocations of the server on its host, and no other ones.

    Providers below the host's own one, such as those of bandwidth and VGPUs,
    and those that share with it belong to the host. A migration that goes on
    is not judged: its record holds the allocations of the source.
    """
    client = seen.clients.providers
    for each, server in seen.existing():
        records = seen.records[each.server_id]
        # A user may have shelved it meanwhile: then it has no host.
        if not server.host or not all(
                map(migration_records.is_terminal, records)):
            continue
        held = placement.allocations(seen.clients.placement, server.server_id)
        root = seen.providers.get(server.host, '')
        if root not in held or not all(
                placement.serves(client, uuid, root) for uuid in held):
            yield each.problem(
                'allocations', f'the server is on host {server.host}, and '
                f'its allocations are on {_names(seen, held)}')
        for record in records:
            left = placement.allocations(seen.clients.placement, record.uuid)
            if left:
                yield each.problem(
                    'allocations', f'migration record {record.number} still '
                    f'holds allocations on {_names(seen, left)}')


def _names(seen: registry.Observation, uuids: Iterable[str]) -> str:
    """Return the names of resource providers."""
    hosts = {uuid: name for name, uuid in seen.providers.items()}
    return ', '.join(sorted(
        hosts.get(uuid) or placement.provider_name(
            seen.clients.providers, uuid) for uuid in uuids)) or 'none'


@registry.check
def volume_attachment(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect one attachment of each volume, on the server's host."""
    if not any(each.volumes for each in seen.plan.servers):
        raise registry.SkipCheck('no server has a volume')
    for each, server in seen.existing():
        for volume_id in seen.plan.planned(server.server_id).volumes:
            for text in volumes.misplaced(
                    seen.clients.volumes, seen.clients.attachments,
                    volume_id, server.server_id, server.host):
                yield each.problem('volume-attachment', text)


@registry.check
def volume_copied(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect no volume among the disks that nova shows being copied.

    nova asks libvirt now and then, so a short copy may never be shown. A
    guest that writes is copied again, which counts again: half a volume is
    far more than these guests write.
    """
    if not any(each.volumes for each in seen.plan.servers):
        raise registry.SkipCheck('no server has a volume')
    for each in seen.migrations:
        server = each.migration.request.server
        sizes = [volumes.show(seen.clients.volumes, volume_id).size_gib
                 for volume_id in seen.plan.planned(each.server_id).volumes]
        most = max((progress.disk_total_bytes
                    for progress in each.migration.progress), default=0)
        if sizes and most > GIB * (server.disk_gib + min(sizes) / 2):
            yield each.problem(
                'volume-copied', f'nova showed {most / GIB:.1f} GiB of disks '
                'being copied, and the server has local disks of '
                f'{server.disk_gib:g} GiB: its volume was copied')
