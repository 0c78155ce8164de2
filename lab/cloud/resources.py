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

"""What Tempest and people need in the cloud: image, flavors, network."""

import dataclasses
import pathlib

import openstack

from lab import topology as topologies

NETWORK = topologies.PROVIDER_NAME
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
#: server no more vCPUs than its host has CPUs, and two is what a lab has.
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
                 topology: topologies.Topology) -> None:
    """Make the provider network and a security group that lets probes in.

    :param cloud: connection as administrator
    :param topology: for the controller's address on that network
    """
    made = cloud.network.create_network(
        name=NETWORK, is_shared=True, provider_network_type='flat',
        provider_physical_network=topologies.PROVIDER_NAME)
    # OVN answers DHCP only on a subnet that has a gateway.
    cloud.network.create_subnet(
        name=NETWORK, network_id=made.id, ip_version=4,
        cidr=topology.provider_cidr, gateway_ip=topology.provider_gateway,
        allocation_pools=[dict(zip(('start', 'end'),
                                   topologies.PROVIDER_POOL,
                                   strict=True))])
    group = cloud.network.create_security_group(
        name=SECURITY_GROUP, description='ICMP, SSH and TCP echo')
    cloud.network.create_security_group_rule(
        security_group_id=group.id, direction='ingress', protocol='icmp')
    for port in (SSH_PORT, ECHO_PORT):
        cloud.network.create_security_group_rule(
            security_group_id=group.id, direction='ingress', protocol='tcp',
            port_range_min=port, port_range_max=port)
