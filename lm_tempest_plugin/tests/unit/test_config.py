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

import pathlib

import fixtures
from oslo_config import cfg
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin import config
from lm_tempest_plugin.tests.unit import base


class ConfigTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def conf(self, text, directory=None):
        """Return the configuration that a tempest.conf makes."""
        path = self.folder / 'tempest.conf'
        path.write_text(text)
        conf = cfg.ConfigOpts()
        config.register_opts(conf)
        arguments = ['--config-file', str(path)]
        if directory:
            arguments += ['--config-dir', str(directory)]
        conf(arguments)
        return conf

    def fault(self, text):
        """Return what is said about a tempest.conf."""
        return str(self.assertRaises(
            lib_exc.InvalidConfiguration, config.check, self.conf(text)))

    def test_defaults_are_accepted(self):
        config.check(self.conf('[live_migration_ha]\n'))

    def test_own_values_are_accepted_and_others_not_looked_at(self):
        conf = self.conf('[live_migration_ha]\nmax_outage = 0.5\n'
                         '[compute]\nmin_compute_nodes = many\n'
                         '[live_migration_other]\nx = 1\n')
        config.check(conf)
        self.assertEqual(0.5, conf.live_migration_ha.max_outage)

    def test_unknown_option_is_named_with_its_group_and_file(self):
        fault = self.fault('[live_migration_ha]\nmax_outages = 3\n')
        self.assertIn('unknown option max_outages', fault)
        self.assertIn('[live_migration_ha]', fault)
        self.assertIn('tempest.conf', fault)
        self.assertIn('max_outage,', fault)

    def test_unknown_option_in_a_further_directory(self):
        further = self.folder / 'tempest.conf.d'
        further.mkdir()
        (further / 'more.conf').write_text('[LIVE_MIGRATION_HA]\nx = 1\n')
        conf = self.conf('[live_migration_ha]\n', further)
        exc = self.assertRaises(
            lib_exc.InvalidConfiguration, config.check, conf)
        self.assertIn('unknown option x', str(exc))
        self.assertIn('more.conf', str(exc))

    def test_group_with_hyphens_is_not_ignored(self):
        fault = self.fault('[live-migration-ha]\nmax_outage = 3\n')
        self.assertIn('unknown group [live-migration-ha]', fault)
        self.assertIn('[live_migration_ha]', fault)

    def test_value_out_of_bounds_is_named_with_its_group(self):
        fault = self.fault('[live_migration_ha]\ntcp_interval = 0.06\n')
        self.assertIn('tcp_interval', fault)
        self.assertIn('[live_migration_ha]', fault)
        self.assertIn('0.06', fault)
        self.assertIn('less than or equal to 0.05', fault)

    def test_value_that_is_no_number(self):
        for value in ('soon', 'nan', 'inf', ''):
            fault = self.fault(
                '[live_migration_ha]\npoll_interval = %s\n' % value)
            self.assertIn('poll_interval in group [live_migration_ha]',
                          fault)

    def test_port_zero(self):
        fault = self.fault('[live_migration_ha]\ntcp_echo_port = 0\n')
        self.assertIn('tcp_echo_port in group [live_migration_ha]', fault)

    def test_all_faults_are_named_at_once(self):
        fault = self.fault('[live_migration_ha]\ntcp_echo_port = 0\n'
                           'max_outage = -1\nmax_stal = 1\n')
        for name in ('tcp_echo_port', 'max_outage', 'max_stal'):
            self.assertIn(name, fault)

    def test_a_stall_is_never_shorter_than_an_outage(self):
        fault = self.fault('[live_migration_ha]\nmax_outage = 5\n')
        self.assertIn('max_stall in group [live_migration_ha]', fault)

    def test_reading_a_bad_value_raises_nothing_while_tempest_starts(self):
        conf = self.conf('[live_migration_ha]\nmax_outage = soon\n')
        self.assertEqual('soon', conf.live_migration_ha.max_outage)

    def test_a_missing_file_is_none(self):
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[])
        self.assertEqual([], config.config_files(conf))


class OptionsTest(base.TestCase):

    def test_each_option_has_bounds_within_which_its_default_lies(self):
        for _, opts in config.list_opts():
            for opt in opts:
                self.assertIsNotNone(opt.type.min, opt.name)
                self.assertIsNotNone(opt.type.max, opt.name)
                self.assertEqual(opt.default, opt.type.strict(opt.default))

    def test_each_time_says_that_it_is_in_seconds(self):
        for _, opts in config.list_opts():
            for opt in opts:
                if isinstance(opt, cfg.FloatOpt):
                    self.assertIn('seconds', opt.help.lower(), opt.name)
