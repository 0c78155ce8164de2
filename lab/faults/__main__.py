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

"""Inject faults into the cloud and check the verdicts on them."""

import argparse
import collections.abc
import dataclasses
import os
import pathlib
import re
import sys
import time

import openstack
from oslo_log import log as logging
import rich.console
import rich.table

from lab import errors
from lab.faults import fault
from lab.faults.scene import Outcome
from lab.faults.scene import Scene
from lab import fleet
from lab import layout
from lab import lifecycle
from lab.topology import Topology
from lm_tempest_plugin.cloud import api

LOG = logging.getLogger(__name__)
SOURCE, DESTINATION = 'compute1', 'compute2'
#: Estimate of the time of one fault, until one was played.
SECONDS_EACH = 120.0
INTERRUPTED = 130
COLUMNS = ('FAULT', 'INJECTED', 'VERDICT', 'FAILED CHECKS', 'CAUSE', 'TRUTH',
           'WRONG OR LEFT', 'SECONDS')


@dataclasses.dataclass
class Table:
    """Results of the faults; each is printed and stored at once.

    :ivar path: the file
    :ivar rows: one for each fault
    :ivar failures: number of faults that are not told rightly
    :ivar skipped: number of faults that this lab cannot have
    """

    path: pathlib.Path
    rows: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    failures: int = 0
    skipped: int = 0

    def add(self, outcome: Outcome) -> None:
        """Add a fault that was judged."""
        self.failures += bool(outcome.errors)
        self._add(outcome.fault, str(outcome.verdict.kind),
                  ', '.join(outcome.failed) or '-',
                  outcome.verdict.cause or '; '.join(
                      problem.text for problem in outcome.problems) or '-',
                  str(outcome.truth), '; '.join(outcome.errors) or 'nothing',
                  f'{outcome.duration_s:.0f}')

    def add_failure(self, chosen: fault.Fault, text: str) -> None:
        """Add a fault that could not be played."""
        self.failures += 1
        self._add(chosen, 'none', '-', '-', '-', text, '-')

    def add_skipped(self, chosen: fault.Fault, text: str) -> None:
        """Add a fault that this lab cannot have."""
        self.skipped += 1
        self._add(chosen, 'skipped', '-', '-', '-', text, '-')

    def _add(self, chosen: fault.Fault, *cells: str) -> None:
        self.rows.append((chosen.name, chosen.action, *cells))
        layout.write_json(self.path, [
            dict(zip(COLUMNS, row, strict=True)) for row in self.rows])

    def print(self) -> None:
        """Print the table, and where it is kept."""
        table = rich.table.Table(show_lines=True)
        for name in COLUMNS:
            # UUIDs are longer than a column, and have to be whole.
            table.add_column(name, overflow='fold')
        for row in self.rows:
            table.add_row(*row)
        console = rich.console.Console(highlight=False, markup=False)
        if not console.is_terminal:
            console.width = 200
        console.print(table)
        print(f'{len(self.rows)} faults: {self.failures} with a wrong '
              f'verdict, a wrong check or leftovers, {self.skipped} skipped. '
              f'Kept in {self.path}')


def main(arguments: list[str]) -> int:
    """Inject faults and print the verdicts.

    :param arguments: names of faults; none for all
    :returns: 0 if everything is told rightly and nothing is left over, 130
        after Ctrl-C
    """
    known = fault.discover()
    options = _parse(arguments, [each.name for each in known])
    if options.list:
        for each in known:
            print(f'{each.name}: {each.action} ({" or ".join(each.storages)})')
        return 0
    paths = layout.Layout(layout.state_folder())
    topology = lifecycle.recorded(paths) or Topology()
    chosen = [each for each in known
              if not options.name or each.name in options.name]
    part, parts = options.part
    table = Table(paths.workspace / time.strftime(
        'faults-%Y%m%dT%H%M%SZ.json', time.gmtime()))
    with api.use_microversion(api.MICROVERSION):
        scene = Scene(openstack.connect(), fleet.administrator(), topology,
                      paths, SOURCE, DESTINATION)
        try:
            _play(scene, chosen[part - 1::parts], topology, table)
        except KeyboardInterrupt:
            # By now the fault is healed and the servers are deleted.
            print('Interrupted.')
            return INTERRUPTED
        finally:
            table.print()
    return 1 if table.failures else 0


def _parse(arguments: list[str], names: list[str]) -> argparse.Namespace:
    def part(text: str) -> tuple[int, int]:
        found = re.fullmatch(r'([1-9]\d*)/([1-9]\d*)', text)
        if not found or int(found[1]) > int(found[2]):
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a part such as 1/3')
        return int(found[1]), int(found[2])

    parser = argparse.ArgumentParser(
        prog='run-lab.sh faults', description=sys.modules[
            'lab.faults'].__doc__)
    parser.add_argument('--list', action='store_true',
                        help='print each fault, and inject none')
    parser.add_argument('--part', type=part, default=(1, 1), metavar='N/M',
                        help='inject only the Nth of M parts')
    parser.add_argument('name', nargs='*', choices=[*names, []],
                        metavar='NAME', help=', '.join(names))
    return parser.parse_args(arguments)


def _play(scene: Scene, chosen: collections.abc.Sequence[fault.Fault],
          topology: Topology, table: Table) -> None:
    """Play faults, one after the other."""
    began_s, played = time.monotonic(), 0
    for number, each in enumerate(chosen):
        mean_s = ((time.monotonic() - began_s) / played if played
                  else SECONDS_EACH)
        minutes = mean_s * (len(chosen) - number) / 60
        print(f'{number + 1} of {len(chosen)}: {each.name}: {each.action} '
              f'... (about {minutes:.0f} min left)', flush=True)
        try:
            if topology.storage not in each.storages:
                raise fault.Missing('It takes a lab with --storage '
                                    f'{" or ".join(each.storages)}.')
            outcome = scene.play(each)
        except fault.Missing as error:
            print(f'  skipped: {error}', flush=True)
            table.add_skipped(each, str(error))
            continue
        except Exception as error:
            # It may be a bug of the plugin, and must not cost the others.
            LOG.exception('Fault %s', each.name)
            played += 1
            text = f'{type(error).__name__}: {error}'
            print(f'  FAILED: {text}', flush=True)
            table.add_failure(each, text)
            scene.recover()
            continue
        played += 1
        _tell(outcome)
        table.add(outcome)


def _tell(outcome: Outcome) -> None:
    """Print one outcome, with its evidence if it is wrong."""
    print(f'  {outcome.verdict}', flush=True)
    for problem in outcome.problems:
        print(f'  {problem.check}: {problem.text}', flush=True)
    for error in outcome.errors:
        print(f'  WRONG: {error}', flush=True)
    if outcome.errors:
        print('  ' + '\n  '.join(outcome.verdict.evidence.lines()),
              flush=True)


if __name__ == '__main__':
    os.chdir(pathlib.Path(__file__).parents[2])
    try:
        sys.exit(main(sys.argv[1:]))
    except errors.LabError as error:
        sys.exit(errors.tell(error))
