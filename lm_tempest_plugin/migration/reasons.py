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

"""Classes of reasons for which a migration failed, by the hosts' logs."""

from collections.abc import Iterable
import dataclasses

from lm_tempest_plugin.results import schema


@dataclasses.dataclass(frozen=True)
class Reason:
    """The reason that a log shows.

    :ivar slug: its class, such as certificate
    :ivar text: libvirt's or QEMU's own message
    """

    slug: str
    text: str


def classify(logs: Iterable[schema.HostLog]) -> Reason | None:
    """Return the reason that logs show; None if they show none.

    :param logs: lines that belong to one migration
    """
    return None
