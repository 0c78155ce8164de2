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

"""The account in clouds.yaml, and errors of the cloud as one sentence.

No message contains a password.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import logging
import os
from typing import Any

from keystoneauth1 import exceptions as auth_exc
import openstack
from openstack.config import loader
from openstack import exceptions as sdk_exc
import requests

from lm_tempest_plugin.cloud import setup

# Without a limit, a service that does not answer blocks forever.
API_TIMEOUT_S = 60
# openstacksdk adds these two to the clouds of clouds.yaml.
PSEUDO_CLOUDS = ('defaults', 'envvars')
PASSWORD_TYPES = ('password', 'v3password')
FAILURES = (auth_exc.ClientException, sdk_exc.SDKException,
            requests.exceptions.RequestException)


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

    @contextlib.contextmanager
    def explaining(self, action: str) -> Iterator[None]:
        """Turn errors of the cloud in a block into one sentence.

        :param action: the block's purpose, such as: list flavors
        :raises SetupError: the cloud refuses, or does not answer
        """
        with _explaining(self.cloud, action, self.account.username,
                         self.account.auth_url):
            yield


@contextlib.contextmanager
def _explaining(cloud: str, action: str, username: str,
                auth_url: str) -> Iterator[None]:
    try:
        yield
    except FAILURES as exc:
        status = (getattr(exc, 'http_status', None) or
                  getattr(exc, 'status_code', None))
        if status == 401:
            text = (f'keystone at {auth_url} refuses user {username} (HTTP '
                    '401): check user, password, project and domains in '
                    'clouds.yaml')
        elif status == 403:
            text = (f'user {username} may not {action} (HTTP 403): use an '
                    'administrator\'s account, which the tests need as well')
        else:
            text = f'cannot {action}: {_reason(exc)}'
        raise setup.SetupError(f'cloud {cloud}: {text}') from exc


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
    connection = openstack.connection.Connection(config=region)
    # The first repeats the exception that is explained below; the second
    # warns of optional services, such as cinder, that the cloud lacks.
    for name in ('keystoneauth.identity', 'openstack.config'):
        logging.getLogger(name).setLevel(logging.ERROR)
    auth_url = str(auth['auth_url'])
    username = str(auth.get('username') or auth.get('user_id') or '?')
    with _explaining(cloud, f'reach keystone at {auth_url}', username,
                     auth_url):
        token = connection.session.auth.get_access(connection.session)
    if not token.project_name:
        raise setup.SetupError(
            f'cloud {cloud}: clouds.yaml names no project, and '
            'Tempest needs one')
    # openstacksdk merges verify, insecure and cacert.
    verify, _ = region.get_requests_verify_args()
    return Access(cloud, connection, Account(
        auth_url=_versioned(auth_url), password=str(auth['password']),
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
    try:
        config = openstack.config.OpenStackConfig()
    except (sdk_exc.SDKException, OSError, ValueError) as exc:
        raise setup.SetupError(
            f'clouds.yaml cannot be read: {_reason(exc)}') from exc
    known = sorted(name for name in config.get_cloud_names()
                   if name not in PSEUDO_CLOUDS)
    if not known:
        named = os.environ.get('OS_CLIENT_CONFIG_FILE')
        places = [*([named] if named else []), *loader.CONFIG_SEARCH_PATH]
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
    region.config['api_timeout'] = region.config.get(
        'api_timeout') or API_TIMEOUT_S
    return region


def _versioned(auth_url: str) -> str:
    plain = auth_url.rstrip('/')
    return plain if plain.endswith('/v3') else plain + '/v3'
