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

"""A network behind a TUN device that answers pings, by a schedule.

It is a process of its own, and talks JSON lines: it reports that it is
ready, reads schedules (address: list of episodes) at any time, and at the
end of its input prints the truth about each episode and about itself.
"""

import dataclasses
import fcntl
import heapq
import itertools
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

import numpy

from bench.precision import children
from bench.precision import episodes
from bench.precision import testbed

TUN_PATH = '/dev/net/tun'
# linux/if_tun.h
TUNSETIFF = 0x400454ca
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
INTERFACE_REQUEST = struct.Struct('16sH14x')
PACKET_BYTES = 2048
# Packets that are read before the input is checked again.
BURST = 64
IDLE_S = 1.0

WORD = struct.Struct('!H')
# Places in the IPv4 and the IPv6 header.
V4_PROTOCOL, V4_SOURCE, V4_TARGET, V4_END = 9, 12, 16, 20
V6_PROTOCOL, V6_SOURCE, V6_TARGET, V6_END = 6, 8, 24, 40
ICMP, ICMP6 = 1, 58
REQUEST, REPLY = 8, 0
REQUEST6, REPLY6 = 128, 129
# From the start of the ICMP header.
CHECKSUM, IDENTIFIER, ICMP_HEADER_BYTES = 2, 4, 8


@dataclasses.dataclass(frozen=True, slots=True)
class EchoRequest:
    """An ICMP or ICMPv6 echo request.

    :ivar address: its destination, packed
    :ivar flow: its sender: address and ICMP identifier
    :ivar reply: the packet that answers it
    """

    address: bytes
    flow: bytes
    reply: bytes


def parse(packet: bytes) -> EchoRequest | None:
    """Return the echo request in a packet; None if it is none."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= V4_END:
        return _parse(packet, (packet[0] & 0x0f) * 4, V4_PROTOCOL, ICMP,
                      (V4_SOURCE, V4_TARGET, V4_END), (REQUEST, REPLY))
    if version == 6 and len(packet) >= V6_END:
        return _parse(packet, V6_END, V6_PROTOCOL, ICMP6,
                      (V6_SOURCE, V6_TARGET, V6_END), (REQUEST6, REPLY6))
    return None


def _parse(packet: bytes, start: int, protocol_at: int, protocol: int,
           addresses: tuple[int, int, int],
           kinds: tuple[int, int]) -> EchoRequest | None:
    """Parse either version; start is the place of the ICMP header."""
    if (len(packet) < start + ICMP_HEADER_BYTES
            or packet[protocol_at] != protocol or packet[start] != kinds[0]):
        return None
    source_at, target_at, end = addresses
    source, target = packet[source_at:target_at], packet[target_at:end]
    reply = bytearray(packet)
    # The checksum does not depend on the order of its terms, so only the
    # type changes it.
    reply[source_at:end] = target + source
    reply[start] = kinds[1]
    WORD.pack_into(reply, start + CHECKSUM, patched(
        WORD.unpack_from(packet, start + CHECKSUM)[0],
        kinds[0] << 8, kinds[1] << 8))
    identifier = packet[start + IDENTIFIER:start + IDENTIFIER + 2]
    return EchoRequest(target, source + identifier, bytes(reply))


def patched(checksum: int, old: int, new: int) -> int:
    """Return a checksum after one 16-bit word has changed (RFC 1624)."""
    total = (~checksum & 0xffff) + (~old & 0xffff) + new
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Responder:
    """Answers the packets that come out of a TUN device.

    It uses select() with a deadline, because the time-outs of epoll are
    whole milliseconds in Python 3.11.
    """

    def __init__(self, device: int) -> None:
        """Use an open device, which must not block."""
        self._device = device
        self._lanes: dict[bytes, episodes.Lane] = {}
        # By time: a packet to write, or an edge of an episode to be awake
        # for.
        self._timers: list[
            tuple[int, int, episodes.Applied, bytes | None]] = []
        self._order = itertools.count()
        self._late_ns: list[int] = []
        self._requests = self._answers = 0

    def add(self, schedule: dict[str, list[dict[str, Any]]]) -> None:
        """Add a schedule: lists of episodes by address."""
        for address, several in schedule.items():
            lane = episodes.Lane(address, [
                episodes.Episode(**one) for one in several])
            self._lanes[packed(address)] = lane
            for force in lane.all:
                for edge_ns in (force.episode.begin_ns,
                                force.episode.end_ns):
                    self._at(edge_ns, force, None)

    def run(self, commands: int) -> None:
        """Answer until the input ends.

        :param commands: file descriptor to read schedules from
        """
        pending = b''
        while True:
            readable, _, _ = select.select(
                [self._device, commands], [], [], self._remaining_s())
            self._flush(time.monotonic_ns())
            if self._device in readable:
                self._read()
            if commands in readable:
                chunk = os.read(commands, 1 << 20)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b'\n')
                for line in lines:
                    self.add(json.loads(line))

    def truth(self) -> dict[str, Any]:
        """Return the truth about each episode, and how late we were."""
        late_s = numpy.array(self._late_ns or [0]) / episodes.NS
        return {
            'requests': self._requests, 'answers': self._answers,
            'wakeups': len(self._late_ns),
            'lateness_p50_s': float(numpy.percentile(late_s, 50)),
            'lateness_p99_s': float(numpy.percentile(late_s, 99)),
            'lateness_max_s': float(late_s.max()),
            'episodes': [force.truth() for lane in self._lanes.values()
                         for force in lane.all]}

    def _at(self, due_ns: int, force: episodes.Applied,
            packet: bytes | None) -> None:
        heapq.heappush(self._timers,
                       (due_ns, next(self._order), force, packet))

    def _remaining_s(self) -> float:
        if not self._timers:
            return IDLE_S
        return max(0, self._timers[0][0] - time.monotonic_ns()) / episodes.NS

    def _flush(self, now_ns: int) -> None:
        """Do the work that is due.

        Only the first timer shows how late we are: the others may have to
        wait for it, as the packets of a hold do for each other.
        """
        if not self._timers or self._timers[0][0] > now_ns:
            return
        self._late_ns.append(now_ns - self._timers[0][0])
        while self._timers and self._timers[0][0] <= now_ns:
            due_ns, _, force, packet = heapq.heappop(self._timers)
            if packet is None:
                force.edge(due_ns, now_ns)
            else:
                self._write(packet)
                if force.released_ns is None:
                    force.released_ns = time.monotonic_ns()

    def _read(self) -> None:
        """Read packets, and answer those that need not wait."""
        for _ in range(BURST):
            try:
                packet = os.read(self._device, PACKET_BYTES)
            except BlockingIOError:
                return
            now_ns = time.monotonic_ns()
            # Packets that have waited are answered first.
            self._flush(now_ns)
            request = parse(packet)
            if request is not None:
                self._requests += 1
                self._answer(request, now_ns)

    def _answer(self, request: EchoRequest, now_ns: int) -> None:
        lane = self._lanes.get(request.address)
        force = lane.at(now_ns) if lane else None
        if force is None:
            self._write(request.reply)
            return
        due_ns = force.decide(now_ns, request.flow)
        if due_ns is not None and due_ns <= now_ns:
            self._write(request.reply)
        elif due_ns is not None:
            self._at(due_ns, force, request.reply)

    def _write(self, packet: bytes) -> None:
        os.write(self._device, packet)
        self._answers += 1


def packed(address: str) -> bytes:
    """Return an IPv4 or IPv6 address in the form of packets."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    return socket.inet_pton(family, address)


def main() -> None:
    """Answer until the input ends; see the top of this file."""
    device = os.open(TUN_PATH, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, INTERFACE_REQUEST.pack(
        testbed.TUN_NAME.encode('ascii'), IFF_TUN | IFF_NO_PI))
    testbed.add_addresses(testbed.TUN_NAME, testbed.TUN_ADDRESSES)
    responder = Responder(device)
    print(json.dumps({'ready': True, 'priority': children.take_priority()}),
          flush=True)
    responder.run(sys.stdin.fileno())
    print(json.dumps(responder.truth()), flush=True)


if __name__ == '__main__':
    main()
