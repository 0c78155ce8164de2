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

"""The image of the guests: one that is there, or a file that is uploaded."""

import dataclasses
import hashlib
import math
import pathlib
from typing import Any

from openstack import exceptions as sdk_exc

from lm_tempest_plugin.operator import access as accesses
from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import made
from lm_tempest_plugin.operator import marks

UPLOAD_TIMEOUT_S = 3600
# How files begin; what begins with none of these is taken for raw.
FORMATS = {b'QFI\xfb': 'qcow2', b'KDMV': 'vmdk', b'conectix': 'vpc'}
COMPRESSED = {b'\x1f\x8b': 'gzip', b'\xfd7zXZ': 'xz', b'BZh': 'bzip2',
              b'\x28\xb5\x2f\xfd': 'zstd'}
# Seen by the tests' own projects; community images are in nobody's list.
OPEN = ('public', 'community')
# glance's default for os_hash_algo.
HASH = 'sha512'
# Who logs in where images say what they are, as their makers have it.
USERS = {'almalinux': 'almalinux', 'centos': 'cloud-user',
         'cirros': 'cirros', 'debian': 'debian', 'fedora': 'fedora',
         'opensuse': 'opensuse', 'rocky': 'rocky', 'ubuntu': 'ubuntu'}
ROOT = 'root'


@dataclasses.dataclass(frozen=True)
class Image:
    """The image of the guests.

    :ivar made: what it is
    :ivar user: who logs in to guests
    :ivar min_disk_gib: what a flavor has to have at least
    :ivar min_ram_mib: the same
    :ivar size_gib: of a disk that holds it, at least
    """

    made: made.Made
    user: str
    min_disk_gib: int
    min_ram_mib: int
    size_gib: int = 1


def provide(access: accesses.Access, wanted: str, user: str) -> Image:
    """Return the image of the guests; uploaded if it is a file.

    :param access: the way to the cloud
    :param wanted: path of a file, or an image's name or id; empty for the
        one that was uploaded before
    :param user: who logs in to guests; empty to go by the image
    :raises OperatorError: there is no such image, or guests cannot use it
    """
    path = pathlib.Path(wanted)
    new = False
    if not wanted:
        image = _before(access)
    elif path.is_file():
        image, new = _uploaded(access, path, user)
    else:
        image = _named(access, wanted)
    chosen, why = _user(image, user)
    return Image(made.Made('image', image.id, image.name, new, why), chosen,
                 int(image.min_disk or 0), int(image.min_ram or 0),
                 _size_gib(image))


def _size_gib(image: Any) -> int:
    """Return how large a volume has to be that is made of an image."""
    size = max(int(image.virtual_size or 0), int(image.size or 0))
    return max(1, int(image.min_disk or 0), math.ceil(size / 2 ** 30))


def _own(access: accesses.Access) -> list[Any]:
    with access.to('list images'):
        return [image for image in access.connection.image.images(
            tag=marks.TAG) if marks.ours(image)]


def _before(access: accesses.Access) -> Any:
    """Return the one image that was uploaded before.

    :raises OperatorError: there is none, or more than one
    """
    found = [image for image in _own(access) if image.status == 'active']
    if len(found) == 1:
        return found[0]
    with access.to('list images'):
        names = sorted(image.name or image.id for image in (
            found or access.connection.image.images(status='active')))
    raise errors.OperatorError(
        'cloud %s: which image are guests to have? Give a file, a name or an '
        'id with --image; there %s' % (
            access.cloud, 'are: %s' % ', '.join(names) if names
            else 'is none'))


def _named(access: accesses.Access, wanted: str) -> Any:
    """Return the image of a name or an id.

    :raises OperatorError: there is none, it is not ready, or guests of
        other projects cannot have it
    """
    with access.to('look for image %s' % wanted):
        try:
            image = access.connection.image.find_image(
                wanted, ignore_missing=True)
        except sdk_exc.DuplicateResource as exc:
            raise errors.OperatorError(
                'cloud %s: several images are called %s: give an id' % (
                    access.cloud, wanted)) from exc
    if image is None:
        raise errors.OperatorError(
            'there is no file %s, and cloud %s has no image of that name or '
            'id' % (wanted, access.cloud))
    if image.status != 'active':
        raise errors.OperatorError('cloud %s: image %s is %s, not active' % (
            access.cloud, wanted, image.status))
    if image.visibility not in OPEN:
        raise errors.OperatorError(
            'cloud %s: image %s is %s, and the projects that are made for '
            'the tests cannot use it: it has to be %s' % (
                access.cloud, wanted, image.visibility, ' or '.join(OPEN)))
    return image


def _uploaded(access: accesses.Access, path: pathlib.Path,
              user: str) -> tuple[Any, bool]:
    """Return the image of a file, and whether it is new.

    :raises OperatorError: the file cannot be read, or the upload fails
    """
    disk_format, digest = _look_into(path)
    for image in _own(access):
        if (image.status == 'active' and image.hash_algo == HASH and
                image.hash_value == digest):
            return image, False
    with access.to('upload %s' % path):
        image = access.connection.image.create_image(
            name='%s-%s' % (marks.NAME, path.stem), filename=str(path),
            disk_format=disk_format, container_format='bare',
            tags=[marks.TAG], visibility='community', wait=True,
            timeout=UPLOAD_TIMEOUT_S, allow_duplicates=True,
            **({'os_admin_user': user} if user else {}))
    return image, True


def _look_into(path: pathlib.Path) -> tuple[str, str]:
    """Return format and checksum of a file.

    :raises OperatorError: it cannot be read, is empty or compressed
    """
    digest = hashlib.new(HASH)
    try:
        with open(path, 'rb') as stream:
            begin = stream.read(8)
            stream.seek(0)
            while part := stream.read(2 ** 20):
                digest.update(part)
    except OSError as exc:
        raise errors.OperatorError('image file %s cannot be read: %s' % (
            path, exc.strerror)) from exc
    if not begin:
        raise errors.OperatorError('image file %s is empty' % path)
    for magic, name in COMPRESSED.items():
        if begin.startswith(magic):
            raise errors.OperatorError(
                'image file %s is compressed (%s): unpack it first' % (
                    path, name))
    return next((name for magic, name in FORMATS.items()
                 if begin.startswith(magic)), 'raw'), digest.hexdigest()


def _user(image: Any, user: str) -> tuple[str, str]:
    """Return who logs in to guests, and how that is known, in words."""
    if user:
        return user, 'guests are logged in to as %s' % user
    if image.os_admin_user:
        return image.os_admin_user, (
            'guests are logged in to as %s, as the image says '
            '(os_admin_user)' % image.os_admin_user)
    distro = str(image.os_distro or image.name or '').lower()
    for name, known in USERS.items():
        if distro.startswith(name):
            return known, ('guests are logged in to as %s, as with %s; if '
                           'that is wrong, give --ssh-user' % (known, name))
    return ROOT, ('guests are logged in to as root, for the image does not '
                  'say who else; if that is wrong, give --ssh-user')
