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

"""Ctrl-C ends a test, and leaves nothing of it behind."""

import signal
import threading
import types
from typing import Any

import fixtures
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The run was told to end.

    Not a KeyboardInterrupt: with that, a test ends without its cleanups.
    """


class Interruption(fixtures.Fixture):
    """Lets a signal to end fail the test in hand and all that follow.

    The test's cleanups run as after any failure. While they do, a further
    signal is noted and does not end them.
    """

    _interrupted_by = ''

    def _setUp(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            # Python takes signals in the main thread alone.
            return
        for number in SIGNALS:
            before = signal.getsignal(number)
            # Of a process in the background the shell has them ignored; a
            # handler that was not set by Python could not be put back.
            if before in (signal.SIG_IGN, None):
                continue
            signal.signal(number, self._interrupt)
            self.addCleanup(signal.signal, number, before)
        if Interruption._interrupted_by:
            raise Interrupted(Interruption._interrupted_by)

    def _interrupt(self, number: int, frame: types.FrameType | None) -> Any:
        name = signal.Signals(number).name
        if Interruption._interrupted_by:
            LOG.warning('%s once more: what was made is being deleted', name)
            return
        Interruption._interrupted_by = 'the run was told to end (%s)' % name
        LOG.warning('%s: the test ends, and what it made is deleted', name)
        raise Interrupted(Interruption._interrupted_by)
