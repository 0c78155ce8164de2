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

"""Hosts made of namespaces: how they are made and how one enters them.

A lab is one process tree in namespaces of its own (PID, mount, network, UTS,
IPC). The controller is that tree's outermost set; each compute host has a
mount, network and UTS namespace below it. No namespace has a name outside the
lab, so when the tree's first process ends, the kernel ends all others and
takes namespaces, mounts and interfaces away: nothing can be left behind.
"""
