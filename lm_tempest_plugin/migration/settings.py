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

"""Combinations of nova-compute's settings, and how servers behave with each.

The settings are the rows of config.NOVA_SETTINGS. Outcomes are those of nova
34.0 (nova/virt/libvirt/driver.py).
"""

from collections.abc import Mapping
from collections.abc import Sequence
import enum
import itertools
import random

from lm_tempest_plugin import config
from lm_tempest_plugin.results import schema


class Storage(enum.StrEnum):
    """Storage of the servers' disks."""

    BLOCK = 'block'
    SHARED = 'shared'


class Outcome(enum.Enum):
    """Expected outcome of a live migration with some settings."""

    MOVES = 'servers move'
    # libvirt has one connection for its tunnel, does no post-copy through
    # it, and migrates no local disk: nova then asks for a migration of the
    # memory alone, which libvirt refuses as unsafe.
    REFUSES = 'servers stay, unharmed'
    # InvalidConfiguration when the driver starts.
    DOES_NOT_START = 'nova-compute does not start'


def nova_conf(settings: schema.Settings) -> dict[config.ConfOption, str]:
    """Return the values of options in nova.conf.

    :param settings: the combination
    """
    return {setting.option: str(settings.values[setting.name])
            for setting in config.NOVA_SETTINGS
            if setting.name in settings.values}


def merged(settings: schema.Settings,
           other: schema.Settings) -> schema.Settings:
    """Return settings, with the values and the storage of others first.

    :param settings: values where the others have none
    :param other: values that count
    """
    values = {**settings.values, **other.values}
    return schema.Settings(
        storage=other.storage or settings.storage,
        # In the order of the table, whatever was merged.
        values={setting.name: values[setting.name]
                for setting in config.NOVA_SETTINGS
                if setting.name in values})


def outcome(settings: schema.Settings) -> Outcome:
    """Return the expected outcome.

    :param settings: the combination, with the storage
    """
    values = settings.values
    if not values.get('tunnelled'):
        return Outcome.MOVES
    if values.get('native_tls'):
        return Outcome.DOES_NOT_START
    if (settings.storage == Storage.BLOCK or values.get('post_copy') or
            values.get('parallel_connections', 1) > 1):
        return Outcome.REFUSES
    return Outcome.MOVES


def bound_s(settings: schema.Settings, bounds: Mapping[str, float],
            otherwise: float) -> float:
    """Return the bound for a combination, in seconds.

    :param settings: the combination, with the storage
    :param bounds: by storage, or by the name of a setting that is on
    :param otherwise: bound if none of these applies
    """
    conditions = [settings.storage, *(
        name for name, value in settings.values.items() if value is True)]
    return max((bounds[name] for name in conditions if name in bounds),
               default=otherwise)


def matrix(values: Mapping[str, Sequence[int | bool]], seed: int,
           storage: str) -> list[schema.Settings]:
    """Return all combinations of values, in random order.

    With a fixed order, a drift of the cloud would look like an effect of the
    setting that changes slowest.

    :param values: by the name of the setting; no values for a setting that
        is not changed
    :param seed: seed of the order
    :param storage: storage of the servers' disks
    """
    names = [setting.name for setting in config.NOVA_SETTINGS
             if values.get(setting.name)]
    found = [schema.Settings(storage=storage, values=dict(zip(names, each)))
             for each in itertools.product(*(values[name] for name in names))]
    random.Random(seed).shuffle(found)
    return found
