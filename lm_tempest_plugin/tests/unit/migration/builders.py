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
"""Live migrations and their evidence; good ones unless changed."""

import dataclasses
import datetime

import msgspec

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import evidence
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import plan
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import request
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.results import builders

S = poll.NS
REQUESTED_NS = 1000 * S
GIB = 2 ** 30
UP = (compute_hosts.ComputeService('alpha', 'enabled', 'up'),
      compute_hosts.ComputeService('beta', 'enabled', 'up'))
SOURCE_DOWN = (
    compute_hosts.ComputeService('alpha', 'enabled', 'down'), UP[1])
ANSWERS = schema.GuestState(
    answers=True, boot_id_before='boot-1', boot_id_after='boot-1')
SILENT = schema.GuestState(answers=False, boot_id_before='boot-1')
REBOOTED = schema.GuestState(
    answers=True, boot_id_before='boot-1', boot_id_after='boot-2')
TIMEOUTS = plan.Timeouts(60, 0, 0, 5, 0.5, 3.0, 30.0)
INSPECTION = schema.GuestInspection(boot_id='boot-1')
BOUNDS = plan.Bounds(max_outage_s=1.0, max_stall_s=3.0)


def server(**changes):
    """Return a server on the source."""
    return dataclasses.replace(servers.Server(
        fakes.SERVER_ID, 'guest', 'ACTIVE', None, 'alpha', '', 2, 2.0, 20.0),
        **changes)


def migrating(**changes):
    """Return a server that nova is migrating."""
    return server(**{'status': 'MIGRATING', 'task_state': 'migrating',
                     **changes})


def new_request(**changes):
    """Return a request that nova accepted."""
    return dataclasses.replace(request.Request(
        server(), 'beta', request.RequestOptions(), 'req-1', REQUESTED_NS,
        frozenset(['uuid-3'])), **changes)


def refusal(status=409, message='no'):
    """Return an answer of nova that did not accept a request."""
    return schema.Refusal(status=status, message=message)


def record(status='completed', number=7, **changes):
    """Return a migration record from alpha to beta."""
    return msgspec.structs.replace(schema.MigrationRecord(
        number=number, uuid=f'uuid-{number}', server_id=fakes.SERVER_ID,
        status=status, source='alpha', destination='beta',
        created_at='2026-01-01T00:00:00.000000',
        updated_at='2026-01-01T00:00:20.000000'), **changes)


def snapshot(at_s, records=(), *seen, asked_s=None):
    """Return a snapshot.

    :param at_s: seconds after the request
    :param records: migration records of any server
    :param seen: servers; by default the one that is migrated
    :param asked_s: when the first request was sent, if not at the same time
    """
    by_server = {}
    for each in records:
        by_server.setdefault(each.server_id, []).append(each)
    at_ns = REQUESTED_NS + round(at_s * S)
    return poll.Snapshot(
        at_ns if asked_s is None else REQUESTED_NS + round(asked_s * S),
        at_ns, {each.server_id: each for each in seen or [server()]},
        {key: tuple(each) for key, each in by_server.items()})


def migration(*snapshots, timed_out=(), **changes):
    """Return a migration that was followed through these snapshots.

    :param timed_out: UUIDs of servers whose migrations timed out
    :param changes: of the request
    """
    followed = follow.Migration(new_request(**changes), 30, 5)
    for each in snapshots:
        followed.update(each, timed_out)
    return followed


def completed():
    """Return a migration that was completed after 20 s."""
    return migration(
        snapshot(0.5, [record('queued')], migrating()),
        snapshot(1.5, [record('preparing')], migrating()),
        snapshot(2.5, [record('running')], migrating()),
        snapshot(20, [record('completed')], server(host='beta')))


def transitions(*statuses):
    """Return transitions of the record, a second apart."""
    return tuple(
        schema.Transition(at_s=number + 1.0, uncertainty_s=1.0,
                          subject='record', state=status)
        for number, status in enumerate(statuses))


def second(number):
    return datetime.datetime(2026, 1, 1, 0, 0, number, tzinfo=datetime.UTC)


def event(name, result='Success', start=0, finish=1, host='alpha',
          details=''):
    return actions.ActionEvent(
        name, host, second(start),
        None if finish is None else second(finish), result, details)


def other_action(name, user='u'):
    return schema.OtherAction(
        name=name, user=user, started_at='2026-01-01T00:00:05.000000')


def action(*events, start=0):
    return actions.InstanceAction(
        'live-migration', second(start), '', events)


def completed_events():
    """Return the events of a migration from alpha to beta."""
    return [event(actions.CHECKS, host='controller'),
            event(actions.DESTINATION_CHECK, host='beta'),
            event(actions.SOURCE_CHECK),
            event(actions.JOB),
            event(actions.PRE, host='beta'),
            event(actions.POST_AT_DESTINATION, host='beta')]


def progress(at_s=5.0, memory_remaining=0, disk_remaining=0, disk=20 * GIB):
    """Return the progress of a copy of 2 GiB of memory and 20 GiB of disk."""
    return schema.Progress(
        at_s=at_s, memory_total_bytes=2 * GIB,
        memory_processed_bytes=2 * GIB - memory_remaining,
        memory_remaining_bytes=memory_remaining, disk_total_bytes=disk,
        disk_processed_bytes=disk - disk_remaining,
        disk_remaining_bytes=disk_remaining)


def new_evidence(**changes):
    """Return the evidence of a completed migration."""
    return evidence.Evidence(**{
        'request': new_request(), 'records': (record(),),
        'server': server(host='beta'), 'timed_out': '',
        'transitions': transitions(
            'accepted', 'queued', 'preparing', 'running', 'completed'),
        'progress': (),
        'action': action(*completed_events()),
        'services': UP, 'guest': ANSWERS, 'abort_requested': False,
        **changes})


def traces(**states):
    """Return traces; by default the server runs on the destination.

    :param states: libvirt's state of the domain, by the host
    """
    return tuple(schema.HostTraces(host=host, state=state) for host, state in (
        states or {'alpha': '', 'beta': 'running'}).items())


def rolled_back(**changes):
    """Return the evidence of a migration that was rolled back."""
    return new_evidence(**{
        'records': (record('failed'),), 'server': server(), **changes})


def outage(duration_s=0.2, resolution_s=0.03, *, error_bound_s=0.01,
           still_open=False, **changes):
    """Return the figures of ICMP probes with one outage.

    :param duration_s: its length; 0 for none
    :param resolution_s: longest outage that may have been missed
    :param still_open: whether it lasted beyond the end of the observation
    :param changes: of the figures
    """
    figures = builders.outage(duration_s, error_s=error_bound_s)
    return msgspec.structs.replace(figures, **{
        'open': still_open,
        'outages': tuple(
            msgspec.structs.replace(each, lost=20, open=still_open)
            for each in figures.outages),
        'sending': msgspec.structs.replace(
            figures.sending, resolution_s=resolution_s), **changes})


def stall(longest_s=0.65, **changes):
    """Return the figures of a TCP stream with one stall."""
    return msgspec.structs.replace(
        builders.stall(longest_s, error_s=0.05), **changes)


def continuity(**changes):
    """Return the continuity of a guest that was hardly interrupted."""
    return builders.continuity(**{
        'address': '192.0.2.1', 'outage': outage(), 'control': outage(0),
        'stall': stall(), **changes})


def new_plan(*planned, **changes):
    """Return a plan to beta.

    :param planned: the servers; by default one with an address
    """
    return plan.MigrationPlan(**{
        'servers': planned or (plan.PlannedServer(
            fakes.SERVER_ID, '192.0.2.1', INSPECTION),),
        'destination': 'beta', 'timeouts': TIMEOUTS, 'bounds': BOUNDS,
        **changes})


def judged(known=None, **changes):
    """Return a migration with its verdict.

    :param known: its evidence; by default that of a completed one
    """
    known = known or new_evidence()
    followed = completed()
    followed.request = known.request
    return registry.Judged(**{
        'migration': followed, 'verdict': verdict.judge(known),
        'expected': (verdict.Kind.COMPLETED,), 'continuity': continuity(),
        **changes})


def observation(*migrations, clients=None, **changes):
    """Return the observation of a drain.

    :param migrations: with their verdicts; by default a completed one
    :param clients: of an administrator
    :param changes: of the plan, or by the names of the observation's fields
    """
    fields = {each.name for each in dataclasses.fields(registry.Observation)}
    return registry.Observation(**{
        'plan': new_plan(**{name: value for name, value in changes.items()
                            if name not in fields}),
        'clients': clients, 'migrations': migrations or (judged(),),
        **{name: value for name, value in changes.items()
           if name in fields}})
