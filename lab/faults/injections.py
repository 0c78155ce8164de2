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

"""The faults: what is done when, how it is undone, what is to be said."""

from __future__ import annotations

import collections.abc
import dataclasses
import os
import signal
import threading

from lab import errors
from lab import fleet
from lab.hosts import network
from lab import layout as layouts
from lab import supervisor as supervisors
from lab import topology as topologies
from lm_tempest_plugin.migration import verdict as verdicts

Kind = verdicts.Kind
#: nova's record in which a fault comes; 'before' is before the request.
BEFORE, QUEUED, RUNNING = 'before', 'queued', 'running'
CUT_SECONDS = 20
#: Less than a guest's overlay and its base image take.
FULL_DISK = '6m'


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a fault is injected.

    :ivar layout: paths of the lab
    :ivar source: name of the host that servers leave
    :ivar destination: name of the host that they go to
    """

    layout: layouts.Layout
    source: str
    destination: str


Act = collections.abc.Callable[[Place], None]


def _nothing(place: Place) -> None:
    """Nothing is to be undone."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    :ivar name: what it is called on the command line
    :ivar what: what is done, in words
    :ivar servers: how many servers are moved
    :ivar when: status of the record in which it is injected
    :ivar inject: does it
    :ivar heal: undoes it, after the verdict
    :ivar expected: the verdicts that are right
    :ivar words: regular expression that the cause has to match
    :ivar storages: where guests' disks have to live for it to be one
    """

    name: str
    what: str
    servers: int
    when: str
    inject: Act
    heal: Act
    expected: tuple[verdicts.Kind, ...]
    words: str
    storages: tuple[str, ...] = topologies.STORAGES


def kill(program: str) -> None:
    """End a program as a crash would; the supervisor starts it again.

    :param program: its identifier
    :raises errors.LabError: if it is not up
    """
    state = supervisors.Supervisor(layouts.SUPERVISOR_SOCKET).state(program)
    if not state.up:
        raise errors.LabError(f'{program} is not up.')
    os.kill(state.pid, signal.SIGKILL)


def _kill_libvirtd(place: Place) -> None:
    kill(f'{place.destination}-libvirtd')


def _restart_compute(place: Place) -> None:
    """Start the destination's nova-compute anew.

    With the libvirtd that it was connected to gone, nova 34 may wait for it
    for ever, and with that for every migration to come.
    """
    supervisors.Supervisor(layouts.SUPERVISOR_SOCKET).restart(
        f'{place.destination}-nova-compute')


def _kill_compute(place: Place) -> None:
    kill(f'{place.source}-nova-compute')


def _destroy_orphans(place: Place) -> None:
    """End guests that run on the destination, and by nova on the source."""
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
    """Mend the network, and start the destination's nova-compute anew.

    Its connection to RabbitMQ may be dead without its knowing: until the
    next heartbeat fails, what is asked of it is lost.
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
    """End the record that nova-compute never comes back to."""
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
          r'nova-compute on the source host was started again'),
    Fault('compute-queued', "the source's nova-compute is killed while a "
          'migration is queued', 2, QUEUED, _kill_compute, _end_queued,
          (Kind.STUCK,), r'nova-compute on the source host ended while'),
    Fault('network-20s', 'the management network of the destination is cut '
          'for 20 s', 1, RUNNING, _cut_for_a_while,
          _mend_and_restart,
          # libvirt gives up after 30 s without an answer, and what nova makes
          # of that differs; the truth is held against the verdict as well.
          (Kind.COMPLETED, Kind.ROLLED_BACK, Kind.INCONSISTENT),
          r'^$|failed while copying|lost the migration'),
    Fault('network', 'the management network of the destination is cut for '
          'good', 1, RUNNING, _cut, _mend_and_restart,
          (Kind.INCONSISTENT, Kind.STUCK, Kind.ROLLED_BACK),
          r'the copy does not come to an end|never got beyond running|'
          r'lost the migration|failed while copying'),
    Fault('disk', "the destination's disk is full", 1, BEFORE, _fill, _empty,
          (Kind.ROLLED_BACK, Kind.FAILED),
          # Of exceptions that are not its own nova tells the name alone.
          r'(?i)no space|too large|pre_live_migration on host \S+: Error '
          r'\(OSError',
          # With Ceph nothing is copied to it.
          (topologies.BLOCK,)),
    Fault('record', "the record is kept from ending in nova's database", 1,
          BEFORE, _keep_running, _let_end, (Kind.STUCK,),
          r'the record never ends'),
)
