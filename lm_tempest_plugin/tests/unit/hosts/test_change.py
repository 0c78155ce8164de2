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

import threading

import fixtures

from lm_tempest_plugin.hosts import change
from lm_tempest_plugin.hosts import configuration
from lm_tempest_plugin.hosts import journal
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes

LIMIT = configuration.Option('DEFAULT', 'max_concurrent_live_migrations')
THREE = {LIMIT: '3'}
CHANGED = fakes.TEXT.replace('migrations = 1', 'migrations = 3')


class ChangeTestCase(base.TestCase):

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
        return change.Hosts(
            [host.site for host in self.cloud.values()],
            journal.Journal(self.directory), self.restarter(), self.connect)

    def recover(self):
        return change.recover(journal.Journal(self.directory),
                              self.restarter(), self.connect)

    def assert_as_before(self, *hosts):
        for host in hosts or self.cloud.values():
            self.assertEqual(
                {fakes.NOVA_CONF: fakes.TEXT,
                 '/etc/nova/api-paste.ini': 'paste'}, host.files)
            self.assertEqual(fakes.TEXT, host.running)
            self.assertTrue(host.process)

    def entries(self):
        return [entry.site.name
                for entry in journal.Journal(self.directory).entries()]

    def refused(self, call, *args):
        return str(self.assertRaises(remote.HostError, call, *args))


class SetTest(ChangeTestCase):

    def test_all_hosts_and_back(self):
        with self.hosts() as hosts:
            hosts.set(THREE)
            for host in self.cloud.values():
                self.assertEqual(CHANGED, host.files[fakes.NOVA_CONF])
                self.assertEqual(CHANGED, host.running)
                self.assertFalse(host.closed)
            self.assertEqual(['alpha', 'beta'], self.entries())
        self.assert_as_before()
        self.assertEqual([], self.entries())
        self.assertTrue(self.alpha.closed)

    def test_each_change_begins_with_the_original(self):
        with self.hosts() as hosts:
            hosts.set({configuration.Option('libvirt', 'x'): '1'})
            hosts.set(THREE)
            self.assertEqual(CHANGED, self.alpha.running)
        self.assert_as_before()

    def test_nothing_was_changed(self):
        with self.hosts():
            pass
        self.assertEqual([], self.alpha.commands)

    def test_one_host_refuses_and_all_are_put_back(self):
        beta = self.cloud['beta']
        beta.refuses = lambda text: text == CHANGED
        said = str(self.assertRaises(
            service.NotStarted, self.hosts().set, THREE))
        self.assertIn('host beta', said)
        self.assertIn('a new process', said)
        self.assertNotIn('host alpha', said)
        self.assert_as_before()
        self.assertEqual([], self.entries())

    def test_one_that_cannot_be_put_back_stays_in_the_journal(self):
        self.alpha.refuses = lambda text: True
        said = self.refused(self.hosts().set, THREE)
        self.assertIn('; then: host alpha', said)
        self.assertEqual(['alpha'], self.entries())
        self.assert_as_before(self.cloud['beta'])

    def test_a_file_that_is_no_configuration(self):
        self.alpha.files[fakes.NOVA_CONF] = 'no option\n'
        said = self.refused(self.hosts().set, THREE)
        self.assertIn('host alpha', said)
        self.assertIn(fakes.NOVA_CONF + ' cannot be changed', said)
        self.assertEqual('no option\n', self.alpha.files[fakes.NOVA_CONF])
        self.assert_as_before(self.cloud['beta'])

    def test_a_file_that_is_not_there(self):
        self.alpha.fails = 'readlink'
        self.assertIn(fakes.NOVA_CONF, self.refused(self.hosts().set, THREE))
        self.assert_as_before()

    def test_a_host_that_is_in_the_journal(self):
        with self.hosts() as mine:
            mine.set(THREE)
            said = self.refused(self.hosts().set, THREE)
            # The other run did not touch what is mine.
            self.assertEqual(CHANGED, self.alpha.running)
        self.assertIn('host alpha', said)
        self.assert_as_before()

    def test_a_host_that_another_machine_has_changed(self):
        backup = fakes.NOVA_CONF + change.BACKUP
        self.alpha.files[backup] = fakes.TEXT
        said = self.refused(self.hosts().set, THREE)
        self.assertIn('from another machine', said)
        self.assertEqual(fakes.TEXT, self.alpha.files[backup])
        self.assertEqual(fakes.TEXT, self.alpha.running)

    def test_a_mistake_of_ours_is_no_refusal(self):
        self.alpha.run = None
        self.assertRaises(TypeError, self.hosts().set, THREE)


class RecoverTest(ChangeTestCase):

    def test_nothing_to_do(self):
        self.assertEqual([], self.recover())

    def test_killed_at_whatever_command(self):
        """Every command is once the last; a host is put back from there."""
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
            changed = self.entries()
            self.assertEqual(changed, self.recover(), number)
            self.assert_as_before()
            self.assertEqual([], self.entries())
            number += 1
        self.assertGreater(number, 15)

    def test_a_file_that_nobody_knows(self):
        hosts = self.hosts()
        hosts.set(THREE)
        self.alpha.files.pop(fakes.NOVA_CONF + change.BACKUP)
        said = self.refused(self.recover)
        for part in ('host alpha', fakes.NOVA_CONF, 'is gone'):
            self.assertIn(part, said)
        self.assertEqual(['alpha'], self.entries())
        self.assert_as_before(self.cloud['beta'])
