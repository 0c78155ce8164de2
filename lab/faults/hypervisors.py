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

"""Faults of the compute hosts: nova-compute, libvirtd, QEMU and guests."""

from __future__ import annotations

import functools
import os
import pathlib
import signal
import time
from xml.etree import ElementTree

import openstack

from lab import errors
from lab.faults.fault import Fault
from lab.faults.fault import Needs
from lab.faults.fault import Place
from lab.faults.fault import When
from lab.faults import programs
from lab.faults import settings
from lab import fleet
from lab import layout
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin import utils

ENDED = ('completed', 'failed', 'error', 'cancelled')
#: Time for a migration to end once its fault is healed, in seconds. libvirt
#: notices after 30 s that its peer did not answer.
END_S = 120
#: Time from the arrival of the server to the end of its record, in seconds.
HAND_OVER_S = 30
#: Time for which a guest is paused, in seconds.
CLOCK_S = 4
#: MiB/s. The guest's memory takes longer than the time-out of the engine.
SLOW_MIB_S = 1
#: MiB/s. An emulated guest that writes its memory without a pause dirties
#: about 6 MiB/s on a busy machine, as libvirt counts it.
NARROW_MIB_S = 4
#: virsh's word for no limit, MiB/s.
UNLIMITED_MIB_S = 8796093022207
#: nova switches to post-copy by itself, after some seconds.
POST_COPY = """\
[libvirt]
live_migration_permit_post_copy = true
live_migration_timeout_action = force_complete
live_migration_completion_timeout = 1
"""
#: Devices that a domain of the same UUID on another host must not have: it
#: would write the disk of the real one, or need files and interfaces.
OF_THE_GUEST = ('disk', 'interface', 'serial', 'console')
#: Checks of a guest that answers no probes.
SILENT = ('outage', 'stall')
#: Checks of a server whose migration goes on.
GOES_ON = ('left-migrating', 'one-record', 'server-status')


def _nothing(place: Place) -> None:
    """Heal a fault that ends with the server."""


def _states(place: Place) -> list[list[str]]:
    """Return host, state, task and record of the server, for each record."""
    return [row for uuid, *row in fleet.sql(place.layout, fleet.STATES)
            if uuid == place.server_id]


def _await_end(place: Place) -> None:
    """Wait until nova has finished with the migration.

    :raises errors.LabError: if it has not within END_S
    """
    utils.wait_until(
        lambda rows: all(task == 'NULL' and record in ENDED
                         for _, _, task, record in rows),
        lambda: _states(place), 'the migration to end after its fault',
        END_S, error=errors.LabError)


def _await_completion(place: Place) -> None:
    """Wait until the record has ended: until then nova cleans up the source.

    :raises errors.LabError: if it has not within HAND_OVER_S
    """
    utils.wait_until(
        lambda rows: rows[-1][-1] in ENDED, lambda: _states(place),
        'the record to end', HAND_OVER_S, interval_s=0.1,
        error=errors.LabError)


def _virsh(host: str, command: str, place: Place, *arguments: str) -> str:
    """Run a command of virsh on the domain of the server.

    :returns: its output
    """
    return fleet.inside(host, 'virsh', command, place.server_id,
                        *arguments).stdout


# Guests.

def _destroy(place: Place) -> None:
    _virsh(place.destination, 'destroy', place)


def _suspend(place: Place) -> None:
    _virsh(place.destination, 'suspend', place)


def _is(state: str, place: Place) -> str:
    """Return why libvirt's state on the destination is another one."""
    found = fleet.domain_state(place.destination, place.server_id)
    return '' if found == state else (
        f'the guest is {found or "absent"}, not {state}')


def _suspend_for_a_while(place: Place) -> None:
    _suspend(place)
    time.sleep(CLOCK_S)
    _virsh(place.destination, 'resume', place)


def _define(place: Place) -> None:
    """Define the server's domain on the host that it left."""
    _await_completion(place)
    path = _planted(place)
    layout.write(path, _virsh(
        place.destination, 'dumpxml', place, '--migratable'))
    fleet.inside(place.source, 'virsh', 'define', str(path))


def _start_second(place: Place) -> None:
    """Start a domain of the same name and UUID on the host that it left.

    It has neither disk nor network, so it only waits in its firmware.
    """
    _await_completion(place)
    domain = ElementTree.fromstring(_virsh(
        place.destination, 'dumpxml', place, '--migratable'))
    devices = domain.find('devices')
    assert devices is not None
    for device in [each for each in devices if each.tag in OF_THE_GUEST]:
        devices.remove(device)
    path = _planted(place)
    layout.write(path, ElementTree.tostring(domain, 'unicode'))
    fleet.inside(place.source, 'virsh', 'create', str(path))


def _planted(place: Place) -> pathlib.Path:
    """Return the file of a planted domain."""
    return place.layout.data(place.source) / 'planted.xml'


def _remove_domain(place: Place) -> None:
    """Remove the server's domain from the host that it left."""
    if _planted(place).exists():
        fleet.remove_traces(place.layout, place.source, place.server_id, ())
        _planted(place).unlink()


def _is_on_source(state: str, place: Place) -> str:
    found = fleet.domain_state(place.source, place.server_id)
    return '' if found == state else (
        f'its domain on {place.source} is {found or "absent"}, not {state}')


# Leftovers.

def _directory(place: Place) -> pathlib.Path:
    """Return nova's directory of the server on the source."""
    return (place.layout.data(place.source) / 'instances' / place.server_id)


def _leave_directory(place: Place) -> None:
    _await_completion(place)
    layout.write(_directory(place) / 'disk', 'left over')


def _remove_directory(place: Place) -> None:
    fleet.remove_traces(place.layout, place.source, place.server_id, ())


def _directory_is_left(place: Place) -> str:
    return '' if _directory(place).is_dir() else 'the directory is gone'


def _interface(place: Place) -> tuple[str, str, str]:
    """Return name, port and MAC address of the server's first interface."""
    port = next(openstack.connect().network.ports(
        device_id=place.server_id))
    return f'tap{port.id[:11]}', port.id, port.mac_address


def _leave_interface(place: Place) -> None:
    """Leave a port in the switch of the source, like nova's.

    OVN does not use it: neutron requests the server's host.
    """
    _await_completion(place)
    name, port, address = _interface(place)
    fleet.inside(
        place.source, 'ovs-vsctl', 'add-port', 'br-int', name, '--', 'set',
        'Interface', name, 'type=internal', f'external_ids:iface-id={port}',
        f'external_ids:attached-mac="{address}"',
        f'external_ids:vm-uuid={place.server_id}',
        'external_ids:iface-status=active')


def _remove_interface(place: Place) -> None:
    fleet.inside(place.source, 'ovs-vsctl', '--if-exists', 'del-port',
                 'br-int', _interface(place)[0])


def _interface_is_left(place: Place) -> str:
    name = _interface(place)[0]
    found = fleet.inside(place.source, 'ovs-vsctl', 'list-ports', 'br-int')
    return '' if name in found.stdout.split() else f'{name} is gone'


def _set_interface_down(place: Place) -> None:
    # It would set the interface up again.
    programs.pause(f'{place.destination}-taps')
    fleet.inside(place.destination, 'ip', 'link', 'set', _interface(place)[0],
                 'down')


def _set_interface_up(place: Place) -> None:
    programs.resume(f'{place.destination}-taps')


def _interface_is_up(place: Place) -> str:
    found = fleet.inside(place.destination, 'ip', 'link', 'show', 'up')
    name = _interface(place)[0]
    return f'{name} is up' if f' {name}:' in found.stdout else ''


# libvirtd and nova-compute.

def _kill_libvirtd(place: Place) -> None:
    programs.kill(f'{place.destination}-libvirtd')


def _restart_compute(place: Place) -> None:
    """Restart the destination's nova-compute.

    Its libvirtd has gone, and nova 34 may wait for it for ever, which blocks
    all later migrations.
    """
    settings.restart_compute(place.layout, place.destination)


def _kill_compute(place: Place) -> None:
    programs.kill(f'{place.source}-nova-compute')


def _destroy_orphans(place: Place) -> None:
    """Destroy guests on the destination that nova shows on the source."""
    hosts = dict(fleet.sql(
        place.layout, 'SELECT uuid, host FROM instances WHERE deleted = 0;'))
    for uuid in fleet.running_on([place.destination]):
        if hosts.get(uuid) == place.source:
            fleet.remove_traces(place.layout, place.destination, uuid, ())


def _end_queued(place: Place) -> None:
    """End the record that nova-compute never ends."""
    fleet.sql(place.layout, (
        "UPDATE migrations SET status = 'error' WHERE status IN ('queued', "
        "'preparing') AND migration_type = 'live-migration';"))


def _restarted(side: str, program: str, place: Place) -> str:
    """Return why a program was not started anew since the request."""
    name = f'{getattr(place, side)}-{program}'
    running_s = int(fleet.inside(
        getattr(place, side), 'ps', '-o', 'etimes=', '-p',
        str(programs.pid(name))).stdout)
    age_s = min(int(age) for uuid, age in fleet.sql(place.layout, (
        'SELECT instance_uuid, TIMESTAMPDIFF(SECOND, created_at, '
        'UTC_TIMESTAMP()) FROM migrations;')) if uuid == place.server_id)
    return '' if running_s <= age_s else f'{name} runs since {running_s} s'


def _pause_libvirtd(side: str, place: Place) -> None:
    programs.pause(f'{getattr(place, side)}-libvirtd')


def _resume_libvirtd(side: str, place: Place) -> None:
    programs.resume(f'{getattr(place, side)}-libvirtd')
    _await_end(place)


def _is_paused(side: str, place: Place) -> str:
    name = f'{getattr(place, side)}-libvirtd'
    return '' if programs.paused(name) else f'{name} is not paused'


# The copy.

def _limit(mib_s: int, place: Place) -> None:
    """Limit the copy; nova asks libvirt for no other limit."""
    _virsh(place.source, 'migrate-setspeed', place, str(mib_s))


def _lift_limit(place: Place) -> None:
    """Let the copy end."""
    # If it has ended meanwhile, the domain is on the other host.
    fleet.inside(place.source, 'virsh', 'migrate-setspeed', place.server_id,
                 str(UNLIMITED_MIB_S), check=False)
    _await_end(place)


def _abort(place: Place) -> None:
    fleet.inside(place.source, 'virsh', 'domjobabort', place.server_id,
                 check=False)
    _await_end(place)


def _is_limited(mib_s: int, place: Place) -> str:
    found = int(_virsh(place.source, 'migrate-getspeed', place))
    return '' if found == mib_s else f'the limit is {found} MiB/s'


def _permit_post_copy(place: Place) -> None:
    settings.change(place.layout, place.source, POST_COPY)
    _limit(NARROW_MIB_S, place)
    # Or post-copy would end before it is hit.
    _virsh(place.source, 'migrate-setspeed', place, str(SLOW_MIB_S),
           '--postcopy')


def _kill_qemu(place: Place) -> None:
    """Kill the source's QEMU, which holds memory of the guest."""
    name = _virsh(place.source, 'domname', place).strip()
    pid = fleet.inside(place.source, 'cat', f'/run/libvirt/qemu/{name}.pid')
    os.kill(int(pid.stdout), signal.SIGKILL)


def _is_in_failed_post_copy(place: Place) -> str:
    # libvirt goes on to call such a domain running, with the reason post-copy
    # or post-copy failed; after a good migration it is another one.
    found = _virsh(place.destination, 'domstate', place, '--reason').strip()
    return '' if '(post-copy' in found else f'the guest is {found}'


def _forbid_post_copy(place: Place) -> None:
    settings.restore(place.layout, place.source)


FAULTS = (
    Fault('guest-destroyed', 'the guest is destroyed on arrival',
          When.ARRIVED, _destroy, _nothing, (Kind.LOST,),
          checks=SILENT, cause='the guest is dead: .*shut off',
          # nova calls a server SHUTOFF 15 s after its guest has ended.
          consequences=('domains', 'server-status'),
          present=functools.partial(_is, 'shut off')),
    Fault('guest-paused', 'the guest is paused on arrival', When.ARRIVED,
          _suspend, _nothing, (Kind.LOST,), checks=(*SILENT, 'domains'),
          cause='does not answer.*: paused',
          present=functools.partial(_is, 'paused'),
          needs=Needs(return_s=20)),
    Fault('guest-4s', 'the guest is paused for 4 s on arrival', When.ARRIVED,
          _suspend_for_a_while, _nothing, (Kind.COMPLETED,),
          checks=(*SILENT, 'clock'), cause=r'uptime\) is [45]\.\d s',
          present=functools.partial(_is, 'running')),
    Fault('qemu-post-copy', "the source's QEMU is killed in post-copy",
          When.POST_COPY, _kill_qemu, _forbid_post_copy, (Kind.LOST,),
          checks=SILENT, cause='post-copy failed', prepare=_permit_post_copy,
          # nova reacts in several ways, and leaves something each time.
          consequences=('allocations', 'domains', 'events', 'port-bindings',
                        'server-status'), present=_is_in_failed_post_copy,
          needs=Needs(memory_mib=32, return_s=20)),
    Fault('domain-twice', "the server's domain is defined on the source as "
          'well', When.ARRIVED, _define, _remove_domain, (Kind.COMPLETED,),
          checks=('domains',), cause='shut off on host compute1',
          present=functools.partial(_is_on_source, 'shut off')),
    Fault('runs-twice', 'a domain with the UUID of the server runs on the '
          'source as well', When.ARRIVED, _start_second, _remove_domain,
          (Kind.RUNS_TWICE,), checks=('domains',),
          cause='runs the guest on hosts compute1 and compute2',
          present=functools.partial(_is_on_source, 'running')),
    Fault('directory', 'a directory of the server is left on the source',
          When.ARRIVED, _leave_directory, _remove_directory,
          (Kind.COMPLETED,), checks=('instance-directories',),
          cause='compute1', present=_directory_is_left),
    Fault('interface', "a port of the server is left in the source's switch",
          When.ARRIVED, _leave_interface, _remove_interface,
          (Kind.COMPLETED,), checks=('interfaces',), cause='tap',
          present=_interface_is_left),
    Fault('interface-down', "the server's tap on the destination is set down "
          'on arrival', When.ARRIVED, _set_interface_down, _set_interface_up,
          (Kind.LOST,), checks=(*SILENT, 'interfaces'),
          cause='brings it no packets', present=_interface_is_up,
          needs=Needs(return_s=20)),
    Fault('libvirtd', "the destination's libvirtd is killed while copying",
          When.RUNNING, _kill_libvirtd, _restart_compute,
          (Kind.ROLLED_BACK, Kind.INCONSISTENT, Kind.FAILED),
          cause='client socket is closed|Lost connection to destination host|'
          'libvirtd-restarted',
          # Or the copy might end before libvirtd is killed.
          prepare=functools.partial(_limit, NARROW_MIB_S),
          # The server may be in ERROR.
          consequences=('server-status',),
          present=functools.partial(_restarted, 'destination', 'libvirtd')),
    Fault('libvirtd-destination', "the destination's libvirtd hangs before "
          'the request', When.BEFORE,
          functools.partial(_pause_libvirtd, 'destination'),
          functools.partial(_resume_libvirtd, 'destination'),
          (Kind.STUCK,), checks=(*GOES_ON, 'host-access'),
          cause='waited .* for compute_check_can_live_migrate_destination on '
          'host compute2',
          present=functools.partial(_is_paused, 'destination'),
          needs=Needs(timeout_s=40)),
    Fault('libvirtd-source', "the source's libvirtd hangs while copying",
          When.RUNNING, functools.partial(_pause_libvirtd, 'source'),
          functools.partial(_resume_libvirtd, 'source'), (Kind.STUCK,),
          checks=(*GOES_ON, 'host-access'),
          cause='libvirt of the source host does not answer',
          # QEMU pauses the guest and waits for libvirt before it hands over;
          # or it has handed over, and nova never activates the ports there.
          consequences=(*SILENT, 'metadata'),
          present=functools.partial(_is_paused, 'source'),
          needs=Needs(timeout_s=40)),
    Fault('copy-slow', 'the bandwidth of the copy is limited to 1 MiB/s',
          When.BEFORE, functools.partial(_limit, SLOW_MIB_S), _lift_limit,
          (Kind.STUCK,), checks=GOES_ON,
          cause=r'the copy moves: .* MiB/s, about \d+ s more',
          present=functools.partial(_is_limited, SLOW_MIB_S),
          needs=Needs(timeout_s=30)),
    Fault('copy-not-converging', 'the guest writes its memory faster than it '
          'is sent', When.BEFORE, functools.partial(_limit, NARROW_MIB_S),
          _abort, (Kind.STUCK,), checks=GOES_ON,
          cause='the copy does not converge: the guest writes',
          present=functools.partial(_is_limited, NARROW_MIB_S),
          needs=Needs(memory_mib=32, timeout_s=40)),
    Fault('compute-running', "the source's nova-compute is killed while "
          'copying', When.RUNNING, _kill_compute, _destroy_orphans,
          (Kind.INCONSISTENT, Kind.ROLLED_BACK),
          cause='nova-compute on the source host restarted',
          # The copy goes on without nova: neither allocations nor ports
          # follow the guest, and so its metadata requests go nowhere.
          consequences=('allocations', 'metadata', 'port-bindings'),
          present=functools.partial(_restarted, 'source', 'nova-compute')),
    Fault('compute-queued', "the source's nova-compute is killed while a "
          'migration is queued', When.QUEUED, _kill_compute, _end_queued,
          (Kind.STUCK,), checks=('one-record',),
          cause='nova-compute on the source host ended while',
          # Of the other migration, which had begun.
          consequences=('instance-directories', 'interfaces'),
          present=functools.partial(_restarted, 'source', 'nova-compute'),
          needs=Needs(servers=2, timeout_s=40)),
)
