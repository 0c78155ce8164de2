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

from collections.abc import Iterator

from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.cloud import volumes
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.results import schema

GIB = 2 ** 30


@registry.check
def verdict(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect each verdict to be one of the expected ones."""
    for each in seen.migrations:
        if each.verdict.kind not in each.expected:
            yield each.problem(
                'verdict', f'the verdict is {each.verdict}; expected: '
                f'{" or ".join(each.expected)}')


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
def left_migrating(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect no server on the hosts, of any project, to be MIGRATING."""
    involved = {name for each in seen.migrations for name in (
        each.verdict.evidence.source, each.verdict.evidence.destination)
        if name}
    for host in sorted(involved):
        for server in servers.list_on_host(seen.clients.servers, host):
            if 'MIGRATING' in (server.status,
                               (server.task_state or '').upper()):
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
    for each in seen.migrations:
        evidence = each.verdict.evidence
        records = evidence.records
        refused = evidence.request.refusal is not None
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

    The migration record holds some while its migration runs.
    """
    for each, server in seen.existing():
        held = {seen.providers.get(uuid, uuid)
                for uuid in placement.allocations(
                    seen.clients.placement, server.server_id)}
        if held != {server.host}:
            yield each.problem(
                'allocations', f'the server is on host {server.host}, and '
                f'its allocations are on {", ".join(sorted(held)) or "none"}')
        for record in each.verdict.evidence.records:
            for uuid in sorted(placement.allocations(
                    seen.clients.placement, record.uuid)):
                yield each.problem(
                    'allocations', f'migration record {record.number} still '
                    'holds an allocation on '
                    f'{seen.providers.get(uuid, uuid)}')


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
