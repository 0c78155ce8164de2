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

"""The figures of the white paper of 2017, as data."""

import csv
import dataclasses
import functools
from importlib import resources

NAME = 'white paper of 2017 (OpenStack Innovation Center)'
_FILE = 'osic.csv'


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor:
    """How large their servers were.

    :ivar vcpus: virtual CPUs
    :ivar ram_gib: memory
    :ivar disk_gib: local disk, about half of it in use
    """

    vcpus: int
    ram_gib: float
    disk_gib: float


# lm.small, lm.medium and lm.large of their setup script.
FLAVORS = {'small': Flavor(2, 4, 40), 'medium': Flavor(4, 8, 80),
           'large': Flavor(8, 16, 160)}


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """What they say of one storage, tunnelling, flavor and size of batches.

    Durations are of one live migration from the request to its end, as
    their tool saw it, with the time in the queue.

    :ivar storage: block or shared
    :ivar tunnelled: whether libvirt's tunnel was to be used
    :ivar flavor: small, medium or large
    :ivar batch: how many were asked for at once
    :ivar servers: how many each drain moved
    :ivar drains: how many there were
    :ivar attempted: how many live migrations were tried
    :ivar moved: how many of them moved their server
    :ivar median_s: of the durations
    :ivar p5_s: 5 % of the durations are not above
    :ivar p95_s: 95 % are not above
    :ivar least_s: the shortest
    :ivar largest_s: the longest
    :ivar mean_s: their mean
    :ivar drain_mean_s: mean time to empty a host
    :ivar drain_least_s: the shortest
    :ivar drain_largest_s: the longest
    :ivar ping_loss_per_move_s: lost pings times 0.5 s, over live migrations
    :ivar note: what is particular about it; may be empty
    """

    storage: str
    tunnelled: bool
    flavor: str
    batch: int
    servers: int
    drains: int
    attempted: int
    moved: int
    median_s: float
    p5_s: float
    p95_s: float
    least_s: float
    largest_s: float
    mean_s: float
    drain_mean_s: float
    drain_least_s: float
    drain_largest_s: float
    ping_loss_per_move_s: float
    note: str

    @property
    def size(self) -> Flavor:
        """How large the servers were."""
        return FLAVORS[self.flavor]

    @property
    def serial(self) -> bool:
        """Whether servers went one after the other, in the main series."""
        return self.batch == 1 and self.servers == 6

    def __str__(self) -> str:
        return '%s, tunnelled %s, %s%s' % (
            self.storage, 'on' if self.tunnelled else 'off', self.flavor,
            ' (%s)' % self.note if self.note else '')


@functools.cache
def read() -> tuple[Published, ...]:
    """Return the figures, in the order in which they were published."""
    text = resources.files(__package__).joinpath(_FILE).read_text('utf-8')
    lines = [line for line in text.splitlines()
             if line and not line.startswith('#')]
    return tuple(map(_row, csv.DictReader(lines)))


def _row(row: dict[str, str]) -> Published:
    return Published(**{
        field.name: _value(field.name, field.type, row[field.name])
        for field in dataclasses.fields(Published)})  # type: ignore[arg-type]


def _value(name: str, kind: object, text: str) -> str | bool | int | float:
    if name == 'tunnelled':
        return text == 'on'
    if kind is int:
        return int(text)
    return float(text) if kind is float else text
