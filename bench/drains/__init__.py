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

"""Measure the cost and correctness of the engine with the lab's real nova.

Start the lab (tools/run-lab.sh up), then run in the root of the repository::

    tools/run-lab.sh exec -- python -m bench.drains

The benchmark has three parts. *efficiency* compares the wall time of a drain
with the sum of nova's service times. *calls* compares the number of requests
to the compute API per second with many servers and with one. *soak* runs many
migrations and compares each verdict with libvirt and nova's database.
"""
