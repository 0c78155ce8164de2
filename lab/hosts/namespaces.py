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

"""Set up hosts from within their namespaces.

``python -m lab.hosts.namespaces controller STATE_FOLDER SUPERVISOR_CONF`` is
the first process of a lab and becomes its supervisor.

``python -m lab.hosts.namespaces compute STATE_FOLDER HOST`` sets up a compute
host, reports that, and keeps its namespaces.
"""

import os
import pathlib
import socket
import subprocess
import sys

from lab import errors
from lab.hosts import network
from lab import layout
from lab.machine import userland
from lab import topology

#: Open vSwitch and OVN put their sockets into the first two. sshd locks the
#: process that talks to strangers into the last one.
DAEMON_FOLDERS = (pathlib.Path('/run/openvswitch'), pathlib.Path('/run/ovn'),
                  pathlib.Path('/run/sshd'))
#: The keeper of a compute host prints it when its host is set up.
SET_UP = b'set up\n'


def make_compute(paths: layout.Layout, host: str) -> None:
    """Make a compute host's namespaces and mounts, from inside the lab.

    An idle process keeps them. Files that hold namespaces without a process
    would have to be mounted, and Linux 6.18 refuses that at random for mount
    namespaces (it compares numbers that are not in order).

    :param paths: paths of the lab
    :param host: name of the host
    :raises errors.LabError: if the kernel or mount(8) refuses something
    """
    keeper = subprocess.Popen(
        ['unshare', '--net', '--mount', '--uts', '--propagation', 'private',
         sys.executable, '-m', 'lab.hosts.namespaces', 'compute',
         str(paths.root), host],
        cwd=layout.REPOSITORY, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, start_new_session=True)
    assert keeper.stdout is not None
    with keeper.stdout as stdout:
        said = stdout.readline()
    if said != SET_UP:
        raise errors.LabError(f'The namespaces of {host} cannot be made: see '
                              f'the reason above.')
    for kind in ('net', 'mnt', 'uts'):
        link = layout.namespace(host, kind)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(f'/proc/{keeper.pid}/ns/{kind}')


def become_controller(root: str, supervisor_conf: str) -> None:
    """Set up the controller and become its supervisor.

    :param root: the lab's state folder
    :param supervisor_conf: configuration of the supervisor
    """
    paths = layout.Layout(pathlib.Path(root))
    mount_private(paths, topology.CONTROLLER.name)
    socket.sethostname(topology.CONTROLLER.name)
    network.loopback_up()
    network.allow_ping_sockets()
    program = paths.venv_bin('tempest', 'supervisord')
    os.execv(program, [program, '--nodaemon', '--configuration',
                       supervisor_conf])


def become_compute(root: str, host: str) -> None:
    """Set up a compute host, and become the process that keeps it.

    :param root: the lab's state folder
    :param host: name of the host
    """
    mount_private(layout.Layout(pathlib.Path(root)), host)
    socket.sethostname(host)
    network.loopback_up()
    os.write(sys.stdout.fileno(), SET_UP)
    # The lab's console must not wait for the end of this output.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.dup2(devnull, sys.stderr.fileno())
    os.execvp('sleep', ['sleep', 'infinity'])


def mount_private(paths: layout.Layout, host: str) -> None:
    """Mount a host's private folders; runs inside its namespaces.

    :param paths: paths of the lab
    :param host: name of the host
    :raises subprocess.CalledProcessError: if a mount is refused
    """
    _mount('-t', 'tmpfs', '-o', 'mode=755', f'{paths.mark}{paths.root}',
           '/run')
    for folder in (layout.RUN, *DAEMON_FOLDERS):
        # sshd refuses one that others may write to.
        folder.mkdir(mode=0o755)
    for source in paths.etc(host).glob('etc-*'):
        _mount('--bind', str(source), f'/etc/{source.name[4:]}')
    if paths.ceph(host).is_dir():
        _mount('--bind', str(paths.ceph(host)), layout.CEPH)
    if host == topology.CONTROLLER.name:
        return
    # All hosts see all processes; the first one is the supervisor, and its
    # socket lies in the controller's /run.
    layout.SUPERVISOR_SOCKET.symlink_to(
        f'/proc/1/root{layout.SUPERVISOR_SOCKET}')
    # /sys shows the network devices of the namespace in which it was
    # mounted; libvirt and Open vSwitch look there.
    _mount('-t', 'sysfs', 'sysfs', '/sys')
    # A later version of a package may lack one of the folders.
    private = {place: paths.data(host) / place.strip('/')
               for place in layout.PRIVATE if pathlib.Path(place).is_dir()}
    private[str(paths.instances)] = paths.data(host) / 'instances'
    for target, own in private.items():
        own.mkdir(parents=True, exist_ok=True)
        _mount('--bind', str(own), target)
    if paths.userland(host).is_dir():
        # Last of all: with everything that is mounted by now.
        for below, place in userland.mounts(
                paths, paths.userland(host).resolve()):
            _mount('--rbind', below, str(place))


def _mount(*arguments: str) -> None:
    subprocess.run(['mount', *arguments], check=True)


if __name__ == '__main__':
    {'controller': become_controller,
     'compute': become_compute}[sys.argv[1]](*sys.argv[2:])
