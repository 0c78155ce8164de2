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

"""The steps that ``bootstrap`` and ``verify`` share."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import pathlib
import re
from typing import Any

from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace
from lm_tempest_plugin.cloud import stacks
from lm_tempest_plugin import config

TESTS = 'lm_tempest_plugin.tests.live_migration_ha'
# The test that changes settings of hosts. Its expectations depend on where
# the servers' disks are.
MATRIX_TEST = 'test_matrix.MatrixTest.test_all_settings'

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Arguments of both commands. An empty one was not given.

    :ivar image: path of a file, or name or id of an image
    :ivar ssh_user: user for logins to guests
    :ivar network: name or id
    :ivar flavors: names or ids of three flavors, separated by commas
    :ivar storage: block or shared
    :ivar deploy_by: nova or heat
    :ivar config: path of a file with options of tempest.conf
    """

    image: str = ''
    ssh_user: str = ''
    network: str = ''
    flavors: str = ''
    storage: str = ''
    deploy_by: str = ''
    config: str = ''

    def absolute(self) -> 'Arguments':
        """Return the arguments with absolute paths."""
        # An image may be a name instead.
        return dataclasses.replace(
            self, image=str(pathlib.Path(self.image).absolute())
            if pathlib.Path(self.image).is_file() else self.image,
            config=str(pathlib.Path(self.config).absolute())
            if self.config else '')

    def or_else(self, earlier: Mapping[str, str]) -> 'Arguments':
        """Return the arguments; take those not given from earlier ones.

        An image file that no longer exists is left out: its image may still
        be in the cloud.
        """
        path = pathlib.Path(earlier.get('image', ''))
        gone = path.is_absolute() and not path.is_file()
        return Arguments(**{
            each.name: getattr(self, each.name) or (
                '' if gone and each.name == 'image'
                else earlier.get(each.name, ''))
            for each in dataclasses.fields(self)})


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that is known before anything is created.

    :ivar access: connection to the cloud
    :ivar facts: facts about the cloud
    :ivar arguments: arguments, completed with those of an earlier command
    :ivar files: the workspace
    :ivar network: openstacksdk's network that was chosen
    :ivar flavors: the flavors that were named; empty to provide others
    :ivar storage: ``block`` or ``shared``; empty if it is not known
    :ivar others: options of the operator's file
    :ivar echo_port: TCP port of the echo service in guests
    """

    access: discovery.Access
    facts: discovery.CloudFacts
    arguments: Arguments
    files: workspace.Workspace
    network: Any
    flavors: tuple[resources.Resource, ...]
    storage: str
    others: configuration.Options
    echo_port: int


def prepare(cloud: str, arguments: Arguments, files: workspace.Workspace,
            profile: configuration.Profile | None = None) -> Plan:
    """Check everything that can be checked before anything is created.

    :param cloud: name of the cloud in clouds.yaml
    :param arguments: arguments of the command
    :param files: the workspace
    :param profile: tests that will run; None for those of a later command
    :raises SetupError: something is wrong
    """
    arguments = arguments.absolute().or_else(files.load_arguments(cloud))
    names = resources.split_flavors(arguments.flavors)
    paths = [profile.path] if profile else []
    others: configuration.Options = {}
    if arguments.config:
        others = configuration.load(pathlib.Path(arguments.config))
        paths.append(pathlib.Path(arguments.config))
    conf = configuration.read_checked(*paths)
    deploy_by = arguments.deploy_by or conf.live_migration_ha.deploy_by
    others = configuration.merge(others, configuration.convert(
        live_migration_ha={'deploy_by': arguments.deploy_by or None}))
    access = discovery.connect(cloud)
    if deploy_by == 'heat' and not access.connection.has_service(
            stacks.SERVICE):
        raise access.error('Heat has to deploy the servers, but there is no '
                           f'service {stacks.SERVICE}')
    facts = discovery.discover(access)
    flavors = tuple(resources.named_flavors(access, names))
    network = resources.choose_network(access, arguments.network)
    storage = (arguments.storage or
               str(conf.live_migration_ha.storage or '') or facts.storage)
    # Without it, all settings would be skipped, after a long preparation.
    if profile and not storage and _changes_settings(conf, profile):
        raise access.error(
            f'profile {profile.name} changes settings of hosts, and its '
            'expectations depend on where the servers\' disks are, which no '
            'API tells: give --storage block or --storage shared')
    return Plan(access, facts, arguments, files, network, flavors, storage,
                others, conf.live_migration_ha.tcp_echo_port)


def _changes_settings(conf: Any, profile: configuration.Profile) -> bool:
    return bool(re.search(profile.regex, f'{TESTS}.{MATRIX_TEST}')) and any(
        getattr(conf.live_migration_ha_matrix, setting.name)
        for setting in config.NOVA_SETTINGS)


def provide(plan: Plan, sizes: tuple[resources.FlavorSize, ...], say: Say
            ) -> tuple[configuration.Target, list[resources.Resource]]:
    """Create the resources that are missing, and describe the cloud.

    :param plan: result of prepare()
    :param sizes: flavors, unless others were named
    :param say: called with each line of progress
    :returns: the cloud, and the resources that a run uses
    :raises SetupError: the cloud refuses, or does not answer
    """
    used: list[resources.Resource] = []

    def report(*found: resources.Resource) -> None:
        for each in found:
            used.append(each)
            say(str(each))

    image = resources.provide_image(
        plan.access, plan.arguments.image, plan.arguments.ssh_user)
    report(image.resource)
    flavors = plan.flavors or tuple(
        resources.provide_flavors(plan.access, sizes, image))
    report(*flavors)
    network = resources.provide_network(plan.access, plan.network)
    report(*network.resources)
    facts = plan.facts
    hosts = ', '.join(host.name for host in facts.hosts)
    say(f'compute API {facts.oldest} to {facts.newest}; hosts: {hosts}')
    if facts.unusable:
        say(f'hosts that are not used: '
            f'{compute_hosts.describe(facts.unusable)}')
    storage = plan.storage or (
        'not known, since no API tells: give --storage block or --storage '
        'shared')
    say(f'disks of servers: {storage}')
    return configuration.Target(
        plan.access.account, facts, image,
        [each.identifier for each in flavors], network, plan.storage), used


def report_deletion(say: Say, deleted: Iterable[str],
                    kept: Iterable[str]) -> None:
    """Say the outcome of a deletion.

    :param say: called with each line
    :param deleted: texts of resources
    :param kept: texts of resources, with the reason
    """
    for each in deleted:
        say(f'{each}: deleted')
    for each in kept:
        say(f'NOT deleted: {each}')
