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

"""What the live migration tests share: a guest, its watch, its moves."""

import dataclasses
import time
from typing import Any

from oslo_log import log as logging
from tempest import config
from tempest.lib import exceptions as lib_exc
from tempest.scenario import manager
from testtools import content

from lm_tempest_plugin import cloud
from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import hosts
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin import config as own_config
from lm_tempest_plugin.migration import deadline
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.workloads import echo

CONF = config.CONF
LOG = logging.getLogger(__name__)

SSH_PORT = 22
BOOT_ID = 'cat /proc/sys/kernel/random/boot_id'


@dataclasses.dataclass(frozen=True)
class Guest:
    """A server that was made for a test, with the way into it.

    :ivar body: the server as its owner sees it, as nova's JSON has it
    :ivar host: name of the host on which it was built
    :ivar address: where it is reached from here
    :ivar private_key: what SSH needs; None if it takes a password
    """

    body: dict[str, Any]
    host: str
    address: str
    private_key: str | None

    @property
    def server_id(self) -> str:
        """The server's UUID."""
        return str(self.body['id'])


class LiveMigrationHaTest(manager.ScenarioTest):
    """Moves servers while it watches them from outside.

    All options are read here and handed on as values.
    """

    credentials = ['primary', 'admin']
    compute_min_microversion = cloud.MICROVERSION
    # Two migrations by their own deadlines.
    TIMEOUT_SCALING_FACTOR = 2

    @classmethod
    def skip_checks(cls) -> None:
        # Before all else: a mistake in the configuration must not hide
        # behind a skip.
        own_config.check(CONF)
        super().skip_checks()
        if not CONF.compute_feature_enabled.live_migration:
            raise cls.skipException(
                '%s skipped: [compute-feature-enabled] live_migration is '
                'False' % cls.__name__)
        if CONF.compute.min_compute_nodes < 2:
            raise cls.skipException(
                '%s skipped: it needs two compute hosts, and [compute] '
                'min_compute_nodes is %d' % (
                    cls.__name__, CONF.compute.min_compute_nodes))
        if not CONF.validation.run_validation:
            raise cls.skipException(
                '%s skipped: it has to reach its guests, and [validation] '
                'run_validation is False' % cls.__name__)
        cls._check_hosts()

    @classmethod
    def _check_hosts(cls) -> None:
        source = CONF.compute.migration_source_host
        destination = CONF.compute.migration_dest_host
        if source and source == destination:
            raise lib_exc.InvalidConfiguration(
                '[compute] migration_source_host and migration_dest_host are '
                'the same: %s' % source)
        if (not CONF.compute_feature_enabled.can_migrate_between_any_hosts and
                not (source and destination)):
            raise cls.skipException(
                '%s skipped: it chooses the hosts itself, and '
                '[compute-feature-enabled] can_migrate_between_any_hosts is '
                'False; name two that fit in [compute] migration_source_host '
                'and migration_dest_host' % cls.__name__)

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.admin_servers_client = cls.os_admin.servers_client
        cls.admin_migrations_client = cls.os_admin.migrations_client
        cls.admin_services_client = cls.os_admin.services_client
        # Only an administrator may say where a server is built.
        cls.owner = cls.os_primary
        if CONF.compute.migration_source_host:
            cls.owner = cls.os_admin
        cls.keypairs_client = cls.owner.keypairs_client
        cls.servers_client = cls.owner.servers_client
        cls.floating_ips_client = cls.owner.floating_ips_client
        cls.security_groups_client = cls.owner.security_groups_client
        cls.security_group_rules_client = (
            cls.owner.security_group_rules_client)

    def create_guest(self) -> Guest:
        """Build a server with an echo service that can be reached from here.

        :returns: the guest, ACTIVE; it need not have booted yet
        """
        private_key, kwargs = self._login()
        if CONF.compute.migration_source_host:
            kwargs['host'] = CONF.compute.migration_source_host
        group = self._create_security_group()
        body = self.create_server(
            clients=self.owner, wait_until=None,
            security_groups=[{'name': group['name']}],
            user_data=echo.user_data(CONF.live_migration_ha.tcp_echo_port),
            **kwargs)
        # Last in, first out: this comes before what Tempest itself does to
        # delete the server, which does not wait for one in ERROR.
        self.addCleanup(
            servers.delete, self.admin_servers_client, body['id'],
            CONF.compute.build_timeout, CONF.compute.build_interval)
        server = servers.wait_until_active(
            self.admin_servers_client, body['id'],
            CONF.compute.build_timeout, CONF.compute.build_interval)
        body = self.servers_client.show_server(body['id'])['server']
        address = self.get_server_ip(body)
        LOG.info('Server %s (%s) was built on host %s and has address %s',
                 server.server_id, server.name, server.host, address)
        return Guest(body, server.host, address, private_key)

    def _login(self) -> tuple[str | None, dict[str, Any]]:
        """Return the private key, and what a new server has to know of it."""
        if CONF.validation.auth_method != 'keypair':
            return None, {}
        keypair = self.create_keypair()
        return keypair['private_key'], {'keypair': keypair}

    def _create_security_group(self) -> dict[str, Any]:
        """Return a new security group that lets in what the tests use."""
        group = self.create_empty_security_group(namestart='live-migration')
        version = CONF.validation.ip_version_for_ssh
        icmp = 'icmp' if version == 4 else 'ipv6-icmp'
        rules: list[dict[str, Any]] = [{'protocol': icmp}]
        # A set, for the echo service may well be where SSH is expected.
        for port in {SSH_PORT, CONF.live_migration_ha.tcp_echo_port}:
            rules.append({'protocol': 'tcp', 'port_range_min': port,
                          'port_range_max': port})
        for rule in rules:
            self.create_security_group_rule(
                secgroup=group, direction='ingress',
                ethertype='IPv%d' % version, **rule)
        return group

    def choose_destination(self, guest: Guest) -> str:
        """Return the name of a host to which a guest can be moved."""
        wanted = CONF.compute.migration_dest_host
        if wanted == guest.host:
            # It was built there. A round trip meets both hosts all the same.
            wanted = None
        return hosts.choose_destination(
            hosts.list_hosts(self.admin_services_client,
                             CONF.compute.target_hosts_to_avoid),
            guest.host, wanted)

    def start_watch(self, guest: Guest) -> watch.Watch:
        """Return a watch on a guest that answers."""
        options = CONF.live_migration_ha
        watched = watch.Watch(
            [guest.address], options.probe_interval,
            watch.Echo(options.tcp_echo_port, options.tcp_interval))
        self.addCleanup(watched.stop)
        watched.start()
        watched.await_answers(options.ready_timeout)
        return watched

    def read_boot_id(self, guest: Guest) -> str:
        """Return what a guest's kernel drew by lot when it booted."""
        remote = self.get_remote_client(
            guest.address, private_key=guest.private_key, server=guest.body)
        return str(remote.exec_command(BOOT_ID)).strip()

    def migrate(self, guest: Guest, watched: watch.Watch, boot_id: str,
                destination: str,
                block_migration: str | bool) -> verdict.Verdict:
        """Move a guest, follow it to the end, and judge.

        :param guest: what is moved
        :param watched: the watch on it
        :param boot_id: its boot id before
        :param destination: name of the host to which it is to go
        :param block_migration: 'auto', True or False
        """
        options = CONF.live_migration_ha
        request = requests.live_migrate(
            self.admin_servers_client, self.admin_migrations_client,
            guest.server_id, destination, block_migration)
        outcome = follow.Follower(
            self.admin_servers_client, self.admin_migrations_client, request,
            self._limits(request)).follow()
        time.sleep(options.grace_time)
        continuity = watched.continuity(
            guest.address, request.requested_ns,
            outcome.ended_ns + round(options.grace_time * schedule.NS))
        return verdict.judge(
            verdict.Attempt(
                request, outcome, continuity,
                self._boot_ids(guest, boot_id, continuity),
                actions.describe_failures(
                    self.admin_servers_client, guest.server_id,
                    request.request_id)),
            verdict.Bounds(options.max_outage, options.max_stall))

    def _limits(self, request: requests.Request) -> follow.Limits:
        options = CONF.live_migration_ha
        allowance = deadline.Allowance(
            options.migration_timeout, options.migration_timeout_per_gib_ram,
            options.migration_timeout_per_gib_disk)
        return follow.Limits(
            timeout_s=allowance.timeout_s(
                request.server, request.block_migration is not False),
            settle_s=options.settle_timeout, poll_s=options.poll_interval,
            poll_errors_s=options.poll_error_timeout)

    def _boot_ids(self, guest: Guest, boot_id: str,
                  continuity: watch.Continuity) -> verdict.BootIds:
        """Return the boot id before and now.

        A guest that answers nothing any more is not asked: SSH would be
        tried for minutes.
        """
        outage = continuity.outage
        if outage.open and outage.longest_s > (
                CONF.live_migration_ha.max_outage):
            return verdict.BootIds(
                boot_id, None, 'the guest does not answer any more')
        try:
            return verdict.BootIds(boot_id, self.read_boot_id(guest))
        except lib_exc.TempestException as exc:
            LOG.exception('The boot id of server %s cannot be read',
                          guest.server_id)
            return verdict.BootIds(boot_id, None, str(exc))

    def report(self, judged: verdict.Verdict) -> None:
        """Log a verdict, attach it to the result, and fail if it is bad."""
        LOG.info('%s', judged.line())
        request = judged.attempt.request
        self.addDetail(
            'live-migration-%s-to-%s' % (request.source, request.destination),
            content.json_content(judged.as_dict()))
        if not judged.good:
            self._attach_console(request.server.server_id)
            self.fail(judged.message())

    def _attach_console(self, server_id: str) -> None:
        """Attach what the guest has printed, such as a kernel's last words.

        Migration begins a new console log on the destination, and a server
        that is deleted takes its log along: this is the only chance.
        """
        if not CONF.compute_feature_enabled.console_output:
            return
        try:
            output = self.admin_servers_client.get_console_output(
                server_id)['output']
        except lib_exc.RestClientException as exc:
            LOG.exception('The console of server %s cannot be read',
                          server_id)
            output = 'The console cannot be read: %s' % exc
        self.addDetail('console-of-%s' % server_id,
                       content.text_content(output))
