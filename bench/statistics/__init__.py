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

"""Whether the statistics of the report are right, where the truth is known.

From the root of the repository; no cloud is needed::

    python -m bench.statistics

Two parts: *coverage*, how often the 95 % intervals contain what is true, in
many simulations with values as live migrations have them; *known*, whole
runs of a simulated cloud with a known effect, drift, cost of memory and
queue, put through what makes the report.
"""
