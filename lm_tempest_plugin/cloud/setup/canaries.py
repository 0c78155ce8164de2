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

"""Canaries: servers that outlive the run that built them.

After an upgrade, a server that is built anew proves little: the faults of
upgrades are in servers that an older nova, libvirt or QEMU has built. So these
are built before it, on each compute host, and the tests of upgrades move them
afterwards. They belong to the administrator's own project.
"""

import base64
from collections.abc import Iterator
import io
from typing import Any

import paramiko

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.guests import builder

MOST = 100
BUILD_TIMEOUT_S = 600


def provide(access: discovery.Access, target: configuration.Target,
            files: workspace.Workspace, number: int,
            echo_port: int) -> Iterator[resources.Resource]:
    """Build the canaries that are missing, and yield each when it is there.

    A canary is known by its name, which says the host on which it was built.
    It may be on another host now.

    :param access: connection to the cloud
    :param target: hosts, image, flavors and network
    :param files: the workspace, which keeps their private key
    :param number: number of canaries for each host
    :param echo_port: TCP port of the echo service in them
    :raises SetupError: the cloud refuses or does not answer, a canary cannot
        be built, or the private key is missing
    """
    yield _provide_key(access, files)
    group, created = _provide_group(access, echo_port)
    yield resources.Resource(
        'security group', group.id, group.name, created)
    compute = access.connection.compute
    with access.explaining('list servers'):
        known = {each.name: each for each in compute.servers(
            all_projects=True, tags=resources.TAG)}
    wanted = [(f'{resources.NAME}-canary-{host.name}-{count}', host.name)
              for host in target.facts.hosts
              for count in range(1, number + 1)]
    building = []
    for name, host in wanted:
        if name in known:
            each = known[name]
            yield resources.Resource(
                'canary', each.id, name, False,
                f'{each.status} on host {each.compute_host}')
            continue
        with access.explaining(f'build canary {name}'):
            networks = list(access.connection.network.networks(
                name=target.network.name))
            building.append(compute.create_server(
                name=name, host=host, tags=[resources.TAG],
                flavor_id=target.flavors[0],
                image_id=target.image.resource.identifier,
                networks=[{'uuid': each.id} for each in networks],
                key_name=resources.NAME,
                security_groups=[{'name': group.id}],
                user_data=base64.b64encode(builder.echo_script(
                    echo_port).encode()).decode()))
    for each in building:
        with access.explaining(f'build canary {each.name}'):
            built = compute.wait_for_server(each, wait=BUILD_TIMEOUT_S)
            if target.network.floating:
                _give_address(access, built, target.network.external_id)
        yield resources.Resource('canary', built.id, built.name, True,
                                 f'on host {built.compute_host}')


def _provide_key(access: discovery.Access,
                 files: workspace.Workspace) -> resources.Resource:
    """Return the key pair; create it, or give nova the key of the workspace.

    :raises SetupError: another workspace has the private key
    """
    compute = access.connection.compute
    with access.explaining('list key pairs'):
        known = next((each for each in compute.keypairs()
                      if each.name == resources.NAME), None)
    text = workspace.read(files.canary_key)
    if text is None:
        if known is not None:
            raise access.error(
                f'key pair {resources.NAME} exists, and its private key is '
                f'not in {files.canary_key}: use the workspace of the '
                'canaries, or delete them with bootstrap --delete')
        stream = io.StringIO()
        paramiko.ECDSAKey.generate().write_private_key(stream)
        text = stream.getvalue()
        # First of all: without it, nobody gets into the canaries.
        files.write(files.canary_key, text)
    try:
        key = paramiko.ECDSAKey.from_private_key(io.StringIO(
            builder.bare_key(text)))
    except paramiko.SSHException as exc:
        raise setup.SetupError(f'{files.canary_key} is no private key that '
                               f'this command wrote: {exc}') from exc
    public = f'{key.get_name()} {key.get_base64()}'
    if known is None:
        with access.explaining(f'create key pair {resources.NAME}'):
            compute.create_keypair(
                name=resources.NAME,
                public_key=f'{public} {resources.DESCRIPTION}')
    elif not known.public_key.startswith(public):
        raise access.error(
            f'key pair {resources.NAME} is not that of {files.canary_key}: '
            'use the workspace of the canaries, or delete them with '
            'bootstrap --delete')
    return resources.Resource('key pair', resources.NAME, resources.NAME,
                              known is None, f'private: {files.canary_key}')


def _provide_group(access: discovery.Access,
                   echo_port: int) -> tuple[Any, bool]:
    """Return the security group, and whether it had to be created."""
    network = access.connection.network
    with access.explaining('create a security group'):
        found = next(filter(resources.is_marked, network.security_groups(
            name=resources.NAME)), None)
        created = found is None
        if found is None:
            found = network.create_security_group(
                name=resources.NAME, description=resources.DESCRIPTION)
        # A command that was killed may have created some of them.
        known = {(each.ether_type, each.protocol, each.port_range_min)
                 for each in network.security_group_rules(
                     security_group_id=found.id)}
        for version, icmp in ((4, 'icmp'), (6, 'ipv6-icmp')):
            wanted = [(icmp, None), *(
                # A set, because the echo service may use the port of SSH.
                ('tcp', port) for port in sorted({
                    builder.SSH_PORT, echo_port}))]
            for protocol, port in wanted:
                if (f'IPv{version}', protocol, port) in known:
                    continue
                network.create_security_group_rule(
                    security_group_id=found.id, direction='ingress',
                    ether_type=f'IPv{version}', protocol=protocol,
                    port_range_min=port, port_range_max=port)
    return found, created


def _give_address(access: discovery.Access, server: Any,
                  external_id: str) -> None:
    network = access.connection.network
    port = next(iter(network.ports(device_id=server.id)), None)
    if port is None:
        raise access.error(f'canary {server.name} has no port')
    network.create_ip(floating_network_id=external_id, port_id=port.id,
                      description=resources.DESCRIPTION)
