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

"""Checks of the guest. Each of its workloads is one more check, by name."""

from collections.abc import Iterator

from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import evidence
from lm_tempest_plugin.results import schema


@registry.check
def boot_id(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the boot id from before."""
    if not any(each.inspection for each in seen.plan.servers):
        raise registry.SkipCheck('no boot id was read before')
    for each in seen.migrations:
        guest = each.verdict.evidence.guest
        if guest.boot_id_error:
            yield each.problem('boot-id', 'the boot id cannot be read: '
                               f'{guest.boot_id_error}')
        elif evidence.rebooted(guest):
            yield each.problem(
                'boot-id', 'the guest has booted again: boot id '
                f'{guest.boot_id_after}, before {guest.boot_id_before}')
