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

"""Which of the kernel's modules the guest needs, and in which order."""

import pathlib
import re

from lab.image import commands

# virtio_net brings failover and net_failover along; named so that a kernel
# without them is noticed. ext4 asks for crc32c_generic by an alias that no
# dependency shows. button and evdev carry the power button.
WANTED = ('virtio_pci', 'virtio_net', 'failover', 'net_failover',
          'virtio_blk', 'virtio_rng', 'crc32c_generic', 'ext4', 'button',
          'evdev')


class MissingModule(commands.ImageError):
    """A kernel lacks a module that the guest needs."""


def module_name(path: str) -> str:
    """Return the name by which modprobe knows a module's file."""
    name = path.rsplit('/', 1)[-1]
    return re.sub(r'\.ko(\.(gz|xz|zst))?$', '', name).replace('-', '_')


def parse_dependencies(text: str) -> dict[str, tuple[str, list[str]]]:
    """Read modules.dep.

    :returns: for each module's name its file and the files that it needs,
        in the file's own order: what is needed first stands last.
    """
    table = {}
    for line in text.splitlines():
        path, _, needs = line.partition(':')
        if path.strip():
            table[module_name(path.strip())] = (path.strip(), needs.split())
    return table


def resolve(dependencies: str, builtin: str,
            wanted: tuple[str, ...] = WANTED) -> list[str]:
    """Return the modules' files that the guest has to load, in order.

    :param dependencies: the text of modules.dep.
    :param builtin: the text of modules.builtin.
    :param wanted: names of modules; those built into the kernel need no
        file.
    :raises MissingModule: if the kernel has one neither way.
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


def reduced_dependencies(dependencies: str, files: list[str]) -> str:
    """Return the modules.dep of a guest that has only these files."""
    table = parse_dependencies(dependencies)
    lines = []
    for path in files:
        needs = table[module_name(path)][1]
        lines.append(' '.join([f'{path}:', *needs]) + '\n')
    return ''.join(lines)


def install(source: pathlib.Path, target: pathlib.Path) -> list[str]:
    """Copy the needed modules of one kernel into the guest's tree.

    :param source: an extracted /lib/modules/VERSION, after depmod.
    :param target: the same directory in the guest's tree.
    :returns: names of the modules to load, in order.
    :raises MissingModule: if the kernel lacks one.
    """
    dependencies = (source / 'modules.dep').read_text()
    files = resolve(dependencies, (source / 'modules.builtin').read_text())
    for path in files:
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((source / path).read_bytes())
    target.mkdir(parents=True, exist_ok=True)
    (target / 'modules.dep').write_text(
        reduced_dependencies(dependencies, files))
    return [module_name(path) for path in files]
