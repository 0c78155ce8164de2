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

"""What the image depends on, as one number."""

import hashlib
import pathlib

from lab.image import commands
from lab.image import initramfs


def digest(packages: tuple[str, ...]) -> str:
    """Return a hex digest that changes whenever the image would.

    It covers the guest's files, the builder's code, the programs and
    libraries that are copied, and the versions of the packages. It does not
    cover the kernel: a newer one is no reason to build again, and to ask
    for it takes package lists, which need not be there.

    :param packages: Debian packages whose tools or files are used.
    :raises ImageError: if a package is not installed.
    """
    total = hashlib.sha256()
    for label, content in [*_files(), *_binaries(), *_versions(packages)]:
        # Lengths keep one entry's end apart from the next one's beginning.
        total.update(f'{label}\0{len(content)}\0'.encode())
        total.update(content)
    return total.hexdigest()


def _files() -> list[tuple[str, bytes]]:
    code = sorted(pathlib.Path(__file__).parent.glob('*.py'))
    guest = [(f'guest/{path.relative_to(initramfs.GUEST)}',
              path.read_bytes()) for path in initramfs.guest_files()]
    return [(path.name, path.read_bytes()) for path in code] + guest


def _binaries() -> list[tuple[str, bytes]]:
    return [(guest_path, pathlib.Path(path).read_bytes())
            for guest_path, path in sorted(initramfs.binaries().items())]


def _versions(packages: tuple[str, ...]) -> list[tuple[str, bytes]]:
    installed = commands.run(
        'dpkg-query', '--show', '--showformat=${Package} ${Version}\n',
        *packages)
    return [('packages', '\n'.join(sorted(installed.split('\n'))).encode())]
