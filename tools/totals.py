#!/usr/bin/env python3
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

"""Print how many tests passed, failed and were skipped.

The numbers are those of the last run in one or more stestr repositories, not
of the output that the tests printed.
"""

import argparse
import collections
import dataclasses
import os
import sys
import typing

from stestr.repository import file as file_repository
import subunit
import testtools

# Entries for a worker that crashed, or for a truncated stream. They are not
# tests, but may be the only trace of a failure.
NO_TESTS = ('process-returncode', 'subunit.parser')

PASSED = ('success', 'xfail')
SKIPPED = ('skip',)
NOT_RUN = ('exists',)


class NoResults(Exception):
    """There is no recent run with at least one test."""


@dataclasses.dataclass(frozen=True)
class Totals:
    """Number of tests for each outcome."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: 'Totals') -> 'Totals':
        return Totals(self.passed + other.passed,
                      self.failed + other.failed,
                      self.skipped + other.skipped)

    def __str__(self) -> str:
        return (f'{self.passed} passed, {self.failed} failed, '
                f'{self.skipped} skipped')


def count(stream: typing.BinaryIO) -> Totals:
    """Count the results in a subunit stream (version 2).

    A test without an end counts as failed, and so does a test that passed
    although a failure was expected.
    """
    statuses: collections.Counter[str] = collections.Counter()
    mishaps = 0

    def on_test(test: typing.Any) -> None:
        nonlocal mishaps
        if test['id'] in NO_TESTS:
            mishaps += 1
        else:
            statuses[test['status']] += 1

    result = testtools.StreamToDict(on_test)
    result.startTestRun()
    try:
        subunit.ByteStreamToStreamResult(
            stream, non_subunit_name='stdout').run(result)
    finally:
        result.stopTestRun()
    ran = sum(statuses.values()) - sum(statuses[name] for name in NOT_RUN)
    passed = sum(statuses[name] for name in PASSED)
    skipped = sum(statuses[name] for name in SKIPPED)
    failed = ran - passed - skipped
    return Totals(passed, failed or mishaps, skipped)


def last_run(folder: str, since: float = 0.0) -> Totals:
    """Count the last run in a stestr repository.

    :param folder: directory that contains ``.stestr``
    :param since: ignore runs recorded before this time, in seconds since the
        epoch
    :raises NoResults: there is no run to count
    """
    try:
        repository = file_repository.RepositoryFactory().open(folder)
        run = repository.get_latest_run()
    except Exception as e:  # stestr raises many different classes
        raise NoResults(f'{folder}: no test run found ({e!r})') from e
    recorded = os.path.join(folder, '.stestr', str(run.get_id()))
    if os.path.getmtime(recorded) < since:
        raise NoResults(f'{folder}: the last test run is too old')
    with run.get_subunit_stream() as stream:
        totals = count(stream)
    if totals == Totals():
        raise NoResults(f'{folder}: no test ran')
    return totals


def main(argv: list[str] | None = None) -> int:
    """Print the sum of all totals, and an error for each missing run.

    :returns: 0 if every directory had results, whether tests passed or not
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--since', type=float, default=0.0, metavar='SECONDS',
                        help='ignore runs recorded before this time (seconds '
                             'since the epoch)')
    parser.add_argument('--title', default='',
                        help='text to print before the totals')
    parser.add_argument('folder', nargs='+',
                        help='directory with a stestr repository')
    args = parser.parse_args(argv)

    total = Totals()
    code = 0
    for folder in args.folder:
        try:
            total += last_run(folder, args.since)
        except NoResults as e:
            print(e, file=sys.stderr)
            code = 1
    print(args.title + str(total))
    return code


if __name__ == '__main__':
    sys.exit(main())
