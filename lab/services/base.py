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

"""The service class, and everything that services have in common."""

import collections.abc
import dataclasses
import functools
import importlib
import os
import pathlib
import pkgutil
import shlex
import subprocess
import typing

import openstack

from lab import configuration
from lab import errors
from lab.hosts import sandbox
from lab import layout
from lab.machine import virtualenvs
from lab import services
from lab.steps import Step
from lab import supervisor
from lab.supervisor import Supervisor
from lab.topology import CONTROLLER
from lab.topology import Host
from lab.topology import Topology

#: Priority of the programs that carry guests and their packets, and of those
#: that tell them where guests are. All hosts share the machine's cores;
#: without it a service that starts on one host would stop the packets of all.
DATA_PLANE = -10
#: Steps that services may need beside each other. HOSTS comes before every
#: service by itself. DATABASES: every schema is there, and keystone knows the
#: users; nova-conductor and nova-scheduler exit if it does not. READY: the
#: APIs say that the cloud can be used.
HOSTS = 'hosts and networks'
DATABASES = 'databases'
READY = 'ready'
#: Tools that services call, and that people and faults use inside of the
#: hosts.
TOOLS = ('dosfstools', 'ethtool', 'iproute2', 'iputils-ping', 'kmod',
         'nftables', 'openssh-client', 'procps')

Found = typing.TypeVar('Found', bound='Service')


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """An entry of keystone's catalogue; its user is named as the service.

    :ivar kind: service type
    :ivar port: TCP port on the controller's management address
    :ivar path: path of the API
    """

    kind: str
    port: int
    path: str = ''

    @property
    def url(self) -> str:
        """Return the address of the API."""
        return (f'http://{CONTROLLER.address}:{self.port}'
                f'{self.path}')


@dataclasses.dataclass(frozen=True)
class Application:
    """A WSGI application under uWSGI.

    :ivar name: name of its program
    :ivar module: module that holds the application
    :ivar port: TCP port on the controller's management address
    :ivar processes: number of worker processes. Each has one thread, since
        oslo.policy may answer "forbidden" to requests that arrive while
        another thread loads the rules.
    :ivar environment: variables that lead it to its configuration
    :ivar arguments: content of sys.argv behind the program's name, for an
        application that takes its configuration from there alone
    :ivar needs: as of :class:`Program`
    """

    name: str
    module: str
    port: int
    processes: int
    environment: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Program:
    """A process that the supervisor keeps.

    :ivar host: name of the host that it runs in
    :ivar name: name of the program, unique on its host
    :ivar command: program and arguments
    :ivar environment: variables added to the environment
    :ivar log_folder: folder of its log
    :ivar nice: scheduling priority, see :data:`DATA_PLANE`
    :ivar port: TCP port that it opens on the host's management address;
        it counts as started only then
    :ivar needs: names of services, programs or steps that have to be ready
        before it starts, beside those that its service needs
    :ivar before: called before it starts
    :ivar after: called when it has started
    """

    host: str
    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    log_folder: pathlib.Path
    nice: int = 0
    port: int | None = None
    needs: tuple[str, ...] = ()
    before: collections.abc.Callable[[], object] | None = None
    after: collections.abc.Callable[[], object] | None = None

    @property
    def identifier(self) -> str:
        """Return its name in the whole lab: a compute host's comes first."""
        if self.host == CONTROLLER.name:
            return self.name
        return f'{self.host}-{self.name}'

    @property
    def log(self) -> pathlib.Path:
        """Return the file that receives its output."""
        return self.log_folder / f'{self.identifier}.log'

    @property
    def command_line(self) -> str:
        """Return the whole command, quoted, for the supervisor."""
        priority = ('nice', f'--adjustment={self.nice}') if self.nice else ()
        return shlex.join((*sandbox.enter_compute(self.host), *priority,
                           *self.command))

    @property
    def environment_line(self) -> str:
        """Return the environment in the supervisor's notation."""
        return ','.join(f'{name}="{value}"'
                        for name, value in self.environment)


class Service:
    """A service on one host; each module of this package defines some.

    :cvar name: unique name, for other services' ``needs``
    :cvar on_compute_hosts: one on each compute host, instead of one on the
        controller
    :cvar packages: Debian packages
    :cvar project: distribution that its programs come from, if that is one of
        the cloud's virtualenv
    :cvar schema: commands that make its schema, or update it
    :cvar venv: name of the virtualenv that its programs run in. Any other
        than the cloud's is made only for labs that the service is part of.
    :cvar folders: folders below the host's data that it expects to find
    :cvar configuration: file in the host's etc folder, and its template
    :cvar values: further values for its templates
    :cvar databases: names of its databases
    :cvar stored: its template if the databases hold values from it
    :cvar endpoint: its entry in the catalogue
    :cvar needs: names of services, programs or steps that have to be ready
        before any of its programs starts. A need that is not part of this
        lab (Ceph, for example) is no need.
    :param lab: the lab that it belongs to
    :param host: the host that it runs in
    """

    name: typing.ClassVar[str] = ''
    on_compute_hosts: typing.ClassVar[bool] = False
    packages: typing.ClassVar[tuple[str, ...]] = ()
    project: typing.ClassVar[str] = ''
    schema: typing.ClassVar[tuple[tuple[str, ...], ...]] = ()
    venv: typing.ClassVar[str] = virtualenvs.CLOUD
    folders: typing.ClassVar[tuple[str, ...]] = ()
    configuration: typing.ClassVar[str] = ''
    values: typing.ClassVar[collections.abc.Mapping[str, object]] = {}
    databases: typing.ClassVar[tuple[str, ...]] = ()
    stored: typing.ClassVar[tuple[str, ...]] = ()
    endpoint: typing.ClassVar[Endpoint | None] = None
    needs: typing.ClassVar[tuple[str, ...]] = ()

    def __init__(self, lab: 'Lab', host: Host) -> None:
        self.lab = lab
        self.host = host
        self.paths = lab.paths
        self.etc = lab.paths.etc(host.name)
        self.data = lab.paths.data(host.name)

    @classmethod
    def is_part_of(cls, topology: Topology) -> bool:
        """Return whether a lab with these hosts has this service.

        :param topology: the hosts
        """
        return True

    @property
    def virtualenv(self) -> pathlib.Path:
        """Return the virtualenv that its programs run in, or a link to it."""
        if self.project:
            return self.paths.code / self.project / self.host.name
        return self.paths.venvs / self.venv

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables that programs and SSH sessions have."""
        own = self.paths.code / (self.project or 'nova') / self.host.name
        return {
            'PATH': f'{own}/bin:{self.paths.venvs}/cloud/bin:'
                    f'{sandbox.SYSTEM_PATH}',
            'HOME': str(self.data), 'TMPDIR': str(self.data / 'tmp'),
            'LC_ALL': 'C.UTF-8', 'PYTHONUNBUFFERED': '1'}

    def configure(self) -> None:
        """Write its configuration files."""
        if self.configuration:
            self.write(self.etc / self.configuration, self.configuration)

    def write(self, path: pathlib.Path, template: str,
              **values: typing.Any) -> None:
        """Write a file from a template, readable by its owner only.

        :param path: the file
        :param template: its name without the ending ``.j2``
        :param values: values for the template beside the common ones
        """
        # Nearly every file holds a password.
        layout.write(path, self.render(template, **values), mode=0o600)

    def render(self, template: str, **values: typing.Any) -> str:
        """Return the text of a template for its host; see :meth:`write`."""
        return self.lab.templates.render(
            template, host=self.host, etc=self.etc,
            virtualenv=self.virtualenv, **self.values, **values)

    def migrate(self) -> None:
        """Make the schema in its databases, which are there and empty."""
        self.sync(self.virtualenv)

    def sync(self, virtualenv: pathlib.Path) -> None:
        """Update the schema in its databases.

        :param virtualenv: that of the new code
        :raises errors.LabError: if that fails
        """
        for program, *arguments in self.schema:
            run(virtualenv / 'bin' / program,
                f'--config-file={self.etc / self.configuration}', *arguments)

    def manage(self, program: str, *arguments: str, **environment: str
               ) -> None:
        """Run one of OpenStack's tools with its configuration file.

        :param program: for example ``nova-manage``
        :param arguments: of the tool
        :param environment: variables added to the environment
        :raises errors.LabError: if the tool fails
        """
        run(self.virtualenv / 'bin' / program,
            f'--config-file={self.etc / self.configuration}',
            *arguments, **environment)

    def applications(self) -> tuple[Application, ...]:
        """Return its WSGI applications."""
        return ()

    def programs(self) -> list[Program]:
        """Return all its programs, the WSGI applications first."""
        # The interpreter decides about the virtualenv, not uWSGI's script,
        # which Heat's does not have.
        return [self.program(
            each.name, self.virtualenv / 'bin' / 'python3',
            self.paths.venv_bin('cloud', 'uwsgi'), '--ini',
            self.etc / f'uwsgi-{each.name}.ini', port=each.port,
            needs=each.needs, environment=dict(each.environment))
            for each in self.applications()]

    def program(self, name: str, *command: object,
                environment: collections.abc.Mapping[str, str] | None = None,
                **values: typing.Any) -> Program:
        """Return a program of its host.

        :param name: name of the program
        :param command: program and arguments
        :param environment: variables beside those that all programs have
        :param values: see :class:`Program`
        """
        return Program(
            self.host.name, name, tuple(str(word) for word in command),
            tuple((self.variables | dict(environment or {})).items()),
            self.paths.log, **values)

    def daemon(self, name: str, needs: tuple[str, ...] = ()) -> Program:
        """Return a daemon of OpenStack that reads its configuration file.

        :param name: name of the program
        :param needs: see :class:`Program`
        """
        return self.program(
            name, self.virtualenv / 'bin' / name,
            f'--config-file={self.etc / self.configuration}', needs=needs)

    def steps(self) -> list[Step]:
        """Return the steps that start it: one for each program."""
        return [self.step(program.identifier, functools.partial(
            self.start, program), *program.needs)
            for program in self.programs()]

    def step(self, name: str, run: collections.abc.Callable[[], object],
             *needs: str) -> Step:
        """Return one step of its start.

        :param name: unique name
        :param run: does it
        :param needs: names of services, programs or steps that have to be
            ready before, beside the needs of the service
        """
        return Step(name, run, (HOSTS, *self.needs, *needs))

    def start(self, program: Program) -> None:
        """Start a program, with its commands before and after.

        :param program: one of its programs
        :raises errors.LabError: if it does not stay up or open its port
        """
        if program.before is not None:
            program.before()
        self.launch(program)
        if program.after is not None:
            program.after()

    def launch(self, program: Program) -> None:
        """Start a program and wait for its port, no more."""
        self.lab.supervisor.start(program.identifier)
        if program.port is not None:
            supervisor.wait_for_port(program.identifier, self.host.address,
                                     program.port)

    def missing(self, cloud: openstack.connection.Connection
                ) -> collections.abc.Iterator[str]:
        """Yield each thing that it lacks, by the API, to be usable.

        :param cloud: connection as administrator
        """
        yield from ()


class Lab:
    """A lab with all its services.

    :param paths: paths of the lab
    :param topology: the hosts
    """

    def __init__(self, paths: layout.Layout, topology: Topology) -> None:
        self.paths = paths
        self.topology = topology
        #: Every service of each host, the controller's first.
        self.services: list[Service] = []
        #: Services whose schema alone is in this lab: databases are
        #: prepared once for labs of every kind. It takes their programs.
        self.schemas: list[Service] = []
        kinds = discover()
        for host in topology.hosts:
            for kind in kinds:
                if kind.on_compute_hosts is host.is_controller:
                    continue
                service = kind(self, host)
                if kind.is_part_of(topology):
                    self.services.append(service)
                elif kind.databases and kind.venv == virtualenvs.CLOUD:
                    self.schemas.append(service)

    @functools.cached_property
    def supervisor(self) -> Supervisor:
        """Return the lab's supervisor, as its hosts reach it."""
        return Supervisor(layout.SUPERVISOR_SOCKET)

    @functools.cached_property
    def templates(self) -> configuration.Templates:
        """Return the templates of all configuration files."""
        return configuration.Templates(self.paths, self.topology)

    @property
    def packages(self) -> set[str]:
        """Return the Debian packages of all services."""
        return {package for service in self.services
                for package in service.packages}

    @property
    def virtualenvs(self) -> tuple[str, ...]:
        """Return the names of its services' virtualenvs, the cloud's first."""
        return tuple(dict.fromkeys((virtualenvs.CLOUD, *(
            service.venv for service in self.services))))

    @property
    def projects(self) -> dict[str, list[str]]:
        """Return the names of the hosts that run each project.

        nova comes last, because its services ask all others when they start.
        """
        found: dict[str, dict[str, None]] = {}
        for service in (*self.services, *self.schemas):
            if service.project:
                found.setdefault(service.project, {})[service.host.name] = None
        return {project: list(found[project]) for project in sorted(
            found, key=lambda project: (project == 'nova', project))}

    @property
    def programs(self) -> list[Program]:
        """Return all programs, those of the controller first."""
        return [program for service in self.services
                for program in service.programs()]

    @property
    def with_databases(self) -> list[Service]:
        """Return all services that have databases, in every lab the same."""
        return [service for service in (*self.services, *self.schemas)
                if service.databases]

    @property
    def supervisor_conf(self) -> pathlib.Path:
        """Return the supervisor's configuration file."""
        return self.paths.etc(CONTROLLER.name) / 'supervisord.conf'

    def find(self, kind: type[Found]) -> Found:
        """Return the service of a class, on the controller.

        :param kind: the class
        :raises LookupError: if this lab has none
        """
        for service in self.services:
            if isinstance(service, kind):
                return service
        raise LookupError(f'{kind.__name__} is not part of this lab')

    def configure(self) -> None:
        """Write the files of all hosts, services and of the supervisor."""
        for host in self.topology.hosts:
            etc, data = self.paths.etc(host.name), self.paths.data(host.name)
            for folder in (etc, data / 'tmp', data / 'locks'):
                folder.mkdir(parents=True, exist_ok=True)
            layout.write(etc / 'etc-hosts', self.templates.render('hosts'))
        # A schema is made by tools that read the service's file.
        for service in (*self.services, *self.schemas):
            for name in service.folders:
                (service.data / name).mkdir(exist_ok=True)
            service.configure()
        for service in self.services:
            for application in service.applications():
                service.write(service.etc / f'uwsgi-{application.name}.ini',
                              'uwsgi.ini', application=application)
        layout.write(self.supervisor_conf, self.templates.render(
            'supervisord.conf', programs=self.programs,
            supervisor_socket=layout.SUPERVISOR_SOCKET), mode=0o600)


def discover() -> list[type[Service]]:
    """Return all services that the modules of this package define."""
    found: list[type[Service]] = []
    for module in pkgutil.iter_modules(services.__path__):
        content = vars(importlib.import_module(
            f'{services.__name__}.{module.name}'))
        found += [
            each for each in content.values()
            if isinstance(each, type) and issubclass(each, Service)
            and each.name and each.__module__.endswith(f'.{module.name}')]
    return found


def run(*command: object, host: str = CONTROLLER.name,
        text: str = '', **environment: str) -> str:
    """Run a command in a host and return its output.

    :param command: program and arguments
    :param host: name of the host
    :param text: its standard input
    :param environment: variables added to the environment
    :returns: its standard output
    :raises errors.LabError: if it fails, with the last line that it printed
    """
    line = [str(word) for word in command]
    result = subprocess.run(
        [*sandbox.enter_compute(host), *line], input=text,
        capture_output=True, text=True, env=os.environ | environment)
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise errors.LabError(
            f'{os.path.basename(line[0])} {" ".join(line[1:])[:60]} failed on '
            f'{host}: {said[-1] if said else "it printed nothing"}')
    return result.stdout
