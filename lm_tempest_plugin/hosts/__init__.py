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

"""Access to compute hosts with SSH: what nova's API neither shows nor sets.

Optional, and off unless the configuration says how hosts are reached. Who
uses it hands in the values; nothing here reads Tempest's configuration.

site
    where a host is, and how nova-compute is handled there;
remote
    commands on a host;
configuration
    options within the text of nova.conf;
service
    nova-compute's process: restart it, and see that it is another one;
journal
    what has to be put back, on our own disk, before it is changed;
change
    all of that together: hosts that are changed, and put back;
uninterrupted
    what no signal may break off;
jobs, pulse, sockets, counters
    what libvirt, the sockets and the kernel of a host say of a migration;
transport, sampler, observer
    looking at the latter two while servers move.
"""
