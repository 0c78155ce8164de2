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
"""Cinder's volumes and attachments, as an administrator sees them."""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any
from urllib import parse

from tempest.lib import exceptions

from lm_tempest_plugin import utils

# The attachments API came with 3.27: cinder since Pike (11.0).
MICROVERSION = '3.27'
ATTACHED = 'attached'
# Cinder leaves none of these by itself: error, error_deleting and so on.
ERROR = 'error'


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume.

    :ivar volume_id: UUID
    :ivar name: its name; empty if it has none
    :ivar status: available, in-use, detaching, error and so on
    :ivar size_gib: its size
    :ivar hosts: names of the compute hosts to which it is attached, by the
        attachment's UUID; empty if cinder does not know the name
    """

    volume_id: str
    name: str
    status: str
    size_gib: int
    hosts: Mapping[str, str]

    def __str__(self) -> str:
        return f'volume {self.volume_id} ({self.name})'


@dataclasses.dataclass(frozen=True)
class Attachment:
    """An attachment of a volume, in any status.

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
        return (f'attachment {self.attachment_id} is {self.status}, of '
                f'server {self.server_id or "none"}')


def show(volumes_client: Any, volume_id: str) -> Volume:
    """Return a volume in its present state.

    :param volumes_client: tempest.lib's VolumesClient, of an admin, because
        cinder shows hosts to nobody else
    :param volume_id: the volume's UUID
    """
    body = volumes_client.show_volume(volume_id)['volume']
    return Volume(
        volume_id=body['id'], name=body['name'] or '', status=body['status'],
        size_gib=body['size'],
        hosts={each['attachment_id']: each['host_name'] or ''
               for each in body['attachments']})


def list_attachments(attachments_client: Any,
                     volume_id: str) -> list[Attachment]:
    """Return a volume's attachments in any status.

    :param attachments_client: tempest.lib's AttachmentsClient, of an admin,
        with MICROVERSION or later
    :param volume_id: the volume's UUID
    """
    # tempest.lib's client only shows an attachment by its UUID (as of Tempest
    # 47.0.0), and the volume lists only those in status attached.
    query = parse.urlencode({'all_tenants': True, 'volume_id': volume_id})
    resp, body = attachments_client.get(f'attachments/detail?{query}')
    attachments_client.expected_success(200, resp.status)
    return [Attachment(
        attachment_id=each['id'], volume_id=each['volume_id'],
        server_id=each['instance'] or '', status=each['status'])
        for each in json.loads(body)['attachments']]


def misplaced(volumes_client: Any, attachments_client: Any, volume_id: str,
              server_id: str, host: str) -> list[str]:
    """Return one text for each fault of an attached volume.

    The volume has to be in-use and to have one attachment, which is in status
    attached, belongs to the server, and is on the server's host.

    :param volumes_client: tempest.lib's VolumesClient, of an admin
    :param attachments_client: tempest.lib's AttachmentsClient, of an admin
    :param volume_id: the volume's UUID
    :param server_id: UUID of the server to which it belongs
    :param host: name of the server's host
    """
    volume = show(volumes_client, volume_id)
    found = list_attachments(attachments_client, volume_id)
    faults = []
    if volume.status != 'in-use':
        faults.append(f'its status is {volume.status}, not in-use')
    if [(each.server_id, each.status) for each in found] != [
            (server_id, ATTACHED)]:
        faults.append(
            f'not attached to server {server_id} once: '
            f'{"; ".join(map(str, found)) or "no attachment"}')
    faults += [
        f'attachment {attachment_id} is on host {where or "unknown"}, not on '
        f'{host}'
        for attachment_id, where in volume.hosts.items() if where != host]
    return [f'{volume}: {fault}' for fault in faults]


def wait_for(volumes_client: Any, volume_id: str, status: str,
             timeout_s: float, interval_s: float, **clock: Any) -> Volume:
    """Wait until a volume has a status.

    :param volumes_client: tempest.lib's VolumesClient, of an admin
    :param volume_id: the volume's UUID
    :param status: such as available
    :param timeout_s: time to wait, in seconds
    :param interval_s: time between two reads, in seconds
    :param clock: clock and sleep, as in utils.wait_until()
    :raises TempestException: it went into an error status
    :raises TimeoutException: it did not reach that status in time
    """
    awaited = f'volume {volume_id} to become {status}'
    return utils.wait_until(
        lambda volume: volume.status == status,
        lambda: _show_good(volumes_client, volume_id, awaited, status),
        awaited, timeout_s, interval_s, _describe, exceptions.TimeoutException,
        **clock)


def delete(volumes_client: Any, volume_id: str, timeout_s: float,
           interval_s: float, **clock: Any) -> None:
    """Delete a volume, and wait until it is gone.

    :param volumes_client: tempest.lib's VolumesClient, of an admin
    :param volume_id: the volume's UUID
    :param timeout_s: time to wait, in seconds
    :param interval_s: time between two reads, in seconds
    :param clock: clock and sleep, as in utils.wait_until()
    :raises BadRequest: cinder refuses, because it is attached
    :raises TempestException: it went into an error status
    :raises TimeoutException: it is still there after that time
    """
    awaited = f'volume {volume_id} to be deleted'
    try:
        volumes_client.delete_volume(volume_id)
        utils.wait_until(
            lambda volume: False,
            lambda: _show_good(volumes_client, volume_id, awaited),
            awaited, timeout_s, interval_s, _describe,
            exceptions.TimeoutException, **clock)
    except exceptions.NotFound:
        return


def _show_good(volumes_client: Any, volume_id: str, awaited: str,
               status: str = '') -> Volume:
    # An error status never changes by itself, so do not wait for the time-out.
    volume = show(volumes_client, volume_id)
    if volume.status.startswith(ERROR) and volume.status != status:
        raise exceptions.TempestException(
            f'waited for {awaited}; last state: {_describe(volume)}')
    return volume


def _describe(volume: Volume) -> str:
    return f'{volume}: {volume.status}'
