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

"""A comparison as JSON, for programs."""

import json
import math
from typing import Any

from lm_tempest_plugin.results.comparison import groups
from lm_tempest_plugin.results.comparison import judgement
from lm_tempest_plugin.results.comparison import words
from lm_tempest_plugin.results.statistics import intervals

VERSION = 1


def render(comparison: judgement.Comparison) -> str:
    """Return the comparison; names have units, null is what is not known."""
    return json.dumps({
        'schema': VERSION, 'sentence': words.sentence(comparison),
        'worse': comparison.worse,
        'tolerance_percent': comparison.tolerance_percent,
        'rows': [_row(row) for row in comparison.rows],
        'failures': [_failures(each) for each in comparison.failures],
        'only_before': list(comparison.only_before),
        'only_after': list(comparison.only_after),
        'notes': words.notes(comparison)}, indent=2, allow_nan=False) + '\n'


def _row(row: judgement.Row) -> dict[str, Any]:
    effect = row.effect
    return {
        'group': _group(row.group), 'quantity': row.quantity,
        'found': row.word, 'before': _estimate(effect.before),
        'after': _estimate(effect.after),
        'difference': _estimate(effect.difference),
        'ratio': _estimate(effect.ratio), 'change': _finite(row.change),
        'smallest_s': row.smallest_s, 'chance': row.chance,
        'paired': effect.paired}


def _group(group: groups.Group) -> dict[str, Any]:
    flavor = group.flavor
    return {
        'storage': group.cell.storage, 'settings': dict(group.cell.settings),
        'flavor': flavor and {
            'name': flavor.name, 'vcpus': flavor.vcpus,
            'ram_gib': flavor.ram_gib, 'disk_gib': flavor.disk_gib},
        'strategy': group.strategy, 'drain_of': group.load}


def _failures(each: judgement.Failures) -> dict[str, Any]:
    return {'where': each.where, 'what': each.what, 'found': each.word,
            'before': each.before, 'of_before': each.of_before,
            'after': each.after, 'of_after': each.of_after}


def _estimate(found: intervals.Estimate) -> dict[str, Any]:
    return {'value': _finite(found.value), 'low': _finite(found.low),
            'high': _finite(found.high), 'count': found.count}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
