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
import unittest

from bench import hosts
from lm_tempest_plugin.migration import coverage


class MainTest(unittest.TestCase):

    def test_claims(self):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            code = hosts.main(['--hosts', '140'])
        # Not the time, which depends on the machine.
        self.assertIn('ring: 140 hosts, 140 migrations', output.getvalue())
        self.assertIn('2 hosts not good', output.getvalue())
        self.assertIn(code, (0, 1))


class RoundsTest(unittest.TestCase):

    def test_order_matters(self):
        one, two, three = map(coverage.Pair, 'acb', 'bdc')
        self.assertEqual(2, hosts.rounds([one, two, three], 9))
        self.assertEqual(3, hosts.rounds([one, two, three], 1))
        self.assertEqual(3, hosts.rounds([one, one, one], 9))
