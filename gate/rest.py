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

"""Read Zuul's REST API, from inside the Zuul's network."""

from __future__ import annotations

import json
import pathlib
import typing
import urllib.request

from lab import errors

TENANT = 'lab'
PORT = 9000
WEB = f'http://127.0.0.1:{PORT}'
TIMEOUT_SECONDS = 30


def get(path: str, tenant: str = TENANT) -> typing.Any:
    """Return an answer about a tenant.

    :param path: below ``/api/tenant/lab``
    :param tenant: name of the tenant
    :raises errors.LabError: if Zuul does not answer, or refuses
    """
    # A proxy of the user has no way into this network.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f'{WEB}/api/tenant/{tenant}/{path}',
                         timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except OSError as error:
        raise errors.LabError(
            f'Zuul does not answer about {path} ({error}): '
            f'tools/run-zuul.sh status shows its services.') from error


def is_ready() -> bool:
    """Return whether Zuul has a layout, and a node for jobs."""
    try:
        return bool(get('status')['pipelines']) and any(
            node['state'] == 'ready' for node in get('nodes'))
    except (errors.LabError, KeyError, ValueError):
        return False


def configuration_errors(tenant: str = TENANT,
                         project: str = '') -> list[str]:
    """Return the errors in the configuration of a tenant.

    :param tenant: name of the tenant
    :param project: name of the project whose errors count; empty for all
    """
    found = get('config-errors', tenant)
    return [each.get('short_error') or each.get('error', '') for each in
            (found['errors'] if isinstance(found, dict) else found)
            if not project or each['source_context']['project'] == project]


def refuse_errors(place: str, found: list[str], log: pathlib.Path) -> None:
    """Refuse a configuration with errors, and name the first one.

    :param place: where they are, for the message
    :param found: the errors
    :param log: folder with the logs of Zuul's services
    :raises errors.LabError: if there are any
    """
    if found:
        raise errors.LabError(
            f'Zuul finds {len(found)} errors in {place}, first '
            f'{" ".join(found[0].split())[:200]!r}: see '
            f'{log}/scheduler-debug.log.')


def builds() -> list[dict[str, typing.Any]]:
    """Return all builds that have ended, the first one first."""
    return sorted(get('builds?limit=100'),
                  key=lambda build: build['end_time'] or '')


def progress() -> list[tuple[str, str, str, str]]:
    """Return pipeline, change, job and result of each job under way."""
    return [
        (pipeline['name'], ref.get('id', ''), job['name'],
         job['result'] or ('running' if job.get('start_time') else 'waiting'))
        for pipeline in get('status')['pipelines']
        for queue in pipeline['change_queues'] for head in queue['heads']
        for item in head for ref in item['refs'] for job in item['jobs']]
