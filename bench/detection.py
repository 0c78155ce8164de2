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

"""Which of nova's bugs our tests, our comparison and Tempest's tests see.

Start the lab (tools/run-lab.sh up), then run in the root of the repository::

    tools/run-lab.sh exec -- python -m bench.detection [NAME ...]

Each bug of lab/bugs is put into nova's services three times:

ours
    the smallest of this plugin's tests that has to see it;
comparison
    round trips of two servers, compared with those of unchanged nova just
    before and just after; a difference counts if it is found a second time;
stock
    Tempest's own live migration tests. Those that fail with unchanged nova do
    not count.

Corrections and controls have no effect: whatever is seen is a false alarm.
Each result is stored at once, and the same command goes on with those that
are missing; --again replaces results.
"""

from __future__ import annotations

import argparse
import collections.abc
import json
import pathlib
import sys
import time
import typing

from oslo_log import log as logging
import rich.console
import rich.table

from lab.bugs import __main__ as bugs
from lab.bugs import loader
from lab.bugs import runner
from lab import errors
from lab import layout
from lab import lifecycle
from lab.topology import Topology
from lm_tempest_plugin.results import compare
from lm_tempest_plugin.results import judgement
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)
OURS, COMPARISON, STOCK = PARTS = ('ours', 'comparison', 'stock')
#: Results of a part beside those of lab.bugs: seen, passed, skipped, ...
SEEN, PASSED = str(bugs.Result.SEEN), str(bugs.Result.PASSED)
SKIPPED, NOT_TESTED = str(bugs.Result.SKIPPED), str(bugs.Result.NOT_TESTED)
ALARMS = (SEEN, str(bugs.Result.SEEN_BY_ANOTHER))
ROUND_TRIPS = r'live_migration_ha.*\.test_drain_in_batches(\[|$)'
#: Six drains are the fewest that can be compared well. A migration that hangs
#: is known to be bad after a while.
PROFILE = """\
[live_migration_ha]
drain_servers = 2
batch_sizes = 2
round_trips = 3
migration_timeout = 120
"""
STOCK_TESTS = (r'tempest\.(api\.compute\.admin\.test_live_migration|'
               r'scenario\..*live_migration)')
COLUMNS = ('BUG', 'NUMBER', 'COMMIT', 'SERVICE', 'EFFECT', 'FIRED', 'OURS',
           'COMPARISON', 'STOCK', 'MINUTES', 'MEASURED')
INTERRUPTED = 130
Part = dict[str, typing.Any]


class Table:
    """The results, in a file that is written after each change.

    :param path: the file
    :raises errors.LabError: it cannot be read
    :ivar rows: for each bug its facts, and the results of its parts
    :ivar stock: ids of Tempest's tests that fail with unchanged nova; None
        if they have not been run
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.rows: dict[str, dict[str, typing.Any]] = {}
        self.stock: list[str] | None = None
        if path.exists():
            try:
                stored = json.loads(path.read_text())
                self.rows = {row['bug']: row for row in stored['rows']}
                self.stock = stored['stock']
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise errors.LabError(
                    f'{path} cannot be read ({error}): use another '
                    '--results, or delete it.') from error

    def part(self, bug: loader.Bug, part: str) -> Part | None:
        """Return the result of a part; None if it has to be run.

        :param bug: the bug
        :param part: one of PARTS
        """
        found: Part | None = self.rows.get(bug.name, {}).get(part)
        return (None if found and found['result'] == NOT_TESTED else found)

    def add(self, bug: loader.Bug, part: str, result: Part) -> None:
        """Store the result of a part."""
        row = self.rows.setdefault(bug.name, {})
        row |= {'bug': bug.name, 'kind': bug.kind, 'number': bug.number,
                'commit': bug.commit, 'services': list(bug.services),
                'effect': bug.effect, part: result}
        self.save()

    def save(self) -> None:
        """Write the file."""
        layout.write_json(self.path, {
            'stock': self.stock, 'rows': list(self.rows.values()),
            'totals': totals(self.rows.values())})


class Detection:
    """Runs the parts.

    :param run: puts bugs into nova's services
    :param topology: the hosts of the lab
    :param table: stores the results
    :param folder: folder for the results of the tests
    """

    def __init__(self, run: runner.Runner, topology: Topology, table: Table,
                 folder: pathlib.Path) -> None:
        self._run = run
        self._topology = topology
        self._table = table
        self._folder = folder
        # Round trips of unchanged nova after the last comparison: those
        # before the next one.
        self._before: list[pathlib.Path] = []

    def test(self, bug: loader.Bug, part: str) -> None:
        """Run one part for a bug, and store and print its result.

        :param bug: the bug
        :param part: one of PARTS
        """
        began_s = time.monotonic()
        if bug.storage not in ('', self._topology.storage):
            result = _part(SKIPPED, f'It takes a lab with --storage '
                           f'{bug.storage}.')
        else:
            try:
                result = getattr(self, f'_{part}')(bug)
            except Exception as error:
                # It must not cost the others.
                LOG.exception('Bug %s, %s', bug.name, part)
                result = _part(NOT_TESTED,
                               f'{type(error).__name__}: {error}')
        result['seconds'] = round(time.monotonic() - began_s)
        result['ended'] = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
        self._table.add(bug, part, result)
        print(f'  {part}: {result["result"]} {", ".join(result["by"])} '
              f'{result["text"]} ({result["seconds"]} s)', flush=True)

    def _new_folder(self, name: str, part: str) -> pathlib.Path:
        stamp = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
        return self._folder / name / f'{part}-{stamp}'

    def _ours(self, bug: loader.Bug) -> Part:
        """Run the smallest of our tests."""
        outcome = bugs.test(self._run, bug, self._new_folder(bug.name, OURS))
        return _part(str(outcome.result), outcome.text, outcome.checks,
                     outcome.fired)

    def _comparison(self, bug: loader.Bug) -> Part:
        """Compare round trips; a figure is worse if it is so in two looks.

        One look gives a false alarm in 5 of 100 comparisons.
        """
        worse: set[str] | None = None
        while True:
            before = self._before or self._unchanged()
            ran, fired = self._with(bug, ROUND_TRIPS, PROFILE, COMPARISON)
            if ran.failed:
                return _part(SEEN, 'the round trips fail',
                             ran.checks or ['test'], fired)
            self._before = self._unchanged()
            found = judgement.judge(
                store.read([*before, *self._before]), ran.results)
            now = {each.quantity
                   for each in found.with_outcome(judgement.WORSE)}
            confirmed = worse is not None
            worse = now if worse is None else worse & now
            if confirmed or not worse:
                return _part(SEEN if worse else PASSED,
                             compare.verdict(found), sorted(worse), fired)

    def _unchanged(self) -> list[pathlib.Path]:
        """Make round trips with unchanged nova, and return their results.

        :raises errors.LabError: they fail
        """
        ran = self._run.run_tests(ROUND_TRIPS, PROFILE,
                                  self._new_folder('unchanged', COMPARISON))
        if ran.failed or not ran.passed:
            raise errors.LabError(
                f'Round trips with unchanged nova fail: see {ran.folder}.')
        return sorted(ran.folder.glob(f'*{store.SUFFIX}'))

    def _stock(self, bug: loader.Bug) -> Part:
        """Run Tempest's own tests."""
        if self._table.stock is None:
            self._table.stock = sorted(self._run.run_tests(
                STOCK_TESTS, '', self._new_folder('unchanged', STOCK)).failed)
            self._table.save()
        ran, fired = self._with(bug, STOCK_TESTS, '', STOCK)
        failed = sorted({*ran.failed} - {*self._table.stock})
        if not ran.passed and not failed:
            raise errors.LabError(f'No test was run: see {ran.folder}.')
        return _part(SEEN if failed else PASSED,
                     f'{len(ran.passed)} tests passed', [
                         each.rpartition('.')[2].partition('[')[0]
                         for each in failed], fired)

    def _with(self, bug: loader.Bug, regex: str, profile: str, part: str
              ) -> tuple[runner.TestRun, int]:
        """Run tests with a bug; return them and the number of effects."""
        parts = [bug, *(bugs.choose(bug.needs) if bug.needs else ())]
        with self._run.activated([each.name for each in parts], {
                service for each in parts for service in each.services}):
            ran = self._run.run_tests(regex, profile,
                                      self._new_folder(bug.name, part))
            fired = [each for each in self._run.log() if (
                each.kind, each.name) == (loader.FIRED, bug.name)]
        return ran, len(fired)


def _part(result: str, text: str, by: collections.abc.Iterable[str] = (),
          fired: int = 0) -> Part:
    """Return the result of a part in its stored form."""
    return {'result': result, 'text': text, 'by': list(by), 'fired': fired}


def main(arguments: list[str]) -> int:
    """Run all parts for bugs, and print the table.

    :param arguments: command line arguments
    :returns: 0 if each bug is seen by our tests or the comparison, and none
        of the three parts raises a false alarm; 130 after a signal
    """
    options = _options(arguments)
    # Only a fault can show the bugs that have no test.
    chosen = [bug for bug in bugs.choose(options.name) if bug.test]
    paths = layout.Layout(layout.state_folder())
    table = Table(options.results or paths.workspace / 'detection.json')
    parts = options.only or PARTS
    # Part by part, so that comparisons follow each other and share the round
    # trips of unchanged nova.
    pending = [(bug, part) for part in parts for bug in chosen
               if options.again or table.part(bug, part) is None]
    topology = lifecycle.recorded(paths) or Topology()
    with runner.Runner(paths, topology) as run:
        refuse_stale(paths)
        detection = Detection(run, topology, table,
                              paths.workspace / 'detection')
        try:
            began_s = time.monotonic()
            for number, (bug, part) in enumerate(pending):
                left = ''
                if number:
                    hours = ((time.monotonic() - began_s) / number *
                             (len(pending) - number) / 3600)
                    left = f' (about {hours:.1f} h left)'
                print(f'{number + 1} of {len(pending)}: {bug.name}, {part} '
                      f'...{left}', flush=True)
                detection.test(bug, part)
        except utils.Interrupted:
            print('Interrupted: the same command goes on.')
            return INTERRUPTED
        finally:
            print_table(table)
    rows = [table.rows[bug.name] for bug in chosen]
    return 0 if all(map(is_right, rows)) else 1


def refuse_stale(paths: layout.Layout) -> None:
    """Refuse a cloud with a bug that an interrupted command has left.

    :param paths: paths of the lab
    :raises errors.LabError: there is one
    """
    names = loader.active(paths.cloud / loader.FOLDER)
    if names:
        raise errors.LabError(
            f'nova has a bug already ({", ".join(names)}): take it out with '
            'tools/run-lab.sh bugs --clear.')


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m bench.detection', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', nargs='*', metavar='NAME',
                        help='bugs, corrections and controls (default: all)')
    parser.add_argument('--only', action='append', choices=PARTS,
                        help='run only this part; may be given several times')
    parser.add_argument('--again', action='store_true',
                        help='run parts again that have a result')
    parser.add_argument('--results', type=pathlib.Path, metavar='FILE',
                        help="results (default: detection.json in the lab's "
                        'workspace)')
    return parser.parse_args(arguments)


def is_right(row: dict[str, typing.Any]) -> bool:
    """Return whether a bug is seen, or a control raises no alarm.

    :param row: a row of the table
    """
    results = {part: row[part]['result'] for part in PARTS if part in row}
    if SKIPPED in results.values():
        return True
    if row['kind'] == loader.DEFECT:
        return any(results.get(part) in ALARMS for part in (OURS, COMPARISON))
    return all(result == PASSED for result in results.values())


def print_table(table: Table) -> None:
    """Print the results, their totals, and where they are kept.

    :param table: the results
    """
    shown = rich.table.Table(show_lines=True)
    for name in COLUMNS:
        shown.add_column(name, overflow='fold')
    for row in table.rows.values():
        shown.add_row(*cells(row))
    console = rich.console.Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    console.print(shown)
    for line in totals(table.rows.values()):
        print(line)
    print(f'Kept in {table.path}')


def cells(row: dict[str, typing.Any]) -> list[str]:
    """Return the cells of a row of the table.

    :param row: a row
    """
    parts = [row.get(part) for part in PARTS]
    seconds = sum(each['seconds'] for each in parts if each)
    return [row['bug'], row['number'], row['commit'],
            ', '.join(row['services']), row['effect'] or row['kind'],
            ' / '.join(str(each['fired']) if each else '-'
                       for each in parts),
            *(_cell(each) for each in parts), f'{seconds / 60:.0f}',
            # Parts of a row may be days apart; old files have no times.
            ' / '.join(each.get('ended', '?') if each else '-'
                       for each in parts)]


def _cell(part: Part | None) -> str:
    if part is None:
        return '-'
    by = ', '.join(part['by'])
    return f'{part["result"]} ({by})' if by else str(part['result'])


def totals(rows: collections.abc.Iterable[dict[str, typing.Any]]
           ) -> list[str]:
    """Return one line for bugs, and one for controls and corrections.

    :param rows: rows of the table
    """
    lines = []
    of_kind: dict[bool, list[dict[str, typing.Any]]] = {True: [], False: []}
    for row in rows:
        of_kind[row['kind'] == loader.DEFECT].append(row)
    for are_bugs, found in of_kind.items():
        counts = []
        for part in PARTS:
            tested = [row[part]['result'] for row in found if part in row and
                      row[part]['result'] not in (SKIPPED, NOT_TESTED)]
            seen = sum(result in ALARMS for result in tested)
            counts.append(f'{part} {seen} of {len(tested)}')
        title = ('bugs seen' if are_bugs else
                 'false alarms in controls and corrections')
        lines.append(f'{title}: {", ".join(counts)}')
    return lines


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except errors.LabError as error:
        sys.exit(f'bench.detection: {error}')
