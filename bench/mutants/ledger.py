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

"""Stored results of the mutants, and their summary."""

from __future__ import annotations

import ast
import collections
import collections.abc
import dataclasses
import hashlib
import json
import pathlib
import random
import typing

from lab.bugs import mutant
from lab import errors
from lab import layout

KILLED, SURVIVED, SILENT = 'killed', 'survived', 'silent'
EQUIVALENT, NEVER, FAILED = 'equivalent', 'never executed', 'failed'
OUTCOMES = (KILLED, SURVIVED, SILENT, EQUIVALENT, NEVER, FAILED)
#: Mutants that a person has reviewed, with the reason why no user could tell
#: them from nova.
REVIEWED = pathlib.Path(__file__).with_name('equivalent.json')


@dataclasses.dataclass(frozen=True)
class Row:
    """The result of one mutant.

    :ivar mutant: its name
    :ivar outcome: one of OUTCOMES
    :ivar scenario: the scenario that was played; empty if none was
    :ivar checks: slugs of the checks that saw it
    :ivar text: the first problem, the differences, or the reason
    :ivar seconds: time that it took
    """

    mutant: str
    outcome: str
    scenario: str = ''
    checks: tuple[str, ...] = ()
    text: str = ''
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """All mutants of one nova.

    :ivar digest: SHA-256 of the sources
    :ivar sites: the calls, by their names
    """

    digest: str
    sites: dict[str, mutant.Site]

    @classmethod
    def of(cls, folder: pathlib.Path) -> Catalogue:
        """Return the mutants of an installed nova.

        :param folder: site-packages, which holds the package nova
        :raises errors.LabError: a module cannot be read or is no Python
        """
        digest = hashlib.sha256()
        sites: dict[str, mutant.Site] = {}
        for module in mutant.TARGETS:
            path = folder.joinpath(*module.split('.')).with_suffix('.py')
            try:
                source = path.read_bytes()
                tree = ast.parse(source)
            except (OSError, SyntaxError) as error:
                raise errors.LabError(
                    f'nova has no usable {path}: {error}.') from error
            digest.update(source)
            sites |= {str(site): site for site in mutant.sites(module, tree)}
        return cls(digest.hexdigest(), sites)

    @property
    def mutants(self) -> list[str]:
        """Names of all mutants, in the order of the sources."""
        return [each for site in self.sites.values() for each in site.mutants]


class Ledger:
    """The results, in files that are written after each change.

    :param path: the file of the results; one beside it, with the suffix
        .reference.json, holds the facts of unchanged nova
    :param catalogue: all mutants
    :raises errors.LabError: a file cannot be read, or is that of another
        nova
    :ivar executed: names of the calls that each scenario executes
    :ivar accepted: values of the facts with unchanged nova, for each
        migration of each scenario
    :ivar rows: results by the name of the mutant
    """

    def __init__(self, path: pathlib.Path, catalogue: Catalogue) -> None:
        self.path = path
        self.catalogue = catalogue
        reference = self._read(self._reference)
        self.executed: dict[str, list[str]] = reference.get('executed', {})
        self.accepted: dict[str, list[dict[str, list[str]]]] = (
            reference.get('accepted', {}))
        self.rows = {row['mutant']: Row(**row | {
            'checks': tuple(row['checks'])})
            for row in self._read(path).get('rows', ())}

    @property
    def _reference(self) -> pathlib.Path:
        return self.path.with_suffix('.reference.json')

    def _read(self, path: pathlib.Path) -> dict[str, typing.Any]:
        """Return the content of a file; nothing if there is none."""
        if not path.exists():
            return {}
        try:
            stored: dict[str, typing.Any] = json.loads(path.read_text())
            nova = stored['nova']
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise errors.LabError(
                f'{path} cannot be read ({error}): use another --results, or '
                'delete it.') from error
        if nova != self.catalogue.digest:
            raise errors.LabError(
                f'{path} has results of another nova: use another --results.')
        return stored

    def save(self) -> None:
        """Write the results."""
        layout.write_json(self.path, {
            'nova': self.catalogue.digest, 'summary': self.summary(),
            'rows': [dataclasses.asdict(row) for row in self.rows.values()]})

    def save_reference(self) -> None:
        """Write the calls and the facts of unchanged nova."""
        layout.write_json(self._reference, {
            'nova': self.catalogue.digest, 'executed': self.executed,
            'accepted': self.accepted})
        self.save()

    def add(self, row: Row) -> None:
        """Store the result of a mutant."""
        self.rows[row.mutant] = row
        self.save()

    def scenario_of(self, name: str) -> str:
        """Return the scenario in which a mutant is played.

        :param name: name of the mutant
        :returns: the first one that executes its call; empty if none does
        """
        site = mutant.site_of(name)
        return next((scenario for scenario, sites in self.executed.items()
                     if site in sites), '')

    def sample(self, number: int, seed: int) -> list[str]:
        """Return a random sample of the mutants whose calls are executed.

        A larger sample of the same seed begins with a smaller one.

        :param number: size of the sample; 0 for all
        :param seed: of the random numbers
        """
        names = [name for name in self.catalogue.mutants
                 if self.scenario_of(name)]
        random.Random(seed).shuffle(names)
        return names[:number or None]

    def summary(self) -> list[dict[str, typing.Any]]:
        """Return the number of mutants by operator and outcome."""
        counts = {operator: collections.Counter[str]()
                  for operator in mutant.OPERATORS}
        for name in self.catalogue.mutants:
            of_operator = counts[mutant.operator_of(name)]
            of_operator['all'] += 1
            if name in self.rows:
                of_operator[self.rows[name].outcome] += 1
            elif self.executed and not self.scenario_of(name):
                of_operator[NEVER] += 1
        return [{'operator': operator, 'all': found['all'],
                 **{outcome: found[outcome] for outcome in OUTCOMES}}
                for operator, found in counts.items()]


def reviewed(path: pathlib.Path = REVIEWED) -> dict[str, str]:
    """Return the reasons of equivalent mutants, by their names.

    :param path: the file
    :raises errors.LabError: a mutant has no reason
    """
    found: dict[str, str] = json.loads(path.read_text())
    for name, reason in found.items():
        if not reason.strip():
            raise errors.LabError(
                f'{path} gives no reason why {name} is equivalent.')
    return found
