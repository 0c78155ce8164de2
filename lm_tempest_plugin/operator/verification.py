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

"""A whole check of a cloud: make ready, run, report, clear away."""

from collections.abc import Collection
import dataclasses
import datetime
import pathlib
import time

from lm_tempest_plugin.operator import bootstrap
from lm_tempest_plugin.operator import configuration
from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import interrupts
from lm_tempest_plugin.operator import inventory
from lm_tempest_plugin.operator import leftovers
from lm_tempest_plugin.operator import options
from lm_tempest_plugin.operator import plan
from lm_tempest_plugin.operator import profiles
from lm_tempest_plugin.operator import progress
from lm_tempest_plugin.operator import reporting
from lm_tempest_plugin.operator import running
from lm_tempest_plugin.operator import workspace as workspaces

GOOD, BAD, INTERRUPTED = 0, 1, 130
# How often files and signals are looked at.
POLL_S = 0.5


@dataclasses.dataclass(frozen=True)
class Order:
    """What was asked for.

    :ivar cloud: its name in clouds.yaml
    :ivar wishes: what is to be used
    :ivar profile: what is to be run
    :ivar workspace: where files go
    :ivar keep: whether what was made stays
    :ivar page: path of the report; None for one beside the records
    :ivar cleanup_s: how long the tests may take to delete what they made
        when they are told to end
    """

    cloud: str
    wishes: bootstrap.Wishes
    profile: profiles.Profile
    workspace: workspaces.Workspace
    keep: bool = False
    page: pathlib.Path | None = None
    cleanup_s: float = 600.0


def verify(order: Order, say: bootstrap.Say) -> int:
    """Check a cloud.

    :param order: what was asked for
    :param say: called with a line for each thing that happens
    :returns: exit code: 0 if all was good, 1 if not, 130 if it was told to
        end
    :raises OperatorError: it cannot be done; what was made is deleted
    """
    reporting.check(order.page)
    order.workspace.check(order.workspace.verify_conf)
    with interrupts.Interrupts() as told:
        check = _Check(order, told, say)
        try:
            return check.run()
        except interrupts.Interrupted as exc:
            say('%s: it ends here.' % exc)
            return INTERRUPTED


class _Check:
    """One check of one cloud."""

    def __init__(self, order: Order, told: interrupts.Interrupts,
                 say: bootstrap.Say) -> None:
        self._order = order
        self._told = told
        self._say = say
        self._name = 'verify-%s' % datetime.datetime.now(
            datetime.UTC).strftime('%Y%m%dT%H%M%SZ')
        self._results = order.workspace.results(self._name)
        self._log = order.workspace.logs / (self._name + '.log')

    def run(self) -> int:
        """Return the exit code."""
        order = self._order
        with self._told.ending():
            self._prepared = bootstrap.prepare(
                order.cloud, order.wishes, order.workspace, order.profile)
            before = {each.identifier for each in
                      inventory.find(self._prepared.access)}
        try:
            code = self._test()
        finally:
            cleared = self._clear(before)
        if self._told.count:
            return INTERRUPTED
        return code if cleared else BAD

    def _test(self) -> int:
        """Make ready, run, and report."""
        order = self._order
        with self._told.ending():
            order.workspace.make()
            facts, _ = bootstrap.provide(
                self._prepared, order.profile.sizes, self._say)
            exclude = self._exclude(facts)
            self._configure(facts)
            conf = options.registered(order.workspace.verify_conf)
        for line in bootstrap.describe(facts):
            self._say(line)
        expected = plan.expected(
            conf, order.profile, exclude, facts.cloud.services['cinder'])
        self._say('Profile %s: %s. About %d live migrations; output of the '
                  'tests in %s' % (
                      order.profile.name, order.profile.about or 'tests',
                      expected, self._log))
        code = self._run(progress.Progress(expected), exclude)
        if self._told.count:
            return INTERRUPTED
        return self._report(code)

    def _exclude(self, facts: configuration.Facts) -> str:
        """Return the tests that cannot be run, as a regular expression."""
        if facts.storage:
            return ''
        self._say('Tests that ask for block migration by hand are left out, '
                  'since nobody said where disks are (--storage).')
        return plan.NEED_STORAGE

    def _configure(self, facts: configuration.Facts) -> None:
        """Write the configuration of this run alone."""
        order = self._order
        order.workspace.write(
            order.workspace.verify_conf, options.render(configuration.build(
                facts, order.workspace, order.profile.options,
                self._prepared.others, options.of(
                    DEFAULT={'resource_name_prefix': self._name},
                    live_migration_ha={
                        'results_directory': self._results,
                        'run_name': self._name}))))

    def _run(self, counted: progress.Progress, exclude: str) -> int:
        """Run Tempest, and return its exit code."""
        order = self._order
        run = running.Run(
            running.command(order.profile.regex, exclude),
            order.workspace.directory,
            running.environment(order.workspace.verify_conf), self._log)
        follower = progress.Follower(self._results, self._log, counted)
        try:
            return self._follow(run, follower)
        except BaseException:
            # Whatever it is, no test goes on without anybody to clear up.
            run.kill()
            raise

    def _follow(self, run: running.Run,
                follower: progress.Follower) -> int:
        """Tell what happens until it has ended."""
        seen, deadline = 0, float('inf')
        while True:
            code = run.wait(POLL_S)
            for line in follower.news():
                self._say(line)
            if code is not None:
                return code
            if self._told.count > seen:
                seen = self._told.count
                deadline = self._end(run, seen)
            if time.monotonic() > deadline:
                self._say('The tests have not ended: they are killed. What '
                          'they left behind is looked for; hosts whose '
                          'settings they changed are put back by '
                          '`tempest live-migration-ha recover`.')
                run.kill()
                return BAD

    def _end(self, run: running.Run, signals: int) -> float:
        """Tell the tests to end; return when they have to have ended."""
        if signals > 1:
            return 0.0
        # First of all: it is what was asked for.
        run.interrupt()
        self._say('%s: the test in hand ends and deletes what it made, which '
                  'may take up to %g s; once more, and it is killed.' % (
                      self._told.name, self._order.cleanup_s))
        return time.monotonic() + self._order.cleanup_s

    def _report(self, code: int) -> int:
        """Say what the run has found, and return the exit code."""
        page = self._order.page or self._results / 'report.html'
        try:
            good, text = reporting.report(
                self._results, page, 'Live migration in cloud %s, %s' % (
                    self._order.cloud, self._name))
        except errors.OperatorError as exc:
            self._say('There is no report: %s' % exc)
            good = False
        else:
            self._say(text)
            self._say('Report: %s; records: %s' % (page, self._results))
        if code:
            self._say('Tests failed, or none could be run (exit code %d of '
                      '`tempest run`): see %s' % (code, self._log))
        return GOOD if good and not code else BAD

    def _clear(self, before: Collection[str]) -> bool:
        """Delete what was made for this run; return whether it is gone."""
        self._say('%s is deleted; no signal ends that.' % (
            'What tests left behind' if self._order.keep
            else 'What was made'))
        kept = self._forget()
        deleted, stuck = leftovers.clear(self._prepared.access, self._name)
        for each in deleted:
            self._say('Left over by the tests: %s: deleted' % each)
        kept += stuck
        kept += self._remove(before)
        for each in kept:
            self._say('NOT deleted: %s' % each)
        if kept:
            self._say('NOT all was deleted: what is named %s* is of the '
                      'tests; the rest is deleted by `tempest '
                      'live-migration-ha bootstrap --os-cloud %s --delete`.' %
                      (self._name, self._order.cloud))
        return not deleted and not kept

    def _forget(self) -> list[str]:
        """Delete the file with the password; return what is in the way."""
        workspace = self._order.workspace
        if self._order.keep:
            return []
        return workspace.clear(workspace.verify_conf)[1]

    def _remove(self, before: Collection[str]) -> list[str]:
        """Delete what was made, and return what could not be, in words."""
        order = self._order
        if order.keep:
            self._say('What was made is kept: `tempest live-migration-ha '
                      'bootstrap --os-cloud %s --delete` deletes it, and %s, '
                      'which has the password.' % (
                          order.cloud, order.workspace.verify_conf))
            return []
        removal = inventory.remove(self._prepared.access, keep=before)
        for each in removal.deleted:
            self._say('%s: deleted' % each)
        return list(removal.kept)
