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

from lab import clearing
from lab import errors
from lab import everything
from lab import lifecycle
from lab.tests.unit import base
from lab import topology as topologies
from lab import use


class TestRun(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = None
        self.tested = []
        self.status = 0
        self.patch(lifecycle, 'running', lambda layout: self.cloud)
        self.patch(lifecycle, 'up', self._up)
        self.patch(clearing, 'down', self._down)
        self.patch(use, 'run', self._test)

    def _up(self, layout, topology):
        self.cloud = topology

    def _down(self, layout):
        self.cloud = None

    def _test(self, layout, arguments):
        self.assertIsNotNone(self.cloud)
        self.tested.append(arguments)
        if isinstance(self.status, BaseException):
            raise self.status
        return self.status

    def _run(self, keep=False):
        self.out = io.StringIO()
        with contextlib.redirect_stdout(self.out):
            return everything.run(self.layout, topologies.Topology(), keep)

    def test_exit_code_is_tempests(self):
        for status in (0, 1, 42):
            self.status = status
            self.assertEqual(status, self._run())
            self.assertIsNone(self.cloud)
        self.assertEqual([['--regex', 'live_migration_ha']] * 3, self.tested)

    def test_keep(self):
        self.status = 1
        self.assertEqual(1, self._run(keep=True))
        self.assertEqual(topologies.Topology(), self.cloud)
        self.assertIn('left running', self.out.getvalue())

    def test_cloud_of_somebody_else_is_left(self):
        self.cloud = topologies.Topology()
        self._run()
        self.assertIsNotNone(self.cloud)
        self.assertIn('left running', self.out.getvalue())

    def test_cloud_ends_whatever_happens(self):
        for error in (errors.LabError('no'), KeyboardInterrupt()):
            self.status = error
            with self.assertRaises(type(error)):
                self._run()
            self.assertIsNone(self.cloud)

    def test_nothing_is_tested_without_a_cloud(self):
        self.patch(lifecycle, 'up', side_effect=errors.LabError('no'))
        self.refused(self._run)
        self.assertEqual([], self.tested)
