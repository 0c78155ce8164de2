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

"""One responder, our probers and the peers, all at the same time.

Trials and scenarios run in a session. The progress on standard error, which
all parts of the benchmark show, is here as well.
"""

from collections.abc import Sequence
from concurrent import futures
import dataclasses
import threading
import time
from typing import Any

from rich import console
from rich import progress

from bench.precision import children
from bench.precision import episodes
from bench.precision import results
from bench.precision import tools

INTERVALS_S = (0.01, 0.005)
# How long after its time a peer may still end.
GRACE_S = 30.0

CONSOLE = console.Console(stderr=True)
POLL_S = 0.2


def say(message: str) -> None:
    """Print a message on standard error."""
    CONSOLE.print(message, highlight=False, markup=False)


def wait(title: str, end_s: float,
         pending: Sequence[futures.Future[Any]] = ()) -> None:
    """Show a progress bar until a time, or until a task fails.

    :param title: of the bar
    :param end_s: CLOCK_MONOTONIC in seconds
    :param pending: tasks that run meanwhile
    :raises Exception: the failure of one of them
    """
    begin_s = time.monotonic()
    say(f'{title}: {end_s - begin_s:.0f} s')
    with progress.Progress(console=CONSOLE, transient=True,
                           disable=not CONSOLE.is_terminal) as bar:
        task = bar.add_task(title, total=end_s - begin_s)
        while time.monotonic() < end_s:
            for future in pending:
                if future.done() and future.exception() is not None:
                    future.result()
            bar.update(task, completed=time.monotonic() - begin_s)
            time.sleep(min(POLL_S, max(0.0, end_s - time.monotonic())))


@dataclasses.dataclass(frozen=True)
class SlotSeen:
    """One slot: the truth, and the figures of the peers.

    :ivar slot: with times of CLOCK_MONOTONIC
    :ivar truth: of each of its episodes
    :ivar figures: of each peer, in seconds or None
    """

    slot: episodes.Slot
    truth: list[dict[str, Any]]
    figures: dict[str, float | None]


@dataclasses.dataclass(frozen=True)
class Session:
    """Everything that one run has measured.

    :ivar seen: by slot
    :ivar reports: of our probers, by name
    :ivar responder: figures of the responder about itself
    """

    seen: list[SlotSeen]
    reports: dict[str, tools.ProbeReport]
    responder: dict[str, Any]


def run(found: results.BenchResults, planned: Sequence[episodes.Slot],
        part: str) -> None:
    """Run trials and scenarios side by side, and add their results.

    :param found: where to add them
    :param planned: trials and scenarios
    :param part: part of the benchmark
    """
    ran = measure(planned, part)
    found.responders.append({'part': part, **ran.responder})
    found.runs.extend(results.ProbeRun.of(part, name, report)
                      for name, report in ran.reports.items())
    for seen in ran.seen:
        if seen.slot.name == episodes.TRIAL:
            found.readings.extend(trial_errors(part, seen, ran.reports))
        else:
            found.scenarios.extend(scenario(seen, ran.reports))


def trial_errors(part: str, seen: SlotSeen,
                 reports: dict[str, tools.ProbeReport]
                 ) -> list[results.OutageError]:
    """Return the outage of one trial as each tool measured it."""
    truth, = seen.truth
    made = [
        results.make(part, name, truth, report.figure(
            seen.slot.address, truth['begin_ns'], truth['end_ns']),
            report.json['interval_s'])
        for name, report in reports.items()]
    return made + [
        results.make(part, name, truth, tools.ToolFigure(figure_s))
        for name, figure_s in seen.figures.items()]


def scenario(seen: SlotSeen, reports: dict[str, tools.ProbeReport]
             ) -> list[dict[str, Any]]:
    """Return the figures of each tool for one scenario."""
    slot = seen.slot
    about = {
        'scenario': slot.name,
        'length_s': (slot.end_ns - slot.begin_ns) / episodes.NS,
        'dropped': sum(one['dropped'] for one in seen.truth),
        'kept': sum(one['kept'] for one in seen.truth),
        'uncertainty_s': max(one['uncertainty_ns']
                             for one in seen.truth) / episodes.NS}
    told = [{**about, 'tool': name, 'figure_s': figure_s}
            for name, figure_s in seen.figures.items()]
    for name, report in reports.items():
        outages = report.outages(slot.address, slot.begin_ns, slot.end_ns)
        longest = report.figure(slot.address, slot.begin_ns, slot.end_ns)
        target = report.target(slot.address)
        told.append({
            **about, 'tool': name, 'figure_s': longest.figure_s,
            'bound_s': longest.bound_s, 'count': len(outages),
            'sum_s': sum(one['duration_s'] for one in outages),
            'period_s': report.json['interval_s'],
            'too_busy': report.too_busy,
            'lost': target['lost'], 'late': target['late'],
            'scattered_losses': target['scattered_losses']})
    return told


def measure(planned: Sequence[episodes.Slot], title: str) -> Session:
    """Make the episodes of all slots, and let all tools measure them.

    :param planned: the slots, with times that count from 0
    :param title: of the progress bar
    """
    lanes = episodes.by_address(planned)
    responder = children.JsonChild('responder')
    probes: dict[str, tools.ProbeProcess] = {}
    try:
        for interval_s in INTERVALS_S:
            probes[tools.our_name(interval_s)] = tools.ProbeProcess(
                list(lanes), interval_s)
        start_ns = tools.start_ns(probes.values())
        lanes = {address: [slot.shifted(start_ns) for slot in several]
                 for address, several in lanes.items()}
        responder.send({
            address: [dataclasses.asdict(episode) for slot in several
                      for episode in slot.parts]
            for address, several in lanes.items()})
        figures = watch_lanes(list(lanes.values()), title)
        reports = {name: probe.stop() for name, probe in probes.items()}
        truth = responder.finish()
    finally:
        responder.kill()
    tools.check_started(reports.values(), start_ns)
    told = {(one['address'], one['planned_begin_ns']): one
            for one in truth.pop('episodes')}
    seen = [SlotSeen(slot, [told[slot.address, episode.begin_ns]
                            for episode in slot.parts], figures[slot])
            for several in lanes.values() for slot in several]
    return Session(seen, reports, {**responder.ready, **truth})


def watch_lanes(lanes: Sequence[Sequence[episodes.Slot]], title: str
                ) -> dict[episodes.Slot, dict[str, float | None]]:
    """Let the peers measure all slots, the lanes side by side."""
    cancelled = threading.Event()
    last_ns = max(lane[-1].end_ns for lane in lanes)
    with futures.ThreadPoolExecutor(len(lanes)) as executor:
        try:
            pending = [executor.submit(watch_lane, lane, cancelled)
                       for lane in lanes]
            wait(title, last_ns / episodes.NS + episodes.TAIL_S, pending)
            figures: dict[episodes.Slot, dict[str, float | None]] = {}
            for future in pending:
                figures.update(future.result(GRACE_S))
            return figures
        finally:
            cancelled.set()


def watch_lane(lane: Sequence[episodes.Slot], cancelled: threading.Event
               ) -> dict[episodes.Slot, dict[str, float | None]]:
    """Let the peers measure the slots of one address, one by one.

    :raises BenchError: cancelled was set
    """
    figures = {}
    for slot in lane:
        sleep_until(slot.start_ns, cancelled)
        watching: list[tools.Peer] = []
        try:
            for kind in tools.PEERS:
                peer = kind(slot.address)
                peer.start()
                watching.append(peer)
            sleep_until(
                slot.end_ns + round(episodes.TAIL_S * episodes.NS), cancelled)
        finally:
            figures[slot] = {peer.name: peer.stop() for peer in watching}
    return figures


def sleep_until(due_ns: int, cancelled: threading.Event) -> None:
    """Wait until a time of CLOCK_MONOTONIC.

    :raises BenchError: cancelled was set
    """
    if cancelled.wait(max(0, due_ns - time.monotonic_ns()) / episodes.NS):
        raise children.BenchError('cancelled.')
