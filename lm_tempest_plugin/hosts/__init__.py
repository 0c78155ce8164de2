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

"""Access to compute hosts over SSH, for things outside of nova's API.

Optional, and off unless the configuration says how to reach the hosts.
Nothing here reads Tempest's configuration; callers hand in values.

access
    :class:`~lm_tempest_plugin.hosts.access.HostAccess`: start here;
remote
    commands on one host, over a connection that is kept;
nova_conf, undo_log, service
    set options of nova-compute on all hosts and undo that: the text of
    nova.conf, the undo log on the local disk, the restart;
libvirt, sockets, samples
    statistics of a migration's job, connections between two hosts, and the
    load of a host;
traces, logs
    domain, instance directory and interfaces of servers; the lines of logs
    that belong to a migration.
"""
