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

"""What a report of many records takes: time and memory.

Records are made of simulated drains, as large as those of a cloud; each of
the processes that are timed reads all of them and writes one report.

    python -m bench.report [--records N] [--format FORMAT]
"""

# What a report of 100,000 live migrations may take.
RECORDS = 100_000
SECONDS, BYTES = 60.0, 1_000_000_000
