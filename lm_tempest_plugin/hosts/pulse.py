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

"""Whether a guest is alive that answers nothing: what libvirt sees of it.

``virsh domstats`` is asked twice. A guest whose CPUs work and that sends
nothing is stuck; one that sends, and whose answers nobody gets, has lost its
network; one whose CPUs stand still does not run, whatever its state says.

Names and units are those of virConnectGetAllDomainStats() in libvirt's
src/libvirt-domain.c: state.state is a virDomainState, vcpu.N.time is in ns,
net.N.rx and net.N.tx are counted from the guest's side.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import re
import time

from lm_tempest_plugin.hosts import remote as remotes

NS = 1_000_000_000
APART_S = 2.0
# virDomainState in include/libvirt/libvirt-domain.h.
STATES = ('no state', 'running', 'blocked', 'paused', 'shutting down',
          'shut off', 'crashed', 'suspended by its power management')


@dataclasses.dataclass(frozen=True)
class Beat:
    """What libvirt has counted of a guest.

    :ivar state: in words
    :ivar cpu_s: time of all its virtual CPUs together
    :ivar received: packets that all its interfaces got
    :ivar sent: packets that they sent
    """

    state: str
    cpu_s: float
    received: int
    sent: int


def take(remote: remotes.Remote, virsh: Sequence[str], domain: str,
         apart_s: float = APART_S,
         clock: Callable[[], float] = time.monotonic,
         sleep: Callable[[float], None] = time.sleep) -> str:
    """Return in words what a guest did within a short time.

    :param remote: the host that the guest is on
    :param virsh: how virsh is called
    :param domain: name or UUID
    :param apart_s: how long to look, in seconds
    :param clock: says what time it is, in seconds
    :param sleep: waits for so many seconds
    :raises HostError: the host cannot be asked, or answers what cannot be
        understood
    """
    first, begin_s = _ask(remote, virsh, domain), clock()
    sleep(apart_s)
    second, end_s = _ask(remote, virsh, domain), clock()
    return ('libvirt on %s says that it is %s; within %.1f s its CPUs worked '
            'for %.2f s, and it received %d packets and sent %d' % (
                remote.name, second.state, end_s - begin_s,
                second.cpu_s - first.cpu_s, second.received - first.received,
                second.sent - first.sent))


def _ask(remote: remotes.Remote, virsh: Sequence[str], domain: str) -> Beat:
    output = remote.run(*virsh, 'domstats', '--raw', '--state', '--vcpu',
                        '--interface', domain)
    try:
        return parse(output)
    except (KeyError, ValueError, IndexError) as exc:
        raise remotes.HostError(
            '%s: what virsh counts of domain %s cannot be understood: %r' % (
                remote.name, domain, exc)) from exc


def parse(output: str) -> Beat:
    """Return what is counted in what virsh domstats prints.

    :param output: a line for each figure: name=value
    :raises KeyError: there is no state
    :raises ValueError: a figure is none
    :raises IndexError: the state is none that is known
    """
    values = dict(re.findall(r'^\s*(\S+?)=(\S*)\s*$', output, re.M))

    def total(pattern: str) -> int:
        return sum(int(value) for name, value in values.items()
                   if re.fullmatch(pattern, name))

    return Beat(
        STATES[int(values['state.state'])],
        total(r'vcpu\.\d+\.time') / NS, total(r'net\.\d+\.rx\.pkts'),
        total(r'net\.\d+\.tx\.pkts'))
