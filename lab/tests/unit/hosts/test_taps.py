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

"""Tests of what keeps taps up."""

import errno

import pyroute2
from pyroute2.netlink.rtnl import ifinfmsg

from lab.hosts import taps
from lab.tests.unit import base


class Message(dict):
    """A message of the kernel about an interface."""

    def __init__(self, index, name, flags=0, event='RTM_NEWLINK'):
        super().__init__(index=index, flags=flags, event=event)
        self.name = name

    def get_attr(self, name):
        assert name == 'IFLA_IFNAME', name
        return self.name


class Route:
    """The parts of pyroute2.IPRoute that are used; ends with EOFError."""

    def __init__(self, links, *events):
        self.links = links
        self.events = list(events)
        self.calls = []
        self.error = None

    def bind(self, groups):
        self.calls.append('bind')

    def get_links(self):
        self.calls.append('list')
        return self.links

    def get(self):
        if not self.events:
            raise EOFError
        return self.events.pop(0)

    def link(self, what, index, state):
        self.calls.append((what, index, state))
        if self.error:
            raise pyroute2.NetlinkError(self.error)


class TestTaps(base.TestCase):

    def keep_up(self, route):
        self.assertRaises(EOFError, taps.keep_up, route)
        return route.calls

    def test_those_that_are_down_at_first(self):
        self.assertEqual(
            ['bind', 'list', ('set', 4, 'up')],
            self.keep_up(Route([
                Message(1, 'lo'), Message(4, 'tap1'),
                Message(5, 'tap2', ifinfmsg.IFF_UP | ifinfmsg.IFF_PROMISC)])))

    def test_one_that_goes_down(self):
        self.assertEqual(
            ['bind', 'list', ('set', 7, 'up'), ('set', 7, 'up')],
            self.keep_up(Route(
                [], [Message(7, 'tap3')],
                [Message(7, 'tap3', ifinfmsg.IFF_UP)],
                [Message(7, 'tap3', ifinfmsg.IFF_PROMISC),
                 Message(8, 'tap4', event='RTM_DELLINK'),
                 Message(9, None)])))

    def test_one_that_is_deleted_meanwhile(self):
        route = Route([Message(4, 'tap1')], [Message(5, 'tap2')])
        route.error = errno.ENODEV
        self.assertEqual([('set', 4, 'up'), ('set', 5, 'up')],
                         self.keep_up(route)[2:])

    def test_refused(self):
        route = Route([Message(4, 'tap1')])
        route.error = errno.EPERM
        self.assertRaises(pyroute2.NetlinkError, taps.keep_up, route)
