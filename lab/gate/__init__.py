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

"""A gate for changes of nova: is a live migration as good as before?

``tools/run-lab.sh gate`` builds nova from a checkout and from the revision
that it is compared with (:mod:`lab.gate.preparation`). Inside the lab, all
hosts run the one and the other in turn, and the same tests run on both
(:mod:`lab.gate.__main__`). Their results give one verdict
(:mod:`lab.gate.verdict`).
"""
