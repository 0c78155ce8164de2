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

"""Facts that are read in a guest, before a migration and after it."""

from collections.abc import Collection
import importlib.resources
import time

from tempest.lib import exceptions

from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.results import schema

#: Number of guests to read at once. An answer takes seconds, most of them
#: spent on waiting; more at once would slow down the guests beside them.
AT_ONCE = 4
#: Parts of an inspection that take time, by the slugs of their checks.
PARTS = ('metadata', 'dhcp-lease', 'disk-write', 'kernel-log', 'base-image',
         'ephemeral-disks')

# Reading disks and the kernel's log takes root. Any shell may come first, with
# errexit and nounset, as in Tempest's ssh_shell_prologue. The script comes on
# standard input, where nothing in it has to be quoted.
_COMMAND = """\
run=
[ "$(id -u)" = 0 ] || ! sudo -n true 2> /dev/null || run='sudo -n'
$run env HOME="$HOME" SSH_CONNECTION="${{SSH_CONNECTION-}}" \
    sh -s -- {parts} << 'END'
{script}END
"""


# Our wall clock when CLOCK_MONOTONIC was 0. Read once: NTP may step the wall
# clock, and the guest's would seem to have changed.
_WALL_S = time.time() - time.monotonic()


class InspectionError(exceptions.TempestException):
    """A guest did not print the facts."""

    message = 'Guest cannot be inspected'


def command(parts: Collection[str]) -> str:
    """Return shell commands that print facts, one NAME=VALUE on each line.

    :param parts: some of PARTS
    """
    source = importlib.resources.files(__package__).joinpath(
        'inspection.sh').read_text('utf-8')
    return _COMMAND.format(parts=' '.join(parts),
                           script=workloads.bare(source))


def inspect(run: workloads.Run,
            leave_out: Collection[str] = ()) -> schema.GuestInspection:
    """Return facts that are read in a guest now.

    :param run: runs a command in the guest; its errors are raised
    :param leave_out: slugs of checks whose facts are not read
    :raises InspectionError: the guest did not print them
    """
    parts = [part for part in PARTS if part not in leave_out]
    before_ns = time.monotonic_ns()
    output = run(command(parts))
    return parse(output, before_ns, time.monotonic_ns(),
                 _WALL_S + before_ns / 1e9)


def parse(output: str, before_ns: int, after_ns: int,
          before_wall_s: float) -> schema.GuestInspection:
    """Return the facts in the output of command().

    :param output: lines NAME=VALUE; other lines are ignored
    :param before_ns: CLOCK_MONOTONIC before the command
    :param after_ns: CLOCK_MONOTONIC after it
    :param before_wall_s: our wall clock before the command
    :raises InspectionError: they are not complete
    """
    said: dict[str, list[str]] = {}
    for line in output.splitlines():
        name, _, value = line.partition('=')
        said.setdefault(name, []).append(value.strip())

    def one(name: str) -> str:
        return said.get(name, [''])[-1]

    def number(name: str) -> float | None:
        try:
            return float(one(name))
        except ValueError:
            return None

    def group(kind: str) -> dict[str, str]:
        return {name.removeprefix(kind): values[-1]
                for name, values in said.items() if name.startswith(kind)}

    started_s, ended_s = number('started_s'), number('ended_s')
    wall_s = number('wall_s')
    if not one('boot_id') or started_s is None or ended_s is None:
        raise InspectionError(
            f'the guest did not print its facts, but {output[-200:]!r}')
    # The guest read its clocks first of all. SSH took the rest of the time,
    # before that or after the command: half of it is the error.
    error_s = max(
        0.0, (after_ns - before_ns) / 1e9 - (ended_s - started_s)) / 2
    at_ns = before_ns + round(error_s * 1e9)
    # busybox's date knows whole seconds only.
    coarse_s = 0.0 if '.' in one('wall_s') else 0.5
    disk_write_cs = number('disk_write_cs')
    return schema.GuestInspection(
        boot_id=one('boot_id'), at_ns=at_ns,
        uptime_ahead_s=started_s - at_ns / 1e9, uptime_error_s=error_s,
        wall_ahead_s=None if wall_s is None
        else wall_s + coarse_s - (before_wall_s + error_s),
        wall_error_s=error_s + coarse_s,
        metadata_server_id=one('metadata_server_id'),
        leased_address=one('leased_address'),
        disk_write_s=None if disk_write_cs is None else disk_write_cs / 100,
        read_only=tuple(said.get('read_only', ())),
        read_write=tuple(said.get('read_write', ())),
        kernel_lines=tuple(said.get('kernel', ())),
        # A part that was written while it was read has no valid checksum.
        written_sectors={
            name.removeprefix('written:'): int(values[0])
            for name, values in said.items()
            if name.startswith('written:') and values[0] == values[-1] and
            values[0].isdecimal()},
        base_image=group('base-image:'),
        ephemeral_disks=group('ephemeral-disks:'),
        skipped=group('skipped:'), failed=group('failed:'))
