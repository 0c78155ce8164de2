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

"""The lab's guest: a small bootable image made from Debian's packages.

Kernel and busybox in one initramfs on a FAT partition, and root's home on a
second one, built as files only: nothing is mounted and no loop device is used.
"""

import os
import pathlib
import tempfile

from lab.image import commands
from lab.image import disk
from lab.image import identity
from lab.image import initramfs
from lab.image import kernel

ImageError = commands.ImageError
# The package behind which the guest's kernel stands; it is not installed.
KERNEL = kernel.METAPACKAGE

# Debian packages that the builder needs on the machine.
PACKAGES = ('busybox-static', 'cpio', 'dosfstools', 'dropbear-bin',
            'e2fsprogs', 'fdisk', 'kmod', 'mtools', 'qemu-utils', 'socat',
            'syslinux', 'syslinux-common')


def build(target: pathlib.Path, work: pathlib.Path) -> None:
    """Make the image; the target appears complete or not at all.

    :param target: the qcow2 file to write or replace.
    :param work: directory for the kernel's package file, which is kept for
        the next build, and for some 200 MB during the build.
    :raises ImageError: if the image cannot be made.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work, prefix='build-') as name:
            folder = pathlib.Path(name)
            image = _initramfs_and_kernel(folder, work)
            raw = folder / 'disk.raw'
            disk.make(raw, image, folder / 'initrd')
            _publish(raw, target)
    except OSError as error:
        raise ImageError(commands.explain_os_error(error)) from error


def fingerprint() -> str:
    """Return a hex digest of all that determines the image.

    :raises ImageError: if a package of PACKAGES is not installed.
    """
    return identity.digest(PACKAGES)


def _initramfs_and_kernel(folder: pathlib.Path,
                          work: pathlib.Path) -> pathlib.Path:
    """Write folder/initrd and return the kernel that it belongs to."""
    unpacked = kernel.unpack(kernel.download(kernel.METAPACKAGE, work),
                             folder / 'kernel')
    tree = folder / 'tree'
    initramfs.stage(tree, unpacked)
    initramfs.pack(tree, folder / 'initrd')
    return unpacked.image


def _publish(raw: pathlib.Path, target: pathlib.Path) -> None:
    """Write the target by way of a temporary file beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent,
                                    prefix=f'.{target.name}-')
    os.close(handle)
    try:
        disk.convert(raw, pathlib.Path(name))
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
