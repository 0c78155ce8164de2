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

"""Install the Debian packages that the lab consists of.

A package may come from Debian's backports for one call of apt-get; the
machine's apt is not changed. Backports lie beside the release that they belong
to: the machine's own entry for the release, with another suite in it, is the
entry for its backports.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import pathlib
import platform
import re
import subprocess
import tempfile
import typing

from lab import errors

#: Makes virtualenvs of Debian's own Python.
PYTHON = ('python3-venv',)

#: Maintainer scripts start services through these two. They are covered
#: while apt runs, in a mount namespace that ends with it, so that no service
#: of the machine is started and no policy file can be left behind.
SERVICE_STARTERS = ('/usr/sbin/invoke-rc.d', '/usr/bin/deb-systemd-invoke')

SOURCES = pathlib.Path('/etc/apt/sources.list')
PARTS = pathlib.Path('/etc/apt/sources.list.d')
#: An entry in a file of the format "list": a line.
LINE = re.compile(
    r'\s*deb\s+(?P<options>\[[^]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+'
    r'(?P<components>[^#\s][^#]*)')
#: A field of an entry in a file of the format "sources", with its
#: continuation lines.
FIELD = re.compile(r'^([\w-]+):(.*(?:\n[ \t].*)*)', re.MULTILINE)
#: Values that apt reads as false.
NEGATIVE = ('no', 'false', 'without', 'off', 'disable', '0')


def versions(packages: typing.Iterable[str]) -> dict[str, str]:
    """Return the installed versions.

    :param packages: names of Debian packages
    :returns: name and version of those that dpkg lists as installed
    """
    result = subprocess.run(
        ['dpkg-query', '--show', '--showformat',
         '${binary:Package} ${Version} ${db:Status-Status}\n', *packages],
        capture_output=True, text=True)
    installed = [line.split() for line in result.stdout.splitlines()
                 if line.endswith(' installed')]
    return {name.partition(':')[0]: version for name, version, _ in installed}


def missing(packages: typing.Iterable[str]) -> list[str]:
    """Return the packages that are not installed, in the order given.

    :param packages: names of Debian packages
    """
    wanted = list(packages)
    installed = versions(wanted)
    return [package for package in wanted if package not in installed]


def is_at_least(version: str, oldest: str) -> bool:
    """Return whether a version is equal to another one or later.

    :param version: version of a Debian package; an empty one is too old
    :param oldest: the version to compare it with
    """
    result = subprocess.run(
        ['dpkg', '--compare-versions', version, 'ge', oldest],
        capture_output=True)
    return result.returncode == 0


def install(packages: typing.Iterable[str], log: pathlib.Path) -> None:
    """Install the missing ones of these packages; start no service.

    :param packages: names of Debian packages
    :param log: file for apt's output
    :raises errors.LabError: if one cannot be installed, naming it
    """
    wanted = missing(packages)
    if not wanted:
        return
    install_or_upgrade(wanted, log)
    absent = missing(wanted)
    if absent:
        raise errors.LabError(
            f'apt-get succeeded but {absent[0]} is not installed: see {log}.')


def install_or_upgrade(packages: typing.Iterable[str], log: pathlib.Path,
                       options: typing.Sequence[str] = ()) -> None:
    """Install or upgrade packages; start no service.

    :param packages: names of Debian packages
    :param log: file for apt's output
    :param options: options of apt-get, used for its ``update`` as well
    :raises errors.LabError: if apt-get fails
    """
    command = ['install', '--no-install-recommends', *packages]
    try:
        _apt_get(command, log, options)
    except errors.LabError:
        # The package lists may be missing or older than the mirror.
        _apt_get(['update'], log, options)
        _apt_get(command, log, options)


def ensure_lists(package: str, log: pathlib.Path) -> None:
    """Download the package lists if they do not name a package.

    :param package: name of a Debian package
    :param log: file for apt's output
    :raises errors.LabError: if the lists cannot be downloaded
    """
    if not places(package):
        _apt_get(['update'], log)


def places(package: str) -> set[str]:
    """Return the sources that offer a package, by the package lists.

    :param package: name of a Debian package
    :returns: ``URI SUITE/COMPONENT`` of each source
    """
    # PACKAGE | VERSION | URI SUITE/COMPONENT ARCHITECTURE Packages
    lines = _apt_cache('madison', package)
    return {' '.join(line.split('|')[2].split()[:2]) for line in lines}


def candidate(package: str) -> str:
    """Return the version that apt would install now.

    :param package: name of a Debian package
    :returns: the version; ``(none)`` or an empty text if there is none
    """
    for line in _apt_cache('policy', package):
        key, _, value = line.strip().partition(': ')
        if key == 'Candidate':
            return value
    return ''


def _apt_cache(question: str, package: str) -> list[str]:
    return subprocess.run(
        ['apt-cache', question, package], capture_output=True, text=True,
        env=os.environ | {'LC_ALL': 'C.UTF-8'}).stdout.splitlines()


def _apt_get(arguments: list[str], log: pathlib.Path,
             options: typing.Sequence[str] = ()) -> None:
    covered = ''.join(f'mount --bind /bin/true {path}; '
                      for path in SERVICE_STARTERS if os.path.exists(path))
    run_installer(
        ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec',
         f'{covered}exec "$@"', 'apt-get', 'apt-get', '--yes', '--quiet',
         '-o', 'DPkg::Lock::Timeout=300', *options, *arguments],
        log, f'apt-get {arguments[0]}', DEBIAN_FRONTEND='noninteractive')


@dataclasses.dataclass(frozen=True)
class AptSource:
    """An entry in a file of apt's sources.

    :ivar kind: suffix of files with this format: ``list`` or ``sources``
    :ivar uris: archives
    :ivar suites: suites that are used of each archive
    :ivar components: components that are used of each suite
    :ivar before: the entry's text up to its suites
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
        """The releases in it, in the form of :func:`places`.

        Suites that only accompany a release (security, updates, backports)
        are left out: their archive need not be the release's.
        """
        return {f'{uri.rstrip("/")} {suite}/{component}'
                for uri in self.uris for suite in self.suites
                for component in self.components if '-' not in suite}


@contextlib.contextmanager
def backports(package: str) -> typing.Iterator[list[str]]:
    """Let apt-get take a package from backports.

    :param package: name of a Debian package that the lists know
    :returns: options of apt-get; valid until the context ends
    :raises errors.LabError: if no entry for the release is understood
    """
    release = platform.freedesktop_os_release()
    suite = f'{release.get("VERSION_CODENAME", "stable")}-backports'
    files = _source_files()
    entries = _entries(files)
    if any(suite in entry.suites for entry in entries):
        # A second entry for the same suite might contradict the first.
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


def _source_files() -> list[pathlib.Path]:
    """Return the files of apt's sources, in apt's order."""
    return [path for path in (SOURCES, *sorted(PARTS.glob('*')))
            if path.suffix in ('.list', '.sources') and path.is_file()]


def _entries(files: typing.Iterable[pathlib.Path]) -> list[AptSource]:
    entries: list[AptSource] = []
    for file in files:
        read = _from_lines if file.suffix == '.list' else _from_fields
        entries += read(file.read_text(encoding='utf-8', errors='replace'))
    return entries


def _origin(package: str, entries: typing.Iterable[AptSource],
            suite: str) -> AptSource:
    """Return the entry from which the machine gets a package.

    :param package: name of a Debian package that the lists know
    :param entries: all entries
    :param suite: the suite that is wanted from the same archive
    :raises errors.LabError: if there is none that is understood
    """
    offering = places(package)
    if not offering:
        raise errors.LabError(
            f'apt knows no source of {package}: check that apt-get update '
            f'works.')
    for entry in entries:
        if entry.places & offering:
            return entry
    raise errors.LabError(
        f'No entry that offers {package} is understood in {SOURCES} and '
        f'{PARTS}: add {suite} to the sources there.')


def download(packages: typing.Sequence[str], suite: str,
             folder: pathlib.Path, log: pathlib.Path) -> list[pathlib.Path]:
    """Download packages of another suite with everything that they need.

    As if nothing were installed: the C library comes along. The machine's apt
    and packages are not changed.

    :param packages: names; the machine's apt knows the first one
    :param suite: of the archive of the machine's own release, such as trixie;
        of RELEASE-backports, the rest comes from RELEASE
    :param folder: for apt's lists and the packages; it is empty
    :param log: file for apt's output
    :returns: the packages, each once
    :raises errors.LabError: if there is no such suite, or apt-get fails
    """
    origin = _origin(packages[0], _entries(_source_files()), suite)
    sources = folder / f'sources.{origin.kind}'
    sources.write_text('\n\n'.join(
        f'{origin.before}{each}{origin.after}'
        # Its own suites come first in the name: trixie-backports.
        for each in dict.fromkeys((suite.partition('-')[0], suite))) + '\n')
    for each in ('state/lists/partial', 'cache/archives/partial'):
        (folder / each).mkdir(parents=True)
    (folder / 'state' / 'status').touch()
    options = ['-t', suite, *(f'--option={name}={value}' for name, value in (
        ('Dir::Etc::sourcelist', sources), ('Dir::Etc::sourceparts', '-'),
        ('Dir::State', folder / 'state'),
        ('Dir::State::status', folder / 'state' / 'status'),
        ('Dir::Cache', folder / 'cache'),
        # The state folder is not for other users.
        ('APT::Sandbox::User', 'root')))]
    _apt_get(['update'], log, options[2:])
    _apt_get(['install', '--no-install-recommends', '--download-only',
              *packages], log, options)
    return sorted((folder / 'cache' / 'archives').glob('*.deb'))


def _from_lines(text: str) -> typing.Iterator[AptSource]:
    for line in filter(None, map(LINE.match, text.splitlines())):
        components = line['components'].strip()
        yield AptSource(
            'list', (line['uri'],), (line['suite'],),
            tuple(components.split()),
            f'deb {line["options"] or ""}{line["uri"]} ', f' {components}')


def _from_fields(text: str) -> typing.Iterator[AptSource]:
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
        yield AptSource(
            'sources', tuple(fields.get('uris', '').split()),
            tuple(suites.split()),
            tuple(fields.get('components', '').split()),
            'types: deb\nsuites: ', rest)


def run_installer(command: typing.Sequence[str], log: pathlib.Path,
                  doing: str, **environment: str) -> None:
    """Run a command and append its output to a file.

    :param command: program and arguments
    :param log: the file
    :param doing: purpose of the command, the beginning of an error message
    :param environment: variables added to the environment
    :raises errors.LabError: if it fails: the purpose, the reason, the log
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Reasons are found by English words.
    values = {'LC_ALL': 'C.UTF-8'} | environment
    with open(log, 'a', encoding='utf-8') as stream:
        before = stream.tell()
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=stream,
            stderr=subprocess.STDOUT, env=os.environ | values)
    if result.returncode:
        raise errors.LabError(
            f'{doing} failed: {find_reason(log, before)} '
            f'(whole output: {log}).')


def find_reason(log: pathlib.Path, offset: int = 0) -> str:
    """Return the line of a log that best explains a failure.

    :param log: the file
    :param offset: start of the program's output, in bytes
    :returns: the last line that mentions an error, or else the last line
    """
    if not log.exists():
        return 'it printed nothing'
    text = log.read_bytes()[offset:].decode('utf-8', errors='replace')
    if os.strerror(errno.ENOSPC) in text:
        return 'the disk is full; free some space and try again'
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # pip's last line of a conflict only leads to a page.
    telling = [line for line in lines
               if ('error' in line.lower() or line.startswith('E: '))
               and 'ResolutionImpossible' not in line]
    return (telling or lines or ['it printed nothing'])[-1].rstrip('.')
