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

"""What leaves a server in trouble, by what can be seen of it from outside.

Numbers 1 to 15 are the cases that nova's history shows, with its bugs; each
is told by server, record, events and guest alone. The names of methods are
those of nova 34, in compute/manager.py where nothing else is said.
"""

from collections.abc import Callable
import dataclasses

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.migration import evidence as evidences


@dataclasses.dataclass(frozen=True)
class Signature:
    """One case.

    :ivar number: 1 to 15, or 0 for one of ours
    :ivar cause: what it is, in words
    :ivar matches: whether some evidence shows it
    """

    number: int
    cause: str
    matches: Callable[[evidences.Evidence], bool]


def recognize(evidence: evidences.Evidence) -> Signature | None:
    """Return the case that some evidence shows; None if it shows none."""
    return next((each for each in SIGNATURES if each.matches(evidence)),
                None)


def _stuck(evidence: evidences.Evidence, *statuses: str) -> bool:
    """Return whether the server is MIGRATING, its record in a status."""
    return evidence.migrating and evidence.status in statuses


def _copying(evidence: evidences.Evidence) -> bool:
    """Return whether the last sample was of a copy under way."""
    if not evidence.samples:
        return False
    last = evidence.samples[-1].progress
    return last.memory_remaining + last.disk_remaining > 0


def _unanswered(evidence: evidences.Evidence) -> bool:
    refusal = evidence.request.refusal
    return (refusal is not None and not refusal.clean and
            _stuck(evidence, '', 'accepted'))


def _never_taken(evidence: evidences.Evidence) -> bool:
    return evidence.request.refusal is None and _stuck(evidence, '')


def _unfollowed(evidence: evidences.Evidence) -> bool:
    return _stuck(evidence, *records.IN_SERVICE, 'queued') and (
        evidence.down(evidence.source))


def _not_converging(evidence: evidences.Evidence) -> bool:
    if _stuck(evidence, records.POST_COPY):
        return True
    return _stuck(evidence, 'running') and _copying(evidence)


def _abandoned(evidence: evidences.Evidence) -> bool:
    """The inverse leak: the server is free, its record never ends."""
    return evidence.as_before and evidence.status in (
        'accepted', 'queued', *records.IN_SERVICE)


def _pre_live(evidence: evidences.Evidence) -> bool:
    return _stuck(evidence, 'error', 'preparing') and (
        evidence.event(actions.PRE) is not None)


def _not_submitted(evidence: evidences.Evidence) -> bool:
    return _stuck(evidence, 'error') and evidence.begun


def _post_failed(evidence: evidences.Evidence) -> bool:
    if evidence.server is None or evidence.as_before:
        return False
    return (evidence.failed(actions.POST_AT_DESTINATION) or
            evidence.status == 'completed' and evidence.migrating or
            evidence.server.status == 'ERROR' and (
                evidence.status == 'completed' or evidence.on_destination))


def _wrong_host(evidence: evidences.Evidence) -> bool:
    return evidence.as_before and (
        evidence.status == 'completed' and evidence.on_source)


def _split(evidence: evidences.Evidence) -> bool:
    return (evidence.server_status == 'ERROR' and evidence.begun and
            evidence.guest.answers is True and not evidence.guest.rebooted)


def _precheck(evidence: evidences.Evidence) -> bool:
    return (evidence.server_status == 'ERROR' and not evidence.begun and
            evidence.status == 'error')


def _restarted(evidence: evidences.Evidence) -> bool:
    return (evidence.as_before and evidence.status == 'error' and
            evidence.was('running'))


def _lost_track(evidence: evidences.Evidence) -> bool:
    """nova-compute came back and found nothing to abort on the source."""
    return (_restarted(evidence) and evidence.on_source and
            evidence.failed(actions.ABORT) and not evidence.abort_asked)


# In this order: the first that matches is told.
SIGNATURES = (
    Signature(
        3, 'nova-api did not answer properly and has left the server '
        'MIGRATING: the checks took longer than its RPC time-out (bug '
        '1276214, with microversions before 2.34)', _unanswered),
    Signature(
        4, 'the request was accepted and nothing came of it: the message to '
        'the conductor was lost, or it failed before it made a record',
        _never_taken),
    Signature(
        5, 'the conductor has made the record and the source host never '
        'took the job: a message to one of the two hosts was lost, or the '
        'host is down (the events that have not ended tell which)',
        lambda evidence: _stuck(evidence, 'accepted')),
    Signature(
        0, 'nova-compute on the source host is down: nobody follows the '
        'migration, which may be going on in QEMU', _unfollowed),
    Signature(
        10, 'an abort before the migration had begun has left the server '
        'MIGRATING (bugs 1949808 and 1960412, mended in 25.0)',
        lambda evidence: (_stuck(evidence, 'cancelled') and
                          evidence.abort_asked)),
    Signature(
        7, 'nova-compute on the source host was stopped with the migration '
        'in its queue: it cancels the record and leaves the server '
        'MIGRATING until it is started again '
        '(_cleanup_live_migrations_in_pool)',
        lambda evidence: _stuck(evidence, 'cancelled')),
    Signature(
        2, 'an unexpected exception in the conductor (bug 1694406)',
        lambda evidence: (_stuck(evidence, 'error') and
                          evidence.failed(actions.CHECKS))),
    Signature(
        9, 'an exception in the setup, or in its rollback, before the task '
        'of the server was reset (_do_live_migration, '
        '_rollback_live_migration)', _pre_live),
    Signature(
        6, 'nova-compute on the source host could not take the job in: its '
        'pool was shut down, and the task of the server was not reset '
        '(LiveMigrationNotSubmitted)', _not_submitted),
    Signature(
        12, 'an exception after the copy: networks or volumes of the '
        'destination (such as bugs 1879787, 1843639, 2000069)',
        _post_failed),
    Signature(
        15, 'the copy does not come to an end: the guest writes faster than '
        'is sent, the network is gone, or post-copy waits for it; nova\'s '
        'own time-out is 800 s for each GiB and does not hold for '
        'post-copy', _not_converging),
    Signature(
        1, 'the copy is over or was lost, and nova never got beyond '
        'running: an exception after the copy, such as "Domain not found" '
        '(bug 1662626)', lambda evidence: _stuck(evidence, 'running')),
    Signature(
        8, 'nova-compute on the source host ended while the migration was '
        'in its hands: started again it looks for running ones only, and '
        'the record never ends', _abandoned),
    Signature(
        12, 'the record is completed, and the server is said to be on the '
        'source', _wrong_host),
    Signature(
        14, 'an exception in the checks that the conductor did not expect, '
        'such as a time-out on the other host (bug 2044235, mended in '
        '33.0)', _precheck),
    Signature(
        11, 'nova lost the migration to an exception and calls the server '
        'ERROR while its guest runs, on one host or the other (such as bugs '
        '1905944 and 1982284)', _split),
    Signature(
        13, 'nova-compute on the source host was started again during the '
        'migration, reset the server, and failed to abort: libvirt may have '
        'gone on without it, and the guest may run on the destination',
        _lost_track),
    Signature(
        13, 'nova-compute on the source host was started again during the '
        'migration: it ended the record and reset the server (bug 1753676)',
        _restarted),
)
