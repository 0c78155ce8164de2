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

"""Where a Zuul lives: its paths, its processes and its network."""

from __future__ import annotations

import ctypes
import os
import pathlib

from lab import errors
from lab.hosts import sandbox
from lab import layout

#: The only host. The lab's modules give the first process of each lab this
#: name.
HOST = 'controller'
#: Folders below the state folder that hold a lab: a job puts its own there.
LAB = 'node/lab'
CLONE_NEWNET = 0x40000000
#: In the private /run. Below it are sockets of SSH and Ansible, whose paths
#: may have 107 bytes, and 32 are the id of the build.
JOBS = pathlib.Path('/run/jobs')


class Layout(layout.Layout):
    """Paths of one Zuul.

    As in a lab, each ``up`` makes ``cloud`` and ``log`` anew. ``node``, with
    the lab of the jobs, is kept.
    """

    program = 'run-zuul.sh'
    variable = 'LM_ZUUL_DIR'
    mark = 'lm-zuul:'
    entries = ('builds', 'cache', 'cloud', 'install', 'lock', 'log', 'node',
               'pictures', 'venvs')
    max_length = layout.MAX_ROOT_LENGTH - len(f'/{LAB}')

    @property
    def services(self) -> pathlib.Path:
        """Data of the services."""
        return self.data(HOST)

    @property
    def repositories(self) -> pathlib.Path:
        """The Git repositories of the review server."""
        return self.services / 'review' / 'git'

    @property
    def review(self) -> pathlib.Path:
        """Data of the review server."""
        return self.services / 'review'

    @property
    def node(self) -> pathlib.Path:
        """Home of root in the namespaces, and so on the node of the jobs."""
        return self.root / 'node'

    @property
    def builds(self) -> pathlib.Path:
        """Logs of each build, by its id."""
        return self.root / 'builds'

    @property
    def pictures(self) -> pathlib.Path:
        """Pictures of Zuul's pages."""
        return self.root / 'pictures'


def state_folder() -> pathlib.Path:
    """Return LM_ZUUL_DIR, or ``.zuul`` in the repository; absolute."""
    value = os.environ.get(Layout.variable)
    return (pathlib.Path(value).resolve() if value
            else layout.REPOSITORY / '.zuul')


def find(paths: Layout) -> sandbox.Process:
    """Return the first process of the Zuul that is up.

    :param paths: paths of the Zuul
    :raises errors.LabError: if none is up
    """
    process = sandbox.find(paths.root, paths.mark)
    if process is None:
        raise errors.LabError(f'No Zuul is up in {paths.root}: '
                              f'tools/run-zuul.sh up starts one.')
    return process


def begin(paths: Layout, supervisor_conf: pathlib.Path, tied: bool) -> None:
    """Make the namespaces, start the supervisor, and enter their network.

    :param paths: paths of the Zuul
    :param supervisor_conf: configuration of the supervisor
    :param tied: whether all ends when this process does, even by SIGKILL
    :raises errors.LabError: if it does not come up
    """
    # The network namespace is made inside, because the program that connects
    # it to the outside starts before.
    sandbox.begin(paths, supervisor_conf, 'gate.namespaces',
                  ('--kill-child',) if tied else (),
                  ('setpriv', '--pdeathsig', 'KILL') if tied else ())
    enter_network(find(paths))


def enter_network(process: sandbox.Process) -> None:
    """Move this thread into the network of a Zuul; later threads follow.

    :param process: the first process of the Zuul
    :raises OSError: if the kernel refuses
    """
    with open(f'/proc/{process.pid}/ns/net', 'rb') as namespace:
        call('setns', namespace.fileno(), CLONE_NEWNET)


def call(function: str, *arguments: int) -> None:
    """Call a function of the C library that Python 3.11 does not have.

    :param function: its name
    :param arguments: its arguments
    :raises OSError: if it fails
    """
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f'{function}: {os.strerror(number)}')
