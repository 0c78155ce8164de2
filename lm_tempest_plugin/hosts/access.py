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

"""Access to all compute hosts that the tests may use."""

from collections.abc import Iterable
from collections.abc import Sequence
import contextlib
import datetime
import pathlib
import shlex
from typing import Any
from typing import NamedTuple
from typing import Self

from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.hosts import libvirt
from lm_tempest_plugin.hosts import logs
from lm_tempest_plugin.hosts import nova_conf
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import samples
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import sockets
from lm_tempest_plugin.hosts import traces
from lm_tempest_plugin.hosts import undo_log
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)


def sites(options: Any, names: Iterable[str]) -> list[remote.Site]:
    """Return how to reach hosts.

    :param options: values of the group live_migration_ha_hosts
    :param names: names of the hosts
    """
    def site(name: str) -> remote.Site:
        def text(option: str) -> str:
            return str(getattr(options, option)).replace('{host}', name)

        def path(option: str) -> str:
            # Another user, in another directory, may read the undo log.
            return str(pathlib.Path(text(option)).expanduser().absolute())

        return remote.Site(
            name=name, address=options.addresses.get(name, name),
            port=options.ssh_port, user=options.ssh_user,
            key_file=path('ssh_key_file') if options.ssh_key_file else '',
            known_hosts_file=path('ssh_known_hosts_file'),
            sudo=options.sudo, nova_conf=text('nova_conf'),
            restart_command=text('restart_command'),
            pid_command=text('pid_command'))

    return [site(name) for name in names]


class HostsObserver(contextlib.AbstractContextManager['HostsObserver']):
    """Observe sockets and samples of two hosts, as a context manager.

    :param watch: watch of the sockets between the hosts
    :param samplers: samplers of the hosts; none to take no samples
    :ivar sockets: the watch
    """

    def __init__(self, watch: sockets.SocketWatch,
                 samplers: Iterable[samples.Sampler]) -> None:
        self.sockets = watch
        self._samplers = list(samplers)
        self._stack = contextlib.ExitStack()
        self._error: remote.HostError | None = None

    def __enter__(self) -> Self:
        # If one refuses, those that have started are stopped.
        with contextlib.ExitStack() as stack:
            for sampler in self._samplers:
                stack.enter_context(sampler)
            stack.enter_context(self.sockets)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *args: object) -> None:
        # A host that does not answer any more must not cost the results of
        # the migrations.
        try:
            self._stack.close()
        except remote.HostError as exc:
            LOG.exception('The observation of the hosts')
            self._error = exc

    def results(self) -> tuple[schema.Sockets, tuple[schema.HostSamples, ...]]:
        """Return the sockets, and the samples of each host.

        :raises HostError: a sampler did not end in time, or was ended by an
            error of another kind
        """
        if self._error is not None:
            raise self._error
        return self.sockets.results(), tuple(
            sampler.results() for sampler in self._samplers)


class HostVersions(NamedTuple):
    """Versions of the programs that run on a host; empty if not known.

    :ivar libvirt: of its daemon
    :ivar hypervisor: of the QEMU that libvirt starts now
    :ivar nova: of nova-compute
    :ivar ovn: of ovn-controller
    """

    libvirt: str
    hypervisor: str
    nova: str
    ovn: str


class HostAccess:
    """Access to compute hosts.

    :param options: values of the group live_migration_ha_hosts, with an
        ssh_user
    :param services_client: tempest.lib's ServicesClient of an administrator
    :param names: names of the hosts
    """

    def __init__(self, options: Any, services_client: Any,
                 names: Iterable[str]) -> None:
        self._options = options
        self._services_client = services_client
        self._sites = sites(options, names)
        self._remotes = {site.name: remote.Remote(site)
                         for site in self._sites}
        # Samples have connections of their own: a time-out of a sample closes
        # its connection, and would end other commands with it.
        self._sampled = {site.name: remote.Remote(site)
                         for site in self._sites}
        self._virsh = shlex.split(options.virsh_command)
        self._ovs_vsctl = shlex.split(options.ovs_vsctl_command)
        self._ovn_appctl = shlex.split(options.ovn_appctl_command)
        self._instances_paths: dict[str, str] = {}

    def check(self) -> None:
        """Run a command on every host.

        :raises HostError: a host cannot be reached
        """
        # Make all connections now. A new SSH connection while sockets are
        # watched would look like libvirt's (qemu+ssh).
        for host in (*self._remotes.values(), *self._sampled.values()):
            host.run('true')

    def close(self) -> None:
        """Close all connections."""
        for host in (*self._remotes.values(), *self._sampled.values()):
            host.close()

    def observe(self, source: str, destination: str) -> HostsObserver | None:
        """Return a context manager that observes two hosts.

        :param source: name of the host that servers leave
        :param destination: name of the host that they go to
        :returns: None if there is no access to one of them
        """
        if not {source, destination} <= set(self._remotes):
            return None
        period_s = self._options.sample_interval
        return HostsObserver(
            sockets.SocketWatch(
                self._remotes[source], self._remotes[destination]),
            [samples.Sampler(self._sampled[name], period_s)
             for name in (source, destination) if period_s])

    def job(self, host: str, server_id: str) -> schema.LibvirtJob | None:
        """Return libvirt's statistics of the migration to a host.

        :param host: name of the host that the server is on
        :param server_id: UUID of the server
        :returns: None if libvirt has none, or there is no access to the host
        :raises HostError: the host cannot be asked
        """
        if host not in self._remotes:
            return None
        return libvirt.completed_job(
            self._remotes[host], self._virsh, server_id)

    def has(self, host: str) -> bool:
        """Return whether there is access to a host.

        :param host: its name
        """
        return host in self._remotes

    def running_job(self, host: str,
                    server_id: str) -> schema.LibvirtJob | None:
        """Return libvirt's figures of a migration that goes on.

        :param host: name of the source
        :param server_id: UUID of the server
        :returns: None if no migration goes on
        :raises HostError: the host cannot be asked
        """
        return libvirt.running_job(
            self._remotes[host], self._virsh, server_id)

    def dirty_rates(self, host: str,
                    server_ids: Sequence[str]) -> dict[str, float]:
        """Return the memory that guests write, in bytes per second.

        :param host: name of the host that they are on
        :param server_ids: UUIDs of the servers
        :returns: by the server's UUID; without those that were not measured
        :raises HostError: the host cannot be asked
        """
        return libvirt.dirty_rates(
            self._remotes[host], self._virsh, server_ids)

    def traces(self, host: str, server_ids: Sequence[str]
               ) -> dict[str, schema.HostTraces]:
        """Return the traces of each server on a host, by its UUID.

        :param host: name of the host
        :param server_ids: UUIDs of the servers
        :raises HostError: the host cannot be asked
        """
        if host not in self._instances_paths:
            self._instances_paths[host] = self._instances_path(host)
        return traces.read(
            self._remotes[host], self._virsh, self._ovs_vsctl,
            self._instances_paths[host],
            str(self._options.qemu_log).replace('{host}', host), server_ids)

    def _instances_path(self, host: str) -> str:
        """Return the directory of the instance directories on a host."""
        path = str(self._options.instances_path).replace('{host}', host)
        if path:
            return path
        site = self._remotes[host].site
        try:
            return nova_conf.instances_path(
                self._remotes[host].run('cat', '--', site.nova_conf))
        except (remote.CommandFailed, ValueError) as exc:
            default = nova_conf.instances_path('')
            LOG.warning('instances_path of host %s is taken to be %s: %s',
                        host, default, exc)
            return default

    def logs(self, host: str, server_id: str, request_id: str,
             since: datetime.datetime) -> list[schema.HostLog]:
        """Return the lines of a host's logs that belong to a migration.

        :param host: name of the host
        :param server_id: UUID of the server
        :param request_id: nova's id of the request
        :param since: time of the first line, by our clock
        :raises HostError: the host cannot be asked
        """
        commands = {
            logs.NOVA_COMPUTE: self._options.nova_compute_log,
            logs.LIBVIRTD: self._options.libvirt_log,
            logs.QEMU: self._options.qemu_log}
        return logs.read(
            self._remotes[host],
            {name: command.replace('{host}', host)
             for name, command in commands.items() if command},
            server_id, request_id, since)

    def guest_state(self, host: str, server_id: str) -> str:
        """Return the state and the activity of a guest that is silent.

        :param host: name of the host that the server is on
        :param server_id: UUID of the server
        :returns: empty if there is no access to the host
        :raises HostError: the host cannot be asked
        """
        if host not in self._remotes:
            return ''
        return libvirt.guest_state(
            self._remotes[host], self._virsh, server_id)

    def versions(self) -> dict[str, HostVersions]:
        """Return the versions on each host, by its name.

        :raises HostError: a host cannot be asked for that of libvirt
        """
        return {name: HostVersions(
            *libvirt.daemon_versions(host, self._virsh),
            service.nova_version(host),
            service.ovn_version(host, self._ovn_appctl))
            for name, host in self._remotes.items()}

    def changes(self) -> nova_conf.NovaConfChanges:
        """Return the object that sets options and restores the hosts.

        The caller calls its restore() and close().
        """
        return nova_conf.NovaConfChanges(
            self._sites, undo_log.UndoLog(self._options.undo_log_directory),
            service.Restarter(self._reported, self._options.restart_timeout))

    def _reported(self, name: str) -> str | None:
        """Return the time at which a host last reported; None if unknown.

        :raises HostError: nova refuses to tell
        """
        try:
            return compute_hosts.reported(self._services_client, name)
        except (exceptions.RestClientException, *api.NO_ANSWER) as exc:
            if not api.is_transient(exc):
                raise remote.HostError('nova does not tell whether host '
                                       f'{name} has reported: {exc}') from exc
            # The API server may be restarting. The caller asks again.
            LOG.warning('Whether host %s has reported is not known: %s', name,
                        exc)
            return None
