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

"""What was found is kept here, summed up, shown and compared.

Nothing in this package knows OpenStack, and nothing in it measures: it takes
records, of whatever age, from whatever cloud.

* chain: the file of records, to which lines are only added
* collection: what files of records say, in the form in which it is used
"""
