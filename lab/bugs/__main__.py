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

"""Put old bugs of nova into the cloud, and see whether a test sees them."""

import argparse
import collections.abc
import dataclasses
import enum
import os
import pathlib
import sys
import time

from oslo_log import log as logging
import rich.console
import rich.table

from lab.bugs import loader
from lab.bugs import runner
from lab import errors
from lab import layout
from lab import lifecycle
from lab.topology import Topology
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)
#: Estimate of the time of one bug, until one was tested.
SECONDS_EACH = 240.0
INTERRUPTED = 130


class Result(enum.StrEnum):
    """The result of the test of a bug.

    Of controls and corrections: passed is right, seen is a false alarm.
    """

    SEEN = 'seen'
    SEEN_BY_ANOTHER = 'seen by another check'
    PASSED = 'passed'
    NEVER_FIRED = 'never fired'
    SKIPPED = 'skipped'
    NOT_TESTED = 'not tested'


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A bug and the result of its test.

    :ivar bug: the bug
    :ivar result: the result
    :ivar checks: slugs of the checks that failed
    :ivar text: the first effect, or why there is no result
    :ivar fired: number of effects
    :ivar duration_s: time with its restarts, in seconds
    """

    bug: loader.Bug
    result: Result
    checks: collections.abc.Sequence[str] = ()
    text: str = ''
    fired: int = 0
    duration_s: float = 0.0

    @property
    def right(self) -> bool:
        """Whether the bug was seen, or the test passed without a bug."""
        if self.result is Result.SKIPPED:
            return True
        seen = self.result in (Result.SEEN, Result.SEEN_BY_ANOTHER)
        return seen if self.bug.kind == loader.DEFECT else (
            self.result is Result.PASSED)

    @property
    def row(self) -> dict[str, str]:
        """The row of the table, by column."""
        return {
            'BUG': self.bug.name, 'KIND': self.bug.kind,
            'NUMBER': self.bug.number, 'COMMIT': self.bug.commit,
            'EFFECT': self.bug.effect or '-', 'TEST': self.bug.test,
            'RESULT': str(self.result), 'EXPECTED': self.bug.check or '-',
            'FAILED CHECKS': ', '.join(self.checks) or '-',
            'FIRED': str(self.fired), 'TEXT': self.text or '-',
            'SECONDS': f'{self.duration_s:.0f}'}


def main(arguments: list[str]) -> int:
    """Put bugs into the cloud, one after the other, and print the results.

    :param arguments: names of bugs; none for all
    :returns: 0 if each bug was seen and nothing else, 130 after a signal
    """
    options = _parse(arguments)
    # No test shows some of the corrections.
    chosen = [each for each in choose(options.name)
              if options.name or each.test]
    paths = layout.Layout(layout.state_folder())
    topology = lifecycle.recorded(paths) or Topology()
    stamp = time.strftime('bugs-%Y%m%dT%H%M%SZ', time.gmtime())
    outcomes: list[Outcome] = []
    with runner.Runner(paths, topology) as run:
        stale = loader.active(paths.cloud / loader.FOLDER)
        if stale:
            print(f'{", ".join(stale)} is taken out first ...', flush=True)
            known = {each.name: each.services for each in runner.discover()}
            # A mutant, or a bug of another checkout, may be in any service.
            run.deactivate({
                service for name, services in known.items()
                for service in services
                if name in stale or not known.keys() >= {*stale}})
        if options.clear:
            print('No bug is active.')
            return 0
        if options.keep:
            parts = _with_needs(chosen)
            run.activate([each.name for each in parts], {
                service for each in parts for service in each.services})
            print(f'Until tools/run-lab.sh bugs --clear nova has '
                  f'{", ".join(each.name for each in parts)}.')
            return 0
        try:
            for outcome in _test(run, chosen, topology,
                                 paths.workspace / stamp):
                outcomes.append(outcome)
                layout.write_json(paths.workspace / f'{stamp}.json',
                                  [each.row for each in outcomes])
        except utils.Interrupted:
            # By now the bug is taken out.
            print('Interrupted.')
            return INTERRUPTED
        finally:
            _print(outcomes, paths.workspace / f'{stamp}.json')
    return 0 if all(each.right for each in outcomes) else 1


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='run-lab.sh bugs', description=sys.modules['lab.bugs'].__doc__)
    parser.add_argument('--clear', action='store_true',
                        help='take out all bugs, and test none')
    parser.add_argument('--keep', action='store_true',
                        help='put the named bugs in, and test none')
    parser.add_argument('name', nargs='*', metavar='NAME')
    options = parser.parse_args(arguments)
    if options.keep and not options.name:
        parser.error('--keep: which bugs?')
    return options


def choose(names: collections.abc.Sequence[str]) -> list[loader.Bug]:
    """Return the bugs with these names; all without a name.

    :param names: names, in any order
    :raises errors.LabError: if there is no such bug
    """
    known = runner.discover()
    unknown = sorted({*names} - {each.name for each in known})
    if unknown:
        raise errors.LabError(
            f'There is no bug {", ".join(unknown)}: tools/run-lab.sh bugs '
            f'--list prints all.')
    return [each for each in known if not names or each.name in names]


def _test(run: runner.Runner, chosen: collections.abc.Sequence[loader.Bug],
          topology: Topology, results: pathlib.Path
          ) -> collections.abc.Iterator[Outcome]:
    """Test bugs one after the other, and yield the outcomes."""
    began_s, tested = time.monotonic(), 0
    for number, bug in enumerate(chosen):
        mean_s = ((time.monotonic() - began_s) / tested if tested
                  else SECONDS_EACH)
        minutes = mean_s * (len(chosen) - number) / 60
        print(f'{number + 1} of {len(chosen)}: {bug.name}: '
              f'{bug.effect or bug.kind} ... (about {minutes:.0f} min left)',
              flush=True)
        if not bug.test:
            outcome = Outcome(
                bug, Result.SKIPPED, text='No test shows it, but a fault: '
                'see doc/source/findings.rst.')
        elif bug.storage not in ('', topology.storage):
            outcome = Outcome(
                bug, Result.SKIPPED,
                text=f'It takes a lab with --storage {bug.storage}.')
        else:
            tested += 1
            bug_began_s = time.monotonic()
            try:
                outcome = test(run, bug, results / bug.name)
            except Exception as error:
                # It must not cost the others.
                LOG.exception('Bug %s', bug.name)
                outcome = Outcome(bug, Result.NOT_TESTED,
                                  text=f'{type(error).__name__}: {error}')
            outcome = dataclasses.replace(
                outcome, duration_s=time.monotonic() - bug_began_s)
        print(f'  {outcome.result}: '
              f'{", ".join(outcome.checks) or "no check failed"}; fired '
              f'{outcome.fired} times: {outcome.text or "-"}', flush=True)
        yield outcome


def test(run: runner.Runner, bug: loader.Bug, results: pathlib.Path
         ) -> Outcome:
    """Put a bug into the cloud, run its test, take it out.

    :param run: runner of the cloud
    :param bug: the bug
    :param results: new folder for the results of the test
    :raises errors.LabError: if the bug cannot be applied, or a service does
        not come back
    :raises utils.Interrupted: a signal came; the bug is taken out
    """
    parts = _with_needs([bug])
    with run.activated([each.name for each in parts], {
            service for each in parts for service in each.services}):
        ran = run.run_tests(
            # A class that is skipped or fails as a whole has no test.
            rf'live_migration_ha.*\.{bug.test}(\[|$)', bug.profile, results)
        entries = [each for each in run.log() if each.name == bug.name]
    return judge(bug, ran, entries)


def _with_needs(chosen: collections.abc.Sequence[loader.Bug]
                ) -> list[loader.Bug]:
    """Return bugs with the corrections that they need."""
    names = {name for each in chosen for name in (each.name, *each.needs)}
    return choose(sorted(names))


def judge(bug: loader.Bug, ran: runner.TestRun,
          entries: collections.abc.Iterable[runner.Entry]) -> Outcome:
    """Judge the test of a bug.

    :param bug: the bug
    :param ran: its test
    :param entries: lines of the log that it has written
    """
    entries = list(entries)
    effects = [each.text for each in entries if each.kind == loader.FIRED]
    checks = ran.checks
    if ran.failed and not checks:
        checks = ['test']
    text = effects[0] if effects else ''
    if not ran.failed and not ran.passed:
        result = Result.SKIPPED if ran.outcomes else Result.NOT_TESTED
        text = '; '.join(ran.outcomes.values()) or (
            f'No test was run: see {ran.folder}.')
    elif not effects:
        result = Result.NEVER_FIRED
        text = 'nothing was replaced' if not entries else (
            'test FAILED' if ran.failed else 'test passed')
    elif not ran.failed:
        result = Result.PASSED
    elif bug.check in checks:
        result = Result.SEEN
    else:
        result = Result.SEEN_BY_ANOTHER
    return Outcome(bug, result, checks, text, len(effects))


def print_list() -> None:
    """Print all bugs."""
    _print_rows([{
        'BUG': each.name, 'KIND': each.kind, 'NUMBER': each.number,
        'COMMIT': each.commit, 'EFFECT': each.effect or '-',
        'SERVICES': ', '.join(each.services), 'TEST': each.test or '-',
        'CHECK': each.check or '-'} for each in runner.discover()])


def _print(outcomes: collections.abc.Sequence[Outcome],
           path: pathlib.Path) -> None:
    """Print the table, and where it is kept."""
    if not outcomes:
        return
    _print_rows([each.row for each in outcomes])
    wrong = sum(not each.right for each in outcomes)
    skipped = sum(each.result is Result.SKIPPED for each in outcomes)
    print(f'{len(outcomes)} bugs, corrections and controls: {wrong} wrong, '
          f'{skipped} skipped. Kept in {path}')


def _print_rows(rows: list[dict[str, str]]) -> None:
    table = rich.table.Table(show_lines=True)
    for name in rows[0]:
        # Its name is an argument of the command.
        table.add_column(name, overflow='fold', no_wrap=name == 'BUG')
    for row in rows:
        table.add_row(*row.values())
    console = rich.console.Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    console.print(table)


if __name__ == '__main__':
    os.chdir(pathlib.Path(__file__).parents[2])
    try:
        sys.exit(main(sys.argv[1:]))
    except errors.LabError as error:
        sys.exit(errors.tell(error))
