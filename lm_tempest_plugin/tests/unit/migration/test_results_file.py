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

from concurrent import futures
import datetime
from importlib import metadata
import json
import os
import pathlib
import subprocess
from unittest import mock

import fixtures

from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import simulation
from lm_tempest_plugin.tests.unit.results import builders


class ResultsFileTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.file = self.results_file(self.directory, 'a run')

    def results_file(self, directory, name):
        return results_file.ResultsFile(directory, name, builders.run)

    def read(self):
        return store.read(pathlib.Path(self.directory).glob('*.jsonl'))

    def test_the_run_comes_first(self):
        for number in range(2):
            self.file.append(builders.migration(number))
        read = self.read()
        run, = read.runs
        self.assertEqual((f'a run-{os.getpid()}', 'RegionOne'),
                         (run.run, run.region))
        self.assertEqual(['server-0', 'server-1'],
                         [each.server_id for each in read.migrations])

    def test_a_line_is_returned_as_it_was_stored(self):
        stored = self.file.append(builders.migration())
        path, = pathlib.Path(self.directory).glob('*.jsonl')
        self.assertEqual(stored, path.read_bytes().splitlines()[-1])

    def test_named_by_the_time(self):
        self.results_file(self.directory, '').append(builders.migration())
        run, = self.read().runs
        self.assertRegex(run.run, rf'^\d{{8}}T\d{{6}}Z-{os.getpid()}$')

    def test_there_is_no_file_before_the_first_line(self):
        self.assertEqual([], os.listdir(self.directory))

    def test_no_directory(self):
        line = self.results_file('', '').append(builders.migration())
        self.assertEqual([], os.listdir(self.directory))
        self.assertEqual('server-0', json.loads(line)['server_id'])

    def test_a_directory_that_cannot_be_created(self):
        path = os.path.join(self.directory, 'file')
        with open(path, 'w'):
            pass
        exc = self.assertRaises(
            store.ResultsError, self.results_file(path, '').append,
            builders.migration())
        self.assertIn(path, str(exc))

    def test_a_first_line_that_cannot_be_written_spoils_no_later_one(self):
        with fixtures.MockPatchObject(
                os, 'write', side_effect=OSError(28, 'No space left')):
            self.assertRaises(store.ResultsError, self.file.append,
                              builders.migration(0))
        self.assertEqual([], os.listdir(self.directory))
        self.file.append(builders.migration(1))
        read = self.read()
        self.assertEqual(1, len(read.runs))
        self.assertEqual(['server-1'],
                         [each.server_id for each in read.migrations])

    def test_logs_are_kept_beside_the_results(self):
        self.file.append(builders.migration())
        self.file.keep_logs('drain-1/2', [
            schema.HostLog(host='a/b', name='qemu', lines=('one', 'two ä')),
            schema.HostLog(host='beta', name='qemu', error='no such file')])
        name, = (each for each in os.listdir(self.directory)
                 if each.endswith('.log'))
        self.assertEqual(f'a-run-{os.getpid()}-drain-1-2-a-b-qemu.log', name)
        path = pathlib.Path(self.directory, name)
        self.assertEqual('one\ntwo ä\n', path.read_text())
        self.assertEqual(0o600, path.stat().st_mode & 0o777)

    def test_logs_without_a_directory(self):
        kept = self.results_file('', '')
        kept.append(builders.migration())
        kept.keep_logs('drain-1/1', [
            schema.HostLog(host='alpha', name='qemu', lines=('one',))])
        self.assertEqual([], os.listdir(self.directory))

    def test_logs_that_cannot_be_written(self):
        self.file.append(builders.migration())
        with fixtures.MockPatchObject(
                os, 'fsync', side_effect=OSError(28, 'No space left')):
            exc = self.assertRaises(
                store.ResultsError, self.file.keep_logs, 'drain-1/1',
                [schema.HostLog(host='alpha', name='qemu', lines=('one',))])
        self.assertIn('alpha-qemu.log cannot be written', str(exc))

    def test_several_threads_may_append(self):
        with futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.file.append, map(
                builders.migration, range(200))))
            names = set(pool.map(lambda _: self.file.next_drain(),
                                 range(200)))
        # Reading them checks the chain of digests.
        self.assertEqual(200, len(self.read().migrations))
        self.assertEqual(200, len(names))

    def test_drains_are_numbered(self):
        self.assertEqual(['drain-1', 'drain-2'], [
            self.file.next_drain() for _ in range(2)])

    def test_a_test_that_fails(self):
        self.file.append(builders.migration())
        line = self.file.test_failed(
            'a.test.of_it', AssertionError('disk of\nserver x'))
        read = self.read()
        failure, = read.failures
        self.assertEqual(('a.test.of_it', 'disk of server x'),
                         (failure.test, failure.reason))
        self.assertEqual('test-failure', json.loads(line)['kind'])
        self.assertIn('a.test.of_it', read.tests)

    def test_a_test_that_fails_before_any_migration(self):
        self.file.test_failed('a.test.of_it', AssertionError('no guest'))
        self.assertEqual(1, len(self.read().runs))


class RunStartedTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.clients = simulation.clients(
            versions=fakes.versions(('v2.1', '2.1', '2.104')),
            hypervisors=mock.Mock(list_hypervisors=lambda detail: {
                'hypervisors': [{
                    'service': {'host': host}, 'hypervisor_type': 'QEMU',
                    'hypervisor_version': 10000002}
                    for host in ('alpha', 'beta')]}))

    def test_without_access_to_hosts(self):
        run = results_file.run_started('RegionOne', self.clients)
        self.assertEqual(
            [('alpha', '10.0.2', None, None, None),
             ('beta', '10.0.2', None, None, None)],
            [(each.host, each.hypervisor_version, each.libvirt_version,
              each.nova_version, each.ovn_version) for each in run.hosts])

    def test_plugin_and_cloud(self):
        run = results_file.run_started('RegionOne', self.clients, mock.Mock(
            versions=lambda: {
                'alpha': access.HostVersions('9.0.0', '10.0.3', '', ''),
                'beta': access.HostVersions(
                    '9.0.0', '', '34.0.0', '23.03.1')}))
        self.assertEqual(
            ('RegionOne', '2.104', metadata.version('lm-tempest-plugin')),
            (run.region, run.compute_api, run.plugin_version))
        self.assertEqual(
            (schema.ComputeHost(
                host='alpha', hypervisor_type='QEMU',
                # Of the QEMU that libvirt starts now.
                hypervisor_version='10.0.3', libvirt_version='9.0.0'),
             schema.ComputeHost(
                host='beta', hypervisor_type='QEMU',
                hypervisor_version='10.0.2', libvirt_version='9.0.0',
                nova_version='34.0.0', ovn_version='23.03.1')),
            run.hosts)
        self.assertAlmostEqual(
            run.started_at, datetime.datetime.now(datetime.UTC),
            delta=datetime.timedelta(minutes=1))


class CommitTest(base.TestCase):

    def installed(self, checkout, pbr_json=None):
        """Let the plugin be a checkout, or a package built by pbr."""
        self.useFixture(fixtures.MockPatchObject(
            pathlib.Path, 'exists', return_value=checkout))
        distribution = mock.Mock()
        distribution.read_text.return_value = pbr_json
        self.useFixture(fixtures.MockPatchObject(
            metadata, 'distribution', return_value=distribution))

    def git(self, **kwargs):
        self.useFixture(fixtures.MockPatchObject(
            subprocess, 'run', **kwargs))

    def test_a_checkout(self):
        self.installed(True)
        self.git(return_value=mock.Mock(stdout='1234567890ab+\n'))
        self.assertEqual('1234567890ab+', results_file.commit())

    def test_a_checkout_without_git(self):
        self.installed(True)
        self.git(side_effect=FileNotFoundError('git'))
        self.assertEqual('', results_file.commit())

    def test_a_package(self):
        self.installed(False, '{"git_version": "1234abc"}')
        self.assertEqual('1234abc', results_file.commit())

    def test_a_package_that_pbr_did_not_build(self):
        self.installed(False)
        self.assertEqual('', results_file.commit())
