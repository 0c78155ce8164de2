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

"""The Tempest workspace: configuration for this lab, and its results."""

import pathlib

import openstack
from tempest import test_discover

from lab.cloud import access
from lab.cloud import configuration
from lab.cloud import resources
from lab.cloud import service
from lab import files
from lab.hosts import sandbox
from lab import layout as layouts
from lab import topology as topologies

CLOUD = 'lab'


def make(layout: layouts.Layout, topology: topologies.Topology,
         cloud: openstack.connection.Connection) -> None:
    """Write the workspace's files; results of earlier runs are kept.

    :param layout: paths of the lab
    :param topology: the hosts
    :param cloud: connection as administrator, to look up what to test with
    """
    for folder in ('logs', 'locks'):
        (layout.workspace / folder).mkdir(parents=True, exist_ok=True)
    writer = configuration.Writer(layout, topology)
    flavors = [cloud.compute.find_flavor(flavor.name, ignore_missing=False)
               for flavor in resources.FLAVORS]
    image = cloud.image.find_image(resources.IMAGE, ignore_missing=False)
    values = {'flavors': [flavor.id for flavor in flavors],
              'image': image.id, 'network': resources.NETWORK,
              'echo_port': resources.ECHO_PORT, 'cloud': CLOUD,
              'ssh_user': access.USER, 'addresses': ','.join(
                  f'{host.name}:{host.address}'
                  for host in topology.compute_hosts),
              'service': service.command(layout),
              'discovery': pathlib.Path(test_discover.__file__).parent}
    for path, template in ((layout.tempest_conf, 'tempest.conf'),
                           (layout.clouds_yaml, 'clouds.yaml'),
                           (layout.workspace / '.stestr.conf',
                            'stestr.conf')):
        files.write(path, writer.render(template, **values), mode=0o600)


def environment(layout: layouts.Layout) -> dict[str, str]:
    """Variables for commands that use the cloud.

    :param layout: paths of the lab
    :returns: openstacksdk's and Tempest's variables, and PATH with the
        ``tempest`` virtualenv first
    """
    return {
        'OS_CLIENT_CONFIG_FILE': str(layout.clouds_yaml),
        'OS_CLOUD': CLOUD,
        'TEMPEST_CONFIG_DIR': str(layout.tempest_conf.parent),
        'TEMPEST_CONFIG': layout.tempest_conf.name,
        'PATH': f'{layout.venvs}/tempest/bin:{sandbox.SYSTEM_PATH}',
    }
