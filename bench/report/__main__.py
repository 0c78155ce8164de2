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

"""``python -m bench.report``: see the package."""

import argparse
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from bench import report
from bench.report import synthetic

FORMATS = {'html': 'report.html', 'json': 'report.json'}
# The command as tempest calls it, without what Tempest takes to start.
COMMAND = (
    'import sys, types\n'
    'from lm_tempest_plugin.commands import report\n'
    'command = report.Report(types.SimpleNamespace('
    'stdout=sys.stdout, stderr=sys.stderr), None)\n'
    'sys.exit(command.take_action('
    'command.get_parser("report").parse_args(sys.argv[1:])))\n')


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a report took.

    :ivar seconds: from start to end of the process
    :ivar cpu_seconds: for which CPUs were at work on it
    :ivar bytes: most memory that it had at once
    :ivar code: its exit code
    """

    seconds: float
    cpu_seconds: float
    bytes: int
    code: int


def main(arguments: list[str]) -> int:
    """Make records, and time reports of them.

    :param arguments: of the command line
    :returns: 0 if each took no more than it may
    """
    options = _options(arguments)
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        directory = pathlib.Path(name)
        began_s = time.monotonic()
        path = synthetic.write(directory, options.records)
        size = path.stat().st_size
        print('%d live migrations, %.2f GB of records, written in %.0f s' % (
            options.records, size / 1e9, time.monotonic() - began_s))
        held = True
        for form in options.format or FORMATS:
            found = taken(path, directory / FORMATS[form])
            held &= _held(form, options.records, found)
        return 0 if held else 1


def taken(records: pathlib.Path, output: pathlib.Path) -> Taken:
    """Return what a report takes, in a process of its own.

    :param records: file of records
    :param output: file to write
    """
    began_s = time.monotonic()
    process = subprocess.Popen([
        sys.executable, '-c', COMMAND, str(records), '-o', str(output)])
    # Other children of this process have their own figures.
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Taken(
        time.monotonic() - began_s, usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * 1024, process.returncode)


def _held(form: str, records: int, found: Taken) -> bool:
    """Print what a report took, and return whether it may.

    The limits are those of 100,000 live migrations; for fewer, they are
    stricter than they have to be only for what does not grow with them.
    """
    held = (not found.code and found.seconds <= report.SECONDS and
            found.bytes <= report.BYTES)
    print('%-5s %d live migrations: %.1f s (limit %g s; %.1f s of CPU), '
          '%.0f MB (limit %.0f MB), exit code %d: %s' % (
              form, records, found.seconds, report.SECONDS,
              found.cpu_seconds, found.bytes / 1e6, report.BYTES / 1e6,
              found.code, 'held' if held else 'NOT HELD'))
    return held


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m bench.report',
                                     description=report.__doc__)
    parser.add_argument('--records', metavar='N', type=int,
                        default=report.RECORDS,
                        help='live migrations (default: %(default)d)')
    parser.add_argument('--format', action='append', choices=FORMATS,
                        help='of the report (default: each)')
    parser.add_argument('--directory', metavar='DIRECTORY',
                        help='for records, 2 GB (default: the one for '
                        'temporary files)')
    return parser.parse_args(arguments)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
