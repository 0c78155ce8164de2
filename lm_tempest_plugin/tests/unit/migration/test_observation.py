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

from lm_tempest_plugin.cloud import progress
from lm_tempest_plugin.hosts import sockets
from lm_tempest_plugin.migration import cells
from lm_tempest_plugin.migration import concurrency
from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import observation
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders

BLOCK, SHARED = cells.Storage.BLOCK, cells.Storage.SHARED


def sampled(disk_bytes):
    """Return a completed attempt whose copy was looked at."""
    found = builders.completed()
    found.add_sample(builders.REQUESTED_NS + builders.S, progress.Progress(
        100, 50, 50, disk_bytes, disk_bytes, 0))
    return found


class ObservationTest(base.TestCase):

    def found(self, attempt=None, storage=None, watched=None, observed=(),
              **settings):
        return observation.contradictions(
            observation.Declared(cells.Cell(**settings), storage),
            drain.Drained([attempt or builders.completed()], observed, 0, 0,
                          1, 0), watched)

    def test_nothing_is_declared(self):
        self.assertEqual([], self.found())

    def test_storage(self):
        self.assertEqual([], self.found(sampled(10), BLOCK))
        said, = self.found(sampled(10), SHARED)
        self.assertIn('declared to be shared, and disks were copied', said)

    def test_storage_that_was_not_seen(self):
        for declared in (BLOCK, SHARED):
            self.assertEqual([], self.found(sampled(0), declared))
            self.assertEqual([], self.found(storage=declared))

    def test_storage_by_the_sockets(self):
        def ports(*numbers):
            return mock.Mock(as_dict=lambda: {'qemu_ports': list(numbers)})

        for watched, number, expected in (
                (ports(49152, 49153), 1, BLOCK), (ports(49152), 1, None),
                (ports(), 1, None), (ports(49152, 49153), 2, None),
                (None, 1, None)):
            self.assertEqual(expected, observation.storage(
                [builders.completed()] * number, watched))
        said, = self.found(storage=SHARED, watched=ports(49152, 49153))
        self.assertIn('disks were copied', said)

    def test_concurrency(self):
        observed = [concurrency.Observed('alpha', 3, 1, 2.0, 9.0, 0.0, 3)]
        for limit, good in ((3, True), (1, False), (0, True), (None, True)):
            self.assertEqual(good, not self.found(
                observed=observed, max_concurrent_live_migrations=limit))

    def test_post_copy(self):
        switched = builders.attempt(builders.look(
            1, [builders.record('running (post-copy)')],
            builders.migrating()))
        self.assertTrue(observation.post_copied(switched))
        self.assertFalse(observation.post_copied(builders.completed()))
        said, = self.found(switched, post_copy=False)
        self.assertIn('running (post-copy)', said)
        self.assertEqual([], self.found(switched, post_copy=True))
        self.assertEqual([], self.found(post_copy=True))

    def test_transport(self):
        tunnelled, direct, unseen = (
            mock.Mock(transport=transport) for transport in (
                sockets.Transport.TUNNELLED, sockets.Transport.DIRECT,
                sockets.Transport.UNSEEN))
        for watched, declared, good in (
                (tunnelled, True, True), (tunnelled, False, False),
                (direct, False, True), (direct, True, False),
                (unseen, True, False), (unseen, False, False),
                (unseen, None, True), (None, True, True)):
            said = self.found(watched=watched, tunnelled=declared)
            self.assertEqual(good, not said, said)

    def test_both_are_named(self):
        said, = self.found(
            watched=mock.Mock(transport=sockets.Transport.DIRECT),
            tunnelled=True)
        self.assertIn('declared to be tunnelled, and direct was seen', said)

    def test_nothing_was_copied_and_nothing_was_to_be_seen(self):
        self.assertEqual([], self.found(
            builders.attempt(builders.look(1, [builders.record('failed')])),
            watched=mock.Mock(transport=sockets.Transport.UNSEEN),
            tunnelled=True))

    def test_as_dict(self):
        self.assertEqual(
            {'tunnelled': True, 'storage': 'block'}, observation.Declared(
                cells.Cell(tunnelled=True), BLOCK).as_dict())
        self.assertEqual(
            {'storage': None}, observation.Declared().as_dict())
