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

"""Time and memory of a report of many results.

The results are those of simulated drains, with lines as large as those of a
cloud. Each report runs in a process of its own, which reads all results and
writes one file.

    python -m bench.report [--migrations N] [--hosts N] [--format FORMAT]
"""

import argparse
from collections.abc import Iterator
import dataclasses
import itertools
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import msgspec

from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.functional import matrix
from lm_tempest_plugin.tests.unit.results import builders

# Limits for a report of 100,000 live migrations.
MIGRATIONS = 100_000
SECONDS, BYTES = 60.0, 1_000_000_000
# A page that browsers and mail still take.
PAGE_BYTES = 10_000_000
FORMATS = {'html': 'report.html', 'json': 'report.json'}
# The command as Tempest calls it, without the time that Tempest takes to
# start.
COMMAND = (
    'import sys, types\n'
    'from lm_tempest_plugin.commands import reports\n'
    'command = reports.Report(types.SimpleNamespace('
    'stdout=sys.stdout, stderr=sys.stderr), None)\n'
    'sys.exit(command.take_action('
    'command.get_parser("report").parse_args(sys.argv[1:])))\n')

VERSIONS = (('9.2.4', '11.0.0', '32.1.0'), ('10.0.2', '11.3.0', '33.0.2'))
# Servers of each flavor; a drain has 12.
OF_EACH = 4
# Entries of each list in a line, as on a cloud.
TRANSITIONS, PROGRESS, EVENTS, OUTAGES = 10, 18, 8, 4
PROBLEM_EVERY = 997
# Of many hosts, so many can receive nothing, and so many send nothing.
NO_RECEIVING_EVERY, NO_SENDING_EVERY = 97, 131


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of one report.

    :ivar seconds: from start to end of the process
    :ivar cpu_seconds: CPU time
    :ivar bytes: maximum memory
    :ivar output_bytes: size of the report; 0 if there is none
    :ivar code: exit code
    """

    seconds: float
    cpu_seconds: float
    bytes: int
    output_bytes: int
    code: int


def main(arguments: list[str]) -> int:
    """Write results, and measure reports of them.

    :param arguments: of the command line
    :returns: 0 if each report kept the limits
    """
    options = _options(arguments)
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        directory = pathlib.Path(name)
        began_s = time.monotonic()
        path = write(directory, options.migrations, options.hosts)
        print(f'{options.migrations} live migrations on {options.hosts} '
              f'hosts, '
              f'{path.stat().st_size / 1e9:.2f} GB of results, written in '
              f'{time.monotonic() - began_s:.0f} s')
        kept = True
        for form in options.format or FORMATS:
            cost = measure(path, directory / FORMATS[form])
            kept &= _print_cost(form, options.migrations, cost)
        return 0 if kept else 1


def measure(results: pathlib.Path, output: pathlib.Path) -> Cost:
    """Return the cost of a report, made by a process of its own.

    :param results: results file
    :param output: file to write
    """
    began_s = time.monotonic()
    process = subprocess.Popen([
        sys.executable, '-c', COMMAND, str(results), '-o', str(output)])
    # Other children of this process have figures of their own.
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        time.monotonic() - began_s, usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * 1024,
        output.stat().st_size if output.exists() else 0, process.returncode)


def _print_cost(form: str, migrations: int, cost: Cost) -> bool:
    """Print the cost of a report; return whether it is within the limits.

    The limits are for 100,000 live migrations, whatever the number is.
    """
    kept = (not cost.code and cost.seconds <= SECONDS and
            cost.bytes <= BYTES and
            (form != 'html' or cost.output_bytes <= PAGE_BYTES))
    print(f'{form:<5} {migrations} live migrations: {cost.seconds:.1f} s '
          f'(limit {SECONDS:g} s; {cost.cpu_seconds:.1f} s of CPU), '
          f'{cost.bytes / 1e6:.0f} MB (limit {BYTES / 1e6:.0f} MB), file of '
          f'{cost.output_bytes / 1e6:.1f} MB (limit of a page '
          f'{PAGE_BYTES / 1e6:.0f} MB), exit '
          f'code {cost.code}: {"kept" if kept else "NOT KEPT"}')
    return kept


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m bench.report', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--migrations', metavar='N', type=int,
                        default=MIGRATIONS,
                        help='live migrations (default: %(default)d)')
    parser.add_argument('--hosts', metavar='N', type=int, default=2,
                        help='compute hosts, each of which sends and '
                        'receives (default: %(default)d)')
    parser.add_argument('--format', action='append', choices=FORMATS,
                        help='format of the report (default: all)')
    parser.add_argument('--directory', metavar='DIRECTORY',
                        help='directory for 2 GB of results (default: the '
                        "system's directory for temporary files)")
    return parser.parse_args(arguments)


def write(directory: pathlib.Path, migrations: int, hosts: int = 2,
          seed: int = 0) -> pathlib.Path:
    """Write a results file and return its path.

    Lines are not synced to the disk one by one, as a run does: that would
    take hours.

    :param directory: of the file
    :param migrations: least number of live migrations
    :param hosts: number of compute hosts
    :param seed: of the random numbers
    """
    chain = store.Chain('bench')
    path = directory / f'bench{store.SUFFIX}'
    with open(path, 'wb') as stream:
        stream.write(chain.append(builders.run(hosts=tuple(
            # In the middle of an upgrade.
            schema.ComputeHost(
                host=name, hypervisor_type='QEMU',
                hypervisor_version=qemu, libvirt_version=libvirt,
                nova_version=nova) for name, (qemu, libvirt, nova) in zip(
                    _names(hosts), itertools.cycle(VERSIONS))))) + b'\n')
        for line in _lines(migrations, hosts, seed):
            stream.write(chain.append(line) + b'\n')
    return path


def _names(hosts: int) -> tuple[str, ...]:
    return tuple(f'compute{number}' for number in range(1, hosts + 1))


def _lines(migrations: int, hosts: int,
           seed: int) -> Iterator[schema.Line]:
    """Yield each line after the first, up to the end of a drain."""
    names = _names(hosts)
    in_round_trip = hosts * OF_EACH * len(matrix.FLAVORS) * len(matrix.MATRIX)
    run = matrix.SimulatedRun(
        hosts=names, round_trips=-(-migrations // in_round_trip),
        of_each=OF_EACH, seed=seed)
    drawn = random.Random(seed)
    count = 0
    for line in matrix.lines(run):
        if isinstance(line, schema.MigrationResult):
            count += 1
            line = _with_details(line, drawn)
            if (line.source in names[::NO_SENDING_EVERY][1:] or
                    line.destination in names[::NO_RECEIVING_EVERY][1:]):
                line = _failed(line)
            elif not count % PROBLEM_EVERY:
                line = msgspec.structs.replace(line, problems=(
                    builders.problem('stall of 4.000 s (limit 3 s)',
                                     'stall'),))
        yield line
        if isinstance(line, schema.DrainResult) and count >= migrations:
            return


def _failed(line: schema.MigrationResult) -> schema.MigrationResult:
    """Return a migration that did not begin to copy."""
    failed = builders.failed()
    return msgspec.structs.replace(
        line, cause='secret not found: no secret matches the usage',
        reason='secret', **{name: getattr(failed, name) for name in (
            'verdict', 'service', 'job', 'phases', 'problems')})


def _with_details(line: schema.MigrationResult,
                  drawn: random.Random) -> schema.MigrationResult:
    """Return a migration with all details that a cloud's tests store."""
    server_id = f'{drawn.getrandbits(128):032x}'
    continuity = line.continuity
    assert continuity
    outage, = continuity.outage.outages
    others = tuple(msgspec.structs.replace(
        outage, start_ns=drawn.getrandbits(43), end_ns=drawn.getrandbits(43),
        duration_s=drawn.random() * outage.duration_s)
        for _number in range(OUTAGES - 1))
    return msgspec.structs.replace(
        line,
        records=(schema.MigrationRecord(
            number=drawn.randrange(100000), uuid=server_id,
            server_id=server_id, status='completed', source=line.source,
            destination=line.destination,
            created_at='2026-11-25T08:00:00.000000',
            updated_at='2026-11-25T08:00:20.000000'),),
        transitions=tuple(schema.Transition(
            at_s=drawn.uniform(0, 20), uncertainty_s=drawn.random(),
            subject='server' if number % 2 else 'record',
            state='ACTIVE, task migrating, on compute1')
            for number in range(TRANSITIONS)),
        progress=tuple(schema.Progress(at_s=drawn.uniform(0, 20), **{
            f'{name}_bytes': drawn.randrange(2 ** 34) for name in (
                'memory_total', 'memory_processed', 'memory_remaining',
                'disk_total', 'disk_processed', 'disk_remaining')})
            for _number in range(PROGRESS)),
        events=(f'compute_pre_live_migration on host {line.destination}: '
                f'Success',) * EVENTS,
        guest=schema.GuestState(answers=True, boot_id_before=server_id,
                                boot_id_after=server_id),
        continuity=msgspec.structs.replace(
            continuity, outage=msgspec.structs.replace(
                continuity.outage, outages=(*others, outage),
                delay_p50_s=drawn.random(), delay_p99_s=drawn.random()),
            quality=msgspec.structs.replace(
                continuity.quality, **{name: drawn.random() for name in (
                    'period_s', 'achieved_period_s', 'lateness_p50_s',
                    'lateness_p99_s', 'lateness_max_s', 'max_gap_s')})))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
