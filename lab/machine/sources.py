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

"""Install another nova beside the pinned one: a release, or a checkout.

It is installed into an overlay: a virtualenv that sees all packages of the
cloud's virtualenv behind its own. pip counts those as installed, so an overlay
holds nova, and only such requirements as the cloud's virtualenv does not
satisfy. The pins of the cloud need no file for that: they are the versions
that are there, and pip replaces one only if nova requires it.

A nova of an older series gets the libraries that its series was tested with,
as on a host that was not upgraded yet; not all work with later ones.

A checkout is taken with its changes that are not committed and its new files.
It is copied before it is built, and nothing is written into it.
"""

from __future__ import annotations

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

from lab import errors
from lab import layout
from lab.machine import debian
from lab.machine import virtualenvs

VERSION = re.compile(r'\d+\.\d+\.\d+(\.\d+)?((a|b|rc)\d+)?')
#: Result of "git describe --long": tag, number of later commits, commit.
DESCRIPTION = re.compile(r'(\d+)\.(\d+)\.(\d+)(\S*)-(\d+)-g[0-9a-f]+')
#: Release 27 was the first of series 2023.1; each year has two.
FIRST_MAJOR, FIRST_YEAR = 27, 2023
#: The series of a checkout of a stable branch.
BRANCH = re.compile(r'^defaultbranch=(?:stable|unmaintained)/(\S+)$',
                    re.MULTILINE)
#: Number of overlays that are kept. A run that compares two takes turns
#: between them.
KEPT = 6
#: Not run here, and more than half of the time of an installation.
TESTS = 'nova/tests'
SERVICE_VERSION = re.compile(r'^SERVICE_VERSION = (\d+)$', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Source:
    """A nova that hosts can run.

    :ivar text: version of a release, absolute path of a checkout, or empty
        for the pinned release
    :ivar revision: a commit of the checkout to take instead of its files
    """

    text: str
    revision: str = ''

    @property
    def is_checkout(self) -> bool:
        """Return whether it is a checkout."""
        return self.text.startswith('/')

    @classmethod
    def parse(cls, text: str) -> Source:
        """Return the source that a user names.

        :param text: version of a release, or path of a checkout
        :raises errors.LabError: if it is neither
        """
        if not text or VERSION.fullmatch(text):
            return cls(text)
        path = pathlib.Path(text).resolve()
        if not path.is_dir():
            raise errors.LabError(
                f'{text!r} is neither a release of nova, such as {pinned()}, '
                f'nor a folder.')
        if not (path / 'nova' / 'compute' / 'manager.py').is_file():
            raise errors.LabError(f'{path} holds no nova: it has no '
                                  f'nova/compute/manager.py.')
        if not (path / '.git').exists():
            raise errors.LabError(f'{path} is no checkout of nova: it has no '
                                  f'.git, so nobody could tell its version.')
        return cls(str(path))


def pinned() -> str:
    """Return the version of the pinned release."""
    pins = (layout.REPOSITORY / 'lab' / 'constraints-cloud.txt').read_text()
    return re.findall(r'^nova==(\S+)$', pins, re.MULTILINE)[0]


def install(paths: layout.Layout, source: Source) -> pathlib.Path:
    """Install a nova, unless it is there already.

    :param paths: paths of the lab, whose virtualenvs are there
    :param source: the nova
    :returns: the virtualenv that holds it
    :raises errors.LabError: if the checkout has conflicts or lacks the
        revision, if the release does not exist or needs another Python, or if
        nova cannot be built or installed
    """
    if source.text in ('', pinned()):
        return paths.venvs / 'cloud'
    if not source.is_checkout:
        venv = paths.venvs / f'nova-{source.text}'
        if not _is_whole(paths, venv):
            years, half = divmod(
                int(source.text.partition('.')[0]) - FIRST_MAJOR, 2)
            _build(paths, source, f'nova=={source.text}', venv, source.text,
                   f'{FIRST_YEAR + years}.{half + 1}')
        facts: dict[str, str | bool] = {'text': source.text}
    else:
        copy = layout.empty_folder(paths.root / 'install' / 'nova')
        tree, commit, is_changed = _copy(source, copy)
        venv = paths.venvs / f'nova-{tree[:12]}'
        if not _is_whole(paths, venv):
            review = copy / '.gitreview'
            branch = BRANCH.search(review.read_text()
                                   if review.exists() else '')
            _build(paths, source, str(copy), venv, _version(source, commit),
                   branch[1] if branch else '')
        shutil.rmtree(copy)
        facts = {'text': source.text, 'commit': commit[:12],
                 'changed': is_changed}
    # Written each time: the content may be that of another commit now. The
    # time of this file is that of the last use.
    layout.write_json(venv / 'stamp', facts | {'base': _base(paths)})
    _prune(paths)
    return venv


def describe(venv: pathlib.Path) -> str:
    """Return the version of a virtualenv's nova, and its checkout.

    :param venv: a result of :func:`install`
    """
    version = _metadata(venv).version
    try:
        facts = json.loads((venv / 'stamp').read_text())
    except ValueError:
        # The cloud's own virtualenv, whose stamp is a digest.
        return version
    if 'commit' not in facts:
        return version
    changes = ' with changes' * facts['changed']
    return f'{version} ({facts["text"]} at {facts["commit"]}{changes})'


def service_version(venv: pathlib.Path) -> int:
    """Return the number by which services of nova tell their age.

    nova refuses to start a service that is older than the oldest of its kind.

    :param venv: a result of :func:`install`
    """
    module = _nova(venv) / 'objects' / 'service.py'
    return int(SERVICE_VERSION.findall(module.read_text())[0])


def migrations(venv: pathlib.Path) -> frozenset[str]:
    """Return the names of the schema migrations that a nova has.

    :param venv: a result of :func:`install`
    """
    return frozenset(
        f'{path.parents[2].name}/{path.name}' for path
        in (_nova(venv) / 'db').glob('*/migrations/versions/*.py'))


def schema_digest(venv: pathlib.Path) -> str:
    """Return a digest of the code that makes nova's databases.

    That is the migrations, and the modules directly in nova/db, whose types
    they use. The models do not count: no table is made from them.

    :param venv: a result of :func:`install`, or a link to it
    """
    folder = _nova(venv) / 'db'
    digest = hashlib.sha256()
    for path in sorted((*folder.glob('*.py'),
                        *folder.glob('*/migrations/**/*.py'))):
        digest.update(f'{path.relative_to(folder)}\n'.encode())
        digest.update(path.read_bytes())
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
        raise errors.LabError('git is missing: install it to build nova from '
                              'a checkout.') from None
    if result.returncode:
        said = result.stderr.strip().splitlines() or ['it says nothing']
        raise errors.LabError(
            f'git {" ".join(map(str, arguments))[:60]} failed: {said[-1]}.')
    return result.stdout.strip()


def _nova(venv: pathlib.Path) -> pathlib.Path:
    return virtualenvs.site_packages(venv) / 'nova'


def _metadata(venv: pathlib.Path) -> importlib.metadata.Distribution:
    """Return the metadata of the nova in a virtualenv itself."""
    found = virtualenvs.site_packages(venv).glob('nova-*.dist-info')
    return importlib.metadata.PathDistribution(next(found))


def _constraints(series: str) -> pathlib.Path:
    return layout.REPOSITORY / 'lab' / f'constraints-nova-{series}.txt'


def _base(paths: layout.Layout) -> str:
    """Return a digest of the libraries of all overlays."""
    digest = hashlib.sha256((paths.venvs / 'cloud' / 'stamp').read_bytes())
    for path in sorted(_constraints('x').parent.glob(_constraints('*').name)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_whole(paths: layout.Layout, venv: pathlib.Path) -> bool:
    """Return whether an overlay was made to its end, on today's packages."""
    try:
        facts = json.loads((venv / 'stamp').read_text())
    except FileNotFoundError:
        return False
    return bool(facts['base'] == _base(paths))


def _copy(source: Source, copy: pathlib.Path) -> tuple[str, str, bool]:
    """Copy a checkout's files, or a commit of it, into a repository.

    pbr takes the list of data files from Git, so the copy has to be a
    repository: one without objects of its own, but for those of changes.

    :param source: a checkout
    :param copy: an empty folder
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
        # New files count only where they could be nova's.
        git('add', '--update', '.', GIT_WORK_TREE=source.text, **own)
        git('add', 'nova', GIT_WORK_TREE=source.text, **own)
    changed = git('write-tree', **own) != git(
        'rev-parse', f'{commit}^{{tree}}', **own)
    git('rm', '-r', '--quiet', '--cached', '--ignore-unmatch', TESTS, **own)
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


def _build(paths: layout.Layout, source: Source, target: str,
           venv: pathlib.Path, version: str, series: str) -> None:
    """Build a wheel of nova, and install it into a new overlay.

    :param paths: paths of the lab
    :param source: the nova
    :param target: its requirement or folder, for pip
    :param venv: the overlay; its stamp is still missing afterwards
    :param version: its version
    :param series: the series of OpenStack that it belongs to, if it is known
    :raises errors.LabError: if that fails
    """
    log = paths.root / 'install' / f'{venv.name}.log'
    log.unlink(missing_ok=True)
    wheels = layout.empty_folder(paths.root / 'install' / 'wheels')
    name = source.text if source.is_checkout else f'nova {version}'
    try:
        # With the pinned tools, not with the newest of this hour.
        debian.run_installer(
            [paths.venv_bin('tempest', 'pip'),
             *virtualenvs.pip_options(paths), 'wheel', '--no-deps',
             '--no-build-isolation', '--wheel-dir', str(wheels), target],
            log, f'Building {name}' if source.is_checkout
            else f'Downloading {name}', PBR_VERSION=version)
    except errors.LabError:
        _refuse_other_python(name, version, log)
        raise
    [wheel] = wheels.glob('nova-*.whl')
    if venv.exists():
        shutil.rmtree(venv)
    doing = f'Installing {name}'
    pip = [*virtualenvs.make_overlay(paths, venv, log, doing), 'install',
           str(wheel)]
    debian.run_installer([*pip, '--no-compile', '--no-deps'], log, doing)
    constraints = _constraints(series)
    if constraints.exists():
        debian.run_installer([*pip, '--constraint', str(constraints)], log,
                             doing)
    elif not _is_satisfied(paths, venv):
        debian.run_installer(pip, log, doing)
    _compile(venv, name)


def _refuse_other_python(name: str, version: str, log: pathlib.Path) -> None:
    """Name the Python that a release needs, if that is why pip failed."""
    needs = re.search(rf'\b{re.escape(version)} Requires-Python ([^\s;]+)',
                      log.read_text())
    if needs:
        raise errors.LabError(
            f'{name} needs Python {needs[1]} and this machine has '
            f'{platform.python_version()}: use another release.')


def _is_satisfied(paths: layout.Layout, venv: pathlib.Path) -> bool:
    """Return whether nova's requirements are known to be there.

    They are if they equal those of the pinned nova, or those of an overlay in
    which pip had to install nothing but nova. pip would need seconds to find
    that out.
    """
    wanted = set(_metadata(venv).requires or ())
    for other in (paths.venvs / 'cloud', *paths.venvs.glob('nova-*')):
        packages = list(virtualenvs.site_packages(other).glob('*.dist-info'))
        if (other.name == 'cloud' or _is_whole(paths, other)
                and len(packages) == 1):
            if set(_metadata(other).requires or ()) == wanted:
                return True
    return False


def _compile(venv: pathlib.Path, name: str) -> None:
    """Compile a nova; pip would accept one with errors of syntax.

    :raises errors.LabError: naming the first file that does not compile
    """
    result = subprocess.run(
        [str(venv / 'bin' / 'python3'), '-m', 'compileall', '-q', '-s',
         str(virtualenvs.site_packages(venv)), str(_nova(venv))],
        capture_output=True, text=True)
    if result.returncode:
        place = re.search(r'File "(.*)", line (\d+)', result.stdout)
        reason = re.search(r'^\w*Error: .*$', result.stdout, re.MULTILINE)
        where = f'{place[1]}, line {place[2]}' if place else 'a file'
        raise errors.LabError(
            f'{name} does not compile: {where}: '
            f'{reason[0] if reason else result.stdout.strip()[-200:]}.')


def _prune(paths: layout.Layout) -> None:
    """Delete the overlays that were not used for longest."""
    running = {link.resolve() for link in (paths.cloud / 'nova').glob('*')}
    overlays = [path for path in paths.venvs.glob('nova-*')
                if path.resolve() not in running
                and (path / 'stamp').exists()]
    overlays.sort(key=lambda path: (path / 'stamp').stat().st_mtime)
    for old in overlays[:-KEPT]:
        shutil.rmtree(old)
