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

"""What the engine costs and whether it is right, on the lab's real nova.

Inside of a lab that is up, from the root of the repository::

    tools/run-lab.sh exec -- python -m bench.drains

Three parts: *efficiency*, wall time of a drain against nova's own service
times; *calls*, requests to the compute API per second with many servers and
with one; *soak*, many migrations in a row, each verdict held against libvirt
and nova's database.
"""
