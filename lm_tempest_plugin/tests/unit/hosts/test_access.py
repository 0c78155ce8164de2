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
import os
import types
from unittest import mock

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin import config
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import libvirt
from lm_tempest_plugin.hosts import logs
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import traces
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


SOCKETS = schema.Sockets(transport='direct', samples=1, qemu_ports=(),
                         qemu_connections=0, libvirt_ports=())
SAMPLES = schema.HostSamples(host='alpha', period_s=1.0, samples=())


class Part:
    """Stands in for a SocketWatch or a Sampler."""

    def __init__(self, results=None, refuses=False, hangs=False):
        self.refuses = refuses
        self.hangs = hangs
        self.events = []
        self.results = lambda: results

    def __enter__(self):
        if self.refuses:
            raise remote.HostError('host alpha: no')
        self.events.append('begin')

    def __exit__(self, *args):
        self.events.append('end')
        if self.hangs:
            raise remote.HostError('host alpha: does not end')


class HostsObserverTest(base.TestCase):

    def test_all_begin_and_end(self):
        parts = Part(SOCKETS), Part(SAMPLES), Part(SAMPLES)
        with access.HostsObserver(parts[0], parts[1:]) as found:
            self.assertIs(parts[0], found.sockets)
            self.assertEqual([['begin']] * 3, [
                part.events for part in parts])
        self.assertEqual([['begin', 'end']] * 3, [
            part.events for part in parts])
        self.assertEqual((SOCKETS, (SAMPLES, SAMPLES)), found.results())

    def test_one_that_refuses_ends_the_others(self):
        watch, sampler = Part(), Part()
        self.assertRaises(
            remote.HostError, access.HostsObserver(
                watch, [sampler, Part(refuses=True)]).__enter__)
        self.assertEqual(['begin', 'end'], sampler.events)
        self.assertEqual([], watch.events)

    def test_one_that_hangs_is_told_with_the_results(self):
        # As if the host's network were cut: the drain goes on.
        parts = Part(SOCKETS), Part(SAMPLES), Part(SAMPLES, hangs=True)
        with access.HostsObserver(parts[0], parts[1:]) as found:
            pass
        self.assertEqual([['begin', 'end']] * 3, [
            part.events for part in parts])
        error = self.assertRaises(remote.HostError, found.results)
        self.assertIn('does not end', str(error))


class HostAccessTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.options = types.SimpleNamespace(**{
            opt.dest: opt.default for opt in config.hosts_opts})
        self.options.ssh_user = 'nova'
        self.options.addresses = {'beta': '192.0.2.2'}
        self.options.nova_conf = '/etc/{host}/nova.conf'
        self.options.pid_command = 'pid {{.State.Pid}} of {host}'
        self.options.qemu_log = 'log of {server} on {host}'
        self.services = fakes.services(
            ('alpha', 'enabled', 'up'), ('beta', 'enabled', 'down'))
        self.access = access.HostAccess(
            self.options, self.services, ['alpha', 'beta'])

    def test_sites(self):
        alpha, beta = access.sites(self.options, ['alpha', 'beta'])
        self.assertEqual(('alpha', 'alpha'), (alpha.name, alpha.address))
        self.assertEqual(('beta', '192.0.2.2'), (beta.name, beta.address))
        self.assertEqual('/etc/beta/nova.conf', beta.nova_conf)
        self.assertEqual('pid {{.State.Pid}} of beta', beta.pid_command)
        self.assertEqual('nova', beta.user)

    def test_check(self):
        with mock.patch.object(remote.Remote, 'run') as run:
            self.access.check()
        # With two connections to each: commands, and samples.
        self.assertEqual([mock.call('true')] * 4, run.mock_calls)

    def test_check_of_a_host_that_cannot_be_reached(self):
        with mock.patch.object(
                remote.Remote, 'run', side_effect=remote.HostError('no')):
            self.assertRaises(remote.HostError, self.access.check)

    def test_observe(self):
        self.assertIsNone(self.access.observe('alpha', 'gamma'))
        for period_s, number in ((1.0, 2), (0.0, 0)):
            self.options.sample_interval = period_s
            self.assertEqual(number, len(
                self.access.observe('alpha', 'beta')._samplers))

    def test_job(self):
        self.options.virsh_command = 'docker exec nova_libvirt virsh'
        self.access = access.HostAccess(self.options, self.services, ['alpha'])
        with mock.patch.object(libvirt, 'completed_job') as completed:
            found = self.access.job('alpha', 'server-1')
        self.assertIs(completed.return_value, found)
        self.assertEqual(
            (['docker', 'exec', 'nova_libvirt', 'virsh'], 'server-1'),
            completed.call_args.args[1:])
        self.assertIsNone(self.access.job('gamma', 'server-1'))

    def test_state_of_a_silent_guest(self):
        with mock.patch.object(libvirt, 'guest_state') as asked:
            found = self.access.guest_state('alpha', 'server-1')
        self.assertIs(asked.return_value, found)
        self.assertEqual((['virsh'], 'server-1'), asked.call_args.args[1:])
        self.assertEqual('', self.access.guest_state('gamma', 'server-1'))

    def test_running_job(self):
        with mock.patch.object(libvirt, 'running_job') as asked:
            found = self.access.running_job('alpha', 'server-1')
        self.assertIs(asked.return_value, found)
        self.assertEqual((['virsh'], 'server-1'), asked.call_args.args[1:])

    def paths(self, *answers):
        """Return where instance directories are looked for.

        :param answers: nova.conf of the host, for each attempt to read it
        """
        with mock.patch.object(remote.Remote, 'run', side_effect=answers), \
                mock.patch.object(traces, 'read') as read:
            for _ in range(2):
                found = self.access.traces('beta', ['server-1'])
        self.assertIs(read.return_value, found)
        self.assertEqual((['virsh'], ['ovs-vsctl']),
                         read.call_args.args[1:3])
        self.assertEqual('log of {server} on beta', read.call_args.args[4])
        return [call.args[3] for call in read.call_args_list]

    def test_instances_path_is_read_once(self):
        self.assertEqual(['/srv/instances'] * 2, self.paths(
            '[DEFAULT]\nstate_path = /srv\n'))

    def test_instances_path_that_cannot_be_read(self):
        for answer in (remote.CommandFailed('no such file'), 'wrong'):
            self.access = access.HostAccess(
                self.options, self.services, ['beta'])
            self.assertEqual(['/var/lib/nova/instances'] * 2,
                             self.paths(answer))

    def test_instances_path_that_is_configured(self):
        self.options.instances_path = '/volumes/{host}'
        self.assertEqual(['/volumes/beta'] * 2, self.paths())

    def test_traces_of_a_host_that_does_not_answer(self):
        # It may have another instances_path than the default.
        self.assertRaises(remote.HostError, self.paths,
                          remote.HostError('no SSH'))
        self.assertEqual({}, self.access._instances_paths)

    def test_logs(self):
        self.options.nova_compute_log = 'cat /{host}/{server}'
        self.options.libvirt_log = ''
        since = datetime.datetime.now(datetime.UTC)
        with mock.patch.object(logs, 'read') as read:
            found = self.access.logs('beta', 'server-1', 'req-1', since)
        self.assertIs(read.return_value, found)
        host, commands, *rest = read.call_args.args
        self.assertEqual('beta', host.name)
        self.assertEqual(['server-1', 'req-1', since], rest)
        self.assertEqual({'nova-compute', 'qemu'}, set(commands))
        self.assertEqual('cat /beta/{server}', commands['nova-compute'])

    def test_time_of_a_report(self):
        self.services.list_services.side_effect = [
            {'services': [{'state': 'up', 'updated_at': 'now'}]},
            lib_exc.ServerFault(resp=fakes.Response(503)),
            OSError('reset'), {'services': []}]
        self.assertEqual(['now', None, None, None], [
            self.access._reported('alpha') for _ in range(4)])
        self.services.list_services.side_effect = lib_exc.Forbidden('no')
        self.assertRaises(remote.HostError, self.access._reported, 'alpha')

    def test_paths_are_absolute(self):
        self.options.ssh_key_file = 'etc/{host}'
        alpha, = access.sites(self.options, ['alpha'])
        self.assertEqual(os.path.abspath('etc/alpha'), alpha.key_file)
        self.assertFalse(alpha.known_hosts_file.startswith('~'))

    def test_changes(self):
        changes = self.access.changes()
        self.assertEqual(['alpha', 'beta'],
                         [each.name for each in changes.remotes])
        changes.close()
        self.access.close()

    def test_versions(self):
        with mock.patch.object(
                service, 'nova_version', side_effect=['34.0.0', '']), \
                mock.patch.object(
                    libvirt, 'daemon_versions',
                    side_effect=[('9.0.0', '10.0.2'), ('10.0.0', '')]), \
                mock.patch.object(
                    service, 'ovn_version', side_effect=['23.03.1', '']
                ) as ovn:
            found = self.access.versions()
        self.assertEqual({
            'alpha': access.HostVersions(
                '9.0.0', '10.0.2', '34.0.0', '23.03.1'),
            'beta': access.HostVersions('10.0.0', '', '', '')}, found)
        self.assertEqual(['ovn-appctl'], ovn.call_args.args[1])
