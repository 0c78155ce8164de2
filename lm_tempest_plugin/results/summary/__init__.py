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

"""What files of records come to: everything that a report tells.

* shapes: what a summary consists of
* groups: live migrations of one flavor and cell, moved in one way
* drains: drains that belong together, beside the model of a queue
* trends: from trip to trip, and against memory
* differences: between cells that differ in one setting
* advice: how many at once for a drain
* judgement: the verdict in words
"""

from lm_tempest_plugin.results import collection as collections
from lm_tempest_plugin.results.statistics import recommendation
from lm_tempest_plugin.results.summary import advice
from lm_tempest_plugin.results.summary import differences
from lm_tempest_plugin.results.summary import drains
from lm_tempest_plugin.results.summary import groups
from lm_tempest_plugin.results.summary import judgement
from lm_tempest_plugin.results.summary import shapes
from lm_tempest_plugin.results.summary import trends

# What others take from here.
CellFit = shapes.CellFit
Difference = shapes.Difference
DrainGroup = shapes.DrainGroup
Drift = shapes.Drift
Group = shapes.Group
Spread = shapes.Spread
Recommendation = recommendation.Recommendation
Summary = shapes.Summary


def summarize(collection: collections.Collection,
              seed: int = 0) -> shapes.Summary:
    """Return what records come to.

    :param collection: what the files say
    :param seed: of the random numbers with which intervals are found
    """
    by_group = groups.gather(collection.attempts)
    legs = drains.legs(collection)
    return shapes.Summary(
        good=judgement.good(collection),
        sentence=judgement.sentence(collection),
        runs=tuple(run.name for run in collection.runs),
        groups=groups.groups(by_group),
        drains=drains.groups(legs, seed),
        drifts=trends.drifts(by_group),
        fits=trends.fits(by_group, seed),
        differences=differences.differences(by_group, seed),
        recommendation=advice.recommend(legs, seed),
        failures=judgement.failures(collection),
        remarks=judgement.remarks(collection))
