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


import re

from lab.faults import injections
from lab.faults import scene
from lab.tests.unit import base
from lm_tempest_plugin.migration import verdict as verdicts
from lm_tempest_plugin.tests.unit.migration import builders

Kind = verdicts.Kind


def verdict(kind, cause='', host='compute2'):
    return verdicts.Verdict(
        kind, cause, 0, builders.evidence(server=builders.server(host=host)))


def fault(**values):
    return injections.Fault(**{
        'name': 'x', 'what': 'something', 'servers': 1,
        'when': injections.RUNNING, 'inject': None, 'heal': None,
        'expected': (Kind.COMPLETED,), 'words': '^$', **values})


class TestWrong(base.TestCase):

    def test_right(self):
        self.assertEqual([], scene._wrong(
            fault(), verdict(Kind.COMPLETED), Kind.COMPLETED))

    def test_other_verdict(self):
        found = scene._wrong(fault(expected=(Kind.STUCK,)),
                             verdict(Kind.COMPLETED), Kind.COMPLETED)
        self.assertEqual(['the verdict is completed, not stuck'], found)

    def test_other_cause(self):
        found = scene._wrong(
            fault(expected=(Kind.STUCK,), words='network'),
            verdict(Kind.STUCK, 'something else'), Kind.STUCK)
        self.assertEqual(["the cause does not match 'network'"], found)

    def test_libvirt_says_otherwise(self):
        found = scene._wrong(
            fault(), verdict(Kind.COMPLETED), Kind.INCONSISTENT)
        self.assertEqual(
            ["by nova's database and libvirt it is inconsistent, not "
             'completed'], found)


class TestTruth(base.TestCase):

    def _truth(self, *row, running=('compute2',)):
        self.patch(scene.fleets, 'sql', lambda layout, statement: [
            ['other', 'compute1', 'active', 'NULL', 'running'],
            *([['x', *row]] if row else [])])
        return scene.truth(injections.Place(
            self.layout, 'compute1', 'compute2'), 'x', list(running))

    def test_kinds(self):
        for kind, row, running in (
                (Kind.COMPLETED, ('compute2', 'active', 'NULL', 'completed'),
                 ['compute2']),
                (Kind.ROLLED_BACK, ('compute1', 'active', 'NULL', 'failed'),
                 ['compute1']),
                (Kind.CANCELLED, ('compute1', 'active', 'NULL', 'cancelled'),
                 ['compute1']),
                (Kind.STUCK, ('compute1', 'active', 'migrating', 'running'),
                 ['compute1']),
                (Kind.STUCK, ('compute2', 'active', 'NULL', 'running'),
                 ['compute2']),
                (Kind.STUCK, ('compute1', 'active', 'migrating', 'error'),
                 ['compute1']),
                (Kind.FAILED, ('compute1', 'error', 'NULL', 'error'), []),
                (Kind.INCONSISTENT, ('compute1', 'error', 'NULL', 'error'),
                 ['compute1']),
                (Kind.INCONSISTENT, ('compute1', 'active', 'NULL', 'error'),
                 ['compute2']),
                (Kind.INCONSISTENT, ('compute2', 'active', 'NULL',
                                     'completed'), ['compute1', 'compute2']),
                (Kind.INCONSISTENT, ('compute1', 'active', 'NULL',
                                     'completed'), ['compute1'])):
            self.assertEqual(kind, self._truth(*row, running=running), row)

    def test_gone(self):
        self.assertEqual(Kind.LOST, self._truth())


class TestFaults(base.TestCase):

    def test_names_differ(self):
        names = [each.name for each in injections.FAULTS]
        self.assertEqual(sorted(set(names)), sorted(names))

    def test_at_least_seven(self):
        self.assertGreaterEqual(len(injections.FAULTS), 7)

    def test_causes_are_expressions(self):
        for each in injections.FAULTS:
            re.compile(each.words)
            self.assertTrue(each.expected)

    def test_only_what_is_mended_may_be_completed(self):
        self.assertEqual(
            ['network-20s'],
            [each.name for each in injections.FAULTS
             if Kind.COMPLETED in each.expected])
