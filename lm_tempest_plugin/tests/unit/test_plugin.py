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

import os

from oslo_config import cfg

import lm_tempest_plugin
from lm_tempest_plugin import plugin
from lm_tempest_plugin.tests.unit import base


class PluginTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.plugin = plugin.LiveMigrationHaPlugin()

    def test_cloud_tests_are_found_and_unit_tests_are_not(self):
        tests, top = self.plugin.load_tests()
        self.assertTrue(os.path.isdir(tests))
        self.assertEqual('live_migration_ha', os.path.basename(tests))
        self.assertFalse(os.path.exists(os.path.join(tests, 'unit')))
        self.assertEqual(
            top, os.path.dirname(os.path.dirname(os.path.abspath(
                lm_tempest_plugin.__file__))))

    def test_every_registered_option_is_in_the_sample(self):
        conf = cfg.ConfigOpts()
        self.plugin.register_opts(conf)
        conf([])
        for group, opts in self.plugin.get_opt_lists():
            self.assertIsInstance(group, str)
            self.assertEqual(sorted(opt.dest for opt in opts),
                             sorted(conf[group]))

    def test_groups_are_our_own(self):
        for group, _ in self.plugin.get_opt_lists():
            self.assertTrue(group.startswith('live_migration_ha'), group)
