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

"""``python -m bench.drains``: see the package."""

from __future__ import annotations

import argparse
import collections
import statistics
import sys

import openstack
from tempest.lib import exceptions

import bench.drains
from bench.drains import moves
from lab import errors
from lab import fleet
from lab import layout
from lab import workspace
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.migration.verdict import Verdict

HOSTS = ('compute1', 'compute2')
PARTS = ('efficiency', 'calls', 'soak')
#: Claims: the largest ratio of wall time to service times, and of requests
#: with many servers to requests with one.
EFFICIENCY, CALLS = 1.05, 1.2


def main(arguments: list[str]) -> int:
    """Run the requested parts.

    :param arguments: command line arguments
    :returns: 0 if all claims hold
    """
    options = _options(arguments)
    clients = fleet.administrator()
    bench_ = _Bench(options, clients)
    held = True
    with api.use_microversion(api.MICROVERSION):
        for part in PARTS:
            if options.only in (None, part):
                held &= getattr(bench_, part)()
    return 0 if held else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m bench.drains', description=bench.drains.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', choices=PARTS, help='run only this part')
    parser.add_argument('--servers', type=int, default=12, metavar='N',
                        help='number of servers to drain (default: '
                        '%(default)s)')
    parser.add_argument('--flavor', default=workspace.FLAVORS[0].name,
                        metavar='NAME', help='flavor of the servers in part '
                        'efficiency (default: %(default)s)')
    parser.add_argument('--concurrency', type=int, default=1, metavar='N',
                        help='max_concurrent_live_migrations of the hosts '
                        '(default: %(default)s)')
    parser.add_argument('--window', type=int, default=0, metavar='N',
                        help='migrations to keep in flight (default: one '
                        'more than --concurrency, so that a host is never '
                        'idle)')
    parser.add_argument('--repeat', type=int, default=3, metavar='N',
                        help='number of drains to measure (default: '
                        '%(default)s)')
    parser.add_argument('--migrations', type=int, default=100, metavar='N',
                        help='number of migrations in part soak (default: '
                        '%(default)s)')
    return parser.parse_args(arguments)


class _Bench:
    """The parts. Each prints its figures and returns whether it passes."""

    def __init__(self, options: argparse.Namespace,
                 clients: api.Clients) -> None:
        self._options = options
        self._clients = clients
        self._drains = moves.MeasuredDrains(clients)
        self._cloud = openstack.connect()

    def _window(self) -> plan.Strategy:
        return plan.window(
            self._options.window or self._options.concurrency + 1)

    def efficiency(self) -> bool:
        """Compare the wall time of a drain with the sum of service times."""
        ratios = []
        with fleet.Fleet(
                self._cloud, self._options.servers, HOSTS[0],
                fleet.Shape(self._options.flavor)) as built:
            for number in range(self._options.repeat):
                cost = self._drains.drain(
                    built.ids, HOSTS[(number + 1) % 2], self._window())
                least_s = sum(cost.services_s) / self._options.concurrency
                wall_s = cost.run.drain.wall_s
                ratios.append(wall_s / least_s)
                concurrency = cost.run.drain.concurrency[0]
                print(f'efficiency: {len(built.ids)} servers in '
                      f'{wall_s:.1f} s, service times '
                      f'{sum(cost.services_s):.1f} s in total, '
                      f'ratio {ratios[-1]:.3f}; at once: '
                      f'{concurrency.running} (mean '
                      f'{concurrency.mean:.2f}), idle '
                      f'{concurrency.idle_s:.1f} s', flush=True)
        median = statistics.median(ratios)
        return _claim(
            f'efficiency: median {median:.3f} of {len(ratios)} drains '
            f'({min(ratios):.3f} to {max(ratios):.3f}), at most {EFFICIENCY}',
            median <= EFFICIENCY)

    def calls(self) -> bool:
        """Compare requests to the compute API with many servers and one."""
        many, one = [], []
        with fleet.Fleet(self._cloud, self._options.servers + 1,
                         HOSTS[0]) as built:
            for number in range(self._options.repeat):
                destination = HOSTS[(number + 1) % 2]
                alone = self._drains.drain(built.ids[:1], destination,
                                           plan.window(1))
                rest = self._drains.drain(built.ids[1:], destination,
                                          self._window())
                one.append(alone.calls_per_s)
                many.append(rest.calls_per_s)
                print(f'calls: 1 server {one[-1]:.2f}/s, '
                      f'{len(built.ids) - 1} servers {many[-1]:.2f}/s',
                      flush=True)
        ratio = statistics.median(many) / statistics.median(one)
        return _claim(f'calls: ratio of medians {ratio:.2f}, at most {CALLS}',
                      ratio <= CALLS)

    def soak(self) -> bool:
        """Compare each verdict with libvirt and nova's database.

        All checks run on every migration, and each problem that they find is
        a false alarm: nothing is broken.
        """
        paths = layout.Layout(layout.state_folder())
        kinds: collections.Counter[str] = collections.Counter()
        outcomes: collections.Counter[str] = collections.Counter()
        disagreements = alarms = done = 0
        with fleet.Fleet(self._cloud, 5, HOSTS[0]) as built, \
                moves.observed(self._clients, built, HOSTS) as observed:
            while done < self._options.migrations:
                ids = built.ids[:self._options.migrations - done]
                run = self._drains.drain(
                    ids, HOSTS[(done // 5 + 1) % 2], self._window(),
                    observed).run
                there = fleet.running_on(HOSTS)
                for verdict in (each.verdict for each in run.migrations):
                    kinds[verdict.kind] += 1
                    wrong = _disagreement(paths, verdict, there)
                    disagreements += bool(wrong)
                    if wrong or verdict.kind != Kind.COMPLETED:
                        print(f'soak: {verdict.evidence.request}: {verdict}; '
                              f'{wrong or "agrees"}', flush=True)
                for problem in run.problems:
                    alarms += 1
                    print(f'soak: {problem}', flush=True)
                outcomes.update(f'{each.check} {each.outcome}'
                                for each in run.drain.checks)
                done += len(run.migrations)
                print(f'soak: {done} of {self._options.migrations}',
                      flush=True)
        told = ', '.join(f'{number} {kind}' for kind, number in kinds.items())
        print('soak: checks, by drains: ' + ', '.join(
            f'{text} {number}' for text, number in sorted(outcomes.items())))
        held = [
            _claim(f'soak: {done} verdicts ({told}), {disagreements} '
                   f'disagree with libvirt or the database',
                   not disagreements),
            _claim(f'soak: {alarms} problems in {done} migrations without a '
                   'fault', not alarms)]
        return all(held)


def _disagreement(paths: layout.Layout, verdict: Verdict,
                  there: dict[str, list[str]]) -> str:
    """Return how libvirt or the database disagrees; '' if they agree."""
    evidence = verdict.evidence
    server_id = evidence.request.server_id
    wanted = (evidence.destination
              if verdict.kind == Kind.COMPLETED else evidence.source)
    if there.get(server_id) != [wanted]:
        return f'libvirt runs it on {there.get(server_id)}, not {wanted}'
    rows = [row for uuid, *row in fleet.sql(paths, fleet.STATES)
            if uuid == server_id][-1:]
    status = ('completed' if verdict.kind == Kind.COMPLETED
              else evidence.status)
    right = [wanted, 'active', 'NULL', status]
    return '' if rows == [right] else f'the database has {rows}, not {right}'


def _claim(text: str, holds: bool) -> bool:
    print(f'{"PASS" if holds else "FAIL"} {text}', flush=True)
    return holds


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except (openstack.exceptions.SDKException, exceptions.TempestException,
            errors.LabError) as error:
        # Tempest would write uncaught errors only to its log.
        sys.exit(f'bench.drains: {error}')
