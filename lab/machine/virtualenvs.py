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

"""Make virtualenvs, each from a file that pins every version."""

from __future__ import annotations

import configparser
import hashlib
import pathlib
import shutil
import sys

from lab import layout
from lab.machine import debian

LAB = layout.REPOSITORY / 'lab'
CLOUD = 'cloud'
#: Virtualenvs that see all packages of the cloud's behind their own.
OVERLAYS = ('heat',)
#: Always the system's own Python: Debian's modules are compiled for it.
PYTHON = '/usr/bin/python3'
DEBIAN_MODULES = pathlib.Path('/usr/lib/python3/dist-packages')
#: Debian's modules that each virtualenv sees, by glob. libvirt is not on PyPI
#: as a wheel, and a build from source has to match libvirt's own version.
LINKED = {'cloud': ('libvirt*.py', 'libvirtmod*.so')}
#: Folders with the pins of virtualenvs that are not the lab's own.
PINS = {'ansible': layout.REPOSITORY / 'gate',
        'machine': layout.REPOSITORY / 'gate'}
#: The same for Ceph's clients, once a lab uses Ceph: PyPI has no usable
#: package of these names.
LINKED_FOR_CEPH = ('rados.*.so', 'rbd.*.so')


def site_packages(venv: pathlib.Path) -> pathlib.Path:
    """Return the folder of a virtualenv's own Python packages.

    :param venv: the virtualenv, or a link to it
    """
    return next((venv / 'lib').glob('python3*')) / 'site-packages'


def is_whole(paths: layout.Layout, name: str) -> bool:
    """Return whether a virtualenv was made to its end.

    :param paths: paths of the lab
    :param name: ``cloud`` or ``tempest``
    """
    return (paths.venvs / name / 'stamp').exists()


def is_current(paths: layout.Layout, name: str) -> bool:
    """Return whether a virtualenv is whole and made from today's files.

    :param paths: paths of the lab
    :param name: ``cloud`` or ``tempest``
    """
    stamp = paths.venvs / name / 'stamp'
    return (is_whole(paths, name)
            and stamp.read_text() == _digest(paths, name))


def make(paths: layout.Layout, name: str) -> None:
    """Make a virtualenv; do nothing if it is current.

    It is made in place and its stamp is written last, so an interrupted one
    does not count and is made anew.

    :param paths: paths of the lab
    :param name: ``cloud`` or ``tempest``
    :raises errors.LabError: if a package cannot be installed
    """
    if is_current(paths, name):
        return
    venv = paths.venvs / name
    log = paths.root / 'install' / f'{name}.log'
    if venv.exists():
        shutil.rmtree(venv)
    doing = f'Installing Python packages of the {name} virtualenv'
    if name in OVERLAYS:
        pip = make_overlay(paths, venv, log, doing)
    else:
        debian.run_installer([PYTHON, '-m', 'venv', str(venv)], log,
                             f'Making the virtualenv {name}')
        pip = [str(venv / 'bin' / 'pip'), *pip_options(paths)]
    command = [*pip, 'install', '--constraint', str(constraints(name))]
    debian.run_installer([*command, '--requirement', str(_requirements(name))],
                         log, doing)
    if name == 'tempest':
        # The version, without git, which need not be there.
        setup = configparser.ConfigParser()
        setup.read(layout.REPOSITORY / 'setup.cfg', encoding='utf-8')
        version = f'{setup["metadata"]["version"]}.dev0'
        # Built with the pinned packages, not with the newest of this hour.
        debian.run_installer([*command, '--no-deps', '--no-build-isolation',
                              '--editable', str(layout.REPOSITORY)],
                             log, doing, PBR_VERSION=version)
    _link_debian_modules(paths, name, LINKED.get(name, ()))
    layout.write(venv / 'stamp', _digest(paths, name))


def make_overlay(paths: layout.Layout, venv: pathlib.Path, log: pathlib.Path,
                 doing: str) -> list[str]:
    """Make a virtualenv that sees all packages of the cloud's behind its own.

    pip counts those as installed, so it adds only such as the cloud's does
    not satisfy.

    :param paths: paths of the lab, whose virtualenv ``cloud`` is there
    :param venv: the new virtualenv
    :param log: receives the output
    :param doing: description of the work, for messages
    :returns: the begin of pip's command line for it
    :raises errors.LabError: if that fails
    """
    debian.run_installer(
        [PYTHON, '-m', 'venv', '--without-pip', str(venv)], log, doing)
    below = site_packages(paths.venvs / CLOUD)
    layout.write(site_packages(venv) / 'cloud.pth',
                 f'import site; site.addsitedir({str(below)!r})\n')
    return [paths.venv_bin(CLOUD, 'pip'), '--python',
            str(venv / 'bin' / 'python3'), *pip_options(paths)]


def pip_options(paths: layout.Layout) -> list[str]:
    """Return the options that every call of pip has.

    :param paths: paths of the lab
    """
    return ['--disable-pip-version-check', '--cache-dir',
            str(paths.cache / 'pip')]


def link_ceph(paths: layout.Layout) -> None:
    """Link Ceph's Python modules of Debian into the cloud's virtualenv.

    :param paths: paths of the lab
    """
    _link_debian_modules(paths, 'cloud', LINKED_FOR_CEPH)


def constraints(name: str) -> pathlib.Path:
    """Return the file that pins the versions of a virtualenv's packages.

    :param name: name of the virtualenv
    """
    return PINS.get(name, LAB) / f'constraints-{name}.txt'


def _requirements(name: str) -> pathlib.Path:
    return PINS.get(name, LAB) / f'requirements-{name}.txt'


def _digest(paths: layout.Layout, name: str) -> str:
    """Return a digest of all that determines a virtualenv's content."""
    # Scripts hold the path of their interpreter, and an editable installation
    # that of the checkout.
    places = (sys.version, str(layout.REPOSITORY), str(paths.venvs))
    digest = hashlib.sha256('\n'.join(places).encode())
    sources = [_requirements(name), constraints(name)]
    if name in OVERLAYS:
        sources += [_requirements(CLOUD), constraints(CLOUD)]
    if name == 'tempest':
        # Entry points live in the metadata that an installation writes.
        sources += [layout.REPOSITORY / source
                    for source in ('requirements.txt', 'setup.cfg')]
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _link_debian_modules(paths: layout.Layout, name: str,
                         patterns: tuple[str, ...]) -> None:
    site = site_packages(paths.venvs / name)
    for pattern in patterns:
        for module in DEBIAN_MODULES.glob(pattern):
            link = site / module.name
            if not link.is_symlink():
                link.symlink_to(module)
