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

"""Prepare a gate: build base and change, and see that a cloud is up."""

import dataclasses
import json
import time
import typing

from lab import errors
from lab.gate import verdict
from lab import layout
from lab.machine import overlays
from lab.machine import sources
from lm_tempest_plugin.cloud.setup import configuration

#: Estimate of the time of one pair on two cores, in seconds.
PAIR_S = 450
#: Profile whose test the pairs run, and nothing else.
QUICK = 'quick'


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that the gate inside the lab has to know, in types of JSON.

    :ivar base_name: the revision that the change is compared with
    :ivar base_commit: id of its commit
    :ivar change_name: the checkout
    :ivar profile: name of the profile whose tests come first
    :ivar looks: numbers of pairs after which the results are looked at
    :ivar limit_s: no pair begins that would end later than this, from the
        first pair on
    :ivar folder: for results, logs and the report
    :ivar base_venv: virtualenv with the nova of the base; empty until it is
        built
    :ivar change_venv: the same for the change
    """

    base_name: str
    base_commit: str
    change_name: str
    profile: str
    looks: typing.Sequence[int]
    limit_s: float
    folder: str
    base_venv: str = ''
    change_venv: str = ''

    def as_json(self) -> str:
        """Return the plan as JSON, for the gate inside the lab."""
        return json.dumps(dataclasses.asdict(self))

    def describe(self) -> str:
        """Return how long it takes, in one sentence."""
        first, last = (self.looks[place] * PAIR_S / 60 for place in (0, -1))
        text = (f'The comparison takes about {first:.0f}'
                f'{f" to {last:.0f}" if last > first else ""} minutes')
        if self.profile == QUICK:
            return f'{text}.'
        about = configuration.load_profile(self.profile).about
        return (f'{text}; the tests of profile {self.profile} come first '
                f'({about}).')


def plan(paths: layout.Layout, path: str, base: str | None, profile: str,
         limit_s: float) -> Plan:
    """Return the plan of a gate; build nothing yet.

    :param paths: paths of the lab
    :param path: checkout of nova with the change
    :param base: revision of the checkout to compare with; None for HEAD if
        there are uncommitted changes, otherwise for its parent
    :param profile: name of the profile whose tests come first
    :param limit_s: limit of the comparison, in seconds
    :raises errors.LabError: the limit is too short, the path is no checkout
        of nova, or it has no such revision
    """
    looks = [number for number in verdict.LOOKS if number * PAIR_S <= limit_s]
    if not looks:
        raise errors.LabError(
            f'--limit {limit_s / 60:.0f} is too short: the first verdict is '
            f'possible after about {verdict.LOOKS[0] * PAIR_S / 60:.0f} '
            f'minutes.')
    change = sources.Source.parse(path)
    if not change.is_checkout:
        raise errors.LabError(f'gate --nova takes the path of a checkout, not '
                              f'the release {path!r}.')
    if base is None:
        # New files that git does not know are no reason: many are notes.
        base = 'HEAD' if sources.git(
            '-C', change.text, 'status', '--porcelain',
            '--untracked-files=no') else 'HEAD^'
    try:
        commit = sources.git('-C', change.text, 'rev-parse', '--verify',
                             '--quiet', '--end-of-options',
                             f'{base}^{{commit}}')
    except errors.LabError:
        raise errors.LabError(
            f'{change.text} has no revision {base}: --base takes one that it '
            f'has.') from None
    stamp = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
    return Plan(
        base_name=(base if commit.startswith(base)
                   else f'{base} ({commit[:10]})'), base_commit=commit,
        change_name=change.text, profile=profile, looks=looks,
        limit_s=limit_s, folder=str(paths.workspace / f'gate-{stamp}'))


def install(paths: layout.Layout, wanted: Plan) -> Plan:
    """Build base and change, and return the plan with their virtualenvs.

    :param paths: paths of the lab; its cloud is up
    :param wanted: the plan
    :raises errors.LabError: the change has conflicts, or one of them cannot be
        built
    """
    print(f'Building {wanted.change_name} and its {wanted.base_name} ...',
          flush=True)
    change, base = (
        str(overlays.install(paths, sources.Source(wanted.change_name, each)))
        for each in ('', wanted.base_commit))
    return dataclasses.replace(wanted, base_venv=base, change_venv=change)
