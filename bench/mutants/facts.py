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

"""Facts about a server: databases, libvirt, hosts, network and guest.

They are read without nova's API and without the plugin's checks. Names that
differ from server to server are replaced, so the facts of one server can be
compared with those of another one that went the same way.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import re
import subprocess

from lab import errors
from lab import fleet
from lab import layout
from lm_tempest_plugin.guests import builder

#: Facts by their names.
Facts = dict[str, str]

#: Name of a fact, database, and statement; the rows of a server begin with
#: its UUID, or that of one of its ports or migration records. The status of a
#: port is not among them: neutron 29 with OVN leaves one DOWN now and then.
QUERIES = (
    ('instance', 'nova',
     'SELECT uuid, host, node, vm_state, task_state, power_state '
     'FROM instances WHERE deleted = 0;'),
    ('migration records', 'nova',
     'SELECT instance_uuid, migration_type, status, source_compute, '
     'source_node, dest_compute, dest_node, dest_host FROM migrations '
     'WHERE deleted = 0 ORDER BY id;'),
    ('instance actions', 'nova',
     'SELECT a.instance_uuid, a.action, a.message, e.event, e.result, e.host '
     'FROM instance_actions a LEFT JOIN instance_actions_events e '
     'ON e.action_id = a.id ORDER BY a.id;'),
    ('instance faults', 'nova',
     'SELECT instance_uuid, code, message FROM instance_faults '
     'WHERE deleted = 0;'),
    ('block devices', 'nova',
     'SELECT instance_uuid, device_name, source_type, destination_type, '
     # Connection information may hold passwords.
     'disk_bus, boot_index, attachment_id IS NULL '
     'FROM block_device_mapping WHERE deleted = 0;'),
    ('cached network', 'nova',
     "SELECT instance_uuid, JSON_EXTRACT(network_info, '$[*].active', "
     "'$[*].type', '$[*].profile', '$[*].devname') "
     'FROM instance_info_caches WHERE deleted = 0;'),
    ('migration context', 'nova',
     'SELECT instance_uuid, migration_context IS NULL FROM instance_extra '
     'WHERE deleted = 0;'),
    ('ports', 'neutron',
     'SELECT id, device_id, device_owner, admin_state_up FROM ports;'),
    ('port bindings', 'neutron',
     'SELECT port_id, host, status, vif_type, vnic_type, profile '
     'FROM ml2_port_bindings;'),
    ('allocations', 'placement',
     'SELECT a.consumer_id, p.name, a.resource_class_id, a.used '
     'FROM allocations a JOIN resource_providers p '
     'ON p.id = a.resource_provider_id;'),
)
RECORDS = 'SELECT instance_uuid, uuid FROM migrations ORDER BY id;'
ADDRESSES = 'SELECT id, mac_address FROM ports;'
#: Texts that differ from run to run although nothing is wrong, with their
#: replacements: times, names, and numbers that libvirt counts up.
VARYING = tuple((re.compile(pattern), new) for pattern, new in (
    (r'<nova:creationTime>.*?</nova:creationTime>', '<nova:creationTime/>'),
    (r"<domain ([^>]*?) id='\d+'", r'<domain \1'),
    (r'/dev/pts/\d+', '/dev/pts/N'),
    (r"port='\d{4,5}'", "port='N'"),
    (r"index='\d+'", "index='N'"),
    (r'\binstance-[0-9a-f]{8}\b', 'NAME'),
    (r'\breq-[0-9a-f-]{36}\b', 'REQUEST'),
    # Made from the MAC address.
    (r'\bfe80::[0-9a-f:]+', 'LINK-LOCAL'),
    (r'_lft \d+sec', '_lft N'),
))
#: Prints devices, processors, memory and addresses that a guest has.
GUEST = """\
cat /proc/sys/kernel/random/boot_id
ls /sys/bus/pci/devices /sys/class/net /sys/block
grep -c ^processor /proc/cpuinfo
grep MemTotal /proc/meminfo
ip -o address show
"""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A server whose facts are read.

    :ivar server_id: its UUID
    :ivar ports: UUIDs of its ports
    :ivar address: address of its guest
    :ivar boot_id: boot id of its guest, before anything happened
    """

    server_id: str
    ports: tuple[str, ...]
    address: str
    boot_id: str


def read(paths: layout.Layout, hosts: collections.abc.Sequence[str],
         subject: Subject, run: collections.abc.Callable[[str], str]
         ) -> Facts:
    """Return the facts of a server now.

    :param paths: paths of the lab
    :param hosts: names of all hosts where it may have been
    :param subject: the server
    :param run: runs a shell command in its guest and returns the output
    :raises errors.LabError: if the database refuses
    """
    records = [uuid for server_id, uuid in fleet.sql(paths, RECORDS)
               if server_id == subject.server_id]
    addresses = [mac for port, mac in fleet.sql(paths, ADDRESSES, 'neutron')
                 if port in subject.ports]
    names = _names(subject, records, addresses)
    found = {}
    for title, database, statement in QUERIES:
        # The order of rows that are written side by side is no fact.
        found[title] = '\n'.join(sorted(
            _plain(' | '.join(row), names)
            for row in fleet.sql(paths, statement, database)
            if row[0] in (subject.server_id, *subject.ports, *records)))
    for port in subject.ports:
        found[f'options in OVN of {port}'] = _port_options(port)
    for host in hosts:
        found |= _of_host(paths, host, subject)
    found['QEMU processes'] = str(len(
        fleet.qemu_processes(subject.server_id)))
    try:
        found['guest'] = run(GUEST)
    except builder.GuestUnreachable:
        found['guest'] = 'does not answer'
    return {_plain(title, names): _plain(text, names)
            for title, text in found.items()}


def _port_options(port: str) -> str:
    try:
        return fleet.nbctl('--bare', '--columns=options', 'list',
                           'Logical_Switch_Port', port).strip()
    except subprocess.CalledProcessError:
        return 'OVN has no such port'


def _of_host(paths: layout.Layout, host: str, subject: Subject) -> Facts:
    """Return the facts of a server on one host."""
    try:
        traces = fleet.traces(paths, host, subject.server_id, subject.ports)
        state = fleet.domain_state(host, subject.server_id)
    except errors.LabError:
        return {f'{host}: libvirt': 'does not answer'}
    folder = paths.data(host) / 'instances' / subject.server_id
    return {
        f'{host}: traces': ', '.join(traces),
        f'{host}: domain state': state,
        f'{host}: domain': fleet.inside(
            host, 'virsh', 'dumpxml', subject.server_id,
            check=False).stdout if state else '',
        f'{host}: files': ', '.join(sorted(
            path.name for path in folder.glob('*'))),
    }


def _names(subject: Subject, records: collections.abc.Sequence[str],
           addresses: collections.abc.Sequence[str]) -> dict[str, str]:
    """Return the names that are replaced, the longest first."""
    names = {subject.server_id: 'SERVER', subject.address: 'ADDRESS'}
    if subject.boot_id:
        names[subject.boot_id] = 'BOOT'
    names |= {uuid: f'RECORD-{number}'
              for number, uuid in enumerate(records, 1)}
    names |= {mac: f'MAC-{number}'
              for number, mac in enumerate(addresses, 1)}
    for number, port in enumerate(subject.ports, 1):
        # nova and Open vSwitch name interfaces by the beginning of a port.
        names |= {port: f'PORT-{number}', port[:11]: f'PORT-{number}'}
    return dict(sorted(names.items(), key=lambda item: -len(item[0])))


def _plain(text: str, names: dict[str, str]) -> str:
    """Return a text without all that differs from server to server."""
    for old, new in names.items():
        text = text.replace(old, new)
    for pattern, new in VARYING:
        text = pattern.sub(new, text)
    return text.strip()


def differences(found: Facts, accepted: collections.abc.Mapping[
        str, collections.abc.Sequence[str]]) -> list[str]:
    """Return the facts that no unchanged nova has shown, one text each.

    :param found: the facts
    :param accepted: all values of each fact with unchanged nova
    """
    texts = []
    for title in sorted({*found, *accepted}):
        value = found.get(title, '')
        known = accepted.get(title, ('',))
        if value not in known:
            texts.append(f'{title}: {_changed(value, known[0])}')
    return texts


def _changed(value: str, usual: str) -> str:
    """Return the lines in which a value differs from the usual one."""
    lines, others = value.splitlines(), usual.splitlines()
    return '; '.join([
        *(f'has {line.strip()}' for line in lines if line not in others),
        *(f'lacks {line.strip()}' for line in others if line not in lines),
    ]) or 'other order, or other number, of the same lines'


def merge(every: collections.abc.Iterable[Facts]
          ) -> dict[str, list[str]]:
    """Return all values of each fact in several runs of unchanged nova.

    :param every: the facts of each run
    """
    runs = list(every)
    titles = dict.fromkeys(title for each in runs for title in each)
    return {title: list(dict.fromkeys(each.get(title, '') for each in runs))
            for title in titles}
