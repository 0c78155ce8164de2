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

import argparse
from concurrent import futures
import functools
import io
import logging
import pathlib
import signal
import types
from unittest import mock

import fixtures
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import clients
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.commands import reports
from lm_tempest_plugin.commands import screen
from lm_tempest_plugin.commands import watch
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.migration import cloud_poller
from lm_tempest_plugin.migration import late_probes
from lm_tempest_plugin.migration import watching
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes as setup_fakes
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import simulation
from lm_tempest_plugin.tests.unit.migration import test_watching


class WatchTestCase(base.TestCase):
    """Watches a simulated cloud, by its clock."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.files = workspace.Workspace(self.folder / 'workspace')
        self.cloud = simulation.Cloud(3, limit=2)
        self.cloud.list_versions = mock.Mock(return_value={'versions': [
            {'id': 'v2.1', 'min_version': '2.1', 'version': '2.96'}]})
        self.cloud.list_hypervisors = mock.Mock(return_value={
            'hypervisors': [{
                'id': f'uuid-of-{host}', 'service': {'host': host},
                'hypervisor_type': 'QEMU', 'hypervisor_version': 10000002}
                for host in ('alpha', 'beta')]})
        simulation.use_clock(self, self.cloud.clock)
        self.patch(watching, 'time', self.cloud.clock)
        self.patch(futures, 'ThreadPoolExecutor', test_watching.AtOnce)
        self.patch(cloud_poller, 'CloudPoller', functools.partial(
            cloud_poller.CloudPoller, clock=self.cloud.clock.monotonic_ns,
            sleep=self.pause))
        self.patch(watch, 'time', self.cloud.clock)
        self.access = setup_fakes.cloud()
        self.patch(discovery, 'connect', lambda cloud: self.access)
        self.provider = types.SimpleNamespace(requests=0)
        self.patch(clients, 'create', lambda access: (
            self.cloud.clients, self.provider))
        self.said = []
        self.pauses = 0
        # By the number of the pause: what others do then.
        self.others = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.signal(
                number, signal.default_int_handler))

    def pause(self, seconds):
        self.pauses += 1
        self.cloud.clock.sleep(seconds)
        for act in self.others.get(self.pauses, ()):
            act()

    def migrate(self, number, host='beta'):
        return lambda: self.cloud.live_migrate_server(
            f'server-{number}', host=host)

    def kill(self, number=signal.SIGINT):
        return lambda: signal.raise_signal(number)

    def watch(self, **changes):
        """Return the exit code of a watch."""
        changes.setdefault('timeout_s', 60)
        return watch.WatchSession(
            cloud='here', files=self.files, shown=screen.Screen(
                io.StringIO(), self.said.append,
                self.cloud.clock.monotonic), **changes).run()

    def refused(self, **changes):
        exc = self.assertRaises(setup.SetupError, self.watch, **changes)
        return str(exc)

    @property
    def text(self):
        return '\n'.join(self.said)

    def results(self):
        return store.read(self.files.directory.glob('results/*/*.jsonl'))


class OutcomeTest(WatchTestCase):

    def test_all_is_good(self):
        self.others = {2: [self.migrate(0), self.migrate(1)]}
        self.assertEqual(watch.GOOD, self.watch())
        self.assertIn('judged: 2 (2 completed); with problems: none',
                      self.text)
        self.assertIn('Seen: live migration of server server-0 (guest-0) '
                      'from alpha', self.text)
        self.assertIn('server server-0 from alpha to beta: completed after',
                      self.text)
        self.assertIn('without access to hosts', self.text)
        self.assertEqual(2, len(self.results().migrations))

    def test_guests_that_do_not_answer(self):
        self.patch(icmp, 'IcmpProber', mock.Mock())
        self.patch(late_probes, 'start', lambda *args: ('', None))
        self.others = {2: [self.migrate(0)]}
        self.assertEqual(watch.GOOD, self.watch(probed='fixed'))
        self.assertIn('not probed: no fixed address answered this machine',
                      self.text)

    def test_guests_that_nobody_probes(self):
        self.others = {2: [self.migrate(0)]}
        self.watch()
        self.assertNotIn('not probed', self.text)

    def test_its_load_on_the_apis(self):
        def count():
            self.provider.requests += 93

        self.others = {5: [count]}
        self.watch(timeout_s=60)
        self.assertIn('Requests to the APIs: 93 in 60 s, 1.6 a second',
                      self.text)

    def test_nothing_happens(self):
        self.assertEqual(watch.GOOD, self.watch())
        self.assertIn('judged: 0; with problems: none', self.text)
        self.assertNotIn('Results:', self.text)

    def test_a_problem(self):
        self.cloud.outcomes['server-0'] = 'failed'
        self.others = {2: [self.migrate(0)]}
        self.assertEqual(watch.BAD, self.watch())
        self.assertIn('rolled back', self.text)
        self.assertIn('  verdict: ', self.text)

    def test_the_report_takes_the_results(self):
        self.others = {2: [self.migrate(0)]}
        self.watch(results=str(self.folder / 'elsewhere'))
        self.assertIn(f'live-migration-ha report {self.folder}/elsewhere',
                      self.text)
        app = types.SimpleNamespace(stdout=io.StringIO(),
                                    stderr=io.StringIO())
        command = reports.Report(app, None)
        parsed = command.get_parser('report').parse_args(
            [str(self.folder / 'elsewhere')])
        self.assertEqual(0, command.take_action(parsed))
        self.assertIn('1 of 1 migration as expected',
                      app.stdout.getvalue())

    def test_ctrl_c_is_the_usual_end(self):
        for outcome, code in (('completed', watch.GOOD),
                              ('failed', watch.BAD)):
            with self.subTest(outcome=outcome):
                self.cloud.outcomes['server-0'] = outcome
                self.pauses = 0
                self.others = {2: [self.migrate(0)],
                               9: [self.kill()]}
                self.assertEqual(code, self.watch(results=str(
                    self.folder / outcome)))
                self.assertIn('told to end by SIGINT', self.text)
                self.assertIn('Live migrations judged: 1', self.text)
                self.cloud.change('server-0', host='alpha')

    def test_other_signals(self):
        self.others = {2: [self.migrate(0)], 9: [self.kill(signal.SIGTERM)]}
        self.assertEqual(watch.INTERRUPTED, self.watch())
        self.assertIn('Live migrations judged: 1', self.text)

    def test_a_signal_before_anything_is_watched(self):
        def create(access):
            signal.raise_signal(signal.SIGINT)

        self.patch(clients, 'create', create)
        self.assertEqual(watch.INTERRUPTED, self.watch())
        self.assertEqual([], self.said)

    def test_a_second_signal(self):
        """Those that wait to be judged are not judged any more."""
        class Never(test_watching.AtOnce):
            def submit(self, work, *args):
                return futures.Future()

            def shutdown(self, wait, cancel_futures):
                self.cancelled.append(cancel_futures)

        Never.cancelled = []
        self.patch(futures, 'ThreadPoolExecutor', Never)
        self.patch(futures, 'wait', lambda *args: signal.raise_signal(
            signal.SIGINT) if self.pauses >= 9 else None)
        self.others = {2: [self.migrate(0)], 9: [self.kill()]}
        self.assertEqual(watch.INTERRUPTED, self.watch())
        self.assertIn('are judged now: 1.', self.text)
        self.assertEqual([True], Never.cancelled)

    def test_results_that_cannot_be_stored(self):
        self.others = {2: [self.migrate(0)]}
        self.patch(store, 'Writer', mock.Mock(
            side_effect=store.ResultsError('no space')))
        self.assertEqual(watch.BAD, self.watch())
        self.assertIn('The watch cannot go on: no space', self.text)

    def test_migrations_that_go_on_at_the_end(self):
        self.others = {2: [self.migrate(0)], 3: [self.kill()]}
        self.assertEqual(watch.GOOD, self.watch())
        self.assertIn('Not judged, since it goes on: live migration of '
                      'server server-0 (guest-0) from alpha, record running',
                      self.text)

    def test_the_api_goes_away(self):
        def fail():
            self.cloud.fails = [fakes.server_fault(503)] * 100

        self.others = {2: [fail]}
        self.assertEqual(watch.BAD, self.watch())
        self.assertIn('The watch cannot go on: ', self.text)
        self.assertIn('has not answered', self.text)


class SourceTest(WatchTestCase):

    def test_it_ends_when_the_host_is_empty(self):
        self.others = {1: [self.migrate(number) for number in range(3)]}
        self.assertEqual(watch.GOOD, self.watch(
            source='alpha', timeout_s=10_000))
        self.assertIn('Host alpha is empty.', self.text)
        self.assertIn('3 completed', self.text)
        self.assertLess(self.pauses, 30)

    def test_a_host_that_is_empty_already(self):
        self.assertEqual(watch.GOOD, self.watch(source='beta'))
        self.assertEqual(0, self.pauses)

    def test_servers_that_are_left(self):
        self.cloud.change('server-2', status='SHUTOFF')
        self.cloud.outcomes['server-1'] = 'failed'
        self.others = {1: [self.migrate(0), self.migrate(1)]}
        self.assertEqual(watch.BAD, self.watch(source='alpha'))
        self.assertIn('The time (--timeout) is over.', self.text)
        self.assertIn('Left on host alpha: server server-1 (guest-1): status '
                      'ACTIVE, task none; rolled back: it failed', self.text)
        self.assertIn('server-2 (guest-2): status SHUTOFF', self.text)
        self.assertNotIn('server-0 (guest-0): status', self.text)

    def list_on_host(self, *errors):
        """Let requests for the servers of a host fail."""
        errors, listed = list(errors), self.cloud.list_servers

        def listing(**query):
            if 'host' in query and errors:
                raise errors.pop(0)
            return listed(**query)

        self.cloud.list_servers = listing

    def test_an_api_that_is_away_for_a_moment(self):
        self.list_on_host(OSError('reset'), fakes.server_fault(503))
        self.assertEqual(watch.GOOD, self.watch(source='beta'))
        self.assertIn('Host beta is empty.', self.text)

    def test_a_list_that_nova_refuses(self):
        self.list_on_host(*[lib_exc.Forbidden(
            'no', resp=fakes.Response(403))] * 9)
        self.assertEqual(watch.BAD, self.watch(source='beta'))
        self.assertIn('The watch cannot go on: ', self.text)
        self.assertIn('Servers left on host beta cannot be listed', self.text)

    def test_no_such_host(self):
        text = self.refused(source='gamma')
        self.assertIn('host gamma has no nova-compute service', text)
        self.assertIn('alpha (enabled, up)', text)


class BeforeTest(WatchTestCase):

    def setUp(self):
        super().setUp()
        self.migrate(0)()

    def test_they_are_told(self):
        self.assertEqual(watch.GOOD, self.watch())
        self.assertIn('went on already and are not followed: 1. Use --since',
                      self.text)

    def test_they_are_followed(self):
        self.assertEqual(watch.GOOD, self.watch(since_s=3600))
        self.assertIn('went on already and are followed: 1.', self.text)
        self.assertIn('Live migrations judged: 1', self.text)


class BadInputTest(WatchTestCase):

    def test_options(self):
        path = self.folder / 'more.conf'
        self.assertIn('cannot be read', self.refused(config_file=str(path)))
        path.write_text('[live_migration_ha]\nmax_outtage = 2\n')
        self.assertIn('max_outtage', self.refused(config_file=str(path)))

    def test_results_that_cannot_be_written(self):
        (self.folder / 'file').touch()
        self.assertIn('cannot be created: Not a directory', self.refused(
            results=str(self.folder / 'file' / 'results')))

    def test_a_user_without_rights(self):
        self.cloud.list_services = mock.Mock(
            side_effect=lib_exc.Forbidden('no'))
        text = self.refused()
        self.assertIn('may not list compute hosts', text)
        self.assertIn("administrator's account", text)

    def test_an_old_cloud(self):
        self.cloud.list_versions.return_value['versions'][0][
            'version'] = '2.60'
        self.assertIn('offers 2.1 to 2.60', self.refused())

    def test_a_host_that_cannot_be_reached(self):
        path = self.folder / 'more.conf'
        path.write_text('[live_migration_ha_hosts]\nssh_user = stack\n')
        self.patch(access.HostAccess, 'check', mock.Mock(
            side_effect=remote.HostError('host alpha: no route')))
        self.assertEqual('host alpha: no route',
                         self.refused(config_file=str(path)))

    def test_probes_that_may_not_be_sent(self):
        self.patch(icmp, 'IcmpProber', mock.Mock(
            side_effect=errors.ProbeError('not permitted')))
        self.assertEqual('not permitted',
                         self.refused(probed='fixed'))

    def test_metrics_that_cannot_be_written(self):
        path = self.folder / 'more.conf'
        path.write_text('[live_migration_ha]\nmetrics_textfile = '
                        f'{self.folder}/nowhere/a.prom\n')
        self.assertIn('metrics_textfile', self.refused(
            config_file=str(path)))

    def test_arguments(self):
        command = watch.WatchMigrations(
            types.SimpleNamespace(stdout=io.StringIO(), stderr=io.StringIO()),
            None)
        parser = command.get_parser('watch')
        parsed = parser.parse_args(['--os-cloud', 'here'])
        self.assertEqual((2.0, 0.0, ''), (
            parsed.interval, parsed.since, parsed.source))
        with mock.patch.object(
                argparse.ArgumentParser, 'error',
                side_effect=ValueError) as error:
            for bad in (['--interval', '0'], ['--since', '-1'],
                        ['--timeout', 'long']):
                self.assertRaises(ValueError, parser.parse_args,
                                  ['--os-cloud', 'here', *bad])
        self.assertIn('is not a number of seconds', error.call_args.args[0])

    def test_errors_become_one_sentence(self):
        stderr = io.StringIO()
        command = watch.WatchMigrations(
            types.SimpleNamespace(stdout=io.StringIO(), stderr=stderr), None)
        parsed = command.get_parser('watch').parse_args([
            '--os-cloud', 'here', '--source', 'gamma',
            '--workspace', str(self.folder / 'workspace')])
        self.assertEqual(2, command.run(parsed))
        self.assertRegex(stderr.getvalue(), r'\A[^\n]*host gamma[^\n]*\n\Z')


class LogTest(base.TestCase):

    def test_it_is_in_the_file_alone(self):
        path = pathlib.Path(self.useFixture(
            fixtures.TempDir()).path) / 'a.log'
        root = logging.getLogger()
        console = logging.StreamHandler(io.StringIO())
        root.addHandler(console)
        self.addCleanup(root.removeHandler, console)
        with watch.log_to(path):
            logging.getLogger('lm_tempest_plugin.a').warning('news')
            logging.getLogger('tempest.lib.common.rest_client').info('GET')
        logging.getLogger('lm_tempest_plugin.a').warning('later')
        self.assertIn('WARNING [lm_tempest_plugin.a] news', path.read_text())
        self.assertNotIn('GET', path.read_text())
        self.assertEqual('later\n', console.stream.getvalue())

    def test_it_cannot_be_written(self):
        def enter():
            with watch.log_to(pathlib.Path('/nowhere/a.log')):
                raise AssertionError('not reached')

        self.assertRaises(setup.SetupError, enter)
