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

"""The directory of a run, laid out as `tempest init` does it."""

import os
import pathlib

from tempest import test_discover

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import files

# The first line of what is ours, and may be written anew.
MARK = '# Written by tempest live-migration-ha: it is renewed.'


class Workspace:
    """Paths in a directory.

    :param directory: which; it need not be there yet
    :ivar directory: the same, absolute
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = pathlib.Path(directory).absolute()

    @property
    def tempest_conf(self) -> pathlib.Path:
        """What bootstrap writes, for `tempest run` by hand."""
        return self.directory / 'etc' / 'tempest.conf'

    @property
    def verify_conf(self) -> pathlib.Path:
        """What verify writes, and takes away again."""
        return self.directory / 'etc' / 'verify.conf'

    @property
    def locks(self) -> pathlib.Path:
        """For Tempest's locks."""
        return self.directory / 'tempest_lock'

    @property
    def logs(self) -> pathlib.Path:
        """For logs."""
        return self.directory / 'logs'

    def results(self, run: str) -> pathlib.Path:
        """Return where the records of a run go.

        :param run: its name
        """
        return self.directory / 'results' / run

    def check(self, *paths: pathlib.Path) -> None:
        """Refuse to work where something is in the way.

        :param paths: files that are to be written
        :raises OperatorError: one of them is there and not ours, or there
            is no directory and can be none
        """
        for path in paths:
            if not self._ours(path):
                raise errors.OperatorError(
                    '%s was not written by this command, and is left as it '
                    'is: give another directory with --workspace' % path)
        for each in (self.directory, *self.directory.parents):
            if each.exists() or each.is_symlink():
                if not each.is_dir():
                    raise errors.OperatorError(
                        'the workspace %s cannot be made: %s is no '
                        'directory' % (self.directory, each))
                if not os.access(each, os.W_OK | os.X_OK):
                    raise errors.OperatorError(
                        'the workspace %s cannot be used: nothing may be '
                        'written to %s' % (self.directory, each))
                break

    def make(self) -> None:
        """Make directories, and the file that stestr needs.

        :raises OperatorError: that cannot be done
        """
        try:
            for each in (self.logs, self.locks):
                each.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise errors.OperatorError(
                'the workspace %s cannot be made: %s' % (
                    self.directory, exc.strerror)) from exc
        stestr = self.directory / '.stestr.conf'
        # One of `tempest init` says the same.
        if self._ours(stestr):
            self.write(stestr, _stestr_conf(), mode=0o644)

    def write(self, path: pathlib.Path, text: str,
              mode: int = files.PRIVATE) -> bool:
        """Write a file of ours, marked as such.

        :returns: whether it is another one than before
        :raises OperatorError: it is there and not ours, or cannot be
            written
        """
        self.check(path)
        whole = '%s\n%s' % (MARK, text)
        changed = files.read(path) != whole
        if changed or path.stat().st_mode & 0o777 != mode:
            files.write(path, whole, mode)
        return changed

    def remove(self, path: pathlib.Path) -> bool:
        """Delete a file of ours; return whether there was one.

        :raises OperatorError: it cannot be read, or not be deleted
        """
        text = files.read(path)
        return text is not None and _marked(text) and files.remove(path)

    def clear(self, *paths: pathlib.Path) -> tuple[list[str], list[str]]:
        """Delete files of ours.

        :param paths: the files; they need not be there
        :returns: what was deleted, and what could not be, in words
        """
        deleted: list[str] = []
        kept: list[str] = []
        for path in paths:
            try:
                if self.remove(path):
                    deleted.append(str(path))
            except errors.OperatorError as exc:
                kept.append(str(exc))
        return deleted, kept

    def _ours(self, path: pathlib.Path) -> bool:
        """Return whether a file may be written: ours, or none."""
        text = files.read(path)
        return text is None or _marked(text)


def _marked(text: str) -> bool:
    return text.partition('\n')[0] == MARK


def _stestr_conf() -> str:
    """Return where tests are found: Tempest asks its plugins."""
    discovery = pathlib.Path(test_discover.__file__).parent
    return ('[DEFAULT]\ntest_path = %s\ntop_dir = %s\n'
            'group_regex = ([^\\.]*\\.)*\n' % (
                discovery, discovery.parent.parent))
