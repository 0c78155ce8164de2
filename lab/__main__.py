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

"""Entry point: ``python3 -m lab``, started by ``tools/run-lab.sh``.

It begins with the system's Python and nothing else, and goes on in Tempest's
virtualenv once that exists.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import types

from lab import clearing
from lab import cli
from lab import errors
from lab.hosts import sandbox
from lab import layout as layouts
from lab import lock
from lab.machine import checks
from lab.machine import debian
from lab.machine import virtualenvs

#: Commands for which everything is installed that is missing.
INSTALLING = (None, 'up')


def main(arguments: list[str]) -> int:
    """Run a command line.

    :param arguments: without the program's name
    :returns: exit code
    """
    options = cli.parse(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    layout = layouts.Layout(layouts.state_folder())
    try:
        checks.root()
        checks.system()
        checks.state_folder(layout)
        if options.command == 'down':
            ended = clearing.down(layout)
            print('The cloud has ended.' if ended else 'No cloud was up.')
            return 0
        if options.command == 'destroy':
            gone = clearing.destroy(layout)
            print(f'{layout.root} is gone, and all that was in it.' if gone
                  else f'There is no lab in {layout.root}.')
            return 0
        if not _inside_virtualenv(layout):
            _install(layout, options.command)
            python = layout.venv_bin('tempest', 'python')
            os.execv(python, [python, '-m', 'lab', *arguments])
        from lab import dispatch
        return dispatch.run(options, layout)
    except (errors.LabError, OSError) as error:
        return errors.tell(error)
    except KeyboardInterrupt:
        print('run-lab.sh: interrupted.', file=sys.stderr)
        return 130


def _terminate(signum: int, frame: types.FrameType | None) -> None:
    """End as after Ctrl-C: what was begun is cleared away."""
    raise KeyboardInterrupt


def _inside_virtualenv(layout: layouts.Layout) -> bool:
    return pathlib.Path(sys.prefix) == layout.venvs / 'tempest'


def _install(layout: layouts.Layout, command: str | None) -> None:
    """Make the virtualenv that everything else runs in.

    A cloud that is up may be older than the files of this checkout; it goes
    on with the virtualenv that it runs from.
    """
    whole = virtualenvs.is_whole(layout, 'tempest')
    is_up = layout.ready.exists() and sandbox.find(layout.root) is not None
    if virtualenvs.is_current(layout, 'tempest') or (whole and is_up):
        return
    if command not in INSTALLING:
        if whole:
            return
        raise errors.LabError(
            f'Nothing is installed in {layout.root}: run '
            f'tools/run-lab.sh up first.')
    # Not after minutes of installing.
    sandbox.refuse_others(layout.root)
    checks.disk(layout, checks.DISK_TO_INSTALL)
    with lock.held(layout):
        print('Installing the virtualenv of Tempest ...', flush=True)
        debian.install(debian.PYTHON, layout.root / 'install' / 'debian.log')
        virtualenvs.make(layout, 'tempest')


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
