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

"""A program that works in a guest while it is migrated: the common part.

The programs are shell scripts, because a cloud's guest has a shell and busybox
or coreutils, and often neither Python nor a compiler. They keep their state in
tmpfs: pages that a guest writes there are memory like any other.
"""

import bisect
from collections.abc import Sequence
import dataclasses
import importlib.resources
import shlex
import time

from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.guests.workloads import disk
from lm_tempest_plugin.results import schema

# Time for which the throughput before and after a migration is measured.
AROUND_S = 10.0
# A piece of work may have begun so long before its line in the log.
EARLIER_S = 60.0
# A throughput in a shorter time than this says nothing.
LEAST_S = 1.0
# Memory in MiB that a guest needs besides that of the workload: a guest that
# runs out of memory kills its programs.
SPARE_MIB = 16
# Time for a program to do its first work.
START_S = 60

# Any shell may come first, with errexit and nounset.
_PLAIN = """\
sh -s << 'LM_END'
for folder in /dev/shm/{name} /run/{name} /tmp/{name}; do
[ ! -e "$folder/pid" ] || break
done
{commands}LM_END
"""

# The program leads a session of its own, so all its processes end with it.
_STOP = """\
if [ -e "$folder/pid" ]; then
    kill -9 -"$(cat "$folder/pid")" 2> /dev/null
    rm -rf "$folder"
fi
"""

_START = _STOP + """\
skip() {{
    echo "skipped: $*"
    exit
}}
for tool in {needs}; do
    command -v $tool > /dev/null || skip "the guest has no $tool"
done
{disk}
free=$(sed -n 's/^MemAvailable: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo)
[ "${{free:-99999999}}" -ge $((({mib} + {spare}) * 1024)) ] ||
    skip "the guest has $((free / 1024)) MiB of memory available, and needs \
{mib} MiB and {spare} MiB to spare"
for folder in /dev/shm /run /tmp ''; do
    [ -n "$folder" ] || skip "the guest has no tmpfs with room for {mib} MiB \
that $(id -un) may write to"
    [ -w $folder ] && grep -q "^[^ ]* $folder tmpfs " /proc/mounts || continue
    set -- $(df -P -k $folder | tail -n 1)
    [ "$4" -lt $(({mib} * 1024)) ] || break
done
folder=$folder/lm-{name}
mkdir -p "$folder"
cat > "$folder/program" << 'LM_PROGRAM'
{program}LM_PROGRAM
{before}
setsid sh "$folder/program" "$folder" {arguments} \\
    > "$folder/error" 2>&1 < /dev/null &
echo $! > "$folder/pid"
patience={patience}
until [ -s "$folder/log" ]; do
    [ ! -e "$folder/problem" ] || skip "$(cat "$folder/problem")"
    kill -0 $! 2> /dev/null || skip "its program ended: $(cat "$folder/error")"
    [ $patience -gt 0 ] || skip 'its program did nothing within {patience} s'
    patience=$((patience - 1))
    sleep 1
done
echo started
"""
_DISK = 'found=$( ({}) 2>&1 ) || skip "$found"'

_VERIFY = """\
if [ -e "$folder/problem" ]; then
    cat "$folder/problem"
elif ! kill -0 "$(cat "$folder/pid")" 2> /dev/null; then
    echo "its program ended: $(cat "$folder/error")"
fi
"""

_PROGRESS = """\
read -r now _ < /proc/uptime
echo "$now"
awk -v since="$now" '$1 >= (since - {seconds:.0f}) * 100' "$folder/log"
"""


def source(*names: str) -> str:
    """Return the text of shell scripts, without comments and indentation.

    :param names: files in this folder
    """
    folder = importlib.resources.files(__package__)
    return ''.join(workloads.bare(folder.joinpath(name).read_text('utf-8'))
                   for name in names)


@dataclasses.dataclass(frozen=True)
class Work:
    """The work of a program until one time.

    :ivar at_ns: CLOCK_MONOTONIC of this machine
    :ivar total: all work since its start, in the program's unit
    :ivar took_s: time of the last piece; None if it was not measured
    """

    at_ns: int
    total: float
    took_s: float | None = None


def throughput(done: Sequence[Work], begin_ns: int,
               end_ns: int) -> float | None:
    """Return the work in each second of a time; None if it is not known.

    Work counts as done evenly between two times that are known.

    :param done: in order of time
    :param begin_ns: begin, CLOCK_MONOTONIC
    :param end_ns: end, the same
    """
    if not done:
        return None
    begin_ns, end_ns = (max(begin_ns, done[0].at_ns),
                        min(end_ns, done[-1].at_ns))
    if end_ns - begin_ns < LEAST_S * 1e9:
        return None

    def total_at(at_ns: int) -> float:
        place = bisect.bisect_left(done, at_ns, key=lambda each: each.at_ns)
        after, before = done[place], done[max(0, place - 1)]
        if after.at_ns == before.at_ns:
            return after.total
        return before.total + (after.total - before.total) * (
            at_ns - before.at_ns) / (after.at_ns - before.at_ns)

    return (total_at(end_ns) - total_at(begin_ns)) / (end_ns - begin_ns) * 1e9


class Program(workloads.Workload):
    """A program in a guest. An object serves one guest only.

    :cvar name: value of option workload
    :cvar script: file with the shell script
    :cvar needs: programs that the guest has to have
    :cvar on_disk: whether HOME has to be on a disk
    :cvar unit: unit of the work
    :cvar step: work of one step of the program's counter
    :ivar memory_mib: memory in which it works, in MiB
    :ivar asked_per_s: work that is asked for each second; 0 for as much as
        possible
    """

    script: str
    needs: tuple[str, ...] = ('awk', 'dd', 'setsid')
    on_disk = False
    unit = 'MiB'
    step = 1.0

    def __init__(self, asked_per_s: float, memory_mib: int = 0) -> None:
        if asked_per_s < 0 or memory_mib < 0:
            raise ValueError(f'{asked_per_s:g} {self.unit}/s of {memory_mib} '
                             'MiB cannot be asked for')
        self.asked_per_s = asked_per_s
        self.memory_mib = memory_mib

    def ask(self, run: workloads.Run, commands: str) -> str:
        """Return the output of commands that know the program's $folder.

        :param run: runs a command in the guest
        :param commands: for sh
        """
        return run(_PLAIN.format(name=f'lm-{self.name}', commands=commands))

    def start(self, run: workloads.Run) -> None:
        """Start the program; return when it has done its first work.

        :param run: runs a command in the guest
        :raises Skipped: the guest lacks a tool, memory, or a disk
        """
        self._start(run, shlex.join(
            (f'{self.asked_per_s:g}', f'{self.memory_mib}')))

    def _start(self, run: workloads.Run, arguments: str,
               before: str = '') -> None:
        """Start the program.

        :param run: runs a command in the guest
        :param arguments: of the script, quoted for sh
        :param before: commands for sh that come right before
        """
        output = self.ask(run, _START.format(
            name=self.name, needs=' '.join(self.needs), mib=self.memory_mib,
            spare=SPARE_MIB,
            disk=_DISK.format(disk.locate()) if self.on_disk else '',
            program=source('program.sh', self.script), before=before,
            arguments=arguments, patience=START_S))
        _, skipped, reason = output.partition('skipped: ')
        if skipped:
            raise workloads.Skipped(reason)

    def progress(self, run: workloads.Run, begin_ns: int,
                 end_ns: int) -> schema.WorkloadFigures:
        """Return figures of the work around a migration.

        :param run: runs a command in the guest
        :param begin_ns: when the migration was requested, CLOCK_MONOTONIC
        :param end_ns: when it had ended, the same
        """
        return self.figures(self._done(run, begin_ns), begin_ns, end_ns)

    def _done(self, run: workloads.Run, begin_ns: int) -> list[Work]:
        """Return the work since some seconds before a time."""
        asked_ns = time.monotonic_ns()
        seconds = (asked_ns - begin_ns) / 1e9 + AROUND_S + EARLIER_S
        uptime, *lines = self.ask(
            run, _PROGRESS.format(seconds=seconds)).splitlines()
        # The guest reads its clock between the two; SSH takes the most time
        # before that.
        zero_ns = time.monotonic_ns() - round(float(uptime) * 1e9)
        found = []
        for line in lines:
            at_cs, total, *took_cs = map(int, line.split())
            found.append(Work(zero_ns + at_cs * 10_000_000, total * self.step,
                              took_cs[0] / 100 if took_cs else None))
        return found

    def figures(self, done: Sequence[Work], begin_ns: int,
                end_ns: int) -> schema.WorkloadFigures:
        """Return the throughput before, during and after a migration.

        :param done: work, in order of time
        :param begin_ns: when the migration was requested, CLOCK_MONOTONIC
        :param end_ns: when it had ended, the same
        """
        around_ns = round(AROUND_S * 1e9)
        return schema.WorkloadFigures(
            unit=self.unit,
            before_per_s=throughput(done, begin_ns - around_ns, begin_ns),
            during_per_s=throughput(done, begin_ns, end_ns),
            after_per_s=throughput(done, end_ns, end_ns + around_ns))

    def verify(self, run: workloads.Run) -> str:
        """Return the problem that the program found; empty if none."""
        return self.ask(run, _VERIFY)

    def stop(self, run: workloads.Run) -> None:
        """End the program, and free its memory."""
        self.ask(run, _STOP)

    def close(self) -> None:
        """Close connections of this machine, if there are any."""
