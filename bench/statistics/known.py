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


"""Summaries of simulated clouds, compared with the truth.

The hosts of a cloud serve requests in order of arrival. That is simulated
request by request, with random service times.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import heapq
from typing import Any

import numpy

from lm_tempest_plugin.results import effects
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import recommendation
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.unit.results import builders

Generator = numpy.random.Generator

#: Those of the white paper of 2017.
FLAVORS = tuple(
    schema.Flavor(name=name, vcpus=vcpus, ram_gib=ram_gib, disk_gib=disk_gib)
    for name, vcpus, ram_gib, disk_gib in (
        ('lm.small', 2, 4.0, 40.0), ('lm.medium', 4, 8.0, 80.0),
        ('lm.large', 8, 16.0, 160.0)))
SMALL, MEDIUM, LARGE = FLAVORS
#: An interval contains the truth in at least this part of the runs, in %.
#: Runs are fewer than simulations of an interval, so the claim is weaker.
COVERS = 90.0
#: An effect is found in at least this part, a missing one in at most that.
FOUND, NOT_FOUND = 95.0, 8.0
#: Effect of one setting; the other setting has none.
TIMES = 1.5
DRIFT_S = 0.3
LIMIT = 'max_concurrent_live_migrations'
#: Of three at once each takes longer by this; together they are faster.
SLOWDOWN = 1.5
#: This number of drains shows the slowdown with which three at once are as
#: fast as one at a time.
TRIALS = 1000


@dataclasses.dataclass(frozen=True)
class KnownCloud:
    """The truth.

    :ivar settings: settings of nova-compute, by name
    :ivar at_once: number of live migrations that a host runs at once
    :ivar seconds: duration without any memory
    :ivar seconds_per_gib: additional duration of each GiB
    :ivar times: both are multiplied by it
    :ivar drift_s: additional duration of each round trip
    :ivar noise: standard deviation of the logarithm of a service time
    """

    settings: Mapping[str, int | bool]
    at_once: int = 1
    seconds: float = 7.0
    seconds_per_gib: float = 2.35
    times: float = 1.0
    drift_s: float = 0.0
    noise: float = 0.1

    def service_s(self, random: Generator, flavor: schema.Flavor,
                  round_trip: int) -> float:
        """Draw the time that a host works on a server."""
        mean = self.times * (
            self.seconds + self.seconds_per_gib * flavor.ram_gib)
        return (mean * random.lognormal(-self.noise ** 2 / 2, self.noise) +
                self.drift_s * round_trip)


@dataclasses.dataclass(frozen=True)
class Drains:
    """Drains of a cloud.

    :ivar flavors: of the servers of each drain, in order
    :ivar number: number of drains
    :ivar size: of the windows, or of the batches
    :ivar batches: whether a batch has to end before the next begins
    """

    flavors: Sequence[schema.Flavor]
    number: int
    size: int = 1
    batches: bool = False

    @property
    def strategy(self) -> str:
        """The strategy, as results have it."""
        return f'{"batch" if self.batches else "window"} of {self.size}'


DRAIN = Drains([SMALL] * 12, number=6, size=12)


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of a summary.

    :ivar text: the answer beside the truth
    :ivar holds: whether it is right
    """

    text: str
    holds: bool


def simulate(random: Generator, clouds: Iterable[KnownCloud],
             drains: Drains) -> store.Results:
    """Return the results of a run.

    :param random: source of all random numbers
    :param clouds: one for each combination of settings
    :param drains: drains of each cloud
    """
    results = store.Results()
    for place, cloud in enumerate(clouds):
        for number in range(1, drains.number + 1):
            _add_drain(random, cloud, drains, number, f'{place}-{number}',
                       results)
    return results


def _add_drain(random: Generator, cloud: KnownCloud, drains: Drains,
               round_trip: int, name: str, results: store.Results) -> None:
    shared: dict[str, Any] = {
        'drain': name, 'run': 'run', 'strategy': drains.strategy,
        'settings': schema.Settings(storage='shared',
                                    values=dict(cloud.settings)),
        'servers': len(drains.flavors), 'round_trip': round_trip}
    free = [0.0] * cloud.at_once
    in_flight: list[float] = []
    asked = wall_s = 0.0
    for number, flavor in enumerate(drains.flavors):
        if len(in_flight) == drains.size:
            asked = (max(in_flight) if drains.batches
                     else heapq.heappop(in_flight))
            if drains.batches:
                in_flight.clear()
        begin = max(asked, heapq.heappop(free))
        end = begin + cloud.service_s(random, flavor, round_trip)
        heapq.heappush(free, end)
        heapq.heappush(in_flight, end)
        wall_s = max(wall_s, end)
        results.migrations.append(builders.migration(
            number, **shared, flavor=flavor, requested_monotonic_s=asked,
            duration_s=end - asked, queue_s=begin - asked, phases=(),
            service=builders.phase('service', end - begin), job=None,
            outage=builders.outage(random.uniform(0.1, 0.4)), stall=None))
    results.drains.append(builders.drain(**shared, wall_s=wall_s, hosts=(),
                                         concurrency=builders.concurrency(
        min(cloud.at_once, drains.size, len(drains.flavors)))))


def answers(runs: int, seed: int) -> Iterator[Answer]:
    """Yield all answers.

    :param runs: number of runs of each cloud
    :param seed: of the random numbers
    """
    for part in (_effects, _drift, _fit, _decided, _undecided):
        yield from part(runs, numpy.random.default_rng(seed))


def _effects(runs: int, random: Generator) -> Iterator[Answer]:
    clouds = [
        KnownCloud({'tunnelled': tunnelled, 'auto_converge': slowed},
                   times=TIMES if tunnelled else 1.0)
        for tunnelled in (False, True) for slowed in (False, True)]
    with_effect: list[effects.Effect] = []
    without: list[effects.Effect] = []
    for each in _summaries(runs, random, clouds, Drains(FLAVORS, number=10)):
        for difference in each.differences:
            if difference.quantity == 'service_s':
                (with_effect if difference.setting == 'tunnelled'
                 else without).append(difference.effect)
    yield from _covered(f'effect: {TIMES:g} times as long',
                        [each.ratio for each in with_effect], TIMES)
    share = _share(each.found for each in with_effect)
    yield Answer(f'effect: found in {share:.1f} % (at least {FOUND:g})',
                 share >= FOUND)
    share = _share(each.found for each in without)
    yield Answer(f'no effect: one found in {share:.1f} % of {len(without)} '
                 f'(at most {NOT_FOUND:g})', share <= NOT_FOUND)


def _drift(runs: int, random: Generator) -> Iterator[Answer]:
    cloud = KnownCloud({'tunnelled': False}, drift_s=DRIFT_S)
    found = [drift.per_round_trip
             for each in _summaries(runs, random, [cloud],
                                    Drains([MEDIUM] * 4, number=20))
             for drift in each.drifts if drift.quantity == 'service_s']
    yield from _covered(f'drift: {DRIFT_S:g} s per round trip', found,
                        DRIFT_S)


def _fit(runs: int, random: Generator) -> Iterator[Answer]:
    cloud = KnownCloud({'tunnelled': False})
    lines = [fit.line
             for each in _summaries(runs, random, [cloud],
                                    Drains(FLAVORS * 2, number=10, size=2))
             for fit in each.fits]
    yield from _covered(f'fit: {cloud.seconds:g} s', [
        each.seconds for each in lines], cloud.seconds)
    yield from _covered(f'fit: {cloud.seconds_per_gib:g} s per GiB', [
        each.seconds_per_gib for each in lines], cloud.seconds_per_gib)


def _decided(runs: int, random: Generator) -> Iterator[Answer]:
    share = _share(each.concurrency == 3
                   for each in _recommended(runs, random, SLOWDOWN))
    yield Answer(f'3 at once faster than 1: recommended in {share:.1f} % (at '
                 f'least {FOUND:g})', share >= FOUND)


def _undecided(runs: int, random: Generator) -> Iterator[Answer]:
    drains = dataclasses.replace(DRAIN, number=TRIALS)
    one, three = (numpy.mean([
        drain.wall_s for drain in simulate(
            random, [KnownCloud({}, at_once=at_once)], drains).drains])
        for at_once in (1, 3))
    share = _share(each.concurrency is not None for each in _recommended(
        runs, random, float(one / three)))
    yield Answer(f'3 at once as fast as 1: a number recommended in '
                 f'{share:.1f} % (at most {NOT_FOUND:g})',
                 share <= NOT_FOUND)


def _recommended(runs: int, random: Generator, slower: float
                 ) -> Iterator[recommendation.Recommendation]:
    clouds = [KnownCloud({LIMIT: at_once}, at_once=at_once, times=times)
              for at_once, times in ((1, 1.0), (3, slower))]
    for each in _summaries(runs, random, clouds, DRAIN):
        yield each.recommendation


def _summaries(runs: int, random: Generator, clouds: Sequence[KnownCloud],
               drains: Drains) -> Iterator[summary.Summary]:
    for _number in range(runs):
        yield summary.summarize(simulate(random, clouds, drains))


def _covered(text: str, found: Sequence[estimates.Estimate],
             truth: float) -> Iterator[Answer]:
    share = _share(not each.excludes(truth) for each in found)
    middle = numpy.median([each.value for each in found])
    yield Answer(f'{text}: median estimate {middle:.3f} of {len(found)}, '
                 f'intervals contain the truth in {share:.1f} % (at least '
                 f'{COVERS:g})', share >= COVERS)


def _share(found: Iterable[bool]) -> float:
    return 100 * float(numpy.mean(list(found)))
