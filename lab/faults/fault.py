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
import importlib
import pkgutil

from lab import errors
from lab import faults
from lab.layout import Layout
from lab.topology import STORAGES
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.results import schema


class When(enum.StrEnum):
    """The moment of an injection.

    All but the first and the last one are statuses of the migration record.
    """

    #: The servers exist, and nothing is requested yet.
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


class Missing(errors.LabError):
    """This lab lacks something that a fault needs: it is skipped."""


@dataclasses.dataclass(frozen=True)
class Needs:
    """Properties of the servers and the migration that a fault needs.

    :ivar servers: number of servers that are migrated, each with a security
        group that opens ICMP, SSH and the echo service alone
    :ivar ephemeral: whether they have an ephemeral disk
    :ivar second_port: whether they have a second network interface
    :ivar subport: whether their port is a trunk with a subport
    :ivar memory_mib: memory that each guest keeps writing, in MiB; 0 for none
    :ivar return_s: time for which a silent guest is watched, in seconds
    :ivar timeout_s: time-out of the migration, in seconds
    """

    servers: int = 1
    ephemeral: bool = False
    second_port: bool = False
    subport: bool = False
    memory_mib: int = 0
    return_s: float = 60.0
    timeout_s: float = 90.0


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    :ivar name: name on the command line; a literal, since documentation is
        made from it
    :ivar action: the injection, in one clause; a literal too
    :ivar when: moment of the injection
    :ivar inject: injects the fault; raises Missing if this lab lacks
        something for it
    :ivar heal: repairs it after the verdict, and what prepare changed; also
        called if one of them failed
    :ivar expected: the verdicts that are right
    :ivar checks: slugs of the checks that have to fail, apart from verdict;
        others must not fail, apart from those in consequences
    :ivar cause: regular expression that the cause, or the text of one of the
        problems, has to match
    :ivar prepare: called when the servers exist and before the first request,
        for a setting that the injection needs
    :ivar consequences: slugs of checks that may fail as well
    :ivar present: returns why the fault is not there although it should be;
        empty if it is. Called when the verdict has fallen, before heal
    :ivar told: returns the fact that is missing in the stored line of the
        drain; empty if none is
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
    prepare: Act = lambda place: None
    consequences: tuple[str, ...] = ()
    present: collections.abc.Callable[[Place], str] = lambda place: ''
    told: collections.abc.Callable[[schema.DrainResult], str] = (
        lambda drain: '')
    needs: Needs = Needs()
    storages: tuple[str, ...] = STORAGES


def discover() -> list[Fault]:
    """Return all faults that the modules of this package define."""
    return [
        each for module in pkgutil.iter_modules(faults.__path__)
        # It would run as a program.
        if module.name != '__main__'
        for each in getattr(importlib.import_module(
            f'{faults.__name__}.{module.name}'), 'FAULTS', ())]
