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

import os
import pathlib
import signal
import sys
import time
import types

import fixtures
import msgspec

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.commands import tempest_run
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin import utils

# A child with a child of its own, as `tempest run` and the tests.
PARENT = """
import subprocess, sys
code = subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()
print('below ended with', code, flush=True)
sys.exit(1 if code else 0)
"""
# Says that it was told to end, deletes something for a while, and ends.
CHILD = """
import signal, time
def told(number, frame):
    print('told', flush=True)
    time.sleep(0.2)
    raise SystemExit(3)
signal.signal(signal.SIGINT, told)
print('ready', flush=True)
time.sleep(60)
"""
# Takes no notice of anything.
DEAF = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(60)
"""


def drain_started(name='drain-1', **changes):
    """Return the line that begins a drain of two servers."""
    drain = builders.drain(name)
    values = {each: getattr(drain, each)
              for each in schema.DrainStarted.__struct_fields__
              if hasattr(drain, each)}
    return schema.DrainStarted(**{
        **values, 'server_ids': ('server-0', 'server-1'), **changes})


class RunProgressTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.progress = tempest_run.RunProgress()

    def take(self, line, run='run-1'):
        return self.progress.result(msgspec.json.encode(
            msgspec.structs.replace(line, run=run)))

    def test_run(self):
        self.assertEqual(
            'run run-1: compute API 2.104, hosts compute1 (QEMU 10.0.2), '
            'compute2 (QEMU 10.0.2)', self.take(builders.run()))
        old, new = (msgspec.structs.replace(each, nova_version=version)
                    for each, version in zip(
                        builders.run().hosts, ('33.0.2', '34.0.0')))
        self.assertIn(
            'compute1 (QEMU 10.0.2, nova 33.0.2), compute2 (QEMU 10.0.2, nova '
            '34.0.0)', self.take(builders.run(hosts=(old, new))))

    def test_migrations(self):
        self.assertEqual(
            'drain-1: 2 servers from compute1 to compute2, window of 2, round '
            'trip 1 (block, tunnelled off)', self.take(drain_started()))
        self.assertEqual(
            'server server-0, compute1 to compute2: completed after 9.0 s (1 '
            'of 2 in drain-1, 1 in all)', self.take(builders.ended()))
        self.take(builders.ended(1))
        self.take(drain_started('drain-2'))
        self.assertIn('(1 of 2 in drain-2, 3 in all)', self.take(
            builders.ended(drain='drain-2')))
        self.assertEqual(3, self.progress.migrations)

    def test_a_forecast(self):
        clock = fakes.Clock()
        self.patch(tempest_run, 'time', clock)
        self.progress = tempest_run.RunProgress(planned=3)
        for number, said in enumerate((
                '1 in all of 3 planned, about 4 min left)',
                '2 in all of 3 planned, about 2 min left)',
                '3 in all of 3 planned, about 0 min left)',
                # To find out who is at fault.
                '4 in all)')):
            clock.sleep(110)
            self.assertTrue(self.take(
                builders.ended(number)).endswith(said), said)

    def test_a_migration_without_its_drain(self):
        self.assertIn('to ?: no migration record after 9.0 s (1 of 1 in',
                      self.take(builders.ended(
                          destination='', record_status='')))

    def test_two_runs_have_drains_with_the_same_id(self):
        for run in ('run-1', 'run-2'):
            self.take(drain_started(), run)
            self.assertIn('(1 of 2 in drain-1',
                          self.take(builders.ended(), run))

    def test_judged_migrations(self):
        self.assertEqual('', self.take(builders.migration()))
        self.assertEqual(
            'PROBLEM: server guest-0, flavor lm.small: verdict: rolled back: '
            'it failed while copying', self.take(builders.failed()))

    def test_drains(self):
        self.assertEqual(
            'drain-1: 2 servers from compute1 to compute2, window of 2, round '
            'trip 1: 19.0 s', self.take(builders.drain()))
        text = self.take(builders.drain(source='', problems=(
            builders.problem('ran 2 at once', 'concurrency'),)))
        self.assertIn('from several hosts', text)
        self.assertIn('; PROBLEM: concurrency: ran 2 at once', text)

    def test_unreadable_lines(self):
        for line in (b'{', b'[]', b'{"kind": "migration-ended"}', b'\xff'):
            self.assertIn('a line of results cannot be read',
                          self.progress.result(line))

    def test_failures_are_told_by_the_output_of_tempest(self):
        self.assertEqual('', self.take(schema.TestFailure(
            test='a.test', reason='the disk')))

    def output(self, *lines):
        return [self.progress.output(line.encode()) for line in lines]

    def test_output_of_tempest(self):
        for line, said in (
                ('{0} a.b.C.test_x [43.83s] ... ok',
                 'test test_x: ok (1)'),
                ('{0} a.b.C.test_y [0.10s] ... FAILED',
                 'test test_y: FAILED (2)'),
                ('{0} a.b.C.test_z ... SKIPPED: why',
                 'test test_z: SKIPPED: why (3)'),
                ('{0} setUpClass (a.b.C) [0.0s] ... FAILED',
                 'test setUpClass (a.b.C): FAILED (4)'),
                ('Traceback (most recent call last):', '')):
            self.assertEqual([said], self.output(line))

    def test_tests_done_of_all(self):
        self.progress = tempest_run.RunProgress(
            ['a.C.test_x', 'a.C.test_y', 'a.D.test_x', 'a.D.test_y'])
        self.assertEqual(
            ['test test_x: ok (1 of 4)',
             'test setUpClass (a.D): SKIPPED: why (3 of 4)',
             'test tearDownClass (a.D): FAILED (3 of 4)',
             'test test_y: ok (4 of 4)'],
            self.output('{0} a.C.test_x [1.0s] ... ok',
                        '{0} setUpClass (a.D) ... SKIPPED: why',
                        '{0} tearDownClass (a.D) ... FAILED',
                        '{0} a.C.test_y [1.0s] ... ok'))


class RunFollowerTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.log = self.folder / 'log'
        self.follower = tempest_run.RunFollower(
            self.folder / 'results', self.log, tempest_run.RunProgress())

    def news(self):
        return list(self.follower.news())

    def test_nothing_yet(self):
        self.assertEqual([], self.news())

    def test_each_line_once_when_it_is_whole(self):
        self.log.write_text('{0} a.test_x [1.0s] ... o')
        self.assertEqual([], self.news())
        self.log.write_text('{0} a.test_x [1.0s] ... ok\n{0} a')
        self.assertEqual(['test test_x: ok (1)'], self.news())
        self.assertEqual([], self.news())

    def test_lines_of_an_earlier_run_are_no_news(self):
        builders.write(self.folder / 'results', 'a-1', [builders.ended()])
        self.follower = tempest_run.RunFollower(
            self.folder / 'results', self.log, tempest_run.RunProgress())
        builders.write(self.folder / 'results', 'a-2', [builders.ended()])
        said = self.news()
        self.assertEqual(2, len(said))
        self.assertIn('run a-2', said[0])

    def test_records_of_several_processes(self):
        for run in ('a-1', 'a-2'):
            builders.write(self.folder / 'results', run,
                           [drain_started(), builders.ended()])
        said = self.news()
        self.assertEqual(6, len(said))
        self.assertIn('(1 of 2 in drain-1, 2 in all)', said[5])
        self.assertEqual([], self.news())


class TempestRunTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.log = self.folder / 'log'

    def start(self, *arguments):
        run = tempest_run.TempestRun(
            [sys.executable, '-c', *arguments], self.folder,
            {**os.environ, 'WORD': 'seen'}, self.log)
        self.addCleanup(run.kill, 0)
        return run

    def await_text(self, text):
        deadline = time.monotonic() + 20
        while text not in self.log.read_text():
            self.assertTrue(time.monotonic() < deadline,
                            self.log.read_text())
            time.sleep(0.02)

    def test_ends_by_itself(self):
        run = self.start('import os; print(os.environ["WORD"], os.getcwd());'
                         'raise SystemExit(7)')
        self.assertEqual(7, run.wait(20))
        self.assertEqual(f'seen {self.folder}\n', self.log.read_text())

    def test_goes_on(self):
        self.assertIsNone(self.start('import time; time.sleep(60)').wait(
            0.05))

    def test_a_group_of_its_own(self):
        run = self.start('import os; print(os.getpgrp() == os.getpid())')
        run.wait(20)
        self.assertEqual('True\n', self.log.read_text())

    def test_told_to_end_are_those_below(self):
        run = self.start(PARENT, CHILD)
        self.await_text('ready')
        run.interrupt()
        self.assertEqual(1, run.wait(20))
        # Who started them has seen how they ended.
        self.assertEqual('ready\ntold\nbelow ended with 3\n',
                         self.log.read_text())

    def test_where_signals_are_ignored(self):
        # So does a shell with its jobs in the background.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(
            signal.SIGINT, signal.SIG_IGN))
        run = self.start(
            'import signal; print(signal.getsignal(signal.SIGINT))')
        run.wait(20)
        self.assertIn('default_int_handler', self.log.read_text())
        self.assertEqual(signal.SIG_IGN, signal.getsignal(signal.SIGINT))

    def test_one_without_others_below(self):
        run = self.start(CHILD)
        self.await_text('ready')
        run.interrupt()
        self.assertEqual(3, run.wait(20))

    def test_kill_ends_all(self):
        run = self.start(PARENT, DEAF)
        self.await_text('ready')
        group = run._child.pid
        self.assertEqual(2, len(tempest_run.group_members(group)))
        run.kill(0.1)
        deadline = time.monotonic() + 10
        while tempest_run.group_members(group) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual([], tempest_run.group_members(group))
        self.assertIn(run.wait(0), (-signal.SIGTERM, -signal.SIGKILL))
        run.interrupt()

    def test_what_cannot_be_started(self):
        exc = self.assertRaises(
            setup.SetupError, tempest_run.TempestRun, ['/no/such'],
            self.folder, {}, self.log)
        self.assertIn('/no/such cannot be started', str(exc))

    def test_command(self):
        found = tempest_run.command('a.*b', 'c')
        self.assertEqual(sys.executable, found[0])
        self.assertEqual(['--regex', 'a.*b', '--exclude-regex', 'c'],
                         found[-4:])
        self.assertNotIn('--exclude-regex', tempest_run.command('a'))

    def test_environment(self):
        found = tempest_run.environment(pathlib.Path('/w/etc/verify.conf'))
        self.assertEqual(('/w/etc', 'verify.conf'), (
            found['TEMPEST_CONFIG_DIR'], found['TEMPEST_CONFIG']))

    def test_list(self):
        code = ('import sys; print("a.b.C.test_x[id-1,slow]", "some text", '
                '"a.b.C.test_y", sys.argv[1], sep="\\n")')
        self.assertEqual(
            ['a.b.C.test_x', 'a.b.C.test_y'],
            tempest_run.list_tests([sys.executable, '-c', code], self.folder,
                                   os.environ))
        # Tempest would say that there is no repository.
        self.assertTrue((self.folder / '.stestr').is_dir())

    def test_tests_that_cannot_be_listed(self):
        self.assertEqual([], tempest_run.list_tests(
            ['/no/such'], self.folder, {}))


class FollowTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.calls = []
        self.signals = utils.SignalHandler()
        self.patch(tempest_run, 'POLL_S', 0.0)

    def follow(self, wait, cleanup_s=60.0, **options):
        run = types.SimpleNamespace(
            wait=wait, interrupt=lambda: self.calls.append('interrupt'),
            kill=lambda: self.calls.append('kill'))
        follower = types.SimpleNamespace(news=lambda: ['news'])
        return tempest_run.follow(run, follower, self.signals,
                                  self.calls.append, cleanup_s, **options)

    def signal(self, timeout_s):
        self.signals.count, self.signals.name = (
            self.signals.count + 1, 'SIGINT')

    def test_last_news_are_told(self):
        self.assertEqual(7, self.follow(lambda timeout_s: 7))
        self.assertEqual(['news'], self.calls)

    def test_tests_that_do_not_clean_up_are_killed(self):
        self.assertIsNone(self.follow(self.signal, cleanup_s=-1.0))
        self.assertEqual(['news', 'interrupt', 'kill'],
                         [each for each in self.calls if ':' not in each])

    def test_second_signal_kills(self):
        self.assertIsNone(self.follow(self.signal))
        self.assertEqual(['news', 'interrupt', 'news', 'kill'],
                         [each for each in self.calls if ':' not in each])

    def test_limit(self):
        self.assertIsNone(self.follow(lambda timeout_s: None, limit_s=-1.0))
        self.assertEqual(['news', 'kill'], self.calls)

    def test_error_kills(self):
        self.assertRaises(ZeroDivisionError, self.follow,
                          lambda timeout_s: 1 / 0)
        self.assertEqual(['kill'], self.calls)
