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

Guests are probed in groups, with one system call for each group. The groups
take turns within a period, so that neither this machine nor the network gets
all requests at once. All probes of a round share their times, so a guest
needs only the delay of its answer: four bytes for each probe.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import logging
import selectors
import time

import numpy

from lm_tempest_plugin.probes import answers
from lm_tempest_plugin.probes import datagrams
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp_echo
from lm_tempest_plugin.probes import schedule

LOG = logging.getLogger(__name__)

# Guests of a group. More would save system calls, but the last request of a
# group is sent later than the first.
GROUP = 64
# Packets that are received together, and the bytes kept of each.
BURST = 256
PACKET_BYTES = icmp_echo.PACKET.itemsize + icmp_echo.IP_HEADER_BYTES
SOCKADDR_BYTES = 28
# After so many bursts the schedule gets its turn.
BURSTS = 4

# Rounds are kept in blocks: a growing array would have to be copied when it
# is time to send.
BLOCK_ROUNDS = 4096
US = 1000
# Marks in place of a delay.
UNANSWERED = -1
REFUSED = -2
LONGEST_US = numpy.iinfo(numpy.int32).max


def check(address: str) -> str:
    """Return an address in numeric form, if it can be probed at all.

    :raises ProbeError: it is no address, or the local machine does not
        permit ICMP echo requests
    """
    found = icmp_echo.resolve(address)
    try:
        sock, _ = icmp_echo.open_socket(found.family, 0)
    except errors.ProbeError as exc:
        raise type(exc)(f'{address} cannot be probed: {exc}') from exc
    sock.close()
    return found.numeric


class _Block:
    """A number of rounds."""

    def __init__(self, guests: int) -> None:
        self.times_ns = numpy.zeros((BLOCK_ROUNDS, 3), numpy.int64)
        self.delays_us = numpy.full(
            (BLOCK_ROUNDS, guests), UNANSWERED, numpy.int32)


class Rounds:
    """Growing answers of a group of guests, added one round at a time.

    One thread writes. snapshot() may be called from another one.
    """

    def __init__(self, targets: list[str], period_ns: int) -> None:
        """Begin without any round.

        :param targets: addresses, as the caller gave them
        :param period_ns: nominal time between two rounds
        """
        self.targets = targets
        self._period_ns = period_ns
        self._blocks: list[_Block] = []
        self._count = 0
        self._duplicates = numpy.zeros(len(targets), numpy.int64)
        self._strangers = numpy.zeros(len(targets), numpy.int64)
        self._refused = numpy.zeros(len(targets), numpy.int64)
        self._refusals = [''] * len(targets)

    def __len__(self) -> int:
        return self._count

    def ask(self, due_ns: int, before_ns: int, after_ns: int,
            refused: Mapping[int, str]) -> None:
        """Add a round; its sequence number is the number of those before.

        :param due_ns: when it should have been sent
        :param before_ns: time before it was sent
        :param after_ns: time when all of it was sent
        :param refused: errors of the requests that the local machine refused
            to send, by number of the guest
        """
        row = self._count % BLOCK_ROUNDS
        if not row:
            self._blocks.append(_Block(len(self.targets)))
        block = self._blocks[-1]
        block.times_ns[row] = due_ns, before_ns, after_ns
        for guest, why in refused.items():
            block.delays_us[row, guest] = REFUSED
            self._refused[guest] += 1
            self._refusals[guest] = why
        # Last, so that snapshot() sees whole rounds only.
        self._count += 1

    def stranger(self, guests: answers.Numbers) -> None:
        """Count answers to no probe of ours.

        :param guests: numbers of the guests that they claim to be from
        """
        numpy.add.at(self._strangers, guests, 1)

    def sent_before_ns(self, sequences: answers.Numbers) -> answers.Times:
        """Return the time before which nothing of these rounds was sent."""
        times_ns = numpy.empty(sequences.size, numpy.int64)
        for block, chosen, rows in self._in_blocks(sequences):
            times_ns[chosen] = block.times_ns[rows, 1]
        return times_ns

    def answer(self, guests: answers.Numbers, sequences: answers.Numbers,
               received_ns: answers.Times) -> None:
        """Add answers; the first to a probe counts.

        :param guests: number of the guest of each answer
        :param sequences: number of the round of each, below len()
        :param received_ns: when each was received, CLOCK_MONOTONIC
        """
        again = _repeated(sequences * len(self.targets) + guests)
        for block, chosen, rows in self._in_blocks(sequences):
            columns = guests[chosen]
            again[chosen] |= block.delays_us[rows, columns] != UNANSWERED
            delays_us = (received_ns[chosen] - block.times_ns[rows, 1]) // US
            # 32 bits hold 35 minutes. A later answer counts as none.
            new = ~again[chosen] & (delays_us <= LONGEST_US)
            block.delays_us[rows[new], columns[new]] = delays_us[new]
        if again.any():
            numpy.add.at(self._duplicates, guests[again], 1)

    def _in_blocks(self, sequences: answers.Numbers) -> list[tuple[
            _Block, slice | answers.Marks, answers.Numbers]]:
        """Return each block with the sequences in it, and their rows."""
        numbers = sequences // BLOCK_ROUNDS
        rows = sequences % BLOCK_ROUNDS
        if (numbers == numbers[0]).all():
            return [(self._blocks[numbers[0]], slice(None), rows)]
        return [(self._blocks[number], chosen := numbers == number,
                 rows[chosen]) for number in numpy.unique(numbers)]

    def answering(self, last: int) -> int:
        """Return how many guests have answered one of the last rounds.

        :param last: number of rounds
        """
        seen = numpy.zeros(len(self.targets), numpy.bool_)
        end = self._count
        while end and last > 0:
            number, row = divmod(end - 1, BLOCK_ROUNDS)
            first = max(0, row + 1 - last)
            seen |= (self._blocks[number].delays_us[first:row + 1] >=
                     0).any(axis=0)
            last -= row + 1 - first
            end = number * BLOCK_ROUNDS
        return int(numpy.count_nonzero(seen))

    def snapshot(self, guest: int) -> answers.Answers:
        """Return the answers of a guest so far.

        A probe that the local machine refused to send counts as not sent.

        :param guest: its number
        """
        count = self._count
        blocks = self._blocks[:] or [_Block(len(self.targets))]
        times_ns = numpy.concatenate(
            [block.times_ns for block in blocks])[:count]
        delays_us = numpy.concatenate(
            [block.delays_us[:, guest] for block in blocks])[:count]
        asked = delays_us != REFUSED
        delays_us = delays_us[asked]
        due_ns, before_ns, after_ns = times_ns[asked].T
        answered_ns = numpy.where(
            delays_us == UNANSWERED, answers.UNANSWERED,
            before_ns + delays_us.astype(numpy.int64) * US)
        # The kernel sends the requests of a round one after the other.
        sent_ns = before_ns + (after_ns - before_ns) * (
            2 * guest + 1) // (2 * len(self.targets))
        sent_ns = numpy.where(
            delays_us == UNANSWERED, sent_ns,
            numpy.minimum(sent_ns, answered_ns))
        return answers.Answers(
            self.targets[guest], self._period_ns, due_ns=due_ns,
            sent_ns=sent_ns, sent_error_ns=after_ns - before_ns,
            answered_ns=answered_ns,
            duplicates=int(self._duplicates[guest]),
            strangers=int(self._strangers[guest]),
            send_errors=int(self._refused[guest]),
            send_error=self._refusals[guest])


def _repeated(keys: answers.Numbers) -> answers.Marks:
    """Return which numbers occurred before in the same array.

    Both copies of a duplicate answer often arrive in one burst.
    """
    if (keys[1:] > keys[:-1]).all():
        return numpy.zeros(keys.size, numpy.bool_)
    _, first = numpy.unique(keys, return_index=True)
    repeated = numpy.ones(keys.size, numpy.bool_)
    repeated[first] = False
    return repeated


class IcmpGroup:
    """Guests of one family that are probed together, over one socket."""

    def __init__(self, destinations: Sequence[icmp_echo.Destination],
                 period_ns: int, df_bytes: int = 0) -> None:
        """Open the socket.

        :param destinations: of the requests
        :param period_ns: time between two requests to one guest
        :param df_bytes: length of the IP packets, which nobody may fragment;
            0 for short packets
        :raises ProbesNotPermitted: the local machine does not permit it
        """
        self.rounds = Rounds([one.address for one in destinations], period_ns)
        self._family = destinations[0].family
        self._requests = icmp_echo.Requests(
            self._family, len(destinations),
            df_bytes - self._family.header_bytes if df_bytes
            else icmp_echo.PACKET.itemsize)
        self._outbox = datagrams.Outbox(
            self._requests.packets, [one.sockaddr for one in destinations])
        self._sources = numpy.array(
            [list(one.sockaddr[self._family.address_at])
             for one in destinations], numpy.uint8)
        self.sock, self.raw = icmp_echo.open_socket(
            self._family, self._requests.identifier)
        for option in self._family.dont_fragment if df_bytes else ():
            self.sock.setsockopt(*option)
        self._requests.checksummed = (
            self.raw and self._family is icmp_echo.IPV4)

    def ask(self, due_ns: int) -> None:
        """Send a request to each guest.

        :param due_ns: when it should have been sent
        """
        self._requests.number(len(self.rounds))
        before_ns = time.monotonic_ns()
        refused = self._outbox.send(self.sock)
        self.rounds.ask(due_ns, before_ns, time.monotonic_ns(), refused)

    def receive(self, inbox: datagrams.Inbox,
                clock: datagrams.StampConverter) -> bool:
        """Read received packets; return whether none is left.

        :param inbox: where to read them to
        :param clock: converts the kernel's stamps
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

    def _note(self, inbox: datagrams.Inbox, count: int,
              clock: datagrams.StampConverter) -> None:
        packets = inbox.packets(count)
        lengths = inbox.lengths(count).astype(numpy.int64)
        if self.raw and self._family is icmp_echo.IPV4:
            lengths -= icmp_echo.ip_header_bytes(packets)
            packets = icmp_echo.without_ip_header(packets)
        ours, replies = self._requests.replies(packets, lengths)
        guests = replies['guest'].astype(numpy.int64)
        sequences = replies['sequence'].astype(numpy.int64)
        # A packet that is not ours may have any number there.
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


class IcmpProber(schedule.Prober):
    """Probes each guest once per period, from start() until stop().

    The answers can be read at any time, also after stop().
    """

    name = 'ICMP prober'
    patient = True

    def __init__(self, addresses: Sequence[str], period_s: float) -> None:
        """Open the sockets.

        :param addresses: IPv4 and IPv6 addresses, each at most once
        :param period_s: time between two requests to one guest, in seconds
        :raises ProbeError: an address is invalid, or the local machine does
            not permit ICMP echo requests
        """
        super().__init__(period_s)
        self._groups: list[IcmpGroup] = []
        self._where: dict[str, tuple[IcmpGroup, int]] = {}
        self._clock = datagrams.StampConverter()
        self._inbox = datagrams.Inbox(BURST, PACKET_BYTES, SOCKADDR_BYTES)
        self._dropped = 0
        destinations = [icmp_echo.resolve(one) for one in addresses]
        try:
            for family in (icmp_echo.IPV4, icmp_echo.IPV6):
                self._add_groups([one for one in destinations
                                  if one.family is family])
        except BaseException:
            self.close()
            self.selector.close()
            raise

    def _add_groups(self, destinations: list[icmp_echo.Destination]) -> None:
        """Divide guests of one family into groups of about one size."""
        groups = -(-len(destinations) // GROUP)
        for number in range(groups):
            group = IcmpGroup(destinations[number::groups],
                              round(self.period_s * schedule.NS))
            self._groups.append(group)
            self.selector.register(group.sock, selectors.EVENT_READ, group)
            for guest, address in enumerate(group.rounds.targets):
                self._where[address] = group, guest

    @property
    def slots(self) -> int:
        """One slot for each group."""
        return max(1, len(self._groups))

    def seen(self, address: str) -> answers.Answers:
        """Return the answers of one guest so far.

        :param address: as the caller gave it
        :raises ProbeError: the prober has died
        """
        self.raise_failure()
        group, guest = self._where[address]
        return group.rounds.snapshot(guest)

    def answering(self, within_ns: int) -> int:
        """Return how many guests have answered lately.

        :param within_ns: length of the time that counts as lately
        :raises ProbeError: the prober has died
        """
        self.raise_failure()
        # Answers to the last round may still be under way.
        last = 1 + -(-within_ns // round(self.period_s * schedule.NS))
        return sum(group.rounds.answering(last) for group in self._groups)

    @property
    def raw(self) -> bool:
        """Whether raw sockets are used, because others are not permitted."""
        return any(group.raw for group in self._groups)

    @property
    def stamps_refused(self) -> int:
        """Answers that got user-space time instead of the kernel's stamp."""
        return self._clock.refused

    @property
    def clock_steps(self) -> int:
        """How often the wall clock was set."""
        return self._clock.steps

    @property
    def answers_dropped(self) -> int:
        """Packets that the local machine dropped because of full sockets."""
        return self._dropped + sum(
            icmp_echo.dropped(group.sock) for group in self._groups
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

    def on_all_read(self) -> None:
        """Trust kernel stamps again after a step of the wall clock."""
        self._clock.settle()

    def on_readable(self, data: IcmpGroup) -> bool:
        """Read received packets of one group, but not without end."""
        return any(data.receive(self._inbox, self._clock)
                   for _ in range(BURSTS))
