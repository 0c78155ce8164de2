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

"""Makes the two virtualenvs, each from a file that pins every version."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import sys

from lab import files
from lab import layout as layouts
from lab.machine import commands

LAB = layouts.REPOSITORY / 'lab'
#: Always the system's own Python: Debian's modules are compiled for it.
PYTHON = '/usr/bin/python3'
DEBIAN_MODULES = pathlib.Path('/usr/lib/python3/dist-packages')
#: What of Debian's modules a virtualenv sees, by glob. Not on PyPI as a
#: wheel, and a build from source has to match libvirt's own version.
LINKED = {'cloud': ('libvirt*.py', 'libvirtmod*.so'), 'tempest': ()}
#: The same for Ceph's clients, once a lab is to have Ceph: on PyPI there is
#: nothing of that name that would do.
LINKED_FOR_CEPH = ('rados.*.so', 'rbd.*.so')
#: The plugin's metadata would come from git, which need not be there.
PLUGIN_VERSION = '0.0.0'


def is_whole(layout: layouts.Layout, name: str) -> bool:
    """Whether a virtualenv was made to its end.

    :param layout: paths of the lab
    :param name: ``cloud`` or ``tempest``
    """
    return (layout.venvs / name / 'stamp').exists()


def is_current(layout: layouts.Layout, name: str) -> bool:
    """Whether a virtualenv is whole and made from today's files.

    :param layout: paths of the lab
    :param name: ``cloud`` or ``tempest``
    """
    stamp = layout.venvs / name / 'stamp'
    return (is_whole(layout, name)
            and stamp.read_text() == _digest(layout, name))


def make(layout: layouts.Layout, name: str) -> None:
    """Make a virtualenv, or leave the one that is current.

    It is made in its place and counts only once its stamp is written last,
    so that one whose making was cut short is made anew.

    :param layout: paths of the lab
    :param name: ``cloud`` or ``tempest``
    :raises errors.LabError: if a package cannot be installed
    """
    if is_current(layout, name):
        return
    venv = layout.venvs / name
    log = layout.root / 'install' / f'{name}.log'
    if venv.exists():
        shutil.rmtree(venv)
    commands.run([PYTHON, '-m', 'venv', str(venv)], log,
                 f'Making the virtualenv {name}')
    command = [str(venv / 'bin' / 'pip'), '--disable-pip-version-check',
               '--cache-dir', str(layout.cache / 'pip'), 'install',
               '--constraint', str(_constraints(name))]
    doing = f'Installing Python packages of the {name} virtualenv'
    commands.run([*command, '--requirement', str(_requirements(name))],
                 log, doing)
    if name == 'tempest':
        # Built with what is pinned, not with the newest of this hour.
        commands.run([*command, '--no-deps', '--no-build-isolation',
                      '--editable', str(layouts.REPOSITORY)],
                     log, doing, PBR_VERSION=PLUGIN_VERSION)
    _link_debian_modules(layout, name, LINKED[name])
    files.write(venv / 'stamp', _digest(layout, name))


def _requirements(name: str) -> pathlib.Path:
    return LAB / f'requirements-{name}.txt'


def _constraints(name: str) -> pathlib.Path:
    return LAB / f'constraints-{name}.txt'


def _digest(layout: layouts.Layout, name: str) -> str:
    """Of all that determines what is installed, and where."""
    places = (sys.version, str(layouts.REPOSITORY), str(layout.venvs))
    digest = hashlib.sha256('\n'.join(places).encode())
    sources = [_requirements(name), _constraints(name)]
    if name == 'tempest':
        # Entry points live in the metadata that an installation writes.
        sources += [layouts.REPOSITORY / name
                    for name in ('requirements.txt', 'setup.cfg')]
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def link_ceph(layout: layouts.Layout) -> None:
    """Let the cloud's virtualenv see Ceph's modules, which are installed.

    :param layout: paths of the lab
    """
    _link_debian_modules(layout, 'cloud', LINKED_FOR_CEPH)


def _link_debian_modules(layout: layouts.Layout, name: str,
                         patterns: tuple[str, ...]) -> None:
    lib = layout.venvs / name / 'lib'
    site = next(lib.glob('python3*')) / 'site-packages'
    for pattern in patterns:
        for module in DEBIAN_MODULES.glob(pattern):
            link = site / module.name
            if not link.is_symlink():
                link.symlink_to(module)
