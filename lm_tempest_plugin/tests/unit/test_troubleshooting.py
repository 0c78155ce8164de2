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

"""The page for operators names everything that may be reported."""

import pathlib
import re

import lm_tempest_plugin
from lm_tempest_plugin.migration import checks  # noqa: F401 (registers them)
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import reasons
from lm_tempest_plugin.migration import signatures
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.tests.unit import base

PAGE = pathlib.Path(lm_tempest_plugin.__file__).parents[1].joinpath(
    'doc', 'source', 'troubleshooting.rst')
# The check of verdicts is the whole page, and no symptom. These are workloads.
WITHOUT_SYMPTOM, WORKLOADS = {'verdict'}, {'disk', 'volume'}


REASONS = {reasons.OTHER, *(slug for slug, _ in (
    *reasons._CLASSES, *reasons._GENERIC))}
SIGNATURES = {each.slug for each in signatures.SIGNATURES}


class TroubleshootingTest(base.TestCase):

    def setUp(self):
        super().setUp()
        if not PAGE.exists():
            self.skipTest(f'{PAGE}: the documentation is not installed')
        self.text = PAGE.read_text(encoding='utf-8')
        # First cells of all rows.
        self.named = {
            slug for cell in re.findall(
                r'\* - ((?:.*\n)(?:       .*\n)*)', self.text)
            for slug in re.findall(r'``([a-z]+(?:-[a-z]+)*)``', cell)}

    def test_all_slugs_and_no_others(self):
        self.assertEqual(
            {*registry.CHECKS, *WORKLOADS, *SIGNATURES, *REASONS},
            self.named | WITHOUT_SYMPTOM)

    def test_all_unexpected_verdicts(self):
        for kind in set(Kind) - {Kind.COMPLETED}:
            self.assertIn(f'*{kind}*', self.text)
