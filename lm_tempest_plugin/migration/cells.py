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

"""Deployment settings as data: which there are, and what each is to do.

A cell is one combination of their values. Names of options and what follows
from them are nova's, as of 34.0 (nova/conf/compute.py, nova/conf/libvirt.py,
nova/virt/libvirt/driver.py).
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import enum
import itertools
import random
from typing import Any

from lm_tempest_plugin.hosts import configuration


class Storage(enum.StrEnum):
    """Where the disks of servers live."""

    BLOCK = 'block'
    SHARED = 'shared'


class Outcome(enum.Enum):
    """What a cell is to do."""

    MOVES = 'servers move'
    # libvirt has one connection for its tunnel, does no post-copy through
    # it, and migrates no local disk: nova asks for memory alone, which
    # libvirt calls unsafe.
    REFUSES = 'servers stay, unharmed'
    # InvalidConfiguration when the driver starts.
    DOES_NOT_START = 'nova-compute does not start'


# nova.conf's options by our names for them, which are those of the options
# of group live_migration_ha_cells.
SETTINGS: Mapping[str, configuration.Option] = {
    'max_concurrent_live_migrations': configuration.Option(
        'DEFAULT', 'max_concurrent_live_migrations'),
    'tunnelled': configuration.Option('libvirt', 'live_migration_tunnelled'),
    'post_copy': configuration.Option(
        'libvirt', 'live_migration_permit_post_copy'),
    'auto_converge': configuration.Option(
        'libvirt', 'live_migration_permit_auto_converge'),
    'parallel_connections': configuration.Option(
        'libvirt', 'live_migration_parallel_connections'),
    'native_tls': configuration.Option(
        'libvirt', 'live_migration_with_native_tls'),
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One combination. None for a setting that is left as it is.

    :ivar max_concurrent_live_migrations: how many a source host runs at once
    :ivar tunnelled: whether memory goes through libvirtd
    :ivar post_copy: whether nova may switch over before all is copied
    :ivar auto_converge: whether a guest that writes too fast is slowed down
    :ivar parallel_connections: over how many connections memory goes
    :ivar native_tls: whether QEMU encrypts
    """

    max_concurrent_live_migrations: int | None = None
    tunnelled: bool | None = None
    post_copy: bool | None = None
    auto_converge: bool | None = None
    parallel_connections: int | None = None
    native_tls: bool | None = None

    @property
    def settings(self) -> dict[str, int | bool]:
        """What is set, by our names."""
        return {name: value for name, value in (
            (name, getattr(self, name)) for name in SETTINGS)
            if value is not None}

    def but(self, other: 'Cell') -> 'Cell':
        """Return this cell with the settings of another one, if it has any.

        :param other: what is different
        """
        settings: dict[str, Any] = {**self.settings, **other.settings}
        return Cell(**settings)

    def values(self) -> dict[configuration.Option, str]:
        """Return what nova.conf has to say."""
        return {SETTINGS[name]: str(value)
                for name, value in self.settings.items()}

    def outcome(self, storage: Storage) -> Outcome:
        """Return what is to be expected.

        :param storage: where the disks of the servers live
        """
        if self.tunnelled and self.native_tls:
            return Outcome.DOES_NOT_START
        if self.tunnelled and (storage == Storage.BLOCK or self.post_copy or
                               (self.parallel_connections or 1) > 1):
            return Outcome.REFUSES
        return Outcome.MOVES

    def bound_s(self, bounds: Mapping[str, float], storage: Storage,
                otherwise: float) -> float:
        """Return the bound that holds in this cell, in seconds.

        :param bounds: by storage, or by the name of a setting
        :param storage: where the disks of the servers live
        :param otherwise: where none is given
        """
        on = [str(storage), *(name for name, value in self.settings.items()
                              if value is True)]
        return max((bounds[name] for name in on if name in bounds),
                   default=otherwise)

    def __str__(self) -> str:
        return ', '.join(
            '%s %s' % (name.replace('_', ' '), _word(value))
            for name, value in self.settings.items()) or 'as it is'


def _word(value: int | bool) -> str:
    if isinstance(value, bool):
        return 'on' if value else 'off'
    return str(value)


def matrix(values: Mapping[str, Sequence[int | bool]],
           seed: int) -> list[Cell]:
    """Return all combinations, in an order drawn by lot.

    In the order in which they are written a drift of the cloud would look
    like an effect of the setting that changes slowest.

    :param values: by the names of settings; none for one that is left alone
    :param seed: draws the order
    """
    names = [name for name in SETTINGS if values.get(name)]
    found = []
    for each in itertools.product(*(values[name] for name in names)):
        settings: dict[str, Any] = dict(zip(names, each))
        found.append(Cell(**settings))
    random.Random(seed).shuffle(found)
    return found
