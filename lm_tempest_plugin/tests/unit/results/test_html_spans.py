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

from lm_tempest_plugin.results.html import spans
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import materials


class SpansTest(base.TestCase):

    def of(self, **changes):
        """Return a drain and its attempt, asked for 3 s after it began."""
        found = materials.read([
            ('attempt', builders.attempt_line(**{
                'requested_monotonic_s': builders.BEGAN_MONOTONIC_S + 3,
                **changes})), ('drain', builders.drain_line())])
        return found.drains[0], found.attempts[0]

    def test_phases(self):
        found = spans.phases(*self.of())
        self.assertEqual(
            [('checks', 3.0, 4.0), ('queued', 4.0, 6.0), ('setup', 6.0, 8.0),
             ('copy', 8.0, 11.0), ('post', 11.0, 11.5),
             ('cleanup', 11.5, 12.0)],
            [(each.name, each.begin_s, each.end_s) for each in found])

    def test_the_first_is_not_known(self):
        phase = {'name': 'copy', 'seconds': 3.0, 'resolution_s': 0.5,
                 'origin': 'polls'}
        self.assertEqual(
            [spans.Span('copy', 9.0, 3.0)],
            spans.phases(*self.of(phases=[phase])))

    def test_none_is_known(self):
        self.assertEqual([], spans.phases(*self.of(phases=[])))

    def test_service(self):
        self.assertEqual(spans.Span('service', 6.0, 6.0),
                         spans.service(*self.of()))
        self.assertIsNone(spans.service(*self.of(service=None)))

    def test_outage(self):
        found = spans.outage(*self.of(icmp=builders.outage(
            0.25, builders.BEGAN_MONOTONIC_S + 10)))
        self.assertEqual(spans.Span('longest outage', 10.0, 0.25), found)
        self.assertIsNone(spans.outage(*self.of(icmp=None)))
        self.assertIsNone(spans.outage(*self.of(
            icmp=builders.outage(0.0, None))))

    def test_at_once(self):
        found = spans.at_once([
            spans.Span('a', 1.0, 2.0), spans.Span('b', 2.0, 2.0),
            # It begins as the first one ends, but for an error of rounding.
            spans.Span('c', 2.9999999, 3.0), spans.Span('d', 2.0, 0.0)])
        self.assertEqual(
            ([0.0, 1.0, 2.0, 3.0, 4.0, 6.0], [0, 1, 2, 2, 1, 0]), found)

    def test_nothing_at_once(self):
        self.assertEqual(([0.0], [0]), spans.at_once([]))

    def test_of_a_drain(self):
        drain, attempt = self.of()
        self.assertEqual([spans.Span('queued', 4.0, 2.0)],
                         spans.queued(drain, [attempt]))
        self.assertEqual([spans.Span('service', 6.0, 6.0)],
                         spans.running(drain, [attempt]))
