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

"""Check the report's statistics against simulations with known parameters.

Run it in the root of the repository; it needs no cloud::

    python -m bench.statistics

The benchmark has two parts. *coverage* counts how often the 95 % intervals
contain the true value, in many simulations with distributions like those of
live migration durations. *known* summarizes runs of a simulated cloud with a
known effect, drift and cost of memory, and checks the conclusions.
"""
