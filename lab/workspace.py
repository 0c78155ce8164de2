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

"""Everything that Tempest and people need to use the cloud.

Flavors, image and network in the cloud; the Tempest workspace with its
configuration, and the results of earlier runs.
"""

import dataclasses
import pathlib

import openstack
from tempest import test_discover

from lab import configuration
from lab.hosts import sandbox
from lab import layout
from lab.services import hypervisors
from lab import supervisor
from lab.topology import PROVIDER_NAME
from lab.topology import PROVIDER_POOL
from lab.topology import Topology

CLOUD = 'lab'
NETWORK = PROVIDER_NAME
IMAGE = 'lm-guest'
SECURITY_GROUP = 'lm-lab'
#: TCP port on which the guest image echoes (RFC 862).
ECHO_PORT = 7
SSH_PORT = 22


@dataclasses.dataclass(frozen=True)
class Flavor:
    """A flavor.

    :ivar name: its name
    :ivar vcpus: virtual CPUs
    :ivar ram: memory, MiB
    :ivar disk: root disk, GiB
    """

    name: str
    vcpus: int
    ram: int
    disk: int


#: The white paper's small, medium and large (2/4/8 vCPUs, 4/8/16 GB, 40/80/
#: 160 GB), scaled down in the same proportions of 1:2:4; but placement gives a
#: server no more vCPUs than its host has CPUs, and a lab has two.
FLAVORS = (Flavor('lm.small', 1, 192, 1), Flavor('lm.medium', 2, 384, 2),
           Flavor('lm.large', 2, 768, 4))


def make_flavors(cloud: openstack.connection.Connection) -> None:
    """Make the flavors.

    :param cloud: connection as administrator
    """
    for flavor in FLAVORS:
        # Guests of a small machine have no other source of randomness.
        made = cloud.compute.create_flavor(
            name=flavor.name, vcpus=flavor.vcpus, ram=flavor.ram,
            disk=flavor.disk)
        cloud.compute.create_flavor_extra_specs(
            made, {'hw_rng:allowed': 'True'})


def make_image(cloud: openstack.connection.Connection,
               image: pathlib.Path, disk_format: str) -> None:
    """Upload the guest image.

    It is one bootable disk: nova 34 refuses the cached kernel of an image
    with kernel and ramdisk apart, at the destination of a live migration.

    :param cloud: connection as administrator
    :param image: a file
    :param disk_format: its format
    """
    cloud.image.create_image(
        name=IMAGE, filename=str(image), disk_format=disk_format,
        container_format='bare', visibility='public',
        hw_rng_model='virtio', wait=True, timeout=60)


def lift_quotas(cloud: openstack.connection.Connection) -> None:
    """Let the administrator's project have any number of servers.

    :param cloud: connection as administrator
    """
    cloud.set_compute_quotas(
        cloud.current_project_id, instances=-1, cores=-1, ram=-1)


def make_network(cloud: openstack.connection.Connection,
                 topology: Topology) -> None:
    """Make the provider network and a security group that lets probes in.

    :param cloud: connection as administrator
    :param topology: the hosts, for the controller's address on that network
    """
    made = cloud.network.create_network(
        name=NETWORK, is_shared=True, provider_network_type='flat',
        provider_physical_network=PROVIDER_NAME)
    # OVN answers DHCP only on a subnet that has a gateway.
    cloud.network.create_subnet(
        name=NETWORK, network_id=made.id, ip_version=4,
        cidr=topology.provider_cidr, gateway_ip=topology.provider_gateway,
        allocation_pools=[dict(zip(('start', 'end'),
                                   PROVIDER_POOL,
                                   strict=True))])
    group = cloud.network.create_security_group(
        name=SECURITY_GROUP, description='ICMP, SSH and TCP echo')
    cloud.network.create_security_group_rule(
        security_group_id=group.id, direction='ingress', protocol='icmp')
    for port in (SSH_PORT, ECHO_PORT):
        cloud.network.create_security_group_rule(
            security_group_id=group.id, direction='ingress', protocol='tcp',
            port_range_min=port, port_range_max=port)


def make(paths: layout.Layout, topology: Topology,
         cloud: openstack.connection.Connection) -> None:
    """Write the workspace's files; results of earlier runs are kept.

    :param paths: paths of the lab
    :param topology: the hosts
    :param cloud: connection as administrator, to look up ids
    """
    for folder in ('logs', 'locks'):
        (paths.workspace / folder).mkdir(parents=True, exist_ok=True)
    templates = configuration.Templates(paths, topology)
    flavors = [cloud.compute.find_flavor(flavor.name, ignore_missing=False)
               for flavor in FLAVORS]
    image = cloud.image.find_image(IMAGE, ignore_missing=False)
    values = {'flavors': [flavor.id for flavor in flavors],
              'image': image.id, 'network': NETWORK,
              'echo_port': ECHO_PORT, 'cloud': CLOUD,
              'ssh_user': hypervisors.SSH_USER, 'addresses': ','.join(
                  f'{host.name}:{host.address}'
                  for host in topology.compute_hosts),
              'service': supervisor.command(paths),
              'discovery': pathlib.Path(test_discover.__file__).parent}
    for path, template in ((paths.tempest_conf, 'tempest.conf'),
                           (paths.clouds_yaml, 'clouds.yaml'),
                           (paths.workspace / '.stestr.conf',
                            'stestr.conf')):
        # Two of them hold the administrator's password.
        layout.write(path, templates.render(template, **values), mode=0o600)


def environment(paths: layout.Layout) -> dict[str, str]:
    """Return the variables for commands that use the cloud.

    :param paths: paths of the lab
    :returns: openstacksdk's and Tempest's variables, and PATH with the
        ``tempest`` virtualenv first
    """
    return {
        'OS_CLIENT_CONFIG_FILE': str(paths.clouds_yaml),
        'OS_CLOUD': CLOUD,
        'TEMPEST_CONFIG_DIR': str(paths.tempest_conf.parent),
        'TEMPEST_CONFIG': paths.tempest_conf.name,
        'PATH': f'{paths.venvs}/tempest/bin:{sandbox.SYSTEM_PATH}',
    }
