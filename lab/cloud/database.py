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

"""The services' databases, prepared once and kept by version.

All schema migrations together take over a minute. What they make (and the
accounts of the services) is kept as a copy of MariaDB's files, under a name
that tells everything it depends on.
"""

import hashlib
import pathlib
import shutil
import subprocess

from lab.cloud import accounts
from lab.cloud import commands
from lab.cloud import configuration
from lab.cloud import supervisor as supervisors
from lab import layout as layouts
from lab.machine import virtualenvs
from lab import topology as topologies

#: All of them whatever a lab consists of, so that one copy is for every lab.
NAMES = ('keystone', 'glance', 'placement', 'neutron', 'nova_api', 'nova',
         'nova_cell0', 'cinder')
MARIADBD = '/usr/sbin/mariadbd'


class Database:
    """MariaDB and what it holds.

    :param layout: paths of the lab
    :param supervisor: keeps the server
    """

    def __init__(self, layout: layouts.Layout,
                 supervisor: supervisors.Supervisor) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._etc = layout.etc(topologies.CONTROLLER.name)
        self._data = layout.data(topologies.CONTROLLER.name) / 'mariadb'
        self._kept = layout.cache / f'database-{self._key()}'

    def _key(self) -> str:
        version = subprocess.run([MARIADBD, '--version'], check=True,
                                 capture_output=True).stdout
        digest = hashlib.sha256(version)
        digest.update(self._layout.secrets.read_bytes())
        for source in (virtualenvs.LAB / 'constraints-cloud.txt',
                       pathlib.Path(__file__), pathlib.Path(accounts.__file__),
                       pathlib.Path(topologies.__file__),
                       *(configuration.TEMPLATES / f'{name}.j2' for name in
                         ('_common', 'mariadb.cnf', 'nova.conf'))):
            digest.update(source.read_bytes())
        return digest.hexdigest()[:16]

    @property
    def is_kept(self) -> bool:
        """Whether databases for these versions were prepared before."""
        return self._kept.exists()

    def start(self) -> None:
        """Put the server's files in place, prepared or empty; start it."""
        if self.is_kept:
            shutil.copytree(self._kept / 'mariadb', self._data)
            shutil.copytree(self._kept / 'keys', self._layout.keys)
        else:
            commands.run('mariadb-install-db',
                         f'--defaults-file={self._etc}/mariadb.cnf',
                         '--auth-root-authentication-method=socket',
                         '--skip-test-db')
        self._up()
        if not self.is_kept:
            self._create()

    def _up(self) -> None:
        self._supervisor.start('mariadb')
        commands.wait_for_port('mariadb', topologies.CONTROLLER.address,
                               3306)

    def _create(self) -> None:
        password = configuration.passwords(self._layout)['database']
        statements = [f"CREATE USER 'lab'@'%' IDENTIFIED BY '{password}';"]
        for name in NAMES:
            statements += [
                f'CREATE DATABASE {name};',
                f"GRANT ALL PRIVILEGES ON {name}.* TO 'lab'@'%';"]
        commands.run('mariadb', f'--socket={layouts.RUN}/mariadb.sock',
                     text='\n'.join(statements))

    def keep(self) -> None:
        """Copy the prepared databases to where the next start finds them."""
        self._supervisor.stop('mariadb')
        unfinished = self._kept.with_name('.database-unfinished')
        shutil.rmtree(unfinished, ignore_errors=True)
        for old in self._layout.cache.glob('database-*'):
            shutil.rmtree(old)
        shutil.copytree(self._data, unfinished / 'mariadb')
        shutil.copytree(self._layout.keys, unfinished / 'keys')
        unfinished.rename(self._kept)
        self._up()

    def _manage(self, program: str, *arguments: str, **values: str) -> None:
        configurations = {'nova-manage': 'nova.conf',
                          'glance-manage': 'glance-api.conf',
                          'keystone-manage': 'keystone.conf',
                          'placement-manage': 'placement.conf',
                          'neutron-db-manage': 'neutron.conf',
                          'cinder-manage': 'cinder.conf'}
        commands.run(
            self._layout.venv_bin('cloud', program),
            f'--config-file={self._etc / configurations[program]}',
            *arguments, **values)

    def prepare_keystone(self) -> None:
        """Keystone's schema, keys and administrator."""
        for kind in ('fernet', 'credential'):
            folder = self._layout.keys / kind
            folder.mkdir(parents=True, mode=0o700)
            self._manage('keystone-manage', f'{kind}_setup',
                         '--keystone-user=root', '--keystone-group=root')
        self._manage('keystone-manage', 'db_sync')
        url = f'http://{topologies.CONTROLLER.address}:5000/v3'
        self._manage(
            'keystone-manage', 'bootstrap',
            f'--bootstrap-region-id={configuration.REGION}',
            f'--bootstrap-public-url={url}',
            f'--bootstrap-internal-url={url}',
            OS_BOOTSTRAP_PASSWORD=configuration.passwords(
                self._layout)['admin'])

    def prepare_glance(self) -> None:
        """Glance's schema."""
        self._manage('glance-manage', 'db_sync')

    def prepare_placement(self) -> None:
        """Placement's schema."""
        self._manage('placement-manage', 'db', 'sync')

    def prepare_neutron(self) -> None:
        """Neutron's schema."""
        self._manage('neutron-db-manage', 'upgrade', 'heads')

    def prepare_cinder(self) -> None:
        """Cinder's schema."""
        self._manage('cinder-manage', 'db', 'sync')

    def prepare_nova(self) -> None:
        """Nova's schemas and its two cells."""
        self._manage('nova-manage', 'api_db', 'sync')
        self._manage('nova-manage', 'cell_v2', 'map_cell0')
        self._manage('nova-manage', 'db', 'sync')
        self._manage('nova-manage', 'cell_v2', 'create_cell',
                     '--name=cell1')
