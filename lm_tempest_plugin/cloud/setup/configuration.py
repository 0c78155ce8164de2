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

"""tempest.conf for a cloud."""

from collections.abc import Sequence
import dataclasses

from lm_tempest_plugin.cloud import setup
from lm_tempest_plugin.cloud.setup import account
from lm_tempest_plugin.cloud.setup import discovery
from lm_tempest_plugin.cloud.setup import networks
from lm_tempest_plugin.cloud.setup import options
from lm_tempest_plugin.cloud.setup import resources
from lm_tempest_plugin.cloud.setup import workspace

STORAGES = ('block', 'shared')
# Groups of tempest.conf that choose an endpoint.
ENDPOINTS = {'identity': 'v3_endpoint_type', 'compute': 'endpoint_type',
             'image': 'endpoint_type', 'network': 'endpoint_type',
             'placement': 'endpoint_type', 'volume': 'endpoint_type'}


@dataclasses.dataclass(frozen=True)
class Target:
    """A cloud that is ready for the tests.

    :ivar user: the account
    :ivar facts: facts about the cloud
    :ivar image: image of the guests
    :ivar flavors: ids of the flavors small, medium and large
    :ivar network: connection of the guests
    :ivar storage: ``block`` or ``shared``; empty if it is not known
    """

    user: account.Account
    facts: discovery.CloudFacts
    image: resources.GuestImage
    flavors: Sequence[str]
    network: networks.GuestNetwork
    storage: str


def build(target: Target, files: workspace.Workspace,
          *others: options.Options) -> options.Options:
    """Return the options of a run.

    :param target: the cloud
    :param files: directories for logs and locks
    :param others: options of the profile and of the operator; they override,
        a later one an earlier one
    """
    merged = options.merge(
        options.convert(
            DEFAULT={'log_dir': files.logs, 'log_file': 'tempest.log'},
            oslo_concurrency={'lock_path': files.locks},
            service_available={**target.facts.services, 'horizon': False}),
        _account(target.user), _compute(target), _volume(target),
        _network(target), *others, options.convert(
            live_migration_ha={'storage': target.storage or None}))
    # Profiles cannot know ids of flavors.
    matrix = merged.get('live_migration_ha_matrix', {})
    if 'flavors' in matrix:
        known = dict(zip(resources.SIZE_NAMES, target.flavors))
        matrix['flavors'] = [','.join(
            known.get(name.strip(), name.strip())
            for name in matrix['flavors'][-1].split(','))]
    return merged


def _account(user: account.Account) -> options.Options:
    # Tempest before 42 has one domain for both.
    same = user.user_domain == user.project_domain
    found = options.convert(
        auth={
            'use_dynamic_credentials': True,
            'create_isolated_networks': False,
            'admin_username': user.username,
            'admin_password': _escape(user.password),
            'admin_project_name': user.project,
            'admin_domain_name': user.user_domain,
            'admin_user_domain_name': None if same else user.user_domain,
            'admin_project_domain_name':
                None if same else user.project_domain,
        },
        identity={
            'uri_v3': user.auth_url,
            'ca_certificates_file': user.ca_file or None,
            'disable_ssl_certificate_validation': user.insecure or None,
        })
    if user.interface in ('', 'public'):
        return found
    return options.merge(found, options.convert(**{
        group: {name: user.interface} for group, name in ENDPOINTS.items()}))


def _escape(password: str) -> str:
    """Return a password such that oslo.config reads it unchanged.

    :raises SetupError: it has no such form
    """
    if '\n' in password or '\\$' in password:
        raise setup.SetupError(
            'the password has a line break, or a backslash before a dollar '
            'sign: tempest.conf cannot hold it')
    if password != password.strip() or password[:1] in ('"', "'"):
        # oslo.config removes spaces, and one pair of quotes.
        password = f'"{password}"'
    # A dollar sign begins the name of another option.
    return password.replace('$', '$$')


def _compute(target: Target) -> options.Options:
    image = target.image.resource.identifier
    return options.convert(
        identity={'region': target.facts.region or None},
        compute={
            'image_ref': image,
            'image_ref_alt': image,
            'flavor_ref': target.flavors[0],
            'flavor_ref_alt': target.flavors[1 % len(target.flavors)],
            'min_compute_nodes': len(target.facts.hosts),
            'min_microversion': target.facts.oldest,
            'max_microversion': target.facts.newest,
            'build_interval': 1,
        },
        compute_feature_enabled={
            'live_migration': True,
            'live_migrate_back_and_forth': True,
            'block_migration_for_live_migration': target.storage == 'block',
            'volume_backed_live_migration':
                target.facts.volume_versions is not None or None,
        })


def _volume(target: Target) -> options.Options:
    if target.facts.volume_versions is None:
        return {}
    oldest, newest = target.facts.volume_versions
    return options.convert(volume={
        'min_microversion': oldest, 'max_microversion': newest,
        'volume_size': target.image.size_gib, 'build_interval': 1})


def _network(target: Target) -> options.Options:
    network = target.network
    method = {'connect_method': 'floating'} if network.floating else {
        'connect_method': 'fixed', 'network_for_ssh': network.name}
    return options.convert(
        compute={'fixed_network_name': network.name},
        network={
            'shared_physical_network': True,
            'project_networks_reachable': not network.floating,
            'public_network_id': network.external_id or None,
            'floating_network_name': network.external_name or None,
        },
        validation={
            'run_validation': True, **method,
            'image_ssh_user': target.image.user,
            'image_alt_ssh_user': target.image.user,
        })
