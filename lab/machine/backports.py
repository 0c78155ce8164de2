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

"""Debian's backports, for a call of apt-get; the machine's apt stays as it is.

Backports lie beside the release that they are for. So the machine's own entry
for the release, with another suite in it, is the entry for its backports.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import platform
import re
import tempfile
import typing

from lab import errors
from lab.machine import debian

SOURCES = pathlib.Path('/etc/apt/sources.list')
PARTS = pathlib.Path('/etc/apt/sources.list.d')
#: An entry in a file of the format "list": a line.
LINE = re.compile(
    r'\s*deb\s+(?P<options>\[[^]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+'
    r'(?P<components>[^#\s][^#]*)')
#: A field of an entry in a file of the format "sources", with the lines that
#: go on with it.
FIELD = re.compile(r'^([\w-]+):(.*(?:\n[ \t].*)*)', re.MULTILINE)
#: What apt takes for a no.
NEGATIVE = ('no', 'false', 'without', 'off', 'disable', '0')


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where apt takes packages from, as a file of its sources tells it.

    :ivar kind: ending of the files with this format
    :ivar uris: archives
    :ivar suites: what is taken of each archive
    :ivar components: what is taken of each suite
    :ivar before: the entry's text as far as its suites
    :ivar after: the rest of it
    """

    kind: str
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    before: str
    after: str

    @property
    def places(self) -> set[str]:
        """The releases in it, as :func:`lab.machine.debian.places` has them.

        Without what goes with a release (security, updates, backports): its
        archive need not be the release's.
        """
        return {f'{uri.rstrip("/")} {suite}/{component}'
                for uri in self.uris for suite in self.suites
                for component in self.components if '-' not in suite}


@contextlib.contextmanager
def options(package: str) -> typing.Iterator[list[str]]:
    """Let apt-get take a package from backports.

    :param package: name of a Debian package that the lists know
    :returns: options of apt-get; good until the context ends
    :raises errors.LabError: if the machine's sources are not understood
    """
    release = platform.freedesktop_os_release()
    suite = f'{release.get("VERSION_CODENAME", "stable")}-backports'
    files = _files()
    entries = [entry for file in files for entry in _entries(file)]
    if any(suite in entry.suites for entry in entries):
        # Another entry for the same might contradict it.
        yield ['-t', suite]
        return
    origin = _origin(package, entries, suite)
    with tempfile.TemporaryDirectory(prefix='lab-apt-') as name:
        folder = pathlib.Path(name)
        # apt reads and downloads as a user of its own.
        folder.chmod(0o755)
        parts, lists = folder / 'parts', folder / 'lists'
        parts.mkdir()
        lists.mkdir()
        for file in files:
            if file != SOURCES:
                (parts / file.name).symlink_to(file)
        (parts / f'lab-backports.{origin.kind}').write_text(
            f'{origin.before}{suite}{origin.after}\n')
        yield ['-t', suite, '-o', f'Dir::Etc::sourceparts={parts}',
               '-o', f'Dir::State::lists={lists}']


def _origin(package: str, entries: list[Entry], suite: str) -> Entry:
    """The entry for the release that offers a package."""
    places = debian.places(package)
    if not places:
        raise errors.LabError(
            f'apt knows no source of {package}: see that apt-get update '
            f'works.')
    for entry in entries:
        if entry.places & places:
            return entry
    raise errors.LabError(
        f'No entry that offers {package} is understood in {SOURCES} and '
        f'{PARTS}: add {suite} to the sources there.')


def _files() -> list[pathlib.Path]:
    """The files of the machine's sources, in apt's order."""
    return [path for path in (SOURCES, *sorted(PARTS.glob('*')))
            if path.suffix in ('.list', '.sources') and path.is_file()]


def _entries(file: pathlib.Path) -> typing.Iterator[Entry]:
    text = file.read_text(encoding='utf-8', errors='replace')
    return (_from_lines if file.suffix == '.list' else _from_fields)(text)


def _from_lines(text: str) -> typing.Iterator[Entry]:
    for line in filter(None, map(LINE.match, text.splitlines())):
        components = line['components'].strip()
        yield Entry(
            'list', (line['uri'],), (line['suite'],),
            tuple(components.split()),
            f'deb {line["options"] or ""}{line["uri"]} ', f' {components}')


def _from_fields(text: str) -> typing.Iterator[Entry]:
    text = re.sub(r'^#.*\n?', '', text, flags=re.MULTILINE)
    for paragraph in re.split(r'\n\s*\n', text):
        fields = {name.lower(): value
                  for name, value in FIELD.findall(paragraph)}
        types = fields.pop('types', '').split()
        enabled = fields.get('enabled', 'yes').strip().lower()
        if 'deb' not in types or enabled in NEGATIVE:
            continue
        suites = fields.pop('suites', '')
        rest = ''.join(f'\n{name}:{value}' for name, value in fields.items())
        yield Entry(
            'sources', tuple(fields.get('uris', '').split()),
            tuple(suites.split()),
            tuple(fields.get('components', '').split()),
            'types: deb\nsuites: ', rest)
