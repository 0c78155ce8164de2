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

import traceback

from lm_tempest_plugin.hosts import configuration
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.hosts import fakes

LIMIT = configuration.Option('DEFAULT', 'max_concurrent_live_migrations')
TUNNELLED = configuration.Option('libvirt', 'live_migration_tunnelled')


class ChangeTest(base.TestCase):

    def test_all_other_lines_stay(self):
        changed = configuration.change(
            fakes.TEXT, {LIMIT: '3', TUNNELLED: 'true'})
        self.assertEqual(
            fakes.TEXT.replace('migrations = 1', 'migrations = 3') +
            'live_migration_tunnelled = true\n', changed)

    def test_a_section_that_is_not_there(self):
        option = configuration.Option('compute', 'x')
        changed = configuration.change(fakes.TEXT, {option: '1'})
        self.assertTrue(changed.startswith(fakes.TEXT))
        self.assertIn('[compute]\nx = 1\n', changed)

    def test_options_that_come_several_times_stay(self):
        text = fakes.TEXT + '[pci]\nalias = {"a": 1}\nalias = {"b": 2}\n'
        self.assertEqual(
            text.replace('migrations = 1', 'migrations = 3'),
            configuration.change(text, {LIMIT: '3'}))

    def test_one_that_is_there_twice(self):
        text = ('[libvirt]\nlive_migration_tunnelled = 1\n'
                'live_migration_tunnelled = 2\n')
        exc = self.assertRaises(
            ValueError, configuration.change, text, {TUNNELLED: '3'})
        self.assertIn('twice', str(exc))

    def test_no_configuration(self):
        self.assertRaises(
            ValueError, configuration.change, 'no option\n', {LIMIT: '3'})

    def test_no_line_of_it_is_shown(self):
        for text in ('connection = mysql://nova:SECRET@db\n[DEFAULT]\nx\n',
                     '[DEFAULT]\n  password = SECRET\n',
                     'SECRET\n', '[database\nconnection = SECRET\n',
                     'connection = SECRET\n'):
            exc = self.assertRaises(
                ValueError, configuration.change, text, {LIMIT: '3'})
            self.assertNotIn('SECRET', ''.join(
                traceback.format_exception(exc)))
