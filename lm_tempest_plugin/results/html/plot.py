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

"""A plot of the page, or why there is none."""

from collections.abc import Sequence
import dataclasses

from lm_tempest_plugin.results.html import figure
from lm_tempest_plugin.results.html import table


@dataclasses.dataclass(frozen=True, slots=True)
class Plot:
    """What is shown under one heading.

    :ivar key: its place in the page, for links
    :ivar title: the heading
    :ivar caption: what is shown and how it is read, in words
    :ivar figures: one, or several to choose from, each with the words by
        which it is chosen
    :ivar choice: what is chosen, in words
    :ivar missing: why there is no figure; empty if there is one
    :ivar tables: figures as text, below the plot
    :ivar notes: what is to be said besides, such as what is left out
    :ivar list_title: what a list below says
    :ivar points: the points of that list
    """

    key: str
    title: str
    caption: str
    figures: Sequence[tuple[str, figure.Figure]] = ()
    choice: str = ''
    missing: str = ''
    tables: Sequence[table.Table] = ()
    notes: Sequence[str] = ()
    list_title: str = ''
    points: Sequence[str] = ()
