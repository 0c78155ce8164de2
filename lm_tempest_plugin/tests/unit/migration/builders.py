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

"""Attempts at a live migration, good ones unless told otherwise."""

import dataclasses
import datetime

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.cloud import hosts
from lm_tempest_plugin.cloud import progress
from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import evidence as evidences
from lm_tempest_plugin.migration import finding as findings
from lm_tempest_plugin.migration import poll
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.probes.analysis import figures
from lm_tempest_plugin.probes.analysis import outages
from lm_tempest_plugin.probes.analysis import quality
from lm_tempest_plugin.probes.analysis import stalls
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes.tcp import streams
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.unit import fakes

S = schedule.NS
REQUESTED_NS = 1000 * S
GIB = 2 ** 30
UP = (hosts.Host('alpha', 'enabled', 'up'),
      hosts.Host('beta', 'enabled', 'up'))
SOURCE_DOWN = (hosts.Host('alpha', 'enabled', 'down'), UP[1])
ANSWERS = evidences.Guest(True, 'boot-1', 'boot-1')
SILENT = evidences.Guest(False, 'boot-1')


def server(**kwargs):
    return dataclasses.replace(servers.Server(
        fakes.SERVER_ID, 'guest', 'ACTIVE', None, 'alpha', '', 2, 2.0, 20.0),
        **kwargs)


def migrating(**kwargs):
    """Return a server that nova holds for being migrated."""
    return server(**{'status': 'MIGRATING', 'task_state': 'migrating',
                     **kwargs})


def move(**kwargs):
    return requests.Move(**{'destination': 'beta', **kwargs})


def request(**kwargs):
    return dataclasses.replace(requests.Request(
        server(), move(), 'req-1', REQUESTED_NS, frozenset(['uuid-3'])),
        **kwargs)


def record(status='completed', number=7, **kwargs):
    return dataclasses.replace(records.Record(
        number, 'uuid-%d' % number, fakes.SERVER_ID, status, 'alpha', 'beta',
        '2026-01-01T00:00:00.000000', '2026-01-01T00:00:20.000000'),
        **kwargs)


def look(at_s, found=(), *watched, asked_s=None):
    """Return what was seen so many seconds after the request.

    :param found: records, of any server
    :param watched: servers; of the one that is moved if none is given
    """
    by_server = {}
    for each in found:
        by_server.setdefault(each.server_id, []).append(each)
    at_ns = REQUESTED_NS + round(at_s * S)
    return poll.Look(
        at_ns if asked_s is None else REQUESTED_NS + round(asked_s * S),
        at_ns, {each.server_id: each for each in watched or [server()]},
        {key: tuple(each) for key, each in by_server.items()})


def attempt(*looks, limits=None, excused=(), **kwargs):
    """Return an attempt that was seen like this."""
    followed = attempts.Attempt(
        request(**kwargs), limits or attempts.Limits(30, 5))
    for each in looks:
        followed.take(each, excused)
    return followed


def completed():
    """Return an attempt that went well."""
    return attempt(
        look(0.5, [record('queued')], migrating()),
        look(1.5, [record('preparing')], migrating()),
        look(2.5, [record('running')], migrating()),
        look(20, [record('completed')], server(host='beta')))


def transitions(*statuses):
    """Return what was seen of a record, a second each."""
    return tuple(attempts.Transition(number + 1.0, 1.0, 'record', status)
                 for number, status in enumerate(statuses))


def time(second):
    return datetime.datetime(2026, 1, 1, 0, 0, second, tzinfo=datetime.UTC)


def event(name, result='Success', start=0, finish=1, host='alpha',
          details=''):
    return actions.Event(
        name, host, time(start),
        None if finish is None else time(finish), result, details)


def action(*events, start=0):
    return actions.Action('live-migration', time(start), '', events)


def sample(at_s=5.0, memory_remaining=0, disk_remaining=0):
    return attempts.Sample(at_s, progress.Progress(
        2 * GIB, 2 * GIB - memory_remaining, memory_remaining,
        20 * GIB, 20 * GIB - disk_remaining, disk_remaining))


def evidence(**kwargs):
    """Return what is known of a live migration; of one that went well."""
    return evidences.Evidence(**{
        'request': request(), 'records': (record(),),
        'server': server(host='beta'), 'given_up': '',
        'transitions': transitions(
            'accepted', 'queued', 'preparing', 'running', 'completed'),
        'samples': (),
        'action': action(
            event(actions.CHECKS), event(actions.JOB), event(actions.PRE),
            event(actions.POST_AT_DESTINATION, host='beta')),
        'services': UP, 'guest': ANSWERS, 'abort_asked': False, **kwargs})


def sending(**kwargs):
    return dataclasses.replace(figures.Sending(
        period_s=0.01, achieved_period_s=0.0101, max_gap_s=0.02,
        resolution_s=0.03, lateness_p50_s=0.0001, lateness_p99_s=0.001,
        lateness_max_s=0.002), **kwargs)


def outage(duration_s=0.2, **kwargs):
    longest = outages.Outage(
        0, round(duration_s * S), 10_000_000, kwargs.pop('lost', 20),
        kwargs.pop('late', 0), kwargs.pop('open', False))
    return dataclasses.replace(figures.OutageFigures(
        sent=2500, answered=2480, lost=20, late=0, scattered=0,
        outages=(longest,) if duration_s else (), sending=sending(),
        delay_p50_s=0.0003, delay_p99_s=0.0006, send_errors=0,
        send_error=''), **kwargs)


def stall(**kwargs):
    return dataclasses.replace(stalls.StallFigures(
        start_ns=0, longest_s=0.65, error_bound_s=0.05, open=False,
        never_echoed=False, sent=500, outstanding=0, period_s=0.05,
        achieved_period_s=0.0501), **kwargs)


def broken(why):
    return (streams.Break(0, why, streams.BreakKind.OTHER),)


def continuity(**kwargs):
    return dataclasses.replace(watch.Continuity(
        '192.0.2.1', outage(), outage(0), stall(), quality.Quality(
            0.01, 0.0101, 0.0001, 0.001, 0.002, 0.02, 2500, 0, 0, 0, 0, 0)),
        **kwargs)


def finding(known=None, **kwargs):
    """Return a finding on a migration of which something is known."""
    return findings.Finding(**{
        'attempt': completed(), 'verdict': verdicts.judge(
            known or evidence()),
        'continuity': continuity(), 'bounds': findings.Bounds(1.0, 3.0),
        **kwargs})
