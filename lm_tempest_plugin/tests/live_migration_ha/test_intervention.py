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

"""Stepping in: aborting a live migration, or completing it by force."""

from collections.abc import Callable
from collections.abc import Sequence

from tempest import config
from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import progress
from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import finding as findings
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.tests.live_migration_ha import base

CONF = config.CONF


class Intervention:
    """Does something to the first migration that is seen in a state.

    :ivar done: UUIDs of the servers to whose migration it was done
    """

    def __init__(self, fits: Callable[[attempts.Attempt], bool],
                 act: Callable[[str, int], None]) -> None:
        """Make ready.

        :param fits: whether an attempt is in the state
        :param act: takes the server's UUID and the record's number
        """
        self._fits = fits
        self._act = act
        self.done: list[str] = []

    def __call__(self, look: poll.Look,
                 followed: Sequence[attempts.Attempt]) -> None:
        """Look for a migration in the state; called after each look."""
        for each in followed:
            newest = each.newest
            if self.done or newest is None or not self._fits(each):
                continue
            try:
                self._act(each.request.server_id, newest.number)
            except (lib_exc.BadRequest, lib_exc.Conflict):
                # It has gone on since: nova says that the state of the
                # migration is another (400), or that of the server (409).
                continue
            self.done.append(each.request.server_id)


@decorators.serial
class InterventionTest(base.LiveMigrationHaTest):
    """Migrations that do not end by themselves.

    The first guest writes memory meanwhile: the copy of one that does
    nothing would be over before nova has done what it was asked to do.
    """

    placed = True

    @decorators.idempotent_id('f0ae3dbb-5d0a-4f0c-8a10-6c1ddb3d0a4e')
    @decorators.attr(type=['slow', 'multinode'])
    def test_abort_running(self) -> None:
        """Abort a live migration while it copies.

        Asserted: the record is cancelled; the server is ACTIVE on the
        source as before, its guest runs on, its disk is unharmed, and
        neither an allocation nor a port binding is left on the destination.
        """
        if not CONF.live_migration_ha.recovers_from_failure:
            raise self.skipException(
                '[live_migration_ha] recovers_from_failure is False')
        self._step_in(1, Intervention(self._copies, self._abort))

    @decorators.idempotent_id('b70d7b4f-2ac0-4f49-8f1f-2d9b0f9f1b0c')
    @decorators.attr(type=['slow', 'multinode'])
    def test_abort_queued(self) -> None:
        """Abort a live migration that waits for its turn.

        Asserted is what test_abort_running asserts, and that those before
        it are completed.
        """
        declared = CONF.live_migration_ha.max_concurrent_live_migrations
        self._step_in(max(1, declared) + 1, Intervention(
            lambda each: each.newest is not None and
            each.newest.status == 'queued', self._abort))

    @decorators.idempotent_id('0d2dd6ad-4a5f-44f7-9f0e-7a1c0a0a9a35')
    @decorators.attr(type=['slow', 'multinode'])
    def test_force_complete(self) -> None:
        """Complete a live migration by force while it copies.

        Asserted is what the round trip asserts, with the bound of option
        max_forced_outage: nova pauses the guest for the rest of the copy.
        """
        forced = CONF.live_migration_ha.max_forced_outage
        self._step_in(
            1, Intervention(self._copies, self._force_complete),
            findings.Bounds(forced, 2 * forced + 1), aborts=False)

    def _step_in(self, number: int, intervention: Intervention,
                 bounds: findings.Bounds | None = None,
                 aborts: bool = True) -> None:
        """Move guests from one host, all at once, and step in."""
        first = self.create_guest()
        fleet = [first]
        if number > 1:
            fleet += self.create_guests(number - 1, first.host)
        watched = self.start_watch(*fleet)
        boot_ids = self.read_boot_ids(*fleet)
        sums = self.write_disks(*fleet)
        self.keep_writing(first, self._to_write())
        arrival = self.travel(
            base.Trip(
                fleet, self.choose_destination(first.host), watched,
                boot_ids, self.new_move(),
                strategies.window(number), bounds, measured=False),
            on_look=intervention,
            aborted=intervention.done if aborts else ())
        self.report(arrival, 'intervention')
        if not intervention.done:
            raise self.skipException(
                'No migration was seen in the state in which to step in; a '
                'flavor with more memory takes longer to copy. All went '
                'well: %s' % '; '.join(
                    found.line() for found in arrival.findings))
        self.assert_unharmed(watched)
        self.assert_disks(sums, *fleet)

    def _to_write(self) -> int:
        """Return how much a guest is to write: an eighth of its memory."""
        flavor = self.owner.flavors_client.show_flavor(
            CONF.compute.flavor_ref)['flavor']
        return max(1, int(flavor['ram']) // 8)

    def _copies(self, each: attempts.Attempt) -> bool:
        """Return whether libvirt is at work on the copy.

        nova calls the migration running a moment before, when there is
        nothing to abort yet.
        """
        if each.newest is None or each.newest.status != 'running':
            return False
        found = progress.show(self.clients.servers, each.request.server_id)
        return found is not None and found.known

    def _abort(self, server_id: str, number: int) -> None:
        progress.abort(self.clients.servers, server_id, number)

    def _force_complete(self, server_id: str, number: int) -> None:
        progress.force_complete(self.clients.servers, server_id, number)
