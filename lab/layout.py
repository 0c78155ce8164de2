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

"""Where everything of a lab lies: all of it below one state folder."""

from __future__ import annotations

import dataclasses
import os
import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

#: What a state folder holds; whatever else is in it is not the lab's.
ENTRIES = ('cache', 'cloud', 'install', 'lock', 'log', 'secrets.json', 'venvs',
           'workspace')
#: Folders that libvirt and Open vSwitch have at fixed places. Each compute
#: host has its own mounted there.
PRIVATE = ('/etc/libvirt', '/etc/openvswitch', '/var/lib/libvirt',
           '/var/lib/openvswitch', '/var/cache/libvirt', '/var/log/libvirt')
#: Where all that uses Ceph looks for its configuration and its key. Each
#: host has its own mounted there, if the lab has a Ceph cluster.
CEPH = '/etc/ceph'
#: Places at which hosts do not see what the machine has there.
COVERED = ('/run', '/sys', CEPH, *PRIVATE)
#: Longest path of the state folder, in bytes. Unix sockets below it have
#: room for 107 in all; the longest is that of oslo.privsep, in
#: cloud/data/compute1/tmp/tmpXXXXXXXX/privsep.sock.
MAX_ROOT_LENGTH = 55


def is_own(name: str) -> bool:
    """Whether something in a state folder is the lab's.

    :param name: name of the entry
    """
    # A file that is being written has a dot before its name, and more behind.
    return name in ENTRIES or any(name.startswith(f'.{entry}.')
                                  for entry in ENTRIES)


def state_folder(environ: dict[str, str] | None = None) -> pathlib.Path:
    """The folder that holds a lab's state.

    :param environ: environment, ``os.environ`` by default
    :returns: LM_LAB_DIR, or ``.lab`` in the repository; absolute
    """
    value = (os.environ if environ is None else environ).get('LM_LAB_DIR')
    return pathlib.Path(value).resolve() if value else REPOSITORY / '.lab'


@dataclasses.dataclass(frozen=True)
class Layout:
    """Paths of one lab.

    What ``up`` makes anew lies in ``cloud`` and ``log``; what may be kept
    from one cloud to the next in ``venvs`` and ``cache``; what tests leave
    in ``workspace``.

    :ivar root: the state folder
    """

    root: pathlib.Path

    @property
    def venvs(self) -> pathlib.Path:
        """The two virtualenvs."""
        return self.root / 'venvs'

    def venv_bin(self, venv: str, program: str) -> str:
        """Path of a program of the virtualenv ``cloud`` or ``tempest``."""
        return str(self.venvs / venv / 'bin' / program)

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
    def ready(self) -> pathlib.Path:
        """Written when the cloud is usable; holds its topology."""
        return self.cloud / 'ready.json'

    def etc(self, host: str) -> pathlib.Path:
        """Configuration files of one host."""
        return self.cloud / 'etc' / host

    def data(self, host: str) -> pathlib.Path:
        """Data of one host's services."""
        return self.cloud / 'data' / host

    def ceph(self, host: str) -> pathlib.Path:
        """What one host has as :data:`CEPH`."""
        return self.etc(host) / 'ceph'

    @property
    def instances(self) -> pathlib.Path:
        """nova's instances_path, the same on all hosts.

        Each host has a folder of its own mounted there. With different
        paths the destination of a migration opens the source's disk.
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
    def records(self) -> pathlib.Path:
        """Where tests write records, by default: results_directory."""
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
        """The private key that the compute hosts let in."""
        return self.workspace / 'etc' / 'id_ed25519'

    @property
    def known_hosts(self) -> pathlib.Path:
        """The compute hosts' public keys."""
        return self.workspace / 'etc' / 'known_hosts'


#: In the lab's private /run, a tmpfs that vanishes with the lab.
RUN = pathlib.Path('/run/lab')
SUPERVISOR_SOCKET = RUN / 'supervisor.sock'


def namespace(host: str, kind: str) -> pathlib.Path:
    """The file that leads to a namespace of a compute host.

    :param host: name of the compute host
    :param kind: ``net``, ``mnt`` or ``uts``
    """
    return RUN / host / kind
