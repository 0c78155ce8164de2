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

import graphlib
import threading
import time
import unittest

from lab import steps


class Recorder:
    """A progress that remembers."""

    def __init__(self):
        self.events = []

    def began(self, name):
        self.events.append(('began', name))

    def ended(self, name, seconds):
        self.events.append(('ended', name))

    def failed(self, name, seconds):
        self.events.append(('failed', name))

    def names(self, kind):
        return [name for each, name in self.events if each == kind]


def nothing():
    pass


class TestRun(unittest.TestCase):

    def setUp(self):
        super().setUp()
        self.progress = Recorder()

    def test_no_steps(self):
        steps.run([], self.progress)
        self.assertEqual([], self.progress.events)

    def test_needs_come_first(self):
        steps.run([steps.Step('c', nothing, ('b', 'a')),
                   steps.Step('b', nothing, ('a',)),
                   steps.Step('a', nothing)], self.progress)
        self.assertEqual(
            [('began', 'a'), ('ended', 'a'), ('began', 'b'), ('ended', 'b'),
             ('began', 'c'), ('ended', 'c')], self.progress.events)

    def test_independent_steps_run_side_by_side(self):
        # Either passes the barrier only while the other one runs.
        barrier = threading.Barrier(2, timeout=10)
        steps.run([steps.Step('a', barrier.wait),
                   steps.Step('b', barrier.wait)], self.progress)
        self.assertCountEqual(['a', 'b'], self.progress.names('ended'))

    def test_however_many_run_side_by_side(self):
        # None waits in a queue, to begin after another one has failed.
        barrier = threading.Barrier(40, timeout=10)
        steps.run([steps.Step(str(number), barrier.wait)
                   for number in range(40)], self.progress)
        self.assertEqual(40, len(self.progress.names('ended')))

    def test_a_step_waits_for_its_needs_only(self):
        slow = threading.Event()
        steps.run([steps.Step('slow', lambda: slow.wait(10)),
                   steps.Step('fast', nothing),
                   steps.Step('next', slow.set, ('fast',))], self.progress)
        self.assertTrue(slow.is_set())
        self.assertEqual('slow', self.progress.names('ended')[-1])

    def test_failure_is_raised_and_begins_nothing_new(self):
        def fail():
            raise LookupError('no')

        with self.assertRaisesRegex(LookupError, 'no'):
            steps.run([steps.Step('a', fail),
                       steps.Step('b', nothing, ('a',)),
                       steps.Step('c', nothing, ('b',))], self.progress)
        self.assertEqual([('began', 'a'), ('failed', 'a')],
                         self.progress.events)

    def test_failure_waits_for_what_is_under_way(self):
        began = threading.Event()

        def fail():
            began.wait(10)
            raise LookupError

        def slow():
            began.set()
            time.sleep(0.1)

        with self.assertRaises(LookupError):
            steps.run([steps.Step('slow', slow), steps.Step('fail', fail),
                       steps.Step('new', nothing, ('slow',))], self.progress)
        self.assertEqual(['slow'], self.progress.names('ended'))
        self.assertNotIn('new', self.progress.names('began'))

    def test_failure_returns_at_once_if_told_so(self):
        began, end = threading.Event(), threading.Event()
        self.addCleanup(end.set)

        def fail():
            began.wait(10)
            raise LookupError

        def endless():
            began.set()
            end.wait(10)

        with self.assertRaises(LookupError):
            steps.run([steps.Step('endless', endless),
                       steps.Step('fail', fail)], self.progress,
                      wait_on_failure=False)
        self.assertEqual([], self.progress.names('ended'))

    def test_unknown_need(self):
        with self.assertRaisesRegex(ValueError, "'a' needs.*'x'"):
            steps.run([steps.Step('a', nothing, ('x',))], self.progress)
        self.assertEqual([], self.progress.events)

    def test_cycle(self):
        with self.assertRaises(graphlib.CycleError):
            steps.run([steps.Step('a', nothing, ('b',)),
                       steps.Step('b', nothing, ('a',))], self.progress)
        self.assertEqual([], self.progress.events)
