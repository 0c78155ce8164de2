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


"""A volume as an administrator sees it, and to what it is attached."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import json
import time
from typing import Any
from urllib import parse

from tempest.lib import exceptions as lib_exc

# Attachments of their own came with 3.27: cinder since Pike (11.0).
MICROVERSION = '3.27'
ATTACHED = 'attached'
# What cinder does not leave by itself is error, error_deleting and so on.
ERROR = 'error'


@dataclasses.dataclass(frozen=True)
class Volume:
    """What is of interest about a volume.

    :ivar volume_id: UUID
    :ivar name: as its owner calls it; empty for none
    :ivar status: available, in-use, detaching, error and so on
    :ivar hosts: names of the compute hosts to which it is attached, by the
        UUID of the attachment; empty where cinder was told none
    """

    volume_id: str
    name: str
    status: str
    hosts: Mapping[str, str]

    def __str__(self) -> str:
        return 'volume %s (%s)' % (self.volume_id, self.name)


@dataclasses.dataclass(frozen=True)
class Attachment:
    """A volume at a server, or on the way to or from it.

    :ivar attachment_id: UUID
    :ivar volume_id: the volume's UUID
    :ivar server_id: the server's UUID; empty for none
    :ivar status: reserved, attaching, attached, detaching and so on
    """

    attachment_id: str
    volume_id: str
    server_id: str
    status: str

    def __str__(self) -> str:
        return 'attachment %s is %s, of server %s' % (
            self.attachment_id, self.status, self.server_id or 'none')


def show(volumes_client: Any, volume_id: str) -> Volume:
    """Return a volume as it is now.

    :param volumes_client: tempest.lib's VolumesClient, of an admin: cinder
        shows hosts to nobody else
    :param volume_id: the volume's UUID
    """
    body = volumes_client.show_volume(volume_id)['volume']
    return Volume(
        volume_id=body['id'], name=body['name'] or '', status=body['status'],
        hosts={each['attachment_id']: each['host_name'] or ''
               for each in body['attachments']})


def list_attachments(attachments_client: Any,
                     volume_id: str) -> list[Attachment]:
    """Return a volume's attachments, whatever their status.

    tempest.lib's own client shows one whose UUID is known (as of Tempest
    47.0.0), and a volume itself shows those alone that are attached.

    :param attachments_client: tempest.lib's AttachmentsClient, of an admin,
        with MICROVERSION or later
    :param volume_id: the volume's UUID
    """
    resp, body = attachments_client.get('attachments/detail?%s' % (
        parse.urlencode({'all_tenants': True, 'volume_id': volume_id})))
    attachments_client.expected_success(200, resp.status)
    return [Attachment(
        attachment_id=each['id'], volume_id=each['volume_id'],
        server_id=each['instance'] or '', status=each['status'])
        for each in json.loads(body)['attachments']]


def misplaced(volumes_client: Any, attachments_client: Any, volume_id: str,
              server_id: str, host: str) -> list[str]:
    """Return what is wrong with a volume that is attached, in words.

    It has to be in-use, with one attachment, which is attached, is the
    server's, and is on the server's host.

    :param volumes_client: tempest.lib's VolumesClient, of an admin
    :param attachments_client: tempest.lib's AttachmentsClient, of an admin
    :param volume_id: the volume's UUID
    :param server_id: UUID of the server that has it
    :param host: name of the host on which that server is
    """
    volume = show(volumes_client, volume_id)
    found = list_attachments(attachments_client, volume_id)
    faults = []
    if volume.status != 'in-use':
        faults.append('its status is %s, not in-use' % volume.status)
    if [(each.server_id, each.status) for each in found] != [
            (server_id, ATTACHED)]:
        faults.append('not attached to server %s once: %s' % (
            server_id, '; '.join(map(str, found)) or 'no attachment'))
    faults += [
        'attachment %s is on host %s, not on %s' % (
            attachment_id, where or 'unknown', host)
        for attachment_id, where in volume.hosts.items() if where != host]
    return ['%s: %s' % (volume, fault) for fault in faults]


def wait_for(volumes_client: Any, volume_id: str, status: str,
             timeout_s: float, interval_s: float,
             clock: Callable[[], float] = time.monotonic,
             sleep: Callable[[float], None] = time.sleep) -> Volume:
    """Wait until a volume has a status.

    :param volumes_client: tempest.lib's VolumesClient, of an admin
    :param volume_id: the volume's UUID
    :param status: such as available
    :param timeout_s: how long to wait, in seconds
    :param interval_s: time between two looks, in seconds
    :raises TempestException: it went into error
    :raises TimeoutException: it does not have it in that time
    """
    start_s = clock()
    while True:
        volume = show(volumes_client, volume_id)
        if volume.status == status:
            return volume
        waited_s = clock() - start_s
        said = 'Waited %.1f s for %s to become %s; last seen: %s' % (
            waited_s, volume, status, volume.status)
        if volume.status.startswith(ERROR):
            raise lib_exc.TempestException(said)
        if waited_s >= timeout_s:
            raise lib_exc.TimeoutException(said)
        sleep(interval_s)


def delete(volumes_client: Any, volume_id: str, timeout_s: float,
           interval_s: float,
           clock: Callable[[], float] = time.monotonic,
           sleep: Callable[[float], None] = time.sleep) -> None:
    """Delete a volume, and wait until it is gone.

    :param volumes_client: tempest.lib's VolumesClient, of an admin
    :param volume_id: the volume's UUID
    :param timeout_s: how long to wait, in seconds
    :param interval_s: time between two looks, in seconds
    :raises BadRequest: it is attached, so cinder refuses
    :raises TimeoutException: it is still there after that time
    """
    start_s = clock()
    try:
        volumes_client.delete_volume(volume_id)
        while True:
            volume = show(volumes_client, volume_id)
            waited_s = clock() - start_s
            if waited_s >= timeout_s or volume.status.startswith(ERROR):
                raise lib_exc.TimeoutException(
                    'Waited %.1f s for %s to be deleted; last seen: %s' % (
                        waited_s, volume, volume.status))
            sleep(interval_s)
    except lib_exc.NotFound:
        return
