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

"""tempest.conf for a cloud, from what was found there."""

from collections.abc import Sequence
import dataclasses

from lm_tempest_plugin.operator import access as accesses
from lm_tempest_plugin.operator import discovery
from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import flavors
from lm_tempest_plugin.operator import images
from lm_tempest_plugin.operator import networks
from lm_tempest_plugin.operator import options
from lm_tempest_plugin.operator import workspace as workspaces

STORAGES = ('block', 'shared')
BLOCK = 'block'
# Groups of tempest.conf with a choice of endpoints.
ENDPOINTS = {'identity': 'v3_endpoint_type', 'compute': 'endpoint_type',
             'image': 'endpoint_type', 'network': 'endpoint_type',
             'placement': 'endpoint_type', 'volume': 'endpoint_type'}


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a cloud and of what was made there.

    :ivar account: who asks
    :ivar cloud: what was found
    :ivar image: of the guests
    :ivar flavors: ids of small, medium and large; some may be missing
    :ivar network: of the guests
    :ivar storage: block or shared; empty if nobody knows
    """

    account: accesses.Account
    cloud: discovery.Cloud
    image: images.Image
    flavors: Sequence[str]
    network: networks.Network
    storage: str


def build(facts: Facts, workspace: workspaces.Workspace,
          *others: options.Options) -> options.Options:
    """Return the options of a run.

    :param facts: what is known of the cloud
    :param workspace: for logs and locks
    :param others: of a profile, and of the operator; the later, the stronger
    """
    merged = options.merge(
        _tempest(workspace), _services(facts), _account(facts.account),
        _endpoints(facts.account), _compute(facts), _network(facts),
        _volume(facts), *others, _plugin(facts))
    return _with_flavors(merged, facts.flavors)


def _tempest(workspace: workspaces.Workspace) -> options.Options:
    return options.of(
        DEFAULT={'log_dir': workspace.logs, 'log_file': 'tempest.log'},
        oslo_concurrency={'lock_path': workspace.locks})


def _services(facts: Facts) -> options.Options:
    return options.of(service_available={
        **facts.cloud.services, 'horizon': False})


def _account(account: accesses.Account) -> options.Options:
    # Tempest before 42 knows one domain for both.
    same = account.user_domain == account.project_domain
    return options.of(
        auth={
            'use_dynamic_credentials': True,
            'create_isolated_networks': False,
            'admin_username': account.username,
            'admin_password': _plain(account.password),
            'admin_project_name': account.project,
            'admin_domain_name': account.user_domain,
            'admin_user_domain_name': None if same else account.user_domain,
            'admin_project_domain_name':
                None if same else account.project_domain,
        },
        identity={
            'uri_v3': account.auth_url,
            'ca_certificates_file': account.ca_file or None,
            'disable_ssl_certificate_validation': account.insecure or None,
        })


def _plain(text: str) -> str:
    """Return a value as oslo.config has to find it to read it unchanged.

    :raises OperatorError: no way of writing it would do
    """
    if '\n' in text or '\\$' in text:
        raise errors.OperatorError(
            'the password has an end of a line, or a backslash before a '
            'dollar: tempest.conf cannot hold it')
    if text != text.strip() or text[:1] in ('"', "'"):
        # A pair of quotes around a value is taken away.
        text = '"%s"' % text
    return text.replace('$', '$$')


def _endpoints(account: accesses.Account) -> options.Options:
    """Return which endpoints to use, where they are not the public ones."""
    if account.interface in ('', 'public'):
        return {}
    return options.of(**{group: {name: account.interface}
                         for group, name in ENDPOINTS.items()})


def _compute(facts: Facts) -> options.Options:
    cloud = facts.cloud
    return options.of(
        identity={'region': cloud.region or None},
        compute={
            'image_ref': facts.image.made.identifier,
            'image_ref_alt': facts.image.made.identifier,
            'flavor_ref': facts.flavors[0],
            'flavor_ref_alt': facts.flavors[1 % len(facts.flavors)],
            'min_compute_nodes': len(cloud.hosts),
            'min_microversion': cloud.oldest,
            'max_microversion': cloud.newest,
            'build_interval': 1,
        },
        compute_feature_enabled={
            'live_migration': True,
            'live_migrate_back_and_forth': True,
            'block_migration_for_live_migration': facts.storage == BLOCK,
        })


def _volume(facts: Facts) -> options.Options:
    """Return what the tests of volumes need, where there is cinder."""
    if facts.cloud.volume_versions is None:
        return {}
    oldest, newest = facts.cloud.volume_versions
    return options.of(
        volume={'min_microversion': oldest, 'max_microversion': newest,
                'volume_size': facts.image.size_gib, 'build_interval': 1},
        compute_feature_enabled={'volume_backed_live_migration': True})


def _network(facts: Facts) -> options.Options:
    network = facts.network
    reached = {'connect_method': 'floating'} if network.floating else {
        'connect_method': 'fixed', 'network_for_ssh': network.name}
    return options.of(
        compute={'fixed_network_name': network.name},
        network={
            'shared_physical_network': True,
            'project_networks_reachable': not network.floating,
            'public_network_id': network.external_id or None,
            'floating_network_name': network.external_name or None,
        },
        validation={
            'run_validation': True, **reached,
            'image_ssh_user': facts.image.user,
            'image_alt_ssh_user': facts.image.user,
        })


def _plugin(facts: Facts) -> options.Options:
    return options.of(live_migration_ha={'storage': facts.storage or None})


def _with_flavors(merged: options.Options,
                  identifiers: Sequence[str]) -> options.Options:
    """Put flavors in the place of the words that profiles have for them."""
    group = merged.get('live_migration_ha_cells', {})
    if 'flavors' in group:
        known = dict(zip(flavors.WORDS, identifiers))
        group['flavors'] = [','.join(
            known.get(word.strip(), word.strip())
            for word in group['flavors'][-1].split(','))]
    return merged
