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

"""A guest that keeps pages of memory, each with a counter and its place.

A page that a migration loses, or brings in an older state, has another counter
than the pages before and after it.
"""

from lm_tempest_plugin.guests.workloads import program


class KeeperWorkload(program.Program):
    """Increments the counter of every page, and compares all of them."""

    name = 'keeper'
    script = 'keeper.sh'
    # Pages of 4 KiB.
    step = 1 / 256
