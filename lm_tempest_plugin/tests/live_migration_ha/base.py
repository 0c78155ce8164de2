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

"""Base class of the live migration tests."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import types
from typing import Any

from oslo_log import log as logging
from tempest import clients
from tempest.common import credentials_factory
from tempest.config import CONF
from tempest.config import service_client_config
from tempest.lib import exceptions
from tempest.scenario import manager

from lm_tempest_plugin import attachments
from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import stacks
from lm_tempest_plugin import config
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.guests.fleet import Fleet
from lm_tempest_plugin.guests.fleet import ProbeOptions
from lm_tempest_plugin.guests import stack_builder
from lm_tempest_plugin.guests.workloads import disk
from lm_tempest_plugin.guests.workloads import memory
from lm_tempest_plugin.guests.workloads import volume
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import engine
from lm_tempest_plugin.migration import messages
from lm_tempest_plugin.migration.plan import MigrationPlan
from lm_tempest_plugin.migration.plan import PlannedServer
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration import telemetry
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)


# Each is a check of its own.
WORKLOADS = (disk.DiskWorkload, memory.MemoryWorkload, volume.VolumeWorkload)


class TestInterrupted(Exception):
    """A signal ended the run.

    Not a KeyboardInterrupt: after that, a test runs no cleanups.
    """


# One for the process: after a signal, each further test fails at once.
SIGNALS = utils.SignalHandler(
    TestInterrupted, lambda name, count: LOG.warning(
        '%s: the test ends and deletes its resources', name))


def _check_names(left_out: Iterable[str]) -> None:
    """Refuse names of checks that do not exist.

    :raises InvalidConfiguration: names them, and those that exist
    """
    known = {*registry.CHECKS, *(each.name for each in WORKLOADS)}
    unknown = sorted(set(left_out) - known)
    if unknown:
        raise exceptions.InvalidConfiguration(
            '[live_migration_ha] leave_out_checks names no check: '
            f'{", ".join(unknown)}; there are: {", ".join(sorted(known))}')


class LiveMigrationHaTest(manager.ScenarioTest):
    """Observes guests from outside, migrates them and fails on any problem.

    :cvar placed: whether the test chooses the host on which a guest is
        built, which only an administrator may do
    """

    credentials = ['primary', 'admin']
    compute_min_microversion = api.MICROVERSION
    placed = False
    # OS_TEST_TIMEOUT times two: two migrations, each with its own time-out.
    TIMEOUT_SCALING_FACTOR = 2

    hosts: access.HostAccess | None = None
    settings = schema.Settings()
    # One for the process, which may run several test classes.
    results: results_file.ResultsFile | None = None
    metrics: telemetry.Telemetry | None = None

    @classmethod
    def skip_checks(cls) -> None:
        # First of all, so that no skip hides a mistake in the configuration.
        config.check(CONF)
        _check_names(CONF.live_migration_ha.leave_out_checks)
        super().skip_checks()
        reason = config.skip_reason(CONF)
        if reason:
            raise cls.skipException(f'{cls.__name__} skipped: {reason}')

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.clients = api.Clients.of(cls.os_admin)
        cls.owner = cls.choose_owner()
        # ScenarioTest's methods that look up addresses use these two.
        cls.servers_client = cls.owner.servers_client
        cls.floating_ips_client = cls.owner.floating_ips_client

    @classmethod
    def choose_owner(cls) -> Any:
        """Return the client manager of the project that owns the guests."""
        if CONF.live_migration_ha.deploy_by == 'heat':
            return cls.account_manager()
        return (cls.os_admin if cls.placed or
                CONF.compute.migration_source_host else cls.os_primary)

    @classmethod
    def account_manager(cls) -> Any:
        """Return the client manager of the account in group auth.

        It owns all stacks: Heat lists no stacks of other projects, so nobody
        would find those in a project of Tempest if the run is killed.
        """
        if not CONF.auth.use_dynamic_credentials:
            return cls.os_admin
        return clients.Manager(
            credentials_factory.get_configured_admin_credentials())

    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        options = CONF.live_migration_ha
        cls.microversion = api.choose_microversion(
            cls.clients.versions, options.request_microversion,
            api.MICROVERSION)
        known = cls.list_hosts()
        preflight.check_source(known, CONF.compute.migration_source_host)
        cls.settings = config.declared_settings(CONF)
        if CONF.live_migration_ha_hosts.ssh_user:
            cls.hosts = access.HostAccess(
                CONF.live_migration_ha_hosts, cls.clients.services,
                [host.name for host in known if host.usable])
            cls.addClassResourceCleanup(cls.hosts.close)
            cls.hosts.check()
        if LiveMigrationHaTest.results is None:
            LiveMigrationHaTest.results = results_file.ResultsFile(
                options.results_directory, options.run_name,
                lambda: results_file.run_started(
                    CONF.identity.region, cls.clients, cls.hosts))
            LiveMigrationHaTest.metrics = telemetry.start(
                options, cls.clients)

    @classmethod
    def list_hosts(cls) -> list[compute_hosts.ComputeService]:
        """Return the compute hosts that the tests may use."""
        return compute_hosts.list_hosts(
            cls.clients.services, CONF.compute.target_hosts_to_avoid)

    def setUp(self) -> None:
        attachments.convert_at_end(self)
        # Before anything can fail.
        self.addOnException(self._store_failure)
        super().setUp()
        self.enterContext(SIGNALS)
        self.enterContext(SIGNALS.interruptible())
        self.builder = (
            self.build_stacks() if CONF.live_migration_ha.deploy_by == 'heat'
            else builder.GuestBuilder(self, self.owner, self.clients,
                                      builder.GuestOptions.of(CONF)))

    def build_stacks(self) -> stack_builder.StackBuilder:
        """Return a builder that deploys and adopts stacks.

        :raises StackError: the cloud has no Heat
        """
        owner = self.account_manager()
        client = stacks.StacksClient(
            owner.auth_provider, CONF.identity.region,
            endpoint_type=CONF.compute.endpoint_type,
            **service_client_config())
        client.check_offered()
        return stack_builder.StackBuilder(
            self, owner, self.clients, builder.GuestOptions.of(CONF), client,
            stack_builder.StackOptions.of(CONF))

    def _store_failure(self, raised: tuple[Any, Any, Any]) -> None:
        """Store that the test fails.

        Results of migrations are stored already. A disk that is damaged or a
        server that cannot be deleted is known only now.
        """
        kind, exc, _ = raised
        if issubclass(kind, self.skipException) or self.results is None:
            return
        try:
            line = self.results.test_failed(self.id(), exc)
        except Exception:
            # The test fails in any case, and its own failure matters more.
            LOG.exception('Failure of test %s cannot be stored', self.id())
        else:
            attachments.attach(self, 'results', attachments.JSON_LINES, line)

    def choose_hosts(self) -> tuple[str, str]:
        """Return the names of the source host and of the destination."""
        source = CONF.compute.migration_source_host or (
            compute_hosts.choose_destination(
                self.list_hosts(), CONF.compute.migration_dest_host or ''))
        return source, self.choose_destination(source)

    def choose_destination(self, source: str) -> str:
        """Return the name of a host to migrate to from a source."""
        return compute_hosts.choose_destination(
            self.list_hosts(), source, CONF.compute.migration_dest_host)

    def build(self, number: int = 1, **kwargs: Any) -> list[builder.Guest]:
        """Return new guests on the configured source host, if there is one.

        :param number: number of guests
        :param kwargs: parameters of GuestBuilder.build()
        """
        kwargs.setdefault('host', CONF.compute.migration_source_host or '')
        return self.builder.build(number, **kwargs)

    def request_options(self, **kwargs: Any) -> request.RequestOptions:
        """Return the arguments of a request, as configured.

        :param kwargs: fields of RequestOptions that differ
        """
        return request.RequestOptions.of(
            CONF, **{'microversion': self.microversion, **kwargs})

    @contextlib.contextmanager
    def observe(self, *guests: builder.Guest, delete: bool = False,
                neighbour: builder.Guest | None = None,
                workload: schema.WorkloadChoice | None = None
                ) -> Iterator[Fleet]:
        """Observe guests; fail at the end if one was harmed meanwhile.

        :param guests: guests that answer, or will soon
        :param delete: whether to delete them at the end in any case
        :param neighbour: another guest, which is asked to reach them
        :param workload: work of the guests; None for that of the options
        """
        with contextlib.ExitStack() as stack:
            if delete:
                stack.callback(self.builder.delete, *guests)
            try:
                fleet = stack.enter_context(Fleet(
                    self.builder, guests,
                    ProbeOptions.of(CONF.live_migration_ha), neighbour,
                    workload or config.declared_workload(CONF)))
            except errors.NotAnswering:
                # It may hang in its boot.
                self._attach_consoles(each.server_id for each in guests)
                raise
            yield fleet
            problems = fleet.final_problems()
            if problems:
                raise self.failureException(messages.shortened('\n'.join(
                    f'server {each.server_id}: {each}' for each in problems)))

    def _attach_consoles(self, server_ids: Iterable[str]) -> None:
        attachments.attach(self, 'consoles', attachments.LOG,
                           *self.builder.consoles(server_ids))

    def migrate(self, fleet: Fleet, destination: str, *,
                probed: bool = True,
                destinations: Mapping[str, str] =
                types.MappingProxyType({}),
                on_poll: drain.OnPoll | None = None,
                on_run: Callable[[engine.MigrationRun], None] | None = None,
                requester: Any = None, aborted: Collection[str] = (),
                forced: Mapping[str, int] = types.MappingProxyType({}),
                **fields: Any) -> engine.MigrationRun:
        """Live-migrate guests, and fail if there is any problem.

        :param fleet: the guests
        :param destination: name of the host; empty for the scheduler's choice
        :param probed: whether the guests can answer meanwhile
        :param destinations: names of hosts of servers that go to another one,
            by UUID
        :param on_poll: called after each snapshot
        :param on_run: called with the run before any problem is raised
        :param requester: tempest.lib's ServersClient for the requests
        :param aborted: UUIDs of servers whose migrations on_poll aborts
        :param forced: when on_poll forced migrations to complete,
            CLOCK_MONOTONIC in ns, by the server's UUID
        :param fields: fields of MigrationPlan that differ from the options
        """
        plan = MigrationPlan.of(CONF.live_migration_ha, **{
            'servers': tuple(PlannedServer(
                each.server_id, each.address if probed else '',
                fleet.inspections[each.server_id] if probed else None,
                each.volumes, destinations.get(each.server_id))
                for each in fleet.guests),
            'destination': destination, 'options': self.request_options(),
            'settings': self.settings, 'workload': fleet.workload,
            'test': self.id(),
            'leave_out': dict.fromkeys(
                CONF.live_migration_ha.leave_out_checks,
                'option leave_out_checks'),
            'avoid': CONF.compute.target_hosts_to_avoid, **fields})
        assert self.results is not None, 'resource_setup() sets it'
        run = engine.run(
            plan, self.clients, store=self.results, probes=fleet.probes,
            hosts=self.hosts, guests=fleet, requester=requester,
            on_poll=on_poll, metrics=self.metrics, aborted=aborted,
            forced=forced)
        attachments.attach(
            self, 'results', attachments.JSON_LINES, *run.lines)
        if on_run is not None:
            on_run(run)
        if not run.problems:
            return run
        # No others: servers of other projects may have problems too.
        self._attach_consoles(
            each.server_id for each in run.results if each.problems)
        text = messages.describe_problems(
            run.problems, run.drain, run.results)
        # Not fail(), which adds a frame to the traceback.
        raise self.failureException(text)
