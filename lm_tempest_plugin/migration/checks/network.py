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

"""Checks of the guest's network: outage, TCP stream, port bindings."""

from collections.abc import Iterator

from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.results import schema


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
                     if longest.open else '')
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


@registry.check
def port_bindings(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect one binding of each port, ACTIVE, on the server's host."""
    for each, server in seen.existing():
        bindings: dict[str, list[servers.PortBinding]] = {}
        for binding in servers.list_port_bindings(
                seen.clients.ports, server.server_id):
            bindings.setdefault(binding.port_id, []).append(binding)
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
