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

"""Every long-running program of the cloud, and how it is started."""

import dataclasses
import pathlib
import shlex

from lab.hosts import sandbox
from lab import layout as layouts
from lab import topology as topologies

OVN_SCHEMAS = '/usr/share/ovn'
OVS_SCHEMAS = '/usr/share/openvswitch'
#: In each host's private /run.
OVS_RUN = '/run/openvswitch'
OVN_RUN = '/run/ovn'
#: Priority of what carries guests and their packets, and of what tells it
#: where they are. All hosts share the machine's cores; without it a service
#: that starts on one host would stop the packets of all.
DATA_PLANE = -10
#: The daemons of cinder, beside its API.
CINDER = ('cinder-scheduler', 'cinder-volume')


@dataclasses.dataclass(frozen=True)
class Application:
    """A WSGI application under uWSGI.

    :ivar name: name of the service
    :ivar module: module that holds the application
    :ivar port: TCP port on the controller's management address
    :ivar processes: how many worker processes. Each has one thread, since
        oslo.policy may answer "forbidden" to requests that arrive while
        another thread loads the rules.
    :ivar environment: where it finds its configuration
    :ivar arguments: what stands in sys.argv behind the program's name, for
        one that takes it from there alone
    """

    name: str
    module: str
    port: int
    processes: int
    environment: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Program:
    """A process that the supervisor keeps.

    :ivar host: name of the host that it runs in
    :ivar name: name of the service, unique on its host
    :ivar command: program and arguments
    :ivar environment: variables added to the environment
    :ivar log_folder: where its output goes
    :ivar nice: scheduling priority, see :data:`DATA_PLANE`
    """

    host: str
    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    log_folder: pathlib.Path
    nice: int = 0

    @property
    def identifier(self) -> str:
        """Its name in the whole lab: a compute host's comes first."""
        if self.host == topologies.CONTROLLER.name:
            return self.name
        return f'{self.host}-{self.name}'

    @property
    def log(self) -> pathlib.Path:
        """The file that receives its output."""
        return self.log_folder / f'{self.identifier}.log'

    @property
    def command_line(self) -> str:
        """The whole command, quoted, for the supervisor."""
        priority = ('nice', f'--adjustment={self.nice}') if self.nice else ()
        return shlex.join((*sandbox.enter_compute(self.host), *priority,
                           *self.command))

    @property
    def environment_line(self) -> str:
        """The environment in the supervisor's notation."""
        return ','.join(f'{name}="{value}"'
                        for name, value in self.environment)


def applications(layout: layouts.Layout, topology: topologies.Topology
                 ) -> tuple[Application, ...]:
    """The WSGI applications, all on the controller.

    :param layout: paths of the lab
    :param topology: the hosts
    """
    etc = str(layout.etc(topologies.CONTROLLER.name))
    share = layout.venv_bin('cloud', '../etc')
    nova = (('OS_NOVA_CONFIG_DIR', etc),
            ('OS_NOVA_CONFIG_FILES',
             f'{share}/nova/api-paste.ini;nova.conf'))
    cinder = Application('cinder-api', 'cinder.wsgi.api', 8776, 1,
                         arguments=(f'--config-file={etc}/cinder.conf',))
    return (
        Application('keystone', 'keystone.wsgi.api', 5000, 2,
                    (('OS_KEYSTONE_CONFIG_FILES', f'{etc}/keystone.conf'),)),
        Application('placement', 'placement.wsgi.api', 8778, 1,
                    (('OS_PLACEMENT_CONFIG_DIR', etc),)),
        Application('glance', 'glance.wsgi.api', 9292, 1,
                    (('OS_GLANCE_CONFIG_DIR', etc),)),
        Application('neutron', 'neutron.wsgi.api', 9696, 2,
                    (('OS_NEUTRON_CONFIG_DIR', etc),
                     ('OS_NEUTRON_CONFIG_FILES', 'neutron.conf'))),
        Application('nova-api', 'nova.wsgi.osapi_compute', 8774, 2, nova),
        Application('nova-metadata', 'nova.wsgi.metadata', 8775, 1, nova),
        *((cinder,) if topology.volumes else ()),
    )


def plan(layout: layouts.Layout,
         topology: topologies.Topology) -> tuple[Program, ...]:
    """All programs of a lab, those of the controller first.

    :param layout: paths of the lab
    :param topology: the hosts
    """
    controller = _Controller(layout, topologies.CONTROLLER)
    made = controller.programs(applications(layout, topology))
    if topology.has_ceph:
        made.extend(controller.ceph())
    if topology.volumes:
        made.extend(controller.openstack(name, 'cinder.conf')
                    for name in CINDER)
    for host in topology.compute_hosts:
        made.extend(_Compute(layout, host).programs())
    return tuple(made)


def variables(layout: layouts.Layout, host: str) -> dict[str, str]:
    """Variables that all programs and SSH sessions of a host have.

    :param layout: paths of the lab
    :param host: name of the host
    """
    data = layout.data(host)
    return {'PATH': f'{layout.venvs}/cloud/bin:{sandbox.SYSTEM_PATH}',
            'HOME': str(data), 'TMPDIR': str(data / 'tmp'),
            'LC_ALL': 'C.UTF-8', 'PYTHONUNBUFFERED': '1'}


class _Host:
    """What programs of a host have in common."""

    def __init__(self, layout: layouts.Layout,
                 host: topologies.Host) -> None:
        self.layout = layout
        self.host = host
        self.etc = layout.etc(host.name)
        self.data = layout.data(host.name)

    def data_plane(self, name: str, *command: object) -> Program:
        """A program that goes before all others."""
        return dataclasses.replace(self.program(name, *command),
                                   nice=DATA_PLANE)

    def program(self, name: str, *command: object,
                **environment: str) -> Program:
        """A program of this host, with the environment that all share."""
        common = variables(self.layout, self.host.name)
        return Program(self.host.name, name,
                       tuple(str(word) for word in command),
                       tuple((common | environment).items()),
                       self.layout.log)

    def openstack(self, name: str, *configurations: str) -> Program:
        """A daemon of OpenStack with its configuration files."""
        return self.program(
            name, self.layout.venv_bin('cloud', name),
            *(f'--config-file={self.etc / each}' for each in configurations))


class _Controller(_Host):

    def programs(self, served: tuple[Application, ...]) -> list[Program]:
        return [
            self.program('mariadb', '/usr/sbin/mariadbd',
                         f'--defaults-file={self.etc}/mariadb.cnf'),
            self._rabbitmq(),
            self.program('memcached', '/usr/bin/memcached', '-u', 'root',
                         '-l', self.host.address, '-m', 64),
            self._ovn_database('nb', 'OVN_Northbound', 'NB_Global'),
            self._ovn_database('sb', 'OVN_Southbound', 'SB_Global'),
            self.data_plane('ovn-northd', '/usr/bin/ovn-northd',
                            f'--ovnnb-db=unix:{OVN_RUN}/ovnnb_db.sock',
                            f'--ovnsb-db=unix:{OVN_RUN}/ovnsb_db.sock',
                            '-vconsole:info', '-vsyslog:off'),
            *(self._uwsgi(each) for each in served),
            self.openstack('neutron-ovn-maintenance-worker', 'neutron.conf'),
            self.openstack('nova-conductor', 'nova.conf'),
            self.openstack('nova-scheduler', 'nova.conf'),
        ]

    def ceph(self) -> list[Program]:
        """The daemons of the Ceph cluster, in the foreground.

        A guest waits for the disk that it writes to, and when it moves it
        opens that anew.
        """
        name = self.host.name
        return [
            self.data_plane('ceph-mon', '/usr/bin/ceph-mon', '-f',
                            '--id', name),
            self.data_plane('ceph-osd', '/usr/bin/ceph-osd', '-f',
                            '--id', 0),
            self.program('ceph-mgr', '/usr/bin/ceph-mgr', '-f', '--id', name),
        ]

    def _rabbitmq(self) -> Program:
        # Schedulers of Erlang that wait busily would take both cores.
        idle = '+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2'
        return self.program(
            'rabbitmq', '/usr/lib/rabbitmq/bin/rabbitmq-server',
            RABBITMQ_NODENAME=f'rabbit@{self.host.name}',
            RABBITMQ_CONFIG_FILE=str(self.etc / 'rabbitmq.conf'),
            RABBITMQ_CONF_ENV_FILE=str(self.etc / 'rabbitmq-env.conf'),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(self.etc / 'rabbitmq-plugins'),
            RABBITMQ_MNESIA_BASE=str(self.data / 'rabbitmq'),
            RABBITMQ_LOG_BASE=str(self.data / 'rabbitmq'),
            RABBITMQ_PID_FILE=str(self.data / 'rabbitmq' / 'pid'),
            RABBITMQ_DIST_PORT='25672',
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=idle,
            ERL_EPMD_ADDRESS=self.host.address)

    def _ovn_database(self, short: str, schema: str, root: str) -> Program:
        return self.data_plane(
            f'ovn-{short}', '/usr/sbin/ovsdb-server',
            f'--remote=punix:{OVN_RUN}/ovn{short}_db.sock',
            f'--remote=db:{schema},{root},connections',
            f'--unixctl={OVN_RUN}/ovn{short}_db.ctl',
            '-vconsole:info', '-vsyslog:off', self.data / f'ovn{short}.db')

    def _uwsgi(self, application: Application) -> Program:
        return self.program(
            application.name, self.layout.venv_bin('cloud', 'uwsgi'),
            '--ini', self.etc / f'uwsgi-{application.name}.ini',
            **dict(application.environment))


class _Compute(_Host):

    def programs(self) -> list[Program]:
        return [
            self.data_plane('ovsdb', '/usr/sbin/ovsdb-server',
                            f'--remote=punix:{OVS_RUN}/db.sock',
                            '--remote=db:Open_vSwitch,Open_vSwitch,'
                            'manager_options',
                            f'--unixctl={OVS_RUN}/ovsdb-server.ctl',
                            '-vconsole:info', '-vsyslog:off',
                            self.data / 'ovs.db'),
            self.data_plane('ovs-vswitchd', '/usr/sbin/ovs-vswitchd',
                            f'unix:{OVS_RUN}/db.sock', '-vconsole:info',
                            '-vsyslog:off'),
            self.data_plane('ovn-controller', '/usr/bin/ovn-controller',
                            f'unix:{OVS_RUN}/db.sock', '-vconsole:info',
                            '-vsyslog:off'),
            self.data_plane('libvirtd', '/usr/sbin/libvirtd', '--listen'),
            self.openstack('nova-compute', 'nova.conf'),
            self.openstack('neutron-ovn-metadata-agent',
                           'metadata-agent.ini'),
            # In the foreground, with its log to stderr.
            self.program('sshd', '/usr/sbin/sshd', '-D', '-e', '-f',
                         self.etc / 'sshd_config'),
        ]
