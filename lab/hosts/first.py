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

"""The first process of a lab: becomes the supervisor inside of it.

Run as ``python -m lab.hosts.first STATE_FOLDER SUPERVISOR_CONF`` in new
namespaces.
"""

import os
import pathlib
import socket
import sys

from lab.hosts import mounts
from lab.hosts import network
from lab import layout as layouts
from lab import topology as topologies


def main(root: str, supervisor_conf: str) -> None:
    """Set up the controller and become its supervisor.

    :param root: the lab's state folder
    :param supervisor_conf: configuration of the supervisor
    """
    layout = layouts.Layout(pathlib.Path(root))
    mounts.make(layout, topologies.CONTROLLER.name)
    socket.sethostname(topologies.CONTROLLER.name)
    network.loopback_up()
    network.allow_ping_sockets()
    program = layout.venv_bin('tempest', 'supervisord')
    os.execv(program, [program, '--nodaemon', '--configuration',
                       supervisor_conf])


if __name__ == '__main__':
    main(*sys.argv[1:])
