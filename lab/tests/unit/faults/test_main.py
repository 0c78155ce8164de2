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
import json

from lab import errors
from lab.faults import __main__ as main
from lab.faults import fault
from lab.faults import scene
from lab import fleet
from lab import layout
from lab.tests.unit import base
from lab.tests.unit.faults import test_scene
from lm_tempest_plugin.results import schema

Kind = fault.Kind
FAULTS = [test_scene.new_fault(name=name, storages=storages)
          for name, storages in (('one', ('block', 'ceph')),
                                 ('two', ('block',)), ('three', ('ceph',)))]


class FakeScene:

    def __init__(self, outcomes):
        self._outcomes = outcomes
        self.played = []
        self.recoveries = 0

    def recover(self):
        self.recoveries += 1

    def play(self, chosen):
        self.played.append(chosen.name)
        outcome = self._outcomes.get(chosen.name, [])
        if isinstance(outcome, BaseException):
            raise outcome
        return scene.Outcome(
            chosen, test_scene.new_verdict(Kind.STUCK, 'a cause'), [],
            [schema.Problem(check='verdict', text='stuck')],
            test_scene.new_truth(Kind.STUCK), outcome, 12)


class TestMain(base.TestCase):

    def _run(self, *arguments, **outcomes):
        self.scene = FakeScene(outcomes)
        for module, name, value in (
                (main.openstack, 'connect', lambda: None),
                (fleet, 'administrator', lambda: None),
                (fault, 'discover', lambda: FAULTS),
                (layout, 'state_folder', lambda: self.layout.root),
                (main.LOG, 'exception', lambda *args: None),
                (main, 'Scene', lambda *args: self.scene)):
            self.patch(module, name, value)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = main.main([*arguments])
        return status, output.getvalue()

    def _kept(self):
        path, = self.layout.workspace.glob('faults-*.json')
        return [(row['FAULT'], row['VERDICT'], row['WRONG OR LEFT'])
                for row in json.loads(path.read_text())]

    def test_all_right(self):
        status, output = self._run()
        self.assertEqual((0, ['one', 'two']), (status, self.scene.played))
        self.assertIn('1 of 3: one: something ... (about 6 min left)', output)
        self.assertIn('3 faults: 0 with a wrong verdict, a wrong check or '
                      'leftovers, 1 skipped.', output)
        self.assertEqual(
            [('one', 'stuck', 'nothing'), ('two', 'stuck', 'nothing'),
             ('three', 'skipped', 'It takes a lab with --storage ceph.')],
            self._kept())

    def test_storage_of_the_lab(self):
        layout.write_json(self.layout.ready, {'storage': 'ceph'})
        self._run()
        self.assertEqual(['one', 'three'], self.scene.played)

    def test_chosen(self):
        self._run('two', 'one')
        self.assertEqual(['one', 'two'], self.scene.played)

    def test_parts(self):
        self._run('--part=2/2')
        self.assertEqual(['two'], self.scene.played)

    def test_list(self):
        status, output = self._run('--list')
        self.assertEqual((0, []), (status, self.scene.played))
        self.assertEqual('one: something (block or ceph)',
                         output.splitlines()[0])

    def test_wrong_one_tells_evidence(self):
        status, output = self._run('one', one=['port 7 is left'])
        self.assertEqual(1, status)
        self.assertIn('WRONG: port 7 is left', output)
        self.assertIn('Migration records:', output)

    def test_others_go_on(self):
        status, output = self._run(
            one=errors.LabError('is not up'), two=fault.Missing('none here'))
        self.assertEqual((1, ['one', 'two']), (status, self.scene.played))
        self.assertEqual(1, self.scene.recoveries)
        self.assertIn('FAILED: LabError: is not up', output)
        self.assertIn('skipped: none here', output)
        self.assertEqual(('one', 'none', 'LabError: is not up'),
                         self._kept()[0])

    def test_interrupted(self):
        status, output = self._run(two=KeyboardInterrupt())
        self.assertEqual((130, 1), (status, len(self._kept())))
        self.assertIn('Interrupted.', output)

    def test_wrong_arguments(self):
        for argument in ('nonsense', '--part=3/2', '--part=0/1'):
            with contextlib.redirect_stderr(io.StringIO()) as output:
                self.assertRaises(SystemExit, self._run, argument)
            self.assertIn(argument.partition('=')[2] or argument,
                          output.getvalue())
