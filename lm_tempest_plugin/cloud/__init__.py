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

"""What we ask of the OpenStack APIs: small values in place of their JSON.

The clients are those of tempest.lib, handed in by the caller, who also sees
to the microversion: MICROVERSION or later.
"""

# 2.80 for os-migrations as it is read here, 2.34 for asynchronous checks of
# a live migration, 2.47 for the flavor within the server, 2.84 for the
# details of failed events: nova since Victoria (22.0).
MICROVERSION = '2.84'
