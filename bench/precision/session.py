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

"""One responder, our probers, and the peers, all at the same time."""

from collections.abc import Sequence
from concurrent import futures
import dataclasses
import threading
import time
from typing import Any

from bench.precision import children
from bench.precision import episodes
from bench.precision import errors
from bench.precision import peers
from bench.precision import prober
from bench.precision import progress
from bench.precision import slots

INTERVALS_S = (0.01, 0.005)
# How long after its time a peer may still end.
GRACE_S = 30.0


@dataclasses.dataclass(frozen=True)
class Seen:
    """One slot: what has really happened, and what the peers say.

    :ivar slot: with times that count from nowhere but the clock
    :ivar truth: of each of its episodes
    :ivar figures: what each peer says, in seconds or None
    """

    slot: slots.Slot
    truth: list[dict[str, Any]]
    figures: dict[str, float | None]


@dataclasses.dataclass(frozen=True)
class Session:
    """All that was seen in one run.

    :ivar seen: by slot
    :ivar reports: of our probers, by name
    :ivar responder: what the responder says about itself
    """

    seen: list[Seen]
    reports: dict[str, prober.Report]
    responder: dict[str, Any]


def ours(interval_s: float) -> str:
    """Return what our prober is called in the tables."""
    return 'our probe %g ms' % (interval_s * 1000)


def run(planned: Sequence[slots.Slot], title: str,
        intervals_s: Sequence[float] = INTERVALS_S,
        others: Sequence[type[peers.Peer]] = peers.ALL) -> Session:
    """Make the episodes of all slots, and let everybody measure them.

    :param planned: the slots, with times that count from 0
    :param title: what the progress shown is called
    :param intervals_s: one prober of ours runs for each
    :param others: the peers that run around each slot
    """
    lanes = slots.by_address(planned)
    responder = children.JsonChild('responder')
    probes: dict[str, prober.Probe] = {}
    try:
        for interval_s in intervals_s:
            probes[ours(interval_s)] = prober.Probe(
                list(lanes), interval_s)
        start_ns = prober.start_ns(probes.values())
        lanes = {address: [slot.shifted(start_ns) for slot in several]
                 for address, several in lanes.items()}
        responder.send({
            address: [episode.as_dict() for slot in several
                      for episode in slot.parts]
            for address, several in lanes.items()})
        figures = watch_lanes(list(lanes.values()), title, others)
        reports = {name: probe.stop() for name, probe in probes.items()}
        truth = responder.finish()
    finally:
        responder.kill()
    prober.check_started(reports.values(), start_ns)
    told = {(one['address'], one['planned_begin_ns']): one
            for one in truth.pop('episodes')}
    seen = [Seen(slot, [told[slot.address, episode.begin_ns]
                        for episode in slot.parts], figures[slot])
            for several in lanes.values() for slot in several]
    return Session(seen, reports, {**responder.ready, **truth})


def watch_lanes(lanes: Sequence[Sequence[slots.Slot]], title: str,
                others: Sequence[type[peers.Peer]]
                ) -> dict[slots.Slot, dict[str, float | None]]:
    """Let the peers watch all slots, the lanes side by side."""
    cancelled = threading.Event()
    last_ns = max(lane[-1].end_ns for lane in lanes)
    last_s = last_ns / episodes.NS + slots.TAIL_S
    with futures.ThreadPoolExecutor(len(lanes)) as executor:
        try:
            pending = [executor.submit(watch_lane, lane, others, cancelled)
                       for lane in lanes]
            progress.wait(title, last_s, pending)
            figures: dict[slots.Slot, dict[str, float | None]] = {}
            for future in pending:
                figures.update(future.result(GRACE_S))
            return figures
        finally:
            cancelled.set()


def watch_lane(lane: Sequence[slots.Slot],
               others: Sequence[type[peers.Peer]],
               cancelled: threading.Event
               ) -> dict[slots.Slot, dict[str, float | None]]:
    """Let the peers watch the slots of one address, one after the other.

    :raises BenchError: cancelled was set
    """
    figures = {}
    for slot in lane:
        sleep_until(slot.start_ns, cancelled)
        watching: list[peers.Peer] = []
        try:
            for kind in others:
                peer = kind(slot.address)
                peer.start()
                watching.append(peer)
            sleep_until(slot.end_ns + round(slots.TAIL_S * episodes.NS),
                        cancelled)
        finally:
            figures[slot] = {peer.name: peer.stop() for peer in watching}
    return figures


def sleep_until(due_ns: int, cancelled: threading.Event) -> None:
    """Wait until a time of CLOCK_MONOTONIC.

    :raises BenchError: cancelled was set
    """
    if cancelled.wait(max(0, due_ns - time.monotonic_ns()) / episodes.NS):
        raise errors.BenchError('cancelled.')
