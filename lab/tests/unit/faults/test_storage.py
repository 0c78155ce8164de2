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


import types

from lab.faults.fault import Place
from lab.faults import storage
from lab.services import ceph
from lab.tests.unit import base

IMAGE = 'a' * 40


class TestFaults(base.TestCase):
    """Each fault is injected, is then present, and is healed."""

    def setUp(self):
        super().setUp()
        self.place = Place(self.layout, 'compute1', 'compute2', 'server')
        self.commands, self.output = [], ''
        self.restart = self.patch(storage.settings, 'restart_compute')
        self.patch(storage.fleet, 'inside', self._inside)
        self.patch(storage.fleet, 'running_on',
                   lambda hosts: {'server': hosts})
        self.supervisor = self.patch(
            storage.programs, 'supervisor').return_value
        self.bases = [self.layout.data(host) / 'instances' / '_base'
                      for host in ('compute1', 'compute2')]
        for name in (IMAGE, 'ephemeral_1_abc', 'swap_1'):
            self.write(self.bases[0] / name)
        self.faults = {each.name: each for each in storage.FAULTS}

    def _inside(self, host, *command, check=True):
        self.commands.append((host, *command))
        return types.SimpleNamespace(stdout=self.output)

    def test_files_that_differ(self):
        for name, file, at in (('base-image', IMAGE, storage.IN_IMAGE),
                               ('ephemeral-disk', 'ephemeral_1_abc',
                                storage.IN_EPHEMERAL)):
            each = self.faults[name]
            source, destination = (base / file for base in self.bases)
            with open(source, 'wb') as stream:
                stream.truncate(at + 2 * storage.ALTERED_BYTES)
            for is_cached in (False, True):
                self.assertEqual(is_cached, destination.exists())
                each.inject(self.place)
                self.assertEqual('', each.present(self.place))
                content = destination.read_bytes()
                self.assertEqual(
                    (b'\0\xff', b'\xff\0', storage.ALTERED_BYTES),
                    (content[at - 1:at + 1],
                     content[at + storage.ALTERED_BYTES - 1:][:2],
                     content.count(b'\xff')))
                each.heal(self.place)
                self.assertIn('not altered', each.present(self.place))
                self.assertEqual(source.read_bytes(),
                                 destination.read_bytes())
        self.assertFalse((self.bases[1] / 'swap_1').exists())

    def test_no_base_image(self):
        for path in self.bases[0].iterdir():
            path.unlink()
        self.assertIn('compute1 has no base image', self.refused(
            self.faults['base-image'].inject, self.place))

    def test_glance(self):
        self.write(self.bases[1] / IMAGE)
        each = self.faults['glance']
        each.inject(self.place)
        self.supervisor.stop.assert_called_once_with('glance')
        self.assertEqual('glance is up', each.present(self.place))
        self.supervisor.state.return_value.up = False
        self.assertEqual('', each.present(self.place))
        self.write(self.bases[1] / IMAGE)
        self.assertIn(IMAGE, each.present(self.place))
        each.heal(self.place)
        self.supervisor.start.assert_called_once_with('glance')

    def test_commands(self):
        secret = ceph.NOVA.secret_id
        for name, shown, injected, healed in (
                ('disk', 'tmpfs\n', 'mount', 'umount'),
                ('slow-disk', 'a: 1\ntotal_iops_sec : 1\n', '1', '0'),
                ('ceph-secret', 'UUID\nother', 'secret-undefine',
                 'secret-set-value')):
            each, self.output = self.faults[name], shown
            each.inject(self.place)
            self.assertIn(injected, self.commands[-1])
            self.assertEqual('', each.present(self.place))
            each.heal(self.place)
            self.assertIn(healed, self.commands[-1])
            self.output = secret
            self.assertTrue(each.present(self.place))
            self.assertEqual({'compute2'},
                             {host for host, *_ in self.commands})
        self.restart.assert_called_once_with(self.layout, 'compute2')
        # Healed twice: nothing is mounted.
        self.faults['disk'].heal(self.place)
        self.restart.assert_called_once()

    def test_limit_of_a_guest_that_is_gone(self):
        self.patch(storage.fleet, 'running_on', lambda hosts: {})
        self.faults['slow-disk'].heal(self.place)
        self.assertEqual([], self.commands)
