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

"""The machine of the benchmark, and its network that nobody else sees.

The program runs in network, PID and mount namespaces of its own, without
names: however it ends, the kernel kills all its children and removes the
devices. The addresses are those that RFC 2544 and RFC 5180 reserve for
benchmarks. The load and the delays of the machine are measured as well: a
figure that was measured while others used the CPUs says more about them than
about the tool.
"""

from collections.abc import Sequence
import ctypes
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from bench.precision import children

INSIDE = 'BENCH_PRECISION_INSIDE'
UNSHARE = ('unshare', '--net', '--pid', '--fork', '--kill-child',
           '--mount-proc')
PING_GROUPS = pathlib.Path('/proc/sys/net/ipv4/ping_group_range')
TUN_DEVICE = pathlib.Path('/dev/net/tun')
NFTABLES_LIBRARY = 'libnftables.so.1'
# Debian package: one of its commands
PACKAGES = {'iproute2': 'ip', 'nftables': 'nft', 'fping': 'fping',
            'iputils-ping': 'ping', 'util-linux': 'unshare',
            'stress-ng': 'stress-ng'}

# Our responder answers behind the TUN device, the kernel behind the veth.
TUN_NAME = 'tun0'
TUN_ADDRESSES = ('198.18.0.1/16', '2001:2:0:1::1/64')
NEAR_NAME, FAR_NAME = 'near', 'far'
NEAR_ADDRESSES = ('192.0.2.1/24', '2001:2:0:3::1/64')
FAR_ADDRESSES = ('192.0.2.2/24', '2001:2:0:3::2/64')
FAR_GATEWAYS = ('192.0.2.2', '2001:2:0:3::2')
FAR_NETS = ('198.19.0.0/16', '2001:2:0:2::/64')
HOSTS_PER_NET = 200
JOIN_S = 5.0

STAT = pathlib.Path('/proc/stat')
# Place of the stolen time in the first line of STAT, after its name.
STEAL = 7
# The guest times, which come last, are included in the others.
COUNTED = 8
# A higher load, in processes, means that somebody else is at work.
QUIET_LOAD = 0.5
PERCENTS = 100


def missing_packages() -> list[str]:
    """Return the Debian packages that are needed and not installed."""
    missing = [package for package, command in PACKAGES.items()
               if shutil.which(command) is None]
    try:
        ctypes.CDLL(NFTABLES_LIBRARY)
    except OSError:
        missing.append('libnftables1')
    return missing


def enter(module: str, arguments: Sequence[str]) -> None:
    """Run this program again in its own namespaces; return inside them.

    :param module: for ``python -m``
    :param arguments: its arguments
    :raises BenchError: we are not root, or something is missing
    """
    # The variable alone may have been inherited. PID 1 as well means that
    # the namespace, whose settings are changed, is ours.
    if INSIDE in os.environ and os.getpid() == 1:
        PING_GROUPS.write_text('0 2147483647\n')
        ip('link', 'set', 'lo', 'up')
        return
    if os.geteuid() != 0:
        raise children.BenchError(
            'network namespaces need root: run this as root.')
    missing = missing_packages()
    if missing:
        raise children.BenchError(
            f'please install the Debian packages '
            f'{" ".join(sorted(missing))}.')
    if not TUN_DEVICE.exists():
        raise children.BenchError(f'this kernel offers no {TUN_DEVICE}.')
    os.environ[INSIDE] = '1'
    os.execvp(UNSHARE[0], [*UNSHARE, '--', sys.executable, '-m', module,
                           *arguments])


def ip(*arguments: str, prefix: Sequence[str] = ()) -> None:
    """Run ip(8).

    :param arguments: of ``ip``
    :param prefix: a command that runs it elsewhere
    """
    subprocess.run([*prefix, 'ip', *arguments], check=True)


def add_addresses(device: str, addresses: Sequence[str],
                  prefix: Sequence[str] = ()) -> None:
    """Give a device its addresses, for use at once, and bring it up."""
    for address in addresses:
        # Duplicate address detection of IPv6 would take a second or two.
        flags = ['nodad'] if ':' in address else []
        ip('address', 'add', address, 'dev', device, *flags, prefix=prefix)
    ip('link', 'set', device, 'up', prefix=prefix)


def tun_host(number: int, six: bool = False) -> str:
    """Return the address of a host behind the TUN device.

    :param number: counted from 0
    :param six: whether to return an IPv6 address
    """
    net, host = divmod(number, HOSTS_PER_NET)
    if six:
        return f'2001:2:0:1::{1 + net:x}:{1 + host:x}'
    return f'198.18.{1 + net}.{1 + host}'


def far_host(number: int) -> str:
    """Return an address for which the far namespace's kernel answers.

    :param number: counted from 0
    """
    net, host = divmod(number, HOSTS_PER_NET)
    return f'198.19.{1 + net}.{1 + host}'


class Far:
    """A second network namespace, at the other end of a veth.

    :ivar prefix: the command that runs another one in it
    """

    def __init__(self) -> None:
        """Create the namespace; a sleeping process holds it.

        :raises BenchError: it did not start in time
        """
        self._holder = subprocess.Popen(
            ['unshare', '--net', 'sleep', 'infinity'])
        net = f'/proc/{self._holder.pid}/ns/net'
        self.prefix = ['nsenter', f'--net={net}']
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
                raise children.BenchError(
                    f'no second network namespace within {JOIN_S:g} s.')
            time.sleep(0.01)

    def _join(self) -> None:
        """Connect both, and let the kernel there answer for whole nets."""
        ip('link', 'add', NEAR_NAME, 'type', 'veth', 'peer', 'name',
           FAR_NAME, 'netns', str(self._holder.pid))
        add_addresses(NEAR_NAME, NEAR_ADDRESSES)
        ip('link', 'set', 'lo', 'up', prefix=self.prefix)
        add_addresses(FAR_NAME, FAR_ADDRESSES, self.prefix)
        for net, gateway in zip(FAR_NETS, FAR_GATEWAYS):
            ip('route', 'add', 'local', net, 'dev', 'lo', prefix=self.prefix)
            ip('route', 'add', net, 'via', gateway)

    def close(self) -> None:
        """Remove the namespace, and the veth with it."""
        self._holder.kill()
        self._holder.wait()


def cpu_times(text: str) -> tuple[int, int]:
    """Return the stolen and the whole CPU time so far, in ticks.

    :param text: content of /proc/stat
    """
    times = [int(field) for field in text.split('\n', 1)[0].split()[1:]]
    return times[STEAL], sum(times[:COUNTED])


class CpuWatch:
    """Load and stolen CPU time of the machine, from now on.

    :ivar load: load at the begin
    """

    def __init__(self) -> None:
        """Read the present values."""
        self.load = os.getloadavg()[0]
        self._stolen, self._all = cpu_times(STAT.read_text())

    def stolen(self) -> float:
        """Return the fraction of all CPU time that the hypervisor took."""
        stolen, total = cpu_times(STAT.read_text())
        return (stolen - self._stolen) / max(1, total - self._all)


def sleep_lateness(duration_s: float, step_s: float) -> dict[str, float]:
    """Measure how late a process wakes up that only sleeps.

    No prober can do better. It is the delay of the machine itself, with its
    hypervisor and all other users.

    :param duration_s: length of the measurement, in seconds
    :param step_s: time between two wake-ups, in seconds
    :returns: median, 99th percentile and maximum, in seconds
    """
    late_s = []
    begin_s = time.monotonic()
    for number in range(1, round(duration_s / step_s)):
        due_s = begin_s + number * step_s
        remaining_s = due_s - time.monotonic()
        if remaining_s > 0:
            time.sleep(remaining_s)
        late_s.append(time.monotonic() - due_s)
    cuts = statistics.quantiles(late_s, n=PERCENTS)
    return {'lateness_p50_s': statistics.median(late_s),
            'lateness_p99_s': cuts[-1], 'lateness_max_s': max(late_s)}
