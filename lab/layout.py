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

"""The state folder of a lab: its paths, its lock, and files written to it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import typing

from lab import errors
from lm_tempest_plugin import utils

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

#: Entries of a state folder; anything else in it is not the lab's.
ENTRIES = ('cache', 'cloud', 'install', 'lock', 'log', 'secrets.json',
           'userlands', 'venvs', 'workspace')
#: Folders with fixed paths in libvirt and Open vSwitch. Each compute host
#: mounts its own there.
PRIVATE = ('/etc/libvirt', '/etc/openvswitch', '/var/lib/libvirt',
           '/var/lib/openvswitch', '/var/cache/libvirt', '/var/log/libvirt')
#: Programs that use Ceph look there for its configuration and key. Each host
#: mounts its own there, if the lab has a Ceph cluster.
CEPH = '/etc/ceph'
#: Hosts do not see the machine's own folders at these paths.
COVERED = ('/run', '/sys', CEPH, *PRIVATE)
#: Longest path of the state folder, in bytes. The path of a Unix socket has
#: room for 107 bytes; the longest one below the state folder is oslo.privsep's
#: cloud/data/compute1/tmp/tmpXXXXXXXX/privsep.sock.
MAX_ROOT_LENGTH = 55


def is_own(name: str, entries: typing.Sequence[str] = ENTRIES) -> bool:
    """Return whether an entry of a state folder belongs to the lab.

    :param name: name of the entry
    :param entries: names of the lab's entries
    """
    # While a file is written, its temporary name is .NAME.SUFFIX.
    return name in entries or any(name.startswith(f'.{entry}.')
                                  for entry in entries)


def state_folder(environ: dict[str, str] | None = None) -> pathlib.Path:
    """Return the folder that holds a lab's state.

    :param environ: environment, ``os.environ`` by default
    :returns: LM_LAB_DIR, or ``.lab`` in the repository; absolute
    """
    value = (os.environ if environ is None else environ).get('LM_LAB_DIR')
    return pathlib.Path(value).resolve() if value else REPOSITORY / '.lab'


@dataclasses.dataclass(frozen=True)
class Layout:
    """Paths of one lab.

    Each ``up`` makes ``cloud`` and ``log`` anew; ``venvs`` and ``cache`` are
    kept from one cloud to the next; tests write into ``workspace``.

    :cvar program: the command that owns the state folder
    :cvar variable: the environment variable that names another folder
    :cvar mark: source of the tmpfs on the /run of its processes, followed by
        the state folder. They are recognised by it in /proc/PID/mountinfo,
        also by other checkouts.
    :cvar entries: names in the state folder
    :cvar max_length: longest path of the state folder, in bytes
    :ivar root: the state folder
    """

    program: typing.ClassVar[str] = 'run-lab.sh'
    variable: typing.ClassVar[str] = 'LM_LAB_DIR'
    mark: typing.ClassVar[str] = 'lm-lab:'
    entries: typing.ClassVar[tuple[str, ...]] = ENTRIES
    max_length: typing.ClassVar[int] = MAX_ROOT_LENGTH

    root: pathlib.Path

    @property
    def venvs(self) -> pathlib.Path:
        """The virtualenvs, and overlays with projects of other sources."""
        return self.root / 'venvs'

    def venv_bin(self, venv: str, program: str) -> str:
        """Return a program of the virtualenv ``cloud`` or ``tempest``."""
        return str(self.venvs / venv / 'bin' / program)

    @property
    def userlands(self) -> pathlib.Path:
        """libvirt and QEMU of other releases of Debian."""
        return self.root / 'userlands'

    def userland(self, host: str) -> pathlib.Path:
        """Return the link to the userland of a host's libvirt and QEMU.

        Hosts that run those of the machine have none.
        """
        return self.cloud / 'userland' / host

    @property
    def cache(self) -> pathlib.Path:
        """Guest image and prepared databases."""
        return self.root / 'cache'

    @property
    def image(self) -> pathlib.Path:
        """The guest image, qcow2."""
        return self.cache / 'guest.qcow2'

    @property
    def secrets(self) -> pathlib.Path:
        """Passwords of this lab, readable by its owner only."""
        return self.root / 'secrets.json'

    @property
    def keys(self) -> pathlib.Path:
        """Keystone's keys for tokens and credentials."""
        return self.data('controller') / 'keys'

    @property
    def lock(self) -> pathlib.Path:
        """Held by the command that is changing this lab."""
        return self.root / 'lock'

    @property
    def cloud(self) -> pathlib.Path:
        """Configuration and data of the running cloud."""
        return self.root / 'cloud'

    @property
    def code(self) -> pathlib.Path:
        """Folder of the links PROJECT/HOST to virtualenvs.

        Programs of a project are started through them, so another target and
        a restart change the code that a host runs.
        """
        return self.cloud / 'code'

    def nova(self, host: str) -> pathlib.Path:
        """Return the link to the virtualenv whose nova a host runs."""
        return self.code / 'nova' / host

    @property
    def ready(self) -> pathlib.Path:
        """Written when the cloud is usable; holds its topology."""
        return self.cloud / 'ready.json'

    def etc(self, host: str) -> pathlib.Path:
        """Return the folder of a host's configuration files."""
        return self.cloud / 'etc' / host

    def data(self, host: str) -> pathlib.Path:
        """Return the folder with the data of a host's services."""
        return self.cloud / 'data' / host

    def ceph(self, host: str) -> pathlib.Path:
        """Return the folder that a host mounts at :data:`CEPH`."""
        return self.etc(host) / 'ceph'

    @property
    def instances(self) -> pathlib.Path:
        """nova's instances_path, the same on all hosts.

        Each host mounts a folder of its own there. With different paths the
        destination of a migration would open the source's disk.
        """
        return self.cloud / 'instances'

    @property
    def log(self) -> pathlib.Path:
        """Logs of all services."""
        return self.root / 'log'

    @property
    def workspace(self) -> pathlib.Path:
        """The Tempest workspace."""
        return self.root / 'workspace'

    @property
    def results(self) -> pathlib.Path:
        """The folder of results files: the default of results_directory."""
        return self.workspace / 'live-migration-ha-results'

    @property
    def clouds_yaml(self) -> pathlib.Path:
        """Credentials for openstacksdk."""
        return self.workspace / 'etc' / 'clouds.yaml'

    @property
    def tempest_conf(self) -> pathlib.Path:
        """Tempest's configuration."""
        return self.workspace / 'etc' / 'tempest.conf'

    @property
    def ssh_key(self) -> pathlib.Path:
        """The private key that the compute hosts accept."""
        return self.workspace / 'etc' / 'id_ed25519'

    @property
    def known_hosts(self) -> pathlib.Path:
        """The compute hosts' public keys."""
        return self.workspace / 'etc' / 'known_hosts'


#: In the private /run of each host, a tmpfs that vanishes with the lab.
RUN = pathlib.Path('/run/lab')
SUPERVISOR_SOCKET = RUN / 'supervisor.sock'


def namespace(host: str, kind: str) -> pathlib.Path:
    """Return the link to a namespace of a compute host.

    :param host: name of the compute host
    :param kind: ``net``, ``mnt`` or ``uts``
    """
    return RUN / host / kind


def write(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    """Write a text file atomically; make its folder if it is missing.

    :param path: the file
    :param text: its whole content
    :param mode: its permissions
    :raises OSError: if it cannot be written; an old file is then unchanged
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    utils.write_atomically(path, text, mode)


def write_json(path: pathlib.Path, value: typing.Any,
               mode: int = 0o644) -> None:
    """Write a value as JSON, atomically; see :func:`write`."""
    write(path, json.dumps(value, indent=2, sort_keys=True) + '\n', mode)


def link(path: pathlib.Path, target: pathlib.Path) -> None:
    """Make a symbolic link, or replace one atomically.

    :param path: the link; its folder is made if it is missing
    :param target: path that it leads to
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'.{path.name}.new')
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(target)
    unfinished.replace(path)


def empty_folder(path: pathlib.Path, mode: int = 0o755) -> pathlib.Path:
    """Make a folder, or empty the present one.

    :param path: the folder
    :param mode: its permissions
    :returns: the same path
    """
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True, mode=mode)
    return path


@contextlib.contextmanager
def locked(paths: Layout) -> typing.Iterator[None]:
    """Hold the lab's lock; the kernel releases it if this process dies.

    :param paths: paths of the lab
    :raises errors.LabError: if another command holds it
    """
    # It will hold passwords.
    paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(paths.lock, 'a+', encoding='ascii') as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise errors.LabError(
                f'Another {paths.program} (process {stream.read().strip()}) '
                f'is changing {paths.root}: wait for it.'
            ) from error
        stream.truncate(0)
        stream.write(f'{os.getpid()}\n')
        stream.flush()
        yield
