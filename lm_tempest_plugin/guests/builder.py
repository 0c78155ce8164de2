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
"""Build servers for a test, run commands in them, and delete them."""

import base64
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools
import importlib.resources
import itertools
import pathlib
import shlex
from typing import Any

from oslo_log import log as logging
import paramiko
from tempest.common import compute
from tempest.lib.common.utils import data_utils
from tempest.lib.common.utils import test_utils
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import placement
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.guests import inspection
from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.guests.workloads import disk
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

SSH_PORT = 22


class GuestUnreachable(exceptions.TempestException):
    """SSH to a guest did not work in time, or a command in it failed."""

    message = 'Guest cannot be reached'


def echo_script(port: int) -> str:
    """Return a shell script that starts a TCP echo service, run as root.

    :param port: TCP port of the service
    """
    if not 1 <= port <= 65535:
        raise ValueError(f'{port} is no TCP port')
    source = importlib.resources.files(__package__).joinpath('echo.sh')
    return source.read_text('utf-8').replace(
        '@PORT@', shlex.quote(str(port)))


def bare_key(text: str) -> str:
    """Return the private key in a file with a comment before it.

    paramiko takes the first line for the begin of the key.

    :param text: content of the file
    """
    return text[max(0, text.find('-----BEGIN')):]


@dataclasses.dataclass(frozen=True)
class Guest:
    """A server that was built for a test, with the access to it.

    :ivar body: JSON of the server, as its owner sees it
    :ivar host: name of the host on which it was built
    :ivar address: address for probes and SSH
    :ivar private_key: for SSH; None if SSH takes a password
    :ivar volumes: UUIDs of the volumes that are attached to it
    """

    body: dict[str, Any] = dataclasses.field(repr=False)
    host: str
    address: str
    private_key: str | None = dataclasses.field(repr=False)
    volumes: tuple[str, ...] = ()

    @property
    def server_id(self) -> str:
        """The server's UUID."""
        return str(self.body['id'])


@dataclasses.dataclass(frozen=True)
class GuestOptions:
    """Options of a GuestBuilder. Tempest adds image and network by itself.

    :ivar flavor_ref: id of the default flavor
    :ivar tcp_echo_port: TCP port of the echo service in the guests
    :ivar build_timeout_s: time to wait for a server to be built, to change
        its status, or to be deleted, in seconds
    :ivar build_interval_s: time between two reads meanwhile, in seconds
    :ivar ip_version: 4 or 6; version of the guests' addresses
    :ivar auth_method: keypair, or any other for a password
    :ivar disk_mib: data that write_disks() writes, in MiB; 0 for none
    :ivar dynamic_credentials: whether the project was made for these tests,
        so that its quota may be lifted
    :ivar console_output: whether the cloud offers console logs
    :ivar floating: whether guests are reached at floating addresses
    :ivar own_ports: whether Tempest creates a port for each server itself
    :ivar name_prefix: with which the names of servers begin
    """

    flavor_ref: str
    tcp_echo_port: int
    build_timeout_s: float
    build_interval_s: float
    ip_version: int = 4
    auth_method: str = 'keypair'
    disk_mib: int = 0
    dynamic_credentials: bool = False
    console_output: bool = True
    floating: bool = False
    own_ports: bool = False
    name_prefix: str = 'tempest'

    @classmethod
    def of(cls, conf: Any) -> 'GuestOptions':
        """Return the options of a configuration.

        :param conf: values of Tempest's and our groups
        """
        return cls(
            flavor_ref=conf.compute.flavor_ref,
            tcp_echo_port=conf.live_migration_ha.tcp_echo_port,
            build_timeout_s=conf.compute.build_timeout,
            build_interval_s=conf.compute.build_interval,
            ip_version=conf.validation.ip_version_for_ssh,
            auth_method=conf.validation.auth_method,
            disk_mib=conf.live_migration_ha.disk_mib,
            dynamic_credentials=conf.auth.use_dynamic_credentials,
            console_output=conf.compute_feature_enabled.console_output,
            floating=conf.validation.connect_method == 'floating',
            own_ports=bool(conf.network.port_vnic_type or
                           conf.network.port_profile),
            name_prefix=conf.resource_name_prefix)


class GuestBuilder:
    """Builds servers for one test and runs commands in them."""

    def __init__(self, test: Any, owner: Any, admin: api.Clients,
                 options: GuestOptions) -> None:
        """Prepare the builder. It makes no request yet.

        :param test: tempest.scenario.manager.ScenarioTest whose methods
            create servers, keys and security groups and delete them again
        :param owner: client manager of the project that owns the servers
        :param admin: clients of an administrator
        :param options: see GuestOptions
        """
        self._test = test
        self._owner = owner
        self._admin = admin
        self._options = options
        self._remotes: dict[str, Any] = {}
        self._workloads: dict[tuple[str, str], workloads.Workload] = {}

    def build(self, number: int = 1, host: str = '', flavor: str = '',
              **kwargs: Any) -> list[Guest]:
        """Build servers side by side and return them when all are ACTIVE.

        Several are launched by one request, as users do: nova once refused to
        live-migrate those (bug 1718455). Servers with volumes or ports of
        their own are requested one by one, because nova shares neither.

        If one cannot be built, all are deleted at once, because the rest of
        the test may need the room.

        :param number: number of servers
        :param host: name of the host on which they are built, which takes an
            owner who is an administrator; empty to leave it to nova
        :param flavor: id of their flavor; empty for the default flavor
        :param kwargs: more parameters of create_server()
        :raises TempestException: one went into ERROR, or nova has launched
            another number of servers
        :raises TimeoutException: one was not ACTIVE in time
        """
        if flavor:
            kwargs['flavor'] = flavor
        if host:
            kwargs['host'] = host
        kwargs = {**self._arguments, **kwargs}
        together = number > 1 and not self._options.own_ports and not (
            {'block_device_mapping_v2', 'networks'} & kwargs.keys())
        server_ids: list[str] = []
        try:
            if together:
                server_ids += self._launch(number, **kwargs)
            else:
                for _ in range(number):
                    server_ids.append(self._create(**kwargs))
            return list(map(self._built, server_ids))
        except Exception:
            self._delete(server_ids)
            raise

    def build_on(self, hosts: Iterable[str]) -> list[Guest]:
        """Build a server on each host, side by side; return them in order.

        If one cannot be built, all are deleted at once.

        :param hosts: names of the hosts; the owner is an administrator
        :raises TempestException: one went into ERROR
        :raises TimeoutException: one was not ACTIVE in time
        """
        server_ids: list[str] = []
        try:
            for host in hosts:
                server_ids.append(self._create(host=host, **self._arguments))
            return list(map(self._built, server_ids))
        except Exception:
            self._delete(server_ids)
            raise

    def _create(self, **kwargs: Any) -> str:
        """Request one server and return its UUID."""
        body = self._test.create_server(
            clients=self._owner, wait_until=None, **kwargs)
        # Cleanups run last-in first-out: this one comes before Tempest's own,
        # which does not wait for a server in ERROR.
        self._test.addCleanup(
            servers.delete, self._admin.servers, body['id'],
            self._options.build_timeout_s, self._options.build_interval_s)
        return str(body['id'])

    def _launch(self, number: int, keypair: dict[str, Any] | None = None,
                **kwargs: Any) -> list[str]:
        """Request several servers at once and return their UUIDs.

        ScenarioTest.create_server() cannot do this (as of Tempest 47.0.0): it
        looks for the id of one server in the answer.
        """
        name = data_utils.rand_name(
            prefix=self._options.name_prefix,
            name=f'{type(self._test).__name__}-server')
        # Before the request, for it may be interrupted. The answer names one
        # of the servers only.
        self._test.addCleanup(lambda: self._delete(self._named(name)))
        if keypair:
            kwargs['key_name'] = keypair['name']
        compute.create_test_server(
            self._owner, tenant_network=self._test.get_tenant_network(),
            name=name, min_count=number, max_count=number, **kwargs)
        found = self._named(name)
        if len(found) != number:
            raise exceptions.TempestException(
                f'nova was asked for {number} servers named {name}-1 to '
                f'{name}-{number} and has launched {len(found)}')
        return found

    def _named(self, name: str) -> list[str]:
        """Return the UUIDs of servers launched together, by their numbers."""
        found = [each for each in self._owner.servers_client.list_servers(
            name=name)['servers'] if each['name'].startswith(f'{name}-')]
        found.sort(key=lambda each: (len(each['name']), each['name']))
        return [str(each['id']) for each in found]

    def adopt(self, key_file: str) -> list[Guest]:
        """Return the canaries: servers that an earlier command built.

        They are not deleted at the end of the test.

        :param key_file: path of the private key for SSH to them
        :raises InvalidConfiguration: the file cannot be read
        :raises TempestException: one of them is not ACTIVE
        """
        return self.adopt_servers(self._admin.servers.list_servers(
            detail=True, all_tenants=True, tags=setup.TAG)['servers'],
            key_file, 'canary_key_file')

    def adopt_servers(self, bodies: Iterable[dict[str, Any]], key_file: str,
                      option: str) -> list[Guest]:
        """Return servers that another program built.

        :param bodies: JSON of the servers, as an administrator sees them
        :param key_file: path of the private key for SSH to them
        :param option: name of the option that holds the path, for messages
        :raises InvalidConfiguration: the file cannot be read
        :raises TempestException: one of them is not ACTIVE
        """
        try:
            text = pathlib.Path(key_file).expanduser().read_text('utf-8')
        except (OSError, UnicodeDecodeError) as exc:
            raise exceptions.InvalidConfiguration(
                f'[live_migration_ha] {option}: {key_file} cannot be '
                f'read: {getattr(exc, "strerror", None) or exc}') from exc
        found = []
        for body in bodies:
            if body['status'] != 'ACTIVE':
                raise exceptions.TempestException(
                    f'server {body["name"]} ({body["id"]}) is '
                    f'{body["status"]} on host '
                    f'{body["OS-EXT-SRV-ATTR:host"]}, not ACTIVE: build it '
                    'anew, or delete it')
            addresses = [each for each in itertools.chain.from_iterable(
                body['addresses'].values())
                if each['version'] == self._options.ip_version]
            # From outside, its own address leads nowhere behind a router.
            addresses.sort(
                key=lambda each: each['OS-EXT-IPS:type'] != 'floating')
            found.append(Guest(body, body['OS-EXT-SRV-ATTR:host'],
                               addresses[0]['addr'], bare_key(text)))
        return sorted(found, key=lambda each: str(each.body['name']))

    def _built(self, server_id: str) -> Guest:
        server = self._wait_for(server_id, 'ACTIVE')
        body = self._owner.servers_client.show_server(server_id)['server']
        address = self._test.get_server_ip(body)
        LOG.info('Server %s (%s) was built on host %s and has address %s',
                 server_id, server.name, server.host, address)
        return Guest(body, server.host, address, self._login[0])

    @functools.cached_property
    def _arguments(self) -> dict[str, Any]:
        """The parameters of create_server() that all servers share."""
        return {
            'security_groups': [{'name': self._security_group['name']}],
            'user_data': base64.b64encode(echo_script(
                self._options.tcp_echo_port).encode()).decode(),
            **self._login[1]}

    # One key pair and one security group for all guests of a test, because
    # their quotas are small.
    @functools.cached_property
    def _login(self) -> tuple[str | None, dict[str, Any]]:
        if self._options.auth_method != 'keypair':
            return None, {}
        keypair = self._test.create_keypair(self._owner.keypairs_client)
        return keypair['private_key'], {'keypair': keypair}

    @functools.cached_property
    def _security_group(self) -> dict[str, Any]:
        group: dict[str, Any] = self._test.create_empty_security_group(
            self._owner.security_groups_client, namestart='live-migration')
        version = self._options.ip_version
        icmp = 'icmp' if version == 4 else 'ipv6-icmp'
        rules: list[dict[str, Any]] = [{'protocol': icmp}]
        # A set, because the echo service may use the port of SSH.
        for port in {SSH_PORT, self._options.tcp_echo_port}:
            rules.append({'protocol': 'tcp', 'port_range_min': port,
                          'port_range_max': port})
        for rule in rules:
            self._test.create_security_group_rule(
                secgroup=group, direction='ingress',
                sec_group_rules_client=(
                    self._owner.security_group_rules_client),
                security_groups_client=self._owner.security_groups_client,
                ethertype=f'IPv{version}', **rule)
        return group

    def room(self, wanted: int, fewest: int, *hosts: str) -> int:
        """Return how many servers of the default flavor can be built.

        The number is limited by the room on each host and by the quota of the
        project.

        :param wanted: largest number to return
        :param fewest: smallest acceptable number
        :param hosts: names of hosts; each has to have room for all servers;
            none to look at the quota alone
        :raises NoHypervisor: nova lists no hypervisor on a host
        :raises NoRoom: fewer than the smallest acceptable number fit
        """
        flavor = self._owner.flavors_client.show_flavor(
            self._options.flavor_ref)['flavor']
        each = placement.Resources.of_flavor(flavor)
        limits = {
            f'host {host}': each.times(
                placement.free_on_host(self._admin, host))
            for host in hosts}
        if self._options.dynamic_credentials:
            # nova's default quota is ten servers.
            placement.lift_quota(self._admin.quotas,
                                 self._owner.credentials.project_id)
        allowed = placement.quota_room(self._owner.limits_client, each)
        if allowed is not None:
            limits['the quota'] = allowed
        number = min([wanted, *limits.values()])
        found = ', '.join(f'{place} has room for {limit}'
                          for place, limit in limits.items())
        if number < fewest:
            raise placement.NoRoom(
                f'no room for {fewest} servers of flavor {flavor["name"]}: '
                f'{found}')
        if number < wanted:
            LOG.warning('Only %d of %d servers fit: %s', number, wanted,
                        found)
        return number

    def flavor_id(self, wanted: str) -> str:
        """Return the id of a flavor.

        :param wanted: its name or its id; empty for none, which returns an
            empty id
        :raises InvalidConfiguration: there is no such flavor
        """
        if not wanted:
            return ''
        known = self._owner.flavors_client.list_flavors()['flavors']
        for flavor in known:
            if wanted in (flavor['id'], flavor['name']):
                return str(flavor['id'])
        names = ', '.join(sorted(flavor['name'] for flavor in known))
        raise exceptions.InvalidConfiguration(
            f'there is no flavor {wanted!r}; there are: {names or "none"}')

    def delete(self, *guests: Guest) -> None:
        """Delete guests now instead of at the end of the test.

        :raises TimeoutException: one is still there
        """
        self._delete([guest.server_id for guest in guests])
        if not self._options.floating:
            return
        # Tempest would free their addresses at the end of the test, and the
        # default quota of a project is 50.
        client = self._owner.floating_ips_client
        for guest in guests:
            for found in client.list_floatingips(
                    floating_ip_address=guest.address)['floatingips']:
                test_utils.call_and_ignore_notfound_exc(
                    client.delete_floatingip, found['id'])

    def _delete(self, server_ids: Sequence[str]) -> None:
        # Request all first, so that nova deletes them side by side.
        for server_id in server_ids:
            test_utils.call_and_ignore_notfound_exc(
                self._admin.servers.delete_server, server_id)
        for server_id in server_ids:
            servers.delete(
                self._admin.servers, server_id,
                self._options.build_timeout_s, self._options.build_interval_s)

    def wait_for(self, guest: Guest, status: str) -> None:
        """Wait until a guest's server has a status and no task."""
        self._wait_for(guest.server_id, status)

    def _wait_for(self, server_id: str, status: str) -> servers.Server:
        return servers.wait_for(
            self._admin.servers, server_id, status,
            self._options.build_timeout_s, self._options.build_interval_s)

    def run(self, guest: Guest, command: str) -> str:
        """Run a shell command in a guest and return its output, stripped.

        :raises GuestUnreachable: SSH to the guest did not work in time, or
            the command failed
        """
        try:
            # Kept, because a new client logs in once before its first
            # command. That is the likeliest place of a time-out.
            remote = self._remotes.get(guest.server_id)
            if remote is None:
                remote = self._test.get_remote_client(
                    guest.address, private_key=guest.private_key,
                    server=guest.body)
                self._remotes[guest.server_id] = remote
            return str(remote.exec_command(command)).strip()
        except exceptions.SSHTimeout:
            # Tempest's message has the password in it: neither results nor
            # logs may get it.
            raise GuestUnreachable(
                f'no SSH to server {guest.server_id} at {guest.address} '
                'before the time-out') from None
        except (exceptions.SSHExecCommandFailed, paramiko.SSHException,
                OSError, EOFError) as exc:
            raise GuestUnreachable(
                f'in server {guest.server_id}: {exc}') from exc

    def inspect(self, guest: Guest, leave_out: Collection[str] = ()
                ) -> schema.GuestInspection:
        """Return facts that are read in a guest now.

        :param guest: the guest
        :param leave_out: slugs of checks whose facts are not read
        :raises GuestUnreachable: see run()
        """
        return inspection.inspect(
            functools.partial(self.run, guest), leave_out)

    def start(self, guest: Guest, workload: workloads.Workload) -> None:
        """Start a workload in a guest. verify() finds it again.

        :param guest: the guest
        :param workload: replaces an earlier one of the same name in the same
            guest, because both write to the same place
        :raises Skipped: it cannot run there
        """
        workload.start(functools.partial(self.run, guest))
        self._workloads[guest.server_id, workload.name] = workload

    def write_disks(self, *guests: Guest) -> None:
        """Start a disk workload in each guest, unless disk_mib is 0."""
        if self._options.disk_mib:
            for guest in guests:
                self.start(guest, disk.DiskWorkload(self._options.disk_mib))

    def verify(self, guest: Guest) -> dict[str, str]:
        """Return the problem of each workload of a guest, by its name.

        The text is empty for a workload without a problem.
        """
        return {name: workload.verify(functools.partial(self.run, guest))
                for (server_id, name), workload in self._workloads.items()
                if server_id == guest.server_id}

    def consoles(self, server_ids: Iterable[str | None]) -> Iterator[bytes]:
        """Yield each guest's console log, or why it cannot be read.

        Read them before the test ends: a log goes with its server, and a
        migration starts a new one on the destination.

        :param server_ids: UUIDs of servers, once or several times each; None
            is ignored
        """
        for server_id in dict.fromkeys(filter(None, server_ids)):
            if not self._options.console_output:
                return
            yield f'Console of server {server_id}:'.encode()
            try:
                yield str(self._admin.servers.get_console_output(
                    server_id)['output']).encode()
            except (exceptions.RestClientException,
                    *api.NO_ANSWER) as exc:
                LOG.exception('Cannot read the console of server %s',
                              server_id)
                yield f'The console cannot be read: {exc}'.encode()
