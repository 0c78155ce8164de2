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

"""What was moved together."""

import collections
from collections.abc import Iterable

from lm_tempest_plugin.results import collection


Drains = dict[tuple[str, str], list[collection.Attempt]]


def together(attempts: Iterable[collection.Attempt]) -> Drains:
    """Return attempts by the names of run and drain.

    :param attempts: any
    """
    found: Drains = collections.defaultdict(list)
    for each in attempts:
        found[each.run, each.drain].append(each)
    return found


def load(attempts: Iterable[collection.Attempt]) -> str:
    """Return what was moved, in words: 4 lm.small.

    :param attempts: of one drain
    """
    counts = collections.Counter(str(each.flavor) for each in attempts)
    return ', '.join('%d %s' % (count, name)
                     for name, count in sorted(counts.items()))
