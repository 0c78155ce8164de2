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
import types
from unittest import mock

from lab import errors
from lab.faults import fault
from lab.faults import scene
from lab.tests.unit import base
from lab.topology import Topology
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation

Kind = verdicts.Kind
When = fault.When
COMPLETED = ['compute2', 'active', 'NULL', 'completed']
FAILED = ['compute1', 'active', 'NULL', 'failed']


def new_fault(**values):
    """Return a fault that is none."""
    return fault.Fault(**{
        'name': 'x', 'action': 'something', 'when': When.RUNNING,
        'inject': mock.Mock(), 'heal': mock.Mock(), 'prepare': mock.Mock(),
        'expected': (Kind.COMPLETED,), **values})


def new_verdict(kind, cause=''):
    """Return a verdict."""
    return verdicts.Verdict(kind, cause, '', builders.new_evidence(
        server=builders.server(host='compute2')))


def new_truth(kind=Kind.COMPLETED, row=(), **traces):
    """Return a truth."""
    return scene.Truth(kind, row or COMPLETED, {}, traces)


class TestErrors(base.TestCase):

    def _errors(self, verdict=Kind.COMPLETED, said='', truth=None,
                problems=(), **values):
        outcome = scene.Outcome(
            new_fault(**values), new_verdict(verdict, said), [],
            [schema.Problem(check=check, text=text)
             for check, text in problems], truth or new_truth(verdict), [])
        return list(scene._errors(outcome))

    def test_right(self):
        for values in (
                {},
                {'checks': ('outage',), 'cause': '60 s',
                 'problems': [('outage', 'outage of 60 s')]},
                {'consequences': ('stall',), 'problems': [('stall', 'x')]},
                {'consequences': ('stall',)},
                {'verdict': Kind.STUCK, 'expected': (Kind.STUCK,),
                 'cause': 'hangs', 'said': 'it hangs',
                 'problems': [('verdict', 'x')]},
                # The database does not tell these two apart.
                {'verdict': Kind.FAILED, 'expected': (Kind.FAILED,),
                 'truth': new_truth(Kind.ROLLED_BACK),
                 'problems': [('verdict', 'x')]},
                # Its interface may be down.
                {'verdict': Kind.LOST, 'expected': (Kind.LOST,),
                 'truth': new_truth(Kind.COMPLETED),
                 'problems': [('verdict', 'x')]}):
            self.assertEqual([], self._errors(**values), values)

    def test_wrong(self):
        for text, values in (
                ('the verdict is completed, not stuck',
                 {'expected': (Kind.STUCK,)}),
                ("nova's database and libvirt show lost: compute2 active "
                 'NULL completed; no domain, not completed',
                 {'truth': new_truth(Kind.LOST)}),
                ("neither cause nor problem matches '60 s'",
                 {'cause': '60 s', 'said': '6 s', 'checks': ('outage',),
                  'problems': [('outage', '1 s')]}),
                ('check outage does not fail', {'checks': ('outage',)}),
                ('check stall fails as well: 9 s',
                 {'problems': [('stall', '9 s')]}),
                ('check verdict does not fail',
                 {'verdict': Kind.LOST, 'expected': (Kind.LOST,)})):
            self.assertEqual([text], self._errors(**values), values)

    def test_leftovers_have_to_be_told(self):
        left = new_truth(compute1=['domain', 'directory'],
                         compute2=['domain'])
        self.assertEqual(
            ['check domains does not fail'],
            self._errors(truth=left,
                         problems=[('instance-directories', 'x')]))
        # Nobody can tell of a host that does not answer.
        self.assertEqual([], self._errors(
            truth=left, checks=('host-access',),
            problems=[('host-access', 'x')]))


class TestTruth(base.TestCase):

    def test_kinds(self):
        place = fault.Place(self.layout, 'compute1', 'compute2', 'x')
        for kind, row, *states in (
                (Kind.COMPLETED, COMPLETED, '', 'running'),
                (Kind.ROLLED_BACK, FAILED, 'running', ''),
                (Kind.CANCELLED, [*FAILED[:3], 'cancelled'], 'running', ''),
                (Kind.STUCK, ['compute1', 'active', 'migrating', 'running'],
                 'running', 'paused'),
                (Kind.STUCK, [*COMPLETED[:3], 'running'], '', 'running'),
                (Kind.STUCK, ['compute1', 'active', 'migrating', 'error'],
                 scene.UNKNOWN, ''),
                (Kind.LOST, ['compute1', 'error', 'NULL', 'error'], '', ''),
                (Kind.LOST, ['compute1', 'active', 'migrating', 'running'],
                 'shut off', ''),
                (Kind.LOST, COMPLETED, '', 'paused'),
                (Kind.LOST, [], '', 'running'),
                (Kind.INCONSISTENT, ['compute1', 'error', 'NULL', 'error'],
                 'running', ''),
                (Kind.INCONSISTENT, FAILED, '', 'running'),
                (Kind.INCONSISTENT, [*FAILED[:3], 'completed'], 'running',
                 ''),
                (Kind.RUNS_TWICE, COMPLETED, 'running', 'running')):
            found = scene._kind(place, row, dict(zip(
                ('compute1', 'compute2'), states, strict=True)))
            self.assertEqual(kind, found, (row, states))

    def test_read(self):
        self.patch(scene.fleet, 'sql', lambda layout, statement: [
            ['other', *FAILED], ['x', *FAILED], ['x', *COMPLETED]])
        self.patch(scene.fleet, 'domain_state', self._state)
        self.patch(scene.LOG, 'exception')
        self.patch(scene.fleet, 'traces', lambda *args: ['domain'])
        found = scene.truth(fault.Place(
            self.layout, 'compute1', 'compute2', 'x'), ['port'])
        self.assertEqual(
            (Kind.COMPLETED, COMPLETED,
             {'compute1': scene.UNKNOWN, 'compute2': 'running'},
             {'compute2': ['domain']}, []),
            (found.kind, found.row, found.states, found.traces, found.left))

    def _state(self, host, server_id):
        if host == 'compute1':
            raise errors.LabError('It hangs.')
        return 'running'


class FakeFleet(contextlib.nullcontext):
    """Servers that exist already."""

    def __init__(self, cloud, number, host, shape):
        super().__init__(self)
        self.shape = shape
        self.ids = [f'server-{each}' for each in range(number)]
        self.ports = {each: [f'port of {each}'] for each in self.ids}
        self.guests = [types.SimpleNamespace(
            server_id=each, address=f'192.0.2.{each[-1]}')
            for each in self.ids]


class TestPlay(base.TestCase):

    def setUp(self):
        super().setUp()
        self.ports, self.processes, self.traces = [], [], []
        self.row, self.problems = COMPLETED, []
        self.workloads = mock.Mock()
        self.removed = self.patch(scene.fleet, 'remove_traces')
        self.run = self.patch(
            scene.engine, 'run', autospec=True, side_effect=self.migrate)
        self.patch(scene.inside, 'wait_until_ready')
        self.patch(scene.access, 'HostAccess')
        self.observed = mock.MagicMock()
        self.patch(scene.lm_tempest_plugin.guests.fleet, 'Fleet',
                   lambda maker, guests, options: contextlib.nullcontext(
                       mock.MagicMock(guests=guests)))
        self.patch(scene.config, 'CONF', mock.MagicMock())
        self.patch(scene, '_plan', lambda *args: args)
        for name, value in (
                ('Fleet', FakeFleet),
                ('guest_builder', lambda clients: self.workloads),
                ('sql', lambda layout, statement: [
                    ['server-0', *self.row], ['server-1', *self.row]]),
                ('domain_state', lambda host, server_id:
                    'running' if host == self.row[0] else ''),
                ('traces', lambda *args: self.traces),
                ('qemu_processes', lambda server_id: self.processes)):
            self.patch(scene.fleet, name, value)
        cloud = types.SimpleNamespace(network=types.SimpleNamespace(
            ports=lambda: self.ports))
        services = fakes.services(('compute1', 'enabled', 'up'),
                                  ('compute2', 'enabled', 'up'))
        self.scene = scene.Scene(
            cloud, simulation.clients(services=services), Topology(),
            self.layout, 'compute1', 'compute2')

    def migrate(self, plan, clients, on_poll, **kwargs):
        """Call back as the engine does; all servers are completed."""
        ids = plan[1].ids
        for status, host in (('queued', 'compute1'), ('running', 'compute1'),
                             ('running', 'compute2'),
                             ('completed', 'compute2')):
            on_poll(None, [
                mock.Mock(status=status, **{
                    'request.server_id': server_id, 'server.host': host})
                for server_id in reversed(ids)])
        return mock.Mock(problems=self.problems, drain='drain-1', migrations=[
            mock.Mock(server_id=server_id,
                      verdict=new_verdict(Kind.COMPLETED))
            for server_id in ids])

    def _place(self, server_id='server-0'):
        return fault.Place(self.layout, 'compute1', 'compute2', server_id)

    def test_right(self):
        played = new_fault()
        outcome = self.scene.play(played)
        self.assertEqual(
            (played, Kind.COMPLETED, [], Kind.COMPLETED, []),
            (outcome.fault, outcome.verdict.kind, outcome.others,
             outcome.truth.kind, outcome.errors))
        for act in (played.prepare, played.inject, played.heal):
            act.assert_called_once_with(self._place())

    def test_recover(self):
        restart = self.patch(scene.settings, 'restart_compute')
        self.scene.recover()
        restart.assert_called_once_with(self.layout, 'compute1', 'compute2')
        scene.inside.wait_until_ready.assert_called_once()

    def test_moments(self):
        for when, polls in ((When.BEFORE, 0), (When.QUEUED, 1),
                            (When.RUNNING, 2), (When.ARRIVED, 3)):
            seen = []
            self.patch(scene, '_is_due', lambda *args, seen=seen:
                       seen.append(1) or self.is_due(*args))
            played = new_fault(when=when)
            self.assertEqual([], self.scene.play(played).errors, when)
            played.inject.assert_called_once()
            self.assertEqual(polls, len(seen), when)

    is_due = staticmethod(scene._is_due)

    def test_the_first_in_the_state_is_hit(self):
        played = new_fault(needs=fault.Needs(servers=2), when=When.QUEUED)
        outcome = self.scene.play(played)
        played.prepare.assert_called_once_with(self._place())
        played.inject.assert_called_once_with(self._place('server-1'))
        self.assertEqual([Kind.COMPLETED],
                         [each.kind for each in outcome.others])

    def test_no_migration_in_the_state(self):
        played = new_fault(when=When.POST_COPY)
        self.assertIn('no migration was seen running (post-copy)',
                      self.refused(self.scene.play, played))
        played.inject.assert_not_called()
        played.heal.assert_called_once_with(self._place())

    def test_healed_after_an_error(self):
        for act in ('prepare', 'inject'):
            played = new_fault(**{act: mock.Mock(
                side_effect=fault.Missing('It lacks.'))})
            self.assertRaises(fault.Missing, self.scene.play, played)
            played.heal.assert_called_once_with(self._place())

    def test_fault_that_is_not_there(self):
        played = new_fault(present=lambda place: f'{place.server_id} is well')
        self.assertEqual(['the fault was not there: server-0 is well'],
                         self.scene.play(played).errors)

    def test_result_that_lacks_something(self):
        played = new_fault(told=lambda drain: f'{drain} has no clock')
        self.assertEqual(['the result does not tell: drain-1 has no clock'],
                         self.scene.play(played).errors)

    def test_memory_is_written(self):
        self.scene.play(new_fault(needs=fault.Needs(memory_mib=8)))
        guest, workload = self.workloads.start.call_args.args
        self.assertEqual(('server-0', 8),
                         (guest.server_id, workload.memory_mib))

    def test_leftovers_are_told_and_removed(self):
        self.ports = [types.SimpleNamespace(id='7', device_id='server-0'),
                      types.SimpleNamespace(id='8', device_id='other')]
        self.processes = ['99']
        self.traces = ['directory']
        # On the source, it was told by the check.
        self.problems = [schema.Problem(check='instance-directories',
                                        text='left')]
        outcome = self.scene.play(new_fault())
        self.assertEqual(['port 7 is left',
                          'QEMU process 99 of server server-0 is left'],
                         outcome.errors)
        self.problems = [schema.Problem(check='host-access', text='silent')]
        self.assertNotIn('directory of server server-0 is left on compute1',
                         self.scene.play(new_fault()).errors)
        self.problems = []
        self.assertIn('directory of server server-0 is left on compute1',
                      self.scene.play(new_fault()).errors)
        self.removed.assert_called_with(
            self.layout, 'compute2', 'server-0', ['port of server-0'])
