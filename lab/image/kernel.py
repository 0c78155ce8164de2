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

"""Debian's kernel package: found, downloaded and unpacked, not installed."""

import dataclasses
import pathlib

from lab.image import commands

# The cloud kernel boots faster and is smaller; it has all that is needed.
METAPACKAGE = 'linux-image-cloud-amd64'


@dataclasses.dataclass(frozen=True)
class Kernel:
    """An unpacked kernel.

    :param image: the file to boot.
    :param modules: the directory /lib/modules/VERSION, after depmod.
    """

    image: pathlib.Path
    modules: pathlib.Path

    @property
    def version(self) -> str:
        """The kernel's release, as uname -r says it."""
        return self.modules.name


def resolve(metapackage: str) -> tuple[str, str]:
    """Return the name and version of the package behind a metapackage.

    :raises ImageError: if apt does not know it.
    """
    depends = commands.run('apt-cache', 'depends', '--important',
                           metapackage)
    names = [line.split()[-1] for line in depends.splitlines()
             if line.strip().startswith('Depends: linux-image-')]
    if not names:
        raise commands.ImageError(
            f'apt knows no kernel behind {metapackage}: run apt-get update.')
    policy = commands.run('apt-cache', 'policy', names[0])
    for line in policy.splitlines():
        key, _, value = line.strip().partition(': ')
        if key == 'Candidate':
            return names[0], value
    raise commands.ImageError(f'apt offers no version of {names[0]}.')


def download(metapackage: str, work: pathlib.Path) -> pathlib.Path:
    """Return the kernel's package file, downloaded unless already there.

    :param work: directory that keeps package files from build to build.
    :raises ImageError: if it cannot be had.
    """
    name, version = resolve(metapackage)
    # apt writes a colon, which separates an epoch, as %3a.
    pattern = f'{name}_{version.replace(":", "%3a")}_*.deb'
    if not list(work.glob(pattern)):
        commands.run('apt-get', 'download', f'{name}={version}', folder=work)
    found = sorted(work.glob(pattern))
    if not found:
        raise commands.ImageError(
            f'apt-get download left no package file of {name} {version}.')
    return found[-1]


def unpack(package: pathlib.Path, folder: pathlib.Path) -> Kernel:
    """Unpack a kernel's package file into a directory.

    :raises ImageError: if the package holds no kernel.
    """
    commands.run('dpkg-deb', '-x', package, folder)
    images = sorted((folder / 'boot').glob('vmlinuz-*'))
    if not images:
        raise commands.ImageError(f'{package.name} holds no kernel.')
    version = images[-1].name.removeprefix('vmlinuz-')
    commands.run('depmod', '-b', folder, version)
    return Kernel(images[-1], folder / 'lib/modules' / version)
