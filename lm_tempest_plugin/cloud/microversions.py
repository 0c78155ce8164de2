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

"""Microversions of the compute API."""

from collections.abc import Iterator
import contextlib
import re
from typing import Any

from tempest.lib import exceptions as lib_exc
from tempest.lib.services.compute import base_compute_client

from lm_tempest_plugin import config


def parse(version: str) -> tuple[int, int]:
    """Return major and minor number of a microversion, to compare them.

    :param version: such as 2.84
    :raises ValueError: it is not a microversion
    """
    match = re.fullmatch(config.MICROVERSION, version)
    if match is None:
        raise ValueError(f'{version!r} is no microversion, such as 2.84')
    return int(match[1]), int(match[2])


def at_least(version: str, wanted: str) -> bool:
    """Return whether a microversion is the wanted one or a later one."""
    return parse(version) >= parse(wanted)


def offered(versions_client: Any) -> tuple[str, str]:
    """Return the oldest and the newest microversion that the cloud offers.

    :param versions_client: tempest.lib's VersionsClient
    :raises InvalidConfiguration: the cloud has no compute API 2.1
    """
    for version in versions_client.list_versions()['versions']:
        if version['id'] == 'v2.1':
            return version['min_version'], version['version']
    raise lib_exc.InvalidConfiguration(
        'the cloud shows no compute API v2.1')


def choose(versions_client: Any, wanted: str, default: str) -> str:
    """Return the microversion for requests.

    :param versions_client: tempest.lib's VersionsClient
    :param wanted: the only acceptable microversion; empty for the newest up
        to the default that the cloud offers
    :param default: the newest that the caller knows
    :raises InvalidConfiguration: the cloud does not offer the wanted one
    """
    oldest, newest = offered(versions_client)
    if not wanted:
        return min(default, newest, key=parse)
    if not parse(oldest) <= parse(wanted) <= parse(newest):
        raise lib_exc.InvalidConfiguration(
            f'microversion {wanted} is wanted, but the compute API of this '
            f'cloud offers {oldest} to {newest}')
    return wanted


@contextlib.contextmanager
def used(version: str) -> Iterator[None]:
    """Use a microversion for the requests of all compute clients.

    The previous one is restored afterwards.

    :param version: such as 2.24
    """
    # tempest.lib has one microversion for the whole process.
    before = base_compute_client.COMPUTE_MICROVERSION
    base_compute_client.COMPUTE_MICROVERSION = version
    try:
        yield
    finally:
        base_compute_client.COMPUTE_MICROVERSION = before
