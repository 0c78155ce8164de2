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

"""JSON, for programs.

Names of figures end in their units; doc/source/statistics.rst shows them. An
interval's ends are null where there are too few values; so is a figure that
is not defined.
"""

from collections.abc import Mapping
import dataclasses
import json
import math
from typing import Any

from lm_tempest_plugin.results import collection as collections
from lm_tempest_plugin.results import summary as summaries

SCHEMA = 1
# Where the name of a field does not say the unit. All quantities whose slope
# is told are in seconds.
_NAMES = {'wall': 'wall_s', 'per_trip': 'per_trip_s'}


def render(summary: summaries.Summary,
           collection: collections.Collection) -> str:
    """Return what records come to.

    :param summary: what they come to
    :param collection: the same records
    """
    return json.dumps({
        'schema': SCHEMA,
        'kind': 'summary',
        **{each.name: _value(getattr(summary, each.name))
           for each in dataclasses.fields(summary)},
        'runs': [{'name': run.name, 'path': run.path,
                  'started_s': run.started_s, 'about': _value(run.body)}
                 for run in collection.runs],
    }, indent=1, allow_nan=False) + '\n'


def _value(value: Any) -> Any:
    """Return a value as JSON can have it."""
    if isinstance(value, collections.Cell):
        return {'storage': value.storage or None,
                'settings': dict(value.settings)}
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {key: _value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_value(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _fields(value: Any) -> dict[str, Any]:
    return {_NAMES.get(each.name, each.name): _value(
        getattr(value, each.name)) for each in dataclasses.fields(value)}
