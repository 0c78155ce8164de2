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

"""Set up the namespaces of a Zuul, from within.

``python -m gate.namespaces controller STATE_FOLDER SUPERVISOR_CONF`` is the
first process of a Zuul and becomes its supervisor. When it ends, the kernel
ends all others, the lab that a job started included.
"""

import os
import pathlib
import subprocess
import sys
import typing

from gate import machine
from lab.hosts import namespaces
from lab.hosts import network

#: Connects the namespaces to the outside, for pip and apt in a job, without
#: a port, an address or a route of the machine. Here it is the last step.
NETWORK = ('read -r _ && exec slirp4netns --configure --mtu=65520 '
           '--disable-host-loopback 1 tap0')


def become_controller(root: str, supervisor_conf: str) -> None:
    """Set up the namespaces and become the supervisor.

    :param root: the state folder
    :param supervisor_conf: configuration of the supervisor
    """
    paths = machine.Layout(pathlib.Path(root))
    # It belongs to these namespaces, apart from the network, and ends with
    # them.
    outside = subprocess.Popen(['sh', '-c', NETWORK], stdin=subprocess.PIPE)
    machine.call('unshare', machine.CLONE_NEWNET)
    network.loopback_up()
    namespaces.mount_private(paths, machine.HOST)
    machine.JOBS.mkdir()
    jobs = paths.services / 'jobs'
    jobs.mkdir()
    subprocess.run(['mount', '--bind', str(jobs), str(machine.JOBS)],
                   check=True)
    with typing.cast(typing.IO[bytes], outside.stdin) as go:
        go.write(b'\n')
    program = paths.venv_bin('machine', 'supervisord')
    os.execv(program, [program, '--nodaemon', '--configuration',
                       supervisor_conf])


if __name__ == '__main__':
    become_controller(*sys.argv[2:])
