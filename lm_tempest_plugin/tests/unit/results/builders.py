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

"""Lines of results files as the tests of a cloud write them."""

from collections.abc import Iterable
import datetime
import pathlib
import tempfile
from typing import Any

import msgspec

from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store

STARTED = datetime.datetime(2026, 11, 25, 8, 0, tzinfo=datetime.UTC)
# CLOCK_MONOTONIC of the machine that ran the tests, at that time.
STARTED_MONOTONIC_S = 5000.0

SMALL = schema.Flavor(name='lm.small', vcpus=1, ram_gib=0.1875, disk_gib=1.0)
MEDIUM = schema.Flavor(name='lm.medium', vcpus=2, ram_gib=1.0, disk_gib=1.0)
TEST = 'lm_tempest_plugin.tests.live_migration_ha.test_drain'


def time_of_day(at_s: float) -> datetime.datetime:
    """Return a time of day.

    :param at_s: seconds after STARTED
    """
    return STARTED + datetime.timedelta(seconds=at_s)


def settings(storage: str = 'block', **values: Any) -> schema.Settings:
    """Return settings; without values, tunnelled is off."""
    return schema.Settings(storage=storage,
                           values=values or {'tunnelled': False})


def run(**changes: Any) -> schema.RunStarted:
    """Return the first line of a run.

    :param changes: by the names of the fields
    """
    return msgspec.structs.replace(schema.RunStarted(
        started_at=STARTED, plugin_version='1.0.0', plugin_commit='1234abc',
        region='RegionOne', compute_api='2.104', hosts=tuple(
            schema.ComputeHost(
                host=name, hypervisor_type='QEMU',
                hypervisor_version='10.0.2', libvirt_version='9.0.0')
            for name in ('compute1', 'compute2'))), **changes)


def outage(length_s: float = 0.25, at_s: float = 5003.0,
           error_s: float = 0.015) -> schema.OutageFigures:
    """Return the answers to ICMP probes with one outage.

    :param length_s: its length; 0 for none
    :param at_s: CLOCK_MONOTONIC of its begin
    :param error_s: its error bound
    """
    outages = (schema.Outage(
        start_ns=int(at_s * 1e9), end_ns=int((at_s + length_s) * 1e9),
        duration_s=length_s, error_bound_s=error_s, lost=25, late=0,
        kind='lost', open=False),) if length_s else ()
    return schema.OutageFigures(
        sent=900, answered=875, lost=25, late=0, scattered=0,
        longest_s=length_s, error_bound_s=error_s, open=False,
        sum_s=length_s, outages=outages, sending=schema.Sending(
            period_s=0.01, achieved_period_s=0.01, max_gap_s=0.012,
            resolution_s=0.02, lateness_p50_s=0.0001, lateness_p99_s=0.001,
            lateness_max_s=0.002),
        delay_p50_s=0.001, delay_p99_s=0.004, send_errors=0, send_error='')


def stall(length_s: float = 0.4,
          error_s: float = 0.06) -> schema.StallFigures:
    """Return the progress of a TCP stream with one stall."""
    return schema.StallFigures(
        start_ns=0, longest_s=length_s, error_bound_s=error_s, open=False,
        never_echoed=False, sent=180, outstanding=0, period_s=0.05,
        achieved_period_s=0.05, broken='', breaks_total=0, resets=0,
        closes=0, reconnects=0, connect_failures=0, connect_error='',
        lost=0, repeated=0, corrupt=0, example='', skipped=0,
        retransmissions=0, last_sent=179, last_echoed=179, error='',
        trouble='')


def continuity(**changes: Any) -> schema.Continuity:
    """Return the continuity of a guest.

    :param changes: by the names of the fields
    """
    return msgspec.structs.replace(schema.Continuity(
        address='203.0.113.5', outage=outage(), control=outage(0.0),
        stall=stall(), quality=schema.ProberQuality(
            period_s=0.01, achieved_period_s=0.01, lateness_p50_s=0.0001,
            lateness_p99_s=0.001, lateness_max_s=0.002, max_gap_s=0.012,
            due=900, deadlines_missed=0, send_errors=0, wall_clock_steps=0,
            kernel_stamps_refused=0, answers_dropped=0, too_busy=False)),
        **changes)


def phase(name: str, seconds: float) -> schema.Phase:
    """Return a phase that was seen by polling."""
    return schema.Phase(name=name, seconds=seconds, resolution_s=0.5,
                        origin='polls')


def problem(text: str = 'longest outage 5.00 s (limit 1 s)',
            check: str = 'outage', **changes: Any) -> schema.Problem:
    """Return a problem."""
    return schema.Problem(check=check, text=text, **changes)


def migration(number: int = 0, **changes: Any) -> schema.MigrationResult:
    """Return a migration: ten seconds apart, each after 2 s of queueing.

    :param number: counts migrations from 0
    :param changes: by the names of the fields; outage and stall are those
        of its continuity
    """
    at_s = 10.0 * number
    monotonic_s = STARTED_MONOTONIC_S + at_s
    probed = continuity(
        outage=changes.pop('outage', outage(at_s=monotonic_s + 6)),
        stall=changes.pop('stall', stall()))
    return msgspec.structs.replace(schema.MigrationResult(
        migration=f'migration-{number}', drain='drain-1', test=TEST,
        settings=settings(), strategy='window of 2', servers=2,
        round_trip=1, measured=True, flavor=SMALL,
        server_id=f'server-{number}', server_name=f'guest-{number}',
        source='compute1', destination='compute2', block_migration='auto',
        microversion='2.104', request_id=f'req-{number}', refusal=None,
        requested_at=time_of_day(at_s), requested_monotonic_s=monotonic_s,
        records=(), server_status='ACTIVE', server_task_state=None,
        server_host='compute2', transitions=(), progress=(), events=(),
        guest=schema.GuestState(), verdict=schema.COMPLETED,
        expected_verdicts=(schema.COMPLETED,), cause='', signature='',
        duration_s=9.0, phases=tuple(phase(*each) for each in (
            ('checks', 1.0), ('queued', 2.0), ('setup', 2.0), ('copy', 3.0),
            ('post', 0.5), ('cleanup', 0.5))),
        service=phase('service', 6.0), queue_s=2.0, continuity=probed,
        job=schema.LibvirtJob(downtime_ms=180,
                              memory_bytes_processed=200_000_000),
        max_outage_s=1.0, max_stall_s=3.0, problems=()), **changes)


def failed(number: int = 0, **changes: Any) -> schema.MigrationResult:
    """Return a migration that was rolled back."""
    return migration(number, **{
        'verdict': 'rolled back', 'cause': 'it failed while copying',
        'service': None, 'job': None, 'phases': (),
        'problems': (problem('rolled back: it failed while copying',
                             'verdict'),), **changes})


def ended(number: int = 0, **changes: Any) -> schema.MigrationEnded:
    """Return a migration that has ended and is not judged yet."""
    return msgspec.structs.replace(schema.MigrationEnded(
        drain='drain-1', server_id=f'server-{number}', source='compute1',
        destination='compute2', requested_at=time_of_day(10.0 * number),
        duration_s=9.0, record_status='completed', server_status='ACTIVE',
        timed_out=''), **changes)


def drain(name: str = 'drain-1', **changes: Any) -> schema.DrainResult:
    """Return a drain of two servers.

    :param name: its id
    :param changes: by the names of the fields
    """
    return msgspec.structs.replace(schema.DrainResult(
        drain=name, test=TEST, settings=settings(), strategy='window of 2',
        servers=2, round_trip=1, measured=True, source='compute1',
        destination='compute2', started_at=STARTED,
        started_monotonic_s=STARTED_MONOTONIC_S, wall_s=19.0,
        concurrency=concurrency(1, 1), polls=38, poll_errors=0, checks=(
            schema.CheckOutcome(check='outage', outcome='passed'),
            schema.CheckOutcome(check='verdict', outcome='passed')),
        problems=(), sockets=schema.Sockets(
            transport='direct', samples=40, qemu_ports=(49152,),
            qemu_connections=1, libvirt_ports=()),
        hosts=(samples('compute1'), samples('compute2'))), **changes)


def concurrency(running: int,
                queued: int = 0) -> tuple[schema.Concurrency, ...]:
    """Return the concurrency of a drain's source.

    :param running: maximum number that ran at once
    :param queued: maximum number that waited at once
    """
    return (schema.Concurrency(
        host='compute1', running=running, queued=queued, mean=float(running),
        busy_s=12.0, idle_s=0.5, full=running),)


def samples(host: str, count: int = 20) -> schema.HostSamples:
    """Return samples of a host, one a second."""
    return schema.HostSamples(host=host, period_s=1.0, samples=tuple(
        sample(second) for second in range(count)))


def sample(second: int, **changes: Any) -> schema.HostSample:
    """Return one of them; the first has no rates."""
    rates: dict[str, Any] = {
        'seconds': 1.0, 'cpu_busy_fraction': 0.4 + 0.02 * second,
        'cpu_stolen_fraction': 0.0, 'received_bytes_per_s': 1e6,
        'sent_bytes_per_s': 5e7, 'read_bytes_per_s': 0.0,
        'written_bytes_per_s': 1e6} if second else {}
    return msgspec.structs.replace(schema.HostSample(
        before_ns=int((STARTED_MONOTONIC_S + second) * 1e9),
        after_ns=int((STARTED_MONOTONIC_S + second + 0.01) * 1e9),
        memory_total_bytes=24 * 2 ** 30,
        memory_available_bytes=16 * 2 ** 30, **rates), **changes)


def drain_lines(number: int, services_s: Iterable[float],
                of_migrations: dict[str, Any] | None = None,
                **changes: Any) -> list[schema.Line]:
    """Return the lines of a drain, all requested at once, one at a time.

    :param number: of the drain, from 1
    :param services_s: service time of each server
    :param of_migrations: changes of each migration
    :param changes: of the drain and its migrations, by fields that they
        have; problems are those of the drain
    """
    name = f'drain-{number}'
    services_s = list(services_s)
    shared = {'servers': len(services_s), **changes}
    lines: list[schema.Line] = []
    waited_s = 0.0
    of_drain = {each: value for each, value in shared.items()
                if each in schema.DrainResult.__struct_fields__}
    in_migrations = {
        each: value for each, value in shared.items()
        if each != 'problems' and each in (
            *schema.MigrationResult.__struct_fields__, 'outage', 'stall')}
    for place, seconds in enumerate(services_s):
        lines.append(migration(place, **{
            'migration': f'{name}/{place}', 'drain': name,
            'queue_s': waited_s, 'duration_s': waited_s + seconds,
            'service': phase('service', seconds),
            **in_migrations, **(of_migrations or {})}))
        waited_s += seconds
    lines.append(drain(name, **{'wall_s': waited_s, **of_drain}))
    return lines


def write(directory: str | pathlib.Path, run_name: str,
          lines: Iterable[schema.Line],
          first: schema.RunStarted | None = None) -> pathlib.Path:
    """Write a results file, and return its path.

    :param directory: of the file
    :param run_name: name of the run
    :param lines: after the first
    :param first: the first line; None for that of run()
    """
    writer = store.Writer(directory, run_name)
    writer.append(first or run())
    for line in lines:
        writer.append(line)
    writer.close()
    return writer.path


def read(lines: Iterable[schema.Line]) -> store.Results:
    """Return the contents of a results file.

    :param lines: after the first
    """
    with tempfile.TemporaryDirectory() as directory:
        return store.read([write(directory, 'run-1', lines)])
