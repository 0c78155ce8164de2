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

"""A figure as plotly.js takes it.

A plain description, to which plotly's Python objects would add nothing but
time: with them, a page of fifty figures takes half a minute. The unit tests
hold every figure against plotly's own schema.
"""

from collections.abc import Sequence
import json
from typing import Any

from lm_tempest_plugin.results.statistics import intervals


class Figure:
    """Traces and a layout.

    :param layout: what it begins with
    :ivar traces: what is drawn, in its order
    :ivar layout: axes, legend and the like
    """

    def __init__(self, layout: dict[str, Any]) -> None:
        self.traces: list[dict[str, Any]] = []
        self.layout = layout

    def add(self, kind: str, **trace: Any) -> None:
        """Add a trace.

        :param kind: scatter, bar or box
        :param trace: what plotly.js is to know of it
        """
        self.traces.append({'type': kind, **trace})

    def as_dict(self) -> dict[str, Any]:
        """Return it as plotly.js takes it."""
        return {'data': self.traces, 'layout': self.layout}

    def as_json(self) -> str:
        """Return it as JSON, on one line."""
        return json.dumps(self.as_dict(), allow_nan=False,
                          separators=(',', ':'))


def error_bars(estimates: Sequence[intervals.Estimate],
               **more: Any) -> dict[str, Any]:
    """Return the intervals of estimates as bars.

    :param estimates: an end that is not known has no bar
    :param more: of plotly's settings
    """
    return {
        'type': 'data', 'symmetric': False, 'width': 5, 'thickness': 2,
        'array': [0.0 if each.high is None else each.high - each.value
                  for each in estimates],
        'arrayminus': [0.0 if each.low is None else each.value - each.low
                       for each in estimates], **more}
