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

"""Known causes of failed migrations, recognized from outside.

The cases come from nova's bug reports. Each is recognized by the server, the
migration record, events and the guest alone. Method names are those of nova
34, in compute/manager.py unless another file is named.
"""

from collections.abc import Callable
import dataclasses

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import migration_records
from lm_tempest_plugin.migration.copying import Pace
from lm_tempest_plugin.migration.evidence import Evidence
from lm_tempest_plugin.migration.evidence import rebooted

# A time of the setup, and no wait, is shorter: stamps have whole seconds.
_VIF_WAIT_S = 10.0
_UNFINISHED = ('queued', *migration_records.IN_SERVICE)


@dataclasses.dataclass(frozen=True)
class Signature:
    """A known cause.

    :ivar slug: its name in results
    :ivar cause: the cause as text
    :ivar matches: returns whether the facts show it
    """

    slug: str
    cause: str
    matches: Callable[[Evidence], bool]


def recognize(evidence: Evidence) -> Signature | None:
    """Return the first known cause that matches; None if none does.

    :param evidence: facts about a migration that was not completed
    """
    return next((each for each in SIGNATURES if each.matches(evidence)), None)


def _stuck(evidence: Evidence, *statuses: str) -> bool:
    """Return whether the server is MIGRATING and its record in a status."""
    return evidence.migrating and evidence.status in statuses


def _unanswered(evidence: Evidence) -> bool:
    return (evidence.request.refusal is not None and
            not evidence.request.cleanly_refused and
            _stuck(evidence, '', 'accepted'))


def _copies(evidence: Evidence, pace: Pace) -> bool:
    return (_stuck(evidence, 'running') and evidence.copy is not None and
            evidence.copy.pace is pace)


def _copy_not_ended(evidence: Evidence) -> bool:
    if not evidence.progress:
        return False
    last = evidence.progress[-1]
    return _stuck(evidence, 'running') and (
        last.memory_remaining_bytes + last.disk_remaining_bytes > 0)


def _asked_for(evidence: Evidence, name: str) -> bool:
    return any(each.name == name for each in evidence.other_actions)


def _checks_open(evidence: Evidence) -> bool:
    event = evidence.event(actions.CHECKS)
    return (_stuck(evidence, 'accepted') and event is not None and
            event.open)


def _unfinished(evidence: Evidence) -> bool:
    return evidence.as_before and evidence.status in (
        'accepted', *_UNFINISHED)


def _post_failed(evidence: Evidence) -> bool:
    if evidence.server is None or evidence.as_before:
        return False
    return (evidence.failed(actions.POST_AT_DESTINATION) or
            evidence.status == 'completed' and evidence.migrating or
            evidence.server.status == 'ERROR' and (
                evidence.status == 'completed' or evidence.on_destination))


def _error_with_guest(evidence: Evidence) -> bool:
    return (evidence.server_status == 'ERROR' and evidence.begun and
            not rebooted(evidence.guest) and (
                evidence.guest.answers is True or bool(evidence.running_on)))


def _restarted(evidence: Evidence) -> bool:
    return (evidence.as_before and evidence.status == 'error' and
            evidence.was('running') and not evidence.abort_requested)


# The order matters: the first match counts.
SIGNATURES = (
    Signature(
        'server-deleted', 'a user deleted the server',
        lambda evidence: (evidence.server is None and
                          _asked_for(evidence, actions.DELETE))),
    Signature(
        'state-reset',
        'a user reset the state of the server while nova migrated it',
        lambda evidence: _asked_for(evidence, actions.RESET_STATE)),
    Signature(
        'api-timed-out',
        'nova-api did not answer properly and left the server MIGRATING: the '
        'checks took longer than its RPC time-out (bug 1276214, with '
        'microversions before 2.34)', _unanswered),
    Signature(
        'request-lost',
        'the request was accepted and nothing followed: the message to the '
        'conductor was lost, or the conductor failed before it made a record',
        lambda evidence: (evidence.request.refusal is None and
                          _stuck(evidence, ''))),
    Signature(
        'checks-not-ended',
        'the checks of the two hosts have not ended: nova waits for the host '
        'of the last unfinished event',
        _checks_open),
    Signature(
        'job-not-accepted',
        'the conductor made the record and the source host never accepted '
        'the job: a message to one of the two hosts was lost, or the host is '
        'down (the unfinished events show which)',
        lambda evidence: _stuck(evidence, 'accepted')),
    Signature(
        'source-down',
        'nova-compute on the source host is down: nothing follows the '
        'migration, which may go on in QEMU',
        lambda evidence: (_stuck(evidence, *_UNFINISHED) and
                          evidence.down(evidence.source))),
    Signature(
        'abort-before-begin',
        'an abort before the migration had begun left the server MIGRATING '
        '(bugs 1949808 and 1960412, fixed in 25.0)',
        lambda evidence: (_stuck(evidence, 'cancelled') and
                          evidence.abort_requested)),
    Signature(
        'stopped-while-queued',
        'nova-compute on the source host was stopped with the migration in '
        'its queue: it cancels the record and leaves the server MIGRATING '
        'until it starts again (_cleanup_live_migrations_in_pool)',
        lambda evidence: _stuck(evidence, 'cancelled')),
    Signature(
        'conductor-failed',
        'an unexpected exception in the conductor (bug 1694406)',
        lambda evidence: (_stuck(evidence, 'error') and
                          evidence.failed(actions.CHECKS))),
    Signature(
        'vif-plug-timeout',
        "both hosts were ready, and nova waited for neutron's "
        'network-vif-plugged (limit [DEFAULT]vif_plugging_timeout)',
        lambda evidence: (
            not evidence.abort_requested and
            (evidence.migrating or evidence.status != 'preparing') and
            evidence.vif_wait_s >= _VIF_WAIT_S)),
    Signature(
        'setup-failed',
        'an exception in the setup, or in its rollback, before the task of '
        'the server was reset (_do_live_migration, _rollback_live_migration)',
        lambda evidence: (_stuck(evidence, 'error', 'preparing') and
                          evidence.event(actions.PRE) is not None)),
    Signature(
        'job-not-submitted',
        'nova-compute on the source host could not queue the job: its pool '
        'was shut down, and the task of the server was not reset '
        '(LiveMigrationNotSubmitted)',
        lambda evidence: _stuck(evidence, 'error') and evidence.begun),
    Signature(
        'post-copy-failed',
        'post-copy failed: a part of the memory was on the source only, so '
        'the guest cannot go on, and nothing can be rolled back',
        lambda evidence: (evidence.post_copied and
                          evidence.guest.answers is False and
                          evidence.status in ('error', 'failed'))),
    Signature(
        'post-failed',
        'an exception after the copy: networks or volumes on the '
        'destination, or messages to it (such as bugs 1879787, 1843639, '
        '2000069)', _post_failed),
    # nova's own time-out is 800 s per GiB, and does not apply to post-copy.
    Signature(
        'post-copy-stuck',
        'post-copy does not end: the guest waits for memory that the source '
        'has not sent, or the network is cut',
        lambda evidence: _stuck(evidence, migration_records.POST_COPY)),
    Signature(
        'source-silent',
        'libvirt of the source host does not answer: nova waits for it, and '
        'the copy stands still or is not handed over',
        lambda evidence: (_stuck(evidence, 'running') and
                          evidence.source in evidence.silent_hosts)),
    # nova gives up after 800 s per GiB.
    Signature(
        'copy-not-converging',
        'the guest writes memory faster than it is sent: without post-copy or '
        'auto-converge the copy never ends',
        lambda evidence: _copies(evidence, Pace.NOT_CONVERGING)),
    Signature(
        'copy-stands-still',
        'nothing is sent any more: the network between the hosts is cut, or '
        'libvirtd of the source does not go on',
        lambda evidence: _copies(evidence, Pace.STANDS_STILL)),
    Signature(
        'copy-slow',
        'the copy goes on and would end by itself: a longer time-out is '
        'needed, or more bandwidth',
        lambda evidence: _copies(evidence, Pace.MOVES)),
    Signature(
        'copy-not-ended',
        'the copy had not ended, and its pace is not known', _copy_not_ended),
    Signature(
        'running-forever',
        'the copy has ended or was lost, and nova never got beyond running: '
        'an exception after the copy, such as "Domain not found" (bug '
        '1662626)', lambda evidence: _stuck(evidence, 'running')),
    Signature(
        'record-abandoned',
        'nova-compute on the source host ended while it held the migration: '
        'after its start it looks for running migrations only, so the record '
        'never ends',
        lambda evidence: (_unfinished(evidence) and
                          not evidence.on_destination)),
    Signature(
        'record-not-ended',
        'the server is on the destination, and nova did not end the record: '
        'it could not write to its database, or an exception came after the '
        'last step', _unfinished),
    Signature(
        'completed-on-source',
        'the record is completed, and nova shows the server on the source',
        lambda evidence: (evidence.as_before and evidence.on_source and
                          evidence.status == 'completed')),
    Signature(
        'precheck-failed',
        'an exception in the checks that the conductor did not expect, such '
        'as a time-out on the other host (bug 2044235, fixed in 33.0)',
        lambda evidence: (evidence.server_status == 'ERROR' and
                          not evidence.begun and evidence.status == 'error')),
    Signature(
        'error-with-running-guest',
        'nova lost the migration in an exception and set the server to '
        'ERROR, although its guest runs (such as bugs 1905944 and 1982284)',
        _error_with_guest),
    # nova-compute starts and finds nothing to abort on the source.
    Signature(
        'source-restarted-copy-continued',
        'nova-compute on the source host restarted during the migration, '
        'reset the server and could not abort: libvirt may have continued, '
        'and the guest may run on the destination',
        lambda evidence: (_restarted(evidence) and evidence.on_source and
                          evidence.alive_on is None and
                          evidence.failed(actions.ABORT))),
    Signature(
        'source-restarted',
        'nova-compute on the source host restarted during the migration: it '
        'ended the record and reset the server (bug 1753676)', _restarted),
)
