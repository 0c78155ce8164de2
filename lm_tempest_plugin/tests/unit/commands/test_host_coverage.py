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

import pathlib
import subprocess
import types

import fixtures

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import preparation
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.commands import host_coverage
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.migration import coverage
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.cloud.setup import fakes
from lm_tempest_plugin.tests.unit.results import builders

HOSTS = ('alpha', 'beta', 'gamma')


class HostCoverageTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.files = workspace.Workspace(self.folder / 'workspace')
        self.access = fakes.cloud()
        self.connection = self.access.connection
        self.compute = self.connection.compute
        self.compute.all_services.add(
            host='gamma', binary='nova-compute', status='enabled', state='up')
        self.config = self.folder / 'more.conf'
        self.flavors = ()
        self.said = []

    def check(self, hosts=('all',), profile='hosts', **fields):
        """Check a plan; return the coverage."""
        others = (configuration.load(self.config)
                  if self.config.exists() else {})
        found = host_coverage.HostCoverage(list(hosts), **fields)
        found.check(
            preparation.Plan(
                self.access, types.SimpleNamespace(
                    region='RegionOne', unusable=(), hosts=tuple(
                        types.SimpleNamespace(name=each.host) for each in
                        self.compute.all_services.values())),
                preparation.Arguments(
                    config=str(self.config) if others else ''),
                self.files, None, self.flavors, '', others, 7),
            configuration.load_profile(profile), self.said.append)
        return found

    def text(self):
        return '\n'.join(self.said)

    def refused(self, *parts, **kwargs):
        exc = self.assertRaises(setup.SetupError, self.check, **kwargs)
        for part in parts:
            self.assertIn(part, str(exc))
        self.assertNotIn('\n', str(exc))


class CheckTest(HostCoverageTestCase):

    def test_good_hosts(self):
        self.assertEqual(3, self.check().open)
        self.assertEqual(
            ['Group nova, x86_64, QEMU, EPYC: 3 hosts (alpha, beta, gamma)',
             '  QEMU 10.0.2: 3 hosts (alpha, beta, gamma)',
             'Live migrations: 3, up to 4 at a time and one per host, so at '
             'least 3 after one another: about 3 min if one takes 30 s, and '
             'to build, check and delete up to 20 servers 90 s'], self.said)

    def test_pairs_of_a_dry_run(self):
        self.check(dry_run=True)
        self.assertEqual(
            ['  alpha to beta', '  beta to gamma', '  gamma to alpha'],
            self.said[-3:])
        self.useFixture(fixtures.MockPatchObject(
            host_coverage, 'PRINTED', 2))
        self.check(dry_run=True)
        self.assertEqual(['  beta to gamma', '  and 1 more'], self.said[-2:])

    def test_options_of_a_file(self):
        self.config.write_text(
            '[live_migration_ha_coverage]\npairs = all\nat_once = 1\n'
            '[compute]\ntarget_hosts_to_avoid = ^gam\n')
        self.assertEqual(2, self.check().open)
        self.assertIn('up to 1 at a time', self.text())
        self.assertNotIn('gamma', self.text())
        # Arguments override.
        self.check(at_once=2)
        self.assertIn('up to 2 at a time', self.said[-1])

    def test_profiles(self):
        self.assertEqual(3, self.check(profile='upgrade').open)
        self.refused('profile quick does not run the test of --hosts',
                     profile='quick')

    def test_arguments_that_are_wrong(self):
        self.refused('bad value of option at_once', at_once=0)
        self.refused('no number, such as 5', max_failures='half')

    def test_no_host_to_cover(self):
        self.refused("no compute host matches 'x'; there are: alpha, beta",
                     hosts=['x'])
        self.refused("matches 'aggregate=x'; there are: none",
                     hosts=['aggregate=x'])
        self.refused('alpha: no partner: there is no other usable host',
                     hosts=['alpha'])
        self.refused('needs two versions within a group', pairs='release')
        self.connection.placement.answers['/allocation_candidates'] = {
            'allocation_requests': []}
        self.refused('alpha: full: no room for a server', 'gamma: full')

    def test_hosts_that_are_left_out(self):
        for each in self.compute.all_services.values():
            if each.host == 'gamma':
                each.status = 'disabled'
        self.check()
        self.assertIn('LEFT OUT: host gamma: disabled', self.said)

    def test_cpus_that_differ(self):
        self.compute.hypervisor_changes['gamma'] = {
            'cpu_info': {'arch': 'x86_64', 'model': 'EPYC', 'features': [
                'sse', 'avx']}}
        self.check()
        self.assertIn(
            'WARNING: CPU features that others of the group have are missing '
            'on 2 hosts (alpha, beta): avx', self.said)
        self.compute.hypervisor_changes['gamma'] = {
            'cpu_info': {'arch': 'x86_64', 'model': 'Xeon'}}
        self.check()
        self.assertIn('LEFT OUT: host gamma: no partner: no other usable '
                      'host has cpu Xeon', self.said)

    def test_services_that_are_down(self):
        self.compute.controllers['nova-novncproxy'] = 'down'
        self.connection.network.all_agents = [
            types.SimpleNamespace(binary='ovn-controller', host=name,
                                  is_alive=name != 'beta') for name in HOSTS]
        self.check()
        self.assertEqual(
            ['WARNING: nova-novncproxy on controller is down',
             'WARNING: ovn-controller on beta is not alive'], self.said[:2])
        self.useFixture(fixtures.MockPatchObject(
            self.connection.network, 'agents', side_effect=fakes.forbidden()))
        self.check()
        self.assertIn('WARNING: cloud here: user admin may not list the '
                      'agents of neutron', self.text())
        for binary in host_coverage.CONTROLLERS:
            self.compute.controllers[binary] = 'down'
            self.refused(f'no {binary} is up')
            self.compute.controllers[binary] = 'up'

    def test_a_cloud_that_refuses(self):
        self.compute.error = fakes.forbidden()
        self.refused('may not read the compute hosts (HTTP 403)')

    def test_flavors_that_were_named(self):
        made = self.compute.all_flavors.add(
            name='big', vcpus=4, ram=4096, disk=0)
        self.flavors = (resources.Resource(
            'flavor', made.id, 'big', False),)
        paths = []
        real = self.connection.placement.get
        self.useFixture(fixtures.MockPatchObject(
            self.connection.placement, 'get',
            lambda path, **kwargs: paths.append(path) or real(
                path, **kwargs)))
        self.check()
        self.assertEqual(
            ['/allocation_candidates?resources=VCPU:4,MEMORY_MB:4096'], paths)

    def hosts_tell(self, versions):
        self.config.write_text(
            '[live_migration_ha_hosts]\nssh_user = stack\n')
        return self.useFixture(fixtures.MockPatchObject(
            access, 'HostAccess', autospec=True)).mock.return_value

    def test_versions_that_hosts_tell(self):
        hosts = self.hosts_tell(None)
        hosts.versions.return_value = {'gamma': access.HostVersions(
            '11.0.0', '10.0.2', '34.0.0', '')}
        self.check(pairs='release')
        self.assertIn('  QEMU 10.0.2, nova 34.0.0, libvirt 11.0.0: 1 host '
                      '(gamma)', self.said)
        hosts.close.assert_called_once_with()

    def test_a_host_that_does_not_tell(self):
        hosts = self.hosts_tell(None)
        hosts.versions.side_effect = remote.HostError('no SSH to host beta')
        self.refused('no SSH to host beta')
        hosts.close.assert_called_once_with()

    def test_canaries(self):
        self.refused('canary_key_file', 'bootstrap --canaries', canaries=True)
        self.files.canary_key.parent.mkdir(parents=True)
        self.files.canary_key.write_text('key')
        self.refused('no host that can take part has a canary', canaries=True)
        self.compute.all_servers.add(
            name='canary', compute_host='beta', tags=[resources.TAG])
        self.assertEqual(1, self.check(canaries=True, dry_run=True).open)
        self.assertEqual('  beta to gamma', self.said[-1])


class ResumeTest(HostCoverageTestCase):

    def write(self, *results, names=HOSTS, run_name='verify-1-x',
              **changes):
        self.results = self.folder / 'results'
        builders.write(self.results, run_name, results, builders.run(
            hosts=tuple(schema.ComputeHost(
                host=name, hypervisor_type='QEMU',
                hypervisor_version='10.0.2') for name in names), **changes))

    def test_pairs_with_a_result(self):
        self.write(builders.migration(
            source='alpha', destination='beta', test=host_coverage.TEST),
            builders.migration(1, source='beta', destination='gamma',
                               test='another'))
        self.assertEqual(2, self.check(resume=self.results).open)
        self.assertIn('Pairs of hosts with a result already: 1', self.said)
        self.assertIn('Live migrations: 2,', self.text())

    def test_what_the_ended_run_has_left(self):
        self.write()
        users = self.connection.identity.all_users
        for name in ('verify-1-user', 'verify-2-user'):
            users.add(name=name)
        self.check(resume=self.results, dry_run=True)
        self.assertEqual(2, len(users))
        self.check(resume=self.results)
        self.assertEqual(['verify-2-user'], [
            each.name for each in users.values()])
        self.assertIn('user verify-1-user (user-1): deleted', self.said)

    def test_nothing_to_resume(self):
        for path in (self.folder, self.folder / 'none'):
            self.refused(f'there is nothing to resume: {path}', resume=path)

    def test_tests_that_still_go_on(self):
        child = subprocess.Popen(
            ['sleep', '60'], env={
                'TEMPEST_CONFIG_DIR': str(self.files.verify_conf.parent)})
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.write(run_name=f'verify-1-{child.pid}')
        self.refused('still go on, in process', resume=self.results)
        # Another process has got the number.
        self.files = workspace.Workspace(self.folder / 'other')
        self.assertEqual(3, self.check(resume=self.results).open)

    def test_results_of_another_cloud(self):
        self.write(names=['x', 'y'])
        self.refused('is from another cloud: region RegionOne with hosts x, '
                     'y', resume=self.results)

    def test_results_that_were_altered(self):
        self.write(builders.migration(), builders.migration(1))
        path, = self.results.glob('*.jsonl')
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b''.join(lines[:1] + lines[2:]))
        self.refused('was altered', resume=self.results)


class ConcludeTest(base.TestCase):

    def test_verdicts(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        found, said = host_coverage.HostCoverage(['all']), []
        for text, good, part in (
                (None, False, 'No host was covered.'),
                ('{', False, 'cannot be read'),
                ('[{"a": 1}]', False, 'cannot be read'),
                ('[]', False, '0 of 0'),
                ('[{"host": "a", "sends": "good", "receives": "good", '
                 '"cause": ""}]', True, '1 of 1')):
            if text:
                (folder / coverage.VERDICTS).write_text(text)
            self.assertIs(good, found.conclude(folder, said.append))
            self.assertIn(part, said[-1])


class ForecastTest(base.TestCase):

    def test_time(self):
        found = coverage.Coverage(coverage.plan([
            coverage.Host(f'host{number}', qemu='9')
            for number in range(1000)]))
        for at_once, servers, rounds, minutes in (
                (4, 20, 250, 200), (100, 100, 10, 20), (100, 20, 50, 100)):
            text, = host_coverage.forecast(found, at_once, servers)
            self.assertIn(f'at least {rounds} after one another: about '
                          f'{minutes} min', text)
