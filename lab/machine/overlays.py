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

"""Virtualenvs with projects of other sources beside the cloud's packages.

An overlay sees all packages of the cloud's virtualenv behind its own. pip
counts those as installed, so an overlay holds the projects, and only such
requirements as the cloud's virtualenv does not satisfy. The pins of the cloud
need no file for that: they are the versions that are there, and pip replaces
one only if a project requires it.

A service of an older series gets the libraries that its series was tested
with, as on a host that was not upgraded yet; not all work with later ones.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import pathlib
import platform
import re
import shutil
import subprocess
import typing

from lab import errors
from lab import layout
from lab.machine import debian
from lab.machine import sources
from lab.machine import virtualenvs

#: Number of overlays that are kept. A run that compares two takes turns
#: between them.
KEPT = 6
SERVICE_VERSION = re.compile(r'^SERVICE_VERSION = (\d+)$', re.MULTILINE)


def install(paths: layout.Layout, *chosen: sources.Source) -> pathlib.Path:
    """Install projects together, unless they are there already.

    :param paths: paths of the lab, whose virtualenvs are there
    :param chosen: a source for each project
    :returns: the virtualenv that holds them
    :raises errors.LabError: if a checkout has conflicts or lacks the
        revision, if a release does not exist or needs another Python, or if
        one cannot be built or installed
    """
    cloud = paths.venvs / 'cloud'
    copies = paths.root / 'install' / 'sources'
    prepared = [
        sources.prepare(source, copies, _packages(cloud, source.project))
        for source in sorted(chosen, key=lambda source: source.project)
        if source.text not in ('', sources.pinned(source.project))]
    if not prepared:
        return cloud
    content = '+'.join(f'{each.source.project}-{each.key}'
                       for each in prepared)
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    # The length of a name is limited, the number of projects is not.
    venv = paths.venvs / (content if len(prepared) == 1
                          else f'several-{digest}')
    if not _is_whole(paths, venv):
        _build(paths, prepared, venv)
    shutil.rmtree(copies, ignore_errors=True)
    # Written each time: the content may be that of another commit now. The
    # time of this file is that of the last use.
    layout.write_json(venv / 'stamp', {
        'base': _base(paths),
        'sources': {each.source.project: each.facts for each in prepared}})
    _prune(paths)
    return venv


def describe(venv: pathlib.Path, project: str = sources.NOVA) -> str:
    """Return the version of a project in a virtualenv, and its checkout.

    :param venv: a result of :func:`install`
    :param project: name of the project
    """
    version = _metadata(venv, project).version
    facts = _stamp(venv)['sources'].get(project, {})
    if 'commit' not in facts:
        return version
    changes = ' with changes' * facts['changed']
    return f'{version} ({facts["text"]} at {facts["commit"]}{changes})'


def projects(venv: pathlib.Path) -> list[str]:
    """Return the projects that a virtualenv has of other sources.

    :param venv: a result of :func:`install`
    """
    return sorted(_stamp(venv)['sources'])


def service_version(venv: pathlib.Path) -> int:
    """Return the number by which services of nova tell their age.

    nova refuses to start a service that is older than the oldest of its kind.

    :param venv: a result of :func:`install`
    """
    module = _package(venv, sources.NOVA) / 'objects' / 'service.py'
    return int(SERVICE_VERSION.findall(module.read_text())[0])


def migrations(venv: pathlib.Path, project: str = sources.NOVA
               ) -> frozenset[str]:
    """Return the names of the schema migrations that a project has.

    :param venv: a result of :func:`install`
    :param project: name of a project with services
    """
    package = _package(venv, _packages(venv, project)[0])
    return frozenset(
        str(path.relative_to(package)) for folder in _alembic(package)
        for path in folder.glob('versions/**/*.py'))


def schema_digest(venv: pathlib.Path, project: str = sources.NOVA) -> str:
    """Return a digest of the code that makes a project's databases.

    That is the migrations, the modules directly in its folder db, whose types
    they use, and libraries of other sources. The models do not count: no
    table is made from them.

    :param venv: a result of :func:`install`, or a link to it
    :param project: name of a project with services
    """
    package = _package(venv, _packages(venv, project)[0])
    digest = hashlib.sha256()
    for path in sorted({
            *package.glob('db/*.py'),
            *(path for folder in _alembic(package)
              for path in folder.rglob('*.py'))}):
        digest.update(f'{path.relative_to(package)}\n'.encode())
        digest.update(path.read_bytes())
    if not set(sources.SERVICES).issuperset(projects(venv)):
        # The name of an overlay depends on the code in it.
        digest.update(venv.resolve().name.encode())
    return digest.hexdigest()


def _places(venv: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Return where a virtualenv finds packages: its own come first."""
    whole = venv.resolve()
    return tuple(map(virtualenvs.site_packages,
                     dict.fromkeys((whole, whole.parent / 'cloud'))))


def _package(venv: pathlib.Path, name: str) -> pathlib.Path:
    """Return the folder of a package that programs of a virtualenv import."""
    return next(site / name for site in _places(venv)
                if (site / name).is_dir())


def _packages(venv: pathlib.Path, project: str) -> list[str]:
    """Return the names of a project's packages, in its metadata's order."""
    text = _metadata(venv, project).read_text('top_level.txt')
    # Only setuptools writes the file.
    return text.split() if text else [project.replace('-', '_')]


def _alembic(package: pathlib.Path) -> list[pathlib.Path]:
    """Return the folders in a package that have migrations for Alembic."""
    return [path.parent for path in package.rglob('env.py')
            if (path.parent / 'versions').is_dir()
            and sources.TESTS not in path.relative_to(package).parts]


def _metadata(venv: pathlib.Path,
              project: str) -> importlib.metadata.Distribution:
    """Return the metadata of a project that a virtualenv has or sees."""
    return importlib.metadata.PathDistribution(next(
        path for site in _places(venv) for path in site.glob('*.dist-info')
        if sources.canonical(path.name.partition('-')[0]) == project))


def _constraints(series: str) -> pathlib.Path:
    return layout.REPOSITORY / 'lab' / f'constraints-{series}.txt'


def _base(paths: layout.Layout) -> str:
    """Return a digest of the libraries of all overlays."""
    digest = hashlib.sha256((paths.venvs / 'cloud' / 'stamp').read_bytes())
    every = _constraints('[0-9]*')
    for path in sorted(every.parent.glob(every.name)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _stamp(venv: pathlib.Path) -> dict[str, typing.Any]:
    """Return the stamp of an overlay; an empty one if it is not whole."""
    empty = {'base': '', 'sources': {}}
    try:
        # An overlay of an earlier version of the lab has no sources.
        return empty | json.loads((venv / 'stamp').read_text())
    except (FileNotFoundError, ValueError):
        # The stamp of the cloud's own virtualenv is a digest.
        return empty


def _is_whole(paths: layout.Layout, venv: pathlib.Path) -> bool:
    """Return whether an overlay was made to its end, on today's packages."""
    return bool(_stamp(venv)['base'] == _base(paths))


def _build(paths: layout.Layout, prepared: list[sources.Prepared],
           venv: pathlib.Path) -> None:
    """Build wheels of projects, and install them into a new overlay.

    :param paths: paths of the lab
    :param prepared: the projects
    :param venv: the overlay; its stamp is still missing afterwards
    :raises errors.LabError: if that fails
    """
    log = paths.root / 'install' / f'{venv.name}.log'
    log.unlink(missing_ok=True)
    wheels = layout.empty_folder(paths.root / 'install' / 'wheels')
    for each in prepared:
        try:
            # With the pinned tools, not with the newest of this hour.
            debian.run_installer(
                [paths.venv_bin('tempest', 'pip'),
                 *virtualenvs.pip_options(paths), 'wheel', '--no-deps',
                 '--no-build-isolation', '--wheel-dir', str(wheels),
                 each.target],
                log, f'Building {each.name}' if each.source.is_checkout
                else f'Downloading {each.name}', PBR_VERSION=each.version)
        except errors.LabError:
            _refuse_other_python(each.name, each.version, log)
            raise
    if venv.exists():
        shutil.rmtree(venv)
    doing = f'Installing {" and ".join(each.name for each in prepared)}'
    pip = [*virtualenvs.make_overlay(paths, venv, log, doing), 'install',
           *map(str, sorted(wheels.glob('*.whl')))]
    debian.run_installer([*pip, '--no-compile', '--no-deps'], log, doing)
    names = [each.source.project for each in prepared]
    # One of them at most is a service.
    pins = _constraints(max(each.series for each in prepared))
    if pins.exists():
        constraints = paths.root / 'install' / 'constraints.txt'
        # pip would refuse a named library that has another version.
        layout.write(constraints, ''.join(
            line for line in pins.read_text().splitlines(keepends=True)
            if sources.canonical(line.partition('==')[0]) not in names))
        debian.run_installer([*pip, '--constraint', str(constraints)], log,
                             doing)
    elif not _is_satisfied(paths, venv, prepared):
        debian.run_installer(pip, log, doing)
    for each in prepared:
        _compile(venv, each)
    _complete(paths, venv)


def _complete(paths: layout.Layout, venv: pathlib.Path) -> None:
    """Give an overlay the programs and data files that it sees no module of.

    A program of the cloud's virtualenv would import the cloud's projects.
    """
    cloud = paths.venvs / 'cloud'
    first = f'#!{cloud}/bin/python3'.encode()
    for path in (cloud / 'bin').iterdir():
        copy = venv / 'bin' / path.name
        if path.is_file() and not copy.exists():
            content = path.read_bytes()
            # Some programs are not written in Python.
            if content.startswith(first):
                layout.write(copy, content.decode().replace(
                    str(cloud), str(venv), 1), mode=0o755)
    (venv / 'etc').mkdir(exist_ok=True)
    for path in (cloud / 'etc').glob('*'):
        if not (venv / 'etc' / path.name).exists():
            (venv / 'etc' / path.name).symlink_to(path)


def _refuse_other_python(name: str, version: str, log: pathlib.Path) -> None:
    """Name the Python that a release needs, if that is why pip failed."""
    needs = re.search(rf'\b{re.escape(version)} Requires-Python ([^\s;]+)',
                      log.read_text())
    if needs:
        raise errors.LabError(
            f'{name} needs Python {needs[1]} and this machine has '
            f'{platform.python_version()}: use another release.')


def _is_satisfied(paths: layout.Layout, venv: pathlib.Path,
                  prepared: list[sources.Prepared]) -> bool:
    """Return whether the projects' requirements are known to be there.

    They are if they equal those of the pinned projects, or those of an overlay
    in which pip had to install nothing but the same projects. pip would need
    seconds to find that out.
    """
    names = [each.source.project for each in prepared]
    wanted = [set(_metadata(venv, name).requires or ()) for name in names]
    for other in (paths.venvs / 'cloud', *_overlays(paths)):
        own = list(virtualenvs.site_packages(other).glob('*.dist-info'))
        if other.name == 'cloud' or (
                _is_whole(paths, other) and projects(other) == names
                and len(own) == len(names)):
            if wanted == [set(_metadata(other, name).requires or ())
                          for name in names]:
                return True
    return False


def _compile(venv: pathlib.Path, each: sources.Prepared) -> None:
    """Compile a project; pip would accept one with errors of syntax.

    :raises errors.LabError: naming the first file that does not compile
    """
    result = subprocess.run(
        [str(venv / 'bin' / 'python3'), '-m', 'compileall', '-q', '-s',
         str(virtualenvs.site_packages(venv)),
         *(str(_package(venv, name))
           for name in _packages(venv, each.source.project))],
        capture_output=True, text=True)
    if result.returncode:
        place = re.search(r'File "(.*)", line (\d+)', result.stdout)
        reason = re.search(r'^\w*Error: .*$', result.stdout, re.MULTILINE)
        where = f'{place[1]}, line {place[2]}' if place else 'a file'
        raise errors.LabError(
            f'{each.name} does not compile: {where}: '
            f'{reason[0] if reason else result.stdout.strip()[-200:]}.')


def _overlays(paths: layout.Layout) -> list[pathlib.Path]:
    """Return the overlays that are whole, or were so on other packages."""
    return [path for path in paths.venvs.glob('*') if _stamp(path)['base']]


def _prune(paths: layout.Layout) -> None:
    """Delete the overlays that were not used for longest."""
    running = {link.resolve() for link in paths.code.glob('*/*')}
    overlays = [path for path in _overlays(paths)
                if path.resolve() not in running]
    overlays.sort(key=lambda path: (path / 'stamp').stat().st_mtime)
    for old in overlays[:-KEPT]:
        shutil.rmtree(old)
