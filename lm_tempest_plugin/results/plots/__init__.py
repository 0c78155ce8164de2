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

"""Plots of a report: each section is a function of a :class:`Material`."""

from collections.abc import Iterable

from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.results import summary

#: Short names of settings, since a row on a phone has room for few letters.
SHORT = {'max_concurrent_live_migrations': 'limit'}


class Names:
    """Short names of settings: only where they differ within the report.

    :param conditions: all conditions of the report
    :ivar common: parts that all settings have in common; empty if there is
        only one combination, whose name says everything
    :ivar explained: the meaning of short names; may be empty
    :ivar together: servers and strategy, if they are the same everywhere;
        empty otherwise
    """

    def __init__(self, conditions: Iterable[summary.Conditions]) -> None:
        conditions = list(conditions)
        parts = {each.settings: _parts(each.settings) for each in conditions}
        self._common: set[str] = set()
        if len(parts) > 1:
            self._common = set.intersection(*map(set, parts.values()))
        self.common = ', '.join(
            part for part in next(iter(parts.values()), [])
            if part in self._common)
        self.explained = '; '.join(
            f'{short} means {name}' for name, short in SHORT.items()
            if any(name in settings.values for settings in parts))
        together = {each.drained_together for each in conditions}
        self.together = together.pop() if len(together) == 1 else ''
        self._busy = any(each.workload.unit for each in conditions)

    def settings(self, settings: schema.Settings) -> str:
        """Return the short name of settings."""
        parts = _parts(settings)
        return ', '.join(
            part for part in parts if part not in self._common) or \
            ', '.join(parts) or str(settings)

    def group(self, conditions: summary.Conditions) -> str:
        """Return the short name of conditions, without the flavor."""
        name = self.settings(conditions.settings)
        if self._busy:
            name += f', {conditions.workload}'
        return name if self.together else \
            f'{name} – {conditions.drained_together}'


class Material:
    """The results of a report, and their summary.

    :param found: the summary
    :param results: the results behind it
    :ivar summary: the summary
    :ivar results: the results
    :ivar names: short names of settings
    :ivar drains: all drains with their migrations
    :ivar grouped: migrations by their conditions
    """

    def __init__(self, found: summary.Summary,
                 results: store.Results) -> None:
        self.summary = found
        self.results = results
        self.names = Names(group.conditions for group in found.groups)
        self.drains = summary.drains_of(results)
        self.grouped = summary.group(results.migrations)

    def measured(self, conditions: summary.Conditions
                 ) -> list[schema.MigrationResult]:
        """Return the migrations of a group that are in its figures."""
        return [each for each in self.grouped.get(conditions, ())
                if each.measured]

    def completed(self, conditions: summary.Conditions
                  ) -> list[schema.MigrationResult]:
        """Return those of them that completed."""
        return [each for each in self.measured(conditions) if each.completed]

    def flavors(self) -> list[schema.Flavor]:
        """Return all flavors, the smallest first."""
        flavors = {group.conditions.flavor for group in self.summary.groups
                   if group.conditions.flavor}
        return sorted(flavors, key=lambda flavor: (
            flavor.ram_gib, flavor.disk_gib, flavor.vcpus, flavor.name))


def setting(name: str) -> str:
    """Return the name of a setting for readers."""
    return SHORT.get(name, name.replace('_', ' '))


def setting_value(settings: schema.Settings, name: str) -> str:
    """Return the value of one setting, or the storage, as a text."""
    if name == summary.STORAGE:
        return settings.storage
    return _word(settings.values.get(name, ''))


def _parts(settings: schema.Settings) -> list[str]:
    parts = [settings.storage] if settings.storage else []
    return parts + [f'{setting(name)} {_word(value)}'
                    for name, value in settings.values.items()]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return 'on' if value else 'off'
    return str(value)
