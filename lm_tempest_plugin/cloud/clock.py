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

"""The cloud's clock."""

import datetime
from email import utils
import time
from typing import Any

from oslo_log import log as logging
from tempest.lib import exceptions

from lm_tempest_plugin.cloud import api

LOG = logging.getLogger(__name__)

# A smaller difference is not told: a report of a compute service is up to
# [DEFAULT]report_interval old, 10 s by default.
TOLD_S = 15.0


def ahead_s(services_client: Any) -> float | None:
    """Return the cloud's clock minus ours, in seconds; None if unknown.

    The header Date of an answer tells it to 1 s. Not every API server sends
    one (uWSGI alone does not). Then the newest report of a compute service
    tells it to the interval of the reports.

    :param services_client: tempest.lib's ServicesClient, of an admin
    """
    before_s = time.time()
    try:
        answer = services_client.list_services(binary='nova-compute')
    except (exceptions.RestClientException, *api.NO_ANSWER):
        LOG.exception("The cloud's clock cannot be read")
        return None
    ours_s = (before_s + time.time()) / 2
    date = answer.response.get('date')
    if date:
        try:
            # The header has whole seconds, rounded down.
            return utils.parsedate_to_datetime(
                date).timestamp() + 0.5 - ours_s
        except ValueError:
            LOG.warning('An answer of nova has no valid date: %r', date)
    reports = [
        datetime.datetime.fromisoformat(each['updated_at']).replace(
            tzinfo=datetime.UTC).timestamp()
        for each in answer['services']
        if each.get('state') == 'up' and each.get('updated_at')]
    return max(reports) - ours_s if reports else None
