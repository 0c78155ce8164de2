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

import json

from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.migration import inventory
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import simulation


def service(host, **changes):
    """Return the JSON of a nova-compute service."""
    return {'host': host, 'zone': 'nova', 'status': 'enabled', 'state': 'up',
            'disabled_reason': None, **changes}


def hypervisor(host, **changes):
    """Return the JSON of a hypervisor, with the CPU as an object (2.28)."""
    return {'id': f'uuid-of-{host}', 'service': {'host': host},
            'hypervisor_type': 'QEMU', 'hypervisor_version': 10000002,
            'cpu_info': {'arch': 'x86_64', 'vendor': 'AMD',
                         'model': 'EPYC-Rome', 'features': ['sse', 'npt']},
            **changes}


class Cloud:
    """Answers of nova by path, and of placement.

    :ivar paths: paths that were asked for
    """

    def __init__(self, *hosts):
        self.services = [service(each) for each in hosts]
        self.hypervisors = [hypervisor(each) for each in hosts]
        self.aggregates = []
        self.roomy = [f'uuid-of-{each}' for each in hosts]
        self.page = 1000
        self.paths = []

    def get(self, path):
        self.paths.append(path)
        kind, _, query = path.partition('?')
        if kind == 'os-services':
            return {'services': self.services}
        if kind == 'os-aggregates':
            return {'aggregates': self.aggregates}
        assert kind == 'os-hypervisors/detail', path
        ids = [each['id'] for each in self.hypervisors]
        begin = ids.index(query.partition('=')[2]) + 1 if query else 0
        end = begin + self.page
        return {'hypervisors': self.hypervisors[begin:end],
                'hypervisors_links': [{'rel': 'next'}]
                if end < len(ids) else []}

    @property
    def candidates(self):
        return {'allocation_requests': [
            # The disk of the second is a shared one.
            {'allocations': {each: {}, 'disks': {}}} for each in self.roomy]}


class ReadTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = Cloud('alpha', 'beta', 'gamma')

    def read(self, versions=None, **kwargs):
        return {each.name: each for each in inventory.read(
            self.cloud.get, self.cloud.candidates, versions or {}, **kwargs)}

    def test_facts(self):
        self.cloud.aggregates = [
            {'name': 'az', 'hosts': ['alpha'],
             'metadata': {'availability_zone': 'nova'}},
            {'name': 'ssd', 'hosts': ['beta', 'alpha'],
             'metadata': {'ssd': 'true'}},
            {'name': 'gpu', 'hosts': ['alpha'], 'metadata': {'gpu': '1'}}]
        found = self.read()
        self.assertEqual(['alpha', 'beta', 'gamma'], list(found))
        alpha = found['alpha']
        self.assertEqual(
            ('', 'nova', 'gpu,ssd', {'az', 'ssd', 'gpu'}, 'x86_64', 'QEMU',
             'AMD EPYC-Rome', {'sse', 'npt'}, '10.0.2', '', ''),
            (alpha.unusable, alpha.zone, alpha.aggregates, alpha.member_of,
             alpha.architecture, alpha.hypervisor, alpha.cpu, alpha.features,
             alpha.qemu, alpha.nova, alpha.libvirt))
        self.assertEqual(('ssd', ''), (
            found['beta'].aggregates, found['gamma'].aggregates))

    def test_versions_that_hosts_tell(self):
        found = self.read({'alpha': access.HostVersions(
            '11.0.0', '10.1.0', '34.0.0', '')})
        self.assertEqual(
            'QEMU 10.1.0, nova 34.0.0, libvirt 11.0.0',
            found['alpha'].versions)
        self.assertEqual('QEMU 10.0.2', found['beta'].versions)

    def test_hosts_that_cannot_take_part(self):
        for change, text in (
                ({'status': 'disabled'}, 'disabled'),
                ({'status': 'disabled', 'disabled_reason': 'new disk'},
                 'disabled: new disk'),
                ({'state': 'down'}, 'down'),
                # Its cell is down.
                ({'status': 'UNKNOWN', 'state': None}, 'of unknown state')):
            self.cloud.services[1] = service('beta', **change)
            found = self.read()
            self.assertEqual(('', text), (
                found['alpha'].unusable, found['beta'].unusable))

    def test_a_host_that_is_full(self):
        self.cloud.roomy.remove('uuid-of-beta')
        self.assertEqual('full: no room for a server of the tests',
                         self.read()['beta'].unusable)

    def test_a_name_in_two_cells(self):
        self.cloud.services.append(service('beta'))
        self.assertIn('2 nova-compute services have this name',
                      self.read()['beta'].unusable)

    def test_number_of_hypervisors(self):
        del self.cloud.hypervisors[2]
        self.cloud.hypervisors.append(hypervisor('beta', id='other'))
        found = self.read()
        self.assertEqual(
            ('nova lists 2 hypervisors on it',
             'nova lists 0 hypervisors on it'),
            (found['beta'].unusable, found['gamma'].unusable))

    def test_hosts_to_avoid(self):
        self.assertEqual(['alpha', 'gamma'],
                         list(self.read(avoid='^be')))

    def test_a_cpu_that_is_not_known(self):
        for info in ('', None, '{"a": 1}'):
            self.cloud.hypervisors[0] = hypervisor('alpha', cpu_info=info)
            alpha = self.read()['alpha']
            self.assertEqual(('', '', ''), (
                alpha.cpu, alpha.architecture, alpha.unusable))

    def test_more_hypervisors_than_a_page(self):
        self.cloud = Cloud(*(f'host{each}' for each in range(7)))
        self.cloud.page = 3
        found = self.read()
        self.assertEqual([''] * 7, [
            each.unusable for each in found.values()])
        self.assertEqual(
            ['os-hypervisors/detail',
             'os-hypervisors/detail?marker=uuid-of-host2',
             'os-hypervisors/detail?marker=uuid-of-host5'],
            [path for path in self.cloud.paths if 'hypervisors' in path])


class OfClientsTest(base.TestCase):

    def test_requests(self):
        cloud = Cloud('alpha', 'beta')
        clients = simulation.clients()
        clients.hypervisors.get.side_effect = lambda path: (
            fakes.Response(200), json.dumps(cloud.get(path)))
        clients.placement.get.side_effect = lambda path: (
            fakes.Response(200), json.dumps(cloud.candidates))
        found = inventory.of_clients(
            clients, placement.Resources(1, 1024, 0), {}, 'beta')
        self.assertEqual(['alpha'], [each.name for each in found])
        clients.placement.get.assert_called_once_with(
            '/allocation_candidates?resources=VCPU:1,MEMORY_MB:1024')
