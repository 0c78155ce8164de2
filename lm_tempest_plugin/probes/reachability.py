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

"""Single packets to each server, for faults that a stream of probes misses.

The stream of probes has short packets, one address of each server, and a
protocol that the security group permits. So it does not notice a second
address that is gone, a path that drops long packets, or a security group
that is not applied.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import errno
import functools
import logging
import selectors
import socket
import time

from lm_tempest_plugin.probes import datagrams
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import icmp_echo
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

# One packet may get lost without any fault.
TRIES = 3
INTERVAL_S = 0.3
# Common MTUs: Ethernet with and without jumbo frames, PPPoE, and the rest
# that VXLAN (50 bytes) and Geneve (58 bytes) leave of them; 1280 is the
# least one of IPv6.
LENGTHS = (9000, 8950, 8942, 1500, 1492, 1450, 1442, 1400, 1280)
# TCP port of the discard service: the security groups of the tests do not
# open it.
CLOSED_PORT = 9

# State of a TCP port.
SILENT, REFUSED, OPEN = 'silent', 'refused', 'open'
_ANSWERS = {0: OPEN, errno.ECONNREFUSED: REFUSED}


def look(addresses: Mapping[str, Sequence[str]],
         before: Mapping[str, schema.Reachability]
         ) -> dict[str, schema.Reachability]:
    """Send single packets to all servers, and return their answers.

    It takes TRIES times INTERVAL_S for any number of servers. An address
    without a route from this machine does not answer, and the state of its
    port is missing.

    :param addresses: addresses of each server, IPv4 and IPv6, by its UUID
    :param before: answers before the migration, by the server's UUID: each
        address gets full-size packets of the length that passed then; empty
        before the migration, where all lengths are tried
    :raises ProbeError: a text is no address
    """
    targets = {address: icmp_echo.resolve(address)
               for each in addresses.values() for address in each}
    passed = {address: length for each in before.values()
              for address, length in each.full_size_bytes.items()}
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        short = _Echoes(stack, selector, targets.values())
        full_size = {length: _Echoes(
            stack, selector,
            [target for address, target in targets.items()
             if not before or passed.get(address) == length], length)
            for length in LENGTHS}
        ports = _Ports(stack, selector, targets.values())
        for _ in range(TRIES):
            short.send()
            ports.send()
            for echoes in full_size.values():
                echoes.send()
            _receive(selector, time.monotonic() + INTERVAL_S)
        answering = short.answering()
        longest = {address: length for length in reversed(LENGTHS)
                   for address in full_size[length].answering()}
    return {
        server_id: schema.Reachability(
            answering=tuple(address for address in dict.fromkeys(found)
                            if address in answering),
            full_size_bytes={address: longest[address] for address in found
                             if address in longest},
            closed_port={address: ports.states[address] for address in found
                         if address in ports.states})
        for server_id, found in addresses.items()}


def _receive(selector: selectors.BaseSelector, end_s: float) -> None:
    """Call the data of each socket that can be read, until the end."""
    while (left_s := end_s - time.monotonic()) > 0:
        for key, _ in selector.select(left_s):
            key.data()


class _Echoes:
    """ICMP echo requests of one length."""

    def __init__(self, stack: contextlib.ExitStack,
                 selector: selectors.BaseSelector,
                 targets: Collection[icmp_echo.Destination],
                 df_bytes: int = 0) -> None:
        """Open a socket for each family of addresses.

        :param stack: closes the sockets
        :param selector: reads the answers
        :param targets: where to send to
        :param df_bytes: length of the IP packets, which nobody may
            fragment; 0 for short packets
        """
        inbox = datagrams.Inbox(
            icmp.BURST, icmp.PACKET_BYTES, icmp.SOCKADDR_BYTES)
        clock = datagrams.StampConverter()
        self._groups: list[icmp.IcmpGroup] = []
        for family in (icmp_echo.IPV4, icmp_echo.IPV6):
            chosen = [each for each in targets if each.family is family]
            if not chosen:
                continue
            try:
                group = icmp.IcmpGroup(
                    chosen, round(INTERVAL_S * schedule.NS), df_bytes)
            except errors.ProbeError as exc:
                # Such as a dual-stack server, and a machine without IPv6.
                LOG.debug('%s', exc)
                continue
            stack.callback(group.sock.close)
            selector.register(
                group.sock, selectors.EVENT_READ,
                functools.partial(group.receive, inbox, clock))
            self._groups.append(group)

    def send(self) -> None:
        """Send a request to each target, unless all have answered."""
        for group in self._groups:
            if group.rounds.answering(TRIES) < len(group.rounds.targets):
                group.ask(time.monotonic_ns())

    def answering(self) -> set[str]:
        """Return the addresses that have answered."""
        return {address for group in self._groups
                for number, address in enumerate(group.rounds.targets)
                if group.rounds.snapshot(number).answered.any()}


class _Ports:
    """TCP connections to the port that should be closed.

    :ivar states: state of the port, by address; addresses that this machine
        could not send to are missing
    """

    def __init__(self, stack: contextlib.ExitStack,
                 selector: selectors.BaseSelector,
                 targets: Collection[icmp_echo.Destination]) -> None:
        """Prepare; nothing is sent yet.

        :param stack: closes the sockets
        :param selector: waits for answers
        :param targets: where to connect to
        """
        self._stack = stack
        self._selector = selector
        self._targets = targets
        self.states: dict[str, str] = {}

    def send(self) -> None:
        """Connect to each target once more, unless it has answered.

        The kernel itself would repeat its request after a second only.
        """
        for target in self._targets:
            if self.states.get(target.address, SILENT) != SILENT:
                continue
            try:
                sock = self._stack.enter_context(socket.socket(
                    target.family.family, socket.SOCK_STREAM))
                sock.setblocking(False)
                code = sock.connect_ex((target.numeric, CLOSED_PORT))
            except OSError as exc:
                LOG.debug('%s: %s', target.address, exc)
                continue
            if code == errno.EINPROGRESS:
                self.states.setdefault(target.address, SILENT)
                self._selector.register(
                    sock, selectors.EVENT_WRITE,
                    functools.partial(self._note, target.address, sock))
            elif code in _ANSWERS:
                self.states[target.address] = _ANSWERS[code]

    def _note(self, address: str, sock: socket.socket) -> None:
        """Note the answer to one connection."""
        self._selector.unregister(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.states[address] = _ANSWERS.get(code, self.states[address])
