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


"""Measure what the plugin asks of a cloud of 1,000 hosts and 20,000 servers.

Snapshots are measured while 10, 100 and 1,000 live migrations go on, as a
drain and as the command watch take them; and then a drain of 200 servers from
10 hosts. The cloud is bench.simulated_nova, a process of its own.

    python -m bench.scale [--seconds S] [--size N]
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import resource
import sys
import time

from bench import simulated_nova
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import cloud_poller
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import request

SIZES = (10, 100, 1000)
# The default of option poll_interval.
INTERVAL_S = 0.5
# A copy that outlasts the measurement, and one that does not.
LONG_S, SHORT_S = 3600, 2
# Limits: API calls of a snapshot of each poller; of one in a drain, which also
# reads the progress of a copy and servers that should be free; and memory.
CALLS, WATCH_CALLS, DRAIN_CALLS, BYTES = 3.0, 6.0, 4.0, 300_000_000
DRAINED_HOSTS, DRAINED, AT_ONCE = 10, 200, 2
# Servers that have just changed are listed for SERVICES_SKEW.
WARM_UP_S = poll.SERVICES_SKEW.total_seconds() + 5

CreatePoller = Callable[
    [api.Clients, Sequence[servers.Server]], poll.Poller]


@dataclasses.dataclass
class SnapshotCost:
    """SnapshotCost of some snapshots.

    :ivar snapshots: their number
    :ivar wall_s: time, with the pauses between them
    :ivar busy_s: time without the pauses
    :ivar cpu_s: CPU time of this process
    :ivar calls: API calls
    :ivar bytes: size of the answers
    """

    snapshots: int = 0
    wall_s: float = 0.0
    busy_s: float = 0.0
    cpu_s: float = 0.0
    calls: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        each = max(1, self.snapshots)
        return (f'{self.calls / each:.2f} calls, {self.busy_s / each:.3f} s, '
                f'{self.cpu_s / each:.3f} s of CPU and '
                f'{self.bytes / each / 1000:.0f} kB for each snapshot; '
                f'{self.calls / self.wall_s:.2f} calls per second; '
                f'{memory_bytes() / 1e6:.0f} MB of memory')


def memory_bytes() -> int:
    """Return the maximum memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def measured(nova: simulated_nova.RunningNova) -> Iterator[SnapshotCost]:
    """Add the cost of a block; the block adds snapshots and busy time."""
    cost = SnapshotCost()
    before = nova.counters()
    began_s, cpu_s = time.monotonic(), time.process_time()
    yield cost
    cost.wall_s = time.monotonic() - began_s
    cost.cpu_s = time.process_time() - cpu_s
    after = nova.counters()
    cost.calls = after['requests'] - before['requests']
    cost.bytes = after['bytes'] - before['bytes']


def drain_poller(clients: api.Clients,
                 chosen: Sequence[servers.Server]) -> poll.Poller:
    """Return the poller of a drain."""
    return poll.Poller(clients, chosen, INTERVAL_S, INTERVAL_S)


def watch_poller(clients: api.Clients,
                 chosen: Sequence[servers.Server]) -> poll.Poller:
    """Return the poller of the command watch."""
    poller = cloud_poller.CloudPoller(clients, INTERVAL_S, INTERVAL_S)
    poller.keep([each.server_id for each in chosen])
    return poller


# Those who take snapshots, with their limits of API calls.
POLLERS = {'drain': (drain_poller, CALLS),
           'watch': (watch_poller, WATCH_CALLS)}


def snapshots(size: int, seconds: float,
              create: CreatePoller = drain_poller) -> SnapshotCost:
    """Return the cost of snapshots while migrations go on.

    :param size: number of migrations, each from a host of its own
    :param seconds: length of the measurement
    :param create: creates the poller
    :raises ValueError: another number goes on
    """
    with simulated_nova.running('--copy-s', str(LONG_S)) as nova:
        clients = nova.clients
        chosen = [servers.list_on_host(clients.servers, f'host{number}')[0]
                  for number in range(size)]
        poller = create(clients, chosen)
        for each in chosen:
            request.live_migrate(
                clients.servers, each, '', request.RequestOptions())
        end_s = time.monotonic() + WARM_UP_S
        taken = poller.snapshot()
        while time.monotonic() < end_s:
            poller.pause()
            taken = poller.snapshot()
        with measured(nova) as cost:
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s:
                began_s = time.monotonic()
                taken = poller.snapshot()
                cost.busy_s += time.monotonic() - began_s
                cost.snapshots += 1
                poller.pause()
        seen = sum(record.status == 'running'
                   for records in taken.records.values()
                   for record in records)
        if seen != size:
            raise ValueError(f'{seen} migrations go on, not {size}')
        return cost


class TimedPoller(poll.Poller):
    """Adds the time of its snapshots to a cost."""

    cost: SnapshotCost

    def snapshot(self) -> poll.Snapshot:
        """Return a snapshot."""
        began_s = time.monotonic()
        taken = super().snapshot()
        self.cost.busy_s += time.monotonic() - began_s
        self.cost.snapshots += 1
        return taken


def drained() -> tuple[SnapshotCost, drain.Drained]:
    """Return the cost of a drain without its requests, and its outcome."""
    with simulated_nova.running('--copy-s', str(SHORT_S), '--limit',
                                str(AT_ONCE)) as nova:
        chosen = [
            server for number in range(DRAINED_HOSTS)
            for server in servers.list_on_host(
                nova.clients.servers, f'host{number}')][:DRAINED]
        wanted = plan.MigrationPlan(
            servers=tuple(plan.PlannedServer(each.server_id)
                          for each in chosen), destination='',
            timeouts=plan.Timeouts(300.0, 0.0, 0.0, 30.0, INTERVAL_S, 60.0,
                                   0.0),
            bounds=plan.Bounds(1.0, 1.0), strategy=plan.window(DRAINED))
        poller = TimedPoller(nova.clients, chosen, INTERVAL_S, 60.0)
        with measured(nova) as cost:
            poller.cost = cost
            outcome = drain.Drain(
                nova.clients, poller, wanted, chosen).run()
        cost.calls -= len(chosen)
        return cost, outcome


def main(arguments: list[str]) -> int:
    """Measure, and print the figures.

    :param arguments: of the command line
    :returns: 0 if all claims hold
    """
    parser = argparse.ArgumentParser(
        prog='python -m bench.scale', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=10.0, metavar='S',
                        help='length of each measurement of snapshots '
                        '(default: %(default)g)')
    parser.add_argument('--size', type=int, action='append', metavar='N',
                        help='migrations that go on (default: 10, 100 and '
                        '1,000)')
    options = parser.parse_args(arguments)
    held = []
    with api.use_microversion(api.MICROVERSION):
        for name, (create, limit) in POLLERS.items():
            for size in options.size or SIZES:
                cost = snapshots(size, options.seconds, create)
                held.append(_claim(
                    f'{name}, {size} in flight: {cost} (limit {limit:g} '
                    'calls)', cost.calls <= limit * cost.snapshots))
        cost, outcome = drained()
    moved = sum(each.status == 'completed' for each in outcome.migrations)
    held += [
        _claim(f'drain: {moved} of {len(outcome.migrations)} servers moved '
               f'in {outcome.wall_s:.1f} s; {cost} (limit {DRAIN_CALLS:g} '
               'calls)', moved == len(outcome.migrations) and
               cost.calls <= DRAIN_CALLS * cost.snapshots),
        _claim(f'memory: {memory_bytes() / 1e6:.0f} MB (limit '
               f'{BYTES / 1e6:g} MB)', memory_bytes() <= BYTES)]
    return 0 if all(held) else 1


def _claim(text: str, holds: bool) -> bool:
    print(f'{"PASS" if holds else "FAIL"} {text}', flush=True)
    return holds


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
