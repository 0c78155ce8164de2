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

"""Restarts a program of the lab, or tells its process id, from any host.

Run as ``python -m lab.cloud.service restart PROGRAM``, or ``pid``.
"""

import shlex
import sys

from lab.cloud import supervisor as supervisors
from lab import errors
from lab import layout as layouts


def command(layout: layouts.Layout) -> str:
    """The beginning of a command line that runs this, for a shell.

    :param layout: paths of the lab
    """
    return shlex.join(('env', f'PYTHONPATH={layouts.REPOSITORY}',
                       layout.venv_bin('tempest', 'python'), '-m',
                       'lab.cloud.service'))


def main(action: str, program: str) -> int:
    """Do what is asked for.

    :param action: ``restart``: return when the old process is gone and the
        new one has stayed up for a second; ``pid``: print the process id, 0
        if it is not up
    :param program: a name that ``status`` shows
    :returns: exit code
    """
    supervisor = supervisors.Supervisor(layouts.SUPERVISOR_SOCKET)
    try:
        if action == 'restart':
            supervisor.restart(program)
        else:
            print(supervisor.state(program).pid)
    except errors.LabError as error:
        return errors.tell(error)
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
