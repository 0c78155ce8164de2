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

"""The connection to a cloud of clouds.yaml, and facts that its APIs tell.

Errors of the cloud become one sentence, which contains no password.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import json
import logging
import os
from typing import Any

from keystoneauth1 import exceptions as auth_exc
import openstack
from openstack.config import loader
from openstack import exceptions
import requests
import yaml

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import setup

# Without a limit, a service that does not answer blocks forever.
API_TIMEOUT_S = 60
# openstacksdk adds these two to the clouds of clouds.yaml.
PSEUDO_CLOUDS = ('defaults', 'envvars')
PASSWORD_TYPES = ('password', 'v3password')
FAILURES = (auth_exc.ClientException, exceptions.SDKException,
            requests.exceptions.RequestException)
# Names in Tempest's [service_available], and types in the catalog.
SERVICES = {'cinder': 'block-storage', 'glance': 'image',
            'neutron': 'network', 'nova': 'compute', 'swift': 'object-store'}
REQUIRED = ('glance', 'neutron', 'nova')
MIN_HOSTS = 2
# The trait of a resource provider whose inventory other providers use.
SHARING = 'MISC_SHARES_VIA_AGGREGATE'
# 1.18 filters by traits, 1.19 shows generations of aggregates.
PLACEMENT = '1.19'


@dataclasses.dataclass(frozen=True)
class Account:
    """An account as Tempest has to know it.

    :ivar auth_url: URL of keystone, with its version
    :ivar username: the user's name
    :ivar password: the user's password
    :ivar project: name of the project
    :ivar user_domain: name of the user's domain
    :ivar project_domain: name of the project's domain
    :ivar region: name of the region; empty if clouds.yaml has none
    :ivar interface: of the endpoints: public, internal or admin
    :ivar ca_file: absolute path of a CA bundle; empty for the system's
    :ivar insecure: whether certificates are not verified
    """

    auth_url: str
    username: str
    password: str = dataclasses.field(repr=False)
    project: str
    user_domain: str
    project_domain: str
    region: str = ''
    interface: str = 'public'
    ca_file: str = ''
    insecure: bool = False


@dataclasses.dataclass(frozen=True)
class Access:
    """An authenticated connection to a cloud.

    :ivar cloud: name of the cloud in clouds.yaml
    :ivar connection: openstacksdk's connection
    :ivar account: the account
    """

    cloud: str
    connection: Any
    account: Account

    def error(self, text: str) -> setup.SetupError:
        """Return an error that names the cloud.

        :param text: the reason, and the remedy
        """
        return setup.SetupError(f'cloud {self.cloud}: {text}')

    @contextlib.contextmanager
    def explaining(self, action: str) -> Iterator[None]:
        """Turn errors of the cloud in a block into one sentence.

        :param action: the block's purpose, such as: list flavors
        :raises SetupError: the cloud refuses, or does not answer
        """
        try:
            yield
        except FAILURES as exc:
            status = (getattr(exc, 'http_status', None) or
                      getattr(exc, 'status_code', None))
            user = self.account.username
            if status == 401:
                text = (f'keystone at {self.account.auth_url} refuses user '
                        f'{user} (HTTP 401): check user, password, project '
                        'and domains in clouds.yaml')
            elif status == 403:
                text = (f'user {user} may not {action} (HTTP 403): use an '
                        'administrator\'s account, which the tests need as '
                        'well')
            else:
                text = f'cannot {action}: {_reason(exc)}'
            raise self.error(text) from exc


def _reason(exc: Exception) -> str:
    text = ' '.join(str(exc).split()) or type(exc).__name__
    # The rest names Python objects, and the same host again.
    return text.partition(': HTTPConnectionPool(')[0].partition(
        ': HTTPSConnectionPool(')[0]


def connect(cloud: str) -> Access:
    """Return an authenticated connection to a cloud.

    :param cloud: its name in clouds.yaml
    :raises SetupError: clouds.yaml has no such cloud, Tempest cannot use the
        account, or keystone refuses it
    """
    region = _read_clouds_yaml(cloud)
    auth = region.config.get('auth') or {}
    # Tempest has its own client, which takes nothing but a password.
    kind = region.config.get('auth_type') or PASSWORD_TYPES[0]
    if kind not in PASSWORD_TYPES:
        raise setup.SetupError(
            f'cloud {cloud}: clouds.yaml has auth_type {kind}, and Tempest '
            'can use only a user name with a password')
    missing = [name for name in ('auth_url', 'password')
               if not auth.get(name)]
    if missing:
        raise setup.SetupError(
            f'cloud {cloud}: clouds.yaml has no '
            f'{" and no ".join(missing)}')
    account = Account(
        auth_url=str(auth['auth_url']), password=str(auth['password']),
        username=str(auth.get('username') or auth.get('user_id') or '?'),
        project='', user_domain='', project_domain='')
    access = Access(
        cloud, openstack.connection.Connection(config=region), account)
    # The first repeats the exception that is explained below; the second
    # warns of optional services, such as cinder, that the cloud lacks.
    for name in ('keystoneauth.identity', 'openstack.config'):
        logging.getLogger(name).setLevel(logging.ERROR)
    with access.explaining(f'reach keystone at {account.auth_url}'):
        session = access.connection.session
        token = session.auth.get_access(session)
    if not token.project_name:
        raise access.error(
            'clouds.yaml names no project, and Tempest needs one')
    # openstacksdk merges verify, insecure and cacert.
    verify, _ = region.get_requests_verify_args()
    return dataclasses.replace(access, account=dataclasses.replace(
        account, auth_url=account.auth_url.rstrip('/').removesuffix('/v3') +
        '/v3',
        # Tempest needs names. clouds.yaml may have ids, the token has both.
        username=token.username, project=token.project_name,
        user_domain=token.user_domain_name,
        project_domain=token.project_domain_name,
        region=region.get_region_name() or '',
        interface=region.get_interface() or 'public',
        # Tempest runs in another directory.
        ca_file=os.path.abspath(verify) if isinstance(verify, str) else '',
        insecure=not verify))


def _read_clouds_yaml(cloud: str) -> Any:
    """Return openstacksdk's configuration of a cloud.

    :raises SetupError: clouds.yaml has no such cloud, or cannot be read
    """
    named = os.environ.get('OS_CLIENT_CONFIG_FILE')
    for path in [*([named] if named else []), *loader.CONFIG_FILES]:
        # openstacksdk takes the first one that it can open.
        with contextlib.suppress(OSError):
            _check_clouds_yaml(path, cloud)
            break
    try:
        config = openstack.config.OpenStackConfig()
    except (exceptions.SDKException, OSError, ValueError) as exc:
        raise setup.SetupError(
            f'clouds.yaml cannot be read: {_reason(exc)}') from exc
    known = sorted(name for name in config.get_cloud_names()
                   if name not in PSEUDO_CLOUDS)
    if not known:
        places = dict.fromkeys(
            [*([named] if named else []), *loader.CONFIG_SEARCH_PATH])
        raise setup.SetupError(
            f'cloud {cloud!r} is not known: there is no readable '
            f'clouds.yaml in {" or ".join(places)}')
    if cloud not in known:
        raise setup.SetupError(
            f'clouds.yaml has no cloud {cloud!r}; it has: '
            f'{", ".join(known)}')
    try:
        region = config.get_one(cloud=cloud)
    except FAILURES as exc:
        raise setup.SetupError(
            f'cloud {cloud}: clouds.yaml: {_reason(exc)}') from exc
    except (AttributeError, TypeError) as exc:
        raise setup.SetupError(
            f'{config.config_filename} is not valid: an option of cloud '
            f'{cloud} has a wrong type, such as a number instead of a text'
        ) from exc
    region.config['api_timeout'] = region.config.get(
        'api_timeout') or API_TIMEOUT_S
    return region


def _check_clouds_yaml(path: str, cloud: str) -> None:
    """Refuse a file that openstacksdk would misunderstand.

    It skips a file that it cannot parse, with a warning of several lines, and
    a wrong type ends in an AttributeError or TypeError somewhere inside.

    :raises SetupError: names the file, and the place or the fault
    :raises OSError: it cannot be opened
    """
    try:
        with open(path) as stream:
            found = (json.load(stream) if path.endswith('json') else
                     yaml.safe_load(stream))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = (f'line {mark.line + 1}, column {mark.column + 1}: '
                 if mark else '')
        fault = f'{place}{exc.problem or exc.context}'
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        fault = ' '.join(str(exc).split())
    else:
        # openstacksdk treats an empty file as one without clouds.
        fault = '' if found is None else _wrong_type(found, cloud)
    if fault:
        raise setup.SetupError(f'{path} is not valid: {fault}')


def _wrong_type(content: Any, cloud: str) -> str:
    if not isinstance(content, dict):
        return 'the file is not a mapping'
    clouds = content.get('clouds', {})
    if not isinstance(clouds, dict):
        return 'clouds is not a mapping'
    for name in clouds:
        if not isinstance(name, str):
            return f'{name} is not a text and cannot name a cloud'
    wanted = clouds.get(cloud, {})
    if not isinstance(wanted, dict):
        return f'cloud {cloud} is not a mapping'
    if not isinstance(wanted.get('auth') or {}, dict):
        return f'auth of cloud {cloud} is not a mapping'
    return ''


@dataclasses.dataclass(frozen=True)
class CloudFacts:
    """Facts about a cloud.

    :ivar region: name of the region
    :ivar services: whether each of SERVICES exists
    :ivar hosts: compute hosts that are up and enabled
    :ivar unusable: the other compute hosts
    :ivar oldest: oldest microversion of the compute API
    :ivar newest: newest microversion of the compute API
    :ivar storage: ``shared`` if placement says that all hosts share the disks
        of servers; else empty, which means nothing
    :ivar volume_versions: oldest and newest microversion of cinder; None
        without cinder
    """

    region: str
    services: Mapping[str, bool]
    hosts: tuple[compute_hosts.ComputeService, ...]
    unusable: tuple[compute_hosts.ComputeService, ...]
    oldest: str
    newest: str
    storage: str
    volume_versions: tuple[str, str] | None = None


def discover(access: Access) -> CloudFacts:
    """Return the facts about a cloud.

    :param access: connection to it
    :raises SetupError: it does not answer, the account is not an
        administrator's, or servers cannot be live-migrated in it
    """
    services = {name: bool(access.connection.has_service(kind))
                for name, kind in SERVICES.items()}
    missing = [name for name in REQUIRED if not services[name]]
    if missing:
        raise access.error(f'the catalog has no {" and no ".join(missing)}, '
                           'and the tests need it')
    with access.explaining('list the compute services'):
        known = sorted(
            (compute_hosts.ComputeService(
                each.host, each.status, each.state or 'unknown')
             for each in access.connection.compute.services(
                 binary='nova-compute')), key=lambda host: host.name)
    usable = tuple(host for host in known if host.usable)
    if len(usable) < MIN_HOSTS:
        raise access.error(
            f'compute hosts that are up and enabled: {len(usable)}, minimum '
            f'for a live migration: {MIN_HOSTS}; all hosts: '
            f'{compute_hosts.describe(known)}')
    # Tempest creates projects and users for its tests. Listing projects takes
    # the same rights, and changes nothing.
    with access.explaining('list projects, and so not create those of the '
                           'tests'):
        next(iter(access.connection.identity.projects(limit=1)), None)
    with access.explaining('read the versions of the compute API'):
        compute_versions = _versions(access.connection.compute)
    if compute_versions is None:
        raise access.error('the compute API tells no microversions')
    oldest, newest = compute_versions
    if not api.at_least(newest, api.MICROVERSION):
        raise access.error(f'the compute API offers microversions up to '
                           f'{newest}, and the tests need {api.MICROVERSION}')
    volume_versions = None
    if services['cinder']:
        with access.explaining('read the versions of the volume API'):
            volume_versions = _versions(access.connection.block_storage)
    return CloudFacts(
        region=find_region(access), services=services,
        hosts=usable, oldest=oldest, newest=newest,
        unusable=tuple(host for host in known if not host.usable),
        storage=_storage(access, usable), volume_versions=volume_versions)


def _versions(proxy: Any) -> tuple[str, str] | None:
    data = proxy.get_endpoint_data()
    if not data or not data.min_microversion or not data.max_microversion:
        return None
    return ('{}.{}'.format(*data.min_microversion),
            '{}.{}'.format(*data.max_microversion))


def find_region(access: Access) -> str:
    """Return the region of clouds.yaml, or else that of nova in the catalog.

    :param access: connection to the cloud
    :raises SetupError: there are several
    """
    if access.account.region:
        return access.account.region
    with access.explaining('read the catalog'):
        session = access.connection.session
        catalog = session.auth.get_access(session).service_catalog
        found = {endpoint.get('region_id') or endpoint.get('region')
                 for endpoints in catalog.get_endpoints(
                     service_type='compute',
                     interface=access.account.interface).values()
                 for endpoint in endpoints}
    names = sorted(name for name in found if name)
    if len(names) > 1:
        raise setup.SetupError(
            f'cloud {access.cloud} has {len(names)} regions: choose one with '
            f'region_name in clouds.yaml: {", ".join(names)}')
    return names[0] if names else ''


def _storage(access: Access,
             usable: tuple[compute_hosts.ComputeService, ...]) -> str:
    """Return ``shared`` if all hosts use a shared provider of disks.

    Few deployments configure one, with or without Ceph, so its absence means
    nothing. No other API tells where disks are.
    """
    with access.explaining('read resource providers from placement'):
        shared: set[str] = set()
        for each in ask_placement(
                access, f'/resource_providers?required={SHARING}'
                )['resource_providers']:
            if 'DISK_GB' in ask_placement(
                    access, f'/resource_providers/{each["uuid"]}/inventories'
                    )['inventories']:
                shared |= _aggregates(access, each['uuid'])
        if not shared:
            return ''
        providers = {each.service_details['host']: each.id for each in
                     access.connection.compute.hypervisors(details=True)}
        return 'shared' if all(
            host.name in providers and
            shared & _aggregates(access, providers[host.name])
            for host in usable) else ''


def _aggregates(access: Access, provider: str) -> set[str]:
    return set(ask_placement(
        access, f'/resource_providers/{provider}/aggregates')['aggregates'])


def ask_placement(access: Access, path: str) -> dict[str, Any]:
    """Return the JSON at a path of placement.

    :param access: connection to the cloud
    :param path: with its query
    """
    answer = access.connection.placement.get(path, microversion=PLACEMENT)
    # Not every version of openstacksdk raises by itself here.
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body
