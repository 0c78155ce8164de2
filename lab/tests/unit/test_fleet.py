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

import subprocess
import types
from unittest import mock

from lab import fleet
from lab.hosts import sandbox
from lab.tests.unit import base


def thing(**values):
    return types.SimpleNamespace(**values)


class TestFleet(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = mock.MagicMock()
        self.cloud.compute.create_server.side_effect = [
            thing(id='a'), thing(id='b')]
        self.cloud.compute.wait_for_server.side_effect = (
            lambda server, wait: thing(id=server.id, addresses={
                'prov': [{'addr': f'198.18.4.{ord(server.id)}'}]}))

    def test_made_and_deleted(self):
        with fleet.Fleet(self.cloud, 2, 'compute1') as made:
            self.assertEqual(['a', 'b'], made.ids)
            self.assertEqual('198.18.4.98', made.address('b'))
        created = self.cloud.compute.create_server.call_args
        self.assertEqual('nova:compute1', created.kwargs['availability_zone'])
        self.assertEqual(2, self.cloud.compute.delete_server.call_count)
        self.assertEqual(2, self.cloud.compute.wait_for_delete.call_count)
        self.cloud.network.delete_security_group.assert_called_once()

    def test_what_fails_on_the_way_is_deleted(self):
        self.cloud.compute.wait_for_server.side_effect = RuntimeError
        made = fleet.Fleet(self.cloud, 2, 'compute1')
        self.assertRaises(RuntimeError, made.__enter__)
        self.assertEqual(2, self.cloud.compute.delete_server.call_count)
        self.cloud.network.delete_security_group.assert_called_once()


class TestTruth(base.TestCase):

    def setUp(self):
        super().setUp()
        self.result = thing(returncode=0, stdout='', stderr='')
        self.commands = []
        self.patch(fleet.subprocess, 'run', self._run)
        self.patch(sandbox, 'enter_compute', lambda host: ['enter', host])
        self.patch(fleet.configuration, 'passwords',
                   lambda layout: {'database': 'hidden'})

    def _run(self, command, **kwargs):
        self.commands.append((command, kwargs))
        return self.result

    def test_running_on(self):
        self.result.stdout = 'uuid-1\n\n'
        self.assertEqual({'uuid-1': ['compute1', 'compute2']},
                         fleet.running_on(['compute1', 'compute2']))

    def test_rows(self):
        self.result.stdout = 'a\tb\nc\tNULL\n'
        self.assertEqual([['a', 'b'], ['c', 'NULL']], fleet.sql(
            None, 'SELECT 1;'))
        command, kwargs = self.commands[0]
        self.assertNotIn('hidden', ' '.join(command))
        self.assertEqual('hidden', kwargs['env']['MYSQL_PWD'])

    def test_database_refuses(self):
        self.result = thing(returncode=1, stdout='', stderr='no such table\n')
        self.assertIn('no such table', self.refused(fleet.sql, None, 'X;'))


class TestQemuProcesses(base.TestCase):

    def test_none(self):
        # Like no word on the command line of any real process.
        self.assertEqual([], fleet.qemu_processes(
            'd2c9a8f5-6a41-4c52-9f13-d77e4ac10b6e'))

    def test_others_are_not_taken_for_qemu(self):
        with subprocess.Popen(['sleep', '60.125']) as child:
            try:
                self.assertEqual([], fleet.qemu_processes('60.125'))
            finally:
                child.kill()
