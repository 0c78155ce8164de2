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

"""The programs of a Zuul, their configuration, and the steps that start them.

Everything listens on the loopback interface of the Zuul's own network.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import typing

import jinja2

from gate import machine
from gate.machine import HOST
from gate import patches
from gate import rest
from gate.review import changes
from lab import configuration
from lab import errors
from lab.hosts import sandbox
from lab import layout
from lab.machine import debian
from lab import steps
from lab import supervisor
from lm_tempest_plugin import utils

#: The project with pipelines, jobs and the node.
CONFIG = 'config'
PACKAGES = ('bubblewrap', 'git', 'iproute2', 'libnetty-java',
            'libslf4j-java', 'mariadb-client', 'mariadb-server-core',
            'openssh-client', 'openssh-server', 'openssl', 'slirp4netns',
            'zookeeper')
PORTS = {'logs': 8000, 'node': 22, 'review': 29418, 'web': rest.PORT,
         'zookeeper': 2281}
TEMPLATES = pathlib.Path(__file__).parent / 'templates'
ZUUL = ('scheduler', 'executor', 'launcher', 'web')
JAVA = pathlib.Path('/usr/share/java')
#: Debian's zookeeper.jar names no netty in its manifest; TLS needs it.
JARS = ('zookeeper', 'slf4j-simple', *(f'netty-{part}' for part in (
    'buffer', 'codec', 'common', 'handler', 'resolver', 'transport',
    'transport-native-epoll', 'transport-native-unix-common')))
#: Zuul looks for these versions of Ansible when it starts; jobs use the later.
ANSIBLE_VERSIONS = ('9', '11')
READY_SECONDS = 180
PORT_SECONDS = 60
#: A job's lab needs the processor more than Zuul does.
NICE = ('nice', '--adjustment=5')
#: Variables of the user that tell pip and apt where packages are.
PASSED = ('pip_', 'http_proxy', 'https_proxy', 'no_proxy', 'ssl_cert_file',
          'requests_ca_bundle')


@dataclasses.dataclass(frozen=True)
class Program:
    """A program that the supervisor keeps.

    :ivar identifier: its name
    :ivar command: program and arguments
    :ivar log: the file that receives its output
    :ivar environment: its variables
    """

    identifier: str
    command: tuple[str, ...]
    log: pathlib.Path
    environment: dict[str, str]

    @property
    def command_line(self) -> str:
        """Return the whole command, quoted, for the supervisor."""
        return shlex.join(self.command)

    @property
    def environment_line(self) -> str:
        """Return the environment in the supervisor's notation."""
        return ','.join(f'{name}="{value}"'
                        for name, value in self.environment.items())


class Services:
    """The services of a Zuul.

    :param paths: paths of the Zuul
    """

    def __init__(self, paths: machine.Layout) -> None:
        self._paths = paths
        self.etc = paths.etc(HOST)
        self.keys = self.etc / 'keys'
        self._certificates = self.etc / 'certificates'
        self._log = paths.root / 'install' / 'services.log'
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader((TEMPLATES,
                                            configuration.TEMPLATES)),
            trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
            undefined=jinja2.StrictUndefined,
            # Configuration files, not HTML.
            autoescape=False)  # noqa: S701

    def render(self, template: str, **values: typing.Any) -> str:
        """Return the text of a template.

        :param template: its name without the ending ``.j2``
        :param values: values beside the common ones
        """
        return self._templates.get_template(f'{template}.j2').render(
            certificates=self._certificates, etc=self.etc,
            jobs=machine.JOBS, keys=self.keys, layout=self._paths,
            ports=PORTS, review_url=changes.URL, run=layout.RUN, **values)

    @property
    def supervisor_conf(self) -> pathlib.Path:
        """Return the supervisor's configuration file."""
        return self.etc / 'supervisord.conf'

    @functools.cached_property
    def supervisor(self) -> supervisor.Supervisor:
        """Return the supervisor, which runs already."""
        return supervisor.Supervisor(sandbox.inside(
            machine.find(self._paths), layout.SUPERVISOR_SOCKET))

    @property
    def _variables(self) -> dict[str, str]:
        """Return the variables of all programs and of sessions on the node.

        The user's own folders are left alone, and no file is left in /tmp.
        """
        return {'HOME': str(self._paths.node), 'LC_ALL': 'C.UTF-8',
                'PATH': sandbox.SYSTEM_PATH,
                'TMPDIR': str(self._paths.services / 'tmp')}

    def programs(self) -> list[Program]:
        """Return all programs."""
        commands = {
            'mariadb': ('/usr/sbin/mariadbd',
                        f'--defaults-file={self.etc}/mariadb.cnf'),
            'zookeeper': (
                'java', '-Xmx384m', '-XX:+UseSerialGC',
                '-XX:TieredStopAtLevel=1', '-cp',
                ':'.join(str(JAVA / f'{jar}.jar') for jar in JARS),
                'org.apache.zookeeper.server.quorum.QuorumPeerMain',
                str(self.etc / 'zoo.cfg')),
            'logs': (sys.executable, '-m', 'http.server', '--bind',
                     '127.0.0.1', '--directory', str(self._paths.builds),
                     str(PORTS['logs'])),
            **{f'sshd-{name}': ('/usr/sbin/sshd', '-D', '-e', '-f',
                                str(self.etc / f'sshd-{name}'))
               for name in ('node', 'review')},
            **{name: (self._paths.venv_bin('machine', f'zuul-{name}'), '-f',
                      '-c', str(self.etc / 'zuul.conf')) for name in ZUUL}}
        return [Program(
            name, command if name == 'sshd-node' else (*NICE, *command),
            self._paths.log / f'{name}.log', self._variables)
            for name, command in commands.items()]

    def configure(self) -> None:
        """Write the files of all services, with new keys.

        :raises errors.LabError: if a key cannot be made
        """
        paths = self._paths
        for folder in (self.keys, self._certificates, self.etc / 'ansible',
                       paths.services / 'tmp', paths.node / '.ssh',
                       paths.builds):
            folder.mkdir(parents=True, exist_ok=True)
        self._make_keys()
        self._make_certificates()
        for version in ANSIBLE_VERSIONS:
            layout.link(self.etc / 'ansible' / version,
                        paths.venvs / 'ansible')
        for name, template in (('zuul.conf', 'zuul.conf'),
                               ('main.yaml', 'main.yaml'),
                               ('zoo.cfg', 'zoo.cfg'),
                               ('mariadb.cnf', 'mariadb-zuul.cnf')):
            layout.write(self.etc / name, self.render(
                template, tenant=rest.TENANT, config=CONFIG,
                nova=patches.NOVA, plugin=patches.PLUGIN), mode=0o600)
        for name in ZUUL:
            layout.write(self.etc / f'log-{name}.yaml',
                         self.render('log.yaml', program=name))
        review = shlex.join((
            'env', f'PYTHONPATH={layout.REPOSITORY}', sys.executable, '-m',
            'gate.review', str(paths.review)))
        for name, command in (('node', ''), ('review', review)):
            layout.write(self.etc / f'sshd-{name}', self.render(
                'sshd', program=f'sshd-{name}', port=PORTS[name],
                command=command, environment=self._session()), mode=0o600)
        # root's home would be the user's own.
        layout.write(self.etc / 'etc-passwd', ''.join(
            ':'.join((*fields[:5], str(paths.node), '/bin/bash\n'))
            if (fields := line.split(':'))[0] == 'root' else line
            for line in open('/etc/passwd', encoding='utf-8')))
        layout.write(self.supervisor_conf, self.render(
            'supervisord.conf', programs=self.programs(),
            supervisor_socket=layout.SUPERVISOR_SOCKET), mode=0o600)

    def _session(self) -> str:
        """Return the variables of a session, in the notation of sshd."""
        passed = {name: value for name, value in os.environ.items()
                  if name.lower().startswith(PASSED)}
        return ' '.join(f'"{name}={value}"' for name, value
                        in (passed | self._variables).items())

    def _make_keys(self) -> None:
        for name in ('host', 'zuul'):
            debian.run_installer(
                ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', name,
                 '-f', str(self.keys / name)], self._log, 'Making a key')
        layout.write(self._paths.node / '.ssh' / 'known_hosts', ''.join(
            f'{place} {self.host_key}\n' for place in (
                '127.0.0.1', f'[127.0.0.1]:{PORTS["review"]}')))

    @property
    def host_key(self) -> str:
        """Return the public key of the node and of the review server."""
        return ' '.join((self.keys / 'host.pub').read_text().split()[:2])

    def _make_certificates(self) -> None:
        """Make certificates for ZooKeeper; Zuul speaks only TLS with it."""
        folder = self._certificates
        run = functools.partial(debian.run_installer, log=self._log,
                                doing='Making a certificate')
        new = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
               '-nodes']
        names = folder / 'names'
        names.write_text('subjectAltName = DNS:localhost,IP:127.0.0.1\n')
        run(['openssl', 'req', '-x509', *new, '-days', '30', '-subj',
             '/CN=zuul', '-keyout', f'{folder}/ca.key', '-out',
             f'{folder}/ca.pem'])
        for name in ('zookeeper', 'client'):
            run(['openssl', 'req', *new, '-subj', f'/CN={name}', '-keyout',
                 f'{folder}/{name}.key', '-out', f'{folder}/{name}.csr'])
            run(['openssl', 'x509', '-req', '-in', f'{folder}/{name}.csr',
                 '-CA', f'{folder}/ca.pem', '-CAkey', f'{folder}/ca.key',
                 '-CAcreateserial', '-days', '30', '-extfile', str(names),
                 '-out', f'{folder}/{name}.pem'])
        store = folder / 'zookeeper-store.pem'
        store.write_text((folder / 'zookeeper.pem').read_text()
                         + (folder / 'zookeeper.key').read_text())

    def steps(self) -> list[steps.Step]:
        """Return the steps that start all programs, once they have a home."""
        first = ('mariadb', 'zookeeper', 'sshd-node', 'sshd-review', 'logs')
        return [
            steps.Step('mariadb', self._start_mariadb),
            *(steps.Step(name, functools.partial(self._start, name))
              for name in first[1:]),
            *(steps.Step(name, functools.partial(
                self.supervisor.start, name), first) for name in ZUUL),
            steps.Step('Zuul takes changes', self._wait_until_ready, ZUUL)]

    def _start(self, name: str) -> None:
        """Start a program and wait until it takes connections."""
        self.supervisor.start(name)
        supervisor.wait_for_port(name, '127.0.0.1',
                                 PORTS[name.removeprefix('sshd-')])

    def _start_mariadb(self) -> None:
        debian.run_installer(
            ['mariadb-install-db', f'--defaults-file={self.etc}/mariadb.cnf',
             '--auth-root-authentication-method=normal', '--skip-test-db'],
            self._log, 'Making the database', TMPDIR=str(
                self._paths.services / 'tmp'))
        self.supervisor.start('mariadb')
        command = ['mariadb', f'--socket={layout.RUN}/mariadb.sock',
                   '--execute', 'CREATE DATABASE IF NOT EXISTS zuul']
        utils.wait_until(
            lambda result: result.returncode == 0,
            lambda: subprocess.run(
                ['nsenter', f'--target={machine.find(self._paths).pid}',
                 '--mount', *command], capture_output=True, text=True),
            'MariaDB to make a database', PORT_SECONDS,
            describe=lambda result: result.stderr.strip(),
            error=errors.LabError)

    def _wait_until_ready(self) -> None:
        utils.wait_until(
            bool, rest.is_ready, 'Zuul to load its configuration and its '
            f'node: see {self._paths.log}/scheduler-debug.log',
            READY_SECONDS, error=errors.LabError)


def check_java() -> None:
    """Refuse a machine without the Java that ZooKeeper needs.

    :raises errors.LabError: if it is missing
    """
    if shutil.which('java') is None:
        raise errors.LabError('ZooKeeper needs Java, and Debian\'s zookeeper '
                              'brought none: apt-get install '
                              'default-jre-headless.')
