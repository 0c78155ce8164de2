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

"""What is to happen, on which address, while the peers watch."""

from collections.abc import Iterable
import dataclasses

from bench.precision import episodes

# How long before the first episode the peers begin at least, and after the
# last one end, so that what comes late still arrives; in seconds.
LEAD_S = 1.0
TAIL_S = 1.2
# So much earlier they may begin, by chance. It is as long as the period of
# the slowest, so that an outage meets each at any phase.
PHASE_S = 0.5


@dataclasses.dataclass(frozen=True)
class Slot:
    """Episodes of one address that the peers watch in one go.

    :ivar name: what it is about
    :ivar address: whose packets
    :ivar start_ns: when the peers begin
    :ivar parts: its episodes; times count from the start of the part
    """

    name: str
    address: str
    start_ns: int
    parts: tuple[episodes.Episode, ...]

    @property
    def begin_ns(self) -> int:
        """When the first episode begins."""
        return self.parts[0].begin_ns

    @property
    def end_ns(self) -> int:
        """When the last episode ends."""
        return self.parts[-1].end_ns

    def shifted(self, by_ns: int) -> 'Slot':
        """Return the same slot, so much later."""
        return dataclasses.replace(
            self, start_ns=self.start_ns + by_ns,
            parts=tuple(part.shifted(by_ns) for part in self.parts))


def by_address(several: Iterable[Slot]) -> dict[str, list[Slot]]:
    """Return the slots of each address, in the order of time."""
    lanes: dict[str, list[Slot]] = {}
    for slot in sorted(several, key=lambda one: one.begin_ns):
        lanes.setdefault(slot.address, []).append(slot)
    return lanes
