"""Lets one command at a time change a lab."""

import contextlib
import fcntl
import os
import typing

from lab import errors
from lab import layout as layouts


@contextlib.contextmanager
def held(layout: layouts.Layout) -> typing.Iterator[None]:
    """Hold the lab's lock; the kernel gives it back if this process dies.

    :param layout: paths of the lab
    :raises errors.LabError: if another command holds it
    """
    layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(layout.lock, 'a+', encoding='ascii') as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise errors.LabError(
                f'Another run-lab.sh (process {stream.read().strip()}) is '
                f'changing the lab in {layout.root}: wait for it.'
            ) from error
        stream.truncate(0)
        stream.write(f'{os.getpid()}\n')
        stream.flush()
        yield
