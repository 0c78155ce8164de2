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

"""The services' accounts and endpoints in keystone."""

import dataclasses
import typing

import openstack

from lab.cloud import configuration
from lab import layout as layouts
from lab import topology as topologies

ADDRESS = topologies.CONTROLLER.address


@dataclasses.dataclass(frozen=True)
class Service:
    """An entry of the catalogue, and the user that its service works as.

    :ivar name: name of service and user
    :ivar kind: service type
    :ivar url: where its API answers
    """

    name: str
    kind: str
    url: str


SERVICES = (
    Service('glance', 'image', f'http://{ADDRESS}:9292'),
    Service('placement', 'placement', f'http://{ADDRESS}:8778'),
    Service('neutron', 'network', f'http://{ADDRESS}:9696'),
    Service('nova', 'compute', f'http://{ADDRESS}:8774/v2.1'),
)
#: What is added for volumes, to a cloud that is to have them.
CINDER = Service('cinder', 'block-storage', f'http://{ADDRESS}:8776/v3')
PROJECT = 'service'


def connect(layout: layouts.Layout) -> openstack.connection.Connection:
    """A connection as the cloud's administrator.

    :param layout: paths of the lab
    """
    return openstack.connect(
        load_yaml_config=False, load_envvars=False,
        auth_url=f'http://{ADDRESS}:5000/v3', username='admin',
        password=configuration.passwords(layout)['admin'],
        project_name='admin', user_domain_name='Default',
        project_domain_name='Default', region_name=configuration.REGION,
        identity_api_version='3')


def make(layout: layouts.Layout) -> None:
    """Make the project of services, their users and the catalogue.

    :param layout: paths of the lab
    :raises openstack.exceptions.SDKException: if keystone refuses
    """
    identity = connect(layout).identity
    project = identity.create_project(name=PROJECT, domain_id='default')
    for service in SERVICES:
        _add(layout, identity, project, service)


def add(layout: layouts.Layout, service: Service) -> None:
    """Make a service's user and its entry in the catalogue.

    :param layout: paths of the lab
    :param service: which; the project of services is there
    :raises openstack.exceptions.SDKException: if keystone refuses
    """
    identity = connect(layout).identity
    _add(layout, identity, identity.find_project(
        PROJECT, ignore_missing=False), service)


def _add(layout: layouts.Layout, identity: typing.Any, project: typing.Any,
         service: Service) -> None:
    user = identity.create_user(
        name=service.name, password=configuration.passwords(layout)['service'],
        domain_id='default', default_project_id=project.id)
    for name in ('admin', 'service'):
        identity.assign_project_role_to_user(
            project, user, identity.find_role(name, ignore_missing=False))
    entry = identity.create_service(name=service.name, type=service.kind)
    identity.create_endpoint(
        service_id=entry.id, interface='public', url=service.url,
        region_id=configuration.REGION)
