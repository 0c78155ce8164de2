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

"""Follow a change through Zuul, and print its progress."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
import pathlib
import re
import time
import typing

import rich.console
import rich.table

from gate import machine
from gate import rest
from gate.review import changes
from lab import errors
from lm_tempest_plugin import utils

POLL_SECONDS = 2.0
#: From Zuul's vote to the merge; both are one command.
MERGE_SECONDS = 60
#: A job has its own time limit, so nothing limits the wait.
FOREVER = float('inf')
#: Comment of Zuul, by the pipelines of the config project. There is no vote
#: then, since nothing was tested.
NO_JOBS = 'No job runs for this change in {pipeline}.'
#: The line with the reason of a failed job: a failed check of a test, by its
#: name; or else an error of the lab; or else of Ansible.
REASONS = (re.compile(r'(?<=\| )- [a-z]+(-[a-z]+)*: .+'),
           re.compile(r'(?<=\| )run-lab\.sh: .+'),
           re.compile(r'fatal: .+'))


def say(text: str) -> None:
    """Print a line of progress with the time of day."""
    print(f'{time.strftime("%H:%M:%S")} {text}', flush=True)


def print_table(columns: Iterable[str],
                rows: Iterable[Sequence[str]]) -> None:
    """Print a table.

    :param columns: the headings
    :param rows: the texts of each row
    """
    table = rich.table.Table(box=None)
    for column in columns:
        table.add_column(column, overflow='fold')
    for row in rows:
        table.add_row(*row)
    rich.console.Console(soft_wrap=True).print(table)


class Follower:
    """Follows changes.

    :param paths: paths of the Zuul, whose network this process is in
    :param review: the review server
    """

    def __init__(self, paths: machine.Layout,
                 review: changes.Review) -> None:
        self._paths = paths
        self._review = review
        self._said: set[tuple[str, str, str, str]] = set()

    def until_checked(self, change: changes.Change) -> bool:
        """Wait until Zuul has checked a change.

        :param change: the change
        :returns: whether it passed
        """
        say(f'Change {change["number"]} of {change["project"]}: '
            f'{change["subject"]}')
        return self._until(change, 'check', '1')

    def until_merged(self, change: changes.Change) -> bool:
        """Wait until Zuul has merged or refused an approved change.

        :param change: the change
        :returns: whether it is merged
        """
        passed = self._until(change, 'gate', '2')
        if passed:
            utils.wait_until(
                lambda now: now['status'] == 'MERGED',
                lambda: self._review.get(change['number']),
                f'change {change["number"]} to be merged', MERGE_SECONDS,
                describe=lambda now: now['status'], error=errors.LabError)
            say(f'Change {change["number"]} is merged.')
        return passed

    def _until(self, change: changes.Change, pipeline: str,
               value: str) -> bool:
        """Wait for Zuul's vote of this height, and tell it."""
        number = change['number']
        no_jobs = NO_JOBS.format(pipeline=pipeline)
        vote, comment = utils.wait_until(
            lambda now: now[0] in (value, f'-{value}') or no_jobs in now[1],
            lambda: self._poll(number), f'a vote of {pipeline}', FOREVER,
            POLL_SECONDS)
        if no_jobs in comment:
            say(f'{pipeline}: change {number}: no job runs for its files, so '
                f'Zuul gives no vote')
            return False
        passed = vote == value
        say(f'{pipeline}: change {number}: Verified{int(vote):+}')
        builds = self.builds(change, pipeline)
        if not builds:
            # Zuul could not merge it with the branch, for example.
            say(comment)
        for build in builds:
            say(f'  {build["job_name"]}: {build["result"]}'
                f'{"" if passed else self.reason(build)}; logs: '
                f'{self.folder(build)}')
        return passed

    def _poll(self, number: str) -> tuple[str, str]:
        """Print the progress of all changes; return Zuul's view of one.

        :param number: of the change
        :returns: the vote, and the last comment
        """
        for line in rest.progress():
            if line not in self._said:
                self._said.add(line)
                pipeline, change, job, state = line
                say(f'{pipeline}: change {change}: {job}: {state}')
        now = self._review.get(number)
        votes = (vote['value'] for vote
                 in now['currentPatchSet']['approvals']
                 if vote['type'] == 'Verified')
        comments = (comment['message'] for comment
                    in reversed(now['comments']))
        return next(votes, '0'), next(comments, '')

    def builds(self, change: changes.Change,
               pipeline: str) -> list[dict[str, typing.Any]]:
        """Return the builds of a change in a pipeline; Zuul has voted.

        :param change: the change
        :param pipeline: name of the pipeline
        """
        return [build for build in rest.builds()
                if build['pipeline'] == pipeline
                and str(build['ref']['change']) == change['number']]

    def folder(self, build: dict[str, typing.Any]) -> pathlib.Path:
        """Return the folder with the logs of a build."""
        return self._paths.builds / build['uuid']

    def reason(self, build: dict[str, typing.Any]) -> str:
        """Return why a build failed, to be added to its result.

        :param build: a build that failed
        """
        output = self.folder(build) / 'job-output.txt'
        if not output.exists():
            return f' ({build["error_detail"] or "it has no logs"})'
        lines = output.read_text(errors='replace').splitlines()
        for pattern in REASONS:
            for line in lines:
                found = pattern.search(line)
                if found:
                    return f' ({found[0].strip(" -")[:300]})'
        return ''
