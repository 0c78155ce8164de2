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

"""How many servers a project may have."""

from typing import Any

from lm_tempest_plugin.cloud import placement

UNLIMITED = -1


def lift(quotas_client: Any, project_id: str) -> None:
    """Let a project have as many servers as it likes, of whatever size.

    A cloud with unified limits takes this without a word and heeds it not:
    room() says what came of it.

    :param quotas_client: tempest.lib's compute QuotasClient, of an admin
    :param project_id: the project's id
    """
    quotas_client.update_quota_set(
        project_id, instances=UNLIMITED, cores=UNLIMITED, ram=UNLIMITED)


def room(limits_client: Any, each: placement.Resources) -> int | None:
    """Return how many more servers a project may have; None if any number.

    :param limits_client: tempest.lib's compute LimitsClient, of the project
    :param each: what a server takes
    """
    limits = limits_client.show_limits()['limits']['absolute']
    found = [
        max(0, limits[most] - limits[used]) // needed
        for most, used, needed in (
            ('maxTotalInstances', 'totalInstancesUsed', 1),
            ('maxTotalCores', 'totalCoresUsed', each.vcpus),
            ('maxTotalRAMSize', 'totalRAMUsed', each.ram_mib))
        if limits[most] != UNLIMITED]
    return min(found, default=None)
