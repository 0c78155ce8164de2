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

"""The bootable disk: a FAT partition that boots, and root's home.

The first has kernel, initramfs and syslinux; the second, an empty ext4, gives
the guest, whose own root is in memory, something that is on its disk.
"""

import pathlib

from lab.image import commands

SECTOR_BYTES = 512
# Where the partitions begin; each ends where the next one does, or the disk.
BOOT_START = 1024 * 1024
HOME_START = 40 * 1024 * 1024
DISK_BYTES = 104 * 1024 * 1024
# As all else that would be drawn by lot, the same in every image.
HOME_UUID = '6c616d68-6f6d-4000-8000-000000000000'
# From Debian's syslinux-common: starts the partition marked as bootable.
MBR = pathlib.Path('/usr/lib/syslinux/mbr/mbr.bin')
MBR_BYTES = 440

# What each parameter saves or gives:
# - the console named last is /dev/console; the guest prints to it.
# - loglevel=4: warnings and worse; each line costs an emulated port write
#   per character.
# - mitigations, nokaslr, audit, lsm, nowatchdog, cryptomgr and the self-test
#   crypto_kdf108_init (0.2 s): work that this guest has no use for.
# - tsc=reliable, no_timer_check: the emulated clock sources are not judged
#   by one another; on a busy machine and after a migration they would lose.
# - 8250.nr_uarts=1: three ports less to search.
# - panic=10: a guest that died comes back, with its reason on the console.
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


def make(raw: pathlib.Path, kernel: pathlib.Path,
         initramfs: pathlib.Path) -> None:
    """Write a raw disk that boots the kernel with the initramfs.

    Without mounting: every tool writes into the file at a partition's
    offset.

    :param raw: the file to write.
    :raises ImageError: if a tool fails.
    """
    with open(raw, 'wb') as opened:
        opened.truncate(DISK_BYTES)
    boot_sector, home_sector = (
        start // SECTOR_BYTES for start in (BOOT_START, HOME_START))
    table = (f'label: dos\nlabel-id: 0x6c61626d\n'
             f'start={boot_sector}, size={home_sector - boot_sector}, type=6, '
             f'bootable\nstart={home_sector}, type=83\n')
    commands.run('sfdisk', '--quiet', raw, stdin=table.encode())
    # Invariant: a fixed serial number, so that a disk can be repeated.
    commands.run('mkfs.vfat', '--invariant', '-F', '16', '-n', 'LAB',
                 '--offset', str(boot_sector), raw,
                 str((HOME_START - BOOT_START) // 1024))
    # Not lazy: else each guest would write at boot what is left out here.
    commands.run('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', '-m', '0',
                 '-L', 'home', '-U', HOME_UUID, '-E',
                 f'offset={HOME_START},hash_seed={HOME_UUID},'
                 'lazy_itable_init=0,lazy_journal_init=0', raw,
                 f'{(DISK_BYTES - HOME_START) // 1024}k')
    config = raw.with_name('syslinux.cfg')
    config.write_text(SYSLINUX)
    for source, name in ((kernel, 'vmlinuz'), (initramfs, 'initrd'),
                         (config, 'syslinux.cfg')):
        commands.run('mcopy', '-i', f'{raw}@@{BOOT_START}', source,
                     f'::/{name}')
    commands.run('syslinux', '--install', '--offset', str(BOOT_START),
                 raw)
    _write_mbr(raw)


def convert(raw: pathlib.Path, target: pathlib.Path) -> None:
    """Write a raw disk as a compressed qcow2 image.

    :raises ImageError: if qemu-img fails.
    """
    commands.run('qemu-img', 'convert', '-c', '-f', 'raw', '-O', 'qcow2',
                 raw, target)


def _write_mbr(raw: pathlib.Path) -> None:
    try:
        code = MBR.read_bytes()[:MBR_BYTES]
    except FileNotFoundError as error:
        raise commands.ImageError(
            f'{MBR} is not on this machine: install the packages in '
            'lab.image.PACKAGES.') from error
    with open(raw, 'r+b') as opened:
        opened.write(code)
