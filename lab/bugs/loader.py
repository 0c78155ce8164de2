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

"""Put old bugs of nova into the processes of the cloud, when they start.

The runner writes a .pth file into the cloud's virtualenv. Because of it every
Python process of the cloud calls :func:`start`, as long as there is a file
that names active bugs. Each of these is imported at once, so a bug's module
must not import nova: it registers its patches with :meth:`Bug.after`, and they
run when the process has imported that module of nova by itself. So no module
is imported earlier than otherwise, or in another process.

Every patch ("applied"), every effect ("fired") and every failure to patch
("broken") is a line in a log: a bug that never fired says nothing about a test
that passed.

This module runs before nova replaces parts of the standard library with those
of eventlet, and in an interpreter that has the packages of the cloud only. It
therefore imports no more than it needs, and nothing but the standard library.
"""

from __future__ import annotations

import collections.abc
import contextlib
import contextvars
import dataclasses
import functools
import importlib
import importlib.abc
import importlib.machinery
import inspect
import os
import pathlib
import socket
import sys
import time
import traceback
import types
import typing

DEFECT, CORRECTION, CONTROL = 'bug', 'correction', 'control'
APPLIED, FIRED, BROKEN = 'applied', 'fired', 'broken'
#: Folder in that of the running cloud, with the file that names the active
#: bugs, separated by blanks, and the log.
FOLDER, ACTIVE, LOG = 'bugs', 'active', 'fired.log'

Patch = collections.abc.Callable[[typing.Any], object]
Wrapper = typing.TypeVar('Wrapper', bound=collections.abc.Callable)


@dataclasses.dataclass(frozen=True)
class Bug:
    """A bug, with everything that the runner has to know.

    All but ``file`` are literals in the modules: documentation is made from
    them.

    :ivar file: ``__file__`` of its module
    :ivar number: its numbers on Launchpad, or a word if it has none
    :ivar commit: nova's commits that mended it, abbreviated
    :ivar services: services that have to be restarted, such as
        ``nova-compute``
    :ivar effect: effect on a user's server, in one clause; empty if it has
        none
    :ivar test: name of the smallest Tempest test that has to see it; empty
        for a correction that no test can show
    :ivar check: slug of the check that has to name it; ``test`` if the test
        itself has to, outside the checks; empty if the test has to pass
    :ivar stock: whether Tempest's own tests are expected to see it
    :ivar kind: ``bug``; ``correction`` of a defect that nova still has; or
        ``control``, which changes nothing
    :ivar profile: lines of Tempest's configuration that its test needs
    :ivar storage: the kind of storage that it needs; empty for any
    :ivar needs: names of corrections that have to be active with it
    """

    file: str
    _: dataclasses.KW_ONLY
    number: str
    commit: str
    services: tuple[str, ...]
    effect: str
    test: str
    check: str
    stock: bool
    kind: str = DEFECT
    profile: str = ''
    storage: str = ''
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its module."""
        return pathlib.Path(self.file).stem

    def after(self, module: str) -> collections.abc.Callable[[Patch], Patch]:
        """Return a decorator that registers a patch of a module.

        :param module: full name of the module. The patch gets it once it is
            imported, before anybody else.
        """
        def register(patch: Patch) -> Patch:
            if module in sys.modules:
                self._apply(patch, sys.modules[module])
            else:
                _patches.setdefault(module, []).append(
                    functools.partial(self._apply, patch))
            return patch
        return register

    def wrap(self, owner: typing.Any, attribute: str
             ) -> collections.abc.Callable[[Wrapper], Wrapper]:
        """Return a decorator that replaces a function by the decorated one.

        That gets the original function before the arguments of the call.

        :param owner: class or module that has the function
        :param attribute: name of the function
        :raises AttributeError: if the owner has no such attribute
        """
        raw = inspect.getattr_static(owner, attribute)
        kind = type(raw) if isinstance(raw, (classmethod, staticmethod)) \
            else None

        def decorate(function: Wrapper) -> Wrapper:
            # The underline makes it the first variable in the closure, where
            # nova.safe_utils.get_wrapped_function() looks for the original.
            _original = raw if kind is None else raw.__func__

            @functools.wraps(_original)
            def replacement(*args: typing.Any, **kwargs: typing.Any
                            ) -> typing.Any:
                return function(_original, *args, **kwargs)

            setattr(owner, attribute,
                    replacement if kind is None else kind(replacement))
            self.applied(f'{owner.__name__}.{attribute}')
            return function
        return decorate

    def applied(self, text: str) -> None:
        """Log that something else than a function was replaced.

        :param text: its name; :meth:`wrap` needs no such call
        """
        self._log(APPLIED, text)

    def fired(self, text: str) -> None:
        """Log that the bug has just had its effect.

        :param text: the effect, with the UUID of the server
        """
        self._log(FIRED, text)

    def shared(self, key: str) -> pathlib.Path:
        """Return the path of a file that all hosts of the lab share.

        :param key: tells the files of this bug apart
        """
        return _folder / f'{self.name}-{key}'

    def _apply(self, patch: Patch, module: types.ModuleType) -> None:
        try:
            patch(module)
        except Exception:  # noqa: BLE001
            # A service that does not start would look like a bug of nova.
            self.broken()

    def broken(self) -> None:
        """Log the exception that is being handled: a patch failed."""
        # To the service's log: there is no logging so early.
        traceback.print_exc()
        self._log(BROKEN, repr(sys.exception()))

    def _log(self, kind: str, text: str) -> None:
        # uWSGI sets sys.argv later.
        program, *_ = getattr(sys, 'argv', None) or [sys.executable]
        line = '\t'.join((
            time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), kind,
            self.name, socket.gethostname(), str(os.getpid()),
            os.path.basename(program), ' '.join(text.split())))
        # One write in append mode is atomic: lines of several processes do
        # not mix.
        with open(_folder / LOG, 'ab', buffering=0) as stream:
            stream.write(f'{line}\n'.encode())


class Flag:
    """Tells whether a call is inside of another one, in one (green) thread.

    threading.local would be shared by all green threads of a process, because
    this module is imported before eventlet's version replaces it. Each green
    thread has a context of its own.
    """

    def __init__(self) -> None:
        self._on = contextvars.ContextVar('on', default=False)

    @property
    def on(self) -> bool:
        """Whether the thread is inside of :meth:`raised`."""
        return self._on.get()

    @contextlib.contextmanager
    def raised(self) -> collections.abc.Iterator[None]:
        """Set the flag for a block."""
        token = self._on.set(True)
        try:
            yield
        finally:
            self._on.reset(token)


class _Finder(importlib.abc.MetaPathFinder):
    """Applies the patches of a module as soon as that is imported."""

    def find_spec(self, fullname: str,
                  path: collections.abc.Sequence[str] | None,
                  target: types.ModuleType | None = None
                  ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec that others find, with a new end of the import."""
        if fullname not in _patches:
            return None
        spec = next(filter(None, (
            finder.find_spec(fullname, path, target)
            for finder in sys.meta_path if finder is not self)), None)
        if spec is None or spec.loader is None:
            return spec
        loader: typing.Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            for patch in _patches.pop(fullname, ()):
                patch(module)

        # The loader itself stays: inspect and pkgutil ask it for more.
        loader.exec_module = exec_module
        return spec


def libvirt_error(message: str, code: str) -> Exception:
    """Return an error as libvirt's Python bindings raise it.

    :param message: its text
    :param code: name of its code, such as ``VIR_ERR_NO_DOMAIN``
    """
    libvirt = importlib.import_module('libvirt')
    error = libvirt.libvirtError(message)
    # The constructor prefers the text of the thread's last error.
    error.args = (message,)
    error.err = (getattr(libvirt, code), libvirt.VIR_FROM_QEMU, message,
                 libvirt.VIR_ERR_ERROR, None, None, None, -1, -1)
    return error


def active(folder: pathlib.Path) -> list[str]:
    """Return the names of the active bugs.

    :param folder: the folder :data:`FOLDER`
    """
    path = folder / ACTIVE
    return path.read_text().split() if path.exists() else []


_patches: dict[str, list[Patch]] = {}
_folder = pathlib.Path()


def start(folder: str) -> None:
    """Import the active bugs, and wait for nova's modules; idempotent.

    Python processes a .pth file twice if it finds the virtualenv by a link and
    by its real path. Two finders would ask each other for ever.

    :param folder: the folder :data:`FOLDER`
    """
    global _folder
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    _folder = pathlib.Path(folder)
    sys.meta_path.insert(0, _Finder())
    for name in active(_folder):
        try:
            importlib.import_module(f'lab.bugs.{name}')
        except Exception:  # noqa: BLE001
            Bug(name, number='', commit='', services=(), effect='', test='',
                check='', stock=False).broken()
