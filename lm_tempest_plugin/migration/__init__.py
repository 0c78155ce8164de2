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

"""Moving servers: request, follow, verdict; draining a host.

From the bottom up: request asks nova for one migration, poll looks at all
of them at once, attempt follows one through these looks, drain does so for
any number of them. verdict says what became of an attempt, signatures why,
phases and concurrency where the time went, sweep what is left over.
"""
