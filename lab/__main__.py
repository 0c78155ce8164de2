"""Entry point: ``python3 -m lab``, started by ``tools/run-lab.sh``.

It begins with the system's Python and nothing else, and goes on in Tempest's
virtualenv once that exists.
"""

import os
import pathlib
import sys

from lab import cli
from lab import errors
from lab import layout as layouts
from lab.machine import checks
from lab.machine import debian
from lab.machine import virtualenvs

#: Commands that need nothing installed when no lab was ever made.
CLEARING = ('down', 'destroy')


def main(arguments: list[str]) -> int:
    """Run a command line.

    :param arguments: without the program's name
    :returns: exit code
    """
    options = cli.parse(arguments)
    layout = layouts.Layout(layouts.state_folder())
    try:
        checks.root()
        checks.system()
        checks.state_folder(layout)
        if not _inside_virtualenv(layout):
            if options.command in CLEARING and not layout.venvs.exists():
                print(f'There is no lab in {layout.root}.')
                return 0
            _install(layout, options.command)
            python = layout.venv_bin('tempest', 'python')
            os.execv(python, [python, '-m', 'lab', *arguments])
        from lab import dispatch
        return dispatch.run(options, layout)
    except errors.LabError as error:
        print(f'run-lab.sh: {error}', file=sys.stderr)
        return error.status
    except OSError as error:
        print(f'run-lab.sh: {error.strerror}: {error.filename}. See that it '
              f'can be read and written.', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('run-lab.sh: interrupted.', file=sys.stderr)
        return 130


def _inside_virtualenv(layout: layouts.Layout) -> bool:
    return pathlib.Path(sys.prefix) == layout.venvs / 'tempest'


def _install(layout: layouts.Layout, command: str | None) -> None:
    """Make the virtualenv that everything else runs in."""
    if virtualenvs.is_current(layout, 'tempest'):
        return
    if command not in (None, 'up'):
        raise errors.LabError(
            f'Nothing current is installed in {layout.root}: run '
            f'tools/run-lab.sh up first.')
    checks.disk(layout, checks.DISK_TO_INSTALL)
    print('Installing the virtualenv of Tempest ...', flush=True)
    debian.install(debian.PYTHON, layout.root / 'install' / 'debian.log')
    virtualenvs.make(layout, 'tempest')


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
