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

"""How one tells in the cloud what was made here.

Networks, subnets, routers and security groups get their description in the
request that makes them, and their tag after that: a run that is killed in
between leaves nothing that nobody owns to. An image gets its tag at once; a
flavor has a description alone.
"""

from collections.abc import Iterable
from typing import Any

TAG = 'live-migration-ha'
NAME = 'live-migration-ha'
DESCRIPTION = 'Made by tempest live-migration-ha bootstrap'


def ours(resource: Any) -> bool:
    """Return whether something in the cloud was made here.

    :param resource: openstacksdk's, with tags or a description
    """
    tags: Iterable[str] = getattr(resource, 'tags', None) or ()
    return (TAG in tags or
            getattr(resource, 'description', None) == DESCRIPTION)
