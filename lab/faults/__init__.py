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

"""Inject faults during live migrations, and check the verdicts.

``tools/run-lab.sh faults`` injects each fault into a cloud that is up while
the plugin's engine migrates servers. It compares verdict, failed checks and
cause with the fault, with nova's database and with libvirt, and looks for
leftovers of the servers.

A fault is an entry of the tuple ``FAULTS`` in one of the modules of this
package. It is found there; no list names it.
"""
