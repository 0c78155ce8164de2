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

"""nova-compute's process: restart it, and wait until the new one works.

While it shuts down (up to 180 s in nova 34), the old nova-compute still takes
requests, and loses them. So the old process must be gone and the new one
must have reported to nova before a host is used.
"""

from collections.abc import Callable
from collections.abc import Sequence
import operator
import posixpath
import re
import time
from typing import TypeVar

from oslo_log import log as logging

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)

State = TypeVar('State')

INTERVAL_S = 0.5
# A nova-compute that cannot start exits within a few seconds, and a
# supervisor that restarts it gives it a new process id each time.
STEADY_S = 5.0
# pbr stores the commit from which a package was built. Two commits between
# the same releases may have the same version.
VERSION_PROGRAM = """\
import importlib.metadata, json
nova = importlib.metadata.distribution('nova')
built = json.loads(nova.read_text('pbr.json') or '{}')
print(nova.version + (
    '' if built.get('is_release', True) else '+g' + built['git_version']))
"""

#: Returns the time at which a host's nova-compute last reported, as nova's
#: API shows it; None if nova considers it down.
Reported = Callable[[str], str | None]


class NotStarted(remote.HostError):
    """nova-compute was restarted and does not work.

    It exits soon after its start, or it lives and nova never hears from it:
    with native threads in oslo.service, as in nova 34, other threads outlive
    an error that ended the main one.
    """


class Restarter:
    """Restart nova-compute on hosts.

    :param reported: asks nova when a host's service last reported; None to
        watch the process alone
    :param timeout_s: time for nova-compute to stop, and again to start, in
        seconds
    :param clock: returns a monotonic time in seconds
    :param sleep: takes seconds
    """

    def __init__(self, reported: Reported | None, timeout_s: float,
                 clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._reported = reported
        self._timeout_s = timeout_s
        self._clock = clock
        self._sleep = sleep

    def restart(self, host: remote.Remote) -> None:
        """Restart nova-compute, and return when the new one works.

        :param host: the host
        :raises NotStarted: the new process exits, or does not report in time
        :raises HostError: the host refuses, or the old process does not end
            in time
        """
        old = process_id(host)
        LOG.info('Host %s: restarting nova-compute, process %d', host.name,
                 old)
        begin_s = self._clock()
        try:
            # The command may wait for both, the end and the start.
            host.run('sh', '-c', host.site.restart_command,
                     timeout_s=2 * self._timeout_s)
        except remote.CommandFailed as exc:
            # systemctl fails if a service of type notify does not get ready.
            raise NotStarted(str(exc)) from exc
        self._wait(host, begin_s, f'the end of the old process, {old}',
                   operator.not_, lambda: alive(host, old))
        # A slow end takes no time away from the start.
        begin_s = self._clock()
        before = self._reported(host.name) if self._reported else None
        new, _ = self._wait(
            host, begin_s, f'a new process that lives for {STEADY_S:g} s',
            lambda state: bool(state[0]) and state[1] >= STEADY_S,
            self._process_reader(host), NotStarted)
        if self._reported is not None:
            reported = self._reported
            self._wait(host, begin_s,
                       f'a report to nova from the new process, {new}',
                       lambda state: state not in (None, before),
                       lambda: reported(host.name), NotStarted)
        LOG.info('Host %s: nova-compute is process %d', host.name, new)

    def _process_reader(self, host: remote.Remote
                        ) -> Callable[[], tuple[int, float]]:
        """Return a function that returns a process id and its age.

        The age is the time for which the process was seen alive, in seconds.
        """
        last, since_s = 0, self._clock()

        def read() -> tuple[int, float]:
            nonlocal last, since_s
            found = process_id(host)
            if not found or found != last or not alive(host, found):
                last, since_s = found, self._clock()
            return last, self._clock() - since_s

        return read

    def _wait(self, host: remote.Remote, begin_s: float, awaited: str,
              condition: Callable[[State], bool], read: Callable[[], State],
              error: type[remote.HostError] = remote.HostError) -> State:
        # The command itself has taken a part of the time.
        left_s = max(0.0, begin_s + self._timeout_s - self._clock())
        try:
            return utils.wait_until(
                condition, read, awaited, left_s, INTERVAL_S,
                clock=self._clock, sleep=self._sleep)
        except utils.WaitTimeout as exc:
            raise error(
                f'{host.site}: {host.site.restart_command!r} was run, '
                f'nova-compute has {self._timeout_s:g} s to stop and as long '
                f'to start; {exc}') from exc


def process_id(host: remote.Remote) -> int:
    """Return the process id of nova-compute; 0 if it does not run.

    :param host: the host
    :raises HostError: pid_command prints something else
    """
    printed = host.run('sh', '-c', host.site.pid_command).strip()
    if not printed:
        return 0
    if not printed.isdecimal():
        raise remote.HostError(
            f'{host.site}: {host.site.pid_command!r} printed {printed!r}, '
            'which is not a process id')
    return int(printed)


def alive(host: remote.Remote, process: int) -> bool:
    """Return whether a process exists on a host.

    :param host: the host
    :param process: its id
    """
    return bool(process) and host.run(
        'sh', '-c', f'test -d /proc/{process} && echo yes || true'
    ).strip() == 'yes'


def nova_version(host: remote.Remote) -> str:
    """Return the version of the nova-compute that runs on a host.

    Best effort: the interpreter of the running process is asked for the
    version of its package nova. That is the right one also if several are
    installed, as with a virtual environment. The interpreter runs as that
    process's user, never as a more powerful one.

    :param host: the host
    :returns: such as 34.0.0, or 34.0.0+g1234abc for a commit that is no
        release; empty if it is not known
    """
    try:
        process = process_id(host)
        if not process:
            return ''
        python = host.run(
            'cat', '--', f'/proc/{process}/cmdline').partition('\0')[0]
        # An init program, as in a container, may be first. Give no unknown
        # program arguments that are meant for Python.
        if not posixpath.basename(python).startswith('python'):
            return ''
        # The process can write anything into its command line. With sudo,
        # root would run the program that nova's user names there.
        status = host.run('cat', '--', f'/proc/{process}/status',
                          '/proc/self/status')
        uids, gids = (re.findall(rf'^{name}:\s+(\d+)', status, re.MULTILINE)
                      for name in ('Uid', 'Gid'))
        if not len(uids) == len(gids) == 2:
            return ''
        # The path is valid in the process's mount namespace.
        namespaces = host.run('readlink', '--', f'/proc/{process}/ns/mnt',
                              '/proc/self/ns/mnt').split()
        prefix: list[str] = []
        if len(set(namespaces)) > 1:
            # Not setpriv: it would have to exist in the container. nsenter
            # drops supplementary groups as well.
            prefix = ['nsenter', f'--target={process}', '--mount',
                      f'--setuid={uids[0]}', f'--setgid={gids[0]}', '--']
        elif uids[0] != uids[1]:
            # Only root may change its groups. If both are the same user, there
            # is nothing to change.
            prefix = ['setpriv', f'--reuid={uids[0]}', f'--regid={gids[0]}',
                      '--clear-groups', '--']
        printed = host.run(*prefix, python, '-c', VERSION_PROGRAM).strip()
    except remote.HostError as exc:
        LOG.info('The version of nova-compute is not known: %s', exc)
        return ''
    return printed if re.fullmatch(r'\d[\w.+!-]*', printed) else ''


def ovn_version(host: remote.Remote, ovn_appctl: Sequence[str]) -> str:
    """Return the version of the ovn-controller that runs on a host.

    Best effort. The process itself is asked: after an upgrade of the package,
    the old one may still run.

    :param host: the host
    :param ovn_appctl: command line of ovn-appctl
    :returns: such as 23.03.1; empty if none runs, or it does not answer
    """
    try:
        printed = host.run(*ovn_appctl, '--timeout=5',
                           '--target=ovn-controller', 'version')
    except remote.HostError as exc:
        LOG.info('The version of ovn-controller is not known: %s', exc)
        return ''
    found = re.match(r'ovn-controller (\d[\w.+~-]*)$', printed, re.MULTILINE)
    return found[1] if found else ''
