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

A FAT partition boots: it holds syslinux, the kernel, and busybox in an
initramfs. A second partition, an empty ext4, is root's home: the guest's own
root is in memory, and this gives it something on its disk. Everything is
written into files; nothing is mounted and no loop device is used.
"""

import hashlib
import pathlib
import tempfile

from lab.image import initramfs
from lm_tempest_plugin import utils

ImageError = initramfs.ImageError
# The guest's kernel comes from this package; it is not installed.
KERNEL = initramfs.KERNEL
# Debian packages that the builder needs on the machine.
PACKAGES = ('busybox-static', 'cpio', 'dosfstools', 'dropbear-bin',
            'e2fsprogs', 'fdisk', 'kmod', 'mtools', 'qemu-utils', 'socat',
            'syslinux', 'syslinux-common')

SECTOR_BYTES = 512
# The partitions begin here; each ends where the next one or the disk does.
BOOT_START = 1024 * 1024
HOME_START = 40 * 1024 * 1024
DISK_BYTES = 104 * 1024 * 1024
# Fixed, so that the same input gives the same image.
HOME_UUID = '6c616d68-6f6d-4000-8000-000000000000'
# From Debian's syslinux-common: starts the partition marked as bootable.
MBR = pathlib.Path('/usr/lib/syslinux/mbr/mbr.bin')
MBR_BYTES = 440

# - The console named last is /dev/console; the guest prints to it.
# - loglevel=4: warnings and worse; each line costs an emulated port write
#   per character.
# - mitigations, nokaslr, audit, lsm, nowatchdog, cryptomgr and the self-test
#   crypto_kdf108_init (0.2 s): work that this guest has no use for.
# - tsc=reliable, no_timer_check: emulated clock sources are not compared with
#   each other; on a busy machine and after a migration they would fail.
# - 8250.nr_uarts=1: three ports less to search.
# - panic=10: a guest that died boots again, with its reason on the console.
KERNEL_PARAMETERS = (
    'console=tty0 console=ttyS0,115200n8 loglevel=4 panic=10 '
    'mitigations=off nokaslr audit=0 lsm= nowatchdog cryptomgr.notests '
    'initcall_blacklist=crypto_kdf108_init random.trust_cpu=on '
    'tsc=reliable no_timer_check 8250.nr_uarts=1')

# Neither prompt nor pause.
SYSLINUX = f"""\
DEFAULT lab
PROMPT 0
TIMEOUT 0
NOESCAPE 1
LABEL lab
  LINUX /vmlinuz
  INITRD /initrd
  APPEND {KERNEL_PARAMETERS}
"""


def build(target: pathlib.Path, work: pathlib.Path) -> None:
    """Make the image; the target appears complete or not at all.

    :param target: the qcow2 file to write or replace
    :param work: directory for the kernel's package file, which is kept for
        the next build, and for some 200 MB during the build
    :raises ImageError: if the image cannot be made
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work, prefix='build-') as name:
            folder = pathlib.Path(name)
            package = initramfs.download_kernel(KERNEL, work)
            kernel = initramfs.unpack_kernel(package, folder / 'kernel')
            tree = folder / 'tree'
            initramfs.stage(tree, kernel)
            initramfs.pack(tree, folder / 'initrd')
            raw = folder / 'disk.raw'
            write_disk(raw, kernel.image, folder / 'initrd')
            converted = folder / target.name
            convert(raw, converted)
            target.parent.mkdir(parents=True, exist_ok=True)
            utils.write_atomically(target, converted.read_bytes(), 0o644)
    except OSError as error:
        raise ImageError(initramfs.explain_os_error(error)) from error


def fingerprint() -> str:
    """Return a hex digest that changes whenever the image would.

    It covers the guest's files, the builder's code, the programs and
    libraries that are copied, and the versions of the packages. It does not
    cover the kernel: a newer one is no reason to build again, and looking it
    up takes package lists, which need not be there.

    :raises ImageError: if a package of PACKAGES is not installed
    """
    code = sorted(pathlib.Path(__file__).parent.glob('*.py'))
    installed = initramfs.run(
        'dpkg-query', '--show', '--showformat=${Package} ${Version}\n',
        *PACKAGES)
    entries = [
        *((path.name, path.read_bytes()) for path in code),
        *((f'guest/{path.relative_to(initramfs.GUEST)}', path.read_bytes())
          for path in initramfs.guest_files()),
        *((guest_path, pathlib.Path(path).read_bytes())
          for guest_path, path in sorted(initramfs.binaries().items())),
        ('packages', '\n'.join(sorted(installed.split('\n'))).encode())]
    total = hashlib.sha256()
    for label, content in entries:
        # Lengths separate one entry's end from the next one's beginning.
        total.update(f'{label}\0{len(content)}\0'.encode())
        total.update(content)
    return total.hexdigest()


def write_disk(raw: pathlib.Path, kernel: pathlib.Path,
               initrd: pathlib.Path) -> None:
    """Write a raw disk that boots the kernel with the initramfs.

    Nothing is mounted: every tool writes into the file at the offset of a
    partition.

    :param raw: the file to write
    :param kernel: the kernel's file
    :param initrd: the packed initramfs
    :raises ImageError: if a tool fails
    """
    with open(raw, 'wb') as opened:
        opened.truncate(DISK_BYTES)
    boot_sector, home_sector = (
        start // SECTOR_BYTES for start in (BOOT_START, HOME_START))
    table = (f'label: dos\nlabel-id: 0x6c61626d\n'
             f'start={boot_sector}, size={home_sector - boot_sector}, type=6, '
             f'bootable\nstart={home_sector}, type=83\n')
    initramfs.run('sfdisk', '--quiet', raw, stdin=table.encode())
    # Invariant: a fixed serial number, so that a disk can be repeated.
    initramfs.run('mkfs.vfat', '--invariant', '-F', '16', '-n', 'LAB',
                  '--offset', str(boot_sector), raw,
                  str((HOME_START - BOOT_START) // 1024))
    # Not lazy: otherwise each guest initialises the file system at boot.
    initramfs.run('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', '-m', '0',
                  '-L', 'home', '-U', HOME_UUID, '-E',
                  f'offset={HOME_START},hash_seed={HOME_UUID},'
                  'lazy_itable_init=0,lazy_journal_init=0', raw,
                  f'{(DISK_BYTES - HOME_START) // 1024}k')
    config = raw.with_name('syslinux.cfg')
    config.write_text(SYSLINUX)
    for source, name in ((kernel, 'vmlinuz'), (initrd, 'initrd'),
                         (config, 'syslinux.cfg')):
        initramfs.run('mcopy', '-i', f'{raw}@@{BOOT_START}', source,
                      f'::/{name}')
    initramfs.run('syslinux', '--install', '--offset', str(BOOT_START), raw)
    try:
        code = MBR.read_bytes()[:MBR_BYTES]
    except FileNotFoundError as error:
        raise initramfs.not_installed(MBR) from error
    with open(raw, 'r+b') as opened:
        opened.write(code)


def convert(raw: pathlib.Path, target: pathlib.Path) -> None:
    """Write a raw disk as a compressed qcow2 image.

    :raises ImageError: if qemu-img fails
    """
    initramfs.run('qemu-img', 'convert', '-c', '-f', 'raw', '-O', 'qcow2',
                  raw, target)
