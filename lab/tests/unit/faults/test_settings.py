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

from unittest import mock

from lab.faults import settings
from lab.tests.unit import base
from lab.topology import Topology


class TestSettings(base.TestCase):

    def setUp(self):
        super().setUp()
        self.conf = self.write(
            self.layout.etc('compute1') / 'nova.conf', '[DEFAULT]\na = 1\n')
        self.restart = self.patch(settings, 'restart_compute')

    def test_changed_and_restored(self):
        settings.change(self.layout, 'compute1', '[libvirt]\nb = 2\n')
        self.assertEqual('[DEFAULT]\na = 1\n\n[libvirt]\nb = 2\n',
                         self.conf.read_text())
        self.assertTrue(settings.is_changed(self.layout, 'compute1'))
        # It holds passwords.
        modes = [path.stat().st_mode for path in self.conf.parent.iterdir()]
        self.assertEqual([0o600] * 2, [mode & 0o777 for mode in modes])
        # A second change keeps the text from before the first one.
        settings.change(self.layout, 'compute1', '[libvirt]\nc = 3\n')
        settings.restore(self.layout, 'compute1')
        self.assertEqual('[DEFAULT]\na = 1\n', self.conf.read_text())
        self.assertFalse(settings.is_changed(self.layout, 'compute1'))
        self.assertEqual([mock.call(self.layout, 'compute1')] * 3,
                         self.restart.call_args_list)

    def test_nothing_to_restore(self):
        settings.restore(self.layout, 'compute1')
        self.restart.assert_not_called()


class TestRestartCompute(base.TestCase):

    def test_one_connection(self):
        supervisor = self.patch(settings.programs, 'supervisor').return_value
        self.patch(settings.lifecycle, 'recorded', return_value=Topology(
            computes=3))
        restart = self.patch(settings.reload, 'restart')
        for hosts in (('compute1',), ('compute2', 'compute3')):
            settings.restart_compute(self.layout, *hosts)
            lab, *arguments = restart.call_args.args
            self.assertEqual([('nova-compute',), hosts], arguments)
            self.assertEqual((self.layout, 3), (
                lab.paths, lab.topology.computes))
            self.assertIs(supervisor, lab.supervisor)
