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
import os
import pathlib
import subprocess
import sys

import openstack
import rich.console
import rich.table
from tempest.lib import exceptions as lib_exc

from lab import errors
from lab.faults import injections
from lab.faults.scene import Outcome
from lab.faults.scene import Scene
from lab import fleet
from lab import layout
from lab import lifecycle
from lab.topology import Topology
from lm_tempest_plugin.cloud import api

SOURCE, DESTINATION = 'compute1', 'compute2'


def main(arguments: list[str]) -> int:
    """Inject faults and print the verdicts.

    :param arguments: names of faults; none for all
    :returns: 0 if every verdict is right and nothing is left over
    """
    paths = layout.Layout(layout.state_folder())
    topology = lifecycle.recorded(paths) or Topology()
    chosen = _choose(arguments, topology.storage)
    place = injections.Place(paths, SOURCE, DESTINATION)
    outcomes, failures = [], 0
    with api.use_microversion(api.MICROVERSION):
        scene = Scene(openstack.connect(), fleet.administrator(), place)
        for number, fault in enumerate(chosen, 1):
            print(f'{number} of {len(chosen)}: {fault.action} ...', flush=True)
            try:
                outcome = scene.play(fault)
            except (errors.LabError, lib_exc.TempestException,
                    openstack.exceptions.SDKException,
                    subprocess.CalledProcessError) as error:
                failures += 1
                print(f'  FAILED: {error}', flush=True)
                continue
            outcomes.append(outcome)
            failures += bool(outcome.errors)
            _tell(outcome)
    _print(outcomes)
    print(f'{len(chosen)} faults, {failures} with a wrong verdict or '
          'leftovers.')
    return 1 if failures else 0


def _choose(arguments: list[str], storage: str) -> list[injections.Fault]:
    known = [fault for fault in injections.FAULTS
             if storage in fault.storages]
    names = [fault.name for fault in known]
    parser = argparse.ArgumentParser(
        prog='run-lab.sh faults', description=sys.modules[
            'lab.faults'].__doc__)
    parser.add_argument('name', nargs='*', choices=[*names, []],
                        metavar='NAME', help=', '.join(names))
    wanted = parser.parse_args(arguments).name
    return [fault for fault in known if not wanted or fault.name in wanted]


def _tell(outcome: Outcome) -> None:
    """Print one outcome, with its evidence if it is wrong."""
    print(f'  {outcome.verdict}', flush=True)
    for error in outcome.errors:
        print(f'  WRONG: {error}', flush=True)
    if outcome.errors:
        print('  ' + '\n  '.join(outcome.verdict.evidence.lines()),
              flush=True)


def _print(outcomes: list[Outcome]) -> None:
    """Print the table."""
    table = rich.table.Table('INJECTED', 'VERDICT', 'SIGNATURE', 'CAUSE',
                             'GUEST ON', 'OTHERS', 'WRONG OR LEFT')
    for outcome in outcomes:
        table.add_row(
            outcome.fault.action, outcome.verdict.kind,
            outcome.verdict.signature or '-', outcome.verdict.cause,
            ', '.join(outcome.running_on) or 'none',
            ', '.join(other.kind for other in outcome.others) or '-',
            '; '.join(outcome.errors) or 'nothing')
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)


if __name__ == '__main__':
    os.chdir(pathlib.Path(__file__).parents[2])
    try:
        sys.exit(main(sys.argv[1:]))
    except errors.LabError as error:
        sys.exit(errors.tell(error))
