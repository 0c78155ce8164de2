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

"""SSH access to the compute hosts: the keys on both sides.

A cloud has keys of its own. The hosts' keys are known because they were made
here; nobody asks the network for them.
"""

import pathlib

from lab.cloud import commands
from lab import files
from lab import layout as layouts
from lab import topology as topologies

#: TCP port of sshd on each compute host's management address.
PORT = 22
USER = 'root'


def make_keys(layout: layouts.Layout, topology: topologies.Topology) -> None:
    """Make a key for each compute host and one for those who log in.

    :param layout: paths of the lab
    :param topology: the hosts
    :raises errors.LabError: if ssh-keygen fails
    """
    user = _make_key(layout.ssh_key, 'lab')
    known = []
    for host in topology.compute_hosts:
        etc = layout.etc(host.name)
        key = _make_key(etc / 'ssh_host_ed25519_key', host.name)
        known.append(f'{host.name},{host.address} {key}')
        files.write(etc / 'authorized_keys', user, mode=0o600)
    files.write(layout.known_hosts, ''.join(known))


def _make_key(path: pathlib.Path, comment: str) -> str:
    """Make a key, in place of the one that may be there.

    :param path: where the private key goes
    :param comment: what the key is called
    :returns: the line of the public key
    """
    public = path.with_name(f'{path.name}.pub')
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path, public):
        # ssh-keygen would ask whether to overwrite it.
        old.unlink(missing_ok=True)
    commands.run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment,
                 '-f', path)
    return public.read_text()
