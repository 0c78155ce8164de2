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

from unittest import mock

from lm_tempest_plugin.hosts import observer
from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.tests.unit import base


class Part:
    """Stands in for a watch, or a sampler."""

    def __init__(self, refuses=False):
        self.refuses = refuses
        self.events = []

    def __enter__(self):
        if self.refuses:
            raise remote.HostError('host alpha: no')
        self.events.append('begin')

    def __exit__(self, *args):
        self.events.append('end')

    def as_dict(self):
        return {'transport': 'direct'}

    def sampled(self):
        return mock.Mock(as_dict=lambda: {'host': 'alpha'})


class ObserverTest(base.TestCase):

    def test_all_begin_and_end(self):
        parts = Part(), Part(), Part()
        with observer.Observer(parts[0], parts[1:]) as found:
            self.assertEqual([['begin']] * 3, [
                part.events for part in parts])
        self.assertEqual([['begin', 'end']] * 3, [
            part.events for part in parts])
        self.assertEqual(
            {'sockets': {'transport': 'direct'},
             'samples': [{'host': 'alpha'}] * 2}, found.as_dict())

    def test_one_that_refuses_ends_those_that_began(self):
        watch, sampler = Part(), Part()
        self.assertRaises(
            remote.HostError, observer.Observer(
                watch, [sampler, Part(refuses=True)]).__enter__)
        self.assertEqual(['begin', 'end'], sampler.events)
        self.assertEqual([], watch.events)
