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

"""Alert rules, checked and tested by promtool."""

import pathlib
import shutil
import subprocess

import fixtures
import yaml

from lm_tempest_plugin.results import metrics
from lm_tempest_plugin.tests.functional import test_export
from lm_tempest_plugin.tests.unit import base

FOLDER = pathlib.Path(__file__).parents[3] / 'etc' / 'prometheus'
RULES = 'live-migration.rules.yaml'
TESTS = 'live-migration.tests.yaml'


class AlertsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'prometheus')
        shutil.copytree(FOLDER, self.folder)
        self.content = yaml.safe_load((FOLDER / RULES).read_text())
        [group] = self.content['groups']
        self.rules = group['rules']

    def promtool(self, *arguments):
        path = test_export.program(self, 'promtool', 'prometheus')
        return subprocess.run([path, *arguments], cwd=self.folder,
                              capture_output=True, text=True)

    def test_rules(self):
        for arguments in (('check', 'rules', RULES),
                          ('test', 'rules', TESTS)):
            done = self.promtool(*arguments)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_each_rule_is_tested(self):
        rules = self.rules[:]
        for rule in rules:
            self.rules[:] = [each for each in rules if each is not rule]
            (self.folder / RULES).write_text(yaml.safe_dump(self.content))
            done = self.promtool('test', 'rules', TESTS)
            self.assertNotEqual(0, done.returncode, rule['alert'])

    def test_each_rule_tells_what_to_do(self):
        for rule in self.rules:
            self.assertIn(rule['labels']['severity'],
                          ('warning', 'critical'))
            self.assertEqual({'summary', 'description', 'runbook'},
                             set(rule['annotations']), rule['alert'])

    def test_metrics_exist(self):
        for rule in self.rules:
            found = {word.strip('"') for word in rule['expr'].replace(
                '|', ' ').replace('"', ' ').replace('{', ' ').replace(
                    '(', ' ').replace('[', ' ').split()
                if word.startswith(metrics.PREFIX)}
            self.assertTrue(found, rule['alert'])
            self.assertEqual(set(), {
                each.rstrip('})') for each in found} - {
                    metrics.PREFIX + name for name in metrics._GAUGES})
