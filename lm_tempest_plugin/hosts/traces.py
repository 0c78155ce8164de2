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

"""Traces of servers on a compute host: domain, directory, interfaces.

One command reads them for all servers: one virsh process, one ovs-vsctl
process and a few files.

No interface of libvirt tells which QEMU runs a guest: after an upgrade of the
package, libvirt starts the new one, and older guests run on in the old one.
The monitor of QEMU tells it, but its use marks the domain as tainted. The log
of the domain has it in the line with which libvirt begins each start.

A tap device belongs to a server if the server's domain has it, or if Open
vSwitch has a port of its name with the server's UUID, which os-vif stores
there (vif_plug_ovs: external_ids:vm-uuid). A device that another network
backend left behind does not show its server. It is among the stray ones, and
the server's present host has a device of the same name.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import json
import re
import secrets
import shlex
from xml.etree import ElementTree

import msgspec

from lm_tempest_plugin.hosts import libvirt
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.results import schema

# A daemon that is stopped answers never.
TIMEOUT_S = 8

# Parts of a <source> that name it. The others, such as index and portid,
# belong to the running domain only.
_SOURCE = ('file', 'dev', 'dir', 'protocol', 'name', 'pool', 'volume',
           'bridge', 'network', 'mode', 'path')

# The first bit of an interface's flags (IFF_UP in linux/if.h).
_UP = 1

# Policies of a CPU's feature, as libvirt shows them of a running domain.
_POLICIES = {'require': '+', 'force': '+', 'disable': '-', 'forbid': '-'}

# Parts of the answer, by name and UUID of the server.
_Parts = Mapping[tuple[str, str], str]


def read(host: remote.Remote, virsh: Sequence[str], ovs_vsctl: Sequence[str],
         instances_path: str, qemu_log: str, server_ids: Sequence[str]
         ) -> dict[str, schema.HostTraces]:
    """Return the traces of servers on a host, by the server's UUID.

    :param host: the host
    :param virsh: command line of virsh
    :param ovs_vsctl: command line of ovs-vsctl
    :param instances_path: directory of the instance directories
    :param qemu_log: command for sh on the host that prints the log of a
        domain; {server} stands for the UUID of the server; empty for none
    :param server_ids: UUIDs of the servers
    :raises HostError: the host cannot be asked, libvirt does not answer, or
        an answer cannot be parsed
    """
    # XML contains text of users, such as the name of a server.
    mark = secrets.token_hex(16)
    output = host.run('env', 'LC_ALL=C', 'sh', '-s', stdin=_script(
        mark, virsh, ovs_vsctl, instances_path, qemu_log, server_ids))
    try:
        return _parse(
            host.name, instances_path, server_ids, _parts(mark, output))
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise remote.HostError(f'{host.name}: traces of servers cannot be '
                               f'parsed: {exc!r}') from exc


def _script(mark: str, virsh: Sequence[str], ovs_vsctl: Sequence[str],
            instances_path: str, qemu_log: str,
            server_ids: Sequence[str]) -> str:
    """Return a program for sh that prints all parts."""
    # virsh goes on after a command that fails, such as for a domain that
    # does not exist. It prints its URI only if it is connected.
    commands = [
        f'echo {mark}:uri::', 'uri',
        f'echo {mark}:domains::', 'list --all --uuid',
        f'echo {mark}:persistent::', 'list --all --persistent --uuid']
    for each in server_ids:
        commands += [
            f'echo {mark}:state:{each}:', f'domstats --raw --state {each}',
            f'echo {mark}:active:{each}:', f'dumpxml {each}',
            f'echo {mark}:inactive:{each}:', f'dumpxml --inactive {each}']
    commands.append(f'echo {mark}:end::')

    def limited(*command: str) -> str:
        # The standard input is this program.
        return shlex.join(
            ['timeout', str(TIMEOUT_S), *command]) + ' </dev/null'

    lines = [
        'exec 2>&1', limited(*virsh, '-q', '; '.join(commands)),
        f'echo {mark}:ports::', limited(
            *ovs_vsctl, '--format=json', '--columns=name,external_ids',
            'list', 'Interface'),
        f'echo {mark}:devices::', 'grep -s . /sys/class/net/*/flags',
        f'echo {mark}:instances::', f'ls -d {shlex.quote(instances_path)}/.']
    for each in server_ids:
        path = shlex.quote(f'{instances_path}/{each}')
        lines += [f'echo {mark}:directory:{each}:',
                  f'test ! -d {path} || {{ stat -c %i {path} && '
                  f'stat -f -c %T {path}; }}',
                  f'echo {mark}:qemu:{each}:']
        if qemu_log:
            log = limited('sh', '-c', qemu_log.replace('{server}', each))
            lines.append(f'{log} 2>/dev/null | '
                         "grep -aoE 'qemu version: *[0-9.]+' | tail -n 1")
    return '\n'.join([*lines, 'exit 0', ''])


def _parts(mark: str, output: str) -> _Parts:
    _, *found = re.split(f'{mark}:([a-z]+):(.*?):', output)
    return {(name, server_id): text.strip() for name, server_id, text in zip(
        found[::3], found[1::3], found[2::3])}


def _parse(host: str, instances_path: str, server_ids: Sequence[str],
           parts: _Parts) -> dict[str, schema.HostTraces]:
    """Return the traces in the parts of an answer.

    :raises LookupError: a part is missing, or a state is unknown
    :raises ValueError: a part is wrong
    :raises HostError: libvirt does not answer
    """
    uri = parts['uri', '']
    # The last line: a warning may come first.
    if not re.search(r'^\S+://\S*\Z', uri, re.MULTILINE) or (
            ('end', '') not in parts):
        raise remote.HostError(
            f'{host}: libvirt does not answer: '
            f'{" ".join(uri.split()) or f"no URI within {TIMEOUT_S} s"}')
    # The default of every user but root. It has none of nova's domains, so
    # each guest would look dead.
    if '/session' in uri.splitlines()[-1]:
        raise remote.HostError(
            f"{host}: virsh is connected to {uri}, which has none of nova's "
            'domains. Set the option sudo, or virsh_command to "virsh '
            '--connect qemu:///system"')
    unknown = {}
    ports: Mapping[str, str] = {}
    try:
        ports = _ports(parts['ports', ''])
    except (ValueError, LookupError, TypeError, AttributeError):
        reason = (' '.join(parts['ports', ''].split()) or
                  f'no answer within {TIMEOUT_S} s')
        unknown['interfaces'] = f'Open vSwitch cannot be asked: {reason}'
    if parts['instances', ''] != f'{instances_path}/.':
        unknown['directory'] = (
            f'{instances_path} cannot be listed (option instances_path): '
            f'{parts["instances", ""]}')
    devices = {name: int(flags, 16) for name, flags in re.findall(
        '^/sys/class/net/(.+)/flags:(.+)$', parts['devices', ''], re.M)}
    found = {
        server_id: _of_server(host, server_id, parts, ports, devices, unknown)
        for server_id in server_ids}
    owned = {name for traces in found.values()
             for name in traces.interfaces or ()}
    ids = set(map(_port_id, ports))
    stray = tuple(name for name in devices if name.startswith('tap') and
                  name not in owned and _port_id(name) not in ids)
    return {server_id: msgspec.structs.replace(traces, stray_taps=stray)
            for server_id, traces in found.items()}


def _of_server(host: str, server_id: str, parts: _Parts,
               ports: Mapping[str, str], devices: Mapping[str, int],
               unknown: Mapping[str, str]) -> schema.HostTraces:
    """Return the traces of one server, without stray devices.

    :param ports: UUID of the server of each port of Open vSwitch
    :param devices: flags of all interfaces of the host, by name
    :param unknown: parts that are not known of any server
    """
    state = _state(parts, server_id)
    active, inactive = (parts[name, server_id] if state else ''
                        for name in ('active', 'inactive'))
    changed: tuple[str, ...] = ()
    found: schema.GuestHardware | None = None
    unknown = dict(unknown)
    if state:
        try:
            changed = tuple(differences(active, inactive))
            # The XML of a domain that is shut off is no guest's.
            if state not in ('shut off', 'crashed'):
                found = hardware(active, parts['qemu', server_id])
        except ValueError:
            # It went away meanwhile, or libvirt refuses.
            unknown['differences'] = ' '.join(
                text for text in (active, inactive)
                if not text.startswith('<'))
    own = {name for name, owner in ports.items() if owner == server_id}
    ids = set(map(_port_id, own))
    own |= {name for name in devices if _port_id(name) in ids or
            f"<target dev='{name}'" in active}
    return schema.HostTraces(
        host=host, state=state, differences=changed, unknown=unknown,
        persistent=server_id in parts['persistent', ''].split()
        if state else None,
        directory=None if 'directory' in unknown else
        _directory(parts['directory', server_id]),
        interfaces=tuple(sorted(own)), interfaces_down=tuple(sorted(
            name for name in own if not devices.get(name, _UP) & _UP)),
        hardware=found)


def _port_id(name: str) -> str:
    """Return the first part of a port's UUID, from its interface's name.

    tapX and, with a bridge for iptables, qbrX, qvbX and qvoX belong to one
    port (os-vif: vif_plug_ovs/ovs.py). Only qvoX is in Open vSwitch then.
    """
    found = re.fullmatch(r'(?:tap|qbr|qvb|qvo)([0-9a-f]{8}-[0-9a-f]{2})', name)
    return found[1] if found else name


def _directory(text: str) -> str:
    inode, _, type_ = text.partition('\n')
    # Else it went away between both commands.
    return f'{inode} {type_}' if inode.isdecimal() and type_ else ''


def _state(parts: _Parts, server_id: str) -> str:
    """Return the state of a domain; empty if there is none."""
    text = parts['state', server_id]
    if 'state.state=' in text:
        return libvirt.parse_state(text)
    # It may go away after it was listed.
    if (server_id in parts['domains', ''].split() and
            'failed to get domain' not in text):
        raise ValueError(f'no state of domain {server_id}: {text}')
    return ''


def _ports(text: str) -> dict[str, str]:
    """Return the UUID of the server of each port of Open vSwitch, by name.

    It is empty for a port that belongs to no server.

    :param text: names and external_ids of all interfaces as JSON: a table of
        the Open vSwitch database, in which a map is ['map', [[key, value]]]
    :raises ValueError: it is something else
    :raises LookupError: the same
    """
    # The last line: a warning may come first.
    table = json.loads(text.splitlines()[-1])
    return {name: dict(external_ids[1]).get('vm-uuid', '')
            for name, external_ids in table['data']}


def differences(active: str, inactive: str) -> Iterator[str]:
    """Yield devices that a domain will lose, get or exchange at a new start.

    Only disks, interfaces and host devices: nova never changes the others
    while a domain runs. Of these only the parts that say which device it is,
    since libvirt adds addresses, aliases and backing files on its own.

    :param active: XML of the running domain
    :param inactive: XML that the next start uses
    :raises ValueError: one of them is no XML
    """
    try:
        now, later = (dict(_devices(ElementTree.fromstring(text)))
                      for text in (active, inactive))
    except ElementTree.ParseError as exc:
        # It is a SyntaxError.
        raise ValueError(f'the XML of the domain: {exc}') from exc
    for name in sorted({*now, *later}):
        if now.get(name) != later.get(name):
            yield (f'{name} is {now.get(name, "absent")}, and after a new '
                   f'start it is {later.get(name, "absent")}')


def hardware(active: str, log: str = '') -> schema.GuestHardware:
    """Return the virtual hardware of a guest.

    :param active: XML of the running domain
    :param log: part of the domain's log that names QEMU's version
    :raises ValueError: it is no XML
    """
    try:
        domain = ElementTree.fromstring(active)
    except ElementTree.ParseError as exc:
        raise ValueError(f'the XML of the domain: {exc}') from exc
    kind, cpu = domain.find('os/type'), domain.find('cpu')
    words: list[str | None] = []
    if cpu is not None:
        words = [cpu.get('mode'), cpu.findtext('model'), *sorted(
            _POLICIES.get(each.get('policy', ''), '?') + each.get('name', '')
            for each in cpu.iterfind('feature'))]
    return schema.GuestHardware(
        machine=kind.get('machine', '') if kind is not None else '',
        cpu=' '.join(filter(None, words)),
        qemu_version=log.rpartition(' ')[2])


def _devices(domain: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield the name and the identity of each device."""
    def source(device: ElementTree.Element) -> str:
        found = device.find('source')
        if found is None:
            return ''
        # Of a passed device, the source is an address on the host.
        return ' '.join(
            f'{name}={value}' for each in (found, *found.iterfind('address'))
            for name, value in sorted(each.items())
            if each is not found or name in _SOURCE)

    def words(*parts: str | None) -> str:
        return ' '.join(filter(None, parts))

    for disk in domain.iterfind('devices/disk'):
        target = disk.find('target')
        name = target.get('dev', '') if target is not None else ''
        yield f'disk {name}', words(
            disk.get('device'), disk.get('type'), source(disk))
    for interface in domain.iterfind('devices/interface'):
        mac = interface.find('mac')
        name = mac.get('address', '') if mac is not None else ''
        yield f'interface {name}', words(
            interface.get('type'), source(interface))
    for hostdev in domain.iterfind('devices/hostdev'):
        yield words('host device', hostdev.get('type'),
                    source(hostdev)), 'present'
