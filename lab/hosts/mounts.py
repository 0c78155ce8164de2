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

"""What a host mounts privately, so that it looks like a machine."""

import pathlib
import subprocess

from lab.hosts import sandbox
from lab import layout as layouts
from lab import topology as topologies

#: Where Open vSwitch and OVN put their sockets, and where sshd locks up the
#: process that listens to strangers.
DAEMON_FOLDERS = (pathlib.Path('/run/openvswitch'), pathlib.Path('/run/ovn'),
                  pathlib.Path('/run/sshd'))


def make(layout: layouts.Layout, host: str) -> None:
    """Mount what is private to a host; runs inside of its namespaces.

    :param layout: paths of the lab
    :param host: name of the host
    :raises subprocess.CalledProcessError: if a mount is refused
    """
    _mount('-t', 'tmpfs', '-o', 'mode=755', f'{sandbox.MARK}{layout.root}',
           '/run')
    for folder in (layouts.RUN, *DAEMON_FOLDERS):
        # sshd refuses one that others may write to.
        folder.mkdir(mode=0o755)
    for source in layout.etc(host).glob('etc-*'):
        _mount('--bind', str(source), f'/etc/{source.name[4:]}')
    if layout.ceph(host).is_dir():
        _mount('--bind', str(layout.ceph(host)), layouts.CEPH)
    if host == topologies.CONTROLLER.name:
        return
    # All hosts see all processes; the first one is the supervisor, and its
    # socket lies in the controller's /run.
    layouts.SUPERVISOR_SOCKET.symlink_to(
        f'/proc/1/root{layouts.SUPERVISOR_SOCKET}')
    # /sys shows the network devices of the namespace in which it was
    # mounted; libvirt and Open vSwitch look there.
    _mount('-t', 'sysfs', 'sysfs', '/sys')
    for place in layouts.PRIVATE:
        # A later version of a package may lack one of them.
        if pathlib.Path(place).is_dir():
            _bind_folder(layout.data(host) / place.strip('/'), place)
    _bind_folder(layout.data(host) / 'instances', str(layout.instances))


def _bind_folder(source: pathlib.Path, target: str) -> None:
    source.mkdir(parents=True, exist_ok=True)
    _mount('--bind', str(source), target)


def _mount(*arguments: str) -> None:
    subprocess.run(['mount', *arguments], check=True)
