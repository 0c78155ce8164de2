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

"""``python -m bench.mutants``: see the package."""

from __future__ import annotations

import argparse
import collections
import collections.abc
import contextlib
import pathlib
import sys
import time

import openstack
from oslo_log import log as logging
import rich.console
import rich.table
from tempest.lib import exceptions

from bench import detection
import bench.mutants
from bench.mutants import facts
from bench.mutants import ledger
from bench.mutants import scenarios
from lab.bugs import loader
from lab.bugs import mutant
from lab.bugs.runner import Runner
from lab import errors
from lab import fleet
from lab import layout
from lab import lifecycle
from lab.topology import Topology
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)
#: Name of the module of lab.bugs that puts mutants into nova.
MUTANT = 'mutant'
#: Slug beside those of the checks: nova did not start with a mutant.
SERVICES = 'services'
#: Estimate of the time of one mutant, until one was played.
SECONDS_EACH = 120.0
INTERRUPTED = 130


class ServicesDown(Exception):
    """nova's services do not start with a mutant."""


class Bench:
    """Plays scenarios with unchanged nova, and with mutants.

    :param paths: paths of the lab
    :param runner: puts mutants into nova's services
    :param stage: plays scenarios
    :param book: stores the results
    """

    def __init__(self, paths: layout.Layout, runner: Runner,
                 stage: scenarios.Stage, book: ledger.Ledger) -> None:
        self._chosen = paths.cloud / loader.FOLDER / mutant.CHOSEN.name
        self._runner = runner
        self._stage = stage
        self._book = book

    def observe(self, references: int) -> None:
        """Find out which calls each scenario executes, and its facts.

        Nova is traced in the first run of a scenario, and is untouched in the
        others.

        :param references: number of the others
        :raises errors.LabError: a check finds a problem
        """
        for scenario in scenarios.SCENARIOS.values():
            if scenario.name in self._book.accepted:
                continue
            print(f'{scenario.name}: unchanged nova, {references + 1} runs',
                  flush=True)
            self._play(scenario, mutant.TRACE)
            executed = set(self._effects())
            every = [self._play(scenario, '').facts
                     for _ in range(references)]
            self._book.executed[scenario.name] = sorted(executed)
            self._book.accepted[scenario.name] = [
                facts.merge(leg) for leg in zip(*every, strict=True)]
            self._book.save_reference()
            print(f'  executes {len(executed)} of '
                  f'{len(self._book.catalogue.sites)} calls', flush=True)

    def _play(self, scenario: scenarios.Scenario,
              chosen: str) -> scenarios.Played:
        """Play a scenario with unchanged nova.

        :raises errors.LabError: a check finds a problem
        """
        played = self._stage.play(scenario, self._put(scenario, chosen))
        if played.problems:
            raise errors.LabError(
                f'Unchanged nova does not pass {scenario.name}: '
                f'{played.problems[0]}.')
        return played

    @contextlib.contextmanager
    def _put(self, scenario: scenarios.Scenario,
             chosen: str) -> collections.abc.Iterator[None]:
        """Put a mutant, the trace or nothing into nova's services.

        :raises ServicesDown: they do not start with it
        """
        services = {each for name, target in mutant.TARGETS.items()
                    if chosen == mutant.TRACE or
                    name == mutant.module_of(chosen)
                    for each in target.services}
        if scenario.corrections:
            services.add(mutant.COMPUTE)
        names = [*scenario.corrections, *([MUTANT] if chosen else [])]
        with contextlib.ExitStack() as stack:
            if names:
                layout.write(self._chosen, f'{chosen}\n')
                try:
                    stack.enter_context(
                        self._runner.activated(names, services))
                except errors.LabError as error:
                    if any(each.kind == loader.BROKEN
                           for each in self._runner.log()):
                        raise
                    raise ServicesDown(str(error)) from error
            yield

    def _effects(self) -> list[str]:
        """Return the effects of the mutant since it was put into nova."""
        return [each.text for each in self._runner.log()
                if (each.kind, each.name) == (loader.FIRED, MUTANT)]

    def judge(self, name: str) -> ledger.Row:
        """Play the scenario of a mutant, and return its result.

        :param name: name of the mutant
        """
        scenario = scenarios.SCENARIOS[self._book.scenario_of(name)]
        began_s = time.monotonic()
        accepted = self._book.accepted[scenario.name]
        checks: tuple[str, ...] = ()
        try:
            played = self._stage.play(
                scenario, self._put(scenario, name), accepted)
        except ServicesDown as error:
            outcome, checks, text = ledger.KILLED, (SERVICES,), str(error)
        except Exception as error:
            # It may be a bug of the bench, and must not cost the others.
            LOG.exception('Mutant %s', name)
            outcome = ledger.FAILED
            text = f'{type(error).__name__}: {error}'
        else:
            checks = tuple(played.checks)
            outcome, text = _outcome(played, accepted, self._effects())
        return ledger.Row(name, outcome, scenario.name, checks, text,
                          time.monotonic() - began_s)


def _outcome(played: scenarios.Played,
             accepted: collections.abc.Sequence[scenarios.Accepted],
             effects: collections.abc.Sequence[str]) -> tuple[str, str]:
    """Return outcome and text of a mutant that was played."""
    if not effects:
        return ledger.NEVER, ''
    if played.problems:
        return ledger.KILLED, str(played.problems[0])
    different = [
        f'after migration {number} to another host: {text}'
        for number, (found, usual) in enumerate(
            zip(played.facts, accepted, strict=True), 1)
        for text in facts.differences(found, usual)]
    if different:
        return ledger.SILENT, '; '.join(different)
    return ledger.SURVIVED, effects[0]


def main(arguments: list[str]) -> int:
    """Play mutants, and print the summary.

    :param arguments: command line arguments
    :returns: 0 if no mutant was silent or failed, 130 after a signal
    """
    options = _options(arguments)
    paths = layout.Layout(layout.state_folder())
    book = ledger.Ledger(
        options.results or paths.workspace / 'mutants.json',
        ledger.Catalogue.of(_site_packages(paths)))
    unknown = sorted({*options.name} - {*book.catalogue.mutants})
    if unknown:
        raise errors.LabError(
            f'There is no mutant {unknown[0]}: --list prints all.')
    if options.list:
        for name in options.name or book.catalogue.mutants:
            row = book.rows.get(name)
            print(f'{name}: {row.outcome if row else "not played"}')
        return 0
    topology = lifecycle.recorded(paths) or Topology()
    with api.use_microversion(api.MICROVERSION), \
            Runner(paths, topology) as runner, \
            utils.SignalHandler(on_signal=_tell_signal) as signals:
        detection.refuse_stale(paths)
        stage = scenarios.Stage(openstack.connect(), fleet.administrator(),
                                paths, signals.interruptible)
        bench_ = Bench(paths, runner, stage, book)
        try:
            bench_.observe(options.references)
            names = options.name or book.sample(options.sample, options.seed)
            _judge_all(bench_, book, names, options.again)
        except utils.Interrupted:
            print('Interrupted: the same command goes on.')
            return INTERRUPTED
        finally:
            _print_summary(book)
    wrong = [row for row in book.rows.values()
             if row.outcome in (ledger.SILENT, ledger.FAILED)]
    return 1 if wrong else 0


def _tell_signal(name: str, count: int) -> None:
    print(f'{name}: the migration ends, the mutant is taken out, and the '
          'server is deleted.', flush=True)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m bench.mutants', description=bench.mutants.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', nargs='*', metavar='NAME',
                        help='mutants to play in place of a sample')
    parser.add_argument('--list', action='store_true',
                        help='print each mutant, and play none')
    parser.add_argument('--sample', type=int, default=200, metavar='N',
                        help='size of the sample; 0 for all mutants '
                        '(default: %(default)s)')
    parser.add_argument('--seed', type=int, default=1, metavar='S',
                        help='seed of the sample (default: %(default)s)')
    parser.add_argument('--references', type=int, default=3, metavar='N',
                        help='runs of each scenario with unchanged nova '
                        '(default: %(default)s)')
    parser.add_argument('--again', action='store_true',
                        help='play mutants again that have a result')
    parser.add_argument('--results', type=pathlib.Path, metavar='FILE',
                        help="results (default: mutants.json in the lab's "
                        'workspace)')
    options = parser.parse_args(arguments)
    if options.sample < 0 or options.references < 1:
        parser.error('--sample takes 0 or more, --references 1 or more')
    return options


def _site_packages(paths: layout.Layout) -> pathlib.Path:
    """Return the folder of the package nova that the compute hosts run.

    :raises errors.LabError: there is none
    """
    for virtualenv in (paths.cloud / 'nova' / scenarios.HOSTS[0],
                       paths.venvs / 'cloud'):
        for found in virtualenv.glob('lib/python3*/site-packages/nova'):
            return found.parent
    raise errors.LabError(f'There is no nova in {paths.venvs}: '
                          'tools/run-lab.sh up installs it.')


def _judge_all(bench_: Bench, book: ledger.Ledger,
               names: collections.abc.Sequence[str], again: bool) -> None:
    """Play mutants, one after the other, and store each result."""
    equivalent = ledger.reviewed()
    for name, reason in equivalent.items():
        if name not in book.rows or book.rows[name].outcome in (
                ledger.SURVIVED, ledger.SILENT):
            book.add(ledger.Row(name, ledger.EQUIVALENT, text=reason))
        elif book.rows[name].outcome == ledger.KILLED:
            print(f'{name} is killed, so it is not equivalent: correct '
                  f'{ledger.REVIEWED.name}.', flush=True)
    pending = []
    for name in dict.fromkeys(names):
        if name in book.rows and name in equivalent:
            continue
        if not book.scenario_of(name):
            book.add(ledger.Row(name, ledger.NEVER))
        elif again or name not in book.rows or (
                book.rows[name].outcome == ledger.FAILED):
            pending.append(name)
    began_s = time.monotonic()
    for number, name in enumerate(pending):
        mean_s = ((time.monotonic() - began_s) / number if number
                  else SECONDS_EACH)
        hours = mean_s * (len(pending) - number) / 3600
        print(f'{number + 1} of {len(pending)}: {name} ... (about '
              f'{hours:.1f} h left)', flush=True)
        row = bench_.judge(name)
        book.add(row)
        print(f'  {row.outcome} {", ".join(row.checks)} {row.text[:300]} '
              f'({row.seconds:.0f} s)', flush=True)


def _print_summary(book: ledger.Ledger) -> None:
    """Print the counts, the checks that killed, and the survivors."""
    table = rich.table.Table('OPERATOR', 'ALL', *map(str.upper,
                                                     ledger.OUTCOMES))
    summary = book.summary()
    for line in summary:
        table.add_row(*map(str, line.values()))
    table.add_row('all', *(
        str(sum(line[key] for line in summary))
        for key in ('all', *ledger.OUTCOMES)))
    console = rich.console.Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 140
    console.print(table)
    killers = collections.Counter(check for row in book.rows.values()
                                  for check in row.checks)
    if killers:
        print('Killed by: ' + ', '.join(
            f'{check} {count}' for check, count in killers.most_common()))
    for outcome in (ledger.SILENT, ledger.SURVIVED, ledger.FAILED):
        for row in book.rows.values():
            if row.outcome == outcome:
                print(f'{outcome}: {row.mutant}: {row.text[:500]}')
    print(f'Kept in {book.path}')


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except (openstack.exceptions.SDKException, exceptions.TempestException,
            errors.LabError) as error:
        # Tempest would write uncaught errors only to its log.
        sys.exit(f'bench.mutants: {error}')
