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

"""The part of `verify --hosts` before and after its tests.

Before: read the hosts, and show the plan and everything that can be known
without a migration. After: show the verdict on each host.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import json
import math
import pathlib
import re
from typing import Any

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import cleanup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import preparation
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.migration import coverage
from lm_tempest_plugin.migration import inventory
from lm_tempest_plugin.results import store

PROFILE = 'hosts'
TEST = (f'{preparation.TESTS}.test_hosts.HostsTest.'
        'test_every_host_sends_and_receives')
# Without one of each, nova carries out no live migration.
CONTROLLERS = ('nova-conductor', 'nova-scheduler')
# Assumptions of the forecast: a live migration, and to build, inspect, judge
# and delete the servers that exist at a time.
MIGRATION_S, PORTION_S = 30.0, 90.0
#: Pairs, or lines of one kind, that are printed.
PRINTED = 1000


@dataclasses.dataclass
class HostCoverage:
    """The hosts to cover, and how.

    :ivar hosts: all, names of hosts, aggregate=NAME, az=NAME
    :ivar pairs: ring, all or release; empty for the default
    :ivar at_once: maximum number of live migrations; None for the default
    :ivar max_failures: number or share that ends the tests; empty for the
        default
    :ivar canaries: whether to move only canaries
    :ivar resume: directory with the results of a run that was ended; None to
        begin anew
    :ivar dry_run: whether to show the plan alone
    """

    hosts: list[str]
    pairs: str = ''
    at_once: int | None = None
    max_failures: str = ''
    canaries: bool = False
    resume: pathlib.Path | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        self.open = 0

    def options(self) -> configuration.Options:
        """Return the options of tempest.conf."""
        return configuration.convert(live_migration_ha_coverage={
            'hosts': ','.join(self.hosts), 'pairs': self.pairs or None,
            'at_once': self.at_once,
            'max_failures': self.max_failures or None,
            'only_canaries': self.canaries or None, 'resume': self.resume})

    def check(self, plan: preparation.Plan, profile: configuration.Profile,
              say: preparation.Say) -> None:
        """Read the hosts, and show the plan and what is wrong already.

        :param plan: result of preparation.prepare()
        :param profile: the tests
        :param say: called with each line
        :raises SetupError: no host can be covered
        """
        if not re.search(profile.regex, TEST):
            raise setup.SetupError(
                f'profile {profile.name} does not run the test of --hosts: '
                'leave --profile out')
        key = plan.files.canary_key
        conf = configuration.read_checked(
            profile.path, *([pathlib.Path(plan.arguments.config)]
                            if plan.arguments.config else []),
            others=configuration.merge(
                self.options(), configuration.convert(live_migration_ha={
                    'canary_key_file': key if key.exists() else None})))
        options = conf.live_migration_ha_coverage
        try:
            # First of all: servers of the run to resume take room on hosts.
            earlier = self._resume(plan, say) if self.resume else {}
            hosts = coverage.choose(
                self._read_hosts(plan, profile, conf), options.hosts)
            found = coverage.Coverage(coverage.plan(
                hosts, options.pairs, options.group_by,
                _with_canaries(plan) if options.only_canaries else None))
        except coverage.CoverageError as exc:
            raise plan.access.error(str(exc)) from exc
        for pair, outcome in earlier.items():
            found.add(pair, outcome)
        for line in (
                *_controllers(plan.access), *_describe(found.plan),
                *forecast(found, options.at_once, options.servers)):
            say(line)
        self.open = len(found.open_pairs())
        if self.dry_run:
            for pair in found.open_pairs()[:PRINTED]:
                say(f'  {pair}')
            if self.open > PRINTED:
                say(f'  and {self.open - PRINTED} more')

    def _read_hosts(self, plan: preparation.Plan,
                    profile: configuration.Profile,
                    conf: Any) -> list[coverage.Host]:
        """Return all compute hosts but those to avoid."""
        avoid = plan.others.get('compute', {}).get(
            'target_hosts_to_avoid', [''])[-1]
        versions: Mapping[str, access.HostVersions] = {}
        if conf.live_migration_ha_hosts.ssh_user:
            hosts = access.HostAccess(
                conf.live_migration_ha_hosts, None,
                [host.name for host in plan.facts.hosts])
            try:
                versions = hosts.versions()
            except remote.HostError as exc:
                raise setup.SetupError(str(exc)) from exc
            finally:
                hosts.close()
        with plan.access.explaining('read the compute hosts'):
            return inventory.read(
                _nova(plan.access), discovery.ask_placement(
                    plan.access,
                    placement.room_query(_flavor(plan, profile))),
                versions, avoid)

    def _resume(self, plan: preparation.Plan, say: preparation.Say
                ) -> dict[coverage.Pair, coverage.PairOutcome]:
        """Return the outcomes of the run that was ended.

        All that it has left in the cloud is deleted, but for a dry run.

        :raises CoverageError: they are of another cloud
        :raises SetupError: there are none, they cannot be read, or that run
            still goes on
        """
        assert self.resume is not None
        paths = sorted(self.resume.glob('*' + store.SUFFIX))
        if not paths:
            raise setup.SetupError(
                f'there is nothing to resume: {self.resume} is no directory '
                f'with a results file (*{store.SUFFIX})')
        try:
            results = store.read(paths)
        except store.ResultsError as exc:
            raise setup.SetupError(str(exc)) from exc
        found = dict(coverage.earlier(results, TEST, plan.facts.region, [
            each.name for each in (*plan.facts.hosts, *plan.facts.unusable)]))
        for run in results.runs:
            # The name of a run ends with the number of its process.
            name, _, process = run.run.rpartition('-')
            if _goes_on(process, plan.files):
                raise setup.SetupError(
                    f'the tests of the run to resume still go on, in process '
                    f'{process}: let them end, or end it with SIGINT')
            # A shorter name may be the begin of the names of others.
            if name.startswith('verify-') and not self.dry_run:
                left = cleanup.delete_leftovers(plan.access, name)
                preparation.report_deletion(say, left.deleted, left.kept)
        return found

    def conclude(self, results: pathlib.Path, say: preparation.Say) -> bool:
        """Show the verdict on each host; return whether all are good.

        :param results: directory of the results files
        :param say: called with each line
        """
        path = results / coverage.VERDICTS
        try:
            found = [coverage.HostVerdict(**each)
                     for each in json.loads(path.read_text())]
        except FileNotFoundError:
            say('No host was covered.')
            return False
        except (OSError, ValueError, TypeError) as exc:
            say(f'The verdicts on the hosts cannot be read: {path}: {exc}')
            return False
        good = sum(each.good for each in found)
        say('\n'.join(coverage.table(found)))
        say(f'Hosts without problems: {good} of {len(found)}')
        return 0 < good == len(found)


def _goes_on(process: str, files: workspace.Workspace) -> bool:
    """Return whether a process still runs tests in a workspace.

    SIGKILL ends a command, and not the tests that it has started.

    :param process: its number
    :param files: the workspace
    """
    try:
        variables = pathlib.Path('/proc', process, 'environ').read_bytes()
    except OSError:
        return False
    return f'TEMPEST_CONFIG_DIR={files.verify_conf.parent}'.encode() in (
        variables.split(b'\0'))


def _nova(access_: discovery.Access) -> Callable[[str], Any]:
    def get(path: str) -> Any:
        answer = access_.connection.compute.get(
            f'/{path}', microversion=api.MICROVERSION)
        # Not every version of openstacksdk raises by itself here.
        answer.raise_for_status()
        return answer.json()

    return get


def _flavor(plan: preparation.Plan,
            profile: configuration.Profile) -> placement.Resources:
    """Return the resources of a server of the tests."""
    if not plan.flavors:
        small = profile.sizes[0]
        return placement.Resources(small.vcpus, small.ram_mib, small.disk_gib)
    with plan.access.explaining('list flavors'):
        found = next(
            each for each in plan.access.connection.compute.flavors()
            if each.id == plan.flavors[0].identifier)
    return placement.Resources(found.vcpus, found.ram, found.disk)


def _with_canaries(plan: preparation.Plan) -> set[str]:
    """Return the names of the hosts that have canaries."""
    with plan.access.explaining('list the canaries'):
        return {each.compute_host for each in
                plan.access.connection.compute.servers(
                    all_projects=True, tags=resources.TAG)}


def _controllers(access_: discovery.Access) -> Iterator[str]:
    """Yield services and agents that are down.

    :raises SetupError: nova lacks a service without which nothing moves
    """
    with access_.explaining('list the services of nova'):
        services = _nova(access_)('os-services')['services']
    for binary in CONTROLLERS:
        if not any(each['binary'] == binary and each.get('state') == 'up'
                   for each in services):
            raise access_.error(f'no {binary} is up, so nova moves no server')
    for each in services:
        if each['binary'] != 'nova-compute' and each.get('state') != 'up':
            yield (f'WARNING: {each["binary"]} on {each["host"]} is '
                   f'{each.get("state") or "of unknown state"}')
    try:
        with access_.explaining('list the agents of neutron'):
            for agent in access_.connection.network.agents():
                if not agent.is_alive:
                    yield (f'WARNING: {agent.binary} on {agent.host} is not '
                           'alive')
    except setup.SetupError as exc:
        # Not every network has agents.
        yield f'WARNING: {exc}'


def _describe(plan: coverage.CoveragePlan) -> Iterator[str]:
    """Yield lines about groups of hosts, and hosts that are left out."""
    for facts, group in plan.groups.items():
        yield f'Group {facts}: {_names(each.name for each in group)}'
        versions: dict[str, list[str]] = {}
        for each in group:
            versions.setdefault(each.versions, []).append(each.name)
        for text, names in versions.items():
            yield f'  {text}: {_names(names)}'
        known = frozenset().union(*(each.features for each in group))
        lacking: dict[str, list[str]] = {}
        for each in group:
            if each.features and each.features != known:
                lacking.setdefault(', '.join(sorted(
                    known - each.features)), []).append(each.name)
        for text, names in lacking.items():
            yield ('WARNING: CPU features that others of the group have are '
                   f'missing on {_names(names)}: {text}')
    for name, reason in sorted(plan.left_out.items()):
        yield f'LEFT OUT: host {name}: {reason}'


def _names(names: Iterable[str]) -> str:
    found = list(names)
    more = (f' and {len(found) - coverage.NAMED} more'
            if len(found) > coverage.NAMED else '')
    return (f'{len(found)} {"host" if len(found) == 1 else "hosts"} ('
            f'{", ".join(found[:coverage.NAMED])}{more})')


def forecast(found: coverage.Coverage, at_once: int,
             servers: int) -> Iterator[str]:
    """Yield the number of migrations and the time that they may take.

    :param found: the plan, with earlier outcomes
    :param at_once: maximum number of migrations at a time
    :param servers: maximum number of servers that exist at a time
    """
    pairs = tuple(found.open_pairs())
    rounds = dataclasses.replace(found.plan, pairs=pairs).rounds(
        min(at_once, servers))
    portions = math.ceil(len(pairs) / servers)
    minutes = (rounds * MIGRATION_S + portions * PORTION_S) / 60
    if found.outcomes:
        yield f'Pairs of hosts with a result already: {len(found.outcomes)}'
    yield (f'Live migrations: {len(pairs)}, up to {at_once} at a time and one '
           f'per host, so at least {rounds} after one another: about '
           f'{minutes:.0f} min if one takes {MIGRATION_S:g} s, and to build, '
           f'check and delete up to {servers} servers {PORTION_S:g} s')
