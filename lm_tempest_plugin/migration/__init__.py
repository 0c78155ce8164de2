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

"""Live migrations: plan, engine, result.

A :class:`plan.MigrationPlan` describes a run. :func:`engine.run` executes it
and returns an :class:`engine.MigrationRun`.

From the bottom up: request sends one request to nova, poll takes snapshots
of all servers and migration records, follow tracks one migration through the
snapshots, drain tracks any number of them. evidence collects the facts
about one migration, verdict and signatures judge it, phases say where the
time went, checks look for problems.
"""
