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

import datetime
import json
import os
import pathlib
import signal
import sys
import threading
from unittest import mock

import fixtures

import lm_tempest_plugin
from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import preparation
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.commands import bootstrap
from lm_tempest_plugin.commands import common
from lm_tempest_plugin.commands import host_coverage
from lm_tempest_plugin.commands import tempest_run
from lm_tempest_plugin.commands import verify
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes
from lm_tempest_plugin import utils

# Stands in for `tempest run`: writes the files that its configuration names.
TEMPEST = """
import configparser, os, signal, sys, time
from lm_tempest_plugin.tests.unit.commands import test_tempest_run
from lm_tempest_plugin.tests.unit.results import builders
how = sys.argv[1]
if '--list-tests' in sys.argv:
    print('a.b.C.test_drain[id-1,slow]', 'a.b.C.test_other', sep='\\n')
    sys.exit(0)
if how == 'deaf':
    signal.signal(signal.SIGINT, signal.SIG_IGN)
conf = configparser.RawConfigParser()
conf.read(os.path.join(
    os.environ['TEMPEST_CONFIG_DIR'], os.environ['TEMPEST_CONFIG']))
own = conf['live_migration_ha']
if how != 'nothing':
    builders.write(own['results_directory'], '{run_name}-{0}'.format(
        os.getpid(), **own), [
        test_tempest_run.drain_started(server_ids=('server-0',), servers=1),
        builders.ended(duration_s=9.25),
        builders.failed() if how == 'bad' else builders.migration(),
        builders.drain(servers=1)])
if how == 'covers':
    with open(os.path.join(own['results_directory'], 'hosts.json'), 'w') as f:
        f.write(os.environ['VERDICTS'])
print('{0} a.b.C.test_drain [1.00s] ...',
      'FAILED' if how == 'bad' else 'ok', flush=True)
if how in ('waits', 'deaf'):
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print('deleted what was made', flush=True)
        sys.exit(1)
sys.exit(0 if how in ('good', 'nothing', 'covers') else 1)
"""


class VerifyTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.workspace = workspace.Workspace(self.folder / 'workspace')
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.connection.go_external()
        self.image = self.folder / 'guest.img'
        self.image.write_bytes(b'QFI\xfb and so on')
        self.said = []
        self.when = {}
        self.how = 'good'
        self.arguments = []
        self.patch(discovery, 'connect', lambda cloud: self.access)
        self.patch(tempest_run, 'command', self.command)
        self.patch(tempest_run, 'POLL_S', 0.05)
        # Each verification has a second of its own, which is its name.
        self.patch(verify, 'datetime', mock.Mock(UTC=datetime.UTC, **{
            'datetime.now.side_effect': (
                datetime.datetime(2026, 1, 1, second=second,
                                  tzinfo=datetime.UTC)
                for second in range(60))}))
        self.useFixture(fixtures.EnvironmentVariable(
            'PYTHONPATH', str(pathlib.Path(
                lm_tempest_plugin.__file__).parent.parent)))
        for number in utils.SIGNALS:
            self.addCleanup(signal.signal, number, signal.signal(
                number, signal.default_int_handler))

    def patch(self, where, name, value):
        self.useFixture(fixtures.MockPatchObject(where, name, value))

    def command(self, *arguments):
        self.arguments.append(arguments)
        return [sys.executable, '-c', TEMPEST, self.how]

    def say(self, text):
        self.said.append(text)
        for word, act in list(self.when.items()):
            if word in text:
                del self.when[word]
                act()

    def verify(self, how='good', **changes):
        self.how = how
        wanted = {'image': str(self.image), 'storage': 'block',
                  **changes.pop('wanted', {})}
        return verify.Verification(**{
            'cloud': 'here', 'wanted': preparation.Arguments(**wanted),
            'profile': configuration.load_profile('quick'),
            'files': self.workspace, 'say': self.say, **changes}).run()

    def cover(self, how='covers', verdicts=(('alpha', 'good', 'good'),),
              **fields):
        """Verify hosts; return the exit code.

        :param verdicts: what the tests find: host, sends, receives
        """
        self.useFixture(fixtures.EnvironmentVariable('VERDICTS', json.dumps([
            {'host': host, 'sends': sends, 'receives': receives,
             'cause': '' if sends == receives == 'good' else 'a port'}
            for host, sends, receives in verdicts])))
        return self.verify(
            how, profile=configuration.load_profile('hosts'),
            coverage=host_coverage.HostCoverage(
                **{'hosts': ['all'], **fields}))

    def text(self):
        return '\n'.join(self.said)

    def assert_clear(self):
        """Nothing is left, neither in the cloud nor of the password."""
        self.assertEqual(['public'], [
            each.name for each in
            self.connection.network.all_networks.values()])
        for store in (self.connection.compute.all_flavors,
                      self.connection.image.all_images,
                      self.connection.network.all_routers,
                      self.connection.network.all_groups):
            self.assertEqual({}, dict(store))
        self.assertFalse(self.workspace.verify_conf.exists())
        for path in self.workspace.directory.rglob('*'):
            if path.is_file():
                self.assertNotIn(fakes.PASSWORD, path.read_text())

    def test_all_is_good(self):
        self.assertEqual(0, self.verify())
        self.assert_clear()
        text = self.text()
        for said in ('Number of tests: 2',
                     'drain-1: 1 server from compute1 to compute2, window of '
                     '2, round trip 1 (block, tunnelled off)',
                     'server server-0, compute1 to compute2: completed after '
                     '9.2 s (1 of 1 in drain-1, 1 in all)',
                     'test test_drain: ok (1 of 2)',
                     '1 of 1 migration as expected', 'Report: '):
            self.assertIn(said, text)
        self.assertNotIn(fakes.PASSWORD, text)
        page, = self.workspace.directory.rglob('report.html')
        self.assertIn('Live migration in cloud here, verify-',
                      page.read_text())
        self.assertEqual(
            [('live_migration_ha.*test_drain_in_window', '')],
            self.arguments)

    def test_a_test_fails(self):
        self.assertEqual(1, self.verify('bad'))
        self.assert_clear()
        self.assertIn('PROBLEM: server guest-0', self.text())
        self.assertIn('Tests failed', self.text())

    def test_nothing_was_moved(self):
        self.assertEqual(1, self.verify('nothing'))
        self.assert_clear()
        self.assertIn('There is no report: ', self.text())

    def test_what_was_there_before_stays(self):
        bootstrap.create(
            'here', preparation.Arguments(image=str(self.image)),
            self.workspace, self.said.append)
        flavors = dict(self.connection.compute.all_flavors)
        # The workspace remembers the arguments.
        self.assertEqual(0, self.verify(wanted={'image': ''}))
        self.assertEqual(flavors, dict(self.connection.compute.all_flavors))
        self.assertEqual(1, len(self.connection.image.all_images))
        self.assertTrue(self.workspace.tempest_conf.exists())

    def test_keep(self):
        self.assertEqual(0, self.verify(keep=True))
        self.assertEqual(3, len(self.connection.compute.all_flavors))
        self.assertTrue(self.workspace.verify_conf.exists())
        self.assertIn('bootstrap --os-cloud here --delete', self.text())
        bootstrap.delete('here', self.workspace, self.said.append)
        self.assert_clear()

    def test_keep_does_not_keep_what_tests_left_over(self):
        self.leave_over()
        self.assertEqual(1, self.verify(keep=True))
        self.assertIn('Leftover of the tests: user verify-', self.text())
        self.assertEqual({}, dict(self.connection.identity.all_users))
        self.assertEqual(3, len(self.connection.compute.all_flavors))

    def test_storage_is_not_known(self):
        self.verify(wanted={'storage': ''})
        self.assertEqual('OldApiTest', self.arguments[0][1])
        self.assertIn('are left out', self.text())

    def test_servers_deployed_by_heat(self):
        before = self.connection.writes()
        exc = self.assertRaises(setup.SetupError, self.verify,
                                wanted={'deploy_by': 'heat'})
        self.assertIn('Heat has to deploy the servers, but there is no '
                      'service orchestration', str(exc))
        self.assertEqual(before, self.connection.writes())
        self.connection.catalog.add('orchestration')
        self.connection.orchestration = mock.Mock()
        self.connection.orchestration.stacks.return_value = []
        self.assertEqual(0, self.verify(wanted={'deploy_by': 'heat'}))

    def test_settings_of_hosts_without_known_storage(self):
        path = self.folder / 'hosts.conf'
        path.write_text('[live_migration_ha_hosts]\nssh_user = root\n')
        before = self.connection.writes()
        exc = self.assertRaises(
            setup.SetupError, self.verify,
            profile=configuration.load_profile('osic'),
            wanted={'storage': '', 'config': str(path)})
        self.assertIn('give --storage block or --storage shared', str(exc))
        self.assertEqual(before, self.connection.writes())
        path.write_text(path.read_text() +
                        '[live_migration_ha]\nstorage = shared\n')
        self.assertEqual(0, self.verify(
            profile=configuration.load_profile('osic'),
            wanted={'storage': '', 'config': str(path)}))

    def test_a_report_elsewhere(self):
        page = self.folder / 'mine.html'
        self.assertEqual(0, self.verify(page=page))
        self.assertTrue(page.exists())

    def test_a_report_that_cannot_be_written(self):
        exc = self.assertRaises(common.OutputError, self.verify,
                                page=self.folder / 'no' / 'mine.html')
        self.assertIn('there is no directory', str(exc))
        self.assertEqual([], self.arguments)

    def test_the_cloud_refuses_while_things_are_made(self):
        self.connection.network.tag_error = fakes.forbidden()
        exc = self.assertRaises(setup.SetupError, self.verify)
        self.assertIn('(HTTP 403)', str(exc))
        self.assert_clear()
        self.assertEqual([], self.arguments)

    def test_told_to_end_while_tests_run(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.workspace = workspace.Workspace(self.folder / number.name)
            self.when['test test_drain'] = (
                lambda number=number: os.kill(os.getpid(), number))
            self.assertEqual(130, self.verify('waits'))
            self.assert_clear()
            self.assertIn(f'{number.name}: the current test ends',
                          self.text())
            log, = self.workspace.logs.glob('*.log')
            self.assertIn('deleted what was made', log.read_text())

    def test_tests_are_told_before_anybody_else_is(self):
        told = []
        self.patch(tempest_run.TempestRun, 'interrupt',
                   lambda run: told.append(run))
        self.when['test test_drain'] = lambda: os.kill(
            os.getpid(), signal.SIGINT)
        self.when['the current test'] = lambda: self.assertEqual(
            1, len(told))
        self.assertEqual(130, self.verify('waits', cleanup_s=0.1))

    def test_told_twice(self):
        self.when['test test_drain'] = lambda: os.kill(
            os.getpid(), signal.SIGINT)
        self.when['the current test'] = lambda: threading.Timer(
            0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        self.assertEqual(130, self.verify('deaf'))
        self.assert_clear()
        self.assertIn('were killed', self.text())

    def test_tests_that_do_not_end(self):
        self.when['test test_drain'] = lambda: os.kill(
            os.getpid(), signal.SIGINT)
        self.assertEqual(130, self.verify('deaf', cleanup_s=0.2))
        self.assert_clear()
        self.assertIn('were killed', self.text())

    def test_told_to_end_while_things_are_made(self):
        self.when['flavor lm.small'] = lambda: os.kill(
            os.getpid(), signal.SIGINT)
        self.assertEqual(130, self.verify())
        self.assert_clear()
        self.assertEqual([], self.arguments)
        self.assertIn('The command was told to end by SIGINT.', self.text())

    def test_told_to_end_while_an_image_is_uploaded(self):
        self.connection.image.meanwhile = lambda: os.kill(
            os.getpid(), signal.SIGINT)
        self.assertEqual(130, self.verify())
        self.assert_clear()
        self.assertIn('The command was told to end by SIGINT.', self.text())

    def test_told_to_end_before_anything_is_made(self):
        before = self.connection.writes()
        self.patch(discovery, 'connect', lambda cloud: os.kill(
            os.getpid(), signal.SIGTERM))
        self.assertEqual(130, self.verify())
        self.assertEqual(before, self.connection.writes())

    def test_signals_while_it_is_cleared_away(self):
        self.when['Deleting leftovers'] = lambda: os.kill(
            os.getpid(), signal.SIGINT)
        self.assertEqual(130, self.verify())
        self.assert_clear()

    def leave_over(self):
        self.when['test test_drain'] = lambda: (
            self.connection.identity.all_users.add(
                name=next(
                    each for each in self.said if each.startswith(
                        'Profile')).rpartition('/')[2][:-4] + '-user'))

    def test_what_the_tests_left_over(self):
        self.leave_over()
        self.assertEqual(1, self.verify())
        self.assertIn('Leftover of the tests: user verify-', self.text())
        self.assertEqual({}, dict(self.connection.identity.all_users))

    def test_what_cannot_be_deleted(self):
        self.when['test test_drain'] = lambda: (
            self.connection.compute.all_servers.add(
                name='theirs', flavor_id='flavor-1'))
        self.assertEqual(1, self.verify())
        self.assertIn('NOT deleted: flavor lm.small', self.text())

    def test_a_service_is_gone_in_the_end(self):
        self.when['test test_drain'] = lambda: self.patch(
            self.connection.compute, 'servers', self.gone)
        self.assertEqual(1, self.verify())
        for said in ('NOT deleted: servers, if there are any: cloud here',
                     'NOT deleted: flavor lm.small', 'NOT deleted: image',
                     'NOT everything was deleted'):
            self.assertIn(said, self.text())
        self.assertFalse(self.workspace.verify_conf.exists())
        self.assertEqual({}, dict(self.connection.network.all_routers))

    def gone(self, **query):
        raise fakes.forbidden()

    def test_a_file_that_cannot_be_deleted(self):
        self.when['Deleting leftovers'] = lambda: self.patch(
            workspace.Workspace, 'delete',
            lambda files, *paths: ([], ['it is stuck']))
        self.assertEqual(1, self.verify())
        self.assertIn('NOT deleted: it is stuck', self.text())
        self.assertEqual({}, dict(self.connection.compute.all_flavors))

    def test_an_error_of_our_own_ends_the_child(self):
        started = []

        class Remembered(tempest_run.TempestRun):
            def __init__(self, *args):
                super().__init__(*args)
                started.append(self._child.pid)

        self.patch(tempest_run, 'TempestRun', Remembered)
        self.when['test test_drain'] = lambda: (
            resources.provide_image(None, '', ''))
        self.assertRaises(AttributeError, self.verify, 'waits')
        self.assertEqual([], tempest_run.group_members(started[0]))
        self.assert_clear()

    def test_a_missing_library(self):
        def load(name):
            raise ModuleNotFoundError('No module', name='scipy')

        with fixtures.MonkeyPatch('importlib.import_module', load):
            exc = self.assertRaises(utils.MissingLibrary, self.verify)
        self.assertEqual('scipy is not installed: pip install '
                         'lm-tempest-plugin[report]', str(exc))
        self.assertEqual([], self.said)

    def test_an_altered_results_file(self):
        self.when['test test_drain'] = self.alter
        self.assertEqual(1, self.verify())
        self.assertIn('There is no report: ', self.text())
        self.assertIn('altered', self.text())

    def alter(self):
        path, = self.workspace.directory.rglob('verify-*.jsonl')
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b''.join(lines[:1] + lines[2:]))

    def test_hosts(self):
        self.assertEqual(0, self.cover())
        self.assert_clear()
        self.assertEqual([('live_migration_ha.*test_hosts', '')],
                         self.arguments)
        for said in ('Group nova, x86_64, QEMU, EPYC: 2 hosts (alpha, beta)',
                     'Live migrations: 2, up to 4 at a time',
                     '(1 of 1 in drain-1, 1 in all of 2 planned, about 1 min '
                     'left)', 'alpha  good   good',
                     'Hosts without problems: 1 of 1'):
            self.assertIn(said, self.text())

    def test_options_of_hosts(self):
        written = []
        self.patch(tempest_run, 'list_tests', lambda *args: written.append(
            self.workspace.verify_conf.read_text()) or [])
        self.assertEqual(0, self.cover(
            hosts=['alpha', 'beta'], pairs='all', at_once=3,
            max_failures='10%'))
        for line in ('hosts = alpha,beta', 'pairs = all', 'at_once = 3',
                     'max_failures = 10%'):
            self.assertIn(f'\n{line}\n', written[0])

    def test_a_host_that_is_bad(self):
        self.assertEqual(1, self.cover(verdicts=(
            ('beta', 'good', 'problems'), ('alpha', 'good', 'good'))))
        self.assertIn('beta   good   problems  a port', self.text())
        self.assertIn('Hosts without problems: 1 of 2', self.text())

    def test_no_verdicts_on_hosts(self):
        self.assertEqual(1, self.cover('good'))
        self.assertIn('No host was covered.', self.text())

    def test_verdicts_on_no_host(self):
        self.assertEqual(1, self.cover(verdicts=()))
        self.assertIn('Hosts without problems: 0 of 0', self.text())

    def test_a_plan_alone(self):
        before = self.connection.writes()
        self.assertEqual(0, self.cover(dry_run=True))
        self.assertEqual((before, []), (
            self.connection.writes(), self.arguments))
        self.assertIn('  alpha to beta', self.said)
        self.assertFalse(self.workspace.directory.exists())

    def test_hosts_that_cannot_be_covered(self):
        before = self.connection.writes()
        exc = self.assertRaises(setup.SetupError, self.cover, hosts=['x'])
        self.assertEqual("cloud here: no compute host matches 'x'; there "
                         'are: alpha, beta', str(exc))
        self.assertEqual((before, []), (
            self.connection.writes(), self.arguments))

    def test_resumed(self):
        for each, host in zip(
                self.connection.compute.all_services.values(),
                ('compute1', 'compute2')):
            each.host = host
        self.connection.placement.answers['/allocation_candidates'] = {
            'allocation_requests': [
                {'allocations': {'provider-compute1': {},
                                 'provider-compute2': {}}}]}
        self.assertEqual(1, self.cover('bad'))
        results, = (self.workspace.directory / 'results').iterdir()
        name, _, number = next(results.glob('*.jsonl')).stem.rpartition('-')
        self.connection.identity.all_users.add(name=f'{name}-user')
        self.connection.identity.all_users.add(name='verify-other')
        self.said.clear()
        # The report of the ended run has problems that do not count again.
        self.assertEqual(0, self.cover(resume=results))
        self.assertEqual(2, len(list(results.glob('*.jsonl'))))
        self.assertIn(f'user {name}-user', self.text())
        self.assertEqual(['verify-other'], [
            each.name for each in
            self.connection.identity.all_users.values()])
        # Its lines are no news.
        self.assertEqual(1, self.text().count('server server-0, compute1'))

    def test_what_a_killed_run_has_created_is_deleted(self):
        plan = preparation.prepare(
            'here', preparation.Arguments(image=str(self.image)),
            self.workspace)
        bootstrap.create(
            'here', preparation.Arguments(image=str(self.image)),
            self.workspace, self.said.append)
        self.workspace.save_before(['flavor-1'])
        self.assertEqual(0, self.verify())
        self.assertEqual(['flavor-1'], list(
            self.connection.compute.all_flavors))
        self.assertIsNone(self.workspace.load_before())
        self.assertEqual('here', plan.access.cloud)

    def test_bootstrap_keeps_what_a_killed_run_has_created(self):
        self.workspace.save_before([])
        bootstrap.create(
            'here', preparation.Arguments(image=str(self.image)),
            self.workspace, self.said.append)
        self.assertEqual(0, self.verify())
        self.assertEqual(3, len(self.connection.compute.all_flavors))


class ArgumentsTest(base.TestCase):

    def parse(self, *arguments):
        command = verify.Verify(mock.Mock(), None)
        return command.get_parser('verify').parse_args(
            ['--os-cloud', 'here', *arguments])

    def test_no_coverage(self):
        self.assertIsNone(verify._coverage(self.parse()))

    def test_coverage(self):
        self.assertEqual(
            host_coverage.HostCoverage(
                ['a', 'az=b'], pairs='all', at_once=3, canaries=True,
                resume=pathlib.Path('/tmp/results'), dry_run=True),
            verify._coverage(self.parse(
                '--hosts', 'a', 'az=b', '--pairs', 'all', '--at-once', '3',
                '--canaries', '--resume', '/tmp/results', '--dry-run')))

    def test_without_hosts(self):
        for arguments, name in ((['--dry-run'], '--dry-run'),
                                (['--at-once', '2'], '--at-once'),
                                (['--max-failures', '2'], '--max-failures'),
                                (['--resume', 'x'], '--resume')):
            exc = self.assertRaises(setup.SetupError, verify._coverage,
                                    self.parse(*arguments))
            self.assertEqual(f'{name} needs --hosts, such as --hosts all',
                             str(exc))
