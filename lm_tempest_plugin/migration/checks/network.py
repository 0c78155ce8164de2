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

"""Checks of the guest's network: outage, stream, single packets, ports.

Single packets are compared with those before the migration: a packet that
had no answer then proves nothing.
"""

from collections.abc import Iterator

from tempest.lib import exceptions

from lm_tempest_plugin.cloud import ports
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.results import schema

# Statuses of servers with a running domain. Without one, the ports are DOWN
# for that reason alone.
RUNNING = ('ACTIVE', 'PAUSED')


def _probed(seen: registry.Observation
            ) -> list[tuple[registry.Judged, schema.Continuity]]:
    """Return the migrations of guests that were probed.

    :raises SkipCheck: none was
    """
    probed = [(each, each.continuity) for each in seen.migrations
              if each.continuity is not None]
    if not probed:
        raise registry.SkipCheck('the guests were not probed')
    return probed


def _streams(seen: registry.Observation
             ) -> list[tuple[registry.Judged, schema.StallFigures]]:
    """Return the migrations of guests with a TCP stream.

    :raises SkipCheck: none has one
    """
    streams = [(each, continuity.stall) for each, continuity in _probed(seen)
               if continuity.stall is not None]
    if not streams:
        raise registry.SkipCheck('the guests have no TCP stream')
    return streams


@registry.check
def outage(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect no outage longer than the bound, and a valid measurement."""
    bound_s = seen.plan.bounds.max_outage_s
    for each, continuity in _probed(seen):
        figures = continuity.outage
        longest = figures.longest
        if longest is not None and longest.duration_s > bound_s:
            still = (', not over at the end of the observation'
                     if longest.open else '; the guest came back')
            yield each.problem(
                'outage', f'outage of {longest.duration_s:.3f} s +/- '
                f'{longest.error_bound_s:.3f} s (limit {bound_s:g} s; '
                f'{longest.lost} probes lost, {longest.late} late){still}')
        if figures.sending.resolution_s > bound_s:
            why = (f'; {figures.send_errors} probes could not be sent: '
                   f'{figures.send_error}' if figures.send_error else '')
            yield each.problem(
                'outage', 'measurement invalid: this machine fell behind, '
                f'outages up to {figures.sending.resolution_s:.3f} s may '
                f'have been missed (limit {bound_s:g} s){why}. Use a '
                'quieter machine or a longer probe_interval')


@registry.check
def stall(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect no stall of the TCP stream longer than the bound."""
    bound_s = seen.plan.bounds.max_stall_s
    for each, figures in _streams(seen):
        if figures.longest_s > bound_s:
            still = (', not over at the end of the observation'
                     if figures.open else '')
            yield each.problem(
                'stall', f'stall of {figures.longest_s:.3f} s +/- '
                f'{figures.error_bound_s:.3f} s (limit {bound_s:g} s){still}')


@registry.check
def tcp_stream(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the TCP connection to live, with every message once."""
    for each, figures in _streams(seen):
        for text in stream_problems(figures):
            yield each.problem('tcp-stream', text)


def stream_problems(figures: schema.StallFigures) -> Iterator[str]:
    """Yield the problems of a TCP stream, except stalls.

    :param figures: the stream in one window
    """
    if figures.broken:
        yield f'the TCP connection broke: {figures.broken}'
    if figures.trouble:
        yield figures.trouble
    if figures.lost or figures.repeated:
        yield (f'on the TCP connection {figures.lost} messages were lost and '
               f'{figures.repeated} repeated')
    if figures.corrupt:
        yield (f'on the TCP connection {figures.corrupt} lines came back '
               f'that were never sent, the first: {figures.example}')


def _compared(seen: registry.Observation) -> list[tuple[
        registry.Judged, schema.Reachability, schema.Reachability]]:
    """Return migrations with the answers to packets before and after.

    The verdict tells of a guest that does not answer at all. Each of its
    packets would be one more problem of the same cause.

    :raises SkipCheck: there is none
    """
    sent = [(each, each.reachable_before, seen.reachable[each.server_id])
            for each in seen.migrations
            if each.reachable_before is not None and
            each.server_id in seen.reachable]
    if not sent:
        raise registry.SkipCheck('no single packets were sent')
    heard = [found for found in sent if found[2].answering or
             found[0].verdict.evidence.guest.answers is not False]
    if not heard:
        raise registry.SkipCheck('the guests do not answer at all')
    return heard


@registry.check
def addresses(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect an answer of each address that answered before."""
    compared = _compared(seen)
    if not any(before.answering for _, before, _ in compared):
        raise registry.SkipCheck('no address answered before')
    for each, before, after in compared:
        silent = _silent(before, after)
        if silent:
            yield each.problem(
                'addresses', 'addresses that answered echo requests before '
                f'and do not now: {", ".join(silent)}')


def _silent(before: schema.Reachability,
            after: schema.Reachability) -> list[str]:
    """Return the addresses that answered before and do not now."""
    return [address for address in before.answering
            if address not in after.answering]


@registry.check
def full_size_packets(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the longest packets that passed before to pass, unfragmented."""
    compared = _compared(seen)
    if not any(before.full_size_bytes for _, before, _ in compared):
        raise registry.SkipCheck('no full-size packet was answered before')
    for each, before, after in compared:
        dropped = [
            f'{length} bytes to {address}'
            for address, length in before.full_size_bytes.items()
            if address in after.answering and
            address not in after.full_size_bytes]
        if dropped:
            yield each.problem(
                'full-size-packets', 'packets with DF do not pass any more, '
                f'and shorter ones do: {", ".join(dropped)}: MTU black hole')


@registry.check
def closed_port(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect a TCP port that was filtered before to be filtered."""
    compared = _compared(seen)
    if not any(reachability.SILENT in before.closed_port.values()
               for _, before, _ in compared):
        raise registry.SkipCheck(
            f'TCP port {reachability.CLOSED_PORT} was not filtered before')
    for each, before, after in compared:
        reached = [
            f'{after.closed_port[address]} at {address}'
            for address, state in before.closed_port.items()
            if state == reachability.SILENT and after.closed_port.get(
                address, reachability.SILENT) != reachability.SILENT]
        if reached:
            yield each.problem(
                'closed-port', f'TCP port {reachability.CLOSED_PORT} was '
                f'filtered before, and is {", ".join(reached)}: the security '
                'group is not applied')


@registry.check
def neighbour(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect an answer to a second guest, which is not migrated."""
    asked = [(each, before, after)
             for each, before, after in _compared(seen)
             if before.from_neighbour is not None]
    if not asked:
        raise registry.SkipCheck('there is no second guest')
    compared = [(each, before, after, after.from_neighbour)
                for each, before, after in asked
                if before.from_neighbour and after.from_neighbour is not None]
    if not compared:
        raise registry.SkipCheck(
            'the second guest reached no address before, or cannot be asked '
            'now')
    for each, before, after, reached in compared:
        # Without an answer to us, it is a problem of the check addresses.
        known = {*reached, *_silent(before, after)}
        silent = [address for address in before.from_neighbour or ()
                  if address not in known]
        if silent:
            yield each.problem(
                'neighbour', 'addresses that answered before and are silent '
                f'now for the second guest: {", ".join(silent)}: stale '
                'forwarding (FDB) or ARP entries')


def _ended(seen: registry.Observation
           ) -> list[tuple[registry.Judged, servers.Server]]:
    """Return migrations that have ended, with their servers.

    Until then, each port has a binding to both hosts, and is DOWN for a
    moment.

    :raises SkipCheck: there is none
    """
    found = [(each, server) for each, server in seen.existing()
             if not each.migration.timed_out]
    if not found:
        raise registry.SkipCheck(
            'no migration of a server that exists has ended')
    return found


@registry.check
def port_status(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect each port ACTIVE, and the subports of trunks on the host."""
    found = [(each, server, port) for each, server in _ended(seen)
             if server.status in RUNNING
             for port in ports.list_all(seen.clients.ports, server.server_id)
             if port.enabled]
    if not found:
        raise registry.SkipCheck('no running server has a port')
    for each, server, port in found:
        if port.status != 'ACTIVE':
            yield each.problem('port-status', f'{port} is {port.status}')
        # The check port-bindings reads the bindings of the other ports.
        if port.parent_id and port.host not in ('', server.host):
            yield each.problem(
                'port-status', f'the server is on host {server.host}, and '
                f'{port} is bound to {port.host}')


@registry.check
def port_bindings(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect one binding of each port, ACTIVE, on the server's host."""
    missing = ''
    for each, server in _ended(seen):
        bindings: dict[str, list[ports.PortBinding]] = {}
        try:
            for binding in ports.list_bindings(
                    seen.clients.ports, server.server_id):
                bindings.setdefault(binding.port_id, []).append(binding)
        except exceptions.NotFound as exc:
            # Or the port was deleted meanwhile.
            missing = ('neutron does not show the bindings of ports '
                       f'(extension binding-extended): {exc}')
            continue
        for found in bindings.values():
            active = [each.host for each in found if each.active]
            if active != [server.host]:
                yield each.problem(
                    'port-bindings', f'the server is on host {server.host}, '
                    f'and its bindings are: {", ".join(map(str, found))}')
            elif len(found) > 1:
                inactive = ', '.join(
                    str(each) for each in found if not each.active)
                yield each.problem(
                    'port-bindings', f'a binding is left over: {inactive}')
    if missing:
        raise registry.SkipCheck(missing)
