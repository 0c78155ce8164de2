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

"""keystone: identity, the catalogue, and the users of all services."""

import functools

import openstack

from lab import configuration
from lab import layout
from lab.services import base
from lab.services import infrastructure
from lab.steps import Step
from lab.topology import CONTROLLER
from lab.topology import Topology

URL = f'http://{CONTROLLER.address}:5000/v3'
#: The project of the services' users.
PROJECT = 'service'


def connect(paths: layout.Layout) -> openstack.connection.Connection:
    """Return a connection as the cloud's administrator.

    :param paths: paths of the lab
    """
    return openstack.connect(
        load_yaml_config=False, load_envvars=False, auth_url=URL,
        username='admin', password=configuration.passwords(paths)['admin'],
        project_name='admin', user_domain_name='Default',
        project_domain_name='Default', region_name=configuration.REGION,
        identity_api_version='3')


class Keystone(base.Service):
    """keystone; its bootstrap makes its own entry in the catalogue."""

    name = 'keystone'
    project = 'keystone'
    schema = (('keystone-manage', 'db_sync'),)
    configuration = 'keystone.conf'
    databases = ('keystone',)
    needs = (infrastructure.KEYSTONE_SCHEMA, 'memcached')

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API."""
        return (base.Application(
            'keystone', 'keystone.wsgi.api', 5000, 2,
            (('OS_KEYSTONE_CONFIG_FILES', f'{self.etc}/keystone.conf'),)),)

    def migrate(self) -> None:
        """Make its schema, its keys and the administrator."""
        for kind in ('fernet', 'credential'):
            folder = self.paths.keys / kind
            folder.mkdir(parents=True, mode=0o700)
            self.manage('keystone-manage', f'{kind}_setup',
                        '--keystone-user=root', '--keystone-group=root')
        self.sync(self.virtualenv)
        self.manage(
            'keystone-manage', 'bootstrap',
            f'--bootstrap-region-id={configuration.REGION}',
            f'--bootstrap-public-url={URL}',
            f'--bootstrap-internal-url={URL}',
            OS_BOOTSTRAP_PASSWORD=configuration.passwords(
                self.paths)['admin'])

    def steps(self) -> list[Step]:
        """Start it, and make users that no kept database has.

        The users of services that every lab has are kept with the
        databases. Those of the others (cinder) are added each time.
        """
        plain = Topology()
        always = [each for each in self.lab.services
                  if each.endpoint and each.is_part_of(plain)]
        others = [each for each in self.lab.services
                  if each.endpoint and not each.is_part_of(plain)]
        found = super().steps()
        if not self.lab.find(infrastructure.MariaDb).is_kept:
            found.append(self.step(infrastructure.ACCOUNTS, functools.partial(
                self.add_users, always, new=True), 'keystone'))
        return found + [
            self.step(f'account of {each.name}', functools.partial(
                self.add_users, [each]), base.DATABASES, 'keystone')
            for each in others]

    def add_users(self, owners: list[base.Service], new: bool = False
                  ) -> None:
        """Make the users of services, and their entries in the catalogue.

        :param owners: the services
        :param new: whether to make the project of their users first
        :raises openstack.exceptions.SDKException: if keystone refuses
        """
        identity = connect(self.paths).identity
        project = (
            identity.create_project(name=PROJECT, domain_id='default') if new
            else identity.find_project(PROJECT, ignore_missing=False))
        for service in owners:
            endpoint = service.endpoint
            assert endpoint is not None
            user = identity.create_user(
                name=service.name,
                password=configuration.passwords(self.paths)['service'],
                domain_id='default', default_project_id=project.id)
            for role in ('admin', 'service'):
                identity.assign_project_role_to_user(
                    project, user,
                    identity.find_role(role, ignore_missing=False))
            entry = identity.create_service(
                name=service.name, type=endpoint.kind)
            identity.create_endpoint(
                service_id=entry.id, interface='public', url=endpoint.url,
                region_id=configuration.REGION)
