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

import contextlib
import io

from lab import errors
from lab.faults import __main__ as main
from lab.faults import injections
from lab.faults import scene
from lab import fleet
from lab import layout
from lab.tests.unit import base
from lab.tests.unit.faults import test_scene
from lm_tempest_plugin.migration import verdict as verdicts


class FakeScene:

    def __init__(self, outcomes):
        self._outcomes = outcomes
        self.played = []

    def play(self, fault):
        self.played.append(fault.name)
        outcome = self._outcomes.get(fault.name, ())
        if isinstance(outcome, Exception):
            raise outcome
        return scene.Outcome(
            fault, test_scene.verdict(verdicts.Kind.STUCK, 'a cause'), [],
            ['compute1'], outcome)


class TestMain(base.TestCase):

    def _run(self, arguments, **outcomes):
        self.scene = FakeScene(outcomes)
        for module, name, value in (
                (main.openstack, 'connect', lambda: None),
                (fleet, 'administrator', lambda: None),
                (main, 'Scene', lambda *args: self.scene)):
            self.patch(module, name, value)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = main.main(arguments)
        return status, output.getvalue()

    def test_all_right(self):
        status, output = self._run([])
        self.assertEqual(0, status)
        self.assertEqual([each.name for each in injections.FAULTS],
                         self.scene.played)
        self.assertIn(f'{len(injections.FAULTS)} faults, 0 with a wrong '
                      'verdict or leftovers.', output)
        self.assertIn('a cause', output)

    def test_chosen(self):
        self._run(['disk', 'libvirtd'])
        self.assertEqual(['libvirtd', 'disk'], self.scene.played)

    def test_ceph_has_no_disk_to_fill(self):
        layout.write_json(self.layout.ready, {'storage': 'ceph'})
        self.patch(layout, 'state_folder', lambda: self.layout.root)
        self.assertEqual(0, self._run([])[0])
        self.assertEqual([each.name for each in injections.FAULTS
                          if each.name != 'disk'], self.scene.played)
        with contextlib.redirect_stderr(io.StringIO()) as output:
            self.assertRaises(SystemExit, main.main, ['disk'])
        self.assertIn('disk', output.getvalue())

    def test_wrong_one_tells_evidence(self):
        status, output = self._run(['disk'], disk=['port 7 is left'])
        self.assertEqual(1, status)
        self.assertIn('WRONG: port 7 is left', output)
        self.assertIn('Migration records:', output)

    def test_others_go_on(self):
        status, output = self._run(
            ['disk', 'libvirtd'], libvirtd=errors.LabError('is not up'))
        self.assertEqual(1, status)
        self.assertEqual(['libvirtd', 'disk'], self.scene.played)
        self.assertIn('FAILED: is not up', output)

    def test_unknown_name(self):
        with contextlib.redirect_stderr(io.StringIO()) as output:
            self.assertRaises(SystemExit, main.main, ['nonsense'])
        self.assertIn('nonsense', output.getvalue())
