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

"""A Zuul is found, entered and tied to the command that started it."""

import os
import pathlib

from gate import machine
from gate.tests import base
from lab import errors
from lab.hosts import sandbox
from lab import layout
from lab.machine import checks


class LayoutTest(base.TestCase):

    def test_state_folder(self):
        environ = self.patch(os, 'environ', {})
        self.assertEqual(layout.REPOSITORY / '.zuul', machine.state_folder())
        environ['LM_ZUUL_DIR'] = '/x/../y'
        self.assertEqual(pathlib.Path('/y'), machine.state_folder())

    def test_lab_of_a_job_has_room_for_its_sockets(self):
        longest = pathlib.Path('/' + 'x' * (machine.Layout.max_length - 1))
        checks.state_folder(machine.Layout(longest))
        checks.state_folder(layout.Layout(longest / machine.LAB))
        message = self.refused(checks.state_folder,
                               machine.Layout(pathlib.Path(f'{longest}x')))
        self.assertIn('LM_ZUUL_DIR', message)

    def test_entries(self):
        for path in (self.paths.services, self.paths.node, self.paths.builds,
                     self.paths.pictures, self.paths.venvs, self.paths.log):
            top = path.relative_to(self.paths.root).parts[0]
            self.assertIn(top, self.paths.entries)


class ProcessTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.process = sandbox.Process(7, self.paths.root, True)
        self.find = self.patch(sandbox, 'find', autospec=True,
                               return_value=self.process)

    def test_find(self):
        self.assertEqual(self.process, machine.find(self.paths))
        self.find.assert_called_once_with(self.paths.root, 'lm-zuul:')

    def test_nothing_is_up(self):
        self.find.return_value = None
        self.assertIn('No Zuul is up', self.refused(machine.find, self.paths))

    def test_begin(self):
        begin = self.patch(sandbox, 'begin', autospec=True)
        self.patch(machine, 'enter_network', autospec=True)
        for tied, options, prefix in (
                (True, ('--kill-child',), ('setpriv', '--pdeathsig', 'KILL')),
                (False, (), ())):
            machine.begin(self.paths, pathlib.Path('the.conf'), tied)
            begin.assert_called_with(
                self.paths, pathlib.Path('the.conf'), 'gate.namespaces',
                options, prefix)


class CallTest(base.TestCase):

    def test_refused_by_the_kernel(self):
        with self.assertRaisesRegex(OSError, 'setns: Bad file descriptor'):
            machine.call('setns', -1, machine.CLONE_NEWNET)

    def test_error_is_one_sentence(self):
        self.assertNotIn('\n', errors.explain(OSError(9, 'setns: Bad')))
