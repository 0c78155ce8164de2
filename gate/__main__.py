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

"""The program behind ``tools/run-zuul.sh``.

It starts with the system's Python and the standard library only, and continues
in Zuul's virtualenv once that exists.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys

from gate import cli
from gate import machine
from lab import errors
from lab.hosts import sandbox
from lab import layout
from lab.machine import checks
from lab.machine import debian
from lab.machine import virtualenvs

#: Commands that install all that is missing.
INSTALLING = (None, 'up')


def main(arguments: list[str]) -> int:
    """Run a command line.

    :param arguments: without the program's name
    :returns: exit code
    """
    options = cli.parse(arguments)
    # The same cleanup as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    paths = machine.Layout(machine.state_folder())
    try:
        checks.root()
        checks.system()
        checks.state_folder(paths)
        if options.command == 'down':
            ended = sandbox.down(paths)
            print('Zuul has ended.' if ended else 'No Zuul was up.')
            return 0
        if options.command == 'destroy':
            gone = sandbox.destroy(paths)
            print(f'{paths.root} is gone with everything in it.' if gone
                  else f'There is no Zuul in {paths.root}.')
            return 0
        if pathlib.Path(sys.prefix) != paths.venvs / 'machine':
            _install(paths, options.command)
            python = paths.venv_bin('machine', 'python')
            os.execv(python, [python, '-m', 'gate', *arguments])
        # Not before: it needs packages of the virtualenv.
        from gate import use
        return use.dispatch(options, paths)
    except (errors.LabError, OSError) as error:
        return errors.tell(error, paths.program)
    except KeyboardInterrupt:
        print(f'{paths.program}: interrupted.', file=sys.stderr)
        return 130


def _install(paths: machine.Layout, command: str | None) -> None:
    """Make Zuul's virtualenv if it is missing or outdated."""
    if virtualenvs.is_current(paths, 'machine'):
        return
    if command not in INSTALLING:
        if virtualenvs.is_whole(paths, 'machine'):
            return
        raise errors.LabError(f'Nothing is installed in {paths.root}: run '
                              f'tools/run-zuul.sh up first.')
    checks.disk(paths, checks.DISK_TO_INSTALL)
    with layout.locked(paths):
        print('Installing the virtualenv of Zuul ...', flush=True)
        debian.install(debian.PYTHON, paths.root / 'install' / 'debian.log')
        virtualenvs.make(paths, 'machine')


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
