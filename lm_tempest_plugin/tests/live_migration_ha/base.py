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

"""What the live migration tests share: moving guests, and judging it."""

from collections.abc import Collection
from collections.abc import Sequence
import contextlib
import dataclasses
import time
from typing import Any

from oslo_log import log as logging
from tempest import config
from tempest.lib import exceptions as lib_exc
from testtools import content
from testtools import content_type

from lm_tempest_plugin import cloud
from lm_tempest_plugin.cloud import hosts
from lm_tempest_plugin.cloud import microversions
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.hosts import jobs
from lm_tempest_plugin.hosts import observer
from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import cells
from lm_tempest_plugin.migration import deadline
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import evidence as evidences
from lm_tempest_plugin.migration import finding as findings
from lm_tempest_plugin.migration import observation
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.migration import sweep
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes.tcp import streams
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.live_migration_ha import guests
from lm_tempest_plugin.tests.live_migration_ha import reach as reaches
from lm_tempest_plugin.tests.live_migration_ha import recorder as recorders

CONF = config.CONF
LOG = logging.getLogger(__name__)

# JSON, a record on each line.
RECORDS = content_type.ContentType(
    'text', 'x-ndjson', {'charset': 'utf8'})


@dataclasses.dataclass(frozen=True)
class Trip:
    """Guests that are to be moved together, and what is expected of that.

    :ivar guests: who
    :ivar destination: name of the host; empty to leave it to the scheduler
    :ivar watched: the watch on them; None if they are not to answer
    :ivar boot_ids: those of before, by the server's UUID; empty to ask none
    :ivar strategy: how many at once
    :ivar move: what is asked of nova, but for the destination
    :ivar bounds: what it may do to a guest; None for the options' bounds
    :ivar expected: the verdicts of which each has to be one
    :ivar number: of the round trip, from 1
    :ivar measured: whether its figures say what a live migration takes;
        not those of a warm-up, or of one that is interfered with
    """

    guests: Sequence[guests.Guest]
    destination: str
    watched: watch.Watch | None
    boot_ids: dict[str, str]
    move: requests.Move
    strategy: strategies.Strategy = strategies.ONE_AT_A_TIME
    bounds: findings.Bounds | None = None
    expected: tuple[verdicts.Kind, ...] = (verdicts.Kind.COMPLETED,)
    number: int = 1
    measured: bool = True


@dataclasses.dataclass(frozen=True)
class Arrival:
    """What came of a trip.

    :ivar drained: what was seen of all of them together
    :ivar findings: one for each guest, in their order
    :ivar left_over: what is not as it should be afterwards, in words
    :ivar contradictions: what was declared and not seen, in words
    :ivar hosts: what was seen of the hosts; None without access to them
    :ivar records: what was recorded of it: JSON, a line for each record
    """

    drained: drain.Drained
    findings: Sequence[findings.Finding]
    left_over: Sequence[str]
    contradictions: Sequence[str] = ()
    hosts: dict[str, Any] | None = None
    records: Sequence[bytes] = ()


class LiveMigrationHaTest(guests.GuestTest):
    """Moves servers while it watches them from outside.

    All options are read here and in GuestTest, and handed on as values.
    """

    # Two migrations by their own deadlines.
    TIMEOUT_SCALING_FACTOR = 2

    reach: reaches.Reach | None = None
    declared = observation.Declared()
    # One for the process, whatever classes it runs.
    recorder: recorders.Recorder | None = None

    def setUp(self) -> None:
        # Before anything can fail.
        self.addOnException(self._record_failure)
        super().setUp()

    def _record_failure(self, raised: tuple[Any, Any, Any]) -> None:
        """Record that the test fails.

        What attempts came to has been recorded; that a disk was harmed, or
        that something could not be deleted, stands nowhere else.

        :param raised: class, exception, traceback
        """
        kind, exc, _ = raised
        if issubclass(kind, self.skipException) or self.recorder is None:
            return
        try:
            line = self.recorder.failed(self.id(), exc)
        except Exception:
            # The test fails anyhow, and what it failed of matters more.
            LOG.exception('That test %s failed is not recorded', self.id())
        else:
            self.addDetail('failed', content.text_content(line.decode()))

    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        cls.microversion = microversions.choose(
            cls.clients.versions, CONF.live_migration_ha.request_microversion,
            cloud.MICROVERSION)
        known = cls.list_hosts()
        source = CONF.compute.migration_source_host
        if source:
            preflight.check_source(known, source)
        options = CONF.live_migration_ha
        cls.declared = observation.Declared(
            cells.Cell(options.max_concurrent_live_migrations or None,
                       options.tunnelled),
            cells.Storage(options.storage) if options.storage else None)
        cls.reach = cls._reach(known)
        if LiveMigrationHaTest.recorder is None:
            LiveMigrationHaTest.recorder = recorders.Recorder(
                options.results_directory, options.run_name, cls._about)

    @classmethod
    def _about(cls) -> dict[str, Any]:
        """Return what is known of the cloud."""
        found = cls.clients.hypervisors.list_hypervisors(detail=True)
        _, newest = microversions.offered(cls.clients.versions)
        return recorders.about(
            CONF.identity.region, newest, found['hypervisors'],
            cls.reach.libvirt_versions() if cls.reach else {})

    @classmethod
    def _reach(cls, known: Sequence[hosts.Host]) -> reaches.Reach | None:
        """Return the access to hosts; None if the configuration has none."""
        if not CONF.live_migration_ha_hosts.ssh_user:
            return None
        reach = reaches.Reach(
            CONF.live_migration_ha_hosts, cls.clients.services,
            [host.name for host in known if host.usable])
        cls.addClassResourceCleanup(reach.close)
        reach.check()
        return reach

    def new_move(self, block_migration: str | bool = 'auto',
                 microversion: str = '') -> requests.Move:
        """Return what is asked of nova.

        :param block_migration: 'auto', True or False; 'auto' is what the
            configuration says where the API does not know it yet
        :param microversion: with which to ask; empty for the option's
        """
        microversion = microversion or self.microversion
        if block_migration == 'auto' and not microversions.at_least(
                microversion, requests.AUTO):
            block_migration = (
                CONF.compute_feature_enabled
                .block_migration_for_live_migration)
        return requests.Move('', block_migration, microversion)

    @classmethod
    def list_hosts(cls) -> list[hosts.Host]:
        """Return the compute hosts that the tests may use."""
        return hosts.list_hosts(
            cls.clients.services, CONF.compute.target_hosts_to_avoid)

    def choose_destination(self, source: str) -> str:
        """Return the name of a host to which one can move from another."""
        wanted = CONF.compute.migration_dest_host
        if wanted == source:
            # It was built there. A round trip meets both hosts all the same.
            wanted = None
        return hosts.choose_destination(self.list_hosts(), source, wanted)

    def choose_hosts(self) -> tuple[str, str]:
        """Return the names of the host to drain and of the other one."""
        source = CONF.compute.migration_source_host or (
            hosts.choose_destination(
                self.list_hosts(), CONF.compute.migration_dest_host or ''))
        return source, self.choose_destination(source)

    def travel(self, trip: Trip, on_look: drain.OnLook | None = None,
               asker: Any = None,
               aborted: Collection[str] = ()) -> Arrival:
        """Move guests, follow them to the end, and judge.

        :param trip: who goes where
        :param on_look: called after each look, such as to step in
        :param asker: ServersClient of who asks; None for the administrator
        :param aborted: UUIDs of the servers whose migration on_look has
            asked nova to abort: these have to be cancelled
        """
        moved = [servers.show(self.clients.servers, guest.server_id)
                 for guest in trip.guests]
        recording = self._record(trip, moved)

        def looked(look: poll.Look,
                   followed: Sequence[attempts.Attempt]) -> None:
            recording.look(followed)
            if on_look is not None:
                on_look(look, followed)

        drained, observed = self._move(trip, moved, looked, asker)
        time.sleep(CONF.live_migration_ha.grace_time)
        unseen: list[str] = []
        found = self._judge(trip, drained, aborted, unseen)
        left_over = [
            *sweep.sweep(self.clients, [each.verdict for each in found]),
            *self.look_further(found)]
        contradictions = [*unseen, *self._contradictions(drained, observed)]
        hosts_seen = observed.as_dict() if observed else None
        recording.finish(
            drained, found, left_over, contradictions, hosts_seen)
        return Arrival(drained, found, left_over, contradictions, hosts_seen,
                       recording.written)

    def look_further(self, found: Sequence[findings.Finding]) -> list[str]:
        """Return what else is not as it should be after a trip, in words.

        For tests that look at more than servers.

        :param found: one for each guest
        """
        return []

    def _record(self, trip: Trip, moved: Sequence[servers.Server]
                ) -> recorders.Recording:
        """Begin to record a trip."""
        sources = {server.host for server in moved}
        assert self.recorder is not None, 'resource_setup() has made it'
        return self.recorder.begin(recorders.Leg(
            self.id(), self.declared, trip.strategy, trip.number,
            trip.measured, sources.pop() if len(sources) == 1 else '',
            trip.destination), [server.server_id for server in moved])

    def _judge(self, trip: Trip, drained: drain.Drained,
               aborted: Collection[str],
               unseen: list[str]) -> list[findings.Finding]:
        """Return what is to be said of each attempt.

        :param unseen: gets the reasons if hosts cannot be asked
        """
        options = CONF.live_migration_ha
        services = hosts.list_hosts(self.clients.services)
        bounds = trip.bounds or findings.Bounds(
            options.max_outage, options.max_stall)
        found = []
        for guest, attempt in zip(trip.guests, drained.attempts):
            continuity = self._continuity(trip, guest, attempt)
            verdict = verdicts.judge(evidences.collect(
                self.clients, attempt, services,
                self._look_at(trip, guest, continuity),
                guest.server_id in aborted))
            found.append(findings.Finding(
                attempt, verdict, continuity, bounds,
                (verdicts.Kind.CANCELLED,) if guest.server_id in aborted
                else trip.expected, self._job(verdict, unseen)))
        return found

    def _contradictions(self, drained: drain.Drained,
                        observed: observer.Observer | None) -> list[str]:
        """Return what was declared and not seen, or could not be seen."""
        try:
            return observation.contradictions(
                self.declared, drained, observed.watch if observed else None)
        except remotes.HostError as exc:
            return [str(exc)]

    def _job(self, verdict: verdicts.Verdict,
             unseen: list[str]) -> jobs.Job | None:
        """Return libvirt's figures of a migration that is completed.

        :param unseen: gets the reason if a host cannot be asked
        """
        if self.reach is None or verdict.kind != verdicts.Kind.COMPLETED:
            return None
        evidence = verdict.evidence
        try:
            return self.reach.job(
                evidence.destination, evidence.request.server_id)
        except remotes.HostError as exc:
            unseen.append(str(exc))
            return None

    def _move(self, trip: Trip, moved: Sequence[servers.Server],
              on_look: drain.OnLook, asker: Any
              ) -> tuple[drain.Drained, observer.Observer | None]:
        """Ask for the migrations and follow them until they have ended."""
        options = CONF.live_migration_ha
        known = self.list_hosts()
        preflight.check_servers(moved)
        for source in sorted({server.host for server in moved}):
            preflight.check_source(known, source)
        if trip.destination:
            preflight.check_destination(
                self.clients, known, trip.destination, moved)
        move = dataclasses.replace(trip.move, destination=trip.destination)
        terms = drain.Terms(
            trip.strategy, deadline.Allowance(
                options.migration_timeout,
                options.migration_timeout_per_gib_ram,
                options.migration_timeout_per_gib_disk),
            options.settle_timeout, options.poll_interval,
            options.poll_error_timeout)
        observed = self._observe(
            {server.host for server in moved}, trip.destination)
        with observed or contextlib.nullcontext():
            return drain.move(self.clients, moved, move, terms, asker,
                              on_look), observed

    def _observe(self, sources: set[str],
                 destination: str) -> observer.Observer | None:
        """Return who looks at both hosts; None for more, or without access.

        Where the scheduler chooses, nobody knows before where to look.
        """
        if self.reach is None or not destination or len(sources) != 1:
            return None
        source, = sources
        return self.reach.observe(source, destination)

    def _continuity(self, trip: Trip, guest: guests.Guest,
                    attempt: attempts.Attempt) -> watch.Continuity | None:
        """Return what the probes saw while a guest was moved."""
        if trip.watched is None:
            return None
        return trip.watched.continuity(
            guest.address, attempt.request.requested_ns,
            (attempt.ended_ns or 0) + round(
                CONF.live_migration_ha.grace_time * schedule.NS))

    def _look_at(self, trip: Trip, guest: guests.Guest,
                 continuity: watch.Continuity | None) -> evidences.Guest:
        """Return what a guest shows after it was moved.

        One that answers nothing any more is not asked for its boot id: SSH
        would be tried for minutes.
        """
        answers = None
        if continuity is not None:
            outage = continuity.outage
            answers = not (outage.open and outage.longest_s > (
                CONF.live_migration_ha.max_outage))
        before = trip.boot_ids.get(guest.server_id, '')
        if answers is False:
            return evidences.Guest(answers, before, pulse=self._pulse(guest))
        if not before:
            return evidences.Guest(answers, before)
        try:
            return evidences.Guest(
                answers, before, self.read_boot_id(guest))
        except lib_exc.TempestException as exc:
            LOG.exception('The boot id of server %s cannot be read',
                          guest.server_id)
            return evidences.Guest(answers, before, unread=str(exc))

    def _pulse(self, guest: guests.Guest) -> str:
        """Return what libvirt sees of a guest that does not answer."""
        if self.reach is None:
            return ''
        try:
            return self.reach.pulse(servers.show(
                self.clients.servers, guest.server_id).host, guest.server_id)
        except (remotes.HostError, lib_exc.TempestException) as exc:
            LOG.exception('What server %s does cannot be seen',
                          guest.server_id)
            return 'what it does cannot be seen: %s' % exc

    def report(self, arrival: Arrival, name: str) -> None:
        """Log what was found, attach it to the result, fail if it is bad.

        :param arrival: what came of a trip
        :param name: what to call it
        """
        for found in arrival.findings:
            LOG.info('%s', found.line())
        for observed in arrival.drained.observed:
            LOG.info('%s: %.1f s; %s; %s', name, arrival.drained.wall_s,
                     observed, _transport(arrival.hosts))
        self.addDetail(name, content.Content(
            RECORDS, lambda: [line + b'\n' for line in arrival.records]))
        bad = [found for found in arrival.findings if not found.good]
        for found in bad:
            self.attach_console(found.attempt.request.server_id)
        if bad or arrival.left_over or arrival.contradictions:
            self.fail('\n'.join([
                findings.describe(arrival.findings),
                *arrival.contradictions,
                *('Left over: %s' % what for what in arrival.left_over)]))

    def assert_unharmed(self, watched: watch.Watch) -> None:
        """Assert that all connections live and brought everything back."""
        seen = watched.finish(CONF.live_migration_ha.drain_timeout)
        for stream in seen.values():
            self._assert_stream(stream)

    def _assert_stream(self, seen: streams.StreamSeen) -> None:
        self.assertEqual(
            ((), 0, 0, 0),
            (seen.breaks, seen.lost, seen.repeated, seen.corrupt),
            'the TCP connection to %s did not stay unharmed '
            '(breaks, lost, repeated, corrupt)' % (
                seen.echoes.target))
        self.assertEqual(
            seen.last_sent, seen.last_echoed,
            'the last message that was sent to %s has not come back within '
            '%g s' % (seen.echoes.target,
                      CONF.live_migration_ha.drain_timeout))


def _transport(observed: dict[str, Any] | None) -> str:
    """Return how servers went, in words."""
    if observed is None:
        return 'no access to hosts, so the transport is not known'
    sockets = observed['sockets']
    return 'transport %s, ports %s' % (
        sockets['transport'],
        sockets['qemu_ports'] or sockets['libvirt_ports'])
