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
from unittest import mock

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import libvirt
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class Part:
    """Stands in for a watch, or a sampler."""

    def __init__(self, refuses=False):
        self.refuses = refuses
        self.events = []

    def __enter__(self):
        if self.refuses:
            raise remote.HostError('host alpha: no')
        self.events.append('begin')

    def __exit__(self, *args):
        self.events.append('end')

    def as_dict(self):
        return {'transport': 'direct'}

    def sampled(self):
        return mock.Mock(as_dict=lambda: {'host': 'alpha'})


class ObserverTest(base.TestCase):

    def test_all_begin_and_end(self):
        parts = Part(), Part(), Part()
        with observer.Observer(parts[0], parts[1:]) as found:
            self.assertEqual([['begin']] * 3, [
                part.events for part in parts])
        self.assertEqual([['begin', 'end']] * 3, [
            part.events for part in parts])
        self.assertEqual(
            {'sockets': {'transport': 'direct'},
             'samples': [{'host': 'alpha'}] * 2}, found.as_dict())

    def test_one_that_refuses_ends_those_that_began(self):
        watch, sampler = Part(), Part()
        self.assertRaises(
            remote.HostError, observer.Observer(
                watch, [sampler, Part(refuses=True)]).__enter__)
        self.assertEqual(['begin', 'end'], sampler.events)
        self.assertEqual([], watch.events)


class ReachTest(fakes.LiveMigrationHaTestCase):

    def setUp(self):
        super().setUp()
        self.options = self.conf.live_migration_ha_hosts
        self.options.ssh_user = 'nova'
        self.options.addresses = {'beta': '192.0.2.2'}
        self.options.nova_conf = '/etc/{host}/nova.conf'
        self.options.pid_command = 'pid {{.State.Pid}} of {host}'
        self.services = api_fakes.services(
            ('alpha', 'enabled', 'up'), ('beta', 'enabled', 'down'))
        self.reach = reach.Reach(
            self.options, self.services, ['alpha', 'beta'])

    def test_sites(self):
        alpha, beta = reach.sites(self.options, ['alpha', 'beta'])
        self.assertEqual(('alpha', 'alpha'), (alpha.name, alpha.address))
        self.assertEqual(('beta', '192.0.2.2'), (beta.name, beta.address))
        self.assertEqual('/etc/beta/nova.conf', beta.nova_conf)
        self.assertEqual('pid {{.State.Pid}} of beta', beta.pid_command)
        self.assertEqual('nova', beta.user)

    def test_every_host_is_reached_once(self):
        with mock.patch.object(remote.Remote, 'run') as run:
            self.reach.check()
        # With two connections to each: commands, and samples.
        self.assertEqual([mock.call('true')] * 4, run.mock_calls)

    def test_a_host_that_is_not_reached(self):
        with mock.patch.object(
                remote.Remote, 'run', side_effect=remote.HostError('no')):
            self.assertRaises(remote.HostError, self.reach.check)

    def test_hosts_of_ours_are_observed(self):
        self.assertIsNone(self.reach.observe('alpha', 'gamma'))
        for period_s, number in ((1.0, 2), (0.0, 0)):
            self.options.sample_interval = period_s
            self.assertEqual(number, len(
                self.reach.observe('alpha', 'beta')._samplers))

    def test_figures_of_libvirt(self):
        self.options.virsh_command = 'docker exec nova_libvirt virsh'
        self.reach = reach.Reach(self.options, self.services, ['alpha'])
        with mock.patch.object(jobs, 'completed') as completed:
            found = self.reach.job('alpha', 'server-1')
        self.assertIs(completed.return_value, found)
        self.assertEqual(
            (['docker', 'exec', 'nova_libvirt', 'virsh'], 'server-1'),
            completed.call_args.args[1:])
        self.assertIsNone(self.reach.job('gamma', 'server-1'))

    def test_what_a_silent_guest_does(self):
        with mock.patch.object(pulse, 'take') as take:
            found = self.reach.pulse('alpha', 'server-1')
        self.assertIs(take.return_value, found)
        self.assertEqual((['virsh'], 'server-1'), take.call_args.args[1:])
        self.assertEqual('', self.reach.pulse('gamma', 'server-1'))

    def test_when_a_host_has_reported(self):
        self.services.list_services.side_effect = [
            {'services': [{'state': 'up', 'updated_at': 'now'}]},
            lib_exc.ServerFault(resp=api_fakes.Response(503)),
            OSError('reset'), {'services': []}]
        self.assertEqual(['now', None, None, None], [
            self.reach._reported('alpha') for _ in range(4)])
        self.services.list_services.side_effect = lib_exc.Forbidden('no')
        self.assertRaises(remote.HostError, self.reach._reported, 'alpha')

    def test_paths_that_hold_everywhere(self):
        self.options.ssh_key_file = 'etc/{host}'
        alpha, = reach.sites(self.options, ['alpha'])
        self.assertEqual(os.path.abspath('etc/alpha'), alpha.key_file)
        self.assertFalse(alpha.known_hosts_file.startswith('~'))

    def test_hosts_that_are_changed(self):
        changed = self.reach.changed()
        self.assertEqual(['alpha', 'beta'],
                         [each.name for each in changed.remotes])
        changed.close()
        self.reach.close()
