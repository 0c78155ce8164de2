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

"""neutron with ML2/OVN: its daemons, OVN's, and Open vSwitch.

The switches forward packets in userspace: the kernel needs no module.
"""

import collections.abc
import functools
import pathlib

import openstack

from lab import errors
from lab.hosts import network
from lab.hosts import taps
from lab import layout
from lab.machine import overlays
from lab.services import base
from lab.topology import CONTROLLER
from lab.topology import PROVIDER_NAME
from lm_tempest_plugin import utils

#: Since 33.0.0 a nova-compute makes the tap device before a guest arrives
#: ("Support os-vif TAP pre-creation for OVS/OVN ports"); 32's services have
#: version 70.
MAKES_TAPS = 71
#: Agents that neutron has to see alive on each compute host.
AGENTS = ('ovn-controller', 'neutron-ovn-metadata-agent')
OVN_SCHEMAS = '/usr/share/ovn'
OVS_SCHEMAS = '/usr/share/openvswitch'
#: In each host's private /run.
OVS_RUN = '/run/openvswitch'
OVN_RUN = '/run/ovn'
SOCKET_TIMEOUT_S = 60
#: Milliseconds of silence before a database connection counts as dead. The
#: default of 5 s is too short for a machine of two busy cores.
PROBE_MS = 60000
#: TCP port of OVN's northbound and southbound database.
PORTS = {'nb': 6641, 'sb': 6642}
BRIDGE = 'br-ex'
#: In the foreground, all messages to stderr. ovn-controller 23.03 has no
#: --unixctl, so that the daemons have one only where two would collide.
LOGGING = ('-vconsole:info', '-vsyslog:off')


class Neutron(base.Service):
    """neutron's API and its maintenance worker."""

    name = 'neutron'
    project = 'neutron'
    schema = (('neutron-db-manage', 'upgrade', 'heads'),)
    configuration = 'neutron.conf'
    folders = ('neutron',)
    databases = ('neutron',)
    endpoint = base.Endpoint('network', 9696)
    needs = (base.DATABASES, 'rabbitmq', 'ovn-nb', 'ovn-sb')

    def configure(self) -> None:
        """Write its configuration file."""
        self.write(
            self.etc / self.configuration, self.configuration,
            ovs_create_tap=all(
                overlays.service_version(self.paths.nova(host.name))
                >= MAKES_TAPS for host in self.lab.topology.compute_hosts))

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API."""
        return (base.Application(
            'neutron', 'neutron.wsgi.api', self.endpoint.port, 2,
            (('OS_NEUTRON_CONFIG_DIR', str(self.etc)),
             ('OS_NEUTRON_CONFIG_FILES', 'neutron.conf'))),)

    def programs(self) -> list[base.Program]:
        """Return the API and the worker."""
        return [
            *super().programs(),
            # It repairs differences between neutron's database and OVN's and
            # serves nobody: everything that somebody waits for comes first.
            self.daemon('neutron-ovn-maintenance-worker',
                        needs=('neutron', base.READY))]

    def missing(self, cloud: openstack.connection.Connection
                ) -> collections.abc.Iterator[str]:
        """Yield each agent of a compute host that is not alive."""
        alive = {(agent.binary, agent.host)
                 for agent in cloud.network.agents() if agent.is_alive}
        for host in self.lab.topology.compute_hosts:
            for binary in AGENTS:
                if (binary, host.name) not in alive:
                    yield f'{binary} on {host.name}'


class MetadataAgent(base.Service):
    """Takes guests' requests for metadata to nova; needs haproxy.

    Its namespace ovnmeta-NETWORK appears with a host's first guest.
    """

    name = 'neutron-ovn-metadata-agent'
    project = 'neutron'
    on_compute_hosts = True
    packages = ('haproxy', 'iptables')
    configuration = 'metadata-agent.ini'
    folders = ('neutron',)
    needs = ('openvswitch', 'ovn-northd')

    def programs(self) -> list[base.Program]:
        """Return the daemon."""
        return [self.daemon(self.name)]


class Ovn(base.Service):
    """OVN's two databases, and the daemon that translates between them."""

    name = 'ovn'
    packages = ('ovn-central',)

    def programs(self) -> list[base.Program]:
        """Return the databases' servers and ovn-northd."""
        return [
            self._database('nb', 'OVN_Northbound', 'NB_Global'),
            self._database('sb', 'OVN_Southbound', 'SB_Global'),
            self.program('ovn-northd', '/usr/bin/ovn-northd',
                         f'--ovnnb-db=unix:{OVN_RUN}/ovnnb_db.sock',
                         f'--ovnsb-db=unix:{OVN_RUN}/ovnsb_db.sock', *LOGGING,
                         nice=base.DATA_PLANE, needs=('ovn-nb', 'ovn-sb')),
        ]

    def _database(self, short: str, schema: str, root: str) -> base.Program:
        file = self.data / f'ovn{short}.db'
        return self.program(
            f'ovn-{short}', '/usr/sbin/ovsdb-server',
            f'--remote=punix:{OVN_RUN}/ovn{short}_db.sock',
            f'--remote=db:{schema},{root},connections',
            f'--unixctl={OVN_RUN}/ovn{short}_db.ctl', *LOGGING, file,
            nice=base.DATA_PLANE,
            before=functools.partial(
                _create, file, f'{OVN_SCHEMAS}/ovn-{short}.ovsschema'),
            after=functools.partial(self._listen, short))

    def _listen(self, short: str) -> None:
        """Let one of the databases take connections from other hosts."""
        tool = (f'ovn-{short}ctl', f'--db=unix:{OVN_RUN}/ovn{short}_db.sock')

        def init() -> str:
            try:
                base.run(*tool, 'init')
            except errors.LabError as error:
                return str(error)
            return ''

        # On a busy disk the server opens its socket seconds after its start,
        # and these tools, unlike ovs-vsctl, have no option to retry.
        utils.wait_until(
            lambda fault: not fault, init, f'ovn-{short} to answer',
            SOCKET_TIMEOUT_S, interval_s=0.2, error=errors.LabError)
        base.run(*tool, 'set-connection',
                 f'ptcp:{PORTS[short]}:{self.host.address}',
                 '--', 'set', 'connection', '.',
                 f'inactivity_probe={PROBE_MS}')


class OpenVSwitch(base.Service):
    """Open vSwitch and OVN's controller, one after the other."""

    name = 'openvswitch'
    on_compute_hosts = True
    packages = ('openvswitch-switch', 'ovn-host')
    needs = ('ovn-sb',)

    def programs(self) -> list[base.Program]:
        """Return database, switch, controller, and what keeps taps up."""
        socket = f'{OVS_RUN}/db.sock'
        database = self.data / 'ovs.db'
        return [
            self.program('ovsdb', '/usr/sbin/ovsdb-server',
                         f'--remote=punix:{socket}',
                         '--remote=db:Open_vSwitch,Open_vSwitch,'
                         'manager_options',
                         f'--unixctl={OVS_RUN}/ovsdb-server.ctl', *LOGGING,
                         database, nice=base.DATA_PLANE,
                         before=functools.partial(
                             _create, database,
                             f'{OVS_SCHEMAS}/vswitch.ovsschema'),
                         after=self._set_up),
            # Its bridge joins the provider network to the switch.
            self.program('ovs-vswitchd', '/usr/sbin/ovs-vswitchd',
                         f'unix:{socket}', *LOGGING, nice=base.DATA_PLANE,
                         needs=('ovsdb',), after=functools.partial(
                             self._vsctl, 'add-br', BRIDGE, '--', 'set',
                             'bridge', BRIDGE, 'datapath_type=netdev', '--',
                             'add-port', BRIDGE, network.PROVIDER_PORT)),
            # ovn-appctl finds it by that file.
            self.program('ovn-controller', '/usr/bin/ovn-controller',
                         f'unix:{socket}', *LOGGING,
                         f'--pidfile={OVN_RUN}/ovn-controller.pid',
                         nice=base.DATA_PLANE, needs=('ovs-vswitchd',)),
            self.program('taps', self.paths.venv_bin('tempest', 'python'),
                         '-m', taps.__name__, environment={
                             'PYTHONPATH': str(layout.REPOSITORY)}),
        ]

    def _vsctl(self, *arguments: str) -> None:
        base.run('ovs-vsctl', '--timeout=60', '--retry', *arguments,
                 host=self.host.name)

    def _set_up(self) -> None:
        """Write all settings before the switch starts."""
        controller = CONTROLLER.address
        settings = {
            'ovn-remote': f'tcp:{controller}:{PORTS["sb"]}',
            'ovn-remote-probe-interval': PROBE_MS,
            'ovn-openflow-probe-interval': PROBE_MS // 1000,
            'ovn-encap-type': 'geneve',
            'ovn-encap-ip': self.host.address,
            # The datapath in userspace.
            'ovn-bridge-datapath-type': 'netdev',
            'ovn-bridge-mappings': f'{PROVIDER_NAME}:{BRIDGE}',
        }
        # Segmentation offload has to be on before the switch starts: guests
        # send partial checksums, which connection tracking would drop. Ping
        # would work, TCP would hang.
        self._vsctl('--no-wait', 'init', '--', 'set', 'Open_vSwitch', '.',
                    'other_config:userspace-tso-enable=true',
                    f'external_ids:system-id={self.host.name}',
                    f'external_ids:hostname={self.host.name}',
                    *(f'external_ids:{name}="{value}"'
                      for name, value in settings.items()))


def _create(file: pathlib.Path, schema: str) -> None:
    base.run('ovsdb-tool', 'create', file, schema)
