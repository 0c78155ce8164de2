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

"""In what order cells, flavors and strategies are told."""

import re
from typing import Any

from lm_tempest_plugin.results import collection

_STRATEGY = re.compile(r'(batch|window) of ([1-9]\d{0,8})')


def cell(each: collection.Cell) -> tuple[Any, ...]:
    """Return what cells are sorted by: storage, then their settings."""
    return each.storage, each.settings


def flavor(each: collection.Flavor) -> tuple[Any, ...]:
    """Return what flavors are sorted by: their size."""
    return each.ram_gib, each.vcpus, each.disk_gib, each.name


def way(each: collection.Way) -> tuple[Any, ...]:
    """Return what ways are sorted by: the strategy, its size, servers."""
    name, size = strategy_parts(each.strategy) or (each.strategy, 0)
    return name, size, each.strategy, each.servers


def strategy_parts(words: str) -> tuple[str, int] | None:
    """Return batch or window, and its size; None if it is neither."""
    match = _STRATEGY.fullmatch(words)
    return (match[1], int(match[2])) if match else None
