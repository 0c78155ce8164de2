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

"""Writes the configuration files of every host from templates."""

import json
import pathlib
import secrets as randomness
import typing
import uuid

import jinja2

from lab.cloud import ceph
from lab.cloud import programs
from lab import files
from lab import layout as layouts
from lab import topology as topologies

REGION = 'RegionOne'
TEMPLATES = pathlib.Path(__file__).resolve().parent.parent / 'templates'
#: Passwords that a lab has: who uses each is told by its name.
SECRETS = ('admin', 'database', 'messaging', 'metadata', 'service')
#: Templates of which each host of a kind gets its own text.
CONTROLLER_FILES = (
    'cinder.conf', 'glance-api.conf', 'keystone.conf', 'mariadb.cnf',
    'neutron.conf', 'nova.conf', 'placement.conf', 'rabbitmq.conf')
COMPUTE_FILES = ('metadata-agent.ini', 'nova.conf', 'sshd_config')
#: Folders that services expect to find, below each host's data.
DATA_FOLDERS = ('tmp', 'locks', 'nova', 'neutron', 'glance', 'cinder')
#: These are read at a fixed place, which is mounted from the host's data.
LIBVIRT_FILES = ('libvirtd.conf', 'qemu.conf')

#: What makes a key for Ceph known to libvirt, on each compute host.
CEPH_SECRET_FILES = ('key', 'xml')

#: Lines of /etc/passwd and /etc/group, with Debian's numbers.
QEMU_USER = {
    'passwd': 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/bin/false\n',
    'group': 'libvirt-qemu:x:64055:\n',
}
#: Line of /etc/shadow of a root who has no password and is not locked.
ROOT_SHADOW = 'root:*:::::::\n'


def passwords(layout: layouts.Layout) -> dict[str, str]:
    """The lab's passwords, made when they are first asked for.

    :param layout: paths of the lab
    :returns: a password for each name of :data:`SECRETS`
    """
    try:
        known = json.loads(layout.secrets.read_text())
    except (FileNotFoundError, ValueError):
        # A new lab, or a file that is damaged: databases that were prepared
        # with other passwords are kept under another name.
        known = {}
    if not isinstance(known, dict) or set(known) != set(SECRETS):
        known = {name: randomness.token_hex(16) for name in SECRETS}
        files.write_json(layout.secrets, known, mode=0o600)
    return known


class Writer:
    """Renders templates for one lab.

    :param layout: paths of the lab
    :param topology: the hosts
    """

    def __init__(self, layout: layouts.Layout,
                 topology: topologies.Topology) -> None:
        self.layout = layout
        self.topology = topology
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True,
            lstrip_blocks=True, keep_trailing_newline=True,
            undefined=jinja2.StrictUndefined,
            # Configuration files, not HTML; nothing in them comes from
            # outside of the lab.
            autoescape=False)  # noqa: S701
        self._common = {
            'layout': layout, 'topology': topology,
            'controller': topologies.CONTROLLER.address, 'region': REGION,
            'secrets': passwords(layout), 'run': layouts.RUN,
            'provider': topologies.PROVIDER_NAME, 'ceph': ceph,
            'cloud_bin': layout.venvs / 'cloud' / 'bin',
            'share': layout.venvs / 'cloud' / 'etc',
        }

    def render(self, template: str, **values: typing.Any) -> str:
        """The text of a template.

        :param template: its name without the ending ``.j2``
        :param values: what it needs beside the lab's own facts
        """
        return self._templates.get_template(f'{template}.j2').render(
            self._common | values)

    def write_all(self) -> None:
        """Write the files of all hosts and of the supervisor."""
        for host in self.topology.hosts:
            etc, data = self.layout.etc(host.name), self.layout.data(host.name)
            for folder in (etc, *(data / name for name in DATA_FOLDERS)):
                folder.mkdir(parents=True, exist_ok=True)
            names = CONTROLLER_FILES if host.is_controller else COMPUTE_FILES
            for name in names:
                self._write(etc / name, name, host=host, etc=etc,
                            variables=programs.variables(self.layout,
                                                         host.name))
            files.write(etc / 'etc-hosts', self.render('hosts'))
            if self.topology.has_ceph:
                self._write_ceph(host)
            if not host.is_controller:
                self._write_libvirt(host)
                # Where the machine's root is locked, sshd would not take a
                # key either.
                files.write(etc / 'etc-shadow', ROOT_SHADOW, mode=0o600)
        self._write_controller()

    def _write(self, path: pathlib.Path, template: str,
               **values: typing.Any) -> None:
        # Nearly every file holds a password.
        files.write(path, self.render(template, **values), mode=0o600)

    def _write_libvirt(self, host: topologies.Host) -> None:
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, host.name)
        for name in LIBVIRT_FILES:
            self._write(
                self.layout.data(host.name) / 'etc' / 'libvirt' / name,
                name, host=host, host_uuid=identity)

        # libvirtd wants to know this user although it will not use it.
        # Debian makes it together with services that a machine would start.
        for name, entry in QEMU_USER.items():
            known = pathlib.Path('/etc', name).read_text().rstrip('\n') + '\n'
            lacks = f'\n{entry.partition(":")[0]}:' not in known
            files.write(self.layout.etc(host.name) / f'etc-{name}',
                        known + (entry if lacks else ''))

    def _write_ceph(self, host: topologies.Host) -> None:
        etc, own = self.layout.etc(host.name), self.layout.ceph(host.name)
        files.write(own / 'ceph.conf',
                    self.render('ceph.conf', host=host, etc=etc))
        if host.is_controller:
            # cinder-volume runs here; nova-compute does not.
            users = [ceph.ADMIN, ceph.GLANCE, *(
                user for user in ceph.disk_users(self.topology)
                if user != ceph.NOVA)]
            self._write(etc / 'ceph.keyring', 'ceph.keyring',
                        users=ceph.users(self.topology))
        else:
            users = [ceph.NOVA]
            for user in ceph.disk_users(self.topology):
                for kind in CEPH_SECRET_FILES:
                    self._write(etc / f'{user.name}.{kind}',
                                f'ceph-secret.{kind}', user=user)
        for user in users:
            self._write(own / f'ceph.{user.name}.keyring', 'ceph.keyring',
                        users=(user,))

    def _write_controller(self) -> None:
        etc = self.layout.etc(topologies.CONTROLLER.name)
        files.write(etc / 'rabbitmq-plugins', '[].\n')
        files.write(etc / 'rabbitmq-env.conf', '')
        for application in programs.applications(self.layout, self.topology):
            self._write(etc / f'uwsgi-{application.name}.ini', 'uwsgi.ini',
                        application=application)
        self._write(self.supervisor_conf, 'supervisord.conf',
                    programs=programs.plan(self.layout, self.topology),
                    supervisor_socket=layouts.SUPERVISOR_SOCKET)

    @property
    def supervisor_conf(self) -> pathlib.Path:
        """The supervisor's configuration file."""
        return self.layout.etc(topologies.CONTROLLER.name) / 'supervisord.conf'
