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

"""The faults: injection, repair, expected verdicts.

To add a fault, add an entry to FAULTS.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import os
import signal
import threading

from lab import errors
from lab import fleet
from lab.hosts import network
from lab.layout import Layout
from lab.layout import SUPERVISOR_SOCKET
from lab.supervisor import Supervisor
from lab.topology import BLOCK
from lab.topology import STORAGES
from lm_tempest_plugin.migration.verdict import Kind

#: Status of the migration record that a fault waits for; 'before' is before
#: the request.
BEFORE, QUEUED, RUNNING = 'before', 'queued', 'running'
CUT_SECONDS = 20
#: Less than a guest's overlay and its base image take.
FULL_DISK = '6m'


@dataclasses.dataclass(frozen=True)
class Place:
    """Lab and hosts of a fault.

    :ivar layout: paths of the lab
    :ivar source: name of the host that servers leave
    :ivar destination: name of the host that they go to
    """

    layout: Layout
    source: str
    destination: str


Act = collections.abc.Callable[[Place], None]


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    :ivar name: name on the command line
    :ivar action: description of the injection
    :ivar servers: number of servers that are migrated
    :ivar when: status of the migration record in which it is injected
    :ivar inject: injects the fault
    :ivar heal: repairs it after the verdict
    :ivar expected: the verdicts that are right
    :ivar cause: regular expression that the cause has to match
    :ivar storages: kinds of storage for which it makes sense
    """

    name: str
    action: str
    servers: int
    when: str
    inject: Act
    heal: Act
    expected: tuple[Kind, ...]
    cause: str
    storages: tuple[str, ...] = STORAGES


def kill(program: str) -> None:
    """Kill a program like a crash; the supervisor starts it again.

    :param program: name of the supervisor program
    :raises errors.LabError: if it is not up
    """
    state = Supervisor(SUPERVISOR_SOCKET).state(program)
    if not state.up:
        raise errors.LabError(f'{program} is not up.')
    os.kill(state.pid, signal.SIGKILL)


def _kill_libvirtd(place: Place) -> None:
    kill(f'{place.destination}-libvirtd')


def _restart_compute(place: Place) -> None:
    """Restart the destination's nova-compute.

    Its libvirtd has gone, and nova 34 may wait for it for ever, which blocks
    all later migrations.
    """
    Supervisor(SUPERVISOR_SOCKET).restart(
        f'{place.destination}-nova-compute')


def _kill_compute(place: Place) -> None:
    kill(f'{place.source}-nova-compute')


def _destroy_orphans(place: Place) -> None:
    """Destroy guests on the destination that nova shows on the source."""
    hosts = dict(fleet.sql(
        place.layout, 'SELECT uuid, host FROM instances WHERE deleted = 0;'))
    for uuid in fleet.running_on([place.destination]):
        if hosts.get(uuid) == place.source:
            fleet.inside(place.destination, 'virsh', 'destroy', uuid)
            fleet.inside(place.destination, 'virsh', 'undefine', uuid,
                         check=False)


def _cut(place: Place) -> None:
    network.set_management(place.destination, up=False)


def _mend(place: Place) -> None:
    network.set_management(place.destination, up=True)


def _mend_and_restart(place: Place) -> None:
    """Repair the network and restart the destination's nova-compute.

    Its connection to RabbitMQ may be dead unnoticed, and until the next
    heartbeat fails each RPC cast to it is lost.
    """
    _mend(place)
    _restart_compute(place)


def _cut_for_a_while(place: Place) -> None:
    _cut(place)
    timer = threading.Timer(CUT_SECONDS, _mend, [place])
    timer.daemon = True
    timer.start()


def _fill(place: Place) -> None:
    fleet.inside(place.destination, 'mount', '-t', 'tmpfs', '-o',
                 f'size={FULL_DISK}', 'full', str(place.layout.instances))


def _empty(place: Place) -> None:
    fleet.inside(place.destination, 'umount', '--lazy',
                 str(place.layout.instances), check=False)


def _keep_running(place: Place) -> None:
    fleet.sql(place.layout, (
        'CREATE TRIGGER lm_never_ends BEFORE UPDATE ON migrations FOR EACH '
        "ROW SET NEW.status = IF(NEW.status = 'completed', 'running', "
        'NEW.status);'))


def _let_end(place: Place) -> None:
    fleet.sql(place.layout, 'DROP TRIGGER IF EXISTS lm_never_ends;')
    fleet.sql(place.layout, (
        "UPDATE migrations SET status = 'completed' WHERE status = "
        "'running' AND migration_type = 'live-migration';"))


def _end_queued(place: Place) -> None:
    """End the record that nova-compute never ends."""
    fleet.sql(place.layout, (
        "UPDATE migrations SET status = 'error' WHERE status IN ('queued', "
        "'preparing') AND migration_type = 'live-migration';"))


FAULTS = (
    Fault('libvirtd', "the destination's libvirtd is killed while copying",
          1, RUNNING, _kill_libvirtd, _restart_compute,
          (Kind.ROLLED_BACK, Kind.INCONSISTENT, Kind.FAILED),
          r'lost the migration|compute_live_migration|driver'),
    Fault('compute-running', "the source's nova-compute is killed while "
          'copying', 1, RUNNING, _kill_compute, _destroy_orphans,
          (Kind.INCONSISTENT, Kind.ROLLED_BACK),
          r'nova-compute on the source host restarted'),
    Fault('compute-queued', "the source's nova-compute is killed while a "
          'migration is queued', 2, QUEUED, _kill_compute, _end_queued,
          (Kind.STUCK,), r'nova-compute on the source host ended while'),
    Fault('network-20s', 'the management network of the destination is cut '
          'for 20 s', 1, RUNNING, _cut_for_a_while,
          _mend_and_restart,
          # libvirt gives up after 30 s without an answer, and nova's reaction
          # varies. The verdict is compared with the database as well.
          (Kind.COMPLETED, Kind.ROLLED_BACK, Kind.INCONSISTENT),
          r'^$|failed while copying|lost the migration'),
    Fault('network', 'the management network of the destination is cut for '
          'good', 1, RUNNING, _cut, _mend_and_restart,
          (Kind.INCONSISTENT, Kind.STUCK, Kind.ROLLED_BACK),
          r'the copy does not end|never got beyond running|'
          r'lost the migration|failed while copying'),
    Fault('disk', "the destination's disk is full", 1, BEFORE, _fill, _empty,
          (Kind.ROLLED_BACK, Kind.FAILED),
          # nova shows only the class of an exception that is not its own.
          r'(?i)no space|too large|pre_live_migration on host \S+: Error '
          r'\(OSError',
          # With Ceph nothing is written to it.
          (BLOCK,)),
    Fault('record', "the record is kept from ending in nova's database", 1,
          BEFORE, _keep_running, _let_end, (Kind.STUCK,),
          r'the record never ends'),
)
