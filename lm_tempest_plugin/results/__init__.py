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

"""Results of live migrations: stored, summarized, shown and compared.

Nothing in this package knows OpenStack or measures anything.

* schema: the lines of a results file
* store: writes and reads results files
* estimates, effects, recommendation: statistics
* summary: the data behind every table of a report
* judgement: the differences between two sets of results
* document: sections, tables and plots; report and compare build one
* renderers, plots: show a document
* export: metrics for InfluxDB and Prometheus
"""
