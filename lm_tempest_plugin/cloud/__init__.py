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
"""Requests to the OpenStack APIs, with small values in place of their JSON.

Callers hand in the clients, which are tempest.lib's, and set the microversion
of the compute API: MICROVERSION or later.
"""

# os-migrations in the form that is read here came with 2.80, asynchronous
# checks of a live migration with 2.34, the flavor within the server with 2.47,
# and the details of failed events with 2.84: nova since Victoria (22.0).
MICROVERSION = '2.84'
