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

"""tempest live-migration-ha verify: prepare, test, report and clean up."""

import argparse
from collections.abc import Collection
import dataclasses
import datetime
import pathlib
import time

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import cleanup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import preparation
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.commands import bootstrap
from lm_tempest_plugin.commands import common
from lm_tempest_plugin.commands import host_coverage
from lm_tempest_plugin.commands import tempest_run
from lm_tempest_plugin import config
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

CLEANUP_BOUNDS_S = (1.0, 86400.0)
GOOD, BAD, INTERRUPTED = 0, 1, 130
QUICK = 'quick'
# Their expectations depend on where the servers' disks are.
NEED_STORAGE = 'OldApiTest'
REPORT = 'lm_tempest_plugin.results.report'
# With the libraries that a page needs and that are imported late.
REPORT_MODULES = (REPORT, 'lm_tempest_plugin.results.renderers', 'jinja2',
                  'plotly')


class Verify(bootstrap.BuildCommand):
    """Live-migrate servers, judge the migrations, delete created resources.

    The exit code is 0 only if all tests passed and the report is good.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--profile', metavar='NAME_OR_FILE',
            help='tests to run: '
            f'{", ".join(configuration.profiles())}, or a file (default: '
            f'{host_coverage.PROFILE} with --hosts, else {QUICK})')
        parser.add_argument(
            '--keep', action='store_true',
            help='keep the created resources in the cloud')
        parser.add_argument(
            '-o', '--output', metavar='FILE',
            help='the report, an HTML page (default: report.html beside the '
            'results)')
        parser.add_argument(
            '--cleanup-timeout', metavar='SECONDS', default=600.0,
            type=common.seconds(*CLEANUP_BOUNDS_S),
            help='limit for the tests to delete their resources after a '
            'signal (default: %(default)g)')
        _add_coverage(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Verify a cloud.

        :returns: 0 if all is good, 1 if not, 130 after a signal
        :raises SetupError: the cloud or an argument does not allow it
        """
        hosts = _coverage(parsed_args)
        profile = parsed_args.profile or (
            host_coverage.PROFILE if hosts else QUICK)

        def say(text: str) -> None:
            self.say(text if '\n' in text
                     else f'{time.strftime("%H:%M:%S")} {text}')

        return Verification(
            cloud=parsed_args.os_cloud,
            wanted=bootstrap.cloud_arguments(parsed_args),
            profile=configuration.load_profile(profile),
            files=bootstrap.find_workspace(parsed_args),
            say=say, keep=parsed_args.keep,
            page=pathlib.Path(parsed_args.output).absolute()
            if parsed_args.output else None,
            cleanup_s=parsed_args.cleanup_timeout, coverage=hosts).run()


def _add_coverage(parser: argparse.ArgumentParser) -> None:
    """Add the arguments about the coverage of hosts."""
    group = parser.add_argument_group(
        'coverage of hosts', 'A server goes from each host to another one, so '
        'that each is known to send and to receive. The other arguments of '
        'this group need --hosts.')
    group.add_argument(
        '--hosts', metavar='HOSTS', nargs='+',
        help='hosts to cover: all, names of hosts, aggregate=NAME, az=NAME')
    group.add_argument(
        '--pairs', choices=config.HOST_PAIRS, default='',
        help='ring: each host sends once and receives once; all: each sends '
        'to each other one; release: between the versions of a rolling '
        'upgrade, in both directions (default: ring)')
    group.add_argument(
        '--at-once', metavar='NUMBER', type=int,
        help='maximum number of live migrations in the cloud at a time; each '
        'host takes part in one (default: 4)')
    group.add_argument(
        '--max-failures', metavar='NUMBER_OR_SHARE', default='',
        help='end when more planned migrations had a problem: a number, or a '
        'share such as 20%% (default: 50%%)')
    group.add_argument(
        '--canaries', action='store_true',
        help='build no servers: move only those of bootstrap --canaries')
    group.add_argument(
        '--resume', metavar='RESULTS_DIRECTORY', default='',
        help='go on where a run was ended; its results are kept there and '
        'no pair of hosts with a result is tried again')
    group.add_argument(
        '--dry-run', action='store_true',
        help='print groups of hosts, pairs, hosts that are left out, and the '
        'time; create and migrate nothing')


def _coverage(parsed_args: argparse.Namespace
              ) -> host_coverage.HostCoverage | None:
    """Return the coverage of hosts that is wanted; None for none.

    :raises SetupError: arguments contradict each other
    """
    fields = {each.name: getattr(parsed_args, each.name)
              for each in dataclasses.fields(host_coverage.HostCoverage)}
    if not parsed_args.hosts:
        given = [name for name, value in fields.items() if value]
        if given:
            raise setup.SetupError(
                f'--{given[0].replace("_", "-")} needs --hosts, such as '
                '--hosts all')
        return None
    fields['resume'] = (pathlib.Path(parsed_args.resume).absolute()
                        if parsed_args.resume else None)
    return host_coverage.HostCoverage(**fields)


@dataclasses.dataclass
class Verification:
    """One verification of one cloud.

    :ivar cloud: name of the cloud in clouds.yaml
    :ivar wanted: arguments about the cloud
    :ivar profile: tests to run
    :ivar files: the workspace
    :ivar say: called with each line of progress
    :ivar keep: whether created resources remain
    :ivar page: path of the report; None for one beside the results
    :ivar cleanup_s: limit for the tests to delete their resources after a
        signal, in seconds
    :ivar coverage: hosts to cover; None for other tests
    """

    cloud: str
    wanted: preparation.Arguments
    profile: configuration.Profile
    files: workspace.Workspace
    say: preparation.Say
    keep: bool = False
    page: pathlib.Path | None = None
    cleanup_s: float = 600.0
    coverage: host_coverage.HostCoverage | None = None

    def __post_init__(self) -> None:
        # Tempest puts it before the names of all resources of the tests.
        self._name = datetime.datetime.now(datetime.UTC).strftime(
            'verify-%Y%m%dT%H%M%SZ')
        # Those of a run that is resumed stay together with its results.
        self._results = (self.coverage and self.coverage.resume or
                         self.files.results(self._name))
        self._log = self.files.logs / f'{self._name}.log'

    def run(self) -> int:
        """Verify the cloud.

        :returns: exit code: 0 if all is good, 1 if not, 130 after a signal
        :raises SetupError: the cloud or an argument does not allow it;
            created resources are deleted
        :raises MissingLibrary: no report would be possible
        :raises OutputError: the report could not be written
        """
        # A run may take days. A missing library must not come out at its end.
        for name in () if self.coverage and self.coverage.dry_run else (
                REPORT_MODULES):
            utils.import_optional(name, common.EXTRA)
        if self.page is not None:
            common.check_output(self.page)
        self.files.check(self.files.verify_conf)
        with utils.SignalHandler() as self._signals:
            try:
                with self._signals.interruptible():
                    self._plan = preparation.prepare(
                        self.cloud, self.wanted, self.files, self.profile)
                    if self.coverage:
                        self.coverage.check(
                            self._plan, self.profile, self.say)
                        if self.coverage.dry_run:
                            return GOOD
                    # Of a run that was killed, all that it created goes.
                    before = self.files.load_before()
                    if before is None:
                        before = cleanup.marked_ids(self._plan.access)
                    self.files.save_before(before)
                try:
                    code = self._test()
                finally:
                    clean = self._clean_up(before)
            except utils.Interrupted as exc:
                self.say(f'The command was {exc}.')
                return INTERRUPTED
            if self._signals.count:
                return INTERRUPTED
        return code if clean else BAD

    def _test(self) -> int:
        """Prepare the cloud, run the tests, and report."""
        with self._signals.interruptible():
            self.files.create()
            target, _ = preparation.provide(
                self._plan, self.profile.sizes, self.say)
            merged = configuration.build(
                target, self.files, self.profile.options, self._plan.others,
                self.coverage.options() if self.coverage else {},
                configuration.convert(
                    DEFAULT={'resource_name_prefix': self._name},
                    live_migration_ha={'results_directory': self._results,
                                       'run_name': self._name}))
            self.files.write(
                self.files.verify_conf, configuration.render(merged))
            # The options of the cloud and of the profile may contradict.
            configuration.read_checked(self.files.verify_conf)
            exclude = ''
            if not target.storage:
                exclude = NEED_STORAGE
                self.say('Tests that request block migration explicitly are '
                         'left out, since nothing tells where disks are '
                         '(--storage).')
            command = tempest_run.command(self.profile.regex, exclude)
            variables = tempest_run.environment(self.files.verify_conf)
            tests = tempest_run.list_tests(
                command, self.files.directory, variables)
        self.say(f'Profile {self.profile.name}: '
                 f'{self.profile.about or "no description"}. Number of tests: '
                 f'{len(tests) or "unknown"}; output in {self._log}')
        follower = tempest_run.RunFollower(
            self._results, self._log, tempest_run.RunProgress(
                tests, self.coverage.open if self.coverage else 0))
        run = tempest_run.TempestRun(
            command, self.files.directory, variables, self._log)
        code = tempest_run.follow(
            run, follower,
            self._signals, self.say, self.cleanup_s)
        if code is None:
            self.say('The tests have not ended and were killed. Their '
                     'leftovers are deleted; if they changed settings of '
                     'hosts, `tempest live-migration-ha recover` restores '
                     'these.')
            return INTERRUPTED
        return INTERRUPTED if self._signals.count else self._report(code)

    def _report(self, code: int) -> int:
        """Print and write the report; return the exit code."""
        page = self.page or self._results / 'report.html'
        good = False
        try:
            report = utils.import_optional(REPORT, common.EXTRA).build(
                common.read([str(self._results)]),
                f'Live migration in cloud {self.cloud}, {self._name}')
            self.say(common.render(report, common.TEXT))
            common.write_output(page, common.render(report, common.HTML))
        except (store.ResultsError, common.OutputError) as exc:
            self.say(f'There is no report: {exc}')
        else:
            good = bool(report.good)
            self.say(f'Report: {page}; results: {self._results}')
        if self.coverage:
            covered = self.coverage.conclude(self._results, self.say)
            # The report of a run that was ended has servers without verdict.
            good = covered and (good or self.coverage.resume is not None)
        if code:
            self.say('Tests failed, or none was run (exit code of `tempest '
                     f'run`: {code}): see {self._log}')
        return GOOD if good and not code else BAD

    def _clean_up(self, before: Collection[str]) -> bool:
        """Delete leftovers and created resources.

        :param before: ids of resources that existed before
        :returns: whether nothing is left, and the tests left nothing behind
        """
        self.say('Deleting leftovers of the tests'
                 f'{"" if self.keep else " and created resources"}; no '
                 'signal stops this.')
        # The file with the password goes first, whatever the cloud answers.
        kept = [] if self.keep else self.files.delete(
            self.files.verify_conf)[1]
        leftovers = cleanup.delete_leftovers(self._plan.access, self._name)
        for each in leftovers.deleted:
            self.say(f'Leftover of the tests: {each}: deleted')
        kept += leftovers.kept
        delete = (f'`tempest live-migration-ha bootstrap --os-cloud '
                  f'{self.cloud} --delete`')
        if self.keep:
            self.say('Created resources are kept: '
                     f'{delete} deletes them and {self.files.verify_conf}, '
                     'which contains the password.')
        else:
            created = cleanup.delete_marked(self._plan.access, keep=before)
            preparation.report_deletion(self.say, created.deleted, ())
            kept += created.kept
        preparation.report_deletion(self.say, (), kept)
        if self.keep or not kept:
            self.files.forget_before()
        if kept:
            self.say(f'NOT everything was deleted. Names of test resources '
                     f'begin with {self._name}; {delete} deletes the '
                     'others.')
        return not leftovers.deleted and not kept
