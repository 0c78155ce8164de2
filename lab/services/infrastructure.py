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

"""MariaDB, and the services' databases, prepared once and kept by version.

All schema migrations together take over a minute. The result (and the users
of the services) is kept as a copy of MariaDB's files, under a name that is a
digest of everything that it depends on.
"""

import functools
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

from lab import configuration
from lab import layout
from lab.machine import overlays
from lab.machine import virtualenvs
from lab.services import base
from lab.steps import Step
from lab.topology import CONTROLLER
from lab.topology import Topology

MARIADBD = '/usr/sbin/mariadbd'
#: Number of prepared databases that are kept beside a new one: those of other
#: versions of projects. Each takes about 170 MB.
KEPT = 3
#: The step after which keystone, which makes all users, finds its database.
KEYSTONE_SCHEMA = 'schema of keystone'
#: The step after which all services of every lab are known to keystone.
ACCOUNTS = 'accounts and catalogue'


class MariaDb(base.Service):
    """The database server, with the databases of all services."""

    name = 'mariadb'
    packages = ('mariadb-server-core', 'mariadb-client')
    configuration = 'mariadb.cnf'

    @functools.cached_property
    def kept(self) -> pathlib.Path:
        """Return the folder of databases that were prepared before."""
        version = subprocess.run([MARIADBD, '--version'], check=True,
                                 capture_output=True).stdout
        digest = hashlib.sha256(version)
        # The constraints name the pinned releases, which need not be those
        # that run.
        for project in self.lab.projects:
            digest.update(overlays.schema_digest(
                self.paths.code / project / CONTROLLER.name,
                project).encode())
        digest.update(self.paths.secrets.read_bytes())
        # The services' modules say how schemas, users and endpoints are
        # made, and topology.py has the addresses of endpoints.
        modules = {__name__, base.__name__, Topology.__module__}
        templates = {self.configuration}
        pins = set()
        for service in self.lab.with_databases:
            modules.add(type(service).__module__)
            templates.update(service.stored)
            pins.add(virtualenvs.constraints(service.venv))
        for source in (
                *sorted(pins),
                *(pathlib.Path(str(sys.modules[name].__file__))
                  for name in sorted(modules)),
                *(configuration.TEMPLATES / f'{name}.j2'
                  for name in sorted(templates))):
            digest.update(source.read_bytes())
        return self.paths.cache / f'database-{digest.hexdigest()[:16]}'

    @property
    def is_kept(self) -> bool:
        """Return whether databases were prepared for these versions."""
        return self.kept.exists()

    def programs(self) -> list[base.Program]:
        """Return the server."""
        return [self.program(
            'mariadb', MARIADBD, f'--defaults-file={self.etc}/mariadb.cnf',
            port=3306, before=self._restore, after=self._create)]

    def steps(self) -> list[Step]:
        """Start the server, and prepare databases if none are kept."""
        if self.is_kept:
            return [*super().steps(),
                    self.step(KEYSTONE_SCHEMA, lambda: None, 'mariadb'),
                    self.step(base.DATABASES, lambda: None, 'mariadb')]
        schemas = [
            self.step(f'schema of {service.name}', service.migrate, 'mariadb')
            for service in self.lab.with_databases]
        return [*super().steps(), *schemas, self.step(
            base.DATABASES, self.keep, ACCOUNTS,
            *(schema.name for schema in schemas))]

    def _restore(self) -> None:
        """Put the server's files in place, prepared or empty."""
        if self.is_kept:
            # The time of the folder is that of its last use.
            os.utime(self.kept)
            shutil.copytree(self.kept / 'mariadb', self.data / 'mariadb')
            shutil.copytree(self.kept / 'keys', self.paths.keys)
        else:
            base.run('mariadb-install-db',
                     f'--defaults-file={self.etc}/mariadb.cnf',
                     '--auth-root-authentication-method=socket',
                     '--skip-test-db')

    def _create(self) -> None:
        """Make empty databases, unless they are kept ones."""
        if self.is_kept:
            return
        password = configuration.passwords(self.paths)['database']
        statements = [f"CREATE USER 'lab'@'%' IDENTIFIED BY '{password}';"]
        for service in self.lab.with_databases:
            for name in service.databases:
                statements += [
                    f'CREATE DATABASE {name};',
                    f"GRANT ALL PRIVILEGES ON {name}.* TO 'lab'@'%';"]
        # On a command line everybody could read the password.
        base.run('mariadb', f'--socket={layout.RUN}/mariadb.sock',
                 text='\n'.join(statements))

    def keep(self) -> None:
        """Copy the prepared databases to where the next start finds them."""
        self.lab.supervisor.stop('mariadb')
        unfinished = self.kept.with_name('.database-unfinished')
        shutil.rmtree(unfinished, ignore_errors=True)
        others = sorted(self.paths.cache.glob('database-*'),
                        key=lambda path: path.stat().st_mtime)
        for old in others[:-KEPT]:
            shutil.rmtree(old)
        shutil.copytree(self.data / 'mariadb', unfinished / 'mariadb')
        shutil.copytree(self.paths.keys, unfinished / 'keys')
        unfinished.rename(self.kept)
        [server] = self.programs()
        self.launch(server)


class RabbitMq(base.Service):
    """RabbitMQ, for RPC between the daemons of a service."""

    name = 'rabbitmq'
    packages = ('rabbitmq-server',)
    configuration = 'rabbitmq.conf'

    def configure(self) -> None:
        """Write its files; empty ones keep it from the machine's own."""
        super().configure()
        layout.write(self.etc / 'rabbitmq-plugins', '[].\n')
        layout.write(self.etc / 'rabbitmq-env.conf', '')

    def programs(self) -> list[base.Program]:
        """Return the broker."""
        data = str(self.data / 'rabbitmq')
        return [self.program(
            'rabbitmq', '/usr/lib/rabbitmq/bin/rabbitmq-server', port=5672,
            environment={
                'RABBITMQ_NODENAME': f'rabbit@{self.host.name}',
                'RABBITMQ_CONFIG_FILE': str(self.etc / 'rabbitmq.conf'),
                'RABBITMQ_CONF_ENV_FILE': str(self.etc / 'rabbitmq-env.conf'),
                'RABBITMQ_ENABLED_PLUGINS_FILE': str(
                    self.etc / 'rabbitmq-plugins'),
                'RABBITMQ_MNESIA_BASE': data,
                'RABBITMQ_LOG_BASE': data,
                'RABBITMQ_PID_FILE': f'{data}/pid',
                'RABBITMQ_DIST_PORT': '25672',
                # Schedulers of Erlang that wait busily would take both
                # cores.
                'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': (
                    '+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2'),
                'ERL_EPMD_ADDRESS': self.host.address})]


class Memcached(base.Service):
    """memcached, in which keystone and nova keep tokens."""

    name = 'memcached'
    packages = ('memcached',)

    def programs(self) -> list[base.Program]:
        """Return the server."""
        return [self.program('memcached', '/usr/bin/memcached', '-u', 'root',
                             '-l', self.host.address, '-m', 64)]
