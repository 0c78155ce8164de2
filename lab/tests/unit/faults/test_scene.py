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

import contextlib
import re
import types
from unittest import mock

from lab import errors
from lab.faults import injections
from lab.faults import scene
from lab.tests.unit import base
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import plan as plans
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation

Kind = verdicts.Kind


def verdict(kind, cause='', host='compute2'):
    """Return a verdict."""
    return verdicts.Verdict(kind, cause, '', builders.new_evidence(
        server=builders.server(host=host)))


def fault(**values):
    """Return a fault that is none."""
    return injections.Fault(**{
        'name': 'x', 'action': 'something', 'servers': 1,
        'when': injections.RUNNING, 'inject': mock.Mock(),
        'heal': mock.Mock(), 'expected': (Kind.COMPLETED,), 'cause': '^$',
        **values})


class TestErrors(base.TestCase):

    def test_right(self):
        self.assertEqual([], scene._errors(
            fault(), verdict(Kind.COMPLETED), Kind.COMPLETED))

    def test_other_verdict(self):
        found = scene._errors(fault(expected=(Kind.STUCK,)),
                              verdict(Kind.COMPLETED), Kind.COMPLETED)
        self.assertEqual(['the verdict is completed, not stuck'], found)

    def test_other_cause(self):
        found = scene._errors(
            fault(expected=(Kind.STUCK,), cause='network'),
            verdict(Kind.STUCK, 'something else'), Kind.STUCK)
        self.assertEqual(["the cause does not match 'network'"], found)

    def test_libvirt_shows_another_verdict(self):
        found = scene._errors(
            fault(), verdict(Kind.COMPLETED), Kind.INCONSISTENT)
        self.assertEqual(
            ["nova's database and libvirt show inconsistent, not completed"],
            found)


class FakeFleet(contextlib.nullcontext):
    """Servers that exist already."""

    def __init__(self, cloud, number, host):
        super().__init__(self)
        self.ids = [f'server-{each}' for each in range(number)]

    def address(self, server_id):
        return f'192.0.2.{server_id[-1]}'


class TestPlay(base.TestCase):

    def setUp(self):
        super().setUp()
        self.ports, self.processes = [], []
        self.probes = mock.Mock()
        self.services = fakes.services(('compute1', 'enabled', 'up'),
                                       ('compute2', 'enabled', 'up'))
        self.run = self.patch(
            scene.engine, 'run', autospec=True, side_effect=self.migrate)
        self.patch(scene.watch, 'Watch', return_value=self.probes)
        self.patch(scene.fleet, 'Fleet', FakeFleet)
        self.patch(scene.fleet, 'sql', lambda layout, statement: [
            ['server-0', 'compute2', 'active', 'NULL', 'completed']])
        self.patch(scene.fleet, 'running_on', lambda hosts: {
            'server-0': ['compute2']})
        self.patch(scene.fleet, 'qemu_processes',
                   lambda server_id: self.processes)
        self.place = injections.Place(self.layout, 'compute1', 'compute2')
        cloud = types.SimpleNamespace(network=types.SimpleNamespace(
            ports=lambda: self.ports))
        self.scene = scene.Scene(
            cloud, simulation.clients(services=self.services), self.place)

    def migrate(self, plan, clients, on_poll, **kwargs):
        """Call back as the engine does; both servers are completed."""
        self.plan = plan
        for status in ('queued', 'running', 'completed'):
            on_poll(None, [
                mock.Mock(status=status, **{'request.server_id': server_id})
                for server_id in reversed([
                    each.server_id for each in plan.servers])])
        return mock.Mock(migrations=[
            mock.Mock(server_id=each.server_id, verdict=verdict(
                Kind.COMPLETED)) for each in plan.servers])

    def test_right(self):
        played = fault()
        outcome = self.scene.play(played)
        self.assertEqual(
            (played, Kind.COMPLETED, [], ['compute2'], []),
            (outcome.fault, outcome.verdict.kind, outcome.others,
             outcome.running_on, outcome.errors))
        played.inject.assert_called_once_with(self.place)
        played.heal.assert_called_once_with(self.place)
        self.probes.stop.assert_called_once_with()

    def test_the_plan(self):
        self.scene.play(fault())
        self.assertEqual(
            ((plans.PlannedServer('server-0', '192.0.2.0'),), 'compute2',
             False),
            (self.plan.servers, self.plan.destination, self.plan.measured))
        # A fault is a problem by design.
        self.assertEqual(set(registry.CHECKS), set(self.plan.leave_out))

    def test_the_first_in_the_state_is_hit(self):
        self.patch(scene.fleet, 'sql', lambda layout, statement: [
            ['server-1', 'compute2', 'active', 'NULL', 'completed']])
        self.patch(scene.fleet, 'running_on', lambda hosts: {
            'server-1': ['compute2']})
        played = fault(servers=2, when=injections.QUEUED)
        outcome = self.scene.play(played)
        played.inject.assert_called_once_with(self.place)
        self.assertEqual([], outcome.errors)
        self.assertEqual([Kind.COMPLETED],
                         [each.kind for each in outcome.others])

    def test_injected_before(self):
        played = fault(when=injections.BEFORE)
        played.inject.side_effect = lambda place: self.run.assert_not_called()
        self.assertEqual([], self.scene.play(played).errors)
        played.inject.assert_called_once_with(self.place)

    def test_no_migration_in_the_state(self):
        played = fault(when='post-migrating')
        self.assertIn('no migration was seen post-migrating',
                      self.refused(self.scene.play, played))
        played.inject.assert_not_called()
        played.heal.assert_called_once_with(self.place)
        self.probes.stop.assert_called_once_with()

    def test_healed_and_stopped_after_an_error(self):
        self.run.side_effect = errors.LabError('It is gone.')
        played = fault()
        self.refused(self.scene.play, played)
        played.heal.assert_called_once_with(self.place)
        self.probes.stop.assert_called_once_with()

    def test_leftovers(self):
        self.ports = [types.SimpleNamespace(id='7', device_id='server-0'),
                      types.SimpleNamespace(id='8', device_id='other')]
        self.processes = ['99']
        self.assertEqual(
            ['port 7 is left',
             'QEMU process 99 of server server-0 is left'],
            self.scene.play(fault()).errors)

    def test_libvirt_disagrees(self):
        self.patch(scene.fleet, 'running_on', lambda hosts: {
            'server-0': ['compute1']})
        self.assertEqual(
            ["nova's database and libvirt show inconsistent, not completed"],
            self.scene.play(fault()).errors)


class TestTruth(base.TestCase):

    def _truth(self, *row, running=('compute2',)):
        self.patch(scene.fleet, 'sql', lambda layout, statement: [
            ['other', 'compute1', 'active', 'NULL', 'running'],
            *([['x', *row]] if row else [])])
        return scene.truth(injections.Place(
            self.layout, 'compute1', 'compute2'), 'x', list(running))

    def test_kinds(self):
        for kind, row, running in (
                (Kind.COMPLETED, ('compute2', 'active', 'NULL', 'completed'),
                 ['compute2']),
                (Kind.ROLLED_BACK, ('compute1', 'active', 'NULL', 'failed'),
                 ['compute1']),
                (Kind.CANCELLED, ('compute1', 'active', 'NULL', 'cancelled'),
                 ['compute1']),
                (Kind.STUCK, ('compute1', 'active', 'migrating', 'running'),
                 ['compute1']),
                (Kind.STUCK, ('compute2', 'active', 'NULL', 'running'),
                 ['compute2']),
                (Kind.STUCK, ('compute1', 'active', 'migrating', 'error'),
                 ['compute1']),
                (Kind.FAILED, ('compute1', 'error', 'NULL', 'error'), []),
                (Kind.INCONSISTENT, ('compute1', 'error', 'NULL', 'error'),
                 ['compute1']),
                (Kind.INCONSISTENT, ('compute1', 'active', 'NULL', 'error'),
                 ['compute2']),
                (Kind.INCONSISTENT, ('compute2', 'active', 'NULL',
                                     'completed'), ['compute1', 'compute2']),
                (Kind.INCONSISTENT, ('compute1', 'active', 'NULL',
                                     'completed'), ['compute1'])):
            self.assertEqual(kind, self._truth(*row, running=running), row)

    def test_gone(self):
        self.assertEqual(Kind.LOST, self._truth())


class TestFaults(base.TestCase):

    def test_names_differ(self):
        names = [each.name for each in injections.FAULTS]
        self.assertEqual(sorted(set(names)), sorted(names))

    def test_at_least_seven(self):
        self.assertGreaterEqual(len(injections.FAULTS), 7)

    def test_causes_are_expressions(self):
        for each in injections.FAULTS:
            re.compile(each.cause)
            self.assertTrue(each.expected)

    def test_only_a_repaired_fault_may_be_completed(self):
        self.assertEqual(
            ['network-20s'],
            [each.name for each in injections.FAULTS
             if Kind.COMPLETED in each.expected])
