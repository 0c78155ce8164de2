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
import threading
import time
import traceback

import fixtures

from lm_tempest_plugin import config
from lm_tempest_plugin.hosts import nova_conf
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import undo_log
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes

LIMIT = config.ConfOption('DEFAULT', 'max_concurrent_live_migrations')
THREE = {LIMIT: '3'}
CHANGED = fakes.TEXT.replace('migrations = 1', 'migrations = 3')


class HostsTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.cloud = {name: fakes.Host(name) for name in ('alpha', 'beta')}
        self.alpha = self.cloud['alpha']
        # Each host has a thread, and so a time of its own.
        self.clock = threading.local()

    def restarter(self):
        return service.Restarter(None, 60.0, self.now, self.sleep)

    def now(self):
        return getattr(self.clock, 'now', 0.0)

    def sleep(self, seconds):
        self.clock.now = self.now() + seconds

    def connect(self, site):
        return self.cloud[site.name]

    def hosts(self):
        return nova_conf.NovaConfChanges(
            [host.site for host in self.cloud.values()],
            undo_log.UndoLog(self.directory), self.restarter(), self.connect)

    def recover(self):
        return nova_conf.recover(undo_log.UndoLog(self.directory),
                                 self.restarter(), self.connect)

    def assert_as_before(self, *hosts):
        for host in hosts or self.cloud.values():
            self.assertEqual(
                {fakes.NOVA_CONF: fakes.TEXT,
                 '/etc/nova/api-paste.ini': 'paste'}, host.files)
            self.assertEqual(fakes.TEXT, host.running)
            self.assertTrue(host.process)

    def entries(self):
        return undo_log.UndoLog(self.directory).hosts()

    def refused(self, call, *args):
        self.exc = self.assertRaises(remote.HostError, call, *args)
        return str(self.exc)


class SetTest(HostsTestCase):

    def test_all_hosts_and_back(self):
        hosts = self.hosts()
        hosts.check()
        hosts.set(THREE)
        for host in self.cloud.values():
            self.assertEqual(CHANGED, host.files[fakes.NOVA_CONF])
            self.assertEqual(CHANGED, host.running)
        self.assertEqual(['alpha', 'beta'], self.entries())
        hosts.restore()
        self.assert_as_before()
        self.assertEqual([], self.entries())
        hosts.close()
        self.assertTrue(self.alpha.closed)

    def test_each_change_begins_with_the_original(self):
        hosts = self.hosts()
        hosts.set({config.ConfOption('libvirt', 'x'): '1'})
        hosts.set(THREE)
        self.assertEqual(CHANGED, self.alpha.running)
        hosts.restore()
        self.assert_as_before()

    def test_nothing_was_changed(self):
        self.hosts().restore()
        self.assertEqual([], self.alpha.commands)

    def test_one_host_refuses_and_all_are_restored(self):
        beta = self.cloud['beta']
        beta.refuses = lambda text: text == CHANGED
        exc = self.assertRaises(remote.HostError, self.hosts().set, THREE)
        # It starts on the other one.
        self.assertNotIsInstance(exc, service.NotStarted)
        said = str(exc)
        self.assertIn('host beta', said)
        self.assertIn('a new process', said)
        self.assertNotIn('host alpha', said)
        self.assert_as_before()
        self.assertEqual([], self.entries())

    def test_a_host_that_cannot_be_restored_stays_in_the_undo_log(self):
        self.alpha.refuses = lambda text: True
        said = self.refused(self.hosts().set, THREE)
        self.assertIn('; then: host alpha', said)
        self.assertIsInstance(self.exc, nova_conf.NotRestored)
        self.assertEqual(['alpha'], self.entries())
        self.assert_as_before(self.cloud['beta'])

    def test_a_file_that_is_not_a_configuration(self):
        self.alpha.files[fakes.NOVA_CONF] = 'no option\n'
        said = self.refused(self.hosts().set, THREE)
        self.assertIn('host alpha', said)
        self.assertIn(fakes.NOVA_CONF + ' cannot be changed', said)
        self.assertEqual('no option\n', self.alpha.files[fakes.NOVA_CONF])
        self.assert_as_before(self.cloud['beta'])

    def test_a_missing_file(self):
        self.alpha.fails = 'readlink'
        self.assertIn(fakes.NOVA_CONF, self.refused(self.hosts().set, THREE))
        self.assert_as_before()

    def test_a_host_that_is_in_the_undo_log(self):
        mine = self.hosts()
        mine.set(THREE)
        said = self.refused(self.hosts().set, THREE)
        # The other run did not touch the changed file.
        self.assertEqual(CHANGED, self.alpha.running)
        self.assertIn('host alpha', said)
        self.assertIn('recover --undo-log', said)
        mine.restore()
        self.assert_as_before()

    def test_a_host_that_another_machine_changed(self):
        backup = fakes.NOVA_CONF + nova_conf.BACKUP
        self.alpha.files[backup] = fakes.TEXT
        said = self.refused(self.hosts().set, THREE)
        self.assertIn('from another machine', said)
        self.assertEqual([], self.entries())
        self.assertEqual(fakes.TEXT, self.alpha.files[backup])
        self.assertEqual(fakes.TEXT, self.alpha.running)

    def test_nova_compute_starts_on_none(self):
        for host in self.cloud.values():
            host.refuses = lambda text: text == CHANGED
        self.assertRaises(service.NotStarted, self.hosts().set, THREE)
        self.assert_as_before()

    def test_a_missing_backup_is_made_again(self):
        # As after a restore() that was complete but for the restart.
        hosts = self.hosts()
        hosts.set(THREE)
        self.alpha.refuses = lambda text: True
        self.assertRaises(nova_conf.NotRestored, hosts.restore)
        self.alpha.refuses = lambda text: False
        hosts.set(THREE)
        self.assertEqual(CHANGED, self.alpha.running)
        hosts.restore()
        self.assert_as_before()

    def test_a_host_that_was_recovered_meanwhile(self):
        hosts = self.hosts()
        hosts.set(THREE)
        (pathlib.Path(self.directory) / 'alpha.json').unlink()
        said = self.refused(hosts.set, THREE)
        self.assertIn('is gone', said)

    def test_somebody_else_writes_the_file(self):
        def write(line):
            if line.startswith('cp'):
                self.alpha.files[fakes.NOVA_CONF] = fakes.TEXT + '# new\n'

        self.alpha.before = write
        said = self.refused(self.hosts().set, THREE)
        self.assertIn('somebody else has just changed', said)
        self.assertEqual([], self.entries())
        self.assertEqual(fakes.TEXT + '# new\n',
                         self.alpha.files[fakes.NOVA_CONF])
        self.assertEqual(2, len(self.alpha.files))

    def test_a_broken_backup_is_not_restored(self):
        hosts = self.hosts()
        hosts.set(THREE)
        self.alpha.files[fakes.NOVA_CONF + nova_conf.BACKUP] = 'half'
        said = self.refused(hosts.restore)
        self.assertIn('nor its backup', said)
        self.assertEqual(CHANGED, self.alpha.files[fakes.NOVA_CONF])
        self.assertEqual(['alpha'], self.entries())

    def test_a_backup_of_somebody_else_is_not_removed(self):
        backup = fakes.NOVA_CONF + nova_conf.BACKUP
        hosts = self.hosts()
        hosts.set(THREE)
        # As if somebody had put ours back, and changed the host since.
        self.alpha.files[fakes.NOVA_CONF] = fakes.TEXT
        self.alpha.files[backup] = 'theirs'
        said = self.refused(hosts.restore)
        self.assertIn('made by somebody else', said)
        self.assertEqual('theirs', self.alpha.files[backup])
        self.assertEqual(['alpha'], self.entries())
        self.assert_as_before(self.cloud['beta'])

    def test_a_host_that_cannot_be_inspected_gets_no_entry(self):
        backup = fakes.NOVA_CONF + nova_conf.BACKUP
        self.alpha.files[backup] = 'theirs'
        self.alpha.fails = 'ls '
        self.assertNotIsInstance(self.assertRaises(
            remote.HostError, self.hosts().set, THREE), nova_conf.NotRestored)
        self.assertEqual([], self.entries())
        self.assertEqual(('theirs', fakes.TEXT), (
            self.alpha.files[backup], self.alpha.files[fakes.NOVA_CONF]))

    def test_a_backup_that_is_lost_while_the_host_is_changed(self):
        hosts = self.hosts()
        hosts.set(THREE)
        self.alpha.files.pop(fakes.NOVA_CONF + nova_conf.BACKUP)
        said = self.refused(
            hosts.set, {config.ConfOption('libvirt', 'x'): '1'})
        self.assertIn('is gone', said)
        self.assertNotIn('nothing was changed', said)
        self.assertIsInstance(self.exc, nova_conf.NotRestored)
        self.assertEqual(['alpha'], self.entries())
        self.assert_as_before(self.cloud['beta'])

    def test_check_names_hosts_that_cannot_be_changed(self):
        self.alpha.fails = 'readlink'
        self.assertIn('host alpha', self.refused(self.hosts().check))
        self.alpha.fails, self.alpha.process = None, 0
        self.assertIn('does not run', self.refused(self.hosts().check))

    def test_a_bug_of_ours_is_not_a_refusal(self):
        self.alpha.run = None
        self.assertRaises(TypeError, self.hosts().set, THREE)


class InterruptedTest(HostsTestCase):

    def test_before_each_command(self):
        """A signal arrives before each command in turn; all is restored."""
        del self.cloud['beta']
        number = 0
        while True:
            self.cloud['alpha'] = self.alpha = fakes.Host()
            self.alpha.before = self.interrupt_at(number)
            hosts = self.hosts()
            try:
                hosts.set(THREE)
            except KeyboardInterrupt:
                pass
            else:
                break
            hosts.restore()
            self.assert_as_before()
            self.assertEqual([], self.entries())
            number += 1
        self.assertGreater(number, 8)

    def interrupt_at(self, number):
        def before(line):
            if len(self.alpha.commands) == number:
                os.kill(os.getpid(), signal.SIGINT)
                # The main thread handles it while this one goes on.
                time.sleep(0.02)
        return before

    def test_during_restore(self):
        hosts = self.hosts()
        hosts.set(THREE)
        self.alpha.before = lambda line: line.startswith('mv') and os.kill(
            os.getpid(), signal.SIGINT)
        self.assertRaises(KeyboardInterrupt, hosts.restore)
        self.assert_as_before()
        self.assertEqual([], self.entries())


class RecoverTest(HostsTestCase):

    def test_nothing_to_do(self):
        self.assertEqual([], self.recover())

    def test_killed_before_each_command(self):
        """Each command in turn is the last; the host can be restored."""
        del self.cloud['beta']
        number = 0
        while True:
            self.cloud['alpha'] = self.alpha = fakes.Host()
            self.alpha.dies_at = number
            try:
                hosts = self.hosts()
                hosts.set(THREE)
                hosts.restore()
            except fakes.Killed:
                pass
            else:
                break
            self.alpha.dies_at = None
            for descriptor in hosts._hosts[0]._log._locks.values():
                os.close(descriptor)
            changed = self.entries()
            self.assertEqual(changed, self.recover(), number)
            self.assert_as_before()
            self.assertEqual([], self.entries())
            number += 1
        self.assertGreater(number, 15)

    def change_and_die(self):
        """Leave hosts changed, as a killed run does."""
        mine = undo_log.UndoLog(self.directory)
        nova_conf.NovaConfChanges(
            [host.site for host in self.cloud.values()], mine,
            self.restarter(), self.connect).set(THREE)
        for descriptor in mine._locks.values():
            os.close(descriptor)

    def test_a_run_that_is_still_alive(self):
        hosts = self.hosts()
        hosts.set(THREE)
        self.assertIn('still alive', self.refused(self.recover))
        self.assertEqual(CHANGED, self.alpha.running)
        hosts.restore()

    def test_an_entry_that_cannot_be_read_stops_no_other(self):
        self.change_and_die()
        (pathlib.Path(self.directory) / 'alpha.json').write_text('{')
        self.assertIn('alpha.json', self.refused(self.recover))
        self.assert_as_before(self.cloud['beta'])
        self.assertEqual(['alpha'], self.entries())

    def test_an_unknown_file(self):
        self.change_and_die()
        self.alpha.files.pop(fakes.NOVA_CONF + nova_conf.BACKUP)
        said = self.refused(self.recover)
        for part in ('host alpha', fakes.NOVA_CONF, 'nor its backup'):
            self.assertIn(part, said)
        self.assertEqual(['alpha'], self.entries())
        self.assert_as_before(self.cloud['beta'])


LIMIT = config.ConfOption('DEFAULT', 'max_concurrent_live_migrations')
TUNNELLED = config.ConfOption('libvirt', 'live_migration_tunnelled')


class SetOptionsTest(base.TestCase):

    def test_all_other_lines_stay(self):
        changed = nova_conf.set_options(
            fakes.TEXT, {LIMIT: '3', TUNNELLED: 'true'})
        self.assertEqual(
            fakes.TEXT.replace('migrations = 1', 'migrations = 3') +
            'live_migration_tunnelled = true\n', changed)

    def test_a_missing_section(self):
        option = config.ConfOption('compute', 'x')
        changed = nova_conf.set_options(fakes.TEXT, {option: '1'})
        self.assertTrue(changed.startswith(fakes.TEXT))
        self.assertIn('[compute]\nx = 1\n', changed)

    def test_repeated_options_stay(self):
        text = fakes.TEXT + '[pci]\nalias = {"a": 1}\nalias = {"b": 2}\n'
        self.assertEqual(
            text.replace('migrations = 1', 'migrations = 3'),
            nova_conf.set_options(text, {LIMIT: '3'}))

    def test_an_option_that_is_there_twice(self):
        text = ('[libvirt]\nlive_migration_tunnelled = 1\n'
                'live_migration_tunnelled = 2\n')
        exc = self.assertRaises(
            ValueError, nova_conf.set_options, text, {TUNNELLED: '3'})
        self.assertIn('twice', str(exc))

    def test_text_that_is_not_a_configuration(self):
        self.assertRaises(
            ValueError, nova_conf.set_options, 'no option\n', {LIMIT: '3'})

    def test_no_line_of_it_is_shown(self):
        for text in ('connection = mysql://nova:SECRET@db\n[DEFAULT]\nx\n',
                     '[DEFAULT]\n  password = SECRET\n',
                     'SECRET\n', '[database\nconnection = SECRET\n',
                     'connection = SECRET\n'):
            exc = self.assertRaises(
                ValueError, nova_conf.set_options, text, {LIMIT: '3'})
            self.assertNotIn('SECRET', ''.join(
                traceback.format_exception(exc)))


class InstancesPathTest(base.TestCase):

    def test_paths(self):
        for text, path in (
                ('', '/var/lib/nova/instances'),
                ('[DEFAULT]\nstate_path = /srv/nova', '/srv/nova/instances'),
                ('[DEFAULT]\ninstances_path=${state_path}/x\nstate_path=/s',
                 '/s/x'),
                ('[other]\ninstances_path=/no', '/var/lib/nova/instances'),
                ('[DEFAULT]\ninstances_path=/i', '/i')):
            self.assertEqual(path, nova_conf.instances_path(text))
