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

import time
import types
from unittest import mock

import msgspec
from tempest.lib import exceptions

from lm_tempest_plugin.migration import telemetry
from lm_tempest_plugin.results import metrics
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import test_engine

PROGRESS = schema.Progress(
    at_s=1.0, memory_total_bytes=100, memory_processed_bytes=10,
    memory_remaining_bytes=90, disk_total_bytes=0, disk_processed_bytes=0,
    disk_remaining_bytes=0)


class PolledTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(time, 'time_ns', lambda: 10 ** 12)
        self.patch(time, 'monotonic_ns', lambda: 0)
        self.shown = mock.create_autospec(metrics.Metrics, instance=True)
        self.services = mock.Mock()
        self.services.list_services.return_value = {'services': [
            {'host': 'alpha', 'status': 'enabled', 'state': 'up'},
            {'host': 'beta', 'status': 'enabled', 'state': 'down'}]}
        self.telemetry = telemetry.Telemetry(
            self.shown, types.SimpleNamespace(services=self.services))

    def patch(self, target, name, value):
        patcher = mock.patch.object(target, name, value)
        patcher.start()
        self.addCleanup(patcher.stop)

    def poll(self, snapshot, *migrations):
        for each in migrations:
            each.update(snapshot)
        self.telemetry.polled(snapshot, migrations)
        at_s, found, hosts = self.shown.snapshot.call_args.args
        return at_s, list(found), list(hosts)

    def test_progress(self):
        migration = builders.migration()
        running = [builders.record('running')]
        seen = []
        for at_s, progress in (
                (1, None), (2, PROGRESS),
                (3, msgspec.structs.replace(PROGRESS, at_s=3.0)),
                (4, msgspec.structs.replace(
                    PROGRESS, memory_processed_bytes=11))):
            if progress:
                migration.progress.append(progress)
            _, [found], _ = self.poll(builders.snapshot(
                at_s, running, builders.migrating()), migration)
            seen.append(found.progress_s - 1000)
        # The third one has the figures of the second.
        self.assertEqual([1, 2, 2, 4], [round(each) - round(seen[0]) + 1
                                        for each in seen])

    def test_states(self):
        for records, state, copies in (
                ([], 'requested', False),
                ([builders.record('queued')], 'queued', False),
                ([builders.record('running')], 'running', True),
                ([builders.record('running (post-copy)')],
                 'running (post-copy)', True)):
            _, [found], _ = self.poll(builders.snapshot(
                1, records, builders.migrating()), builders.migration())
            self.assertEqual((state, False, copies), (
                found.state, found.ended, found.progress_s is not None))

    def test_timed_out(self):
        migration = builders.migration()
        at_s, [found], _ = self.poll(builders.snapshot(
            10 ** 5, [builders.record('running')], builders.migrating()),
            migration)
        self.assertEqual((metrics.TIMED_OUT, True),
                         (found.state, found.ended))
        self.assertLessEqual(found.deadline_s, at_s)

    def test_hosts(self):
        _, _, hosts = self.poll(builders.snapshot(1, [
            builders.record('running')]))
        self.assertEqual([metrics.HostState('alpha', True, 1, 0, 0),
                          metrics.HostState('beta', False, 0, 1, 0)], hosts)

    def test_the_progress_of_another_migration_is_forgotten(self):
        migration = builders.migration()
        migration.progress.append(PROGRESS)
        running = [builders.record('running')]
        for at_s, forgotten, expected_s in ((1, False, 1001), (2, False, 1001),
                                            (3, True, 1003)):
            if forgotten:
                self.telemetry.stored(msgspec.json.encode(schema.DrainStarted(
                    drain='drain-2', test='', settings=schema.Settings(),
                    strategy=schema.BY_OTHERS, servers=1, round_trip=1,
                    measured=True, source='alpha', destination='',
                    server_ids=(migration.request.server_id,))))
            _, [found], _ = self.poll(builders.snapshot(
                at_s, running, builders.migrating()), migration)
            self.assertEqual(
                expected_s + builders.REQUESTED_NS / builders.S,
                found.progress_s)

    def test_rest(self):
        self.telemetry.rest()
        self.shown.rest.assert_called_once_with()

    def test_services_are_asked_now_and_then(self):
        for at_s in range(1, 21):
            self.poll(builders.snapshot(at_s))
        self.assertEqual(2, self.services.list_services.call_count)

    def test_an_api_that_is_away(self):
        self.services.list_services.side_effect = exceptions.ServerFault()
        _, _, hosts = self.poll(builders.snapshot(1, [
            builders.record('queued')]))
        self.assertEqual([metrics.HostState('alpha', None, 0, 0, 1),
                          metrics.HostState('beta', None, 0, 0, 0)], hosts)


class EngineTest(test_engine.EngineTestCase):

    def test_run(self):
        shown = mock.create_autospec(metrics.Metrics, instance=True)
        self.run_plan(metrics=telemetry.Telemetry(shown, self.cloud.clients))
        lines = [call.args[0] for call in shown.stored.call_args_list]
        self.assertEqual(
            [schema.DrainStarted, *2 * [schema.MigrationEnded],
             *2 * [schema.MigrationResult], schema.DrainResult],
            list(map(type, lines)))
        self.assertEqual({lines[0].run}, {line.run for line in lines})
        _, found, _ = shown.snapshot.call_args.args
        self.assertEqual(['completed'] * 2, [each.state for each in found])


class StartTest(base.TestCase):

    def test_options(self):
        for port, textfile, expected in (
                (0, '', None), (9750, '', (9750, '')),
                (0, '/x.prom', (None, '/x.prom'))):
            with mock.patch.object(metrics, 'Metrics') as made:
                found = telemetry.start(types.SimpleNamespace(
                    metrics_port=port, metrics_textfile=textfile), None)
            self.assertEqual(expected is not None, found is not None)
            self.assertEqual([mock.call(*expected)] if expected else [],
                             made.call_args_list)
