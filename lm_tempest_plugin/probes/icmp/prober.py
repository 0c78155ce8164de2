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


"""ICMP echo requests to any number of guests, from one thread.

Guests are asked in groups, one system call for each; the groups take turns
within a period, so that neither this machine nor the network gets
everything at once.
"""

from collections.abc import Sequence
import selectors
import time

import numpy
from oslo_log import log as logging

from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes.icmp import clocks
from lm_tempest_plugin.probes.icmp import echo
from lm_tempest_plugin.probes.icmp import mmsg
from lm_tempest_plugin.probes.icmp import rounds
from lm_tempest_plugin.probes.icmp import sockets
from lm_tempest_plugin.probes import observations
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import worker

LOG = logging.getLogger(__name__)

# How many guests are asked together. More would save system calls, but what
# is sent last is sent later than what is sent first.
GROUP = 64
# How many packets are received together, and what is kept of each.
BURST = 256
# After so many times it has to be seen whether it is time to send.
BURSTS = 4
PACKET_BYTES = echo.PACKET.itemsize + echo.IP_HEADER_BYTES
SOCKADDR_BYTES = 28


def check(address: str) -> str:
    """Find out whether requests can be sent to an address at all.

    :returns: the address in digits
    :raises ProbeError: it is none, or this machine does not let us send
        ICMP echo requests
    """
    found = echo.resolve(address)
    try:
        sock, _ = sockets.open_socket(found.family, 0)
    except errors.ProbeError as exc:
        raise type(exc)('%s cannot be probed: %s' % (address, exc)) from exc
    sock.close()
    return found.numeric


class Group:
    """Guests of one family that are asked together, over one socket."""

    def __init__(self, destinations: Sequence[echo.Destination],
                 period_ns: int) -> None:
        """Open the socket.

        :param destinations: where the guests are
        :param period_ns: time between two requests to one guest
        :raises ProbesNotPermitted: this machine does not let us ask
        """
        self.rounds = rounds.Rounds(
            [one.address for one in destinations], period_ns)
        self._family = destinations[0].family
        self._requests = echo.Requests(
            self._family, len(destinations))
        self._outbox = mmsg.Outbox(
            self._requests.packets, [one.sockaddr for one in destinations])
        self._sources = numpy.array(
            [list(one.sockaddr[self._family.address_at])
             for one in destinations], numpy.uint8)
        self.sock, self.raw = sockets.open_socket(
            self._family, self._requests.identifier)
        self._requests.checksummed = (
            self.raw and self._family is echo.IPV4)

    def ask(self, due_ns: int) -> None:
        """Send a request to each guest.

        :param due_ns: when that should have been
        """
        self._requests.number(len(self.rounds))
        before_ns = time.monotonic_ns()
        refused = self._outbox.send(self.sock)
        self.rounds.ask(due_ns, before_ns, time.monotonic_ns(), refused)

    def receive(self, inbox: mmsg.Inbox,
                clock: clocks.StampConverter) -> bool:
        """Take in what has come; return whether that was all.

        :param inbox: where there is room for it
        :param clock: what converts the kernel's stamps
        """
        try:
            count = inbox.receive(self.sock)
        except OSError as exc:
            # An ICMP error for one of our packets, not an answer.
            LOG.debug('%s: %s', self.rounds.targets, exc)
            return False
        if count:
            self._note(inbox, count, clock)
        return count < BURST

    def _note(self, inbox: mmsg.Inbox, count: int,
              clock: clocks.StampConverter) -> None:
        packets = inbox.packets(count)
        lengths = inbox.lengths(count).astype(numpy.int64)
        if self.raw and self._family is echo.IPV4:
            lengths -= echo.ip_header_bytes(packets)
            packets = echo.without_ip_header(packets)
        ours, replies = self._requests.replies(packets, lengths)
        guests = replies['guest'].astype(numpy.int64)
        sequences = replies['sequence'].astype(numpy.int64)
        # What is not ours may have any number.
        guests[~ours] = 0
        genuine = (
            ours & (sequences < len(self.rounds)) &
            (inbox.names(count)[:, self._family.address_at] ==
             self._sources[guests]).all(axis=1))
        self.rounds.stranger(guests[ours & ~genuine])
        guests, sequences = guests[genuine], sequences[genuine]
        if guests.size:
            self.rounds.answer(guests, sequences, clock.to_monotonic_ns(
                inbox.stamps_ns(count)[genuine],
                self.rounds.sent_before_ns(sequences)))


class IcmpProber(worker.Prober):
    """Asks each guest once per period, from start() until stop().

    What it saw can be had at any time, also afterwards.
    """

    name = 'ICMP prober'
    patient = True

    def __init__(self, addresses: Sequence[str], period_s: float) -> None:
        """Open the sockets.

        :param addresses: IPv4 and IPv6 addresses, each at most once
        :param period_s: time between two requests to one guest, in seconds
        :raises ProbeError: an address is none, or this machine does not
            let us send ICMP echo requests
        """
        super().__init__(period_s)
        self._groups: list[Group] = []
        self._where: dict[str, tuple[Group, int]] = {}
        self._clock = clocks.StampConverter()
        self._inbox = mmsg.Inbox(BURST, PACKET_BYTES, SOCKADDR_BYTES)
        self._dropped = 0
        destinations = [echo.resolve(one) for one in addresses]
        try:
            for family in (echo.IPV4, echo.IPV6):
                self._add([one for one in destinations
                           if one.family is family])
        except BaseException:
            self.close()
            self.selector.close()
            raise

    def _add(self, destinations: list[echo.Destination]) -> None:
        """Divide guests of one family into groups of about one size."""
        groups = -(-len(destinations) // GROUP)
        for number in range(groups):
            group = Group(destinations[number::groups],
                          round(self.period_s * schedule.NS))
            self._groups.append(group)
            self.selector.register(group.sock, selectors.EVENT_READ, group)
            for guest, address in enumerate(group.rounds.targets):
                self._where[address] = group, guest

    @property
    def slots(self) -> int:
        """Each group has its turn."""
        return max(1, len(self._groups))

    def seen(self, address: str) -> observations.Observations:
        """Return what was seen of one guest up to now.

        :param address: as it was handed in
        :raises ProbeError: the prober has died
        """
        self.raise_failure()
        group, guest = self._where[address]
        return group.rounds.snapshot(guest)

    def answering(self, within_ns: int) -> int:
        """Return how many guests have answered something lately.

        :param within_ns: how lately
        :raises ProbeError: the prober has died
        """
        self.raise_failure()
        # The last round may still be under way.
        last = 1 + -(-within_ns // round(self.period_s * schedule.NS))
        return sum(group.rounds.answering(last) for group in self._groups)

    @property
    def raw(self) -> bool:
        """Whether raw sockets are used, for want of permission."""
        return any(group.raw for group in self._groups)

    @property
    def stamps_refused(self) -> int:
        """Answers that got user-space time instead of the kernel's stamp."""
        return self._clock.refused

    @property
    def clock_steps(self) -> int:
        """How often the wall clock was seen to be set."""
        return self._clock.steps

    @property
    def answers_dropped(self) -> int:
        """Packets that this machine received and had no room to keep."""
        return self._dropped + sum(
            sockets.dropped(group.sock) for group in self._groups
            if group.sock.fileno() != -1)

    def close(self) -> None:
        """Close the sockets."""
        self._dropped = self.answers_dropped
        for group in self._groups:
            group.sock.close()

    def on_tick(self, deadline: schedule.Deadline) -> None:
        """Send a request to every guest of a group."""
        self._clock.refresh()
        if self._groups:
            self._groups[deadline.slot].ask(deadline.due_ns)

    def on_looked(self) -> None:
        """All that a step of the wall clock may have spoilt was taken in."""
        self._clock.settle()

    def on_readable(self, data: Group) -> bool:
        """Take in what has come for one group, but not without end."""
        return any(data.receive(self._inbox, self._clock)
                   for _ in range(BURSTS))
