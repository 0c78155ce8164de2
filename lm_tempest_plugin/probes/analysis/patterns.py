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


"""How a guest usually answers, so that an outage can be told from that.

Networks lose single packets and delay others without any outage. What is
usual is read from the observations themselves.
"""

import dataclasses
import math

import numpy

from lm_tempest_plugin.probes import observations

# Losses are taken for scattered unless so many in a row were expected less
# often than this in the whole observation.
BY_CHANCE = 0.005
# The loss of a single packet is never an outage.
FEWEST_MISSED = 2


@dataclasses.dataclass(frozen=True)
class Pattern:
    """How a guest usually answers.

    :ivar low_ns: the least delay of an answer
    :ivar usual_ns: median of the ordinary delays
    :ivar high_ns: 99 of 100 ordinary answers take no longer
    :ivar highest_ns: 999 of 1000 ordinary answers take no longer
    :ivar late_ns: an answer that takes longer is late: by more than a
        period against the least delay
    :ivar missed_alone: how probable it is that a question is not answered,
        or late, though those around it are
    :ivar fewest_missed: questions in a row without a timely answer that are
        more than scattered losses
    """

    low_ns: int
    usual_ns: int
    high_ns: int
    highest_ns: int
    late_ns: int
    missed_alone: float
    fewest_missed: int

    @property
    def jitter_ns(self) -> int:
        """By how much ordinary delays differ."""
        return self.highest_ns - self.low_ns


def pattern(seen: observations.Observations) -> Pattern:
    """Return how a guest usually answers.

    :param seen: all that was seen of it
    """
    delays_ns = (seen.answered_ns - seen.sent_ns)[seen.answered]
    low_ns = int(delays_ns.min()) if delays_ns.size else seen.period_ns
    late_ns = low_ns + seen.period_ns
    # In an observation that is mostly outage most answers may be late, so
    # what is ordinary must be read from the others.
    ordinary_ns = delays_ns[delays_ns <= late_ns]
    usual_ns, high_ns, highest_ns = low_ns, low_ns, low_ns
    if ordinary_ns.size:
        usual_ns, high_ns, highest_ns = (
            int(value) for value in numpy.percentile(
                ordinary_ns, (50, 99, 99.9), method='inverted_cdf'))
    alone = _missed_alone(seen, late_ns)
    return Pattern(low_ns, usual_ns, high_ns, highest_ns, late_ns, alone,
                   _fewest_missed(seen.sent_ns.size, alone))


def _missed_alone(seen: observations.Observations, late_ns: int) -> float:
    """Return the probability of a loss by itself.

    If losses are independent with probability q, a question is missed
    between two that are not with q (1 - q)^2, and not missed with 1 - q; so
    x = alone / timely is q (1 - q), and q = (1 - sqrt(1 - 4 x)) / 2. Beyond
    x = 1/4 losses are not independent; then q is taken for 1/2. Outages have
    next to no part in it: a late one counts if the next has clearly
    overtaken it, for else both were held. One is added: that none was seen
    does not mean that there is none.
    """
    missed = ~seen.answered | (seen.answered_ns - seen.sent_ns > late_ns)
    scattered = missed[:-1] & (
        ~seen.answered[:-1] | (
            seen.answered_ns[1:] + seen.period_ns // 2 <
            seen.answered_ns[:-1]))
    alone = int(numpy.count_nonzero(
        scattered[1:] & ~missed[:-2] & ~missed[2:]))
    timely = int(numpy.count_nonzero(~missed))
    rate = min((alone + 1) / (timely + 2), 0.25)
    return (1 - math.sqrt(1 - 4 * rate)) / 2


def _fewest_missed(questions: int, alone: float) -> int:
    """Return how many missed in a row are not to be expected by chance.

    Among N questions that are lost independently with probability q, a run
    of n is to be expected less than N q^n times.
    """
    fewest = FEWEST_MISSED
    while questions * alone ** fewest >= BY_CHANCE and fewest < questions:
        fewest += 1
    return fewest
