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

"""The description of a run: servers, destination, bounds, time-outs."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.results import schema


@dataclasses.dataclass(frozen=True)
class Strategy:
    """How many live migrations are in flight.

    :ivar size: maximum number in flight
    :ivar barrier: True for batches: all of a batch have to end before the
        next batch is requested. False for a window: the next server follows
        as soon as one has ended.
    :ivar per_host: maximum number in flight in which a host takes part, as
        source or as destination; 0 for no limit. A server whose hosts are
        busy lets later ones pass.
    """

    size: int
    barrier: bool
    per_host: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f'the size of a {self.name} is {self.size}, and '
                             'has to be 1 or more')

    @property
    def name(self) -> str:
        """The kind: batch or window."""
        return 'batch' if self.barrier else 'window'

    def room(self, in_flight: int) -> int:
        """Return how many more migrations may be requested now.

        :param in_flight: migrations that were requested and have not ended
        """
        if self.barrier and in_flight:
            return 0
        return max(0, self.size - in_flight)

    def __str__(self) -> str:
        limit = f', {self.per_host} per host' if self.per_host else ''
        return f'{self.name} of {self.size}{limit}'


def batches(size: int) -> Strategy:
    """Return the strategy of the 2017 white paper: n requests, wait, next n.

    :param size: servers in a batch
    """
    return Strategy(size, barrier=True)


def window(size: int, per_host: int = 0) -> Strategy:
    """Return a strategy that keeps a constant number in flight.

    :param size: maximum number in flight
    :param per_host: maximum number in flight in which a host takes part; 0
        for no limit
    """
    return Strategy(size, barrier=False, per_host=per_host)


ONE_AT_A_TIME = window(1)


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The longest interruptions of a guest that are accepted.

    :ivar max_outage_s: longest outage (ICMP)
    :ivar max_stall_s: longest stall (TCP)
    """

    max_outage_s: float
    max_stall_s: float

    @classmethod
    def of(cls, options: Any) -> 'Bounds':
        """Return the bounds of a configuration.

        :param options: values of the group live_migration_ha
        """
        return cls(options.max_outage, options.max_stall)

    @classmethod
    def forced(cls, options: Any) -> 'Bounds':
        """Return the bounds of a migration that nova is forced to complete.

        nova pauses the guest for the rest of the copy. TCP doubles its
        waiting time after each loss, so a stall lasts up to twice as long as
        its outage.

        :param options: values of the group live_migration_ha
        """
        forced_s = options.max_forced_outage
        return cls(forced_s, 2 * forced_s + 1)


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """Time-outs and intervals of the engine, in seconds. All are ours.

    :ivar base_s: time-out before the parts for memory and disk are added
    :ivar per_gib_ram_s: more time for each GiB of memory
    :ivar per_gib_disk_s: more time for each GiB of local disk that is copied
    :ivar settle_s: time for the server to lose its task after its record has
        ended
    :ivar poll_interval_s: time between two snapshots
    :ivar poll_error_s: time without a successful snapshot
    :ivar return_s: time for which a guest that is silent for too long is
        watched, because it may return
    :ivar grace_s: time for which guests are observed after a migration ends,
        before they are inspected
    """

    base_s: float
    per_gib_ram_s: float
    per_gib_disk_s: float
    settle_s: float
    poll_interval_s: float
    poll_error_s: float
    return_s: float
    grace_s: float = 0.0

    @classmethod
    def of(cls, options: Any) -> 'Timeouts':
        """Return the time-outs of a configuration.

        :param options: values of the group live_migration_ha
        """
        return cls(
            options.migration_timeout, options.migration_timeout_per_gib_ram,
            options.migration_timeout_per_gib_disk, options.settle_timeout,
            options.poll_interval, options.poll_error_timeout,
            options.return_timeout, options.grace_time)

    def migration_s(self, server: servers.Server, copies_disks: bool) -> float:
        """Return the time-out of one migration, queueing apart.

        :param server: the server
        :param copies_disks: whether its local disks are copied
        """
        timeout_s = self.base_s + self.per_gib_ram_s * server.ram_gib
        if copies_disks:
            timeout_s += self.per_gib_disk_s * server.disk_gib
        return timeout_s


@dataclasses.dataclass(frozen=True)
class PlannedServer:
    """A server to live-migrate.

    :ivar server_id: its UUID
    :ivar address: address that is probed; empty if it is not probed
    :ivar inspection: facts that were read in its guest before; None to leave
        the inside of the guest alone
    :ivar volumes: UUIDs of the volumes that are attached to it
    :ivar destination: name of the host to which it goes; None for that of the
        plan
    """

    server_id: str
    address: str = ''
    inspection: schema.GuestInspection | None = None
    volumes: tuple[str, ...] = ()
    destination: str | None = None


@dataclasses.dataclass(frozen=True)
class ExpectedRefusal:
    """The refusal of requests that nova must not carry out.

    :ivar status: HTTP status with which nova has to answer; 202 where it
        checks after the answer, and the instance action has to say that the
        checks failed
    :ivar obstacle: the reason, which has to be there before the requests, and
        no other one; None for one that only nova can see
    """

    status: int
    obstacle: preflight.Obstacle | None = None


@dataclasses.dataclass(frozen=True)
class MigrationPlan:
    """One drain: everything that its outcome depends on.

    :ivar servers: the servers, in the order of the requests
    :ivar destination: name of the host for servers that have none of their
        own; empty for the scheduler's choice
    :ivar timeouts: time-outs and intervals
    :ivar bounds: accepted interruptions
    :ivar options: arguments of the requests
    :ivar strategy: how many at once
    :ivar settings: settings of nova-compute and storage that are declared or
        were set; the checks look for them
    :ivar workload: work of the guests meanwhile
    :ivar expected: the verdicts that are no problem
    :ivar expected_status: status that the servers have to have afterwards,
        on the source, where they are expected to stay; empty to accept the
        status that the verdict implies
    :ivar expected_refusal: refusal of all requests; None where nova has to
        begin with them
    :ivar avoid: regular expression of hosts that must not take part; empty
        for none
    :ivar test: id of the test, or name of the command
    :ivar round_trip: number of the round trip, from 1
    :ivar measured: whether the figures count; false for a warm-up, and for
        migrations that are interfered with
    :ivar leave_out: slugs of checks that do not run, with the reasons
    """

    servers: tuple[PlannedServer, ...]
    destination: str
    timeouts: Timeouts
    bounds: Bounds
    options: request.RequestOptions = request.RequestOptions()
    strategy: Strategy = ONE_AT_A_TIME
    settings: schema.Settings = schema.Settings()
    workload: schema.WorkloadChoice = schema.WorkloadChoice()
    expected: tuple[verdict.Kind, ...] = (verdict.Kind.COMPLETED,)
    expected_status: str = ''
    expected_refusal: ExpectedRefusal | None = None
    avoid: str = ''
    test: str = ''
    round_trip: int = 1
    measured: bool = True
    leave_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, options: Any, /, **fields: Any) -> 'MigrationPlan':
        """Return a plan with the time-outs and bounds of a configuration.

        :param options: values of the group live_migration_ha
        :param fields: the other fields; time-outs and bounds can be among
            them
        """
        return cls(**{'timeouts': Timeouts.of(options),
                      'bounds': Bounds.of(options), **fields})

    def planned(self, server_id: str) -> PlannedServer:
        """Return the planned server with a UUID.

        :param server_id: the UUID
        """
        return next(each for each in self.servers
                    if each.server_id == server_id)

    def destination_of(self, server_id: str) -> str:
        """Return the name of the host to which a planned server goes.

        :param server_id: its UUID
        :returns: empty for the scheduler's choice
        """
        own = self.planned(server_id).destination
        return self.destination if own is None else own
