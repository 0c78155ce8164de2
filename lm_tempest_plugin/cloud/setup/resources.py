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

"""The image and the flavors of the guests.

Each is used if it exists and created if it is missing. Resources that are
created carry a mark, so that exactly these can be deleted again. Networks,
subnets and routers get their description in the request that creates them,
and their tag in a second one: a command that is killed between both leaves
nothing unmarked. An image gets its tag at once; a flavor has only a
description.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import hashlib
import math
import pathlib
from typing import Any

from openstack import exceptions as sdk_exc

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import account

TAG = NAME = 'live-migration-ha'
DESCRIPTION = 'Made by tempest live-migration-ha bootstrap'
UPLOAD_TIMEOUT_S = 3600
# First bytes of a file. A file that begins otherwise is uploaded as raw.
FORMATS = {b'QFI\xfb': 'qcow2', b'KDMV': 'vmdk', b'conectix': 'vpc'}
COMPRESSED = {b'\x1f\x8b': 'gzip', b'\xfd7zXZ': 'xz', b'BZh': 'bzip2',
              b'\x28\xb5\x2f\xfd': 'zstd'}
# The tests' own projects can use these.
VISIBLE = ('public', 'community')
# The default of glance for os_hash_algo.
HASH = 'sha512'
# Users that distributions create in their cloud images.
USERS = {'almalinux': 'almalinux', 'centos': 'cloud-user',
         'cirros': 'cirros', 'debian': 'debian', 'fedora': 'fedora',
         'opensuse': 'opensuse', 'rocky': 'rocky', 'ubuntu': 'ubuntu'}
# Names of the three flavors in profiles, in this order.
SIZE_NAMES = ('small', 'medium', 'large')


@dataclasses.dataclass(frozen=True)
class Resource:
    """A resource in the cloud that a run uses.

    :ivar kind: such as ``image``
    :ivar identifier: its id
    :ivar name: its name
    :ivar created: whether this command created it
    :ivar remark: a fact about it; empty for none
    """

    kind: str
    identifier: str
    name: str
    created: bool
    remark: str = ''

    def __str__(self) -> str:
        text = (f'{self.kind} {self.name} ({self.identifier}): '
                f'{"created" if self.created else "exists"}')
        return f'{text}; {self.remark}' if self.remark else text


def is_marked(resource: Any) -> bool:
    """Return whether this plugin created a resource.

    :param resource: openstacksdk's, with tags or a description
    """
    tags: Iterable[str] = getattr(resource, 'tags', None) or ()
    return (TAG in tags or
            getattr(resource, 'description', None) == DESCRIPTION)


@dataclasses.dataclass(frozen=True)
class GuestImage:
    """The image of the guests.

    :ivar resource: the image
    :ivar user: user for logins to guests
    :ivar min_disk_gib: minimum disk of a flavor
    :ivar min_ram_mib: minimum memory of a flavor
    :ivar size_gib: minimum size of a volume with the image
    """

    resource: Resource
    user: str
    min_disk_gib: int
    min_ram_mib: int
    size_gib: int = 1


def provide_image(access: account.Access, wanted: str,
                  user: str) -> GuestImage:
    """Return the image of the guests; upload it if it is a file.

    :param access: connection to the cloud
    :param wanted: path of a file, or name or id of an image; empty for the
        image that was uploaded before
    :param user: user for logins to guests; empty to choose by the image
    :raises SetupError: there is no such image, or guests cannot use it
    """
    path = pathlib.Path(wanted)
    created = False
    if not wanted:
        image = _uploaded_before(access)
    elif path.is_file():
        image, created = _upload(access, path, user)
    else:
        image = _named_image(access, wanted)
    user, reason = _user(image, user)
    min_disk_gib = int(image.min_disk or 0)
    size_bytes = max(int(image.virtual_size or 0), int(image.size or 0))
    return GuestImage(
        Resource('image', image.id, image.name, created,
                 f'user {user} ({reason})'),
        user, min_disk_gib, int(image.min_ram or 0),
        max(1, min_disk_gib, math.ceil(size_bytes / 2 ** 30)))


def _marked_images(access: account.Access) -> list[Any]:
    with access.explaining('list images'):
        return [image for image in access.connection.image.images(tag=TAG)
                if image.status == 'active' and is_marked(image)]


def _uploaded_before(access: account.Access) -> Any:
    found = _marked_images(access)
    if len(found) == 1:
        return found[0]
    with access.explaining('list images'):
        names = sorted(image.name or image.id for image in (
            found or access.connection.image.images(status='active')))
    raise setup.SetupError(
        f'cloud {access.cloud}: no image was chosen. Give a file, a name or '
        f'an id with --image; the cloud has: {", ".join(names) or "none"}')


def _named_image(access: account.Access, wanted: str) -> Any:
    """Return the image with a name or id.

    :raises SetupError: there is none, it is not ready, or the projects of
        the tests cannot use it
    """
    with access.explaining(f'look for image {wanted}'):
        try:
            image = access.connection.image.find_image(
                wanted, ignore_missing=True)
        except sdk_exc.DuplicateResource as exc:
            raise setup.SetupError(
                f'cloud {access.cloud}: several images have the name '
                f'{wanted}: give an id') from exc
    if image is None:
        raise setup.SetupError(
            f'there is no file {wanted}, and cloud '
            f'{access.cloud} has no image of that name or id')
    if image.status != 'active':
        raise setup.SetupError(
            f'cloud {access.cloud}: image {wanted} is '
            f'{image.status}, not active')
    if image.visibility not in VISIBLE:
        raise setup.SetupError(
            f'cloud {access.cloud}: image {wanted} is {image.visibility}, so '
            'the projects of the tests cannot use it: make it '
            f'{" or ".join(VISIBLE)}')
    return image


def _upload(access: account.Access, path: pathlib.Path,
            user: str) -> tuple[Any, bool]:
    """Return the image of a file, and whether it had to be uploaded.

    :raises SetupError: the file cannot be read, or the upload fails
    """
    disk_format, digest = _inspect_file(path)
    for image in _marked_images(access):
        if image.hash_algo == HASH and image.hash_value == digest:
            return image, False
    with access.explaining(f'upload {path}'):
        image = access.connection.image.create_image(
            name=f'{NAME}-{path.stem}', filename=str(path),
            disk_format=disk_format, container_format='bare', tags=[TAG],
            visibility='community', wait=True, timeout=UPLOAD_TIMEOUT_S,
            allow_duplicates=True, **({'os_admin_user': user} if user else {}))
    return image, True


def _inspect_file(path: pathlib.Path) -> tuple[str, str]:
    """Return the format and the digest of an image file.

    :raises SetupError: it cannot be read, is empty or compressed
    """
    digest = hashlib.new(HASH)
    try:
        with open(path, 'rb') as stream:
            begin = stream.read(8)
            stream.seek(0)
            while part := stream.read(2 ** 20):
                digest.update(part)
    except OSError as exc:
        raise setup.SetupError(
            f'image file {path} cannot be read: {exc.strerror}') from exc
    if not begin:
        raise setup.SetupError(f'image file {path} is empty')
    for magic, name in COMPRESSED.items():
        if begin.startswith(magic):
            raise setup.SetupError(
                f'image file {path} is compressed ({name}): '
                'decompress it first')
    return next((name for magic, name in FORMATS.items()
                 if begin.startswith(magic)), 'raw'), digest.hexdigest()


def _user(image: Any, user: str) -> tuple[str, str]:
    """Return the user for logins, and the reason for this choice."""
    if user:
        return user, 'as given'
    if image.os_admin_user:
        return image.os_admin_user, 'os_admin_user of the image'
    distro = str(image.os_distro or image.name or '').lower()
    for name, known in USERS.items():
        if distro.startswith(name):
            return known, f'default of {name}; change it with --ssh-user'
    return 'root', 'the image names no user; change it with --ssh-user'


@dataclasses.dataclass(frozen=True)
class FlavorSize:
    """Size of a flavor that is created if it is missing.

    :ivar name: its name
    :ivar vcpus: virtual CPUs
    :ivar ram_mib: memory
    :ivar disk_gib: root disk
    """

    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int


# In the proportions of the white paper of 2017, 1:2:4.
SIZES = (FlavorSize('lm.small', 1, 1024, 10),
         FlavorSize('lm.medium', 2, 2048, 20),
         FlavorSize('lm.large', 4, 4096, 40))


def parse_size(text: str) -> FlavorSize:
    """Return the size of a flavor in a profile.

    :param text: name:vCPUs:MiB:GiB
    :raises ValueError: it has another form
    """
    name, *numbers = (part.strip() for part in text.split(':'))
    try:
        vcpus, ram, disk = map(int, numbers)
    except ValueError:
        vcpus = ram = disk = 0
    if not name or min(vcpus, ram, disk) < 1:
        raise ValueError(f'{text!r} is no flavor such as lm.small:1:1024:10 '
                         '(name, vCPUs, MiB of memory, GiB of disk)')
    return FlavorSize(name, vcpus, ram, disk)


def provide_flavors(access: account.Access, sizes: Sequence[FlavorSize],
                    image: GuestImage) -> list[Resource]:
    """Return flavors; create each whose name is missing.

    An existing flavor is used whatever its size: the cloud's operator knows
    best what fits on the hosts.

    :param access: connection to the cloud
    :param sizes: names, and the sizes with which they are created
    :param image: the image that has to fit
    :raises SetupError: the cloud refuses, or does not answer
    """
    known = {each.name: each for each in _flavors(access)}
    found = []
    for size in sizes:
        flavor = known.get(size.name)
        created = flavor is None
        if flavor is None:
            with access.explaining(f'create flavor {size.name}'):
                flavor = access.connection.compute.create_flavor(
                    name=size.name, vcpus=size.vcpus,
                    ram=max(size.ram_mib, image.min_ram_mib),
                    disk=max(size.disk_gib, image.min_disk_gib),
                    description=DESCRIPTION)
        found.append(_flavor(flavor, created))
    return found


def split_flavors(text: str) -> list[str]:
    """Return the names in an argument.

    :param text: names or ids, separated by commas; empty for none
    :raises SetupError: the number of names is wrong
    """
    found = [each.strip() for each in text.split(',')] if text else []
    if found and not (all(found) and len(found) == len(SIZE_NAMES)):
        raise setup.SetupError(
            f'--flavors is {text!r}, and needs {len(SIZE_NAMES)} names or ids '
            f'separated by commas, one for each of {", ".join(SIZE_NAMES)}')
    return found


def named_flavors(access: account.Access,
                  wanted: Sequence[str]) -> list[Resource]:
    """Return existing flavors.

    :param access: connection to the cloud
    :param wanted: their names or ids
    :raises SetupError: there is none with a name
    """
    if not wanted:
        return []
    known = _flavors(access)
    found = []
    for each in wanted:
        flavor = next((one for one in known if each in (one.id, one.name)),
                      None)
        if flavor is None:
            names = ', '.join(sorted(one.name for one in known)) or 'none'
            raise setup.SetupError(
                f'cloud {access.cloud} has no flavor {each}; it '
                f'has: {names}')
        found.append(_flavor(flavor, False))
    return found


def _flavors(access: account.Access) -> list[Any]:
    with access.explaining('list flavors'):
        return list(access.connection.compute.flavors())


def _flavor(flavor: Any, created: bool) -> Resource:
    return Resource(
        'flavor', flavor.id, flavor.name, created,
        f'{flavor.vcpus} vCPUs, {flavor.ram} MiB of memory, {flavor.disk} GiB '
        'of disk')
