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

"""Message queue and cache, which OpenStack's services share."""

from lab import files
from lab.services import base


class RabbitMq(base.Service):
    """RabbitMQ, for RPC between the daemons of a service."""

    name = 'rabbitmq'
    packages = ('rabbitmq-server',)
    configuration = 'rabbitmq.conf'

    def configure(self) -> None:
        """Write its files; empty ones keep it from the machine's own."""
        super().configure()
        files.write(self.etc / 'rabbitmq-plugins', '[].\n')
        files.write(self.etc / 'rabbitmq-env.conf', '')

    def programs(self) -> list[base.Program]:
        """Return the broker."""
        data = str(self.data / 'rabbitmq')
        return [self.program(
            'rabbitmq', '/usr/lib/rabbitmq/bin/rabbitmq-server', port=5672,
            environment={
                'RABBITMQ_NODENAME': f'rabbit@{self.host.name}',
                'RABBITMQ_CONFIG_FILE': str(self.etc / 'rabbitmq.conf'),
                'RABBITMQ_CONF_ENV_FILE': str(self.etc / 'rabbitmq-env.conf'),
                'RABBITMQ_ENABLED_PLUGINS_FILE': str(
                    self.etc / 'rabbitmq-plugins'),
                'RABBITMQ_MNESIA_BASE': data,
                'RABBITMQ_LOG_BASE': data,
                'RABBITMQ_PID_FILE': f'{data}/pid',
                'RABBITMQ_DIST_PORT': '25672',
                # Schedulers of Erlang that wait busily would take both
                # cores.
                'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': (
                    '+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2'),
                'ERL_EPMD_ADDRESS': self.host.address})]


class Memcached(base.Service):
    """memcached, in which keystone and nova keep tokens."""

    name = 'memcached'
    packages = ('memcached',)

    def programs(self) -> list[base.Program]:
        """Return the server."""
        return [self.program('memcached', '/usr/bin/memcached', '-u', 'root',
                             '-l', self.host.address, '-m', 64)]
