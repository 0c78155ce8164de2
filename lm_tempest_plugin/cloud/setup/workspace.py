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

"""The directory of runs, laid out as `tempest init` does it."""

from collections.abc import Iterable
from collections.abc import Mapping
import json
import os
import pathlib

from tempest import test_discover

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin import utils

# First line of each file that may be overwritten and deleted.
MARK = '# Written by tempest live-migration-ha: it is renewed.'
ARGUMENTS = 'bootstrap.json'


class Workspace:
    """Files of the runs on one cloud.

    :param directory: need not exist yet
    :ivar directory: the same, as an absolute path
    :ivar tempest_conf: written by ``bootstrap``, for `tempest run` by hand
    :ivar verify_conf: written and deleted by ``verify``
    :ivar canary_key: private key of the canaries
    :ivar before: ids of the marked resources before a ``verify``; it exists
        while one runs, and after one that was killed
    :ivar locks: directory for Tempest's locks
    :ivar logs: directory for logs
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = pathlib.Path(directory).absolute()
        self.tempest_conf = self.directory / 'etc' / 'tempest.conf'
        self.verify_conf = self.directory / 'etc' / 'verify.conf'
        self.canary_key = self.directory / 'etc' / 'canary.key'
        self.before = self.directory / 'before-verify.json'
        self.locks = self.directory / 'tempest_lock'
        self.logs = self.directory / 'logs'

    def results(self, run: str) -> pathlib.Path:
        """Return the directory for the results of a run.

        :param run: its name
        """
        return self.directory / 'results' / run

    def check(self, *paths: pathlib.Path) -> None:
        """Refuse a workspace that cannot be written.

        :param paths: files that will be written
        :raises SetupError: another program wrote one of them, or the
            directory cannot be created or written
        """
        for path in paths:
            text = read(path)
            if text is not None and not _is_marked(text):
                raise setup.SetupError(
                    f'{path} was not written by this command and is left '
                    'unchanged: give another directory with --workspace')
        nearest = next(each for each in (
            self.directory, *self.directory.parents)
            if each.exists() or each.is_symlink())
        if not nearest.is_dir():
            raise setup.SetupError(
                f'the workspace {self.directory} cannot be '
                f'created: {nearest} is no directory')
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise setup.SetupError(
                f'the workspace {self.directory} cannot be used: '
                f'directory {nearest} is not writable')

    def create(self) -> None:
        """Create the directories, and the file that stestr needs.

        :raises SetupError: that fails
        """
        try:
            for each in (self.logs, self.locks):
                each.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise setup.SetupError(
                f'the workspace {self.directory} cannot be '
                f'created: {exc.strerror}') from exc
        stestr = self.directory / '.stestr.conf'
        text = read(stestr)
        # That of `tempest init` has the same content.
        if text is None or _is_marked(text):
            discovery = pathlib.Path(test_discover.__file__).parent
            self.write(
                stestr, f'[DEFAULT]\ntest_path = {discovery}\n'
                f'top_dir = {discovery.parent.parent}\n'
                'group_regex = ([^\\.]*\\.)*\n', mode=0o644)

    def write(self, path: pathlib.Path, text: str, mode: int = 0o600) -> bool:
        """Write a marked file, unless it has that content already.

        :returns: whether the content has changed
        :raises SetupError: another program wrote the file, or it cannot be
            written
        """
        self.check(path)
        text = f'{MARK}\n{text}'
        changed = read(path) != text
        if changed or path.stat().st_mode & 0o777 != mode:
            _write(path, text, mode)
        return changed

    def delete(self, *paths: pathlib.Path) -> tuple[list[str], list[str]]:
        """Delete marked files.

        :param paths: the files; they need not exist
        :returns: paths that were deleted, and reasons why others were not
        """
        deleted: list[str] = []
        kept: list[str] = []
        for path in paths:
            try:
                text = read(path)
                if text is not None and _is_marked(text):
                    path.unlink(missing_ok=True)
                    deleted.append(str(path))
            except setup.SetupError as exc:
                kept.append(str(exc))
            except OSError as exc:
                kept.append(f'{path} cannot be deleted: {exc.strerror}')
        return deleted, kept

    def load_before(self) -> set[str] | None:
        """Return the resources that were there before a killed ``verify``.

        :returns: their ids; None if none was killed
        :raises SetupError: the file cannot be read
        """
        text = read(self.before)
        if text is None:
            return None
        try:
            return set(map(str, json.loads(text)))
        except (TypeError, ValueError) as exc:
            raise setup.SetupError(
                f'{self.before} was not written by verify: {exc}') from exc

    def save_before(self, identifiers: Iterable[str]) -> None:
        """Save the ids of the resources that ``verify`` must not delete.

        :raises SetupError: the file cannot be written
        """
        _write(self.before, json.dumps(sorted(identifiers)) + '\n')

    def forget_before(self) -> None:
        """Let the next ``verify`` keep all resources that exist then.

        :raises SetupError: the file cannot be deleted
        """
        try:
            self.before.unlink(missing_ok=True)
        except OSError as exc:
            raise setup.SetupError(
                f'{self.before} cannot be deleted: {exc.strerror}') from exc

    def load_arguments(self, cloud: str) -> dict[str, str]:
        """Return the arguments of the last ``bootstrap``.

        :param cloud: name of the cloud in clouds.yaml
        :raises SetupError: the workspace belongs to another cloud, or the
            file cannot be read
        """
        path = self.directory / ARGUMENTS
        text = read(path)
        if text is None:
            return {}
        try:
            body = json.loads(text)
            owner, arguments = str(body['cloud']), dict(body['arguments'])
        except (KeyError, TypeError, ValueError) as exc:
            raise setup.SetupError(
                f'{path} was not written by bootstrap: '
                f'{exc}') from exc
        if owner != cloud:
            raise setup.SetupError(
                f'the workspace {self.directory} belongs to cloud {owner}, '
                f'not to {cloud}: give another one with --workspace')
        return {name: str(value) for name, value in arguments.items()}

    def save_arguments(self, cloud: str,
                       arguments: Mapping[str, str]) -> None:
        """Save the arguments of ``bootstrap`` for later commands.

        :raises SetupError: the file cannot be written
        """
        _write(self.directory / ARGUMENTS, json.dumps(
            {'cloud': cloud, 'arguments': dict(arguments)}, indent=2) + '\n')


def _is_marked(text: str) -> bool:
    return text.partition('\n')[0] == MARK


def read(path: pathlib.Path) -> str | None:
    """Return the content of a file; None if it does not exist.

    :param path: the file
    :raises SetupError: it cannot be read
    """
    try:
        return path.read_text(encoding='utf-8')
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, 'strerror', None) or exc
        raise setup.SetupError(f'{path} cannot be read: {reason}') from exc


def _write(path: pathlib.Path, text: str, mode: int = 0o600) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        utils.write_atomically(path, text, mode)
    except OSError as exc:
        raise setup.SetupError(
            f'{path} cannot be written: {exc.strerror}') from exc
