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

from typing import Any

from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class CheckTestCase(base.TestCase):
    """Asserts the outcome of one check.

    :cvar check: the check, as a static method
    """

    check: Any = None

    @property
    def slug(self):
        return self.check.__name__.replace('_', '-')

    def assert_passes(self, seen):
        self.assertEqual([], list(self.check(seen)))

    def assert_problem(self, seen, *parts, server_id=fakes.SERVER_ID):
        """Assert that there is one problem, and return it."""
        found = list(self.check(seen))
        self.assertEqual(1, len(found), found)
        problem, = found
        self.assertEqual((self.slug, server_id),
                         (problem.check, problem.server_id))
        for part in parts:
            self.assertIn(part, problem.text)
        return problem

    def assert_skipped(self, seen, *parts):
        exc = self.assertRaises(
            registry.SkipCheck, lambda: list(self.check(seen)))
        for part in parts:
            self.assertIn(part, str(exc))
