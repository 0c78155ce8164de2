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

"""The network of the benchmark: namespaces that nobody else sees.

The program runs in network, PID and mount namespaces of its own, without
names: when it ends, however it ends, the kernel kills all its children and
takes the devices away. The addresses are those that RFC 2544 and RFC 5180
set aside for benchmarks.
"""

from collections.abc import Sequence
import ctypes
import os
import pathlib
import shutil
import subprocess
import sys
import time

from bench.precision import errors

INSIDE = 'BENCH_PRECISION_INSIDE'
UNSHARE = ('unshare', '--net', '--pid', '--fork', '--kill-child',
           '--mount-proc')
PING_GROUPS = pathlib.Path('/proc/sys/net/ipv4/ping_group_range')
TUN_DEVICE = pathlib.Path('/dev/net/tun')
NFTABLES_LIBRARY = 'libnftables.so.1'
# Debian package: a command of it
PACKAGES = {'iproute2': 'ip', 'nftables': 'nft', 'fping': 'fping',
            'iputils-ping': 'ping', 'util-linux': 'unshare',
            'stress-ng': 'stress-ng'}

# Behind the TUN device our responder answers, behind the veth the kernel.
TUN_NAME = 'tun0'
TUN_ADDRESSES = ('198.18.0.1/16', '2001:2:0:1::1/64')
TUN_HOST, TUN_HOST6 = '198.18.%d.%d', '2001:2:0:1::%x:%x'
NEAR_NAME, FAR_NAME = 'near', 'far'
NEAR_ADDRESSES = ('192.0.2.1/24', '2001:2:0:3::1/64')
FAR_ADDRESSES = ('192.0.2.2/24', '2001:2:0:3::2/64')
FAR_GATEWAYS = ('192.0.2.2', '2001:2:0:3::2')
FAR_NETS = ('198.19.0.0/16', '2001:2:0:2::/64')
FAR_HOST, FAR_HOST6 = '198.19.%d.%d', '2001:2:0:2::%x:%x'
HOSTS_PER_NET = 200
JOIN_S = 5.0


def missing_packages() -> list[str]:
    """Return the Debian packages that are needed and not there."""
    missing = [package for package, command in PACKAGES.items()
               if shutil.which(command) is None]
    try:
        ctypes.CDLL(NFTABLES_LIBRARY)
    except OSError:
        missing.append('libnftables1')
    return missing


def enter(module: str, arguments: Sequence[str]) -> None:
    """Run this program again in its own namespaces; return inside them.

    :param module: what follows ``python -m``
    :param arguments: its arguments
    :raises BenchError: we are not root, or something is missing
    """
    # The variable alone may be a stranger's, and settings would be ours.
    if INSIDE in os.environ and os.getpid() == 1:
        prepare()
        return
    if os.geteuid() != 0:
        raise errors.BenchError(
            'network namespaces are needed, so run this as root.')
    missing = missing_packages()
    if missing:
        raise errors.BenchError('please install the Debian packages %s.'
                                % ' '.join(sorted(missing)))
    if not TUN_DEVICE.exists():
        raise errors.BenchError('this kernel offers no %s.' % TUN_DEVICE)
    os.environ[INSIDE] = '1'
    os.execvp(UNSHARE[0], [*UNSHARE, '--', sys.executable, '-m', module,
                           *arguments])


def prepare() -> None:
    """Bring the new network namespace to life."""
    PING_GROUPS.write_text('0 2147483647\n')
    ip('link', 'set', 'lo', 'up')


def ip(*arguments: str, prefix: Sequence[str] = ()) -> None:
    """Run ip(8).

    :param arguments: what follows ``ip``
    :param prefix: a command that runs it elsewhere
    """
    subprocess.run([*prefix, 'ip', *arguments], check=True)


def add_addresses(device: str, addresses: Sequence[str],
                  prefix: Sequence[str] = ()) -> None:
    """Give a device its addresses, to be used at once, and bring it up."""
    for address in addresses:
        # An IPv6 address would be tried out first, for a second or two.
        flags = ['nodad'] if ':' in address else []
        ip('address', 'add', address, 'dev', device, *flags, prefix=prefix)
    ip('link', 'set', device, 'up', prefix=prefix)


def address_tun() -> None:
    """Give the responder's device its addresses."""
    add_addresses(TUN_NAME, TUN_ADDRESSES)


def tun_host(number: int, six: bool = False) -> str:
    """Return the address of a host behind the TUN device.

    :param number: counted from 0
    :param six: whether the address is to be an IPv6 one
    """
    return _host(TUN_HOST6 if six else TUN_HOST, number)


def far_host(number: int, six: bool = False) -> str:
    """Return an address for which the far namespace's kernel answers."""
    return _host(FAR_HOST6 if six else FAR_HOST, number)


def _host(pattern: str, number: int) -> str:
    return pattern % (1 + number // HOSTS_PER_NET,
                      1 + number % HOSTS_PER_NET)


class Far:
    """A second network namespace, at the other end of a veth.

    :ivar prefix: the command that runs another one in it
    """

    def __init__(self) -> None:
        """Make the namespace; a sleeping process holds it."""
        self._holder = subprocess.Popen(
            ['unshare', '--net', 'sleep', 'infinity'])
        net = '/proc/%d/ns/net' % self._holder.pid
        self.prefix = ['nsenter', '--net=%s' % net]
        try:
            self._wait(net)
            self._join()
        except BaseException:
            self.close()
            raise

    def _wait(self, net: str) -> None:
        """Wait until the holder has left our namespace."""
        deadline = time.monotonic() + JOIN_S
        while os.readlink(net) == os.readlink('/proc/self/ns/net'):
            if time.monotonic() > deadline:
                raise errors.BenchError(
                    'no second network namespace within %g s.' % JOIN_S)
            time.sleep(0.01)

    def _join(self) -> None:
        """Lay the cable, and let the kernel there answer for whole nets."""
        ip('link', 'add', NEAR_NAME, 'type', 'veth', 'peer', 'name',
           FAR_NAME, 'netns', str(self._holder.pid))
        add_addresses(NEAR_NAME, NEAR_ADDRESSES)
        ip('link', 'set', 'lo', 'up', prefix=self.prefix)
        add_addresses(FAR_NAME, FAR_ADDRESSES, self.prefix)
        for net, gateway in zip(FAR_NETS, FAR_GATEWAYS):
            ip('route', 'add', 'local', net, 'dev', 'lo', prefix=self.prefix)
            ip('route', 'add', net, 'via', gateway)

    def close(self) -> None:
        """Let the namespace go, and the cable with it."""
        self._holder.kill()
        self._holder.wait()
