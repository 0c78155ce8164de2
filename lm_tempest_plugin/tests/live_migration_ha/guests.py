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

"""Guests to be moved: built, watched, looked into, and deleted for sure."""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

from oslo_log import log as logging
from tempest import config
from tempest.lib.common.utils import test_utils
from tempest.lib import exceptions as lib_exc
from tempest.scenario import manager
from testtools import content

from lm_tempest_plugin import cloud
from lm_tempest_plugin.cloud import clients as cloud_clients
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import quotas
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin import config as own_config
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.live_migration_ha import attachments
from lm_tempest_plugin.tests.live_migration_ha import interruption
from lm_tempest_plugin.workloads import disk
from lm_tempest_plugin.workloads import echo
from lm_tempest_plugin.workloads import writer

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


class GuestTest(manager.ScenarioTest):
    """Builds guests and watches them from outside.

    :cvar placed: whether the test says where its guests are built, for
        which it takes an administrator; else nova's configuration does
    """

    credentials = ['primary', 'admin']
    compute_min_microversion = cloud.MICROVERSION
    placed = False

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
        cls.clients = cloud_clients.Clients.of(cls.os_admin)
        cls.owner = cls.choose_owner()
        cls.keypairs_client = cls.owner.keypairs_client
        cls.servers_client = cls.owner.servers_client
        cls.floating_ips_client = cls.owner.floating_ips_client
        cls.security_groups_client = cls.owner.security_groups_client
        cls.security_group_rules_client = (
            cls.owner.security_group_rules_client)

    @classmethod
    def choose_owner(cls) -> Any:
        """Return the client manager of the project that gets the guests."""
        # Only an administrator may say where a server is built.
        if cls.placed or CONF.compute.migration_source_host:
            return cls.os_admin
        return cls.os_primary

    def setUp(self) -> None:
        attachments.in_pieces(self)
        super().setUp()
        self.useFixture(interruption.Interruption())

    def create_guest(self) -> Guest:
        """Return a new guest, ACTIVE, wherever it was built."""
        return self.create_guests(
            1, CONF.compute.migration_source_host or '')[0]

    def create_guests(self, number: int, host: str,
                      flavor: str = '') -> list[Guest]:
        """Return new guests, all of them ACTIVE; built side by side.

        If one cannot be built, the others are deleted: what comes next in
        the test may need their room.

        :param number: how many
        :param host: name of the host on which they are built; empty to
            leave it to nova
        :param flavor: id of their flavor; empty for [compute]flavor_ref
        """
        private_key, login = self._login
        kwargs = dict(login)
        if flavor:
            kwargs['flavor'] = flavor
        if host:
            kwargs['host'] = host
        group = self._security_group
        bodies: list[dict[str, Any]] = []
        try:
            for _ in range(number):
                bodies.append(self._build(group, kwargs))
            return [self._built(body, private_key) for body in bodies]
        except Exception:
            self._delete([body['id'] for body in bodies])
            raise

    def fitting(self, wanted: int, fewest: int, *names: str) -> int:
        """Return how many guests to make of [compute]flavor_ref.

        As many as are wanted, all hosts can take, and the project may have.

        :param wanted: how many, at most
        :param fewest: how many, at least
        :param names: of the hosts, each of which has to take all of them
        :raises CannotMove: fewer than that fit
        """
        flavor = self.owner.flavors_client.show_flavor(
            CONF.compute.flavor_ref)['flavor']
        each = placement.Resources.of_flavor(flavor)
        fitting = {
            'host %s' % name: each.times(preflight.room(self.clients, name))
            for name in names}
        allowed = self._allowed(each)
        if allowed is not None:
            fitting['the quota'] = allowed
        number = min(wanted, *fitting.values())
        if number < fewest:
            raise preflight.CannotMove(
                'no room for %d servers of flavor %s: %s' % (
                    fewest, flavor['name'], ', '.join(
                        '%s has room for %d' % item
                        for item in fitting.items())))
        if number < wanted:
            LOG.warning('Only %d of %d servers fit: %s', number, wanted,
                        fitting)
        return number

    def _allowed(self, each: placement.Resources) -> int | None:
        """Return how many servers the project may have; None if any number.

        A project that was made for these tests gets what it needs: nova's
        default is ten servers.
        """
        if CONF.auth.use_dynamic_credentials:
            quotas.lift(self.os_admin.quotas_client,
                        self.owner.credentials.project_id)
        return quotas.room(self.owner.limits_client, each)

    def flavor_id(self, wanted: str) -> str:
        """Return the id of a flavor.

        :param wanted: its name or its id; empty for none, which is empty
        :raises InvalidConfiguration: there is none
        """
        if not wanted:
            return ''
        known = self.owner.flavors_client.list_flavors()['flavors']
        for flavor in known:
            if wanted in (flavor['id'], flavor['name']):
                return str(flavor['id'])
        raise lib_exc.InvalidConfiguration(
            'there is no flavor %r; there are: %s' % (wanted, ', '.join(
                sorted(flavor['name'] for flavor in known)) or 'none'))

    def _build(self, group: dict[str, Any],
               kwargs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one server, and see to it that it goes away."""
        body: dict[str, Any] = self.create_server(
            clients=self.owner, wait_until=None,
            security_groups=[{'name': group['name']}],
            user_data=echo.user_data(CONF.live_migration_ha.tcp_echo_port),
            **kwargs)
        # Last in, first out: this comes before what Tempest itself does to
        # delete the server, which does not wait for one in ERROR.
        self.addCleanup(
            servers.delete, self.clients.servers, body['id'],
            CONF.compute.build_timeout, CONF.compute.build_interval)
        return body

    def _built(self, body: dict[str, Any],
               private_key: str | None) -> Guest:
        server = servers.wait_for(
            self.clients.servers, body['id'], 'ACTIVE',
            CONF.compute.build_timeout, CONF.compute.build_interval)
        body = self.servers_client.show_server(body['id'])['server']
        address = self.get_server_ip(body)
        LOG.info('Server %s (%s) was built on host %s and has address %s',
                 server.server_id, server.name, server.host, address)
        return Guest(body, server.host, address, private_key)

    # One for all guests of a test: quotas of them are small.
    @functools.cached_property
    def _login(self) -> tuple[str | None, dict[str, Any]]:
        """Return the private key, and what a new server has to know of it."""
        if CONF.validation.auth_method != 'keypair':
            return None, {}
        keypair = self.create_keypair()
        return keypair['private_key'], {'keypair': keypair}

    @functools.cached_property
    def _security_group(self) -> dict[str, Any]:
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

    def delete_guests(self, *fleet: Guest) -> None:
        """Delete guests now, and not only when the test ends.

        :raises TimeoutException: one is still there
        """
        self._delete([guest.server_id for guest in fleet])

    def _delete(self, server_ids: Sequence[str]) -> None:
        """Delete servers side by side, and wait until all are gone."""
        for server_id in server_ids:
            test_utils.call_and_ignore_notfound_exc(
                self.clients.servers.delete_server, server_id)
        for server_id in server_ids:
            servers.delete(
                self.clients.servers, server_id,
                CONF.compute.build_timeout, CONF.compute.build_interval)

    def wait_for(self, guest: Guest, status: str) -> None:
        """Wait until a guest's server has a status and no task."""
        servers.wait_for(
            self.clients.servers, guest.server_id, status,
            CONF.compute.build_timeout, CONF.compute.build_interval)

    def start_watch(self, *guests: Guest) -> watch.Watch:
        """Return a watch on guests that answer.

        It is stopped when the test ends; at once if one does not answer.
        """
        options = CONF.live_migration_ha
        watched = watch.Watch(
            [guest.address for guest in guests], options.probe_interval,
            watch.Echo(options.tcp_echo_port, options.tcp_interval))
        self.addCleanup(watched.stop)
        try:
            watched.start()
            watched.await_answers(options.ready_timeout)
        except Exception:
            watched.stop()
            raise
        return watched

    def read_boot_id(self, guest: Guest) -> str:
        """Return what a guest's kernel drew by lot when it booted."""
        return self._run_in(guest, BOOT_ID)

    def keep_writing(self, guest: Guest, mib: int) -> None:
        """Let a guest write memory from now on, so that a copy takes longer.

        :param guest: which
        :param mib: how much it writes again and again, in MiB
        """
        self._run_in(guest, writer.command(mib))

    def write_disks(self, *fleet: Guest) -> dict[str, str]:
        """Let guests write to their disks.

        :returns: checksums by the server's UUID; none if option disk_mib
            says to write nothing
        """
        mib = CONF.live_migration_ha.disk_mib
        if not mib:
            return {}
        return {guest.server_id: self._run_in(guest, disk.write(mib))
                for guest in fleet}

    def assert_disks(self, sums: dict[str, str], *fleet: Guest) -> None:
        """Assert that guests read from their disks what they wrote.

        :param sums: what write_disks() has returned
        """
        for guest in fleet:
            if guest.server_id in sums:
                self.assertEqual(
                    sums[guest.server_id],
                    self._run_in(guest, disk.read()),
                    'what server %s reads from its disk is not what it '
                    'wrote' % guest.server_id)

    def _run_in(self, guest: Guest, command: str) -> str:
        """Run a command in a guest, and return what it prints."""
        remote = self.get_remote_client(
            guest.address, private_key=guest.private_key, server=guest.body)
        return str(remote.exec_command(command)).strip()

    def read_boot_ids(self, *guests: Guest) -> dict[str, str]:
        """Return the boot id of each guest by the server's UUID."""
        return {guest.server_id: self.read_boot_id(guest)
                for guest in guests}

    def attach_console(self, server_id: str) -> None:
        """Attach what the guest has printed, such as a kernel's last words.

        Migration begins a new console log on the destination, and a server
        that is deleted takes its log along: this is the only chance.
        """
        if not CONF.compute_feature_enabled.console_output:
            return
        try:
            output = self.clients.servers.get_console_output(
                server_id)['output']
        except lib_exc.RestClientException as exc:
            LOG.exception('The console of server %s cannot be read',
                          server_id)
            output = 'The console cannot be read: %s' % exc
        self.addDetail('console-of-%s' % server_id,
                       content.text_content(output))
