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

"""Statistics of durations and outages; numpy and scipy, and nothing of ours.

Every interval is a 95 % one. ``python -m bench.statistics`` shows by
simulation how often they cover what is true.

* intervals: median, quantiles, mean
* ranks: intervals from the ranks of values, without a distribution
* resampling: intervals of means by bootstrap
* comparison: two lots of values, paired or not
* drift: how a quantity changes from trip to trip
* fitting: duration against memory
* queueing: how long servers take that wait for each other
* recommendation: how many live migrations at once for a drain
"""
