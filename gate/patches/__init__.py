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

"""Commits as patches: those of a checkout, and those that are kept here."""

from __future__ import annotations

import pathlib

from lab import errors
from lab.machine import sources

NOVA = 'openstack/nova'
PLUGIN = 'openstack/lm-tempest-plugin'
#: A file that tells a checkout of each project from others.
FILES = {NOVA: 'nova/compute/manager.py',
         PLUGIN: 'lm_tempest_plugin/plugin.py'}
#: The job that runs the lab.
JOB = 'lm-tempest-plugin-lab'
FOLDER = pathlib.Path(__file__).parent
BUGS = FOLDER / 'bugs'


def bugs() -> list[str]:
    """Return the names of the old bugs that exist as patches of nova."""
    return sorted(path.stem for path in BUGS.glob('*.patch'))


def bug(name: str) -> str:
    """Return the commit that brings back an old bug of nova, as a patch.

    :param name: its name
    :raises errors.LabError: there is no such patch
    """
    if name not in bugs():
        raise errors.LabError(f'There is no patch with the bug {name!r}: '
                              f'known are {", ".join(bugs())}.')
    return (BUGS / f'{name}.patch').read_text()


def project_of(path: pathlib.Path) -> str:
    """Return the project of a checkout.

    :param path: a folder
    :raises errors.LabError: it is no repository, or that of another project
    """
    if not (path / '.git').exists():
        raise errors.LabError(f'{path} is no Git repository: give the path '
                              f'of a checkout of nova or of this project.')
    for project, file in FILES.items():
        if (path / file).is_file():
            return project
    raise errors.LabError(f'{path} is a checkout of neither {NOVA} nor '
                          f'{PLUGIN}.')


def patch_of(path: pathlib.Path, revision: str) -> str:
    """Return a commit of a checkout as a patch.

    :param path: the checkout
    :param revision: the commit, or a branch whose last commit it is
    :raises errors.LabError: there is no such commit, or it is a merge
    """
    try:
        commit = sources.git('-C', path, 'rev-parse', '--verify', '--quiet',
                             '--end-of-options', f'{revision}^{{commit}}')
    except errors.LabError:
        raise errors.LabError(f'{path} has no branch or commit '
                              f'{revision!r}.') from None
    parents = sources.git('-C', path, 'rev-list', '--parents', '-1', commit)
    if len(parents.split()) > 2:
        raise errors.LabError(f'{revision} in {path} is a merge: name a '
                              f'commit that changes something itself.')
    patch = sources.git('-C', path, 'format-patch', '--stdout', '--binary',
                        '-1', commit)
    if not patch:
        raise errors.LabError(f'{revision} in {path} changes no file: commit '
                              f'the change first.')
    return f'{patch}\n'
