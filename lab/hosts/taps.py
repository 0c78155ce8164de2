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

"""Keep the taps of a compute host up.

os-vif creates a port in Open vSwitch, then its tap, and sets the tap up
(neutron's option [ovn]ovs_create_tap). ovs-vswitchd opens the tap as soon as
it exists: it reads the flags, and 0.3 ms later it writes them back with
IFF_PROMISC (netdev_linux_update_flags). A tap that was set up in between is
down for good. The guest runs then, and no packet reaches it: "Network is down"
in the log of ovs-vswitchd, once in some hundred taps. Only the datapath in
userspace writes flags of taps; the lab uses it because the other one needs a
kernel module.
"""

import errno

import pyroute2
from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl import ifinfmsg

#: Begin of the names that nova and neutron give to taps.
PREFIX = 'tap'


def keep_up(route: pyroute2.IPRoute) -> None:
    """Set each tap up that is down or goes down, without an end.

    :param route: of the host's network namespace
    :raises pyroute2.NetlinkError: the kernel refuses it
    """
    # First of all: no tap is missed between the list and the events.
    route.bind(groups=rtnl.RTMGRP_LINK)
    messages = route.get_links()
    while True:
        for each in messages:
            name = each.get_attr('IFLA_IFNAME') or ''
            if (each['event'] == 'RTM_NEWLINK' and name.startswith(PREFIX) and
                    not each['flags'] & ifinfmsg.IFF_UP):
                try:
                    route.link('set', index=each['index'], state='up')
                except pyroute2.NetlinkError as exc:
                    if exc.code != errno.ENODEV:
                        raise
        messages = route.get()


if __name__ == '__main__':
    with pyroute2.IPRoute() as host:
        keep_up(host)
