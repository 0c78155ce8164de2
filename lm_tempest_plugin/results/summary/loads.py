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


def loads(attempts: Iterable[collection.Attempt]
          ) -> dict[tuple[str, str], str]:
    """Return what was moved together, in words: 4 lm.small.

    :param attempts: any
    :returns: by the names of run and drain
    """
    counts: dict[tuple[str, str], collections.Counter[str]] = (
        collections.defaultdict(collections.Counter))
    for each in attempts:
        counts[each.run, each.drain][str(each.flavor)] += 1
    return {key: ', '.join('%d %s' % (count, name)
                           for name, count in sorted(found.items()))
            for key, found in counts.items()}
