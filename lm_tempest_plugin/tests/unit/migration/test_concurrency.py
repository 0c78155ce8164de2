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

import json

from lm_tempest_plugin.migration import concurrency
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders


def counts(*found):
    """Return counts, a second each: how many run, and who is queued."""
    return [concurrency.Count(number * builders.S, running,
                              frozenset(queued))
            for number, (running, queued) in enumerate(found)]


def observe(*found):
    return concurrency.observe('alpha', counts(*found))


class CountTest(base.TestCase):

    def test_what_leaves_the_host_and_has_not_ended(self):
        found = [
            builders.record(status, number, server_id='server-%d' % number)
            for number, status in enumerate((
                'accepted', 'queued', 'queued', 'preparing', 'running',
                'running (post-copy)', 'completed', 'error', 'failed'))]
        found.append(builders.record('running', 20, source='beta'))
        counted = concurrency.count(builders.look(1, found), 'alpha')
        self.assertEqual(
            concurrency.Count(builders.REQUESTED_NS + builders.S, 3,
                              frozenset(['uuid-1', 'uuid-2'])), counted)


class ObserveTest(base.TestCase):

    def test_nothing(self):
        for found in ((), [(0, '')]):
            seen = observe(*found)
            self.assertEqual((0, 0, 0.0, 0.0, None), (
                seen.running, seen.queued, seen.mean, seen.busy_s,
                seen.full))

    def test_figures(self):
        seen = observe((0, 'abc'), (2, 'c'), (2, 'c'), (1, ''), (0, ''),
                       (0, ''))
        self.assertEqual((2, 3, 3.0), (seen.running, seen.queued,
                                       seen.busy_s))
        self.assertAlmostEqual(5 / 3, seen.mean)
        self.assertEqual(seen.mean, json.loads(json.dumps(
            seen.as_dict()))['mean'])
        self.assertEqual('alpha ran 2 at once (1.67 on the average in 3.0 '
                         's), 3 queued (1.0 s of it while none ran)',
                         str(seen))
        self.assertEqual(1.0, seen.idle_s)

    def test_full_while_one_had_to_wait(self):
        self.assertEqual(2, observe(
            (1, 'ab'), (2, 'ab'), (1, 'b'), (1, '')).full)

    def test_for_a_moment_each_one_is_queued(self):
        self.assertIsNone(observe(
            (0, 'a'), (1, 'b'), (1, 'b'), (1, 'c'), (1, 'd')).full)


class ContradictsTest(base.TestCase):

    def test_as_declared(self):
        self.assertEqual('', observe(
            (1, 'c'), (2, 'c'), (2, 'c'), (1, '')).contradicts(2))

    def test_more_at_once(self):
        found = observe((1, ''), (3, '')).contradicts(2)
        for part in ('host alpha', 'declared to run 2', '3 ran'):
            self.assertIn(part, found)

    def test_fewer_while_others_had_to_wait(self):
        found = observe((1, 'cd'), (1, 'cd'), (1, 'd')).contradicts(2)
        for part in ('host alpha', 'declared to run 2', 'no more than 1'):
            self.assertIn(part, found)

    def test_fewer_while_nobody_waited(self):
        self.assertEqual('', observe((1, ''), (1, '')).contradicts(2))
