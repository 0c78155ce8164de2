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

"""TCP streams that stall: servers frozen, and packets dropped.

Our prober gives the longest stall of each stream, so each event has an
address, and a stream, of its own. All happen side by side.
"""

from collections.abc import Sequence
import dataclasses
import os
import random
import signal
import time
from typing import Any

from bench.precision import children
from bench.precision import episodes
from bench.precision import nftables
from bench.precision import results
from bench.precision import session
from bench.precision import testbed
from bench.precision import tools

PORT = 2392
INTERVAL_S = 0.01
FREEZE = 'freeze'
FREEZES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
DROPS_S = (0.1, 0.3, 0.5, 1.0, 2.0, 5.0)
QUICK_S = (0.1, 0.3, 1.0)
FIRST_HOST = 1000
SPREAD_S = 1.5
# Retransmission backs off: a stream recovers later by this part of the
# outage.
BACK_OFF = 0.7
TAIL_S = 1.0


@dataclasses.dataclass(frozen=True)
class StallEvent:
    """One planned stall."""

    kind: str
    address: str
    begin_ns: int
    end_ns: int


def plan(count: int, quick: bool, dice: random.Random,
         start_ns: int) -> list[StallEvent]:
    """Return the events.

    :param count: of each kind and length
    :param quick: whether to leave the long ones out
    :param dice: source of the random numbers
    :param start_ns: when the first may begin
    """
    todo = [(kind, length_s) for kind, lengths_s in (
        (FREEZE, FREEZES_S), (episodes.DROP, DROPS_S))
        for length_s in (QUICK_S if quick else lengths_s)
        for _ in range(count)]
    planned = []
    for number, (kind, length_s) in enumerate(todo):
        begin_ns = start_ns + round(dice.uniform(0, SPREAD_S) * episodes.NS)
        planned.append(StallEvent(
            kind, testbed.far_host(FIRST_HOST + number), begin_ns,
            begin_ns + round(length_s * episodes.NS)))
    return planned


def run(found: results.BenchResults, far: testbed.Far, count: int,
        quick: bool, dice: random.Random) -> None:
    """Make the events, and add our prober's figures.

    :param found: where to add them
    :param far: place of the servers
    :param count: see plan()
    :param quick: see plan()
    :param dice: see plan()
    """
    shape = plan(count, quick, dice, 0)
    servers: dict[str, children.JsonChild] = {}
    blocker = children.JsonChild('nftables', far.prefix)
    try:
        # A server for each address to freeze, and one for the others.
        for event in shape:
            if event.kind == FREEZE:
                servers[event.address] = children.JsonChild(
                    'echo', far.prefix, [str(PORT), event.address])
        servers['others'] = children.JsonChild(
            'echo', far.prefix, [str(PORT), *(
                event.address for event in shape if event.kind != FREEZE)])
        probe = tools.ProbeProcess(
            [event.address for event in shape], INTERVAL_S, PORT)
        start_ns = tools.start_ns([probe])
        events = [dataclasses.replace(
            event, begin_ns=event.begin_ns + start_ns,
            end_ns=event.end_ns + start_ns) for event in shape]
        blocker.send([
            vars(nftables.Blockade(event.address, event.begin_ns,
                                   event.end_ns))
            for event in events if event.kind == episodes.DROP])
        session.say(f'TCP: {len(events)} streams')
        truth = freeze([event for event in events if event.kind == FREEZE],
                       {address: server.pid
                        for address, server in servers.items()})
        session.wait('TCP', TAIL_S + max(
            event.end_ns + BACK_OFF * (event.end_ns - event.begin_ns)
            for event in events) / episodes.NS)
        report = probe.stop()
        truth += blocker.finish()
    finally:
        for child in (blocker, *servers.values()):
            child.kill()
    tools.check_started([report], start_ns)
    found.runs.append(results.ProbeRun.of(
        'tcp', tools.our_name(INTERVAL_S), report))
    found.tcp.extend(stall(report, one) for one in truth)


def freeze(events: Sequence[StallEvent],
           pids: dict[str, int]) -> list[dict[str, Any]]:
    """Stop and continue processes, by the clock; return the truth.

    :param events: all freezes
    :param pids: our children, by address
    """
    steps = sorted((
        step for event in events for step in (
            (event.begin_ns, signal.SIGSTOP, event),
            (event.end_ns, signal.SIGCONT, event))),
        key=lambda step: step[0])
    clocks: dict[str, list[tuple[int, int]]] = {}
    for due_ns, number, event in steps:
        time.sleep(max(0, due_ns - time.monotonic_ns()) / episodes.NS)
        clocks.setdefault(event.address, []).append(
            switch(pids[event.address], number))
    return [{
        'address': event.address, 'kind': FREEZE,
        'planned_begin_ns': event.begin_ns, 'planned_end_ns': event.end_ns,
        'begin_ns': sum(stopped) // 2, 'end_ns': sum(continued) // 2,
        'uncertainty_ns': (stopped[1] - stopped[0]) // 2
        + (continued[1] - continued[0]) // 2}
        for event in events
        for stopped, continued in [clocks[event.address]]]


def switch(pid: int, number: int) -> tuple[int, int]:
    """Stop or continue a child; return the clock before and after, in ns."""
    before_ns = time.monotonic_ns()
    os.kill(pid, number)
    # Until the kernel reports that it is done.
    os.waitid(os.P_PID, pid, os.WSTOPPED if number == signal.SIGSTOP
              else os.WCONTINUED)
    return before_ns, time.monotonic_ns()


def stall(report: tools.ProbeReport,
          truth: dict[str, Any]) -> dict[str, Any]:
    """Return our prober's figures for one event."""
    stream = report.target(truth['address'])['tcp']
    icmp = report.figure(truth['address'], truth['begin_ns'],
                         truth['end_ns'])
    truth_s = (truth['end_ns'] - truth['begin_ns']) / episodes.NS
    return {
        'kind': truth['kind'], 'address': truth['address'],
        'length_s': round((truth['planned_end_ns']
                           - truth['planned_begin_ns']) / episodes.NS, 6),
        'truth_s': truth_s,
        'uncertainty_s': truth['uncertainty_ns'] / episodes.NS,
        'stall_s': stream['longest_stall_s'],
        'excess_s': stream['longest_stall_s'] - truth_s,
        'bound_s': stream['stall_error_bound_s'],
        'icmp_s': icmp.figure_s, 'resets': stream['resets'],
        'error': stream['error']}
