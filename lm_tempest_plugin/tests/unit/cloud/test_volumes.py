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
from unittest import mock

from tempest.lib import exceptions as lib_exc
from tempest.lib.services.volume.v3 import attachments_client
from tempest.lib.services.volume.v3 import volumes_client

from lm_tempest_plugin.cloud import volumes
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes

VOLUME_ID = '0f3a7a52-6d6e-4a3c-9a52-1d1b0f4a9f10'


def volume(status='in-use', name='data', **hosts):
    """Return a volume as cinder's JSON has it."""
    return {'id': VOLUME_ID, 'name': name, 'status': status, 'size': 1,
            'attachments': [
                {'attachment_id': number, 'host_name': host, 'id': VOLUME_ID,
                 'server_id': fakes.SERVER_ID, 'volume_id': VOLUME_ID,
                 'device': '/dev/vdb'} for number, host in hosts.items()]}


def attachment(number='one', status='attached', instance=fakes.SERVER_ID):
    """Return an attachment as cinder's JSON has it."""
    return {'id': number, 'volume_id': VOLUME_ID, 'instance': instance,
            'status': status, 'attached_at': '', 'detached_at': '',
            'attach_mode': 'rw', 'connection_info': {}}


def shown(*answers):
    """Return a client that shows these volumes, the last one for ever."""
    client = mock.create_autospec(volumes_client.VolumesClient, instance=True)
    left = list(answers)

    def show(volume_id):
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return {'volume': answer}

    client.show_volume.side_effect = show
    return client


def listed(*answer):
    """Return a client that lists these attachments."""
    client = mock.create_autospec(
        attachments_client.AttachmentsClient, instance=True)
    client.get.return_value = (
        fakes.Response(200), json.dumps({'attachments': answer}))
    return client


class ShowTest(base.TestCase):

    def test_what_is_of_interest(self):
        client = shown(volume(one='alpha', two=None))
        found = volumes.show(client, VOLUME_ID)
        self.assertEqual({'one': 'alpha', 'two': ''}, found.hosts)
        self.assertEqual('in-use', found.status)
        self.assertEqual('volume %s (data)' % VOLUME_ID, str(found))
        client.show_volume.assert_called_once_with(VOLUME_ID)

    def test_no_name(self):
        self.assertEqual(
            '', volumes.show(shown(volume(name=None)), VOLUME_ID).name)


class AttachmentsTest(base.TestCase):

    def test_all_of_them(self):
        client = listed(attachment(), attachment('two', 'reserved', None))
        found = volumes.list_attachments(client, VOLUME_ID)
        self.assertEqual([
            volumes.Attachment('one', VOLUME_ID, fakes.SERVER_ID, 'attached'),
            volumes.Attachment('two', VOLUME_ID, '', 'reserved')], found)
        self.assertEqual('attachment two is reserved, of server none',
                         str(found[1]))
        client.get.assert_called_once_with(
            'attachments/detail?all_tenants=True&volume_id=%s' % VOLUME_ID)
        client.expected_success.assert_called_once_with(200, 200)


class MisplacedTest(base.TestCase):

    def misplaced(self, shows, *lists):
        return volumes.misplaced(shown(shows), listed(*lists), VOLUME_ID,
                                 fakes.SERVER_ID, 'beta')

    def test_where_it_should_be(self):
        self.assertEqual(
            [], self.misplaced(volume(one='beta'), attachment()))

    def test_on_the_source_still(self):
        fault, = self.misplaced(volume(one='alpha'), attachment())
        self.assertEqual(
            'volume %s (data): attachment one is on host alpha, not on beta'
            % VOLUME_ID, fault)

    def test_on_both_hosts(self):
        faults = self.misplaced(volume(one='alpha', two='beta'),
                                attachment('one'), attachment('two'))
        self.assertEqual(2, len(faults))
        self.assertIn('attachment one is attached', faults[0])
        self.assertIn('attachment two is attached', faults[0])
        self.assertIn('on host alpha', faults[1])

    def test_one_that_never_became_one(self):
        # The volume itself does not show it.
        fault, = self.misplaced(volume(one='beta'), attachment('one'),
                                attachment('two', 'reserved'))
        self.assertIn('attachment two is reserved', fault)

    def test_of_another_server(self):
        fault, = self.misplaced(volume(one='beta'),
                                attachment(instance='other'))
        self.assertIn('of server other', fault)

    def test_lost(self):
        faults = self.misplaced(volume(status='error_detaching'))
        self.assertIn('its status is error_detaching, not in-use', faults[0])
        self.assertIn('no attachment', faults[1])


class WaitTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.clock = fakes.Clock()

    def wait(self, *answers):
        return volumes.wait_for(
            shown(*answers), VOLUME_ID, 'available', 10, 1,
            clock=self.clock.monotonic, sleep=self.clock.sleep)

    def test_becomes_available(self):
        found = self.wait(volume('creating'), volume('downloading'),
                          volume('available'))
        self.assertEqual('available', found.status)
        self.assertEqual([1, 1], self.clock.slept_s)

    def test_goes_wrong(self):
        exc = self.assertRaises(
            lib_exc.TempestException, self.wait, volume('creating'),
            volume('error'))
        self.assertIn('to become available', str(exc))
        self.assertIn('(data): error', str(exc))
        self.assertEqual([1], self.clock.slept_s)

    def test_takes_too_long(self):
        exc = self.assertRaises(
            lib_exc.TimeoutException, self.wait, volume('creating'))
        self.assertIn('waited 10.0 s', str(exc))
        self.assertIn('%s to become available' % VOLUME_ID, str(exc))
        self.assertIn('(data): creating', str(exc))


class DeleteTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.clock = fakes.Clock()

    def delete(self, client):
        volumes.delete(client, VOLUME_ID, 10, 1,
                       clock=self.clock.monotonic, sleep=self.clock.sleep)
        client.delete_volume.assert_called_once_with(VOLUME_ID)

    def test_waits_until_it_is_gone(self):
        self.delete(shown(volume('deleting'), lib_exc.NotFound()))
        self.assertEqual([1], self.clock.slept_s)

    def test_one_that_is_gone(self):
        client = shown(volume())
        client.delete_volume.side_effect = lib_exc.NotFound()
        self.delete(client)

    def test_one_that_is_attached(self):
        client = shown(volume())
        client.delete_volume.side_effect = lib_exc.BadRequest('in-use')
        self.assertRaises(lib_exc.BadRequest, self.delete, client)

    def test_stays(self):
        exc = self.assertRaises(
            lib_exc.TimeoutException, self.delete, shown(volume('deleting')))
        self.assertIn('waited 10.0 s', str(exc))
        self.assertIn('(data): deleting', str(exc))

    def test_goes_wrong_which_is_not_waited_for(self):
        exc = self.assertRaises(
            lib_exc.TempestException, self.delete,
            shown(volume('error_deleting')))
        self.assertIn('(data): error_deleting', str(exc))
        self.assertEqual([], self.clock.slept_s)
