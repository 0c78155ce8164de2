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

"""Small helpers that several packages share."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import importlib
import os
import signal
import tempfile
import textwrap
import threading
import time
import types
from typing import Any
from typing import TypeVar

# Characters of a described error; the log has all of it.
ERROR_LENGTH = 500
State = TypeVar('State')

# They ask a program to end: Ctrl-C, a service manager or a job's time limit,
# and a terminal that is closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class WaitTimeout(Exception):
    """A condition did not hold in time."""


def wait_until(condition: Callable[[State], bool],
               read: Callable[[], State], awaited: str, timeout_s: float,
               interval_s: float = 1.0,
               describe: Callable[[State], object] = str,
               error: type[Exception] = WaitTimeout,
               clock: Callable[[], float] = time.monotonic,
               sleep: Callable[[float], None] = time.sleep) -> State:
    """Read a state until a condition holds, and return that state.

    The state is read at least once, and once more when the time is over.

    :param condition: whether a state is the one to wait for
    :param read: returns the present state; its exceptions are passed on
    :param awaited: the thing that is waited for, for the message
    :param timeout_s: time to wait, in seconds
    :param interval_s: time between two reads, in seconds
    :param describe: returns the text of a state for the message
    :param error: class of the exception at the end of the time; it takes one
        text
    :param clock: returns a monotonic time in seconds
    :param sleep: takes seconds
    :raises WaitTimeout: or ``error``: names the condition, the last state and
        the time that was waited
    """
    begin_s = clock()
    while True:
        state = read()
        if condition(state):
            return state
        waited_s = clock() - begin_s
        if waited_s >= timeout_s:
            raise error(f'waited {waited_s:.1f} s (limit {timeout_s:g} s) for '
                        f'{awaited}; last state: {describe(state)}')
        sleep(min(interval_s, timeout_s - waited_s))


def write_atomically(path: str | os.PathLike[str], content: str | bytes,
                     mode: int = 0o600) -> None:
    """Write a file so that readers see the old or the new content, no mix.

    :param path: the file; its directory has to exist
    :param content: the whole new content; text is stored as UTF-8
    :param mode: permissions of the file, whatever the umask is
    :raises OSError: it cannot be written; the old file is still there
    """
    directory, name = os.path.split(os.fspath(path))
    # In the same directory, because os.replace() cannot cross file systems.
    # mkstemp() creates it with 0600: nobody else can open it before fchmod().
    descriptor, temporary = tempfile.mkstemp(
        dir=directory or os.curdir, prefix=f'.{name}.')
    try:
        with os.fdopen(descriptor, 'wb') as stream:
            stream.write(
                content.encode() if isinstance(content, str) else content)
            os.fchmod(stream.fileno(), mode)
            stream.flush()
            # Without it, a power failure may leave an empty file under the
            # new name (ext4 delays allocation).
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class MissingLibrary(Exception):
    """An optional library is not installed; the text says how to get it."""


def import_optional(name: str, extra: str) -> Any:
    """Import a module that needs libraries of an extra.

    :param name: a library's module, or one of this plugin that imports it
    :param extra: the extra of this package that installs the library
    :returns: the module
    :raises MissingLibrary: one sentence: the library and how to install it
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        # A module of the plugin itself that is missing is a bug, not a
        # library to install.
        if (exc.name or '').startswith('lm_tempest_plugin'):
            raise
        raise MissingLibrary(
            f'{exc.name} is not installed: pip install '
            f'lm-tempest-plugin[{extra}]') from exc


class Interrupted(BaseException):
    """A signal asked the program to end.

    Not an Exception: openstacksdk turns every Exception that is raised while
    it uploads an image into an error of its own.
    """


class SignalHandler:
    """Take SIGINT, SIGTERM and SIGHUP while it is entered as a context.

    It can be entered again later, and remembers the signals of earlier
    contexts: after the first signal every :meth:`interruptible` block fails
    at once. A signal outside such a block, and each one after the first, is
    only counted, so that cleaning up is not cut short.

    In a thread other than the main one, Python delivers no signals and the
    context does nothing. A signal that is ignored (nohup) stays ignored.

    :param exception: class of the exception that a signal raises; it takes
        one text
    :param on_signal: called in the signal handler with the name of the signal
        and the number of signals so far
    :ivar count: number of signals so far
    :ivar name: name of the first signal; empty if none came
    """

    def __init__(self, exception: type[BaseException] = Interrupted,
                 on_signal: Callable[[str, int], object] | None = None
                 ) -> None:
        self.count = 0
        self.name = ''
        self._exception = exception
        self._on_signal = on_signal
        self._raises = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> 'SignalHandler':
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in SIGNALS:
            before = signal.getsignal(number)
            # None is a handler that C code installed: signal.signal() could
            # not put it back.
            if before in (signal.SIG_IGN, None):
                continue
            self._before[number] = before
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *args: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let the first signal end the block.

        :raises BaseException: of the class given at first: a signal came
            during the block, or had come before
        """
        self._raises = True
        try:
            if self.count:
                raise self._interruption()
            yield
        finally:
            self._raises = False

    def _interruption(self) -> BaseException:
        return self._exception(f'told to end by {self.name}')

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        self.count += 1
        name = signal.Signals(number).name
        self.name = self.name or name
        if self._on_signal:
            self._on_signal(name, self.count)
        if self._raises:
            # Only once: the block's own cleanup must not be interrupted.
            self._raises = False
            raise self._interruption()


def describe_error(exc: BaseException) -> str:
    """Return one line about an exception that may be stored.

    Text of other software's exceptions is not stored: Tempest's message
    about SSH contains the password.

    :param exc: the exception
    """
    ours = isinstance(exc, AssertionError) or type(
        exc).__module__.startswith('lm_tempest_plugin.')
    text = textwrap.shorten(str(exc) if ours else '', ERROR_LENGTH,
                            placeholder=' ...')
    return text or type(exc).__name__
