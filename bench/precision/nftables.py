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

"""The second source of truth: the kernel drops, and we read the clock.

It is a process of its own, in the namespace whose kernel answers, and talks
JSON lines: it reports that it is ready, reads one list of outages, makes
them, and prints the true times of each.
"""

from collections.abc import Iterable
import ctypes
import dataclasses
import itertools
import json
import sys
import time
from typing import Any

from bench.precision import children
from bench.precision import episodes
from bench.precision import testbed

RULES = """
table inet bench {
  set blocked { type ipv4_addr; }
  set blocked6 { type ipv6_addr; }
  chain input {
    type filter hook input priority 0;
    ip daddr @blocked drop
    ip6 daddr @blocked6 drop
  }
}
"""


@dataclasses.dataclass(frozen=True)
class Blockade:
    """A time in which one address cannot be reached.

    :ivar address: an address of the far side
    :ivar begin_ns: CLOCK_MONOTONIC
    :ivar end_ns: CLOCK_MONOTONIC
    """

    address: str
    begin_ns: int
    end_ns: int


@dataclasses.dataclass(frozen=True)
class Edge:
    """Addresses to block, or to free, at one time."""

    at_ns: int
    verb: str
    addresses: tuple[str, ...]

    def command(self) -> str:
        """Return it in nft's language."""
        lines = []
        for name, six in (('blocked', False), ('blocked6', True)):
            members = [one for one in self.addresses if (':' in one) == six]
            if members:
                lines.append(f'{self.verb} element inet bench {name} '
                             f'{{ {", ".join(members)} }}')
        return '\n'.join(lines)


class Nft:
    """libnftables: many times faster than to start nft for each command."""

    def __init__(self) -> None:
        """Open the library."""
        self._library = ctypes.CDLL(testbed.NFTABLES_LIBRARY)
        self._library.nft_ctx_new.restype = ctypes.c_void_p
        self._library.nft_run_cmd_from_buffer.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p]
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise children.BenchError('libnftables gives no context.')

    def run(self, command: str) -> tuple[int, int]:
        """Run a command; return the clock before and after, in ns."""
        text = command.encode('ascii')
        before_ns = time.monotonic_ns()
        failed = self._library.nft_run_cmd_from_buffer(self._context, text)
        after_ns = time.monotonic_ns()
        if failed:
            raise children.BenchError(f'nft refuses {command!r}.')
        return before_ns, after_ns


def edges(blockades: Iterable[Blockade]) -> list[Edge]:
    """Return all changes, in order of time."""
    steps = []
    for one in blockades:
        steps.append((one.begin_ns, 'add', one.address))
        steps.append((one.end_ns, 'delete', one.address))
    return [Edge(at_ns, verb, tuple(step[2] for step in group))
            for (at_ns, verb), group in itertools.groupby(
                sorted(steps), key=lambda step: step[:2])]


def truth(blockades: Iterable[Blockade],
          clocks: dict[tuple[int, str], tuple[int, int]]
          ) -> list[dict[str, Any]]:
    """Return the true times of each outage, and their uncertainty.

    :param blockades: as planned
    :param clocks: clock before and after, by planned time and verb
    """
    known = []
    for one in blockades:
        added = clocks[one.begin_ns, 'add']
        deleted = clocks[one.end_ns, 'delete']
        known.append({
            'address': one.address, 'kind': episodes.DROP,
            'planned_begin_ns': one.begin_ns, 'planned_end_ns': one.end_ns,
            'begin_ns': sum(added) // 2, 'end_ns': sum(deleted) // 2,
            # The kernel acts at some time between the two readings.
            'uncertainty_ns': (added[1] - added[0]) // 2
            + (deleted[1] - deleted[0]) // 2})
    return known


def main() -> None:
    """Make the outages; see the top of this file."""
    nft = Nft()
    nft.run(RULES)
    print(json.dumps({'ready': True, 'priority': children.take_priority()}),
          flush=True)
    blockades = [Blockade(**one) for one in json.loads(sys.stdin.readline())]
    clocks = {}
    for edge in edges(blockades):
        time.sleep(max(0, edge.at_ns - time.monotonic_ns()) / episodes.NS)
        clocks[edge.at_ns, edge.verb] = nft.run(edge.command())
    nft.run('delete table inet bench')
    print(json.dumps(truth(blockades, clocks)), flush=True)


if __name__ == '__main__':
    main()
