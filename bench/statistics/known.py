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

"""Summaries of runs of simulated clouds, held against what is true."""

from __future__ import annotations

import collections.abc
import dataclasses

import numpy

from bench.statistics import clouds
from lm_tempest_plugin.results.statistics import comparison
from lm_tempest_plugin.results.statistics import intervals
from lm_tempest_plugin.results import summary as summaries

#: An interval contains the truth in so many runs, in %, at least. There are
#: fewer runs than simulations of an interval, so less can be claimed.
COVERS = 90.0
#: What is there is found in so many runs, and what is not in so few, in %.
FOUND, NOT_FOUND = 95.0, 8.0
#: The model's mean is off by no more, in the middle of all runs, in %.
MODEL = 2.0

SMALL, MEDIUM, LARGE = clouds.FLAVORS
#: Effect of a setting; the other one has none.
TIMES = 1.5
DRIFT_S = 0.3
LIMIT = 'max_concurrent_live_migrations'
#: Of three at once each takes longer by so much: together they are faster.
BESIDE = 1.5
#: So many drains tell by how much three at once have to take longer to be
#: just as fast as one at a time.
TRIALS = 1000
DRAIN = clouds.Plan([SMALL] * 12, trips=6, size=12)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a summary says, and whether that is right.

    :ivar text: in words
    :ivar holds: whether it is right
    """

    text: str
    holds: bool


def answers(runs: int, seed: int) -> collections.abc.Iterator[Answer]:
    """Yield all answers.

    :param runs: how many to simulate of each cloud
    :param seed: of the random numbers
    """
    for part in (_effects, _drift, _fit, _queue, _decided, _undecided):
        yield from part(runs, numpy.random.default_rng(seed))


def _effects(runs: int, random: clouds.Generator
             ) -> collections.abc.Iterator[Answer]:
    cells = [clouds.Cloud({'tunnelled': tunnelled, 'auto_converge': slowed},
                          times=TIMES if tunnelled else 1.0)
             for tunnelled in (False, True) for slowed in (False, True)]
    plan = clouds.Plan(clouds.FLAVORS, trips=10)
    there: list[comparison.Effect] = []
    not_there: list[comparison.Effect] = []
    for summary in _summaries(runs, random, cells, plan):
        for each in summary.differences:
            if each.quantity == 'service_s':
                (there if each.setting == 'tunnelled'
                 else not_there).append(each.effect)
    yield from _covered(f'effect: {TIMES:g} times as long',
                        [each.ratio for each in there], TIMES)
    found = _share(each.found for each in there)
    yield Answer(f'effect: found in {found:.1f} %, at least {FOUND:g}',
                 found >= FOUND)
    found = _share(each.found for each in not_there)
    yield Answer(f'no effect: found none the less in {found:.1f} % of '
                 f'{len(not_there)}, at most {NOT_FOUND:g}',
                 found <= NOT_FOUND)


def _drift(runs: int, random: clouds.Generator
           ) -> collections.abc.Iterator[Answer]:
    drifting = clouds.Cloud({'tunnelled': False}, drift_s=DRIFT_S)
    plan = clouds.Plan([MEDIUM] * 4, trips=20)
    found = [each.per_trip
             for summary in _summaries(runs, random, [drifting], plan)
             for each in summary.drifts if each.quantity == 'service_s']
    yield from _covered(f'drift: {DRIFT_S:g} s a trip', found, DRIFT_S)


def _fit(runs: int, random: clouds.Generator
         ) -> collections.abc.Iterator[Answer]:
    cloud = clouds.Cloud({'tunnelled': False})
    plan = clouds.Plan(clouds.FLAVORS * 2, trips=10, size=2)
    lines = [each.fit
             for summary in _summaries(runs, random, [cloud], plan)
             for each in summary.fits]
    yield from _covered(f'fit: {cloud.seconds:g} s', [
        each.seconds for each in lines], cloud.seconds)
    yield from _covered(f'fit: {cloud.seconds_per_gib:g} s for each GiB', [
        each.seconds_per_gib for each in lines], cloud.seconds_per_gib)


def _queue(runs: int, random: clouds.Generator
           ) -> collections.abc.Iterator[Answer]:
    """Servers that wait take longer, and the model says by how much."""
    cloud = clouds.Cloud({LIMIT: 1})
    for size in (1, 2, 12):
        plan = clouds.Plan([SMALL] * 12, trips=10, size=size)
        errors, ratios = [], []
        for summary in _summaries(runs, random, [cloud], plan):
            model = summary.drains[0].model
            if model is None:
                raise RuntimeError(f'there is no model of {plan}')
            errors.append(100 * model.mean_error.value)
            ratios.append(model.observed_mean_s.value /
                          model.service_s.value)
        error = float(numpy.median(errors))
        yield Answer(
            f'queue: 12 servers, {plan.strategy}, 1 at once: '
            f'{numpy.median(ratios):.2f} times the service time, model off '
            f'by {error:+.2f} %, at most {MODEL:g}', abs(error) <= MODEL)


def _decided(runs: int, random: clouds.Generator
             ) -> collections.abc.Iterator[Answer]:
    share = _share(each.concurrency == 3
                   for each in _recommended(runs, random, BESIDE))
    yield Answer(f'3 at once faster than 1: recommended in {share:.1f} %, at '
                 f'least {FOUND:g}', share >= FOUND)


def _undecided(runs: int, random: clouds.Generator
               ) -> collections.abc.Iterator[Answer]:
    plan = dataclasses.replace(DRAIN, trips=TRIALS)
    one, three = (numpy.mean([
        drain.wall_s for drain in clouds.run(
            random, [clouds.Cloud({}, at_once=at_once)], plan).drains])
        for at_once in (1, 3))
    share = _share(each.concurrency is not None for each in _recommended(
        runs, random, float(one / three)))
    yield Answer(f'3 at once as fast as 1: something recommended in '
                 f'{share:.1f} %, at most {NOT_FOUND:g}', share <= NOT_FOUND)


def _recommended(runs: int, random: clouds.Generator, slower: float
                 ) -> collections.abc.Iterator[
                     summaries.Recommendation]:
    cells = [clouds.Cloud({LIMIT: at_once}, at_once=at_once, times=times)
             for at_once, times in ((1, 1.0), (3, slower))]
    for summary in _summaries(runs, random, cells, DRAIN):
        yield summary.recommendation


def _summaries(runs: int, random: clouds.Generator,
               cells: collections.abc.Sequence[clouds.Cloud],
               plan: clouds.Plan
               ) -> collections.abc.Iterator[summaries.Summary]:
    for number in range(runs):
        yield summaries.summarize(clouds.run(random, cells, plan), number)


def _covered(what: str,
             found: collections.abc.Sequence[intervals.Estimate],
             truth: float) -> collections.abc.Iterator[Answer]:
    share = _share(not each.excludes(truth) for each in found)
    middle = numpy.median([each.value for each in found])
    yield Answer(f'{what}: {middle:.3f} in the middle of {len(found)}, '
                 f'intervals contain it in {share:.1f} %, at least '
                 f'{COVERS:g}', share >= COVERS)


def _share(found: collections.abc.Iterable[bool]) -> float:
    return 100 * float(numpy.mean(list(found)))
