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

import base64
import json
import struct
import time
import uuid

from lab import services
from lab.services.base import Lab
from lab.services import ceph
from lab import supervisor
from lab.tests.unit import base
from lab.topology import Topology

SECRET = '0123456789abcdef' * 2
PLAIN = Topology(storage='ceph')
WITH_VOLUMES = Topology(storage='ceph', volumes=True)


class TestUser(base.TestCase):

    def test_key_is_what_a_keyring_holds(self):
        key = base64.b64decode(ceph.NOVA.key(SECRET), validate=True)
        kind, _, _, length = struct.unpack('<HIIH', key[:12])
        self.assertEqual((1, 16), (kind, length))
        self.assertEqual(16, len(key[12:]))

    def test_keys_differ_by_user_and_lab(self):
        users = ceph.users(WITH_VOLUMES)
        keys = {user.key(secret) for user in users
                for secret in (SECRET, SECRET[::-1])}
        self.assertEqual(2 * len(users), len(keys))
        self.assertEqual(ceph.NOVA.key(SECRET), ceph.NOVA.key(SECRET))

    def test_nova_may_only_read_images(self):
        caps = dict(ceph.NOVA.caps)
        self.assertEqual('profile rbd pool=vms, profile rbd-read-only '
                         'pool=images', caps['osd'])

    def test_cinder_may_not_touch_disks_of_nova(self):
        self.assertEqual('profile rbd pool=volumes, profile rbd-read-only '
                         'pool=images', dict(ceph.CINDER.caps)['osd'])

    def test_cinder_is_known_only_where_it_is(self):
        self.assertNotIn(ceph.CINDER, ceph.users(PLAIN))
        self.assertIn(ceph.CINDER, ceph.users(WITH_VOLUMES))
        self.assertEqual(('images', 'vms'), ceph.pools(PLAIN))
        self.assertEqual(('images', 'vms', 'volumes'),
                         ceph.pools(WITH_VOLUMES))

    def test_secrets_of_libvirt_have_ids_of_their_own(self):
        self.assertNotEqual(ceph.NOVA.secret_id, ceph.CINDER.secret_id)
        self.assertEqual(ceph.NOVA.secret_id, str(uuid.UUID(
            ceph.NOVA.secret_id)))


class TestCluster(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        self.answers = []
        self.patch(services.base, 'run', self._run)
        self.patch(
            supervisor, 'wait_for_port', lambda name, address, port: (
                self.events.append(f'{name} {address}:{port}')))
        self.patch(time, 'sleep', lambda seconds: None)
        self.steps = self._steps(PLAIN)

    def _steps(self, topology):
        lab = Lab(self.layout, topology)
        # It is a supervisor as far as these services use it.
        lab.supervisor = self
        return {step.name: step.run for service in lab.services
                if service.name.startswith('ceph')
                for step in service.steps()}

    def _run(self, *command, host='controller'):
        words = [str(word) for word in command]
        self.events.append(f'{host}: {" ".join(words)}')
        if 'df' in words:
            return json.dumps({'pools': [
                {'name': name, 'stats': {'max_avail': room}}
                for name, room in self.answers.pop(0).items()]})
        return ''

    def start(self, name):
        self.events.append(f'start {name}')

    def test_monitor(self):
        self.steps['ceph-mon']()
        made, *others = self.events
        self.assertTrue(made.startswith(
            'controller: ceph-mon --mkfs --id controller --keyring '))
        self.assertEqual(['start ceph-mon', 'ceph-mon 198.18.0.1:3300'],
                         others)
        data = self.layout.data('controller') / 'ceph'
        for name in ('mon', 'mgr', 'crash'):
            self.assertTrue((data / name).is_dir())

    def test_osd(self):
        self.steps['Ceph store']()
        self.steps['ceph-osd']()
        made, new, start = self.events
        self.assertIn('ceph-osd --mkfs', made)
        # The store and the monitor have to agree on it.
        for event in (made, new):
            self.assertIn(ceph.OSD_ID, event)
        self.assertEqual('start ceph-osd', start)
        self.assertTrue((self.layout.data('controller') / 'ceph' / 'osd'
                         ).is_dir())

    def test_pools(self):
        self.answers = [{}, {'images': 1}, {'images': 1, 'vms': 0},
                        {'images': 1, 'vms': 1}, {'never': 1}]
        self.steps['Ceph pools']()
        for pool in ('images', 'vms'):
            create = self.events.index(
                f'controller: ceph --connect-timeout=30 osd pool create '
                f'{pool}')
            self.assertLess(create, self.events.index(
                f'controller: rbd pool init {pool}'))
        self.assertEqual([{'never': 1}], self.answers)
        self.assertFalse([event for event in self.events
                          if 'volumes' in event])

    def test_pool_of_volumes(self):
        self.answers = [{'images': 1, 'vms': 1},
                        {'images': 1, 'vms': 1, 'volumes': 1}]
        self._steps(WITH_VOLUMES)['Ceph pools']()
        self.assertIn('controller: rbd pool init volumes', self.events)
        # It was asked until there was room for volumes, too.
        self.assertEqual([], self.answers)

    def test_manager_that_tells_nothing(self):
        self.answers = [{}] * 200
        self.patch(time, 'monotonic', iter(range(1000)).__next__)
        message = self.refused(self.steps['Ceph pools'])
        self.assertIn('ceph status', message)

    def test_key_of_a_compute_host(self):
        self.steps['keys of compute2']()
        port, define, value = self.events
        self.assertEqual('compute2-libvirtd 198.18.0.12:16509', port)
        etc = self.layout.etc('compute2')
        self.assertEqual(
            f'compute2: virsh secret-define {etc}/client.nova.xml', define)
        self.assertEqual(
            f'compute2: virsh secret-set-value --secret '
            f'{ceph.NOVA.secret_id} --file {etc}/client.nova.key', value)

    def test_keys_for_volumes(self):
        self._steps(WITH_VOLUMES)['keys of compute1']()
        etc = self.layout.etc('compute1')
        self.assertEqual([
            f'compute1: virsh secret-define {etc}/client.cinder.xml',
            f'compute1: virsh secret-set-value --secret '
            f'{ceph.CINDER.secret_id} --file {etc}/client.cinder.key'],
            self.events[-2:])
