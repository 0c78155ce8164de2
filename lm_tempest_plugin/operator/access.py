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

"""The account that clouds.yaml has for a cloud, and what the cloud refuses.

Nothing of a password is ever part of a message.
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

from lm_tempest_plugin.operator import errors

# How long a service may be silent; without it, forever.
TIMEOUT_S = 60
# What openstacksdk calls a cloud that is none of clouds.yaml.
NO_CLOUDS = ('defaults', 'envvars')
# What a password plugin may be called in clouds.yaml.
PASSWORD_TYPES = ('password', 'v3password')
FAILURES = (auth_exc.ClientException, sdk_exc.SDKException,
            requests.exceptions.RequestException)


@dataclasses.dataclass(frozen=True)
class Account:
    """Who asks, as Tempest has to know it.

    :ivar auth_url: of keystone, with its version
    :ivar username: the user's name
    :ivar password: the user's password
    :ivar project: name of the project
    :ivar user_domain: name of the user's domain
    :ivar project_domain: name of the project's domain
    :ivar region: name of the region; empty if clouds.yaml has none
    :ivar interface: of the endpoints: public, internal or admin
    :ivar ca_file: absolute path of certificates; empty for those of the
        system
    :ivar insecure: whether no certificate is looked at
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
    """A cloud that can be asked.

    :ivar cloud: its name in clouds.yaml
    :ivar connection: openstacksdk's connection
    :ivar account: who asks
    """

    cloud: str
    connection: Any
    account: Account

    @contextlib.contextmanager
    def to(self, what: str) -> Iterator[None]:
        """Say in a sentence why something cannot be done.

        :param what: it is, such as: list the compute services
        :raises OperatorError: the cloud refuses, or does not answer
        """
        with explained(self.cloud, what, self.account.username,
                       self.account.auth_url):
            yield


@contextlib.contextmanager
def explained(cloud: str, what: str, username: str,
              auth_url: str) -> Iterator[None]:
    """Turn errors of keystoneauth and openstacksdk into sentences.

    :param cloud: its name in clouds.yaml
    :param what: what is tried, such as: list the compute services
    :param username: who asks
    :param auth_url: of keystone
    :raises OperatorError: there was an error
    """
    try:
        yield
    except FAILURES as exc:
        status = (getattr(exc, 'http_status', None) or
                  getattr(exc, 'status_code', None))
        if status == 401:
            said = ('keystone at %s refuses user %s (HTTP 401): user, '
                    'password, project or domain in clouds.yaml is wrong' % (
                        auth_url, username))
        elif status == 403:
            said = ('user %s may not %s (HTTP 403): it takes an '
                    'administrator\'s rights, which the tests need as well' %
                    (username, what))
        else:
            said = 'cannot %s: %s' % (what, _reason(exc))
        raise errors.OperatorError('cloud %s: %s' % (cloud, said)) from exc


def _reason(exc: Exception) -> str:
    """Return what an exception says, on one line."""
    text = ' '.join(str(exc).split()) or type(exc).__name__
    # What follows names Python's objects, and the same host once more.
    return text.partition(': HTTPConnectionPool(')[0].partition(
        ': HTTPSConnectionPool(')[0]


def connect(cloud: str) -> Access:
    """Return the way to a cloud, after it was tried.

    :param cloud: its name in clouds.yaml
    :raises OperatorError: clouds.yaml has no such cloud, Tempest cannot use
        the account, or keystone does not take it
    """
    region = _configured(cloud)
    auth = region.config.get('auth') or {}
    _check_type(cloud, region, auth)
    connection = openstack.connection.Connection(config=region)
    # The first says the same that the exception does, the second that a cloud
    # has no service, such as cinder, that it need not have.
    for name in ('keystoneauth.identity', 'openstack.config'):
        logging.getLogger(name).setLevel(logging.ERROR)
    auth_url = str(auth['auth_url'])
    with explained(cloud, 'reach keystone at %s' % auth_url,
                   str(auth.get('username') or auth.get('user_id') or '?'),
                   auth_url):
        token = connection.session.auth.get_access(connection.session)
    if not token.project_name:
        raise errors.OperatorError(
            'cloud %s: clouds.yaml names no project, and Tempest needs one' %
            cloud)
    return Access(cloud, connection, _account(region, auth, token))


def _configured(cloud: str) -> Any:
    """Return what clouds.yaml says of a cloud.

    :raises OperatorError: it has no such cloud, or cannot be read
    """
    try:
        config = openstack.config.OpenStackConfig()
    except (sdk_exc.SDKException, OSError, ValueError) as exc:
        raise errors.OperatorError('clouds.yaml cannot be read: %s' %
                                   _reason(exc)) from exc
    known = sorted(name for name in config.get_cloud_names()
                   if name not in NO_CLOUDS)
    if cloud not in known:
        raise errors.OperatorError(
            'clouds.yaml has no cloud %r; it has: %s' % (
                cloud, ', '.join(known)) if known else
            'there is no cloud %r: no clouds.yaml that can be read was found '
            'in %s' % (
                cloud, ' or '.join(_places())))
    try:
        region = config.get_one(cloud=cloud)
    except FAILURES as exc:
        raise errors.OperatorError('cloud %s: clouds.yaml: %s' % (
            cloud, _reason(exc))) from exc
    region.config['api_timeout'] = region.config.get(
        'api_timeout') or TIMEOUT_S
    return region


def _places() -> list[str]:
    """Return where clouds.yaml is looked for."""
    named = os.environ.get('OS_CLIENT_CONFIG_FILE')
    return [*([named] if named else []), *loader.CONFIG_SEARCH_PATH]


def _check_type(cloud: str, region: Any, auth: dict[str, Any]) -> None:
    """Refuse an account of which there is no password, or no address.

    :raises OperatorError: says what is missing
    """
    kind = region.config.get('auth_type') or PASSWORD_TYPES[0]
    if kind not in PASSWORD_TYPES:
        raise errors.OperatorError(
            'cloud %s: clouds.yaml has auth_type %s, and Tempest can use '
            'user and password alone' % (cloud, kind))
    missing = [name for name in ('auth_url', 'password')
               if not auth.get(name)]
    if missing:
        raise errors.OperatorError('cloud %s: clouds.yaml has no %s' % (
            cloud, ' and no '.join(missing)))


def _account(region: Any, auth: dict[str, Any], token: Any) -> Account:
    """Return who asks: names from the token, for clouds.yaml may have ids."""
    # As openstacksdk itself understands clouds.yaml.
    verify, _ = region.get_requests_verify_args()
    return Account(
        auth_url=_versioned(str(auth['auth_url'])), username=token.username,
        password=str(auth['password']), project=token.project_name,
        user_domain=token.user_domain_name,
        project_domain=token.project_domain_name,
        region=region.get_region_name() or '',
        interface=region.get_interface() or 'public',
        # Tempest runs in the workspace.
        ca_file=os.path.abspath(verify) if isinstance(verify, str) else '',
        insecure=not verify)


def _versioned(auth_url: str) -> str:
    """Return keystone's address with the version that Tempest uses."""
    plain = auth_url.rstrip('/')
    return plain if plain.endswith('/v3') else plain + '/v3'
