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

import dataclasses
import types
import unittest

from lab.cloud import readiness
from lab import errors
from lab import topology as topologies


def thing(**values):
    return types.SimpleNamespace(**values)


class TestCase(unittest.TestCase):

    def setUp(self):
        super().setUp()
        self.topology = topologies.Topology(computes=2)
        names = ('compute1', 'compute2')
        self.services = [
            thing(binary='nova-conductor', host='controller', state='up'),
            thing(binary='nova-scheduler', host='controller', state='up'),
            *(thing(binary='nova-compute', host=name, state='up')
              for name in names)]
        self.hypervisors = [thing(name=name) for name in names]
        self.agents = [
            thing(binary=binary, host=name, is_alive=True)
            for name in names
            for binary in ('ovn-controller', 'neutron-ovn-metadata-agent')]
        self.cloud = thing(
            compute=thing(services=lambda: iter(self.services),
                          hypervisors=lambda: iter(self.hypervisors)),
            network=thing(agents=lambda: iter(self.agents)))

    def _missing(self, **topology):
        return list(readiness.missing(
            self.cloud, dataclasses.replace(self.topology, **topology)))


class TestMissing(TestCase):

    def test_nothing(self):
        self.assertEqual([], self._missing())

    def test_empty_cloud(self):
        self.services, self.hypervisors, self.agents = [], [], []
        self.assertCountEqual(
            ['nova-conductor', 'nova-scheduler',
             *(f'{what} on {host}' for host in ('compute1', 'compute2')
               for what in ('nova-compute', 'ovn-controller',
                            'neutron-ovn-metadata-agent')),
             'hypervisor compute1', 'hypervisor compute2'], self._missing())

    def test_service_that_is_down(self):
        for number, expected in ((0, 'nova-conductor'),
                                 (3, 'nova-compute on compute2')):
            self.services[number].state = 'down'
            self.assertEqual([expected], self._missing())
            self.services[number].state = 'up'

    def test_hypervisor(self):
        self.hypervisors.pop(0)
        self.assertEqual(['hypervisor compute1'], self._missing())

    def test_agent_that_is_dead(self):
        self.agents[1].is_alive = False
        self.assertEqual(['neutron-ovn-metadata-agent on compute1'],
                         self._missing())

    def test_service_of_another_host_does_not_count(self):
        self.services[-1].host = 'compute7'
        self.assertEqual(['nova-compute on compute2'], self._missing())


class TestMissingForVolumes(TestCase):

    def setUp(self):
        super().setUp()
        self.volumes = {name: thing(binary=name, state='up')
                        for name in ('cinder-scheduler', 'cinder-volume')}
        self.pools = [thing(name='controller@ceph#ceph')]
        self.asked = []
        self.cloud.block_storage = thing(
            services=lambda: iter(self.volumes.values()),
            backend_pools=lambda: self.asked.append(True) or self.pools)

    def test_nothing(self):
        self.assertEqual([], self._missing(volumes=True))

    def test_not_asked_for_without_volumes(self):
        self.pools.clear()
        self.volumes.clear()
        self.assertEqual([], self._missing())

    def test_service_that_is_down(self):
        self.volumes['cinder-scheduler'].state = 'down'
        self.assertEqual(['cinder-scheduler'], self._missing(volumes=True))
        # Nobody would answer.
        self.assertEqual([], self.asked)

    def test_backend_that_has_not_told_its_room(self):
        self.pools.clear()
        self.assertEqual(['pool controller@ceph#ceph of cinder-volume'],
                         self._missing(volumes=True))


class TestWait(TestCase):

    def setUp(self):
        super().setUp()
        self.now = 0
        for name, replacement in (('monotonic', lambda: self.now),
                                  ('sleep', self._sleep)):
            patch = unittest.mock.patch.object(readiness.time, name,
                                               replacement)
            patch.start()
            self.addCleanup(patch.stop)

    def _sleep(self, seconds):
        self.now += seconds
        if self.now >= 5:
            self.services[0].state = 'up'

    def test_ready(self):
        readiness.wait(self.cloud, self.topology)
        self.assertEqual(0, self.now)

    def test_becomes_ready(self):
        self.services[0].state = 'down'
        readiness.wait(self.cloud, self.topology)
        self.assertEqual(5, self.now)

    def test_names_what_is_missing(self):
        self.hypervisors.pop()
        self.agents[0].is_alive = False
        with self.assertRaises(errors.LabError) as caught:
            readiness.wait(self.cloud, self.topology, seconds=30)
        message = str(caught.exception)
        self.assertIn('After 30 s', message)
        self.assertIn('ovn-controller on compute1, hypervisor compute2',
                      message)
