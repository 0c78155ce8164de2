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

"""The guest's root file system: a directory tree, packed as an initramfs."""

import gzip
import os
import pathlib
import re
import shutil

from lab.image import commands
from lab.image import kernel
from lab.image import modules

# Laid out like the guest's root; everything in it is copied as it is.
GUEST = pathlib.Path(__file__).parent / 'guest'
# The path in the guest is the path on the machine.
PROGRAMS = ('/bin/busybox', '/usr/sbin/dropbear', '/usr/bin/dropbearkey',
            '/usr/bin/socat')
# Mount points, and the places where busybox puts its applets' links.
FOLDERS = ('bin', 'sbin', 'usr/bin', 'usr/sbin', 'dev', 'proc', 'sys', 'run',
           'tmp', 'mnt', 'root', 'etc', 'lib')


def guest_files() -> list[pathlib.Path]:
    """Return the files that are copied into the guest as they are."""
    return sorted(path for path in GUEST.rglob('*') if path.is_file())


def libraries(program: str) -> dict[str, str]:
    """Return what a program needs at run time.

    :returns: path in the guest: path on the machine. All libraries go to
        /lib, where the loader looks without a cache; the loader itself
        stays where the program asks for it.
    """
    needed = {}
    for line in commands.run('ldd', program).splitlines():
        library = re.match(r'\s*(\S+) => (/\S+) \(', line)
        loader = re.match(r'\s*(/\S+) \(', line)
        if library:
            needed[f'/lib/{library[1]}'] = library[2]
        elif loader:
            needed[loader[1]] = loader[1]
        elif 'not found' in line:
            raise commands.ImageError(
                f'{program} lacks a library: {line.strip()}.')
    return needed


def is_dynamic(program: str) -> bool:
    """Tell whether a program names a loader, which a static one does not.

    ldd answers a static program with a failure.
    """
    with open(program, 'rb') as opened:
        return b'/ld-linux' in opened.read(4096)


def binaries() -> dict[str, str]:
    """Return the guest's programs and their libraries.

    :returns: path in the guest: path on the machine.
    :raises ImageError: if one is not installed.
    """
    files = {}
    for program in PROGRAMS:
        if not os.path.exists(program):
            raise commands.ImageError(
                f'{program} is not on this machine: install the packages in '
                'lab.image.PACKAGES.')
        files[program] = program
        if is_dynamic(program):
            files.update(libraries(program))
    return files


def stage(tree: pathlib.Path, unpacked: kernel.Kernel) -> None:
    """Lay out the guest's root file system in an empty directory.

    :raises ImageError: if a program or a module is missing.
    """
    for folder in FOLDERS:
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for guest_path, path in binaries().items():
        _copy(pathlib.Path(path), tree / guest_path.lstrip('/'))
    for source in guest_files():
        _copy(source, tree / source.relative_to(GUEST))
    names = modules.install(
        unpacked.modules, tree / 'lib/modules' / unpacked.version)
    (tree / 'etc/modules').write_text('\n'.join(names) + '\n')
    _set_modes(tree)


def members(tree: pathlib.Path) -> list[str]:
    """Return the archive's members; a directory stands before its content."""
    return sorted(str(path.relative_to(tree)) for path in tree.rglob('*'))


def pack(tree: pathlib.Path, target: pathlib.Path) -> None:
    """Write the tree as a compressed cpio archive owned by root.

    No device node is needed: the guest mounts devtmpfs.

    :raises ImageError: if cpio fails.
    """
    archive = target.with_suffix('.cpio')
    names = ''.join(f'{name}\0' for name in members(tree))
    # The names are relative to the tree, the archive's must not be.
    commands.run('cpio', '--create', '--null', '--quiet', '--format=newc',
                 '--reproducible', '--owner=+0:+0',
                 f'--file={archive.resolve()}', stdin=names.encode(),
                 folder=tree)
    with open(archive, 'rb') as plain, open(target, 'wb') as raw:
        # Neither name nor time in the header: the same tree gives the same
        # bytes.
        with gzip.GzipFile('', 'wb', 9, raw, mtime=0) as packed:
            shutil.copyfileobj(plain, packed)
    archive.unlink()


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _set_modes(tree: pathlib.Path) -> None:
    """Give every file a mode and a time that depend on its content alone.

    The modes of the files in the checkout do not count: some ways to copy
    it lose them. Programs and scripts are known by their first bytes.
    """
    for path in tree.rglob('*'):
        executable = path.is_dir() or path.read_bytes()[:4].startswith(
            (b'#!', b'\x7fELF'))
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (0, 0))
    for secret in ('root', 'etc/shadow'):
        path = tree / secret
        if path.exists():
            path.chmod(0o700 if path.is_dir() else 0o600)
