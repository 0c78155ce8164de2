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

"""Texts about migrations for logs and terminals."""

from collections.abc import Mapping
from collections.abc import Sequence
import textwrap

from lm_tempest_plugin.results import schema

# A failed test prints its text with a traceback and the names of four
# attachments, 21 lines; together they fit on a terminal of 40 lines.
WIDTH, MAX_LINES = 100, 19


def summary_line(result: schema.MigrationResult) -> str:
    """Return the figures of a migration on one line.

    :param result: the migration
    """
    parts = [f'{result.verdict} after {result.duration_s:.1f} s']
    parts += [f'{phase.name} {phase.seconds:.1f} s'
              for phase in result.phases]
    if result.job is not None and result.job.downtime_ms is not None:
        parts.append(f"libvirt's downtime {result.job.downtime_ms} ms")
    if result.continuity is not None:
        outage, stall = result.continuity.outage, result.continuity.stall
        parts.append(
            f'outage {outage.longest_s:.3f} s +/- '
            f'{outage.error_bound_s:.3f} s (limit {result.max_outage_s:g} s), '
            f'{outage.lost} of {outage.sent} probes lost')
        if stall is not None:
            parts.append(
                f'stall {stall.longest_s:.3f} s +/- '
                f'{stall.error_bound_s:.3f} s (limit '
                f'{result.max_stall_s:g} s)')
        if result.continuity.quality.too_busy:
            parts.append('this machine was too busy to measure well')
    return (f'server {result.server_id} from {result.source} to '
            f'{result.destination or "no host"}: {", ".join(parts)}; '
            f'problems: {len(result.problems) or "none"}')


def shortened(text: str, max_lines: int = MAX_LINES) -> str:
    """Return a text for a terminal: long lines wrapped, the rest cut off.

    :param text: may have several lines; the log should have all of it
    :param max_lines: number of lines that are left
    """
    lines = [part for line in text.splitlines()
             for part in textwrap.wrap(line, WIDTH, subsequent_indent='  ')]
    hidden = len(lines) - max_lines
    if hidden > 0:
        lines[max_lines - 1:] = [f'{hidden + 1} more lines: see the log']
    return '\n'.join(lines)


def combined(title: str, failures: Sequence[str]) -> str:
    """Return several failures as one text for a terminal.

    Each gets an equal part of the lines, so that a long one hides no other.

    :param title: first line, without its colon
    :param failures: texts of any length; the log should have all of them
    """
    room = max(1, (MAX_LINES - 1) // len(failures))
    return shortened('\n'.join([
        f'{title}:', *(shortened(each, room) for each in failures)]))


def describe_problems(problems: Sequence[schema.Problem],
                      drain: schema.DrainResult,
                      results: Sequence[schema.MigrationResult]) -> str:
    """Return the problems of a run, then the evidence, for a terminal.

    At most MAX_LINES lines of WIDTH columns: evidence is cut first, and the
    results file has all of it.

    :param problems: all problems of the run
    :param drain: stored line of the drain
    :param results: stored lines of its migrations
    """
    by_server: dict[str | None, list[schema.Problem]] = {}
    for problem in problems:
        by_server.setdefault(problem.server_id, []).append(problem)
    # Long texts must not push the names of other servers out.
    for lines_each in (4, 2, 1, 0):
        lines = _problem_lines(drain, results, by_server, lines_each)
        if len(lines) < MAX_LINES:
            break
    if len(lines) > MAX_LINES - 1:
        hidden = len(lines) - MAX_LINES + 1
        return '\n'.join([*lines[:MAX_LINES - 1], f'{hidden} more lines: see '
                          'the attached results'])
    migrated = {each.server_id for each in results}
    evidence = [
        line for server_id in by_server if server_id in migrated
        for line in ('', f'Evidence for server {server_id}:', *(
            wrapped for fact in by_server[server_id][0].evidence
            for wrapped in textwrap.wrap(
                fact, WIDTH, initial_indent='  ', subsequent_indent='    ',
                max_lines=3, placeholder=' ...')))]
    room = MAX_LINES - 1 - len(lines)
    if len(evidence) > room:
        evidence = [*evidence[:room], 'More evidence: see the attached '
                    'results']
    return '\n'.join([*lines, *evidence])


def _problem_lines(drain: schema.DrainResult,
                   results: Sequence[schema.MigrationResult],
                   by_server: Mapping[str | None, Sequence[schema.Problem]],
                   lines_each: int) -> list[str]:
    """Return the drain and its problems, in up to so many lines for each.

    With 0, there is one line for each server, with its first problem.
    """
    number = sum(map(len, by_server.values()))
    names = {each.server_id: each.server_name for each in results}
    lines = [_shortened(
        f'{number} {"problem" if number == 1 else "problems"}: live migration '
        f'of {len(results)} from {drain.source or "several hosts"} '
        f'to {drain.destination or "other hosts"}, {drain.strategy}')]
    for server_id, problems in by_server.items():
        subject = (f'Server {server_id} ({names.get(server_id, "other")}):'
                   if server_id else 'Hosts:')
        if not lines_each:
            lines.append(_shortened(f'{subject} {problems[0]}'))
            continue
        lines.append(_shortened(subject))
        for problem in problems:
            lines += textwrap.wrap(
                str(problem), WIDTH, initial_indent='- ',
                subsequent_indent='  ', max_lines=lines_each,
                placeholder=' ...')
    return lines


def _shortened(text: str) -> str:
    return textwrap.shorten(text, WIDTH, placeholder=' ...')
