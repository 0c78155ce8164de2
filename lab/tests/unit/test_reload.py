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
import dataclasses
import datetime
import io
import pathlib
import threading
import types
from unittest import mock

import keystoneauth1.exceptions
import openstack

from lab import errors
from lab import fleet
from lab import reload
from lab import services
from lab.services.base import Lab
from lab.services import keystone
from lab import supervisor
from lab.tests.unit import base
from lab.topology import Topology

CONTROL = ('nova-api', 'nova-metadata', 'nova-conductor', 'nova-scheduler')


class Programs:
    """A supervisor, and an API that reports the daemons that it runs."""

    def __init__(self, test):
        self.test = test
        self.lock = threading.Lock()
        self.pids = {}
        self.silent = ()
        #: Programs that end after their start, and whether they come back.
        self.ending = {}

    def state(self, name):
        pid = self.pids.get(name, 0)
        return supervisor.State(name, 'RUNNING' if pid else 'STOPPED', '', '',
                                pid)

    def states(self):
        for name, comes_back in self.ending.items():
            self.pids[name] = self.pids[name] + 1 if comes_back else 0
        return [self.state(name) for name in list(self.pids)]

    def stop(self, name):
        with self.lock:
            self.pids[name] = 0
            self.test.events.append(f'stop {name}')

    def start(self, name):
        with self.lock:
            self.pids[name] = len(self.test.events) + 1
            self.test.events.append(f'start {name}')
            self.test.started[name] = {
                host: self.test.layout.nova(host).resolve().name
                for host in ('controller', 'compute1', 'compute2')}

    def services(self):
        now = datetime.datetime.now(datetime.UTC).isoformat()
        for name, pid in self.pids.items():
            if pid and name not in self.silent:
                host, _, program = name.rpartition('compute')
                yield types.SimpleNamespace(
                    host=name.partition('-')[0] if host.startswith('compute')
                    else 'controller',
                    binary='nova-compute' if host.startswith('compute')
                    else name, updated_at=now)
        yield types.SimpleNamespace(host='new', binary='nova-compute',
                                    updated_at=None)


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        self.started = {}
        self.programs = Programs(self)
        self.old = self.nova()
        self.new = self.nova('nova-1', '35.0.0', age=75,
                             migrations=('a_first.py', 'b_second.py'))
        self.run_nova(controller=self.old, compute1=self.old,
                      compute2=self.old)
        self.lab = Lab(self.layout, Topology())
        self.lab.supervisor = self.programs
        for program in self.lab.programs:
            self.write(program.log, 'INFO: all is well\n')
            self.programs.pids[program.identifier] = 1
        self.patch(keystone, 'connect', lambda paths: types.SimpleNamespace(
            compute=self.programs))
        self.connect = self.patch(reload.socket, 'create_connection')
        self.patch(services.base, 'run', lambda *command, **_: (
            self.events.append(' '.join(map(str, command)))))
        self.patch(fleet, 'sql', lambda paths, statement: self.events.append(
            statement))
        self.patch(reload, 'POLL_SECONDS', 0)

    def starts(self):
        return sorted(event for event in self.events
                      if event.startswith('start'))

    def switch(self, **wanted):
        reload.switch(self.lab, wanted)


class TestSwitch(TestCase):

    def test_one_host(self):
        self.switch(compute1=self.new)
        self.assertEqual(['start compute1-nova-compute'], self.starts())
        self.assertEqual({'controller': 'cloud', 'compute1': 'nova-1',
                          'compute2': 'cloud'},
                         self.started['compute1-nova-compute'])

    def test_all_hosts(self):
        self.switch(controller=self.new, compute1=self.new,
                    compute2=self.new)
        self.assertEqual(
            sorted(f'start {name}' for name in (
                *CONTROL, 'compute1-nova-compute', 'compute2-nova-compute')),
            self.starts())
        for name in self.started:
            self.assertLess(self.events.index(f'stop {name}'),
                            self.events.index(f'start {name}'))
        self.assertEqual(
            {'controller': self.new, 'compute1': self.new,
             'compute2': self.new},
            reload.current(self.layout, self.lab.topology))

    def test_same_nova_restarts(self):
        self.switch(compute2=self.old)
        self.assertEqual(['start compute2-nova-compute'], self.starts())

    def test_new_migrations(self):
        self.switch(controller=self.new)
        manage = [event for event in self.events if 'nova-manage' in event]
        self.assertEqual([
            f'{self.new}/bin/nova-manage --config-file='
            f'{self.layout.etc("controller")}/nova.conf {schema} sync'
            for schema in ('api_db', 'db')], manage)
        # Before anything else.
        self.assertEqual(manage, self.events[:2])

    def test_older_nova_knows_nothing_of_the_newest_migrations(self):
        self.run_nova(controller=self.new)
        self.switch(controller=self.old)
        self.assertNotIn('nova-manage', ' '.join(self.events))

    def test_nova_of_compute_hosts_has_no_schema(self):
        self.switch(compute1=self.new)
        self.assertNotIn('nova-manage', ' '.join(self.events))

    def test_older_service(self):
        older = self.nova('nova-2', '33.0.0', age=72)
        self.switch(compute1=older, compute2=older)
        # After the old one has ended, and before the new one starts.
        updates = [self.events.index(reload.SET_VERSION.format(
            version=72, host=host)) for host in ('compute1', 'compute2')]
        stops, starts = ([
            number for number, event in enumerate(self.events)
            if event.startswith(word)] for word in ('stop', 'start'))
        self.assertLess(max(stops), min(updates))
        self.assertLess(max(updates), min(starts))

    def test_messages_to_the_oldest_compute_host(self):
        # The controller decides about them when it starts.
        older = self.nova('nova-2', '33.0.0', age=72)
        for venv in (older, self.old):
            self.events.clear()
            self.switch(compute1=venv)
            self.assertEqual(sorted(f'start {name}' for name in (
                'compute1-nova-compute', *CONTROL)), self.starts())
            self.assertEqual('cloud', self.layout.nova(
                'controller').resolve().name)

    def test_service_that_has_ended(self):
        self.programs.pids['compute1-nova-compute'] = 0
        self.switch(compute1=self.new)
        self.assertNotIn('stop compute1-nova-compute', self.events)
        self.assertEqual(['start compute1-nova-compute'], self.starts())

    def test_service_that_ends(self):
        for said, reason in (
                ("  raise\nNameError: name 'x' is not defined\nbye: error 7\n",
                 "NameError: name 'x' is not defined"),
                ('2026 CRITICAL nova [None] Unhandled error: nova.exception.'
                 'TooOldComputeService: Not 31.\nA.py:1: DeprecationWarning: x'
                 '\nFutureWarning: y\n',
                 'nova.exception.TooOldComputeService: Not 31'),
                ('error: cannot bind\nbye\n', 'error: cannot bind'),
                ('', 'it printed nothing')):
            self._check_end(said, reason)

    def _check_end(self, said, reason):
        self.programs.ending['compute1-nova-compute'] = bool(said)
        log = self.layout.log / 'compute1-nova-compute.log'
        log.write_text('NameError: of an earlier one\n')
        real = self.programs.start

        def start(name):
            real(name)
            with open(log, 'a') as stream:
                stream.write(said)
        self.patch(self.programs, 'start', start)
        message = self.refused(self.switch, compute1=self.new)
        self.assertEqual(
            f'compute1-nova-compute ends after its start: {reason} (whole '
            f'log: {log}).', message)
        # Another one may mend that.
        self.programs.ending.clear()
        self.patch(self.programs, 'start', real)
        self.switch(compute1=self.old)

    def test_service_that_does_not_stay_up(self):
        log = self.layout.log / 'compute1-nova-compute.log'

        def start(name):
            self.write(log, f'{log.read_text()}ImportError: no nova\n')
            raise errors.LabError(f'{name} does not stay up.')
        self.patch(self.programs, 'start', start)
        self.assertIn('compute1-nova-compute ends after its start: '
                      'ImportError: no nova (', self.refused(
                          self.switch, compute1=self.new))

    def test_start_that_fails(self):
        error = errors.LabError('The supervisor does not answer.')

        def start(name):
            self.programs.pids[name] = 7
            raise error
        self.patch(self.programs, 'start', start)
        self.assertEqual(str(error), self.refused(
            self.switch, compute1=self.new))

    def test_other_hosts_do_not_matter(self):
        self.programs.silent = ('compute2-nova-compute',)
        self.switch(compute1=self.new)

    def test_service_that_does_not_report(self):
        self.patch(reload, 'UP_SECONDS', 0)
        self.programs.silent = ('compute1-nova-compute', 'nova-conductor')
        message = self.refused(self.switch, controller=self.new,
                               compute1=self.new, compute2=self.new)
        self.assertIn('lacks nova-compute on compute1, nova-conductor on '
                      'controller:', message)

    def test_report_of_the_old_process_does_not_count(self):
        self.patch(reload, 'UP_SECONDS', 0)
        self.patch(self.programs, 'services', lambda: [types.SimpleNamespace(
            host='compute1', binary='nova-compute',
            updated_at='2020-01-01T00:00:00.000000')])
        self.assertIn('lacks nova-compute on compute1',
                      self.refused(self.switch, compute1=self.new))

    def test_api_that_fails_at_first(self):
        real, failures = self.programs.services, [
            openstack.exceptions.SDKException('503'),
            keystoneauth1.exceptions.ConnectFailure('refused')]

        def services():
            if failures:
                raise failures.pop()
            return real()
        self.patch(self.programs, 'services', services)
        self.switch(compute1=self.new)
        self.assertEqual([], failures)

    def test_api_that_fails(self):
        self.patch(reload, 'UP_SECONDS', 0)
        self.patch(self.programs, 'services',
                   side_effect=openstack.exceptions.SDKException('503'))
        self.assertIn("lacks an answer of nova's API (503)",
                      self.refused(self.switch, compute1=self.new))


class TestSwitchOfOthers(TestCase):
    """Projects whose daemons do not report to nova."""

    def setUp(self):
        super().setUp()
        self.project('neutron', 'neutron-1', migrations=(
            'a_first.py', 'b_second.py'))
        self.patch(reload, 'SETTLE_SECONDS', 0.05)

    def test_neutron(self):
        venv = self.layout.venvs / 'neutron-1'
        reload.switch(self.lab, {'controller': venv, 'compute1': venv},
                      'neutron')
        self.assertEqual(
            f'{venv}/bin/neutron-db-manage --config-file='
            f'{self.layout.etc("controller")}/neutron.conf upgrade heads',
            self.events[0])
        self.assertEqual(
            ['start compute1-neutron-ovn-metadata-agent', 'start neutron',
             'start neutron-ovn-maintenance-worker'], self.starts())
        self.assertEqual(
            {'controller': venv, 'compute1': venv,
             'compute2': self.layout.venvs / 'cloud'},
            reload.current(self.layout, self.lab.topology, 'neutron'))
        # The code of nova does not change.
        self.assertEqual({self.old}, set(reload.current(
            self.layout, self.lab.topology).values()))
        self.assertNotIn('UPDATE services', ' '.join(self.events))

    def test_daemon_that_ends_while_it_loads_its_modules(self):
        name = 'compute1-neutron-ovn-metadata-agent'
        real, asked = self.programs.states, []

        def states():
            asked.append(True)
            if len(asked) == 3:
                self.programs.ending[name] = True
            return real()

        self.patch(self.programs, 'states', states)
        message = self.refused(
            reload.switch, self.lab,
            {'compute1': self.layout.venvs / 'neutron-1'}, 'neutron')
        self.assertIn(f'{name} ends after its start: ', message)

    def test_api_alone_is_not_awaited_any_longer(self):
        self.patch(reload, 'SETTLE_SECONDS', 1000)
        reload.switch(
            self.lab, {'controller': self.layout.venvs / 'cloud'}, 'glance')
        self.assertEqual(['start glance'], self.starts())


class TestRestart(TestCase):

    def test_all_hosts(self):
        reload.restart(self.lab, ('nova-conductor', 'nova-compute'))
        self.assertEqual(
            ['start compute1-nova-compute', 'start compute2-nova-compute',
             'start nova-conductor'], self.starts())
        # All have ended before the first one starts.
        self.assertEqual(3, sum(event.startswith('stop')
                                for event in self.events[:3]))

    def test_one_host(self):
        reload.restart(self.lab, ('nova-compute',), ['compute2'])
        self.assertEqual(['start compute2-nova-compute'], self.starts())

    def test_unknown(self):
        for names, hosts, name in (
                (('nova-api', 'nova-computer'), None, 'nova-computer'),
                (('nova-api', 'nova-compute'), ['compute1', 'compute2'],
                 'nova-api on compute1, compute2')):
            self.assertEqual(f'The lab has no service {name}.', self.refused(
                reload.restart, self.lab, names, hosts))
        self.assertEqual([], self.events)

    def test_nothing(self):
        reload.restart(self.lab, ())
        self.assertEqual([], self.events)

    def test_all_of_nova_have_to_report(self):
        self.patch(reload, 'UP_SECONDS', 0)
        self.programs.silent = ('compute2-nova-compute', 'nova-scheduler')
        self.assertIn(
            'lacks nova-compute on compute2, nova-scheduler on controller:',
            self.refused(reload.restart, self.lab, ('nova-conductor',)))

    def test_others_do_not_need_nova(self):
        self.programs.silent = ('nova-scheduler',)
        reload.restart(self.lab, ('glance',))
        self.assertEqual(['start glance'], self.starts())

    def test_port(self):
        self.connect.side_effect = [ConnectionRefusedError, mock.DEFAULT]
        reload.restart(self.lab, ('nova-metadata',))
        self.assertEqual([('198.18.0.1', 8775)] * 2, [
            call.args[0] for call in self.connect.call_args_list])
        self.patch(reload, 'UP_SECONDS', 0)
        self.connect.side_effect = ConnectionRefusedError
        self.assertIn('lacks port 8775 of nova-metadata:', self.refused(
            reload.restart, self.lab, ('nova-metadata',)))

    def test_program_that_comes_back_is_stopped(self):
        # The supervisor has noticed its end, and starts it at the next look.
        states = iter(('EXITED', 'EXITED', 'STARTING'))
        real = self.programs.state
        self.patch(self.programs, 'state', lambda name: dataclasses.replace(
            real(name), state=next(states, 'RUNNING')))
        reload.restart(self.lab, ('nova-scheduler',))
        self.assertEqual(['stop nova-scheduler', 'start nova-scheduler'],
                         self.events)

    def test_program_that_has_ended(self):
        self.patch(reload, 'RESTART_SECONDS', 0)
        real = self.programs.state

        def state(name):
            found = real(name)
            return found if self.events else dataclasses.replace(
                found, state='EXITED')
        self.patch(self.programs, 'state', state)
        reload.restart(self.lab, ('nova-scheduler',))
        self.assertEqual(['start nova-scheduler'], self.events)


class TestDowngrade(TestCase):

    def _is_downgrade(self, **wanted):
        present = reload.current(self.layout, self.lab.topology)
        return reload.is_downgrade(present, present | wanted)

    def test_newer(self):
        self.assertFalse(self._is_downgrade(controller=self.new))
        self.assertFalse(self._is_downgrade())

    def test_older_service(self):
        older = self.nova('nova-2', age=73)
        self.assertTrue(self._is_downgrade(compute2=older))

    def test_older_schema(self):
        older = self.nova('nova-2', migrations=())
        self.assertTrue(self._is_downgrade(controller=older))
        # The schema is the controller's.
        self.assertFalse(self._is_downgrade(compute1=older))


class TestMain(TestCase):

    def _main(self, **wanted):
        module, name, *arguments = reload.command(
            self.layout, Topology(computes=2),
            {('neutron', host): venv for host, venv in wanted.items()})
        self.assertEqual(('-m', reload.__name__), (module, name))
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            return reload.main(*arguments), err.getvalue()

    def test_arguments_arrive(self):
        switch = self.patch(reload, 'switch')
        self.assertEqual((0, ''), self._main(
            compute1=pathlib.Path('/a=b'), compute2=pathlib.Path('/c d')))
        lab, wanted, project = switch.call_args.args
        self.assertEqual('neutron', project)
        self.assertEqual((self.layout, Topology()),
                         (lab.paths, lab.topology))
        self.assertEqual({'compute1': pathlib.Path('/a=b'),
                          'compute2': pathlib.Path('/c d')}, wanted)

    def test_failure(self):
        self.patch(reload, 'switch', side_effect=errors.LabError('No.', 3))
        self.assertEqual((3, 'run-lab.sh: No.\n'), self._main(
            compute1=pathlib.Path('/a')))

    def test_interrupted(self):
        self.patch(reload, 'switch', side_effect=KeyboardInterrupt)
        self.assertEqual((130, ''), self._main(
            compute1=pathlib.Path('/a')))
