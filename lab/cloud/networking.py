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

"""OVN's databases and Open vSwitch on the compute hosts."""

from lab.cloud import commands
from lab.cloud import programs
from lab.cloud import supervisor as supervisors
from lab.hosts import network
from lab import layout as layouts
from lab import topology as topologies

#: Milliseconds without a word before a database connection counts as dead;
#: the default of 5 s is too short for a machine of two busy cores.
PROBE_MS = 60000
#: TCP port of OVN's northbound and southbound database.
PORTS = {'nb': 6641, 'sb': 6642}
BRIDGE = 'br-ex'


def start_ovn_database(layout: layouts.Layout,
                       supervisor: supervisors.Supervisor,
                       short: str) -> None:
    """Make and start one of OVN's databases.

    :param layout: paths of the lab
    :param supervisor: keeps the server
    :param short: ``nb`` or ``sb``
    """
    database = layout.data(topologies.CONTROLLER.name) / f'ovn{short}.db'
    commands.run('ovsdb-tool', 'create', database,
                 f'{programs.OVN_SCHEMAS}/ovn-{short}.ovsschema')
    supervisor.start(f'ovn-{short}')
    tool = (f'ovn-{short}ctl',
            f'--db=unix:{programs.OVN_RUN}/ovn{short}_db.sock')
    address = topologies.CONTROLLER.address
    commands.run(*tool, 'init')
    commands.run(*tool, 'set-connection', f'ptcp:{PORTS[short]}:{address}',
                 '--', 'set', 'connection', '.',
                 f'inactivity_probe={PROBE_MS}')


def start_switch(layout: layouts.Layout, supervisor: supervisors.Supervisor,
                 host: topologies.Host) -> None:
    """Start Open vSwitch and OVN's controller on a compute host.

    :param layout: paths of the lab
    :param supervisor: keeps the daemons
    :param host: the compute host
    """
    def vsctl(*arguments: str) -> None:
        commands.run('ovs-vsctl', '--timeout=60', *arguments, host=host.name)

    commands.run('ovsdb-tool', 'create', layout.data(host.name) / 'ovs.db',
                 f'{programs.OVS_SCHEMAS}/vswitch.ovsschema')
    supervisor.start(f'{host.name}-ovsdb')
    # Segmentation offload has to be on before the switch starts: guests send
    # partial checksums, which connection tracking would drop.
    vsctl('--no-wait', 'init', '--', 'set', 'Open_vSwitch', '.',
          'other_config:userspace-tso-enable=true',
          f'external_ids:system-id={host.name}',
          f'external_ids:hostname={host.name}', *_ovn_settings(host))
    supervisor.start(f'{host.name}-ovs-vswitchd')
    vsctl('add-br', BRIDGE, '--', 'set', 'bridge', BRIDGE,
          'datapath_type=netdev', '--', 'add-port', BRIDGE,
          network.PROVIDER_PORT)
    supervisor.start(f'{host.name}-ovn-controller')


def _ovn_settings(host: topologies.Host) -> list[str]:
    values = {
        'ovn-remote': f'tcp:{topologies.CONTROLLER.address}:{PORTS["sb"]}',
        'ovn-remote-probe-interval': PROBE_MS,
        'ovn-openflow-probe-interval': PROBE_MS // 1000,
        'ovn-encap-type': 'geneve',
        'ovn-encap-ip': host.address,
        'ovn-bridge-datapath-type': 'netdev',
        'ovn-bridge-mappings': f'{topologies.PROVIDER_NAME}:{BRIDGE}',
    }
    return [f'external_ids:{name}="{value}"'
            for name, value in values.items()]
