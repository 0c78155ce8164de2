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
import email.utils
import json
import shutil
import subprocess
import sys
import time
import types
import unittest
from unittest import mock

from lab.faults import fault
from lab.faults import services
from lab import supervisor
from lab.tests.unit import base


class FakePlacement:
    """placement's API with the providers of two hosts."""

    def __init__(self):
        self.providers = {name: self._new(name)
                          for name in ('compute1', 'compute2')}
        self.held = {'compute2': {'VCPU': 1}}
        self.aggregates = {}
        self.classes = set()
        self.consumer_generation = 1

    def _new(self, name, parent=None):
        return {'name': name, 'uuid': f'uuid-{name}', 'generation': 0,
                'parent': parent}

    def request(self, path, method, microversion, json=None):
        answer = getattr(self, f'_{method.lower()}')(
            path.strip('/').split('/'), json)
        status, content = answer if isinstance(answer, tuple) else (
            200, answer)
        return types.SimpleNamespace(
            ok=status < 400, status_code=status, content=content,
            text=str(content), json=lambda: content)

    def _get(self, path, body):
        if path[0] == 'allocations':
            return {'allocations': {
                f'uuid-{name}': {'generation': 5, 'resources': each}
                for name, each in self.held.items()},
                'consumer_generation': self.consumer_generation,
                'project_id': 'project', 'user_id': 'user'}
        name = path[0].partition('?name=')[2]
        return {'resource_providers': [
            each for each in self.providers.values()
            if each['name'] == name]}

    def _post(self, path, body):
        self.providers[body['name']] = self._new(
            body['name'], body.get('parent_provider_uuid'))
        return self.providers[body['name']]

    def _put(self, path, body):
        if path[0] == 'resource_classes':
            self.classes.add(path[1])
            return {}
        if path[0] == 'allocations':
            # Generations of providers are not part of a request.
            json.dumps(body)
            assert body['consumer_generation'] == self.consumer_generation
            self.consumer_generation += 1
            self.held = {
                uuid.removeprefix('uuid-'): each['resources']
                for uuid, each in body['allocations'].items()
                if set(each) == {'resources'}}
            return {}
        provider = self.providers[path[1].removeprefix('uuid-')]
        if body['resource_provider_generation'] != provider['generation']:
            return 409, 'conflict'
        provider['generation'] += 1
        if path[2] == 'aggregates':
            self.aggregates[provider['name']] = body['aggregates']
        return {'resource_provider_generation': provider['generation']}

    def _delete(self, path, body):
        if path[0] == 'resource_classes':
            if path[1] not in self.classes:
                return 404, 'none'
            self.classes.remove(path[1])
        else:
            name = path[1].removeprefix('uuid-')
            if name in self.held:
                return 409, 'in use'
            del self.providers[name]
        return 204, {}


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.place = fault.Place(self.layout, 'compute1', 'compute2',
                                 'server')
        self.faults = {each.name: each for each in services.FAULTS}
        self.cloud = mock.Mock()
        self.patch(services.openstack, 'connect', return_value=self.cloud)
        self.statements, self.rows = [], []
        self.patch(services.fleet, 'sql', self._sql)

    def _sql(self, layout, statement):
        self.statements.append(statement)
        return self.rows


class TestPlacement(TestCase):

    def setUp(self):
        super().setUp()
        self.api = self.cloud.placement = FakePlacement()

    def test_providers(self):
        for name, parent in (('nested-provider', 'uuid-compute2'),
                             ('sharing-provider', None)):
            each = self.faults[name]
            each.inject(self.place)
            self.assertEqual(
                ({'VCPU': 1}, {services.CUSTOM: 1}),
                (self.api.held['compute2'],
                 self.api.held[services.EXTRA_PROVIDER]))
            self.assertEqual(parent, self.api.providers[
                services.EXTRA_PROVIDER]['parent'])
            self.assertEqual('', each.present(self.place))
            shared = {} if parent else dict.fromkeys(
                (services.EXTRA_PROVIDER, 'compute2'), [services.AGGREGATE])
            self.assertEqual(shared, self.api.aggregates)
            each.heal(self.place)
            self.assertEqual(
                ({'compute2': {'VCPU': 1}}, {'compute1', 'compute2'}, set()),
                (self.api.held, set(self.api.providers), self.api.classes))
            self.assertEqual('the allocation is gone',
                             each.present(self.place))
            each.heal(self.place)
        self.assertEqual([], self.api.aggregates['compute2'])

    def test_leak(self):
        each = self.faults['leaked-allocation']
        each.inject(self.place)
        self.assertEqual({'compute1', 'compute2'}, set(self.api.held))
        self.assertEqual('', each.present(self.place))
        each.heal(self.place)
        self.assertEqual({'compute2'}, set(self.api.held))
        self.assertTrue(each.present(self.place))

    def test_refusal(self):
        self.patch(self.api, '_put', lambda *args: (409, 'conflict'))
        self.assertIn('placement refuses PUT /resource_classes/',
                      self.refused(self.faults['nested-provider'].inject,
                                   self.place))


class TestDatabase(TestCase):

    def test_triggers(self):
        for name, trigger in (('record', 'lm_never_ends'),
                              ('event', 'lm_event_fails')):
            each = self.faults[name]
            self.rows = []
            each.inject(self.place)
            self.assertIn(f'CREATE TRIGGER {trigger}', self.statements[-1])
            self.assertEqual('the trigger is gone', each.present(self.place))
            self.rows = [[trigger, 'UPDATE']]
            self.assertEqual('', each.present(self.place))
            del self.statements[:]
            each.heal(self.place)
            self.assertIn(f'DROP TRIGGER IF EXISTS {trigger}',
                          self.statements[0])

    def test_actions(self):
        for name, action, call in (
                ('reset-state', 'resetState', mock.call.reset_server_state(
                    'server', 'active')),
                ('delete', 'delete', mock.call.delete_server('server'))):
            each = self.faults[name]
            each.inject(self.place)
            self.assertEqual(call, self.cloud.compute.mock_calls[-1])
            self.rows = [['other', action], ['server', 'create']]
            self.assertIn(action, each.present(self.place))
            self.rows.append(['server', action])
            self.assertEqual('', each.present(self.place))
            each.heal(self.place)


class TestPrograms(TestCase):

    def setUp(self):
        super().setUp()
        self.programs = self.patch(services, 'programs')

    def test_hanging_for_a_while(self):
        for name, program, seconds in (('mariadb-15s', 'mariadb', 15),
                                       ('neutron-30s', 'neutron', 30)):
            each = self.faults[name]
            each.inject(self.place)
            [found, begin, end] = (
                self.programs.for_a_while.mock_calls[-1].args)
            self.assertEqual(seconds, found)
            begin()
            self.programs.pause.assert_called_with(program)
            for resume, arguments in ((end, ()), (each.heal, (self.place,))):
                self.programs.resume.reset_mock()
                resume(*arguments)
                self.programs.resume.assert_called_once_with(program)

    def test_conductor(self):
        each = self.faults['conductor']
        each.inject(self.place)
        self.programs.pause.assert_called_once_with('nova-conductor')
        for paused in (True, False):
            self.programs.paused.return_value = paused
            self.assertEqual(paused, not each.present(self.place))
        self.patch(services, 'LATE_S', 0)
        for self.rows in ([], [['server', 'compute1', 'active', 'migrating',
                                'running']]):
            self.assertIn('the late migration', self.refused(
                each.heal, self.place))
        self.rows = [['server', 'compute2', 'active', 'NULL', 'completed']]
        each.heal(self.place)
        self.programs.resume.assert_called_with('nova-conductor')

    def test_rabbitmq(self):
        self.faults['rabbitmq'].inject(self.place)
        self.programs.supervisor().restart.assert_called_once_with('rabbitmq')

    def test_clock(self):
        each = self.faults['clock']
        self.patch(supervisor, 'wait_for_port')
        self.cloud.compute.services.side_effect = lambda: [
            types.SimpleNamespace(state='up')]
        which = self.patch(services.shutil, 'which', return_value=None)
        self.assertRaises(fault.Missing, each.inject, self.place)
        which.return_value = '/usr/bin/cc'
        run = self.patch(services.base, 'run')
        each.inject(self.place)
        conf, names, variables = self.programs.set_variables.call_args.args
        library = self.layout.data('controller') / 'tmp' / 'clock.so'
        self.assertEqual(
            (self.layout.etc('controller') / 'supervisord.conf', True,
             {'LD_PRELOAD': str(library)}),
            (conf, 'nova-api' in names, variables))
        self.assertIn('-DAHEAD_S=-600', run.call_args.args)
        self.assertIn(library, run.call_args.args)
        each.heal(self.place)
        self.assertEqual({},
                         self.programs.set_variables.call_args.args[2])

    @unittest.skipUnless(shutil.which('cc'), 'there is no C compiler')
    def test_clock_of_a_program(self):
        library = self.folder / 'clock.so'
        subprocess.run(
            ['cc', '-shared', '-fPIC', '-Wall', '-Wextra', '-Werror',
             '-DAHEAD_S=-600', '-o', library, services.CLOCK_SOURCE],
            check=True)
        said = subprocess.run(
            [sys.executable, '-c', 'import time; time.sleep(0.01); '
             'print(time.time(), time.monotonic())'], check=True, text=True,
            env={'LD_PRELOAD': str(library)}, stdout=subprocess.PIPE).stdout
        wall_s, monotonic_s = map(float, said.split())
        self.assertAlmostEqual(time.time() - 600, wall_s, delta=30)
        self.assertAlmostEqual(time.monotonic(), monotonic_s, delta=30)

    def test_difference_of_the_clock(self):
        for seconds, present in ((-600, True), (0, False)):
            now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(
                seconds=seconds)
            self.cloud.compute.get.return_value.headers = {
                'Date': email.utils.format_datetime(now, usegmt=True)}
            each = self.faults['clock']
            self.assertEqual(present, not each.present(self.place))
            self.assertEqual(present, not each.told(mock.Mock(
                cloud_clock_ahead_s=seconds + 0.4)))
        self.assertTrue(each.told(mock.Mock(cloud_clock_ahead_s=None)))
