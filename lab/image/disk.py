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

"""The bootable disk: one FAT partition with kernel, initramfs, syslinux."""

import pathlib

from lab.image import commands

SECTOR_BYTES = 512
DISK_BYTES = 40 * 1024 * 1024
PARTITION_SECTOR = 2048
PARTITION_BYTES = PARTITION_SECTOR * SECTOR_BYTES
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

    Without mounting: every tool writes into the file at the partition's
    offset.

    :param raw: the file to write.
    :raises ImageError: if a tool fails.
    """
    with open(raw, 'wb') as opened:
        opened.truncate(DISK_BYTES)
    table = (f'label: dos\nlabel-id: 0x6c61626d\n'
             f'start={PARTITION_SECTOR}, type=6, bootable\n')
    commands.run('sfdisk', '--quiet', raw, stdin=table.encode())
    # Invariant: a fixed serial number, so that a disk can be repeated.
    commands.run('mkfs.vfat', '--invariant', '-F', '16', '-n', 'LAB',
                 '--offset', str(PARTITION_SECTOR), raw,
                 str((DISK_BYTES - PARTITION_BYTES) // 1024))
    config = raw.with_name('syslinux.cfg')
    config.write_text(SYSLINUX)
    for source, name in ((kernel, 'vmlinuz'), (initramfs, 'initrd'),
                         (config, 'syslinux.cfg')):
        commands.run('mcopy', '-i', f'{raw}@@{PARTITION_BYTES}', source,
                     f'::/{name}')
    commands.run('syslinux', '--install', '--offset', str(PARTITION_BYTES),
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
