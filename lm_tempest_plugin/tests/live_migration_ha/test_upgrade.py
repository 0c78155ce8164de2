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

"""Rolling upgrades: migrations between hosts of different versions.

Which hosts differ is known with access to the hosts (nova, libvirt, QEMU).
Without it, nova tells the version of QEMU alone.

nova refuses a destination with an older QEMU than the source has, unless
``[workarounds]skip_hypervisor_version_check_on_lm`` is set for its conductors
(_check_compatible_with_source_hypervisor in nova/conductor/tasks/
live_migrate.py). So both answers are right on the way to an older QEMU. Where
nova's scheduler checks the destination (microversion 2.30 and later), the
conductor skips the host for this reason, logs it at DEBUG, and answers that no
host is valid.
"""

import functools

from oslo_log import log as logging
from tempest.config import CONF
from tempest.lib import decorators

from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.migration import coverage
from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.live_migration_ha import base
from lm_tempest_plugin.tests.live_migration_ha import test_intervention

LOG = logging.getLogger(__name__)

# Servers that are built where there are no canaries.
WANTED, FEWEST = 2, 1


def versions(host: schema.ComputeHost) -> tuple[str, str, str]:
    """Return the versions by which hosts are told apart.

    :param host: the host
    """
    return (host.hypervisor_version, host.nova_version or '',
            host.libvirt_version or '')


def age(host: schema.ComputeHost) -> tuple[list[int], ...]:
    """Return a sort key: the oldest host first.

    :param host: the host
    """
    return coverage.age(*versions(host))


# Serial: other tests would disturb its measurement.
@decorators.serial
class UpgradeTest(base.LiveMigrationHaTest):
    """Servers that move between old and new hosts.

    They are the canaries that `bootstrap --canaries` built before the upgrade,
    where there are some, or else new servers on the oldest host: a server that
    a newer QEMU has built may have a machine type that an older one lacks.
    """

    placed = True
    # One server, with SSH to two.
    hosts_by_age: list[schema.ComputeHost] = []

    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        usable = {host.name for host in cls.list_hosts() if host.usable}
        named = {CONF.compute.migration_source_host,
                 CONF.compute.migration_dest_host} - {None, ''}
        if len(named) == 2:
            usable &= named
        cls.hosts_by_age = sorted(
            (each for each in results_file.describe_hosts(
                cls.clients, cls.hosts) if each.host in usable),
            key=lambda each: (age(each), each.host))
        # OS_TEST_TIMEOUT is meant for a test of one server on two hosts.
        cls.TIMEOUT_SCALING_FACTOR = WANTED * len(cls.hosts_by_age)

    @decorators.idempotent_id('c7b4a1e2-6f0d-4a3b-9d58-0e1f7a2c4b96')
    @decorators.attr(type=['slow', 'multinode'])
    def test_oldest_to_newest_and_back(self) -> None:
        """Live-migrate servers from the oldest host to the newest and back.

        Skipped if all hosts are known to run the same versions. Asserted for
        each migration: the same as in test_block_live_migration_round_trip;
        moreover, with access to the hosts:

        * the guest has the machine type and the CPU (model and features) that
          it had before.

        If the oldest host has an older QEMU, nova may refuse the way back: the
        server then stays unharmed where it is, and nova says that the
        hypervisor is too old or that no host is valid.
        """
        self._round_trip(*self._oldest_and_newest())

    @decorators.idempotent_id('e05d9f38-2b7c-4c61-8a4e-6d3b1f90a2c7')
    @decorators.attr(type=['slow', 'multinode'])
    def test_same_versions_and_back(self) -> None:
        """Live-migrate servers between two hosts of the same versions.

        It is the control: a problem that is found here, too, has nothing to
        do with different versions. Skipped if no two hosts are known to run
        the same versions. Asserted: the same as in
        test_oldest_to_newest_and_back.
        """
        for one, other in zip(self.hosts_by_age, self.hosts_by_age[1:]):
            if one.nova_version and versions(one) == versions(other):
                self._round_trip(one.host, other.host)
                return
        raise self.skipException(
            'No two hosts are known to run the same versions of nova, QEMU '
            f'and libvirt: {self._describe()}')

    @decorators.idempotent_id('5b8e2d47-9c1a-4f60-8e73-a4d0c6b1f932')
    @decorators.attr(type=['slow', 'multinode'])
    def test_abort_towards_the_newest(self) -> None:
        """Abort a live migration from the oldest host to the newest.

        The source rolls back with the old code, the destination with the new
        one. Asserted: the same as in test_abort_running, and that machine type
        and CPU are kept.
        """
        source, destination = self._oldest_and_newest()
        self._abort(source, destination)

    @decorators.idempotent_id('93c6f1a5-0e4b-4d28-b7d9-2f8a5c3e6071')
    @decorators.attr(type=['slow', 'multinode'])
    def test_abort_towards_the_oldest(self) -> None:
        """Abort the way back of a server from the newest host to the oldest.

        Asserted: the same as in test_abort_towards_the_newest.
        """
        destination, source = self._oldest_and_newest()
        if self._has_older_qemu(destination, source):
            raise self.skipException(
                f'host {destination} has an older QEMU than host {source}, so '
                f'nova may refuse: {self._describe()}')
        self._abort(source, destination)

    def _describe(self) -> str:
        return '; '.join(
            f'{each.host}: nova {each.nova_version or "unknown"}, QEMU '
            f'{each.hypervisor_version}, libvirt '
            f'{each.libvirt_version or "unknown"}'
            for each in self.hosts_by_age)

    def _oldest_and_newest(self) -> tuple[str, str]:
        """Return the names of two hosts of different versions."""
        oldest, newest = self.hosts_by_age[0], self.hosts_by_age[-1]
        if oldest.nova_version and newest.nova_version and (
                versions(oldest) == versions(newest)):
            raise self.skipException(
                'All hosts run the same versions of nova, QEMU and libvirt: '
                f'{self._describe()}')
        return oldest.host, newest.host

    def _canaries(self, names: list[str]) -> list[builder.Guest]:
        """Return the canaries on some hosts; none if there are none."""
        path = CONF.live_migration_ha.canary_key_file
        return [each for each in self.builder.adopt(path)
                if each.host in names] if path else []

    def _build(self, *names: str) -> list[builder.Guest]:
        """Build servers on the first host, which have room on the others."""
        return self.builder.build(self.builder.room(
            WANTED, FEWEST, *names), names[0])

    def _round_trip(self, first: str, second: str) -> None:
        self._migrate(self._canaries([first]) or self._build(first, second),
                      [second, first])

    def _migrate(self, guests: list[builder.Guest],
                 destinations: list[str]) -> None:
        """Move guests, one at a time, to one host after the other."""
        source = guests[0].host
        with self.observe(*guests) as fleet:
            for host in destinations:
                may_refuse = self._has_older_qemu(host, source)
                run = self.migrate(
                    fleet, host, expected=(
                        verdict.Kind.COMPLETED, verdict.Kind.FAILED)
                    if may_refuse else (verdict.Kind.COMPLETED,))
                refused = [each for each in run.results
                           if not each.completed]
                for each in refused:
                    self.assertRegex('; '.join(each.events), coverage.TOO_OLD,
                                     messages.summary_line(each))
                if refused:
                    LOG.info('The servers stay on host %s: nova refuses the '
                             'older QEMU of host %s', source, host)
                    return
                source = host

    def _has_older_qemu(self, destination: str, source: str) -> bool:
        found = {each.host: age(each)[0] for each in self.hosts_by_age}
        return found[destination] < found[source]

    def _abort(self, source: str, destination: str) -> None:
        """Abort a migration while it copies; nova has to roll it back."""
        if not CONF.live_migration_ha.recovers_from_failure:
            raise self.skipException(
                '[live_migration_ha] recovers_from_failure is False')
        born = self.hosts_by_age[0].host
        guest, = self.builder.build(1, born)
        client = self.clients.servers
        intervention = test_intervention.Intervention(
            functools.partial(test_intervention.is_copying, client),
            functools.partial(migration_records.abort, client))
        flavor = self.owner.flavors_client.show_flavor(
            CONF.compute.flavor_ref)['flavor']
        with self.observe(guest) as fleet:
            if born != source:
                self.migrate(fleet, source)
            # An idle guest would be copied before nova acts.
            self.builder.start(guest, memory.MemoryWorkload(
                max(1, int(flavor['ram']) // 8)))
            self.migrate(fleet, destination, on_poll=intervention,
                         aborted=intervention.done, measured=False)
            if not intervention.done:
                raise self.skipException(
                    'No migration was seen in the state in which to '
                    'intervene; a flavor with more memory takes longer to '
                    'copy.')
