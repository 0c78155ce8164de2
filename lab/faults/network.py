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

"""Faults of the network: agents, switches, ports, and the hosts' links."""

from __future__ import annotations

import subprocess
import typing

import openstack

from lab import errors
from lab.faults.fault import Fault
from lab.faults.fault import Needs
from lab.faults.fault import Place
from lab.faults.fault import When
from lab.faults import programs
from lab.faults import settings
from lab import fleet
from lab.hosts import network
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin import utils

CUT_SECONDS = 20
PAUSE_SECONDS = 60
#: nova's default is 300 s.
PLUG_SECONDS = 30
#: Ports on which QEMU listens for migrations, and a chain that refuses them.
REFUSE = """\
table inet lm_fault {
    chain input {
        type filter hook input priority 0;
        tcp dport 49152-49215 reject with tcp reset
    }
}
"""
#: PORT stands for its UUID.
STAYS_DOWN = (
    'CREATE TRIGGER lm_stays_down BEFORE UPDATE ON ports FOR EACH ROW SET '
    "NEW.status = IF(NEW.id = 'PORT', 'DOWN', NEW.status);")
GOES_DOWN = "UPDATE ports SET status = 'DOWN' WHERE id = 'PORT';"
#: nova's copy of the server's ports, SERVER for its UUID.
KNOWN_PORTS = ('SELECT network_info FROM instance_info_caches WHERE '
               "instance_uuid = 'SERVER';")
UNBOUND = '"type": "unbound"'
BIND_SECONDS = 60
#: nova 34.0.0 rolls back what libvirt refuses, and then sets the server to
#: ERROR, although its guest runs on the source as before.
ENDS_IN_ERROR = (Kind.INCONSISTENT,)
SMALL_MTU, MTU = 900, 1500
#: The port group of OVN with the rules that drop everything else.
DROP_GROUP = 'neutron_pg_drop'


def _metadata_agent(place: Place) -> str:
    return f'{place.destination}-neutron-ovn-metadata-agent'


def _stop_metadata(place: Place) -> None:
    programs.supervisor().stop(_metadata_agent(place))


def _start_metadata(place: Place) -> None:
    programs.supervisor().start(_metadata_agent(place))


def _metadata_runs(place: Place) -> str:
    name = _metadata_agent(place)
    return (f'{name} is up' if programs.supervisor().state(name).up else '')


def _controller(place: Place) -> str:
    return f'{place.destination}-ovn-controller'


def _pause_controller(place: Place) -> None:
    programs.pause(_controller(place))


def _resume_controller(place: Place) -> None:
    programs.resume(_controller(place))


def _pause_controller_for_a_while(place: Place) -> None:
    programs.for_a_while(PAUSE_SECONDS, lambda: _pause_controller(place),
                         lambda: _resume_controller(place))


def _controller_runs(place: Place) -> str:
    return ('' if programs.paused(_controller(place))
            else 'ovn-controller runs')


def _wait_less_for_plug(place: Place) -> None:
    # The source waits for the event that the destination's switch causes.
    settings.change(place.layout, place.source,
                    f'[DEFAULT]\nvif_plugging_timeout = {PLUG_SECONDS}\n')


def _resume_and_restore(place: Place) -> None:
    _resume_controller(place)
    settings.restore(place.layout, place.source)


def _ports(place: Place) -> list[typing.Any]:
    """Return the ports of the server, that of its address first.

    That in the subnet of second ports comes last.
    """
    network_api = openstack.connect().network
    second = network_api.find_subnet(fleet.SECOND_NAME)
    return sorted(
        network_api.ports(device_id=place.server_id),
        key=lambda port: second is not None and
        port.fixed_ips[0]['subnet_id'] == second.id)


def _port(place: Place) -> str:
    return str(_ports(place)[0].id)


def _second_port(place: Place) -> str:
    return str(_ports(place)[1].id)


def _subport(place: Place) -> str:
    return str(_ports(place)[0].trunk_details['sub_ports'][0]['port_id'])


def _keep_down(place: Place, port: str) -> None:
    """Set the status of a port to DOWN in the database, for good."""
    for statement in (STAYS_DOWN, GOES_DOWN):
        fleet.sql(place.layout, statement.replace('PORT', port), 'neutron')


def _drop_trigger(place: Place) -> None:
    fleet.sql(place.layout, 'DROP TRIGGER IF EXISTS lm_stays_down;',
              'neutron')


def _is_up(port: str) -> str:
    status = openstack.connect().network.get_port(port).status
    return '' if status == 'DOWN' else f'port {port} is {status}'


def _unbind(place: Place) -> None:
    openstack.connect().network.update_port(
        _second_port(place), binding_host_id='')


def _bind(place: Place) -> None:
    """Bind the port where the server is, and tell nova.

    nova unplugs no port that it takes for an unbound one.
    """
    cloud = openstack.connect()
    port = _second_port(place)
    if cloud.network.get_port(port).binding_host_id:
        return
    cloud.network.update_port(port, binding_host_id=place.destination)
    cloud.compute.post('/os-server-external-events', json={'events': [{
        'name': 'network-changed', 'server_uuid': place.server_id,
        'tag': port}]})
    utils.wait_until(
        lambda known: UNBOUND not in known, lambda: str(fleet.sql(
            place.layout, KNOWN_PORTS.replace('SERVER', place.server_id))),
        'nova to know the binding', BIND_SECONDS, error=errors.LabError)


def _is_bound(place: Place) -> str:
    port = _second_port(place)
    host = openstack.connect().network.get_port(port).binding_host_id
    return f'port {port} is bound to {host}' if host else ''


def _refuse(place: Place) -> None:
    fleet.inside(place.destination, 'nft', REFUSE)


def _accept(place: Place) -> None:
    # It fails if it was not refused.
    fleet.inside(place.destination, 'nft', 'delete table inet lm_fault',
                 check=False)


def _is_accepted(place: Place) -> str:
    tables = fleet.inside(place.destination, 'nft', 'list', 'tables').stdout
    return '' if 'lm_fault' in tables else 'the ports are not refused'


def _set_wrong_address(place: Place) -> None:
    settings.change(place.layout, place.destination, '[libvirt]\n'
                    'live_migration_inbound_addr = nowhere.invalid\n')


def _restore_address(place: Place) -> None:
    settings.restore(place.layout, place.destination)


def _is_restored(place: Place) -> str:
    return ('' if settings.is_changed(place.layout, place.destination)
            else 'nova.conf is as before')


def _set_mtu(place: Place, mtu: int) -> None:
    fleet.inside(place.destination, 'ip', 'link', 'set', network.PROVIDER_PORT,
                 'mtu', str(mtu))


def _is_large(place: Place) -> str:
    shown = fleet.inside(place.destination, 'ip', 'link', 'show',
                         network.PROVIDER_PORT).stdout
    return '' if f'mtu {SMALL_MTU} ' in shown else shown.strip()


def _logical_ports(place: Place) -> list[str]:
    """Return OVN's UUIDs of the ports of the server."""
    return [fleet.nbctl('--bare', '--columns=_uuid', 'find',
                        'Logical_Switch_Port', f'name={port.id}').strip()
            for port in _ports(place)]


def _open_everything(place: Place) -> None:
    for port in _logical_ports(place):
        fleet.nbctl('remove', 'Port_Group', DROP_GROUP, 'ports', port)


def _close_again(place: Place) -> None:
    for port in _logical_ports(place):
        fleet.nbctl('add', 'Port_Group', DROP_GROUP, 'ports', port)


def _is_closed(place: Place) -> str:
    members = fleet.nbctl('--bare', '--columns=ports', 'find', 'Port_Group',
                          f'name={DROP_GROUP}')
    return ('the security group is applied'
            if set(_logical_ports(place)) & set(members.split()) else '')


def _cut(place: Place) -> None:
    network.set_management(place.destination, up=False)


def _mend(place: Place) -> None:
    network.set_management(place.destination, up=True)


def _is_mended(place: Place) -> str:
    shown = subprocess.run(
        ['ip', 'link', 'show', f'{place.destination}-'
         f'{network.MANAGEMENT_PORT}'], check=True, capture_output=True,
        text=True).stdout
    return '' if 'state DOWN' in shown else shown.strip()


def _mend_and_restart(place: Place) -> None:
    """Repair the network and restart the destination's nova-compute.

    Its connection to RabbitMQ may be dead unnoticed, and until the next
    heartbeat fails each RPC cast to it is lost.
    """
    _mend(place)
    settings.restart_compute(place.layout, place.destination)


def _cut_for_a_while(place: Place) -> None:
    programs.for_a_while(CUT_SECONDS, lambda: _cut(place),
                         lambda: _mend(place))


FAULTS = (
    Fault('metadata', "the destination's metadata agent is down",
          When.BEFORE, _stop_metadata, _start_metadata, (Kind.COMPLETED,),
          checks=('metadata',), cause='metadata', present=_metadata_runs),
    Fault('ovn-controller-60s', "the destination's ovn-controller hangs for "
          '60 s from the copy on', When.RUNNING,
          _pause_controller_for_a_while, _resume_controller,
          (Kind.COMPLETED,), checks=('outage',),
          cause=r'outage of [3-6]\d\.', consequences=('stall', 'tcp-stream'),
          needs=Needs(return_s=150)),
    Fault('vif-plug-timeout', "the destination's ovn-controller hangs before "
          'the request', When.BEFORE, _pause_controller, _resume_and_restore,
          (Kind.ROLLED_BACK,),
          # neutron leaves the port DOWN.
          checks=('port-status',), cause=r'network-vif-plugged',
          prepare=_wait_less_for_plug, present=_controller_runs),
    Fault('port-down', "a port is left DOWN in neutron's database",
          When.ARRIVED, lambda place: _keep_down(place, _port(place)),
          _drop_trigger, (Kind.COMPLETED,), checks=('port-status',),
          cause='DOWN', present=lambda place: _is_up(_port(place))),
    Fault('subport-down', "the subport of a trunk is left DOWN in neutron's "
          'database', When.ARRIVED,
          lambda place: _keep_down(place, _subport(place)), _drop_trigger,
          (Kind.COMPLETED,), checks=('port-status',), cause='DOWN',
          present=lambda place: _is_up(_subport(place)),
          needs=Needs(subport=True)),
    Fault('second-port-unbound', 'the second port of the server loses its '
          'binding', When.ARRIVED, _unbind, _bind,
          (Kind.COMPLETED,), checks=('port-bindings', 'port-status'),
          cause='bindings', present=_is_bound,
          needs=Needs(second_port=True)),
    Fault('migration-ports', 'a firewall refuses the ports of QEMU on the '
          'destination', When.BEFORE, _refuse, _accept, ENDS_IN_ERROR,
          checks=('server-status',), cause='connection-refused',
          present=_is_accepted),
    Fault('inbound-address', 'live_migration_inbound_addr of the destination '
          'is a name that nobody knows', When.BEFORE, _set_wrong_address,
          _restore_address, ENDS_IN_ERROR, checks=('server-status',),
          cause='name-resolution', present=_is_restored),
    Fault('mtu', "the MTU of the destination's provider network is 900",
          When.BEFORE, lambda place: _set_mtu(place, SMALL_MTU),
          lambda place: _set_mtu(place, MTU), (Kind.COMPLETED,),
          checks=('full-size-packets',), cause='MTU',
          # The first packet of SSH from either side may be too long.
          consequences=('boot-id',), present=_is_large),
    Fault('security-group', 'the security group of the server is not applied '
          'on the destination', When.ARRIVED, _open_everything, _close_again,
          (Kind.COMPLETED,), checks=('closed-port',),
          cause='security group', present=_is_closed),
    Fault('network-20s', 'the management network of the destination is cut '
          'for 20 s while copying', When.RUNNING, _cut_for_a_while,
          _mend_and_restart,
          # libvirt gives up after 30 s without an answer, and nova's reaction
          # varies. The verdict is compared with the database as well.
          (Kind.COMPLETED, Kind.ROLLED_BACK, Kind.INCONSISTENT),
          cause=r'^$|failed while copying|lost the migration',
          # QEMU may be in the middle of the handover, with the guest paused.
          consequences=('server-status', 'clock', 'outage', 'stall')),
    Fault('network', 'the management network of the destination is cut for '
          'good while copying', When.RUNNING, _cut, _mend_and_restart,
          (Kind.INCONSISTENT, Kind.STUCK, Kind.ROLLED_BACK),
          checks=('host-access',),
          cause=r'the copy does not end|never got beyond running|'
          r'lost the migration|failed while copying',
          # The destination alone deletes its binding, once it can be reached.
          # Until then OVN counts the port to both hosts, and requests for
          # metadata may not arrive. nova may lose the migration in an
          # exception, with its allocation.
          consequences=('port-bindings', 'metadata', 'server-status',
                        'allocations'),
          present=_is_mended,
          # nova gives up after its RPC time-outs, of 60 s each. The verdict is
          # compared with the state after that.
          needs=Needs(timeout_s=240)),
)
