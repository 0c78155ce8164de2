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

"""Tables of the page."""

from collections.abc import Sequence
import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row.

    :ivar cells: texts, the first of which says what the row is about
    :ivar mark: good, bad or empty: how it is to be marked; its words say
        the same
    """

    cells: Sequence[str]
    mark: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table.

    :ivar caption: what it shows
    :ivar columns: headings
    :ivar rows: as many cells in each as there are headings
    :ivar words: how many of the first columns are words; the others are
        figures
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    words: int = 1
