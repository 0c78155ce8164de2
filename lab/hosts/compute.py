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

"""Makes the namespaces of a compute host, from inside of the lab.

Run as ``python -m lab.hosts.compute STATE_FOLDER HOST`` it sets up the
namespaces that it was started in, says so, and keeps them.
"""

import os
import pathlib
import socket
import subprocess
import sys

from lab import errors
from lab.hosts import mounts
from lab.hosts import network
from lab import layout as layouts


#: What the keeper says when its host is set up.
SET_UP = b'set up\n'


def make(layout: layouts.Layout, host: str) -> None:
    """Make a compute host's namespaces and what it mounts.

    A process that does nothing keeps them. Files that hold them without one
    would have to be mounted, and Linux 6.18 refuses that at random for
    mount namespaces (it compares numbers that are not in order).

    :param layout: paths of the lab
    :param host: name of the host
    :raises errors.LabError: if something is refused
    """
    keeper = subprocess.Popen(
        ['unshare', '--net', '--mount', '--uts', '--propagation', 'private',
         sys.executable, '-m', 'lab.hosts.compute', str(layout.root), host],
        cwd=layouts.REPOSITORY, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, start_new_session=True)
    assert keeper.stdout is not None
    with keeper.stdout as stdout:
        said = stdout.readline()
    if said != SET_UP:
        raise errors.LabError(f'The namespaces of {host} cannot be made: the '
                              f'reason stands above.')
    for kind in ('net', 'mnt', 'uts'):
        link = layouts.namespace(host, kind)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(f'/proc/{keeper.pid}/ns/{kind}')


def main(root: str, host: str) -> None:
    """Set up a compute host from within, and keep it.

    :param root: the lab's state folder
    :param host: name of the host
    """
    mounts.make(layouts.Layout(pathlib.Path(root)), host)
    socket.sethostname(host)
    network.loopback_up()
    os.write(sys.stdout.fileno(), SET_UP)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.dup2(devnull, sys.stderr.fileno())
    os.execvp('sleep', ['sleep', 'infinity'])


if __name__ == '__main__':
    main(*sys.argv[1:])
