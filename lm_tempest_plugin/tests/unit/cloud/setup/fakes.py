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

"""A cloud in memory, with the methods of openstacksdk that the setup uses.

It holds openstacksdk's own resources, so that a misspelled attribute fails.
Resources in use refuse their deletion, as in a real cloud.
"""

import hashlib
import itertools
import types

from keystoneauth1 import exceptions as auth_exc
from openstack.block_storage.v3 import volume
from openstack.compute.v2 import flavor
from openstack.compute.v2 import hypervisor
from openstack.compute.v2 import keypair
from openstack.compute.v2 import server
from openstack.compute.v2 import service
from openstack import exceptions as sdk_exc
from openstack.identity.v3 import project
from openstack.identity.v3 import user
from openstack.image.v2 import image
from openstack.network.v2 import floating_ip
from openstack.network.v2 import network
from openstack.network.v2 import port
from openstack.network.v2 import router
from openstack.network.v2 import security_group
from openstack.network.v2 import security_group_rule
from openstack.network.v2 import subnet

from lm_tempest_plugin.cloud.setup import discovery

PASSWORD = 'se$cret'


def new_account(**changes):
    """Return an account."""
    return discovery.Account(**{
        'auth_url': 'http://192.0.2.1:5000/v3', 'username': 'admin',
        'password': PASSWORD, 'project': 'admin', 'user_domain': 'Default',
        'project_domain': 'Default', 'region': 'RegionOne', **changes})


def forbidden():
    """Return the error for a user without rights."""
    return sdk_exc.ForbiddenException('Policy does not allow it',
                                      http_status=403)


class Store(dict):
    """Resources of one kind by their ids.

    :ivar writes: number of creations and deletions
    """

    def __init__(self, cls, prefix):
        super().__init__()
        self._cls = cls
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self.writes = 0

    def add(self, **attributes):
        attributes.setdefault(
            'id', f'{self._prefix}-{next(self._numbers)}')
        unknown = [name for name in attributes
                   if not hasattr(self._cls, name)]
        assert not unknown, f'{self._cls} has no {unknown}'
        made = self._cls(**attributes)
        self[made.id] = made
        self.writes += 1
        return made

    def drop(self, identifier):
        if identifier not in self:
            raise sdk_exc.NotFoundException(identifier, http_status=404)
        self.writes += 1
        del self[identifier]

    def listed(self, **query):
        for each in list(self.values()):
            if all(self._matches(each, name, value)
                   for name, value in query.items()):
                yield each

    def named(self, wanted):
        found = [each for each in self.values()
                 if wanted in (each.id, each.name)]
        if len(found) > 1:
            raise sdk_exc.DuplicateResource(wanted)
        return found[0] if found else None

    def _matches(self, each, name, value):
        if name in ('tag', 'tags'):
            return value in (each.tags or ())
        return getattr(each, name) == value


class Compute:
    """nova."""

    def __init__(self):
        self.all_flavors = Store(flavor.Flavor, 'flavor')
        self.all_servers = Store(server.Server, 'server')
        self.all_services = Store(service.Service, 'service')
        # By ids of users.
        self.all_keypairs = {}
        self.keypair_writes = 0
        # Id of the account.
        self.user_id = 'user-of-the-account'
        self.oldest, self.newest = (2, 1), (2, 96)
        self.error = self.build_error = None
        self.controllers = {'nova-conductor': 'up', 'nova-scheduler': 'up'}
        # Of hypervisors, by host; changes of the JSON.
        self.hypervisor_changes = {}

    def get(self, path, microversion):
        """Answer a request for which openstacksdk has no resource."""
        assert microversion == '2.84'
        if self.error:
            raise self.error
        names = [each.host for each in self.all_services.values()]
        body = {
            '/os-services': {'services': [
                {'binary': binary, 'host': 'controller', 'state': state}
                for binary, state in self.controllers.items()]},
            '/os-services?binary=nova-compute': {'services': [
                {'host': each.host, 'zone': 'nova', 'status': each.status,
                 'state': each.state} for each in self.all_services.values()]},
            '/os-hypervisors/detail': {'hypervisors': [
                {'id': f'provider-{name}', 'service': {'host': name},
                 'hypervisor_type': 'QEMU', 'hypervisor_version': 10000002,
                 'cpu_info': {'arch': 'x86_64', 'model': 'EPYC',
                              'features': ['sse']},
                 **self.hypervisor_changes.get(name, {})}
                for name in names]},
            '/os-aggregates': {'aggregates': []}}[path]
        return types.SimpleNamespace(
            json=lambda: body, raise_for_status=lambda: None)

    def get_endpoint_data(self):
        return types.SimpleNamespace(
            min_microversion=self.oldest, max_microversion=self.newest)

    def services(self, binary):
        if self.error:
            raise self.error
        return self.all_services.listed(binary=binary)

    def hypervisors(self, details):
        assert details
        for each in self.all_services.values():
            yield hypervisor.Hypervisor(
                id=f'provider-{each.host}',
                service_details={'host': each.host})

    def flavors(self):
        return self.all_flavors.listed()

    def create_flavor(self, **attributes):
        return self.all_flavors.add(**attributes)

    def delete_flavor(self, identifier):
        self.all_flavors.drop(identifier)

    def servers(self, all_projects, flavor=None, image=None, name=None,
                tags=None):
        assert all_projects
        for each in self.all_servers.listed():
            if ((flavor is None or each.flavor_id == flavor) and
                    (image is None or each.image_id == image) and
                    (name is None or name in each.name) and
                    (tags is None or tags in (each.tags or ()))):
                yield each

    def create_server(self, host, **attributes):
        assert attributes['key_name'] in self.all_keypairs[self.user_id]
        return self.all_servers.add(
            status='BUILD', compute_host=host, **attributes)

    def wait_for_server(self, server, wait):
        assert wait
        if self.build_error:
            raise self.build_error
        server._body.attributes['status'] = 'ACTIVE'
        return server

    def get_server(self, identifier):
        if identifier not in self.all_servers:
            raise sdk_exc.NotFoundException(identifier, http_status=404)
        return self.all_servers[identifier]

    def delete_server(self, identifier):
        self.all_servers.drop(identifier)

    def keypairs(self, user_id=''):
        return iter(list(self.all_keypairs.get(
            user_id or self.user_id, {}).values()))

    def create_keypair(self, name, public_key):
        self.keypair_writes += 1
        self.all_keypairs.setdefault(self.user_id, {})[name] = (
            keypair.Keypair(id=name, name=name, public_key=public_key))

    def delete_keypair(self, name, user_id=''):
        self.keypair_writes += 1
        del self.all_keypairs[user_id or self.user_id][name]


class Image:
    """glance."""

    def __init__(self):
        self.all_images = Store(image.Image, 'image')
        self.uploaded = []
        # Called while an image is uploaded.
        self.meanwhile = lambda: None

    def images(self, **query):
        return self.all_images.listed(**query)

    def find_image(self, wanted, ignore_missing):
        assert ignore_missing
        return self.all_images.named(wanted)

    def create_image(self, name, filename, disk_format, container_format,
                     tags, visibility, wait, timeout, allow_duplicates,
                     **properties):
        assert wait and allow_duplicates and timeout
        self.uploaded.append(filename)
        with open(filename, 'rb') as stream:
            content = stream.read()
        made = self.all_images.add(
            name=name, disk_format=disk_format, tags=list(tags),
            container_format=container_format, visibility=visibility,
            status='saving', hash_algo='sha512', hash_value=_sha512(content),
            **properties)
        try:
            self.meanwhile()
        except Exception as exc:
            # As openstacksdk does.
            raise sdk_exc.SDKException('Image creation failed') from exc
        made._body.attributes['status'] = 'active'
        return made

    def delete_image(self, identifier):
        self.all_images.drop(identifier)


def _sha512(content):
    return hashlib.sha512(content).hexdigest()


class Network:
    """neutron."""

    def __init__(self):
        self.all_agents = []
        self.all_networks = Store(network.Network, 'network')
        self.all_subnets = Store(subnet.Subnet, 'subnet')
        self.all_routers = Store(router.Router, 'router')
        self.all_ports = Store(port.Port, 'port')
        self.all_groups = Store(security_group.SecurityGroup, 'group')
        self.all_rules = Store(
            security_group_rule.SecurityGroupRule, 'rule')
        self.all_ips = Store(floating_ip.FloatingIP, 'ip')
        # Ids of resources in use.
        self.in_use = set()
        self.tag_error = None

    def agents(self):
        return self.all_agents

    def networks(self, **query):
        return self.all_networks.listed(**query)

    def create_network(self, **attributes):
        return self.all_networks.add(subnet_ids=[], **attributes)

    def delete_network(self, identifier):
        self._refuse(identifier)
        for each in list(self.all_subnets.listed(network_id=identifier)):
            self.all_subnets.drop(each.id)
        self.all_networks.drop(identifier)

    def subnets(self, **query):
        return self.all_subnets.listed(**query)

    def get_subnet(self, identifier):
        return self.all_subnets[identifier]

    def create_subnet(self, **attributes):
        made = self.all_subnets.add(**attributes)
        inside = self.all_networks[made.network_id]
        inside._body.attributes['subnets'] = [
            *inside.subnet_ids, made.id]
        return made

    def delete_subnet(self, identifier):
        self._refuse(identifier)
        if any(identifier in _subnets(each)
               for each in self.all_ports.values()):
            raise sdk_exc.ConflictException('subnet has ports')
        self.all_subnets.drop(identifier)

    def routers(self, **query):
        return self.all_routers.listed(**query)

    def create_router(self, **attributes):
        made = self.all_routers.add(**attributes)
        self.all_ports.add(
            device_id=made.id, device_owner='network:router_gateway',
            network_id=made.external_gateway_info['network_id'],
            fixed_ips=[{'subnet_id': 'external-subnet'}])
        return made

    def delete_router(self, identifier):
        self._refuse(identifier)
        for each in list(self.all_ports.listed(device_id=identifier)):
            if each.device_owner != 'network:router_gateway':
                raise sdk_exc.ConflictException('router has interfaces')
            self.all_ports.drop(each.id)
        self.all_routers.drop(identifier)

    def add_interface_to_router(self, router, subnet):
        self.all_ports.add(
            device_id=router.id, device_owner='network:router_interface',
            network_id=self.all_subnets[subnet].network_id,
            fixed_ips=[{'subnet_id': subnet}])

    def remove_interface_from_router(self, router, subnet, port):
        assert self.all_ports[port].device_id == router and subnet is None
        self.all_ports.drop(port)

    def ports(self, device_id=None, network_id=None, fixed_ips=None):
        for each in self.all_ports.listed():
            if ((device_id is None or each.device_id == device_id) and
                    (network_id is None or each.network_id == network_id) and
                    (fixed_ips is None or fixed_ips.partition('=')[2] in
                     _subnets(each))):
                yield each

    def security_groups(self, **query):
        return self.all_groups.listed(**query)

    def create_security_group(self, **attributes):
        return self.all_groups.add(**attributes)

    def security_group_rules(self, **query):
        return self.all_rules.listed(**query)

    def create_security_group_rule(self, **attributes):
        self.all_rules.add(**attributes)

    def delete_security_group(self, identifier):
        self._refuse(identifier)
        self.all_groups.drop(identifier)

    def ips(self, **query):
        return self.all_ips.listed(**query)

    def create_ip(self, **attributes):
        return self.all_ips.add(**attributes)

    def delete_ip(self, identifier):
        self.all_ips.drop(identifier)

    def set_tags(self, resource, tags):
        if self.tag_error:
            raise self.tag_error
        resource._body.attributes['tags'] = list(tags)

    def _refuse(self, identifier):
        if identifier in self.in_use:
            raise sdk_exc.ConflictException(f'{identifier} is in use',
                                            http_status=409)


def _subnets(port):
    return [each['subnet_id'] for each in port.fixed_ips or ()]


class BlockStorage:
    """cinder."""

    def __init__(self):
        self.all_volumes = Store(volume.Volume, 'volume')

    def get_endpoint_data(self):
        return types.SimpleNamespace(
            min_microversion=(3, 0), max_microversion=(3, 71))

    def volumes(self, all_projects):
        assert all_projects
        return self.all_volumes.listed()

    def delete_volume(self, identifier):
        self.all_volumes.drop(identifier)


class Identity:
    """keystone."""

    def __init__(self):
        self.all_projects = Store(project.Project, 'project')
        self.all_users = Store(user.User, 'user')
        self.error = None

    def projects(self, limit=None):
        if self.error:
            raise self.error
        return self.all_projects.listed()

    def users(self):
        return self.all_users.listed()

    def delete_project(self, identifier):
        self.all_projects.drop(identifier)

    def delete_user(self, identifier):
        self.all_users.drop(identifier)


class Placement:
    """placement: its answers by path; the beginning of a path is enough."""

    def __init__(self):
        self.answers = {
            '/resource_providers?required=': {'resource_providers': []},
            '/allocation_candidates': {'allocation_requests': [
                {'allocations': {f'provider-{name}': {}}}
                for name in ('alpha', 'beta', 'gamma')]}}

    def get(self, path, microversion):
        assert microversion == '1.19'
        for begin, body in self.answers.items():
            if path.startswith(begin):
                return types.SimpleNamespace(
                    json=lambda body=body: body,
                    raise_for_status=lambda: None)
        raise auth_exc.NotFound(path)


class Connection:
    """A cloud with two compute hosts and a shared network."""

    def __init__(self):
        self.compute = Compute()
        self.image = Image()
        self.network = Network()
        self.block_storage = BlockStorage()
        self.identity = Identity()
        self.placement = Placement()
        self.catalog = {'image', 'network', 'compute'}
        for name in ('alpha', 'beta'):
            self.compute.all_services.add(
                host=name, binary='nova-compute', status='enabled',
                state='up')
        self.identity.all_projects.add(name='admin')
        self.add_network('prov', is_shared=True)

    def has_service(self, kind):
        return kind in self.catalog

    def add_network(self, name, **attributes):
        made = self.network.all_networks.add(
            name=name, subnet_ids=[], **{
                'is_shared': False, 'is_router_external': False,
                **attributes})
        self.network.create_subnet(
            name=name, network_id=made.id, ip_version=4,
            cidr='203.0.113.0/24')
        return made

    def go_external(self):
        """Replace the shared network by an external one."""
        for each in list(self.network.all_networks):
            self.network.delete_network(each)
        return self.add_network('public', is_router_external=True)

    def writes(self):
        """Return the number of creations and deletions."""
        return self.compute.keypair_writes + sum(
            store.writes for part in (
                self.compute, self.image, self.network, self.identity,
                self.block_storage)
            for store in vars(part).values() if isinstance(store, Store))


def cloud(**changes):
    """Return a connection to a new cloud."""
    return discovery.Access('here', Connection(), new_account(**changes))
