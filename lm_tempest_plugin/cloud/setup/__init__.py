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

"""Preparing a cloud for the tests, and tidying up after them.

* discovery: the connection, the account, and facts about the cloud
* resources: image, flavors and network, created if they are missing
* canaries: servers that outlive a run, to be moved after an upgrade
* cleanup: deletes these, and leftovers of an interrupted run
* configuration: tempest.conf for the cloud, and profiles
* workspace: the directory with tempest.conf, logs and results
* preparation: the steps that ``bootstrap`` and ``verify`` share
"""


#: Tag of resources that this plugin created.
TAG = 'live-migration-ha'


class SetupError(Exception):
    """The request is not possible. The text is one sentence that says why."""
