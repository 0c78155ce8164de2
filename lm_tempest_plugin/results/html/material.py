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

"""What the parts of the page are made of."""

from collections.abc import Iterable
from collections.abc import Sequence

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import names as names_of
from lm_tempest_plugin.results import summary

Key = tuple[collection.Cell, collection.Flavor, collection.Way]


class Material:
    """A summary and its records, found by what they belong to.

    :param found: the summary
    :param records: what it was made of
    :ivar summary: the same
    :ivar records: the same
    :ivar names: what cells are called
    """

    def __init__(self, found: summary.Summary,
                 records: collection.Collection) -> None:
        self.summary = found
        self.records = records
        self.names = names_of.Names(
            (group.cell, group.way) for group in found.groups)
        self._measured: dict[Key, list[collection.Attempt]] = {}
        self._drains: dict[tuple[str, str], list[collection.Attempt]] = {}
        for each in records.attempts:
            self._drains.setdefault((each.run, each.drain), []).append(each)
            if each.measured:
                self._measured.setdefault(
                    (each.cell, each.flavor, each.way), []).append(each)

    def measured(self, group: summary.Group) -> Sequence[collection.Attempt]:
        """Return the attempts of a group whose figures count."""
        return self._measured.get(
            (group.cell, group.flavor, group.way), ())

    def moved(self, group: summary.Group) -> list[collection.Attempt]:
        """Return those of them in which the server was moved."""
        return [each for each in self.measured(group) if each.completed]

    def of(self, drain: collection.Drain) -> Sequence[collection.Attempt]:
        """Return all attempts of a drain."""
        return self._drains.get((drain.run, drain.identifier), ())

    def flavors(self) -> list[collection.Flavor]:
        """Return the flavors of all groups, the smallest first."""
        return sorted({group.flavor for group in self.summary.groups},
                      key=lambda flavor: (flavor.ram_gib, flavor.disk_gib,
                                          flavor.vcpus, flavor.name))


def longest(found: Iterable[collection.Longest | None]
            ) -> collection.Longest | None:
    """Return the longest of some outages or stalls; None if none is known."""
    return max((each for each in found if each is not None),
               key=lambda each: each.seconds, default=None)
