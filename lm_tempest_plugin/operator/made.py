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

"""What came of asking for something that a run needs."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Made:
    """Something that is there now.

    :ivar kind: such as: image
    :ivar identifier: its id
    :ivar name: its name
    :ivar new: whether it was not there before
    :ivar remark: what else is to be said, in words; empty for nothing
    """

    kind: str
    identifier: str
    name: str
    new: bool
    remark: str = ''

    def __str__(self) -> str:
        return '%s %s (%s): %s%s' % (
            self.kind, self.name, self.identifier,
            'made' if self.new else 'there already',
            '; %s' % self.remark if self.remark else '')
