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

"""One entry in the list of faults."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum

from lab.layout import Layout
from lab.topology import STORAGES
from lm_tempest_plugin.migration.verdict import Kind


class When(enum.StrEnum):
    """The moment of an injection.

    All but the first and the last one are statuses of the migration record.
    """

    BEFORE = 'before'
    QUEUED = 'queued'
    PREPARING = 'preparing'
    RUNNING = 'running'
    POST_COPY = 'running (post-copy)'
    #: The server is on the destination, or its record is completed.
    ARRIVED = 'arrived'


@dataclasses.dataclass(frozen=True)
class Place:
    """Lab, hosts and server of a fault.

    :ivar layout: paths of the lab
    :ivar source: name of the host that servers leave
    :ivar destination: name of the host that they go to
    :ivar server_id: UUID of the server whose migration is hit
    """

    layout: Layout
    source: str
    destination: str
    server_id: str


Act = collections.abc.Callable[[Place], None]


@dataclasses.dataclass(frozen=True)
class Needs:
    """Properties of the servers and the migration that a fault needs.

    :ivar servers: number of servers that are migrated
    :ivar ephemeral: whether they have an ephemeral disk
    :ivar second_port: whether they have a second network interface
    :ivar subport: whether their port is a trunk with a subport
    :ivar memory_mib: memory that each guest keeps writing, in MiB; 0 for none
    :ivar narrow: whether the security group opens ICMP, SSH and the echo
        service alone
    :ivar return_s: time for which a silent guest is watched, in seconds
    :ivar timeout_s: time-out of the migration, in seconds
    """

    servers: int = 1
    ephemeral: bool = False
    second_port: bool = False
    subport: bool = False
    memory_mib: int = 0
    narrow: bool = True
    return_s: float = 60.0
    timeout_s: float = 90.0


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    :ivar name: name on the command line
    :ivar action: the injection, in one clause
    :ivar when: moment of the injection
    :ivar inject: injects the fault
    :ivar heal: repairs it after the verdict; also called if inject failed
    :ivar expected: the verdicts that are right
    :ivar checks: slugs of the checks that have to fail, apart from verdict;
        others must not fail, apart from those in consequences
    :ivar cause: regular expression that the cause, or the text of one of the
        problems, has to match
    :ivar consequences: slugs of checks that may fail as well
    :ivar present: returns why the fault is not there although it should be;
        empty if it is. Called when the verdict has fallen, before heal
    :ivar needs: servers and migration
    :ivar storages: kinds of storage for which it makes sense
    """

    name: str
    action: str
    when: When
    inject: Act
    heal: Act
    expected: tuple[Kind, ...]
    checks: tuple[str, ...] = ()
    cause: str = ''
    consequences: tuple[str, ...] = ()
    present: collections.abc.Callable[[Place], str] = lambda place: ''
    needs: Needs = Needs()
    storages: tuple[str, ...] = STORAGES
