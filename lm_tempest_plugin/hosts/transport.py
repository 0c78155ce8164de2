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

"""How servers get from one host to another, looked at while they do."""

from collections.abc import Callable
import threading
import time
import types
from typing import Any
from typing import Self

from oslo_log import log as logging

from lm_tempest_plugin.hosts import remote as remotes
from lm_tempest_plugin.hosts import sockets

LOG = logging.getLogger(__name__)

# The copy of a small guest takes less than a second.
PERIOD_S = 0.2
# A look takes as long as a command on the host. What comes and goes within a
# longer time than this between two looks is too much to be taken for nothing.
MAX_GAP_S = 2.0


class Watch:
    """Looks at the sockets of a source host from start() to stop().

    Also a context manager. Everything that is moved between the two hosts
    meanwhile has to go the same way.
    """

    def __init__(self, source: remotes.Remote, destination: remotes.Remote,
                 period_s: float = PERIOD_S,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Make ready.

        :param source: the host that servers leave
        :param destination: the host that they go to
        :param period_s: time from the end of a look to the next one, in
            seconds
        :param clock: says what time it is, in seconds
        """
        self._source = source
        self._destination = destination
        self._period_s = period_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name='sockets of %s' % source.name, daemon=True)
        self._seen: sockets.Seen | None = None
        self._error: Exception | None = None
        self._clock = clock
        self._looked_s = 0.0
        self._longest_gap_s = 0.0

    def start(self) -> None:
        """Begin to look.

        :raises HostError: a host cannot be asked, or cannot be told from
            the other one
        """
        try:
            self._seen = sockets.Seen(
                sockets.addresses(self._source),
                sockets.addresses(self._destination),
                sockets.established(self._source),
                sockets.Ports(client_first=sockets.first_client_port(
                    self._source)))
        except ValueError as exc:
            raise remotes.HostError('hosts %s and %s: %s' % (
                self._source.name, self._destination.name, exc)) from exc
        self._looked_s = self._clock()
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._period_s):
            try:
                self._look().add(sockets.established(self._source))
                self._note_gap()
            except Exception as exc:
                # The migration goes on, and so does this; transport tells.
                if self._error is None:
                    LOG.exception('The sockets of host %s cannot be seen',
                                  self._source.name)
                self._error = exc

    def _note_gap(self) -> None:
        """Note for how long nobody has looked, now that somebody has."""
        now_s = self._clock()
        self._longest_gap_s = max(
            self._longest_gap_s, now_s - self._looked_s)
        self._looked_s = now_s

    def _look(self) -> sockets.Seen:
        assert self._seen is not None, 'start() comes first'
        return self._seen

    def stop(self) -> None:
        """Look no more. Does nothing the second time."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None,
                 exc: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self.stop()

    @property
    def transport(self) -> sockets.Transport:
        """How servers went, as far as it was seen.

        :raises HostError: the source host could not be asked at times, or
            was not asked for long, so that what was not seen says nothing
        """
        found = self._look().transport()
        if found == sockets.Transport.DIRECT:
            return found
        why: object = self._error
        if why is None and self._longest_gap_s > MAX_GAP_S:
            why = '%.1f s passed between two looks, more than %g s' % (
                self._longest_gap_s, MAX_GAP_S)
        if why is not None:
            raise remotes.HostError(
                'the sockets of host %s could not be seen at times: %s' % (
                    self._source.name, why)) from self._error
        return found

    def __str__(self) -> str:
        return 'sockets between %s and %s: %s' % (
            self._source.name, self._destination.name, ', '.join(
                '%s %s' % item for item in self._look().as_dict().items()))

    def as_dict(self) -> dict[str, Any]:
        """Return what was seen, as sockets.Seen does, and what failed."""
        return {**self._look().as_dict(),
                'error': str(self._error) if self._error else None}
