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

"""What is left over when servers have been moved."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

from lm_tempest_plugin.cloud import clients as cloud_clients
from lm_tempest_plugin.cloud import hosts
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import ports
from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import verdict as verdicts


def sweep(clients: cloud_clients.Clients,
          judged: Sequence[verdicts.Verdict]) -> list[str]:
    """Return everything that is not as it should be, in words.

    Looked at are the servers that were moved and, on the hosts involved,
    those of everyone: nobody is MIGRATING; who was completed is not on the
    source; each request has one record, and it has ended; allocations are
    on the server's host alone, and none is left with the record; each port
    has one binding, active, on the server's host.

    :param clients: of an administrator
    :param judged: the verdicts on all attempts
    """
    providers = hosts.provider_uuids(clients.hypervisors)
    found = [
        *_migrating(clients, {
            name for each in judged for name in (
                each.evidence.source, each.evidence.destination) if name})]
    for each in judged:
        server_id = each.evidence.request.server_id
        server = servers.find(clients.servers, server_id)
        if server is None:
            found.append('server %s is gone' % server_id)
            continue
        whose = 'server %s (%s) on host %s' % (
            server_id, server.name, server.host)
        found += ['%s: %s' % (whose, what) for what in (
            *_left_behind(each, server), *_records(each),
            *_allocations(clients, each, server, providers),
            *_bindings(clients, server))]
    return found


def _migrating(clients: cloud_clients.Clients,
               involved: Iterable[str]) -> Iterator[str]:
    """Servers on the hosts that nova has never finished with."""
    for host in sorted(involved):
        for server in servers.list_on_host(clients.servers, host):
            if (server.status == 'MIGRATING' or
                    server.task_state == 'migrating'):
                yield 'server %s (%s) is left in %s' % (
                    server.server_id, server.name, server.state)


def _left_behind(judged: verdicts.Verdict,
                 server: servers.Server) -> Iterator[str]:
    """A server that is said to have moved and is where it was."""
    if (judged.kind is verdicts.Kind.COMPLETED and
            server.host == judged.evidence.source):
        yield 'it was left behind on the source'


def _records(judged: verdicts.Verdict) -> Iterator[str]:
    """One record for one request, and it has ended."""
    found = judged.evidence.records
    refused = judged.evidence.request.refusal is not None
    if len(found) > 1 or not found and not refused:
        yield 'one request has %d migration records: %s' % (
            len(found), records.describe(found))
    for record in found:
        if not record.terminal:
            yield 'its record never ended: %s' % record


def _allocations(clients: cloud_clients.Clients, judged: verdicts.Verdict,
                 server: servers.Server,
                 providers: dict[str, str]) -> Iterator[str]:
    """Resources are held by the server, on its host, and nowhere else."""
    names = {uuid: name for name, uuid in providers.items()}
    held = {names.get(uuid, uuid) for uuid in placement.allocations(
        clients.placement, server.server_id)}
    if held != {server.host}:
        yield 'its allocations are on %s' % (
            ', '.join(sorted(held)) or 'no host')
    for record in judged.evidence.records:
        left = placement.allocations(clients.placement, record.uuid)
        for uuid in sorted(left):
            yield 'record %d still holds an allocation on %s' % (
                record.number, names.get(uuid, uuid))


def _bindings(clients: cloud_clients.Clients,
              server: servers.Server) -> Iterator[str]:
    """Each port is bound to the server's host, and to no other."""
    found: dict[str, list[ports.Binding]] = {}
    for binding in ports.list_bindings(clients.ports, server.server_id):
        found.setdefault(binding.port_id, []).append(binding)
    for bindings in found.values():
        if [each.host for each in bindings if each.active] != [server.host]:
            yield 'not bound to its host alone: %s' % (
                ', '.join(map(str, bindings)))
        elif len(bindings) > 1:
            yield 'a binding is left over: %s' % ', '.join(
                str(each) for each in bindings if not each.active)
