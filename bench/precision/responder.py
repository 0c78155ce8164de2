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

It runs as a process of its own, and talks JSON lines: it says that it is
ready, takes a schedule (address: list of episodes) at any time, and on the
end of its input prints the truth about each episode and about itself.
"""

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

from bench.precision import episodes
from bench.precision import namespaces
from bench.precision import packets
from bench.precision import priority

TUN_PATH = '/dev/net/tun'
# linux/if_tun.h
TUNSETIFF = 0x400454ca
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
INTERFACE_REQUEST = struct.Struct('16sH14x')
PACKET_BYTES = 2048
# How many packets are read before input is looked at again.
BURST = 64
IDLE_S = 1.0


class Responder:
    """Answers what comes out of a TUN device.

    A select() with a deadline, since the time-outs of epoll are whole
    milliseconds in Python 3.11.
    """

    def __init__(self, device: int) -> None:
        """Take over an open device, which must not block."""
        self._device = device
        self._lanes: dict[bytes, episodes.Lane] = {}
        # What is to be done when: a packet to be written, or an edge of an
        # episode to be awake for.
        self._timers: list[
            tuple[int, int, episodes.Applied, bytes | None]] = []
        self._order = itertools.count()
        self._late_ns: list[int] = []
        self._requests = self._answers = 0

    def add(self, schedule: dict[str, list[dict[str, Any]]]) -> None:
        """Take a schedule: lists of episodes by address."""
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
        """Return what has happened to whom, and how late we were."""
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
        """Do what is due.

        Only the first thing tells how late we are: what comes after it may
        have to wait for it, as the packets of a hold do for each other.
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
        """Take in what has come, and answer what may be answered now."""
        for _ in range(BURST):
            try:
                packet = os.read(self._device, PACKET_BYTES)
            except BlockingIOError:
                return
            now_ns = time.monotonic_ns()
            # Who waits longer is answered first.
            self._flush(now_ns)
            request = packets.parse(packet)
            if request is not None:
                self._requests += 1
                self._answer(request, now_ns)

    def _answer(self, request: packets.Request, now_ns: int) -> None:
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
    """Return an IPv4 or IPv6 address as it stands in packets."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    return socket.inet_pton(family, address)


def open_device(name: str) -> int:
    """Make a TUN device, and return its file descriptor."""
    device = os.open(TUN_PATH, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, INTERFACE_REQUEST.pack(
        name.encode('ascii'), IFF_TUN | IFF_NO_PI))
    return device


def main() -> None:
    """Answer until the input ends; see the top of this file."""
    device = open_device(namespaces.TUN_NAME)
    namespaces.address_tun()
    responder = Responder(device)
    ready = {'ready': True, 'priority': priority.urgent()}
    print(json.dumps(ready), flush=True)
    responder.run(sys.stdin.fileno())
    print(json.dumps(responder.truth()), flush=True)


if __name__ == '__main__':
    main()
