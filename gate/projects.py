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

"""The Git repositories of a Zuul, and changes to them."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
import shutil

from gate import machine
from gate import patches
from gate.patches import NOVA
from gate.patches import PLUGIN
from gate.review import changes
from gate import services
from lab import errors
from lab import layout
from lab.machine import debian
from lab.machine import sources

LABEL = 'debian-bookworm'
#: Jobs of other repositories that are parents of jobs in zuul.d.
PARENTS = ('openstack-tox', 'tempest-multinode-full-py3',
           'devstack-plugin-ceph-multinode-tempest-py3')
#: Author of the commits that are made here.
IDENTITY = ('-c', 'user.name=Lab', '-c', 'user.email=lab@review.invalid')
#: Made by a build of the source package; no part of the repository.
NOT_IN_GIT = ('PKG-INFO', 'nova.egg-info')


class Projects:
    """The repositories of one Zuul.

    :param paths: paths of the Zuul
    """

    def __init__(self, paths: machine.Layout) -> None:
        self._paths = paths
        self._work = paths.services / 'work'
        self.review = changes.Review(paths.review)

    def create_config(self, files: services.Services,
                      values: dict[str, object]) -> None:
        """Make the config project: pipelines, the base job, the node.

        :param files: renders templates; its keys are made
        :param values: for the template of the projects' jobs
        """
        folder = self._work / services.CONFIG
        shutil.copytree(pathlib.Path(__file__).parent / 'config-project',
                        folder)
        for name in ('jobs', 'projects', 'providers'):
            layout.write(folder / 'zuul.d' / f'{name}.yaml', files.render(
                f'config/{name}.yaml', label=LABEL, parents=PARENTS,
                nova=NOVA, plugin=PLUGIN, host_key=files.host_key, **values))
        self._publish(services.CONFIG, self._commit_all(
            folder, 'Configuration of this machine'))

    def create_plugin(self) -> None:
        """Make the repository of this project: the last commit, as it is.

        :raises errors.LabError: this is no checkout
        """
        patches.project_of(layout.REPOSITORY)
        self._publish(PLUGIN, layout.REPOSITORY)

    def create_nova(self, path: str) -> None:
        """Make the repository of nova.

        :param path: a checkout; empty for the pinned release from PyPI
        :raises errors.LabError: it is no checkout of nova
        """
        if path:
            self._publish(NOVA, pathlib.Path(path))
            return
        version = sources.pinned()
        folder = self._work / 'nova'
        downloads = self._paths.cache / 'nova'
        archive = downloads / f'nova-{version}.tar.gz'
        log = self._paths.root / 'install' / 'nova.log'
        if not archive.exists():
            # pip asks the package for its metadata, with the tools that are
            # there.
            debian.run_installer(
                [self._paths.venv_bin('machine', 'pip'),
                 '--disable-pip-version-check', 'download', '--no-deps',
                 '--no-build-isolation', '--no-binary', ':all:', '--dest',
                 str(downloads), f'nova=={version}'], log,
                f'Downloading nova {version}', PBR_VERSION=version)
        debian.run_installer(
            ['tar', '--extract', '--no-same-owner', f'--file={archive}',
             f'--directory={self._work}'], log, 'Unpacking nova')
        (self._work / f'nova-{version}').rename(folder)
        for name in NOT_IN_GIT:
            path_in = folder / name
            if path_in.is_dir():
                shutil.rmtree(path_in)
            else:
                path_in.unlink(missing_ok=True)
        self._commit_all(folder, f'nova {version}')
        sources.git(*IDENTITY, '-C', folder, 'tag', '--annotate', '--message',
                    version, version)
        self._publish(NOVA, folder)

    def upload(self, project: str, patch: str,
               needs: changes.Change | None = None) -> changes.Change:
        """Make a change of a patch, on top of the project's branch.

        :param project: name of the project
        :param patch: a commit, as of "git format-patch"
        :param needs: a change that it depends on
        :raises errors.LabError: the patch does not apply
        """
        bare = self.review.repository(project)
        folder = self._work / f'{project.rpartition("/")[2]}-patches'
        if not folder.exists():
            sources.git('clone', '--quiet', '--shared', bare, folder)
        run = (*IDENTITY, '-C', folder)
        sources.git(*run, 'fetch', '--quiet', 'origin', 'master')
        sources.git(*run, 'checkout', '--quiet', '--force', '--detach',
                    'FETCH_HEAD')
        file = self._work / 'patch'
        layout.write(file, patch)
        try:
            sources.git(*run, 'am', '--quiet', '--3way', file)
        except errors.LabError as error:
            # With the state of the attempt.
            shutil.rmtree(folder)
            raise errors.LabError(
                f'The change does not apply to the branch master of '
                f'{project}: rebase it.') from error
        if needs is not None:
            message = sources.git(*run, 'log', '-1', '--format=%B')
            sources.git(*run, 'commit', '--quiet', '--amend', '--message',
                        f'{message}\n\nDepends-On: {needs["url"]}')
        commit = sources.git(*run, 'rev-parse', 'HEAD')
        sources.git(*run, 'push', '--quiet', bare,
                    f'HEAD:refs/uploads/{commit}')
        return self.review.upload(project, commit)

    def create(self, project: str, files: Mapping[str, str]) -> None:
        """Make the repository of a project, or replace its content.

        :param project: its name
        :param files: texts by their paths
        """
        folder = layout.empty_folder(self._work / 'new')
        for path, text in files.items():
            layout.write(folder / path, text)
        self._publish(project, self._commit_all(folder, 'Content'))

    def _commit_all(self, folder: pathlib.Path,
                    message: str) -> pathlib.Path:
        """Make a repository of a folder, with one commit."""
        sources.git('init', '--quiet', folder)
        sources.git('-C', folder, 'add', '--all', '--force')
        sources.git(*IDENTITY, '-C', folder, 'commit', '--quiet',
                    '--allow-empty', '--message', message)
        return folder

    def _publish(self, project: str, source: pathlib.Path) -> None:
        """Copy the last commit of a repository to the review server."""
        bare = self._paths.repositories / project
        bare.parent.mkdir(parents=True, exist_ok=True)
        sources.git('init', '--quiet', '--bare', '--initial-branch=master',
                    bare)
        refs = ['HEAD:refs/heads/master']
        try:
            tag = sources.git('-C', source, 'describe', '--tags',
                              '--abbrev=0')
            refs.append(f'refs/tags/{tag}:refs/tags/{tag}')
        except errors.LabError:
            # A shallow clone has none; the lab copes with that.
            pass
        sources.git('--git-dir', bare, 'fetch', '--quiet', '--force',
                    '--no-tags', '--update-shallow',
                    source.resolve().as_uri(), *refs)
