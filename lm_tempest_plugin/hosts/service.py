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

"""nova-compute's process: restart it, and see that it is another one.

A host whose old nova-compute is still about while it shuts down (up to
180 s in nova 34) takes requests and loses them. So the old process has to be
gone, and the new one has to have reported to nova.
"""

from collections.abc import Callable
import time

from oslo_log import log as logging

from lm_tempest_plugin.hosts import remote as remotes

LOG = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
# One that cannot start says so within a few seconds, and a supervisor that
# starts it again and again gives it another process id each time.
STEADY_SECONDS = 5.0

#: Returns when a host's nova-compute last reported, as nova's API says it;
#: None if nova takes it for down.
Reported = Callable[[str], str | None]


class NotStarted(remotes.HostError):
    """nova-compute was restarted, and does not get to work.

    It ends as soon as it has begun; or it lives, and nova never hears of it:
    where oslo.service runs threads of the system (nova 34 does), they outlive
    the error that ended the main one.
    """


class Restarter:
    """Restarts nova-compute on hosts.

    :param reported: asks nova when a host's service last reported; None to
        go by the process alone
    :param timeout_s: how long nova-compute may take to stop, and as long
        again to start, in seconds
    """

    def __init__(self, reported: Reported | None, timeout_s: float,
                 clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._reported = reported
        self._timeout_s = timeout_s
        self._clock = clock
        self._sleep = sleep

    def restart(self, remote: remotes.Remote) -> None:
        """Restart nova-compute, and return when the new one is at work.

        :param remote: the host
        :raises NotStarted: the new process does not stay, or does not report
            in time
        :raises HostError: the host refuses, or the old process does not go
            in time
        """
        old = process_id(remote)
        LOG.info('Host %s: nova-compute, process %d, is restarted',
                 remote.name, old)
        end = self._clock() + self._timeout_s
        try:
            # It may well wait for both.
            remote.run('sh', '-c', remote.site.restart_command,
                       timeout_s=2 * self._timeout_s)
        except remotes.CommandFailed as exc:
            # systemctl waits for a service that says when it is ready.
            raise NotStarted(str(exc)) from exc
        self._await(remote, end, lambda: not alive(remote, old),
                    'its old process, %d, to go' % old)
        # The new one gets no less time because the old one took long.
        end = self._clock() + self._timeout_s
        before = self._report(remote)
        new = self._await_steady(remote, end)
        if self._reported is not None:
            self._await(
                remote, end,
                lambda: self._report(remote) not in (None, before),
                'its new process, %d, to report to nova' % new, NotStarted)
        LOG.info('Host %s: nova-compute is process %d', remote.name, new)

    def _report(self, remote: remotes.Remote) -> str | None:
        return self._reported(remote.name) if self._reported else None

    def _await_steady(self, remote: remotes.Remote, end: float) -> int:
        """Return the process id that has been the same for a while."""
        last, since = 0, self._clock()

        def steady() -> bool:
            nonlocal last, since
            found = process_id(remote)
            if not found or found != last or not alive(remote, found):
                last, since = found, self._clock()
            return bool(last) and (
                self._clock() - since >= STEADY_SECONDS)

        self._await(remote, end, steady,
                    'a new process that lives for %g s' % STEADY_SECONDS,
                    NotStarted)
        return last

    def _await(self, remote: remotes.Remote, end: float,
               holds: Callable[[], bool], what: str,
               kind: type[remotes.HostError] = remotes.HostError) -> None:
        while not holds():
            if self._clock() >= end:
                raise kind(
                    '%s: nova-compute was restarted with %r, and has '
                    'waited %g s in vain for %s' % (
                        remote.site, remote.site.restart_command,
                        self._timeout_s, what))
            self._sleep(LOOK_SECONDS)


def process_id(remote: remotes.Remote) -> int:
    """Return the process id of nova-compute; 0 if it does not run.

    :param remote: the host
    :raises HostError: the command that tells it prints something else
    """
    printed = remote.run('sh', '-c', remote.site.pid_command).strip()
    if not printed:
        return 0
    if not printed.isdecimal():
        raise remotes.HostError('%s: %r is to print a process id, and prints '
                                '%r' % (remote.site, remote.site.pid_command,
                                        printed))
    return int(printed)


def alive(remote: remotes.Remote, process: int) -> bool:
    """Return whether a process exists on a host.

    :param remote: the host
    :param process: its id
    """
    return bool(process) and remote.run(
        'sh', '-c', 'test -d /proc/%d && echo yes || true' % process
    ).strip() == 'yes'
