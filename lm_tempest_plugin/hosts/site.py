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

"""Where a compute host is, and how nova-compute is handled there."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Site:
    """One compute host. Nothing in here is a secret.

    :ivar name: as nova calls the host
    :ivar address: where its SSH server answers
    :ivar port: TCP port of that server
    :ivar user: who logs in
    :ivar key_file: path of the user's private key; empty for those of an
        SSH agent, and those in ~/.ssh
    :ivar known_hosts_file: path of the file with the hosts' public keys
    :ivar sudo: whether commands need sudo
    :ivar nova_conf: path of the file on the host from which nova-compute
        reads its options
    :ivar restart_command: command on the host that restarts nova-compute
    :ivar pid_command: command on the host that prints the process id of
        nova-compute
    """

    name: str
    address: str
    port: int
    user: str
    key_file: str
    known_hosts_file: str
    sudo: bool
    nova_conf: str
    restart_command: str
    pid_command: str

    def __str__(self) -> str:
        return 'host %s (%s@%s, port %d)' % (
            self.name, self.user, self.address, self.port)
