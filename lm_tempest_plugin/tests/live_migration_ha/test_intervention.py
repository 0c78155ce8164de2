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

"""Interventions: abort a live migration, or force it to complete."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import time
from typing import Any

from tempest.config import CONF
from tempest.lib import decorators
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.live_migration_ha import base


def is_copying(servers_client: Any, migration: follow.Migration) -> bool:
    """Return whether libvirt copies.

    nova calls the migration running a moment earlier, when there is nothing
    to abort yet.

    :param servers_client: tempest.lib's ServersClient, of an admin
    :param migration: one that goes on
    """
    if migration.status != 'running':
        return False
    found = migration_records.show_progress(
        servers_client, migration.request.server_id)
    return found is not None and migration_records.is_progress_known(found)


def writing(owner: Any) -> memory.MemoryWorkload:
    """Return a workload that keeps a copy going until nova intervenes.

    :param owner: client manager of the project of the guests
    """
    flavor = owner.flavors_client.show_flavor(
        CONF.compute.flavor_ref)['flavor']
    return memory.MemoryWorkload(max(1, int(flavor['ram']) // 8))


def too_fast(results: Iterable[schema.MigrationResult]) -> str:
    """Return why a test is skipped that could not intervene.

    :param results: of the migrations
    """
    lines = '; '.join(map(messages.summary_line, results))
    return ('No migration was seen in the state in which to intervene; a '
            'flavor with more memory takes longer to copy. All migrations '
            f'were completed: {lines}')


class Intervention:
    """Acts on the first migration that is seen in a state; for on_poll.

    :ivar done: when it acted, CLOCK_MONOTONIC in ns, by the server's UUID
    """

    def __init__(self, fits: Callable[[follow.Migration], bool],
                 act: Callable[[str, int], None]) -> None:
        """Prepare; nothing is done yet.

        :param fits: returns whether a migration is in the state
        :param act: takes the server's UUID and the number of the record
        """
        self._fits = fits
        self._act = act
        self.done: dict[str, int] = {}

    def __call__(self, snapshot: poll.Snapshot,
                 migrations: Sequence[follow.Migration]) -> None:
        """Act on the first migration in the state, once."""
        for each in migrations:
            newest = each.newest
            if self.done or newest is None or not self._fits(each):
                continue
            acted_ns = time.monotonic_ns()
            try:
                self._act(each.request.server_id, newest.number)
            except (exceptions.BadRequest, exceptions.Conflict):
                # The migration has gone on since then: nova says that the
                # migration (400) or the server (409) is in another state.
                continue
            self.done[each.request.server_id] = acted_ns


@decorators.serial
class InterventionTest(base.LiveMigrationHaTest):
    """Migrations that do not end by themselves.

    The first guest keeps writing memory: the copy of an idle guest would end
    before nova has acted on the request.
    """

    placed = True

    @decorators.idempotent_id('f0ae3dbb-5d0a-4f0c-8a10-6c1ddb3d0a4e')
    @decorators.attr(type=['slow', 'multinode'])
    def test_abort_running(self) -> None:
        """Abort a live migration while it copies.

        Asserted: the server is ACTIVE on the source as before, whatever nova
        calls the record; its guest runs on, its disk is unharmed, and neither
        an allocation nor a port binding is left on the destination.
        """
        if not CONF.live_migration_ha.recovers_from_failure:
            raise self.skipException(
                '[live_migration_ha] recovers_from_failure is False')
        self._intervene(1, Intervention(self._is_copying, self._abort))

    @decorators.idempotent_id('b70d7b4f-2ac0-4f49-8f1f-2d9b0f9f1b0c')
    @decorators.attr(type=['slow', 'multinode'])
    def test_abort_queued(self) -> None:
        """Abort a live migration that waits in the queue of its source host.

        Asserted: the same as in test_abort_running, and that the migrations
        before it are completed.
        """
        declared = CONF.live_migration_ha.max_concurrent_live_migrations
        self._intervene(max(1, declared) + 1, Intervention(
            lambda each: each.status == 'queued', self._abort))

    @decorators.idempotent_id('0d2dd6ad-4a5f-44f7-9f0e-7a1c0a0a9a35')
    @decorators.attr(type=['slow', 'multinode'])
    def test_force_complete(self) -> None:
        """Force a live migration to complete while it copies.

        Asserted: the request has an effect within seconds (end, post-copy or
        pause), and the same as in test_block_live_migration_round_trip, with
        the bound of option max_forced_outage: nova pauses the guest for the
        rest of the copy.
        """
        self._intervene(
            1, Intervention(self._is_copying, self._force_complete),
            plan.Bounds.forced(CONF.live_migration_ha), aborts=False)

    def _intervene(self, number: int, intervention: Intervention,
                   bounds: plan.Bounds | None = None,
                   aborts: bool = True) -> None:
        """Move guests from one host, all at once, and intervene."""
        first, = self.build()
        guests = [first]
        if number > 1:
            guests += self.builder.build(number - 1, first.host)
        with self.observe(*guests) as fleet:
            self.builder.start(first, writing(self.owner))
            run = self.migrate(
                fleet, self.choose_destination(first.host),
                on_poll=intervention,
                aborted=intervention.done if aborts else (),
                forced={} if aborts else intervention.done,
                strategy=plan.window(number), measured=False,
                bounds=bounds or plan.Bounds.of(CONF.live_migration_ha))
            if not intervention.done:
                raise self.skipException(too_fast(run.results))

    def _is_copying(self, migration: follow.Migration) -> bool:
        return is_copying(self.clients.servers, migration)

    def _abort(self, server_id: str, number: int) -> None:
        migration_records.abort(self.clients.servers, server_id, number)

    def _force_complete(self, server_id: str, number: int) -> None:
        migration_records.force_complete(
            self.clients.servers, server_id, number)
