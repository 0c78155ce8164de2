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

"""The verdict in words."""

import collections
from collections.abc import Iterator

from lm_tempest_plugin.results import collection as collection_module

Collection = collection_module.Collection


def sentence(collection: Collection) -> str:
    """Return the verdict in one sentence."""
    attempts = collection.attempts
    if not attempts:
        return '; '.join(['no live migration was judged',
                          *_never_judged(collection), *_failed(collection)])
    good = sum(each.good for each in attempts)
    return '; '.join([
        '%d of %s of %s in %s did what was expected' % (
            good, _number(len(attempts), 'live migration'),
            _number(len({each.flavor for each in attempts}), 'flavor'),
            _number(len({each.cell for each in attempts}), 'cell')),
        *_bad(collection), *_drains(collection), *_never_judged(collection),
        *_failed(collection), *_longest(collection)])


def good(collection: Collection) -> bool:
    """Return whether all was as expected, and there was anything."""
    return bool(collection.attempts) and not failures(collection)


def failures(collection: Collection) -> tuple[str, ...]:
    """Return everything that was not as expected, a line for each."""
    return (
        *('server %s (%s) from %s to %s, %s, trip %d, %s: %s' % (
            each.server_name, each.server_id, each.source or 'a host',
            each.destination or "the scheduler's choice", each.strategy,
            each.trip, each.cell, '; '.join(each.violations))
          for each in collection.attempts if not each.good),
        *('drain %s, %s: %s' % (each.name, each.cell, '; '.join(
            (*each.contradictions, *each.left_over)))
          for each in collection.drains if not each.good),
        *('never judged, as the run had ended: %s' % each
          for each in collection.unjudged),
        *map(str, collection.failed))


def remarks(collection: Collection) -> tuple[str, ...]:
    """Return what else is to be said of the records."""
    found = list(collection.remarks)
    warm_up = sum(not each.measured for each in collection.attempts)
    if warm_up:
        found.append('%s of a warm-up: judged, and in no figure' % _number(
            warm_up, 'live migration'))
    return tuple(found)


def _bad(collection: Collection) -> Iterator[str]:
    verdicts = collections.Counter(
        each.verdict for each in collection.attempts if not each.good)
    if verdicts:
        yield '%d did not: %s' % (verdicts.total(), ', '.join(
            '%d %s' % (number, 'moved, but not as expected' if
                       verdict == collection_module.COMPLETED else verdict)
            for verdict, number in verdicts.most_common()))


def _drains(collection: Collection) -> Iterator[str]:
    for what, number in (
            ('not as declared', sum(bool(each.contradictions)
                                    for each in collection.drains)),
            ('not cleaned up', sum(bool(each.left_over)
                                   for each in collection.drains))):
        if number:
            yield '%s %s' % (_number(number, 'drain'), what)


def _never_judged(collection: Collection) -> Iterator[str]:
    if collection.unjudged:
        yield '%s never judged' % _number(
            len(collection.unjudged), 'live migration')


def _failed(collection: Collection) -> Iterator[str]:
    number = len({each.test for each in collection.failed})
    if number:
        yield '%s failed' % _number(number, 'test')


def _longest(collection: Collection) -> Iterator[str]:
    longest = max(
        (each.outage for each in collection.attempts
         if each.measured and each.outage),
        key=lambda each: each.seconds, default=None)
    if longest:
        yield 'longest outage %.2f s of %g s allowed' % (
            longest.seconds, longest.bound_s)


def _number(number: int, what: str) -> str:
    return '%d %s%s' % (number, what, '' if number == 1 else 's')
