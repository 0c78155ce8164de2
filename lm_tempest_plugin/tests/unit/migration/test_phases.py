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

import dataclasses

from lm_tempest_plugin.cloud import actions
from lm_tempest_plugin.migration import phases
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

    def test_each_from_where_it_is_known_better(self):
        # The looks, but for the last one, are a second apart.
        self.assertEqual(
            [('checks', 0.5, 0.5, 'polls'), ('queued', 1.0, 1.0, 'polls'),
             ('setup', 1.0, 1.0, 'polls'), ('copy', 10.0, 1.0, 'events'),
             ('post', 2.0, 1.0, 'events'), ('cleanup', 2.0, 1.0, 'events')],
            self.found(builders.completed(), full_action()))

    def test_looks_too_far_apart(self):
        followed = builders.attempt(
            builders.look(4, [builders.record('queued')]),
            builders.look(8, [builders.record('running')]),
            builders.look(20, [builders.record()],
                          builders.server(host='beta')))
        self.assertEqual(
            [('checks', 2.0, 1.0, 'events'), ('queued', 1.0, 2.0, 'events'),
             ('setup', 3.0, 2.0, 'events')],
            self.found(followed, full_action())[:3])

    def test_without_events(self):
        self.assertEqual(
            ['checks', 'queued', 'setup'],
            [name for name, *_ in self.found(builders.completed(), None)])

    def test_without_looks(self):
        followed = builders.attempt()
        self.assertEqual(
            ['checks', 'queued', 'setup', 'copy', 'post'],
            [name for name, *_ in self.found(followed, full_action())])

    def test_an_event_that_has_not_ended(self):
        action = builders.action(
            builders.event(actions.PRE, '', start=3, finish=None))
        self.assertEqual([], self.found(builders.attempt(), action))

    def test_clocks_that_contradict_each_other(self):
        action = builders.action(
            builders.event(actions.JOB, start=1, finish=5),
            builders.event(actions.PRE, start=4, finish=6, host='beta'))
        self.assertIn(('queued', 0.0, 2.0, 'events'),
                      self.found(builders.attempt(), action))

    def test_how_they_are_told(self):
        phase = phases.phases(builders.completed(), None)[1]
        self.assertEqual('queued 1.0 +/- 1.0 s', str(phase))
        self.assertEqual(
            {'name': 'queued', 'seconds': 1.0, 'resolution_s': 1.0,
             'origin': 'polls'}, phase.as_dict())

    def test_the_queue(self):
        self.assertEqual(1.0, phases.queue_s(
            phases.phases(builders.completed(), None)))
        self.assertEqual(0, phases.queue_s([]))


class ServiceTest(base.TestCase):

    def test_by_looks(self):
        service = phases.service(builders.completed(), None)
        # From the second look to the fourth.
        self.assertEqual(('service', 18.5, 17.5, 'polls'),
                         dataclasses.astuple(service))

    def test_by_events_where_these_are_better(self):
        service = phases.service(builders.completed(), full_action())
        # When the source began to make ready is told by no event.
        self.assertEqual(('service', 17.0, 2.0, 'events'),
                         dataclasses.astuple(service))

    def test_it_never_began(self):
        self.assertIsNone(phases.service(builders.attempt(), None))

    def test_the_record_was_never_written_to(self):
        followed = builders.attempt(builders.look(
            1, [builders.record('failed', updated_at='')]))
        self.assertIsNone(phases.service(followed, full_action()))
