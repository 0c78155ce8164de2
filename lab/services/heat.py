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

"""Heat, which deploys stacks of servers from templates."""

import collections.abc
import dataclasses

import openstack

from lab import configuration
from lab import errors
from lab import layout
from lab.services import base
from lab.services import keystone
from lab.steps import Step
from lab.topology import Topology
from lm_tempest_plugin import utils

#: Holds the users that templates make: those of signals and of waiting.
DOMAIN = 'heat'
DOMAIN_ADMIN = 'heat_domain_admin'
#: heat.conf's default of heat_stack_user_role.
USER_ROLE = 'heat_stack_user'
#: Time for the engine to start, in seconds.
ENGINE_S = 120


class Heat(base.Service):
    """Heat's API and engine, in a virtualenv of their own."""

    name = 'heat'
    venv = 'heat'
    configuration = 'heat.conf'
    values = {'domain': DOMAIN, 'domain_admin': DOMAIN_ADMIN}
    databases = ('heat',)
    endpoint = base.Endpoint('orchestration', 8004, '/v1/%(project_id)s')
    needs = (base.DATABASES, 'rabbitmq')

    @classmethod
    def is_part_of(cls, topology: Topology) -> bool:
        """Return whether the lab is to have Heat."""
        return topology.heat

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API."""
        return (base.Application(
            'heat-api', 'heat.wsgi.api', self.endpoint.port, 1,
            arguments=(f'--config-file={self.etc}/heat.conf',),
            needs=('account of heat',)),)

    def programs(self) -> list[base.Program]:
        """Return the API and the engine."""
        engine = self.daemon('heat-engine', needs=('domain of heat',))
        return [*super().programs(),
                dataclasses.replace(engine, after=self.await_engine)]

    def steps(self) -> list[Step]:
        """Start it, and make the domain of users that templates make."""
        return [*super().steps(), self.step(
            'domain of heat', self.make_domain, 'account of heat')]

    def await_engine(self) -> None:
        """Wait until the engine takes requests.

        The API would let a request that comes earlier wait for a minute, and
        all later ones with it.

        :raises errors.LabError: if it does not within its time
        """
        utils.wait_until(
            lambda found: found.strip() != '0', lambda: base.run(
                'mariadb', f'--socket={layout.RUN}/mariadb.sock',
                '--skip-column-names',
                text='SELECT COUNT(*) FROM heat.service;'),
            'heat-engine to report', ENGINE_S, interval_s=0.5,
            error=errors.LabError)

    def make_domain(self) -> None:
        """Make the domain, its administrator, and the role of its users."""
        identity = keystone.connect(self.paths).identity
        domain = identity.create_domain(name=DOMAIN)
        user = identity.create_user(
            name=DOMAIN_ADMIN, domain_id=domain.id,
            password=configuration.passwords(self.paths)['service'])
        identity.assign_domain_role_to_user(
            domain, user, identity.find_role('admin', ignore_missing=False))
        identity.create_role(name=USER_ROLE)

    def migrate(self) -> None:
        """Make its schema."""
        self.manage('heat-manage', 'db_sync')

    def missing(self, cloud: openstack.connection.Connection
                ) -> collections.abc.Iterator[str]:
        """Yield the engine, unless the API says that it is up."""
        # openstacksdk has no method for this. Without an engine, the answer
        # is an error.
        answer = cloud.orchestration.get('/services').json()
        if not any(each['status'] == 'up'
                   for each in answer.get('services', ())):
            yield 'heat-engine'
