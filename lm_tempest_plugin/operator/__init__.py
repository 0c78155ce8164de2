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

"""A whole check of a cloud by its operator: made ready, run, cleared away.

* access: the account in clouds.yaml, and errors of the cloud in sentences
* discovery: what the cloud is
* marks, inventory: what is ours in the cloud, and taking it away
* images, flavors, networks, logins: what a run needs, made where it is missing
* manifest: what the workspace knows of what was made
* profiles, plan: what to run, and how much that is
* configuration, workspace: tempest.conf and the files around it
* progress, running, interrupts: a run of Tempest, told while it goes on
* leftovers: what a run that was killed has left in the cloud
* bootstrap, verification: the two commands
"""
