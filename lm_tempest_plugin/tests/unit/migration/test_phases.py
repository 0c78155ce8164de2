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

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.migration import phases
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders


def full_action():
    """Return an action with all events, the request at second 0."""
    return builders.action(
        builders.event(actions.CHECKS, start=0, finish=2),
        builders.event(actions.JOB, start=1, finish=2),
        builders.event(actions.PRE, start=3, finish=6, host='beta'),
        builders.event(actions.POST_AT_DESTINATION, start=16, finish=18,
                       host='beta'))


class PhasesTest(base.TestCase):

    def found(self, followed, action):
        return [(phase.name, phase.seconds, phase.resolution_s, phase.origin)
                for phase in phases.phases(followed, action)]

    def test_each_from_the_source_that_knows_it_better(self):
        # The snapshots, but for the last one, are a second apart.
        self.assertEqual(
            [('checks', 0.5, 0.5, 'polls'), ('queued', 1.0, 1.0, 'polls'),
             ('setup', 1.0, 1.0, 'polls'), ('copy', 10.0, 1.0, 'events'),
             ('post', 2.0, 1.0, 'events'), ('cleanup', 2.0, 1.0, 'events')],
            self.found(builders.completed(), full_action()))

    def test_snapshots_too_far_apart(self):
        followed = builders.migration(
            builders.snapshot(4, [builders.record('queued')]),
            builders.snapshot(8, [builders.record('running')]),
            builders.snapshot(20, [builders.record()],
                              builders.server(host='beta')))
        self.assertEqual(
            [('checks', 2.0, 1.0, 'events'), ('queued', 1.0, 2.0, 'events'),
             ('setup', 3.0, 2.0, 'events')],
            self.found(followed, full_action())[:3])

    def test_a_request_whose_time_is_not_known_well(self):
        followed = builders.migration(
            builders.snapshot(4, [builders.record('queued')], asked_s=3),
            uncertainty_s=2.0)
        self.assertEqual([('checks', 4.0, 6.0, 'polls')],
                         self.found(followed, None))

    def test_without_events(self):
        self.assertEqual(
            ['checks', 'queued', 'setup'],
            [name for name, *_ in self.found(builders.completed(), None)])

    def test_without_snapshots(self):
        followed = builders.migration()
        self.assertEqual(
            ['checks', 'queued', 'setup', 'copy', 'post'],
            [name for name, *_ in self.found(followed, full_action())])

    def test_an_event_that_has_not_ended(self):
        action = builders.action(
            builders.event(actions.PRE, '', start=3, finish=None))
        self.assertEqual([], self.found(builders.migration(), action))

    def test_clocks_that_contradict_each_other(self):
        action = builders.action(
            builders.event(actions.JOB, start=1, finish=5),
            builders.event(actions.PRE, start=4, finish=6, host='beta'))
        self.assertIn(('queued', 0.0, 2.0, 'events'),
                      self.found(builders.migration(), action))


class ServiceTest(base.TestCase):

    def test_by_snapshots(self):
        # From the second snapshot to the fourth.
        self.assertEqual(
            schema.Phase(name='service', seconds=18.5, resolution_s=17.5,
                         origin='polls'),
            phases.service(builders.completed(), None))

    def test_by_events_if_these_know_it_better(self):
        # No event marks the beginning of the source's preparation.
        self.assertEqual(
            schema.Phase(name='service', seconds=17.0, resolution_s=2.0,
                         origin='events'),
            phases.service(builders.completed(), full_action()))

    def test_it_never_began(self):
        self.assertIsNone(phases.service(builders.migration(), None))

    def test_a_record_that_was_never_updated(self):
        followed = builders.migration(builders.snapshot(
            1, [builders.record('failed', updated_at='')]))
        self.assertIsNone(phases.service(followed, full_action()))
