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

from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import follow
from lm_tempest_plugin.migration import request as requests
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.probes.analysis import figures
from lm_tempest_plugin.probes.analysis import outages
from lm_tempest_plugin.probes.analysis import quality
from lm_tempest_plugin.probes.analysis import stalls
from lm_tempest_plugin.probes import schedule
from lm_tempest_plugin.probes.tcp import streams
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.unit import fakes

S = schedule.NS


def server(**kwargs):
    return dataclasses.replace(servers.Server(
        fakes.SERVER_ID, 'guest', 'ACTIVE', None, 'alpha', '', 2.0, 20.0),
        **kwargs)


def request(**kwargs):
    return dataclasses.replace(requests.Request(
        server(), 'beta', True, 'req-1', 1000 * S, frozenset([3])), **kwargs)


def record(status='completed', number=7, source='alpha',
           destination='beta'):
    return records.Record(number, 'uuid', status, source, destination, '')


def outcome(found=None, given_up='', **kwargs):
    look = follow.Look(
        1020 * S, tuple([record()] if found is None else found),
        server(**{'host': 'beta', **kwargs}))
    return follow.Outcome(
        last=look, ended_ns=look.at_ns, duration_s=20.0, given_up=given_up,
        transitions=(follow.Transition(1.5, 0.5, 'record 7', 'running'),),
        polls=40, poll_errors=0)


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


def attempt(**kwargs):
    return dataclasses.replace(verdict.Attempt(
        request(), outcome(), continuity(), verdict.BootIds('a', 'a'),
        'none'), **kwargs)
