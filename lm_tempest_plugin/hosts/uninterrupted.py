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

"""Work that has to come to its end before a signal is heeded."""

from collections.abc import Iterator
import contextlib
import signal
import threading
import types

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

# The last one is how a test's time is limited (fixtures.Timeout).
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@contextlib.contextmanager
def section(doing: str) -> Iterator[None]:
    """Note signals that would end this process, and heed them afterwards.

    In other threads than the main one it does nothing: Python runs no
    handler there.

    :param doing: what is not to be interrupted, for the log
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[int] = []

    def note(number: int, frame: types.FrameType | None) -> None:
        LOG.warning('%s: heeded when this is done: %s',
                    signal.Signals(number).name, doing)
        noted.append(number)

    before = {}
    for number in SIGNALS:
        handler = signal.getsignal(number)
        # What is ignored stays so; what Python has not set cannot be put
        # back.
        if handler not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for once in dict.fromkeys(noted):
            signal.raise_signal(once)
