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

"""The guest's kernel and root file system, packed as an initramfs.

Debian's kernel package is downloaded and unpacked, and not installed. The root
file system is a directory tree: programs of this machine, the files in guest/,
and those of the kernel's modules that the guest needs. The tools that make the
image run here, and explain their failures.
"""

import dataclasses
import errno
import gzip
import os
import pathlib
import re
import shutil
import subprocess

# The cloud kernel boots faster than the generic one and is smaller.
KERNEL = 'linux-image-cloud-amd64'
# Laid out like the guest's root; all files in it are copied unchanged.
GUEST = pathlib.Path(__file__).parent / 'guest'
# Each has the same path in the guest and on the machine.
PROGRAMS = ('/bin/busybox', '/usr/sbin/dropbear', '/usr/bin/dropbearkey',
            '/usr/bin/socat')
# Mount points, and the places where busybox puts its applets' links.
FOLDERS = ('bin', 'sbin', 'usr/bin', 'usr/sbin', 'dev', 'proc', 'sys', 'run',
           'tmp', 'mnt', 'root', 'etc', 'lib')
# virtio_net depends on failover and net_failover; they are listed so that a
# kernel without them is noticed. ext4 asks for crc32c_generic by an alias that
# no dependency shows. button and evdev carry the power button.
MODULES = ('virtio_pci', 'virtio_net', 'failover', 'net_failover',
           'virtio_blk', 'virtio_rng', 'crc32c_generic', 'ext4', 'button',
           'evdev')
DISK_FULL = 'No space left on device'
# The earliest time that FAT can store (1980).
EPOCH = '315532800'
# LC_ALL: some messages are parsed here, so they must not be translated.
# One fixed time, also under mke2fs's own name for it: the same input then
# gives the same image.
ENVIRONMENT = {'LC_ALL': 'C', 'SOURCE_DATE_EPOCH': EPOCH,
               'E2FSPROGS_FAKE_TIME': EPOCH}


class ImageError(Exception):
    """The guest image cannot be made; the message is one sentence."""


class MissingModule(ImageError):
    """The kernel lacks a module that the guest needs."""


def run(*command: str | pathlib.Path, stdin: bytes = b'',
        folder: pathlib.Path | None = None) -> str:
    """Run a command and return its standard output.

    :param command: program and arguments
    :param stdin: the command's standard input
    :param folder: its working directory; None for the current one
    :raises ImageError: if it is missing or fails
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=stdin, cwd=folder, check=True,
                              capture_output=True,
                              env={**os.environ, **ENVIRONMENT})
    except FileNotFoundError as error:
        raise not_installed(words[0]) from error
    except subprocess.CalledProcessError as error:
        output = (error.stderr or b'').decode(errors='replace')
        # apt's warnings (W:) may follow the error that counts.
        lines = [line.strip() for line in output.splitlines()
                 if line.strip() and not line.startswith('W: ')]
        last = lines[-1] if lines else f'exit status {error.returncode}'
        raise ImageError(
            f'The disk is full: {words[0]} failed ({last}).'
            if DISK_FULL in output else
            f'The command "{" ".join(words)}" failed: {last}') from error
    return done.stdout.decode(errors='replace')


def not_installed(path: str | pathlib.Path) -> ImageError:
    """Return the error for a program or a file that the machine lacks."""
    return ImageError(f'{path} is missing on this machine: install the '
                      f'packages in lab.image.PACKAGES.')


def explain_os_error(error: OSError) -> str:
    """Return one sentence for a failure of the builder's own file access."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f' under {error.filename}' if error.filename else ''
        return f'The disk is full{where}: the image was not made.'
    return f'The image was not made: {error}.'


@dataclasses.dataclass(frozen=True)
class Kernel:
    """An unpacked kernel.

    :ivar image: the file to boot
    :ivar modules: the directory /lib/modules/VERSION, after depmod
    """

    image: pathlib.Path
    modules: pathlib.Path

    @property
    def version(self) -> str:
        """The kernel's release, as uname -r prints it."""
        return self.modules.name


def find_kernel(metapackage: str) -> tuple[str, str]:
    """Return name and version of the package that a metapackage depends on.

    :raises ImageError: if apt does not know it
    """
    depends = run('apt-cache', 'depends', '--important', metapackage)
    names = [line.split()[-1] for line in depends.splitlines()
             if line.strip().startswith('Depends: linux-image-')]
    if not names:
        raise ImageError(
            f'apt knows no kernel behind {metapackage}: run apt-get update.')
    policy = run('apt-cache', 'policy', names[0])
    for line in policy.splitlines():
        key, _, value = line.strip().partition(': ')
        if key == 'Candidate':
            return names[0], value
    raise ImageError(f'apt offers no version of {names[0]}.')


def download_kernel(metapackage: str, work: pathlib.Path) -> pathlib.Path:
    """Return the kernel's package file; download it if it is not there.

    :param metapackage: Debian package that depends on the kernel's
    :param work: directory that keeps package files from build to build
    :raises ImageError: if it cannot be downloaded
    """
    name, version = find_kernel(metapackage)
    # apt writes a colon, which separates an epoch, as %3a.
    pattern = f'{name}_{version.replace(":", "%3a")}_*.deb'
    if not list(work.glob(pattern)):
        run('apt-get', 'download', f'{name}={version}', folder=work)
    found = sorted(work.glob(pattern))
    if not found:
        raise ImageError(
            f'apt-get download left no package file of {name} {version}.')
    return found[-1]


def unpack_kernel(package: pathlib.Path, folder: pathlib.Path) -> Kernel:
    """Unpack a kernel's package file into a directory.

    :raises ImageError: if the package holds no kernel
    """
    run('dpkg-deb', '-x', package, folder)
    images = sorted((folder / 'boot').glob('vmlinuz-*'))
    if not images:
        raise ImageError(f'{package.name} holds no kernel.')
    version = images[-1].name.removeprefix('vmlinuz-')
    run('depmod', '-b', folder, version)
    return Kernel(images[-1], folder / 'lib/modules' / version)


def module_name(path: str) -> str:
    """Return the name by which modprobe knows a module's file."""
    name = path.rsplit('/', 1)[-1]
    return re.sub(r'\.ko(\.(gz|xz|zst))?$', '', name).replace('-', '_')


def parse_dependencies(text: str) -> dict[str, tuple[str, list[str]]]:
    """Parse modules.dep.

    :returns: for each module's name its file and the files that it needs, in
        the order of modules.dep: the module to load first comes last
    """
    table = {}
    for line in text.splitlines():
        path, _, needs = line.partition(':')
        if path.strip():
            table[module_name(path.strip())] = (path.strip(), needs.split())
    return table


def resolve_modules(dependencies: str, builtin: str,
                    wanted: tuple[str, ...] = MODULES) -> list[str]:
    """Return the files of the modules that the guest has to load, in order.

    :param dependencies: the text of modules.dep
    :param builtin: the text of modules.builtin
    :param wanted: names of modules; those built into the kernel need no file
    :raises MissingModule: if the kernel has a module in neither way
    """
    table = parse_dependencies(dependencies)
    inside = {module_name(line) for line in builtin.split()}
    order: list[str] = []
    for name in wanted:
        if name in table:
            path, needs = table[name]
            order.extend([*reversed(needs), path])
        elif name not in inside:
            raise MissingModule(
                f'The kernel package lacks the module {name}.')
    # The first occurrence counts: it comes after all that it needs.
    return list(dict.fromkeys(order))


def reduce_dependencies(dependencies: str, files: list[str]) -> str:
    """Return the modules.dep of a guest that has only these files."""
    table = parse_dependencies(dependencies)
    lines = []
    for path in files:
        needs = table[module_name(path)][1]
        lines.append(' '.join([f'{path}:', *needs]) + '\n')
    return ''.join(lines)


def install_modules(source: pathlib.Path, target: pathlib.Path) -> list[str]:
    """Copy the modules that the guest needs into its tree.

    :param source: an extracted /lib/modules/VERSION, after depmod
    :param target: the same directory in the guest's tree
    :returns: names of the modules to load, in order
    :raises MissingModule: if the kernel lacks one
    """
    dependencies = (source / 'modules.dep').read_text()
    files = resolve_modules(dependencies,
                            (source / 'modules.builtin').read_text())
    for path in files:
        _copy(source / path, target / path)
    target.mkdir(parents=True, exist_ok=True)
    (target / 'modules.dep').write_text(
        reduce_dependencies(dependencies, files))
    return [module_name(path) for path in files]


def guest_files() -> list[pathlib.Path]:
    """Return the files of the checkout that are copied into the guest."""
    return sorted(path for path in GUEST.rglob('*') if path.is_file())


def libraries(program: str) -> dict[str, str]:
    """Return the shared libraries that a program needs, and its loader.

    :returns: path in the guest: path on the machine. All libraries go to
        /lib, where the loader looks without a cache; the loader itself
        stays where the program asks for it.
    :raises ImageError: if a library is missing
    """
    needed = {}
    for line in run('ldd', program).splitlines():
        library = re.match(r'\s*(\S+) => (/\S+) \(', line)
        loader = re.match(r'\s*(/\S+) \(', line)
        if library:
            needed[f'/lib/{library[1]}'] = library[2]
        elif loader:
            needed[loader[1]] = loader[1]
        elif 'not found' in line:
            raise ImageError(
                f'{program} lacks a library: {line.strip()}.')
    return needed


def binaries() -> dict[str, str]:
    """Return the guest's programs and their libraries.

    :returns: path in the guest: path on the machine
    :raises ImageError: if one is not installed
    """
    files = {}
    for program in PROGRAMS:
        if not os.path.exists(program):
            raise not_installed(program)
        files[program] = program
        # A static program names no loader, and ldd fails for it.
        with open(program, 'rb') as opened:
            is_dynamic = b'/ld-linux' in opened.read(4096)
        if is_dynamic:
            files.update(libraries(program))
    return files


def stage(tree: pathlib.Path, kernel: Kernel) -> None:
    """Lay out the guest's root file system in an empty directory.

    :raises ImageError: if a program or a module is missing
    """
    for folder in FOLDERS:
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for guest_path, path in binaries().items():
        _copy(pathlib.Path(path), tree / guest_path.lstrip('/'))
    for source in guest_files():
        _copy(source, tree / source.relative_to(GUEST))
    names = install_modules(
        kernel.modules, tree / 'lib/modules' / kernel.version)
    (tree / 'etc/modules').write_text('\n'.join(names) + '\n')
    # Modes and times depend on the content alone: some ways to copy a
    # checkout lose modes. The first bytes tell programs and scripts.
    for entry in tree.rglob('*'):
        executable = entry.is_dir() or entry.read_bytes()[:4].startswith(
            (b'#!', b'\x7fELF'))
        entry.chmod(0o755 if executable else 0o644)
        os.utime(entry, (0, 0))
    for secret, mode in (('root', 0o700), ('etc/shadow', 0o600)):
        if (tree / secret).exists():
            (tree / secret).chmod(mode)


def members(tree: pathlib.Path) -> list[str]:
    """Return the archive's members; a directory comes before its content."""
    return sorted(str(path.relative_to(tree)) for path in tree.rglob('*'))


def pack(tree: pathlib.Path, target: pathlib.Path) -> None:
    """Write the tree as a compressed cpio archive owned by root.

    No device node is needed: the guest mounts devtmpfs.

    :raises ImageError: if cpio fails
    """
    archive = target.with_suffix('.cpio')
    names = ''.join(f'{name}\0' for name in members(tree))
    # cpio runs in the tree, so the archive needs an absolute path.
    run('cpio', '--create', '--null', '--quiet', '--format=newc',
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
