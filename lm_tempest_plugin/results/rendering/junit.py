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

"""JUnit's XML, as CI systems show it.

A test suite for each cell, with a test case for each live migration and for
each drain, in the form of the schema that Apache Ant's reports have: that
one is the strictest in use, and what reads any other reads this one.
"""

import collections
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime
import re
from xml.sax import saxutils

from lm_tempest_plugin.results import collection as collection_module
from lm_tempest_plugin.results import summary as summaries

# What XML 1.0 cannot have at all, however it is written.
_FORBIDDEN = re.compile(
    '[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
PACKAGE = 'live_migration_ha'
# Of all records together, not of a cell.
RECORDS = 'records'


@dataclasses.dataclass(frozen=True, slots=True)
class _Case:
    """A test case.

    :ivar kind: by which viewers put cases together
    :ivar name: of the case
    :ivar seconds: how long it took
    :ivar failures: what was not as expected; empty if all was
    :ivar failure: of what kind that is
    """

    kind: str
    name: str
    seconds: float
    failures: Sequence[str] = ()
    failure: str = ''


def render(summary: summaries.Summary,
           collection: collection_module.Collection) -> str:
    """Return test suites.

    :param summary: what the records come to
    :param collection: the same records
    """
    suites: dict[str, list[_Case]] = collections.defaultdict(list)
    for attempt in collection.attempts:
        suites[str(attempt.cell)].append(_attempt(attempt))
    for drain in collection.drains:
        suites[str(drain.cell)].append(_drain(drain))
    for line in collection.unjudged:
        suites[RECORDS].append(_Case(
            RECORDS, line, 0, ('the run had ended before it was judged',),
            'never judged'))
    for each in collection.failed:
        suites[RECORDS].append(_Case(
            RECORDS, each.test, 0, (each.said,), 'test failed'))
    if not collection.attempts:
        suites[RECORDS].append(_Case(
            RECORDS, 'live migrations', 0, (summary.sentence,), 'no records'))
    started_s = min((run.started_s for run in collection.runs), default=0)
    return '\n'.join([
        '<?xml version="1.0" encoding="UTF-8"?>', '<testsuites>',
        *(line for number, (name, cases) in enumerate(suites.items())
          for line in _suite(number, name, cases, started_s)),
        '</testsuites>', ''])


def _attempt(attempt: collection_module.Attempt) -> _Case:
    return _Case(
        '%s, %s' % (attempt.strategy, attempt.flavor),
        '%s (%s), trip %d, %s to %s, %s of %s' % (
            attempt.server_name, attempt.server_id, attempt.trip,
            attempt.source, attempt.destination, attempt.drain, attempt.run),
        attempt.duration_s, attempt.violations, attempt.verdict)


def _drain(drain: collection_module.Drain) -> _Case:
    return _Case(
        '%s, drain' % drain.strategy,
        '%s, %s of %s' % (drain.name, drain.identifier, drain.run),
        drain.wall_s, (*drain.contradictions, *drain.left_over),
        'not as declared' if drain.contradictions else 'not cleaned up')


def _suite(number: int, name: str, cases: Sequence[_Case],
           started_s: float) -> Iterator[str]:
    yield ('<testsuite id="%d" package="%s" name=%s timestamp="%s" '
           'hostname="localhost" tests="%d" failures="%d" errors="0" '
           'time="%.3f">' % (
               number, PACKAGE, _quoted(name), datetime.datetime.fromtimestamp(
                   started_s, datetime.UTC).strftime('%Y-%m-%dT%H:%M:%S'),
               len(cases), sum(bool(case.failures) for case in cases),
               sum(case.seconds for case in cases)))
    yield '<properties/>'
    for case in cases:
        yield from _case(case)
    yield '<system-out/>'
    yield '<system-err/>'
    yield '</testsuite>'


def _case(case: _Case) -> Iterator[str]:
    # A point is where viewers part a package from a class.
    head = '<testcase classname=%s name=%s time="%.3f"' % (
        _quoted('%s.%s' % (PACKAGE, case.kind.replace('.', '_'))),
        _quoted(case.name), case.seconds)
    if not case.failures:
        yield head + '/>'
        return
    yield head + '>'
    yield '<failure type=%s message=%s>%s</failure>' % (
        _quoted(case.failure), _quoted(case.failures[0]),
        saxutils.escape(_allowed('\n'.join(case.failures))))
    yield '</testcase>'


def _quoted(text: str) -> str:
    return saxutils.quoteattr(_allowed(text))


def _allowed(text: str) -> str:
    """Return a text with what XML forbids as Python writes it."""
    return _FORBIDDEN.sub(
        lambda match: match[0].encode('unicode_escape').decode(), text)
