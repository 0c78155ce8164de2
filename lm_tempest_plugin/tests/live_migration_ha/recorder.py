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

"""From what the tests find to records: what doc/source/records.rst tells.

A record is written as soon as there is something to say: that an attempt has
ended when that is seen, what is to be said of it when it was judged. A run
that is killed loses nothing that was known.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
from importlib import metadata
import os
import textwrap
import time
from typing import Any

from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import finding as findings
from lm_tempest_plugin.migration import observation
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import strategy as strategies
from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection

PACKAGE = 'lm-tempest-plugin'
# Of what a test failed, in characters; its log has the whole.
LONGEST_REASON = 500


@dataclasses.dataclass(frozen=True)
class Leg:
    """What a drain is to be recorded as.

    :ivar test: id of the test
    :ivar declared: what the cloud is said to be
    :ivar strategy: how many at once
    :ivar trip: number of the round trip, from 1
    :ivar measured: whether its figures count
    :ivar source: name of the host that servers leave; empty for several
    :ivar destination: name of the host to go to; empty for the scheduler's
        choice
    """

    test: str
    declared: observation.Declared
    strategy: strategies.Strategy
    trip: int
    measured: bool
    source: str
    destination: str

    def as_dict(self) -> dict[str, Any]:
        """Return what attempts and drains have in common."""
        settings = self.declared.cell.settings
        storage = self.declared.storage
        return {
            'test': self.test,
            'cell': {'storage': str(storage) if storage else None,
                     'settings': settings},
            'strategy': str(self.strategy), 'trip': self.trip,
            'measured': self.measured,
        }

    def __str__(self) -> str:
        return '%s to %s, %s, trip %d' % (
            self.source or 'several hosts',
            self.destination or "the scheduler's choice", self.strategy,
            self.trip)


class Recorder:
    """Writes the records of one process.

    :param directory: for the file; empty for none
    :param name: what the run is called; empty for the time of day
    :param about: returns what is known of the cloud, for the first line
    """

    def __init__(self, directory: str, name: str,
                 about: Callable[[], Mapping[str, Any]]) -> None:
        self._directory = directory
        self._name = name
        self._about = about
        self._chain: chain.Chain | None = None
        self._drains = 0

    def begin(self, leg: Leg, server_ids: Sequence[str]) -> 'Recording':
        """Begin to record a drain.

        :param leg: what it is
        :param server_ids: UUIDs of the servers that are to be moved
        :raises RecordsError: there can be no file
        """
        self._drains += 1
        return Recording(self._opened(), 'drain-%d' % self._drains, leg,
                         server_ids)

    def failed(self, test: str, exc: BaseException) -> bytes:
        """Record that a test failed, whatever its attempts came to.

        :param test: its id
        :param exc: of what
        :returns: the line that was written, without its end
        :raises RecordsError: there can be no file
        """
        return self._opened().append(
            collection.FAILED, {'test': test, 'said': _reason(exc)})

    def _opened(self) -> chain.Chain:
        """Return the chain, which begins with what is known of the run."""
        if self._chain is None:
            started = chain.now()
            # Each process has a file: several may run tests side by side.
            run = '%s-%d' % (self._name or started.translate(
                str.maketrans('', '', '-:')).partition('.')[0] + 'Z',
                os.getpid())
            body = {'started_at': started, **self._about()}
            self._chain = (chain.Writer(self._directory, run)
                           if self._directory else chain.Chain(run))
            self._chain.append(collection.RUN, body)
        return self._chain


class Recording:
    """One drain, from before it begins until it is judged.

    :param lines: where records go
    :param identifier: of the drain
    :param leg: what it is
    :param server_ids: UUIDs of the servers that are to be moved
    :ivar written: the lines that were written, without their ends
    :raises RecordsError: nothing can be written
    """

    def __init__(self, lines: chain.Chain, identifier: str, leg: Leg,
                 server_ids: Sequence[str]) -> None:
        self.written: list[bytes] = []
        self._lines = lines
        self._identifier = identifier
        self._leg = leg
        self._ended: set[int] = set()
        # CLOCK_MONOTONIC when the time of day was 1970.
        self._epoch_ns = time.monotonic_ns() - time.time_ns()
        self._write(collection.BEGAN, {
            'drain': identifier, 'name': str(leg), **leg.as_dict(),
            'source': leg.source, 'destination': leg.destination,
            'server_ids': list(server_ids)})

    def look(self, followed: Sequence[attempts.Attempt]) -> None:
        """Record attempts that have ended since the last look.

        :param followed: all of the drain, in their order
        :raises RecordsError: they cannot be written
        """
        for number, each in enumerate(followed):
            if each.ended and number not in self._ended:
                self._ended.add(number)
                self._write(collection.ENDED, {
                    'attempt': self._attempt_id(number),
                    'drain': self._identifier,
                    'server_id': each.request.server_id,
                    'source': each.request.source,
                    'destination': each.newest.destination
                    if each.newest else each.request.move.destination,
                    'requested_at': self._iso(each.request.requested_ns),
                    'duration_s': each.duration_s,
                    'record_status': each.newest.status
                    if each.newest else '',
                    'server_status': each.server.status
                    if each.server else 'GONE',
                    'given_up': each.given_up,
                })

    def finish(self, drained: drain.Drained,
               found: Sequence[findings.Finding], left_over: Sequence[str],
               contradictions: Sequence[str],
               hosts: Mapping[str, Any] | None) -> None:
        """Record what was found of each attempt, and of the drain.

        :param drained: what was seen of all of them together
        :param found: one for each, in their order
        :param left_over: what is not as it should be, in words
        :param contradictions: what was declared and not seen, in words
        :param hosts: what was seen of the hosts; None without access
        :raises RecordsError: it cannot be written
        """
        # One that ends with the last look is seen by no other.
        self.look([each.attempt for each in found])
        for number, each in enumerate(found):
            self._write(collection.ATTEMPT, self._attempt(number, each))
        leg = self._leg
        self._write(collection.DRAIN, {
            'drain': self._identifier, 'name': str(leg), **leg.as_dict(),
            'source': leg.source, 'destination': leg.destination,
            'declared': leg.declared.as_dict(), 'servers': len(found),
            'began_at': self._iso(drained.began_ns),
            'began_monotonic_s': drained.began_ns / poll.NS,
            **drained.as_dict(), 'left_over': list(left_over),
            'contradictions': list(contradictions), 'hosts': hosts})

    def _attempt(self, number: int,
                 found: findings.Finding) -> dict[str, Any]:
        request = found.attempt.request
        server = request.server
        return {
            'attempt': self._attempt_id(number), 'drain': self._identifier,
            **self._leg.as_dict(),
            'flavor': {'name': server.flavor, 'vcpus': server.vcpus,
                       'ram_gib': server.ram_gib,
                       'disk_gib': server.disk_gib},
            'requested_at': self._iso(request.requested_ns),
            'requested_monotonic_s': request.requested_ns / poll.NS,
            **found.as_dict()}

    def _attempt_id(self, number: int) -> str:
        return '%s/%d' % (self._identifier, number + 1)

    def _write(self, kind: str, body: Mapping[str, Any]) -> None:
        self.written.append(self._lines.append(kind, body))

    def _iso(self, at_ns: int) -> str:
        """Return a time by CLOCK_MONOTONIC as a time of day."""
        return datetime.datetime.fromtimestamp(
            (at_ns - self._epoch_ns) / poll.NS, datetime.UTC).isoformat(
                timespec='milliseconds')


def _reason(exc: BaseException) -> str:
    """Return of what a test failed, on one line.

    Of what others raise no more is told than what it is: Tempest's own
    message on SSH has the password in it.
    """
    ours = isinstance(exc, AssertionError) or type(exc).__module__.startswith(
        __name__.partition('.')[0] + '.')
    said = str(exc) if ours else ''
    return textwrap.shorten(said, LONGEST_REASON, placeholder=' ...') or (
        type(exc).__name__)


def about(region: str, compute_api: str,
          hypervisors: Sequence[Mapping[str, Any]],
          libvirt: Mapping[str, str]) -> dict[str, Any]:
    """Return what is known of plugin and cloud.

    :param region: name of the region
    :param compute_api: the newest microversion of the compute API
    :param hypervisors: as nova's API has them, with details
    :param libvirt: version of each host's libvirt, by the host's name;
        nothing of those that are not known
    """
    return {
        'plugin_version': metadata.version(PACKAGE),
        'cloud': {
            'region': region, 'compute_api': compute_api,
            'hypervisors': [{
                'host': each['service']['host'],
                'type': each['hypervisor_type'],
                'version': _version(each['hypervisor_version']),
                'libvirt': libvirt.get(each['service']['host'])}
                for each in hypervisors]}}


def _version(number: int) -> str:
    """Return a hypervisor's version as people write it.

    :param number: as nova has it: 10000002 is 10.0.2
    """
    return '%d.%d.%d' % (
        number // 1000000, number // 1000 % 1000, number % 1000)
