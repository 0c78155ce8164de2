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

"""Where the code of a project comes from: a release, or a checkout.

A project is a distribution of the cloud's virtualenv: a service or a library.

A checkout is taken with its changes that are not committed and its new files.
It is copied before it is built, and nothing is written into it.
"""

from __future__ import annotations

import configparser
import dataclasses
import os
import pathlib
import re
import subprocess
import tomllib

from lab import errors
from lab import layout

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
#: Subpackage that is not run here, and takes more than half of the time of an
#: installation of nova.
TESTS = 'tests'


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
class Prepared:
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
    name = canonical(text)
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


def prepare(source: Source, folder: pathlib.Path, packages: list[str]
            ) -> Prepared:
    """Copy a checkout, or name a release; build nothing yet.

    :param source: the source
    :param folder: receives the copy, in a folder of the project's name
    :param packages: names of the project's packages
    :raises errors.LabError: if the checkout cannot be copied
    """
    if not source.is_checkout:
        return Prepared(source, f'{source.project}=={source.text}',
                        source.text, source.text, _series(source),
                        {'text': source.text})
    copy = layout.empty_folder(folder / source.project)
    tree, commit, is_changed = _copy(source, copy, packages)
    review = copy / '.gitreview'
    branch = BRANCH.search(review.read_text() if review.exists() else '')
    return Prepared(
        source, str(copy), tree[:12], _version(source, commit),
        branch[1] if branch and source.project in SERVICES else '',
        {'text': source.text, 'commit': commit[:12], 'changed': is_changed})


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


def canonical(name: str) -> str:
    """Return the normal form of a distribution's name (PEP 503)."""
    return re.sub(r'[-_.]+', '-', name).lower()


def _pins() -> dict[str, str]:
    """Return the version of each distribution of the cloud's virtualenv."""
    pins = (layout.REPOSITORY / 'lab' / 'constraints-cloud.txt').read_text()
    return {canonical(name): version for name, version
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
    return canonical(name)


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
