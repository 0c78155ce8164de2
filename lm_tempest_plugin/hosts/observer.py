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

"""What two hosts show while servers go from one to the other."""

from collections.abc import Iterable
import contextlib
import types
from typing import Any
from typing import Self

from lm_tempest_plugin.hosts import sampler
from lm_tempest_plugin.hosts import transport


class Observer(contextlib.AbstractContextManager['Observer']):
    """Looks at sockets and samples hosts, from entering to leaving it.

    :param watch: on the sockets between the hosts
    :param samplers: of the hosts; none to sample nothing
    :ivar watch: the same
    """

    def __init__(self, watch: transport.Watch,
                 samplers: Iterable[sampler.Sampler]) -> None:
        self.watch = watch
        self._samplers = list(samplers)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for each in self._samplers:
                stack.enter_context(each)
            stack.enter_context(self.watch)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self._stack.close()

    def as_dict(self) -> dict[str, Any]:
        """Return what was seen of the sockets, and of each host."""
        return {
            'sockets': self.watch.as_dict(),
            'samples': [each.sampled().as_dict()
                        for each in self._samplers],
        }
