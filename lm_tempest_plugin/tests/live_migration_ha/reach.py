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

"""The tests' access to compute hosts, as the configuration has it."""

from collections.abc import Iterable
import pathlib
import shlex
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.cloud import hosts as cloud_hosts
from lm_tempest_plugin.hosts import change
from lm_tempest_plugin.hosts import jobs
from lm_tempest_plugin.hosts import journal
from lm_tempest_plugin.hosts import observer
from lm_tempest_plugin.hosts import pulse
from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.hosts import sampler
from lm_tempest_plugin.hosts import service
from lm_tempest_plugin.hosts import site
from lm_tempest_plugin.hosts import transport
from lm_tempest_plugin.migration import poll

LOG = logging.getLogger(__name__)


def sites(options: Any, names: Iterable[str]) -> list[site.Site]:
    """Return how hosts are reached.

    :param options: group live_migration_ha_hosts
    :param names: of the hosts
    """
    return [_site(options, name) for name in names]


def _site(options: Any, name: str) -> site.Site:
    def named(key: str) -> str:
        return str(getattr(options, key)).replace('{host}', name)

    def path(key: str) -> str:
        # The journal may be read by another user, in another directory.
        return str(pathlib.Path(named(key)).expanduser().absolute())

    return site.Site(
        name=name, address=options.addresses.get(name, name),
        port=options.ssh_port, user=options.ssh_user,
        key_file=path('ssh_key_file') if options.ssh_key_file else '',
        known_hosts_file=path('ssh_known_hosts_file'), sudo=options.sudo,
        nova_conf=named('nova_conf'),
        restart_command=named('restart_command'),
        pid_command=named('pid_command'))


class Reach:
    """Access to all hosts that the tests may use.

    :param options: group live_migration_ha_hosts, with an ssh_user
    :param services_client: tempest.lib's ServicesClient, of an admin
    :param names: of the hosts
    """

    def __init__(self, options: Any, services_client: Any,
                 names: Iterable[str]) -> None:
        self._options = options
        self._services_client = services_client
        self._sites = sites(options, names)
        self._remotes = {each.name: remotes.Remote(each)
                         for each in self._sites}
        # Of their own, so that a sample that fails takes nothing along.
        self._sampled = {each.name: remotes.Remote(each)
                         for each in self._sites}
        self._virsh = shlex.split(options.virsh_command)

    def check(self) -> None:
        """Reach every host once.

        :raises HostError: one cannot be reached
        """
        # All connections, so that none comes while sockets are looked at.
        for remote in (*self._remotes.values(), *self._sampled.values()):
            remote.run('true')

    def close(self) -> None:
        """End all connections."""
        for remote in (*self._remotes.values(), *self._sampled.values()):
            remote.close()

    def observe(self, source: str,
                destination: str) -> observer.Observer | None:
        """Return who looks at two hosts while servers are moved.

        :param source: name of the host that servers leave
        :param destination: name of the host that they go to
        :returns: None if one of them is none of ours
        """
        if not {source, destination} <= set(self._remotes):
            return None
        period_s = self._options.sample_interval
        return observer.Observer(
            transport.Watch(
                self._remotes[source], self._remotes[destination]),
            [sampler.Sampler(self._sampled[name], period_s)
             for name in (source, destination) if period_s])

    def job(self, host: str, server_id: str) -> jobs.Job | None:
        """Return libvirt's figures of the migration that brought a server.

        :param host: name of the host that it is on
        :param server_id: the server's UUID
        :returns: None if libvirt has none, or the host is none of ours
        :raises HostError: the host cannot be asked
        """
        if host not in self._remotes:
            return None
        return jobs.completed(self._remotes[host], self._virsh, server_id)

    def pulse(self, host: str, server_id: str) -> str:
        """Return in words what a guest does that answers nothing.

        :param host: name of the host that it is on
        :param server_id: the server's UUID
        :returns: empty if the host is none of ours
        :raises HostError: the host cannot be asked
        """
        if host not in self._remotes:
            return ''
        return pulse.take(self._remotes[host], self._virsh, server_id)

    def libvirt_versions(self) -> dict[str, str]:
        """Return the version of each host's libvirt, by the host's name.

        :raises HostError: a host cannot be asked
        """
        return {name: jobs.libvirt_version(remote, self._virsh)
                for name, remote in self._remotes.items()}

    def changed(self) -> change.Hosts:
        """Return the hosts, to be changed and put back by the caller."""
        return change.Hosts(
            self._sites, journal.Journal(self._options.journal_directory),
            service.Restarter(self._reported, self._options.restart_timeout))

    def _reported(self, name: str) -> str | None:
        """Return when a host's nova-compute last reported, if nova says it.

        :raises HostError: nova refuses to say it
        """
        try:
            return cloud_hosts.reported(self._services_client, name)
        except (lib_exc.RestClientException, *poll.BROKEN) as exc:
            if not poll.passing(exc):
                raise remotes.HostError(
                    'nova does not say whether host %s has reported: %s' % (
                        name, exc)) from exc
            LOG.warning('Has host %s reported? %s', name, exc)
            return None
