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

"""The flavors of the guests: small, medium and large."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from lm_tempest_plugin.operator import access as accesses
from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import images
from lm_tempest_plugin.operator import made
from lm_tempest_plugin.operator import marks

# What profiles call them, in this order.
WORDS = ('small', 'medium', 'large')


@dataclasses.dataclass(frozen=True)
class Size:
    """A flavor as it is wanted.

    :ivar name: its name
    :ivar vcpus: virtual CPUs
    :ivar ram_mib: memory
    :ivar disk_gib: root disk
    """

    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int

    def __str__(self) -> str:
        return '%s: %d vCPUs, %d MiB, %d GiB' % (
            self.name, self.vcpus, self.ram_mib, self.disk_gib)


# In the proportions of those of the white paper of 2017, 1:2:4.
SIZES = (Size('lm.small', 1, 1024, 10), Size('lm.medium', 2, 2048, 20),
         Size('lm.large', 4, 4096, 40))


def parse(text: str) -> Size:
    """Return a flavor as a profile has it.

    :param text: name:vCPUs:MiB:GiB
    :raises ValueError: it is not written like that
    """
    name, *numbers = (part.strip() for part in text.split(':'))
    try:
        vcpus, ram, disk = map(int, numbers)
    except ValueError:
        vcpus = ram = disk = 0
    if not name or min(vcpus, ram, disk) < 1:
        raise ValueError('%r is no flavor, such as lm.small:1:1024:10 (name, '
                         'vCPUs, MiB of memory, GiB of disk)' % text)
    return Size(name, vcpus, ram, disk)


def provide(access: accesses.Access, sizes: Sequence[Size],
            image: images.Image) -> list[made.Made]:
    """Return flavors, made where there is none of the name.

    One that is there is taken as it is, whatever its size: the cloud's
    operator knows best what fits.

    :param access: the way to the cloud
    :param sizes: what they are called, and how large they are to be made
    :param image: what has to fit into them
    :raises OperatorError: the cloud cannot be asked, or refuses
    """
    with access.to('list flavors'):
        known = {each.name: each
                 for each in access.connection.compute.flavors()}
    return [_provide(access, known.get(size.name), size, image)
            for size in sizes]


def _provide(access: accesses.Access, there: Any, size: Size,
             image: images.Image) -> made.Made:
    if there is not None:
        return made.Made('flavor', there.id, there.name, False, _size(
            there.vcpus, there.ram, there.disk))
    ram = max(size.ram_mib, image.min_ram_mib)
    disk = max(size.disk_gib, image.min_disk_gib)
    with access.to('make flavor %s' % size.name):
        flavor = access.connection.compute.create_flavor(
            name=size.name, vcpus=size.vcpus, ram=ram, disk=disk,
            description=marks.DESCRIPTION)
    return made.Made('flavor', flavor.id, flavor.name, True,
                     _size(size.vcpus, ram, disk))


def names(text: str) -> list[str]:
    """Return the names in what was asked for.

    :param text: names or ids, separated by commas; empty for none
    :raises OperatorError: it is not one for each of small, medium and large
    """
    found = [each.strip() for each in text.split(',')] if text else []
    if found and not (all(found) and len(found) == len(WORDS)):
        raise errors.OperatorError(
            '--flavors takes a name or id for each of %s, separated by '
            'commas, and not %r' % (', '.join(WORDS), text))
    return found


def named(access: accesses.Access, wanted: Sequence[str]) -> list[made.Made]:
    """Return flavors that have to be there.

    :param access: the way to the cloud
    :param wanted: their names or ids
    :raises OperatorError: there is none of a name
    """
    with access.to('list flavors'):
        known = list(access.connection.compute.flavors())
    found = []
    for each in wanted:
        flavor = next((one for one in known if each in (one.id, one.name)),
                      None)
        if flavor is None:
            raise errors.OperatorError(
                'cloud %s has no flavor %s; it has: %s' % (
                    access.cloud, each, ', '.join(sorted(
                        one.name for one in known)) or 'none'))
        found.append(made.Made('flavor', flavor.id, flavor.name, False,
                               _size(flavor.vcpus, flavor.ram, flavor.disk)))
    return found


def _size(vcpus: int, ram_mib: int, disk_gib: int) -> str:
    return '%d vCPUs, %d MiB of memory, %d GiB of disk' % (
        vcpus, ram_mib, disk_gib)
