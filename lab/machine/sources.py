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

"""Install a project from another source: a release, or a checkout.

A project is a distribution of the cloud's virtualenv: a service or a library.
It is installed into an overlay: a virtualenv that sees all packages of the
cloud's virtualenv behind its own. pip counts those as installed, so an overlay
holds the projects, and only such requirements as the cloud's virtualenv does
not satisfy. The pins of the cloud need no file for that: they are the versions
that are there, and pip replaces one only if a project requires it.

A service of an older series gets the libraries that its series was tested
with, as on a host that was not upgraded yet; not all work with later ones.

A checkout is taken with its changes that are not committed and its new files.
It is copied before it is built, and nothing is written into it.
"""

from __future__ import annotations

import configparser
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tomllib
import typing

from lab import errors
from lab import layout
from lab.machine import debian
from lab.machine import virtualenvs

VERSION = re.compile(r'\d+\.\d+\.\d+(\.\d+)?((a|b|rc)\d+)?')
#: Result of "git describe --long": tag, number of later commits, commit.
DESCRIPTION = re.compile(r'(\d+)\.(\d+)\.(\d+)(\S*)-(\d+)-g[0-9a-f]+')
NOVA = 'nova'
#: Projects with services of the cloud's virtualenv; all others are libraries.
#: Each has one major release in each series.
SERVICES = ('cinder', 'glance', 'keystone', 'neutron', NOVA,
            'openstack-placement')
#: Release 27 of nova was the first of series 2023.1; each year has two.
FIRST_MAJOR, FIRST_YEAR = 27, 2023
#: The series of a checkout of a stable branch.
BRANCH = re.compile(r'^defaultbranch=(?:stable|unmaintained)/(\S+)$',
                    re.MULTILINE)
#: Number of overlays that are kept. A run that compares two takes turns
#: between them.
KEPT = 6
#: Subpackage that is not run here, and takes more than half of the time of an
#: installation of nova.
TESTS = 'tests'
SERVICE_VERSION = re.compile(r'^SERVICE_VERSION = (\d+)$', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Source:
    """Code of a project that the lab can run.

    :ivar text: version of a release, absolute path of a checkout, or empty
        for the pinned release
    :ivar revision: a commit of the checkout to take instead of its files
    :ivar project: name of the project, as :func:`find_project` returns it
    """

    text: str
    revision: str = ''
    project: str = NOVA

    @property
    def is_checkout(self) -> bool:
        """Return whether it is a checkout."""
        return self.text.startswith('/')

    @classmethod
    def parse(cls, text: str, project: str = NOVA) -> Source:
        """Return the source that a user names.

        :param text: version of a release, or path of a checkout
        :param project: name of the project
        :raises errors.LabError: if it is neither, or of another project
        """
        project = find_project(project)
        if not text or VERSION.fullmatch(text):
            return cls(text, project=project)
        path = pathlib.Path(text).expanduser().resolve()
        if not path.is_dir():
            raise errors.LabError(
                f'{text!r} is neither a release of {project}, such as '
                f'{pinned(project)}, nor a folder.')
        name = _name(path)
        if name != project:
            raise errors.LabError(
                f'{path} holds no {project}: setup.cfg and pyproject.toml '
                f'there name {name or "no project"}.')
        if not (path / '.git').exists():
            raise errors.LabError(f'{path} is no checkout of {project}: it '
                                  f'has no .git, so nobody could tell its '
                                  f'version.')
        return cls(str(path), project=project)


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """A source whose files are at hand.

    :ivar source: the source
    :ivar target: its requirement or folder, for pip
    :ivar key: identifies its content
    :ivar version: its version
    :ivar series: the series of OpenStack that it belongs to, if it is known
    :ivar facts: what :func:`describe` needs
    """

    source: Source
    target: str
    key: str
    version: str
    series: str
    facts: dict[str, str | bool]

    @property
    def name(self) -> str:
        """Return its name, for messages."""
        if self.source.is_checkout:
            return self.source.text
        return f'{self.source.project} {self.version}'


def find_project(text: str) -> str:
    """Return the name of the distribution that a user names.

    :param text: its name in any spelling, or the name of its repository
    :raises errors.LabError: if the cloud's virtualenv does not have it
    """
    name = _canonical(text)
    # placement's repository has not the name of its distribution.
    for found in (name, f'openstack-{name}'):
        if found in _pins():
            return found
    raise errors.LabError(
        f'{text!r} is no project of the cloud: lab/constraints-cloud.txt '
        f'lists those that it has.')


def pinned(project: str = NOVA) -> str:
    """Return the version of the pinned release.

    :param project: name of the project
    """
    return _pins()[project]


def install(paths: layout.Layout, *sources: Source) -> pathlib.Path:
    """Install projects together, unless they are there already.

    :param paths: paths of the lab, whose virtualenvs are there
    :param sources: a source for each project
    :returns: the virtualenv that holds them
    :raises errors.LabError: if a checkout has conflicts or lacks the
        revision, if a release does not exist or needs another Python, or if
        one cannot be built or installed
    """
    cloud = paths.venvs / 'cloud'
    prepared = [_prepare(paths, source) for source in sorted(
        sources, key=lambda source: source.project)
        if source.text not in ('', pinned(source.project))]
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
    shutil.rmtree(paths.root / 'install' / 'sources', ignore_errors=True)
    # Written each time: the content may be that of another commit now. The
    # time of this file is that of the last use.
    layout.write_json(venv / 'stamp', {
        'base': _base(paths),
        'sources': {each.source.project: each.facts for each in prepared}})
    _prune(paths)
    return venv


def describe(venv: pathlib.Path, project: str = NOVA) -> str:
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
    module = _package(venv, NOVA) / 'objects' / 'service.py'
    return int(SERVICE_VERSION.findall(module.read_text())[0])


def migrations(venv: pathlib.Path, project: str = NOVA) -> frozenset[str]:
    """Return the names of the schema migrations that a project has.

    :param venv: a result of :func:`install`
    :param project: name of a project with services
    """
    package = _package(venv, _packages(venv, project)[0])
    return frozenset(
        str(path.relative_to(package)) for folder in _alembic(package)
        for path in folder.glob('versions/**/*.py'))


def schema_digest(venv: pathlib.Path, project: str = NOVA) -> str:
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
    if not set(SERVICES).issuperset(projects(venv)):
        # The name of an overlay depends on the code in it.
        digest.update(venv.resolve().name.encode())
    return digest.hexdigest()


def git(*arguments: str | pathlib.Path, **environment: str) -> str:
    """Run git, also in the checkout of another user, and return its output.

    :param arguments: of git
    :param environment: variables added to the environment
    :raises errors.LabError: if it is missing or fails
    """
    # A hook of git that called us has set others.
    values = {name: value for name, value in os.environ.items()
              if not name.startswith('GIT_')}
    try:
        # The lab runs as root, the checkout may be the user's.
        result = subprocess.run(
            ['git', '-c', 'safe.directory=*', *arguments],
            capture_output=True, text=True, env=values | environment)
    except FileNotFoundError:
        raise errors.LabError('git is missing: install it to build from a '
                              'checkout.') from None
    if result.returncode:
        said = result.stderr.strip().splitlines() or ['it says nothing']
        raise errors.LabError(
            f'git {" ".join(map(str, arguments))[:60]} failed: {said[-1]}.')
    return result.stdout.strip()


def _canonical(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


def _pins() -> dict[str, str]:
    """Return the version of each distribution of the cloud's virtualenv."""
    pins = (layout.REPOSITORY / 'lab' / 'constraints-cloud.txt').read_text()
    return {_canonical(name): version for name, version
            in re.findall(r'^(\S+)==(\S+)$', pins, re.MULTILINE)}


def _name(path: pathlib.Path) -> str:
    """Return the name of the project in a folder; empty if it has none."""
    setup = configparser.ConfigParser(interpolation=None)
    try:
        setup.read(path / 'setup.cfg', encoding='utf-8')
        name = setup.get('metadata', 'name', fallback='')
        if not name and (path / 'pyproject.toml').exists():
            name = tomllib.loads((path / 'pyproject.toml').read_text()).get(
                'project', {}).get('name', '')
    except (configparser.Error, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return ''
    return _canonical(name)


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
            and TESTS not in path.relative_to(package).parts]


def _metadata(venv: pathlib.Path,
              project: str) -> importlib.metadata.Distribution:
    """Return the metadata of a project that a virtualenv has or sees."""
    return importlib.metadata.PathDistribution(next(
        path for site in _places(venv) for path in site.glob('*.dist-info')
        if _canonical(path.name.partition('-')[0]) == project))


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


def _prepare(paths: layout.Layout, source: Source) -> _Prepared:
    """Copy a checkout, or name a release; build nothing yet.

    :raises errors.LabError: if the checkout cannot be copied
    """
    if not source.is_checkout:
        return _Prepared(source, f'{source.project}=={source.text}',
                         source.text, source.text, _series(source),
                         {'text': source.text})
    copy = layout.empty_folder(
        paths.root / 'install' / 'sources' / source.project)
    tree, commit, is_changed = _copy(
        source, copy, _packages(paths.venvs / 'cloud', source.project))
    review = copy / '.gitreview'
    branch = BRANCH.search(review.read_text() if review.exists() else '')
    return _Prepared(
        source, str(copy), tree[:12], _version(source, commit),
        branch[1] if branch and source.project in SERVICES else '',
        {'text': source.text, 'commit': commit[:12], 'changed': is_changed})


def _series(release: Source) -> str:
    """Return the series of a service's release; empty for a library."""
    if release.project not in SERVICES:
        return ''
    own, nova, wanted = (
        int(version.partition('.')[0]) for version
        in (pinned(release.project), pinned(), release.text))
    # The pinned releases are of one series.
    years, half = divmod(nova - FIRST_MAJOR - own + wanted, 2)
    return f'{FIRST_YEAR + years}.{half + 1}'


def _copy(source: Source, copy: pathlib.Path, packages: list[str]
          ) -> tuple[str, str, bool]:
    """Copy a checkout's files, or a commit of it, into a repository.

    pbr takes the list of data files from Git, so the copy has to be a
    repository: one without objects of its own, but for those of changes.

    :param source: a checkout
    :param copy: an empty folder
    :param packages: names of the project's packages
    :returns: digest of the files; commit; whether there are changes to it
    :raises errors.LabError: if the checkout has conflicts, or lacks the
        revision
    """
    unmerged = git('-C', source.text, 'ls-files', '--unmerged',
                   '--format=%(path)')
    if unmerged and not source.revision:
        raise errors.LabError(
            f'{source.text} has conflicts, first in '
            f'{unmerged.splitlines()[0]}: resolve them and git add the files.')
    try:
        commit = git('-C', source.text, 'rev-parse', '--verify', '--quiet',
                     f'{source.revision or "HEAD"}^{{commit}}')
    except errors.LabError:
        raise errors.LabError(f'{source.text} has no revision '
                              f'{source.revision or "HEAD"}.') from None
    objects = git('-C', source.text, 'rev-parse', '--path-format=absolute',
                  '--git-path', 'objects')
    git('init', '--quiet', copy)
    layout.write(copy / '.git' / 'objects' / 'info' / 'alternates',
                 f'{objects}\n')
    own = {'GIT_DIR': str(copy / '.git')}
    git('read-tree', commit, **own)
    if not source.revision:
        # New files count only where they could be the project's.
        git('add', '--update', '.', GIT_WORK_TREE=source.text, **own)
        for name in packages:
            if (pathlib.Path(source.text) / name).exists():
                git('add', name, GIT_WORK_TREE=source.text, **own)
    changed = git('write-tree', **own) != git(
        'rev-parse', f'{commit}^{{tree}}', **own)
    git('rm', '-r', '--quiet', '--cached', '--ignore-unmatch',
        *(f'{name}/{TESTS}' for name in packages), **own)
    git('checkout-index', '--all', GIT_WORK_TREE=str(copy), **own)
    return git('write-tree', **own), commit, changed


def _version(source: Source, commit: str) -> str:
    """Return a version for a commit, by the rules of pbr where they matter.

    pbr finds none without tags, as in a shallow clone.
    """
    try:
        found = DESCRIPTION.fullmatch(git(
            '-C', source.text, 'describe', '--tags', '--long', '--match',
            '[0-9]*', commit))
    except errors.LabError:
        found = None
    if found is None:
        return '0.0.1.dev0'
    major, minor, patch, rest, count = found.groups()
    if count == '0':
        return f'{major}.{minor}.{patch}{rest}'
    # A tag with more is that of a candidate of this very release.
    patch = patch if rest else int(patch) + 1
    return f'{major}.{minor}.{patch}.dev{count}'


def _build(paths: layout.Layout, prepared: list[_Prepared],
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
            if _canonical(line.partition('==')[0]) not in names))
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
                  prepared: list[_Prepared]) -> bool:
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


def _compile(venv: pathlib.Path, each: _Prepared) -> None:
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
