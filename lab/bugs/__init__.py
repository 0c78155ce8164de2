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

"""Old bugs of nova that can be put back, and controls without a bug.

``tools/run-lab.sh bugs`` puts one bug after the other into the services of a
cloud that is up, runs the smallest test that has to see it, and compares the
check that failed with the one that had to.

A bug is a module of this package that defines ``BUG``. It is found there; no
list names it. It wraps nova's functions when a process of nova starts: see
:mod:`lab.bugs.loader`.
"""
