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

"""neutron with ML2/OVN: its API, its daemons, and how guests get metadata."""

import collections.abc

import openstack

from lab.services import base

#: Agents that neutron has to see alive on each compute host.
AGENTS = ('ovn-controller', 'neutron-ovn-metadata-agent')


class Neutron(base.Service):
    """neutron's API and its maintenance worker."""

    name = 'neutron'
    configuration = 'neutron.conf'
    folders = ('neutron',)
    databases = ('neutron',)
    endpoint = base.Endpoint('network', 9696)
    needs = (base.DATABASES, 'rabbitmq', 'ovn-nb', 'ovn-sb')

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API."""
        return (base.Application(
            'neutron', 'neutron.wsgi.api', self.endpoint.port, 2,
            (('OS_NEUTRON_CONFIG_DIR', str(self.etc)),
             ('OS_NEUTRON_CONFIG_FILES', 'neutron.conf'))),)

    def programs(self) -> list[base.Program]:
        """Return the API and the worker."""
        return [
            *super().programs(),
            # It repairs differences between neutron's database and OVN's and
            # serves nobody: everything that somebody waits for comes first.
            self.daemon('neutron-ovn-maintenance-worker',
                        needs=('neutron', base.READY))]

    def migrate(self) -> None:
        """Make its schema."""
        self.manage('neutron-db-manage', 'upgrade', 'heads')

    def missing(self, cloud: openstack.connection.Connection
                ) -> collections.abc.Iterator[str]:
        """Yield each agent of a compute host that is not alive."""
        alive = {(agent.binary, agent.host)
                 for agent in cloud.network.agents() if agent.is_alive}
        for host in self.lab.topology.compute_hosts:
            for binary in AGENTS:
                if (binary, host.name) not in alive:
                    yield f'{binary} on {host.name}'


class MetadataAgent(base.Service):
    """Takes guests' requests for metadata to nova; needs haproxy.

    Its namespace ovnmeta-NETWORK appears with a host's first guest.
    """

    name = 'neutron-ovn-metadata-agent'
    on_compute_hosts = True
    packages = ('haproxy', 'iptables')
    configuration = 'metadata-agent.ini'
    folders = ('neutron',)
    needs = ('openvswitch', 'ovn-northd')

    def programs(self) -> list[base.Program]:
        """Return the daemon."""
        return [self.daemon(self.name)]
