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

"""The image, the flavors and the network of the guests.

Each is used if it exists and created if it is missing. Resources that are
created carry a mark, so that exactly these can be deleted again. Networks,
subnets and routers get their description in the request that creates them,
and their tag in a second one: a command that is killed between both leaves
nothing unmarked. An image gets its tag at once; a flavor has only a
description.

No API tells whether this machine reaches a network. A network that is shared
between projects is assumed to be reachable; with an external network, guests
get floating addresses of it.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import hashlib
import math
import pathlib
from typing import Any

from openstack import exceptions

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import discovery

TAG = NAME = setup.TAG
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
# Private (RFC 1918), and behind a router: it cannot clash with another one.
CIDR = '192.168.229.0/24'


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

    :param resource: openstacksdk's, with tags, a description, or a public
        key, which has the description as its comment
    """
    tags: Iterable[str] = getattr(resource, 'tags', None) or ()
    public_key: str = getattr(resource, 'public_key', None) or ''
    return (TAG in tags or
            getattr(resource, 'description', None) == DESCRIPTION or
            public_key.endswith(f' {DESCRIPTION}'))


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


def provide_image(access: discovery.Access, wanted: str,
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
        known = _marked_images(access)
        if len(known) != 1:
            with access.explaining('list images'):
                names = ', '.join(sorted(each.name or each.id for each in (
                    known or access.connection.image.images(
                        status='active'))))
            raise access.error('no image was chosen. Give a file, a name or '
                               'an id with --image; the cloud has: '
                               f'{names or "none"}')
        image = known[0]
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


def _marked_images(access: discovery.Access) -> list[Any]:
    with access.explaining('list images'):
        return [image for image in access.connection.image.images(tag=TAG)
                if image.status == 'active' and is_marked(image)]


def _named_image(access: discovery.Access, wanted: str) -> Any:
    """Return the image with a name or id.

    :raises SetupError: there is none, it is not ready, or the projects of
        the tests cannot use it
    """
    with access.explaining(f'look for image {wanted}'):
        try:
            image = access.connection.image.find_image(
                wanted, ignore_missing=True)
        except exceptions.DuplicateResource as exc:
            raise access.error(f'several images have the name {wanted}: '
                               'give an id') from exc
    if image is None:
        raise setup.SetupError(f'there is no file {wanted}, and cloud '
                               f'{access.cloud} has no image of that name or '
                               'id')
    if image.status != 'active':
        raise access.error(f'image {wanted} is {image.status}, not active')
    if image.visibility not in VISIBLE:
        raise access.error(
            f'image {wanted} is {image.visibility}, so the projects of the '
            f'tests cannot use it: make it {" or ".join(VISIBLE)}')
    return image


def _upload(access: discovery.Access, path: pathlib.Path,
            user: str) -> tuple[Any, bool]:
    """Return the image of a file, and whether it had to be uploaded.

    :raises SetupError: the file cannot be read, is empty or compressed, or
        the upload fails
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
            raise setup.SetupError(f'image file {path} is compressed '
                                   f'({name}): decompress it first')
    disk_format = next((name for magic, name in FORMATS.items()
                        if begin.startswith(magic)), 'raw')
    for image in _marked_images(access):
        if (image.hash_algo, image.hash_value) == (HASH, digest.hexdigest()):
            return image, False
    with access.explaining(f'upload {path}'):
        image = access.connection.image.create_image(
            name=f'{NAME}-{path.stem}', filename=str(path),
            disk_format=disk_format, container_format='bare', tags=[TAG],
            visibility='community', wait=True, timeout=UPLOAD_TIMEOUT_S,
            allow_duplicates=True, **({'os_admin_user': user} if user else {}))
    return image, True


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
SIZES: tuple[FlavorSize, ...] = (
    FlavorSize('lm.small', 1, 1024, 10),
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


def provide_flavors(access: discovery.Access, sizes: Sequence[FlavorSize],
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


def named_flavors(access: discovery.Access,
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
            raise setup.SetupError(f'cloud {access.cloud} has no flavor '
                                   f'{each}; it has: {names}')
        found.append(_flavor(flavor, False))
    return found


def _flavors(access: discovery.Access) -> list[Any]:
    with access.explaining('list flavors'):
        return list(access.connection.compute.flavors())


def _flavor(flavor: Any, created: bool) -> Resource:
    return Resource(
        'flavor', flavor.id, flavor.name, created,
        f'{flavor.vcpus} vCPUs, {flavor.ram} MiB of memory, {flavor.disk} GiB '
        'of disk')


@dataclasses.dataclass(frozen=True)
class GuestNetwork:
    """The connection of guests.

    :ivar name: name of the guests' network
    :ivar external_id: id of the network of floating addresses; empty if
        guests are reached at their own addresses
    :ivar external_name: its name
    :ivar resources: networks, subnet and router that it uses
    """

    name: str
    external_id: str
    external_name: str
    resources: tuple[Resource, ...]

    @property
    def floating(self) -> bool:
        """Whether guests get floating addresses."""
        return bool(self.external_id)


def choose_network(access: discovery.Access, wanted: str) -> Any:
    """Return the network to use: an external or a shared one.

    :param access: connection to the cloud
    :param wanted: its name or id; empty for the only external network, or
        else the only shared one
    :raises SetupError: there is none or more than one, or another network
        has the same name
    """
    with access.explaining('list networks'):
        known = list(access.connection.network.networks())
    chosen = (_named_network(access, wanted, known) if wanted
              else _only_network(access, known))
    # tempest.conf names the guests' network (fixed_network_name), and Tempest
    # finds none if two have that name. An external network is given by its id
    # instead; guests are then on the network that provide_network() creates.
    name = NAME if chosen.is_router_external else chosen.name
    others = sorted(
        each.id for each in known
        if each.name == name and each.id != chosen.id and
        _is_visible(each) and not is_marked(each))
    if others:
        raise access.error(
            f'guests would be on network {name}, which Tempest knows by its '
            f'name only, and others have the same name ({", ".join(others)}): '
            'rename these, or choose another network with --network')
    return chosen


def _is_visible(network: Any) -> bool:
    """Return whether the projects of the tests can use a network."""
    return bool(network.is_router_external or network.is_shared)


def _only_network(access: discovery.Access, known: Sequence[Any]) -> Any:
    """Return the only candidate.

    :raises SetupError: there is none, or more than one
    """
    usable = [each for each in known if _is_visible(each) and
              each.subnet_ids and not is_marked(each)]
    external = [each for each in usable if each.is_router_external]
    for kind, found in (
            ('external', external),
            ('shared', [each for each in usable if each not in external])):
        if len(found) == 1:
            return found[0]
        if found:
            names = ', '.join(sorted(each.name for each in found))
            raise setup.SetupError(
                f'cloud {access.cloud} has {len(found)} {kind} networks: '
                f'choose one with --network: {names}')
    raise setup.SetupError(
        f'cloud {access.cloud} has neither an external network nor one that '
        'is shared between projects, so guests could not be reached')


def _named_network(access: discovery.Access, wanted: str,
                   known: Sequence[Any]) -> Any:
    """Return the network with a name or id.

    :raises SetupError: there is none, the tests cannot use it, or the name
        is ambiguous
    """
    found = [each for each in known if wanted in (each.id, each.name)]
    if not found:
        raise setup.SetupError(f'cloud {access.cloud} has no network {wanted}')
    usable = [each for each in found if _is_visible(each)]
    if not usable:
        raise access.error(
            f'network {wanted} is neither external nor shared, so the '
            'projects of the tests cannot use it')
    external = [each for each in usable if each.is_router_external]
    if external and len(usable) > 1:
        identifiers = ', '.join(sorted(each.id for each in external))
        raise access.error(
            f'{len(usable)} networks have the name {wanted}: give the id of '
            f'an external one: {identifiers}')
    return usable[0]


def provide_network(access: discovery.Access, chosen: Any) -> GuestNetwork:
    """Return the connection of guests; create the missing parts.

    A shared network is enough. Behind an external network, guests are on a
    network of their own, and a router connects both.

    :param access: connection to the cloud
    :param chosen: result of choose_network()
    :raises SetupError: the cloud refuses, or does not answer
    """
    if not chosen.is_router_external:
        return GuestNetwork(chosen.name, '', '', (Resource(
            'network', chosen.id, chosen.name, False,
            'guests are reached at their own addresses'),))
    network = access.connection.network
    inner, inner_resource = _provide_marked(
        access, 'network', f'guests get floating addresses of {chosen.name}',
        network.networks, network.create_network, is_shared=True)
    subnet, subnet_resource = _provide_marked(
        access, 'subnet', CIDR, network.subnets, network.create_subnet,
        network_id=inner.id, ip_version=4, cidr=CIDR)
    router, router_resource = _provide_marked(
        access, 'router', f'to {chosen.name}', network.routers,
        network.create_router,
        external_gateway_info={'network_id': chosen.id})
    gateway = router.external_gateway_info or {}
    if gateway.get('network_id') != chosen.id:
        raise access.error(
            f'router {router.id} of an earlier run does not lead to network '
            f'{chosen.name}: delete it with bootstrap --delete')
    with access.explaining(f'connect router {router.name}'):
        connected = {each['subnet_id']
                     for port in network.ports(device_id=router.id)
                     for each in port.fixed_ips or ()}
        if subnet.id not in connected:
            network.add_interface_to_router(router, subnet.id)
    return GuestNetwork(inner.name, chosen.id, chosen.name, (
        inner_resource, subnet_resource, router_resource))


def _provide_marked(access: discovery.Access, kind: str, remark: str,
                    list_: Any, create: Any,
                    **attributes: Any) -> tuple[Any, Resource]:
    """Return a marked resource, which is created if it is missing."""
    with access.explaining(f'create {kind} {NAME}'):
        found = next(filter(is_marked, list_(name=NAME)), None)
        created = found is None
        if found is None:
            found = create(name=NAME, description=DESCRIPTION, **attributes)
        tags = found.tags or ()
        if TAG not in tags:
            access.connection.network.set_tags(found, [*tags, TAG])
    return found, Resource(kind, found.id, found.name, created, remark)
