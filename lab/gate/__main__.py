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

"""Run the tests with base and change in turn, inside the lab.

``python -m lab.gate PLAN`` runs on the controller, with a plan of
:mod:`lab.gate.preparation` as JSON. The nova that ran before runs again at the
end, whatever happens.
"""

from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
import re
import signal
import sys
import time

from lab import cli
from lab import errors
from lab.gate import preparation
from lab.gate.preparation import Plan
from lab.gate import verdict
from lab import layout
from lab import lifecycle
from lab import reload
from lab.services import base
from lab.services import keystone
from lab.topology import Topology
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.commands import tempest_run
from lm_tempest_plugin.results import compare
from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import judgement
from lm_tempest_plugin.results import renderers
from lm_tempest_plugin.results import report
from lm_tempest_plugin.results import store
from lm_tempest_plugin.results import summary
from lm_tempest_plugin import utils

INTERRUPTED = 130
#: Limit for tests to delete their servers after a signal.
CLEANUP_S = 300.0
BASE, CHANGE = 'base', 'change'
#: Options of the pairs, beside those of the profile quick: the first round
#: trip has no figures, two have. The bounds are those of the jobs for slow
#: nodes (zuul.d): the comparison judges the outages, and the first ones after
#: a start of nova are longer.
PAIR_OPTIONS = """\
[live_migration_ha]
round_trips = 3
max_outage = 10
max_stall = 20
"""
#: Lines of progress of a run that are shown; the last are of signals.
SHOWN = ('test ', 'PROBLEM', 'SIG')


@dataclasses.dataclass
class Run:
    """Tests that ran with one nova.

    :ivar results: results of the tests; may be empty
    :ivar failed: ids of the tests that failed
    :ivar reason: first problem with its test, on one line; empty if all is
        well
    """

    results: store.Results
    failed: list[str]
    reason: str


class Gate:
    """Runs tests with base and change, and judges their results.

    :param lab: the lab, which is up
    :param plan: base and change
    :param signals: signals so far
    """

    def __init__(self, lab: base.Lab, plan: Plan,
                 signals: utils.SignalHandler) -> None:
        self._lab = lab
        self._plan = plan
        self._signals = signals
        self._folder = pathlib.Path(plan.folder)
        self._pairs = configuration.load_profile(preparation.QUICK)
        self._base_failed = False

    def run(self) -> verdict.Verdict:
        """Run all tests and return the verdict.

        :raises utils.Interrupted: after a signal
        """
        found = None
        if self._plan.profile != preparation.QUICK:
            found = self._run_profile()
        return found or self._compare()

    def _run_profile(self) -> verdict.Verdict | None:
        """Run the profile's tests on the change, and failed ones on the base.

        :returns: a verdict if they decide
        """
        plan = self._plan
        profile = configuration.load_profile(plan.profile)
        options = configuration.render(profile.options)
        say(f'Tests of profile {plan.profile} with the change.')
        try:
            done = self._test(CHANGE, 'tests', profile.regex, options)
        except errors.LabError as error:
            return fails(f'nova does not start: {error}')
        if not done.reason:
            return None
        if not done.failed:
            return fails(done.reason)
        say(f'{done.reason}. {document.count(len(done.failed), "test")} '
            f'failed; now with {plan.base_name}.')
        again = self._test(BASE, 'tests', '|'.join(
            re.escape(each.partition('[')[0]) for each in done.failed),
            options)
        if set(done.failed) <= set(again.failed):
            say(f'The same tests fail with {plan.base_name}.')
            return None
        return fails(done.reason)

    def _compare(self) -> verdict.Verdict:
        """Run pairs until the results decide, or the limit is reached."""
        plan = self._plan
        began_s = time.monotonic()
        found = verdict.Verdict(verdict.UNDECIDED, 'undecided: no pair ended')
        for number in range(1, plan.looks[-1] + 1):
            for side in (BASE, CHANGE) if number % 2 else (CHANGE, BASE):
                ended = self._run_block(side, number)
                if ended:
                    return ended
            spent_s = time.monotonic() - began_s
            pair_s = spent_s / number
            over = spent_s + pair_s > plan.limit_s
            if number in plan.looks or over:
                found = self._look(number)
                say(found.text)
            if over or found.outcome != verdict.UNDECIDED:
                break
            say(f'At most {(plan.looks[-1] - number) * pair_s / 60:.0f} '
                f'minutes left.')
        return found

    def _run_block(self, side: str,
                   number: int) -> verdict.Verdict | None:
        """Run one side of a pair.

        :returns: a verdict if this run decides
        """
        plan = self._plan
        began_s = time.monotonic()
        name = plan.base_name if side == BASE else 'the change'
        try:
            done = self._test(
                side, f'{number:02}', self._pairs.regex,
                configuration.render(self._pairs.options) + PAIR_OPTIONS)
        except errors.LabError as error:
            reason = f'nova does not start: {error}'
        else:
            reason = done.reason
            say(f'Pair {number} of at most {plan.looks[-1]}, {name}: '
                f'{medians(done.results)} '
                f'({time.monotonic() - began_s:.0f} s).')
        if not reason:
            return None
        if side == CHANGE and not self._base_failed:
            return fails(reason)
        say(f'With {name}: {reason}')
        if number == 1:
            return verdict.Verdict(verdict.UNDECIDED, (
                f'undecided: {plan.base_name} itself fails: {reason}'))
        self._base_failed = True
        return None

    def _look(self, number: int) -> verdict.Verdict:
        found = verdict.look(self.results(BASE), self.results(CHANGE),
                             len(self._plan.looks), self._plan.base_name)
        return dataclasses.replace(
            found, text=f'{found.text} '
                        f'({document.count(number, "pair")})')

    def results(self, side: str) -> store.Results:
        """Return the results of all pairs so far.

        :param side: ``base`` or ``change``
        """
        return store.read(sorted((self._folder / side).glob(
            f'[0-9]*/*{store.SUFFIX}')))

    def _test(self, side: str, name: str, regex: str, options: str) -> Run:
        """Run tests with one nova on all hosts.

        :param side: ``base`` or ``change``
        :param name: of the run, below the folder of the side
        :param regex: selects the tests
        :param options: text added to the lab's tempest.conf
        :raises errors.LabError: a service of nova does not come up
        :raises utils.Interrupted: after a signal
        """
        self._check_signals()
        paths = self._lab.paths
        venv = pathlib.Path(self._plan.base_venv if side == BASE
                            else self._plan.change_venv)
        try:
            reload.switch(self._lab, dict.fromkeys(
                (host.name for host in self._lab.topology.hosts), venv))
        finally:
            # Ctrl-C reaches the programs that it starts as well, and then
            # nova is not to blame.
            self._check_signals()
        folder = self._folder / side / name
        folder.mkdir(parents=True)
        log = folder / 'tempest.log'
        conf = paths.tempest_conf.with_name('tempest-gate.conf')
        layout.write(conf, '\n'.join((
            paths.tempest_conf.read_text(), options, '[live_migration_ha]',
            f'results_directory = {folder}', '')), mode=0o600)

        def tell(line: str) -> None:
            if line.startswith(SHOWN):
                say(f'  {line}')

        try:
            exit_code = tempest_run.follow(
                tempest_run.TempestRun(
                    tempest_run.command(regex), paths.workspace,
                    tempest_run.environment(conf), log),
                tempest_run.RunFollower(folder, log,
                                        tempest_run.RunProgress()),
                self._signals, tell, CLEANUP_S)
        finally:
            conf.unlink()
        self._check_signals()
        return judged(folder, log, exit_code)

    def _check_signals(self) -> None:
        if self._signals.count:
            raise utils.Interrupted(f'told to end by {self._signals.name}')


def judged(folder: pathlib.Path, log: pathlib.Path,
           exit_code: int | None) -> Run:
    """Return the outcome of tests that have ended.

    :param folder: with their results files
    :param log: output of ``tempest run``
    :param exit_code: of ``tempest run``
    """
    results = store.read(sorted(folder.glob(f'*{store.SUFFIX}')))
    ended = map(tempest_run.TEST_ENDED.fullmatch, map(
        str.strip, log.read_text(errors='replace').splitlines()))
    failed = [match['test'] for match in ended
              if match and match['outcome'] == 'FAILED']
    reason = verdict.first_problem(results)
    if not reason and failed:
        reason = f'{verdict.short(failed[0])} failed: see {log}'
    elif not reason and (exit_code or not results.migrations):
        reason = (f'no test migrated a server (exit code {exit_code}): see '
                  f'{log}')
    return Run(results, failed, reason)


def fails(reason: str) -> verdict.Verdict:
    """Return the verdict for a change with a problem."""
    return verdict.Verdict(verdict.FAILS, f'fails: {reason}')


def medians(results: store.Results) -> str:
    """Return the medians of measured migrations, in one line."""
    measured = verdict.without_warm_up(results).migrations
    found = {name: summary.values(measured, name)
             for name in verdict.QUANTITIES}
    return ', '.join(
        f'median {verdict.QUANTITIES[name]} '
        f'{document.number(estimates.median(values).value)} s'
        for name, values in found.items() if values.size) or 'no figures'


def page(plan: Plan, found: verdict.Verdict, base_results: store.Results,
         change_results: store.Results) -> document.Document:
    """Return the report.

    :param plan: base and change
    :param found: the verdict
    :param base_results: of all pairs
    :param change_results: of all pairs; without any, all of the change
    """
    try:
        made = compare.build(
            verdict.without_warm_up(base_results),
            verdict.without_warm_up(change_results),
            quantities=verdict.QUANTITIES)
    except judgement.NotComparable:
        made = report.build(change_results)
    return dataclasses.replace(
        made, title=f'{plan.change_name}, compared with {plan.base_name}',
        good=found.outcome == verdict.NO_WORSE, verdict=found.text,
        remarks=[
            'The first round trip after each start of nova has no figures.',
            f'Looks after {", ".join(map(str, plan.looks))} pairs at most. '
            f'No worse: worse by less than {verdict.smallest()}.',
            *made.remarks], data={
            'version': 1, 'kind': 'gate', 'outcome': found.outcome,
            'verdict': found.text, 'base': plan.base_name,
            'change': plan.change_name, 'looks': plan.looks,
            'results': made.data})


def say(text: str) -> None:
    """Print a line of progress with the time of day."""
    print(f'{time.strftime("%H:%M:%S")} {text}', flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run a gate, write its report, and start the nova of before.

    :param arguments: the plan as JSON
    :returns: exit code of the verdict, 130 after a signal
    :raises errors.LabError: the lab has servers, or the nova of before does
        not start
    """
    plan = Plan(**json.loads(arguments[0]))
    paths = layout.Layout(layout.state_folder())
    topology = lifecycle.recorded(paths) or Topology()
    lab = base.Lab(paths, topology)
    names = [server.name for server in keystone.connect(
        paths).compute.servers(all_projects=True)]
    if names:
        raise errors.LabError(
            f'The cloud has {document.count(len(names), "server")} '
            f'({", ".join(sorted(names))}), which the gate would disturb: '
            f'delete them first.')
    before = reload.current(paths, topology)
    if len(before) < len(topology.hosts):
        raise errors.LabError('The cloud that is up is older than this '
                              'checkout: tools/run-lab.sh down ends it.')
    with utils.SignalHandler() as signals:
        gate = Gate(lab, plan, signals)
        try:
            found = gate.run()
            code = found.exit_code
        except utils.Interrupted:
            found, code = None, INTERRUPTED
        finally:
            # Programs that it starts would end with Ctrl-C.
            for number in utils.SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            say('The nova that ran before is started again.')
            reload.switch(lab, before)
    if found is None:
        say('Interrupted: nothing was decided.')
        return code
    folder = pathlib.Path(plan.folder)
    results = gate.results(CHANGE)
    if not results.runs:
        results = store.read(sorted(folder.glob(
            f'{CHANGE}/*/*{store.SUFFIX}')))
    made = page(plan, found, gate.results(BASE), results)
    layout.write(folder / 'report.html', renderers.html(made))
    layout.write(folder / 'report.json', renderers.json(made))
    print(f'Report: {folder}/report.html')
    print(found.text)
    return code


if __name__ == '__main__':
    os.chdir(layout.REPOSITORY)
    try:
        STATUS = main(sys.argv[1:])
    except (errors.LabError, OSError) as error:
        errors.tell(error)
        STATUS = cli.NO_VERDICT
    except store.ResultsError as error:
        print(f'run-lab.sh: {error}', file=sys.stderr)
        STATUS = cli.NO_VERDICT
    except KeyboardInterrupt:
        STATUS = INTERRUPTED
    sys.exit(STATUS)
