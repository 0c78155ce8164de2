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

"""Guests that are observed from outside while they are live-migrated."""

from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import contextlib
import dataclasses
import functools
import shlex
import types
from typing import Any

import msgspec
from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.guests import inspection
from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.guests.workloads import choice
from lm_tempest_plugin.guests.workloads import outbound
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)

IDLE = schema.WorkloadChoice()
#: Slug of the check of all workloads that a test can choose.
WORKLOAD = 'workload'

# Prints the addresses that answer one of three echo requests.
_PING = """\
for address in {addresses}; do
    for _ in 1 2 3; do
        if ping -c 1 -W 1 "$address" > /dev/null 2>&1; then
            echo "$address"
            break
        fi
    done &
done
wait
"""


@dataclasses.dataclass(frozen=True)
class ProbeOptions:
    """Options of the probes and inspections, times in seconds.

    :ivar interval_s: time between two ICMP probes of one guest
    :ivar tcp_interval_s: time between two messages of one TCP stream
    :ivar tcp_echo_port: TCP port of the echo service in the guests
    :ivar ready_timeout_s: time until all guests answer
    :ivar echo_timeout_s: time until the last message has come back
    :ivar leave_out: slugs of checks that do not run
    """

    interval_s: float
    tcp_interval_s: float
    tcp_echo_port: int
    ready_timeout_s: float
    echo_timeout_s: float
    leave_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Any) -> 'ProbeOptions':
        """Return the options of a configuration.

        :param options: values of the group live_migration_ha
        """
        return cls(options.probe_interval, options.tcp_interval,
                   options.tcp_echo_port, options.ready_timeout,
                   options.drain_timeout, tuple(options.leave_out_checks))


class Fleet(contextlib.AbstractContextManager['Fleet']):
    """Guests with running probes, written disks and known facts.

    :ivar guests: the guests
    :ivar workload: work of the guests
    :ivar probes: probes of their addresses
    :ivar inspections: facts that were last read in the guests, by the
        server's UUID
    """

    def __init__(self, maker: builder.GuestBuilder,
                 guests: tuple[builder.Guest, ...], options: ProbeOptions,
                 neighbour: builder.Guest | None = None,
                 workload: schema.WorkloadChoice = IDLE) -> None:
        """Prepare; nothing is sent yet.

        :param maker: built the guests
        :param guests: guests that answer, or will soon
        :param options: options of the probes
        :param neighbour: another guest, which is not migrated
        :param workload: work of the guests
        """
        self.guests = guests
        self.workload = workload
        self.inspections: dict[str, schema.GuestInspection] = {}
        self.probes = watch.Watch(
            [guest.address for guest in guests], options.interval_s,
            watch.Echo(options.tcp_echo_port, options.tcp_interval_s))
        self._builder = maker
        self._options = options
        self._neighbour = neighbour
        self._programs = {
            guest.server_id: found for guest in guests
            if (found := choice.create(workload, guest.address))}
        # Why a program does not run, by the server's UUID.
        self._not_working: dict[str, str] = {}
        # Why parts are not read any more: by the server's UUID, by slug.
        self._unread: dict[str, dict[str, str]] = {
            guest.server_id: {} for guest in guests}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> 'Fleet':
        """Start probes and workloads, and inspect the guests.

        :raises NotAnswering: a guest does not answer in time
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self.probes.stop)
            self.probes.start()
            self.probes.await_answers(self._options.ready_timeout_s)
            self._builder.write_disks(*self.guests)
            if outbound.OutboundWorkload.name not in self._options.leave_out:
                for guest in self.guests:
                    self._connect(guest, stack)
            for each in self._programs.values():
                stack.callback(each.close)
            with futures.ThreadPoolExecutor(inspection.AT_ONCE) as pool:
                # A list, to raise the error of any of them.
                list(pool.map(self._work, self._programs))
                # Last of all: what comes before costs the guests time.
                list(pool.map(self.inspect, [
                    guest.server_id for guest in self.guests]))
            self._stack = stack.pop_all()
        return self

    def _connect(self, guest: builder.Guest,
                 stack: contextlib.ExitStack) -> None:
        """Let a guest connect to this machine."""
        connection = outbound.OutboundWorkload(guest.address)
        stack.callback(connection.close)
        try:
            self._builder.start(guest, connection)
        except workloads.Skipped as exc:
            LOG.info('Server %s: %s', guest.server_id, exc)
            self._unread[guest.server_id][connection.name] = str(exc)

    def _work(self, server_id: str) -> None:
        """Start the workload of a guest."""
        guest = self._guest(server_id)
        try:
            self._programs[server_id].start(
                functools.partial(self._builder.run, guest))
        except workloads.Skipped as exc:
            LOG.warning('Server %s: no workload %s: %s', server_id,
                        self.workload, exc)
            self._not_working[server_id] = str(exc)

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self._stack.close()
        if exc_type is not None:
            # SSH to a guest that is lost would be tried for minutes.
            return
        for server_id, each in self._programs.items():
            try:
                each.stop(functools.partial(
                    self._builder.run, self._guest(server_id)))
            except builder.GuestUnreachable as unreachable:
                LOG.warning('The workload goes on: %s', unreachable)

    def inspect(self, server_id: str) -> schema.GuestInspection:
        """Return facts that are read in a guest now, and remember them.

        The next migration is compared with them: a clock loses each pause of
        the guest. A part that was not read once, or did not work, is left
        out from then on, because each attempt costs up to its time-out.

        :param server_id: UUID of its server
        """
        unread = self._unread[server_id]
        found = self._builder.inspect(
            self._guest(server_id), {*self._options.leave_out, *unread})
        found = msgspec.structs.replace(
            found, skipped={**found.skipped, **unread})
        unread.update(found.skipped)
        unread.update({slug: f'it did not work before: {why}'
                       for slug, why in found.failed.items()})
        LOG.debug('Server %s: %s', server_id, found)
        self.inspections[server_id] = found
        return found

    def seen_from_neighbour(self, addresses: Mapping[str, Sequence[str]]
                            ) -> Mapping[str, tuple[str, ...]]:
        """Return the addresses that answer the guest that is not migrated.

        The result is empty if there is none, or if it cannot be asked.

        :param addresses: addresses of each server, by its UUID
        """
        if self._neighbour is None:
            return {}
        wanted = sorted({each for found in addresses.values()
                         for each in found})
        try:
            answering = self._builder.run(self._neighbour, _PING.format(
                addresses=shlex.join(wanted))).split()
        except builder.GuestUnreachable:
            LOG.exception('The neighbour cannot be asked')
            return {}
        return {server_id: tuple(each for each in found if each in answering)
                for server_id, found in addresses.items()}

    def verify(self, server_id: str) -> Mapping[str, str]:
        """Return the problem of each workload of a guest, by its name.

        :param server_id: UUID of its server
        """
        guest = self._guest(server_id)
        found = dict(self._builder.verify(guest))
        if server_id in self._programs and server_id not in self._not_working:
            problem = self._programs[server_id].verify(
                functools.partial(self._builder.run, guest))
            found[WORKLOAD] = problem and f'{self.workload.name}: {problem}'
        return found

    def progress(self, server_id: str, begin_ns: int,
                 end_ns: int) -> schema.WorkloadFigures | None:
        """Return figures of a guest's workload; None for an idle guest.

        :param server_id: UUID of its server
        :param begin_ns: when its migration was requested, CLOCK_MONOTONIC
        :param end_ns: when it had ended, the same
        """
        if server_id not in self._programs:
            return None
        if server_id in self._not_working:
            return schema.WorkloadFigures(skipped=self._not_working[server_id])
        return self._programs[server_id].progress(
            functools.partial(self._builder.run, self._guest(server_id)),
            begin_ns, end_ns)

    def _guest(self, server_id: str) -> builder.Guest:
        return next(guest for guest in self.guests
                    if guest.server_id == server_id)

    def final_problems(self) -> list[schema.Problem]:
        """End the TCP streams, and return the problems of the guests.

        Migrations are checked one by one, and this is the check of the whole
        time: connections that broke between two migrations, the last message
        of each stream, a guest that was paused and runs again.
        """
        problems = []
        streams = self.probes.finish(self._options.echo_timeout_s)
        for guest in self.guests:
            server_id = guest.server_id
            texts: dict[str, list[str]] = {'tcp-stream': []}
            stream = streams[guest.address]
            if stream.breaks or stream.lost or stream.repeated or (
                    stream.corrupt):
                texts['tcp-stream'].append(
                    f'the TCP connection broke {len(stream.breaks)} times; '
                    f'messages: {stream.lost} lost, {stream.repeated} '
                    f'repeated, {stream.corrupt} never sent')
            if stream.last_sent != stream.last_echoed:
                texts['tcp-stream'].append(
                    f'message {stream.last_sent}, the last one sent, did not '
                    f'come back within {self._options.echo_timeout_s:g} s; '
                    f'the last one back is {stream.last_echoed}')
            try:
                before = self.inspections[server_id].boot_id
                now = self._builder.inspect(
                    guest, inspection.PARTS).boot_id
                if now != before:
                    texts['boot-id'] = [
                        'the guest has booted again: boot id '
                        f'{now}, before {before}']
                for name, text in self.verify(server_id).items():
                    texts[name] = [text] if text else []
            except exceptions.TempestException as exc:
                texts.setdefault('boot-id', []).append(
                    'the guest cannot be inspected: '
                    f'{utils.describe_error(exc)}')
            problems += [
                schema.Problem(check=check, text=text, server_id=server_id)
                for check, found in texts.items() for text in found]
        for problem in problems:
            LOG.error('Server %s: %s', problem.server_id, problem)
        return problems
