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
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base


class ConfigTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def conf(self, text, directory=None):
        """Return the configuration of a tempest.conf."""
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
        """Return the message about a tempest.conf."""
        return str(self.assertRaises(
            lib_exc.InvalidConfiguration, config.check, self.conf(text)))


class ConfigTest(ConfigTestCase):

    def test_defaults_are_accepted(self):
        config.check(self.conf('[live_migration_ha]\n'))

    def test_own_values_are_accepted_and_others_ignored(self):
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

    def test_unknown_options_of_a_group_share_one_sentence(self):
        fault = self.fault('[live_migration_ha]\nx = 1\nmax_outage = 1\n'
                           'y = 2\n')
        self.assertIn('unknown option x, y in group', fault)
        self.assertEqual(1, fault.count('the options of this group are'))

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

    def test_value_that_is_not_a_number(self):
        for value in ('soon', 'nan', 'inf', ''):
            fault = self.fault(
                f'[live_migration_ha]\npoll_interval = {value}\n')
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

    def test_a_stack_without_a_key_for_its_servers(self):
        text = '[live_migration_ha]\nstack_id = x\n'
        self.assertIn('stack_key_file is not', self.fault(text))
        config.check(self.conf(f'{text}stack_key_file = y\n'))

    def test_canaries_without_a_key(self):
        text = '[live_migration_ha_coverage]\nonly_canaries = true\n'
        self.assertIn('canary_key_file in group [live_migration_ha] is not',
                      self.fault(text))
        config.check(self.conf(
            f'{text}[live_migration_ha]\ncanary_key_file = y\n'))

    def test_reading_a_bad_value_raises_nothing_while_tempest_starts(self):
        conf = self.conf('[live_migration_ha]\nmax_outage = soon\n')
        self.assertEqual('soon', conf.live_migration_ha.max_outage)

    def test_a_missing_file_is_left_out(self):
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[])
        self.assertEqual([], config.config_files(conf))


class BadValuesTest(ConfigTestCase):

    def refused(self, name, value, reason, group='live_migration_ha'):
        """Check that a value is refused in one sentence."""
        fault = self.fault(f'[{group}]\n{name} = {value}\n')
        start = f'bad value of option {name} in group [{group}]: '
        self.assertIn(start, fault)
        self.assertEqual(1, fault.count('bad value'))
        self.assertNotIn(';', fault)
        said = fault[fault.index(start) + len(start):]
        self.assertIn(value, said.partition(': ')[0])
        self.assertIn(reason, said)

    def test_whole_numbers(self):
        for name, low in (('drain_servers', 2), ('window_size', 1),
                          ('round_trips', 1)):
            for value in ('0', '-1', str(low - 1)):
                self.refused(
                    name, value, f'greater than or equal to {low}')
            self.refused(name, '1001', 'less than or equal to 1000')
            for value in ('abc', '4.5', '1,2', 'nan', '1e2'):
                self.refused(name, value, 'invalid literal')

    def test_a_limit_that_may_be_undeclared(self):
        name = 'max_concurrent_live_migrations'
        self.refused(name, '-1', 'greater than or equal to 0')
        self.refused(name, '1001', 'less than or equal to 1000')
        self.refused(name, 'abc', 'invalid literal')

    def test_sizes(self):
        for value in ('0', '-1', '1,0', '1, 2, -1'):
            self.refused('batch_sizes', value, 'greater than or equal to 1')
        for value in ('abc', '1,abc', '1 2', '[1,2]', '1.5'):
            self.refused('batch_sizes', value, 'invalid literal')

    def test_no_sizes(self):
        for value in ('', ','):
            self.refused('batch_sizes', value, 'at least 1 value')

    def test_matrix(self):
        group = 'live_migration_ha_matrix'
        self.refused('tunnelled', 'maybe', 'Unexpected boolean', group)
        self.refused('max_outage', 'blokc:1', 'blokc is not one of: block',
                     group)
        self.refused('max_outage', 'block:0', 'greater than or equal to',
                     group)

    def test_coverage(self):
        group = 'live_migration_ha_coverage'
        for value in ('-1', '101%', 'half', '%', '1.5', '5 %'):
            self.refused('max_failures', value, 'no number, such as 5', group)
        self.refused('hosts', '', 'at least 1 value', group)
        self.refused('pairs', 'some', 'Valid values are', group)
        self.refused('group_by', 'zone,cell', 'Valid values are', group)
        for value in ('0', '0%', '100%', '17'):
            config.check(self.conf(f'[{group}]\nmax_failures = {value}\n'))

    def test_microversions(self):
        for value in ('2', '2.', '2.x', 'v2.24', '2.24.1', '-2.24', '2,24',
                      'latest', 'abc'):
            self.refused(
                'request_microversion', value, 'is not a microversion')

    def test_run_name(self):
        # It is a part of the name of a file in results_directory.
        for value in ('../x', 'a/b', '/tmp/x', '.', '..', '.hidden', 'a b',
                      'a\0b', '\u00fc'):
            self.refused('run_name', value, 'Should have only')

    def test_times(self):
        for value in ('0', '-1'):
            self.refused('migration_timeout', value,
                         'greater than or equal to 1')
            self.refused('max_forced_outage', value,
                         'greater than or equal to 0.01')
        self.refused('migration_timeout', '86401',
                     'less than or equal to 86400')
        self.refused('max_forced_outage', '3601',
                     'less than or equal to 3600')
        for name in ('migration_timeout', 'max_forced_outage'):
            self.refused(name, 'abc', 'could not convert')
            self.refused(name, 'inf', 'less than or equal to')

    def test_reading_them_raises_nothing_while_tempest_starts(self):
        for name, value in (
                ('drain_servers', '0'), ('drain_servers', 'abc'),
                ('batch_sizes', ''), ('batch_sizes', '0'),
                ('batch_sizes', 'abc'), ('window_size', '-1'),
                ('round_trips', '0'), ('request_microversion', 'abc'),
                ('max_concurrent_live_migrations', '-1')):
            conf = self.conf(
                f'[live_migration_ha]\n{name} = {value}\n')
            self.assertEqual(
                value, getattr(conf.live_migration_ha, name))


class GoodValuesTest(ConfigTestCase):

    def value(self, name, text):
        conf = self.conf(f'[live_migration_ha]\n{name} = {text}\n')
        config.check(conf)
        return getattr(conf.live_migration_ha, name)

    def test_whole_numbers_up_to_both_bounds(self):
        for name, low in (('drain_servers', 2), ('window_size', 1),
                          ('round_trips', 1),
                          ('max_concurrent_live_migrations', 0)):
            for value in (low, 1000):
                self.assertEqual(value, self.value(name, str(value)))

    def test_sizes(self):
        for text, sizes in (('1', [1]), ('1,2,3,4', [1, 2, 3, 4]),
                            (' 4 , 2 ', [4, 2]), ('12,12', [12, 12])):
            self.assertEqual(sizes, self.value('batch_sizes', text))

    def test_microversions(self):
        for text in ('', '2.1', '2.24', '2.84', '2.100'):
            self.assertEqual(text, self.value('request_microversion', text))

    def test_run_names(self):
        # The second one is like those of the command verify.
        for text in ('', 'verify-20260101T120000Z', 'a', '1', 'A_b.c-d..e'):
            self.assertEqual(text, self.value('run_name', text))

    def test_defaults(self):
        values = self.conf('').live_migration_ha
        self.assertEqual(
            (12, [1, 2, 3, 4], 4, 1, 0, '', 30.0),
            (values.drain_servers, values.batch_sizes, values.window_size,
             values.round_trips, values.max_concurrent_live_migrations,
             values.request_microversion, values.max_forced_outage))


class ContradictionsTest(ConfigTestCase):

    def test_matrix_without_access(self):
        fault = self.fault('[live_migration_ha_matrix]\n'
                           'tunnelled = false,true\n')
        for part in ('[live_migration_ha_matrix]', 'tunnelled', 'ssh_user'):
            self.assertIn(part, fault)

    def test_matrix_with_access(self):
        config.check(self.conf(
            '[live_migration_ha_matrix]\ntunnelled = false,true\n'
            'max_outage = block:1.0,tunnelled:2\n'
            '[live_migration_ha_hosts]\nssh_user = nova\n'
            'addresses = a:192.0.2.1,b:192.0.2.2\n'))

    def matrix(self, **options):
        """Return a configuration with these options of the matrix."""
        return ('[live_migration_ha_hosts]\nssh_user = nova\n'
                '[live_migration_ha_matrix]\n' + ''.join(
                    f'{name} = {value}\n' for name, value in options.items()))

    def test_as_many_at_once_as_there_are_servers(self):
        for most, servers in (('1,4', 4), ('5', 4), ('1', 1), ('1', 0)):
            fault = self.fault(self.matrix(
                max_concurrent_live_migrations=most, drain_servers=servers))
            for part in ('max_concurrent_live_migrations',
                         '[live_migration_ha_matrix]', 'drain_servers',
                         f'is {servers}', f'value {most[-1]}'):
                self.assertIn(part, fault)

    def test_fewer_at_once_than_there_are_servers(self):
        for options in (
                {'max_concurrent_live_migrations': '1,3',
                 'drain_servers': 4},
                {'tunnelled': 'true', 'native_tls': 'true',
                 'drain_servers': 0}):
            config.check(self.conf(self.matrix(**options)))

    def test_post_copy_over_parallel_connections(self):
        fault = self.fault(self.matrix(
            post_copy='false,true', parallel_connections='1,4'))
        for part in ('post_copy', 'parallel_connections', '10.1'):
            self.assertIn(part, fault)
        for post_copy, number in (('false', '4'), ('true', '1'),
                                  ('true', '')):
            config.check(self.conf(self.matrix(
                post_copy=post_copy, parallel_connections=number)))


class OptionsTest(base.TestCase):

    def options(self):
        """Return all options of the plugin."""
        return [opt for _, opts in config.list_opts() for opt in opts]

    def test_each_default_is_accepted(self):
        for opt in self.options():
            self.assertEqual(opt.default, opt.type.strict(opt.default))

    def test_each_number_has_bounds(self):
        for opt in self.options():
            if isinstance(opt, cfg.FloatOpt | cfg.IntOpt | cfg.PortOpt):
                self.assertIsNotNone(opt.type.min, opt.name)
                self.assertIsNotNone(opt.type.max, opt.name)

    def test_each_tolerates_wrong_values_until_check(self):
        for opt in self.options():
            self.assertIsInstance(opt.type, config.Tolerant, opt.name)

    def test_each_time_says_that_it_is_in_seconds(self):
        for opt in self.options():
            if isinstance(opt, cfg.FloatOpt):
                self.assertIn('seconds', opt.help.lower(), opt.name)


class NovaSettingsTest(base.TestCase):

    def test_each_has_an_option_of_its_own(self):
        names = [setting.name for setting in config.NOVA_SETTINGS]
        self.assertEqual(len(names), len(set(names)))
        options = {opt.dest: opt for opt in config.matrix_opts}
        for setting in config.NOVA_SETTINGS:
            self.assertIn(str(setting.option), options[setting.name].help)

    def test_values_have_the_type_of_the_setting(self):
        for name, text, value in (
                ('tunnelled', 'on,false', [True, False]),
                ('parallel_connections', '1,4', [1, 4])):
            kind = next(opt.type for opt in config.matrix_opts
                        if opt.dest == name)
            self.assertEqual(value, kind.strict(text))
            self.assertRaises(ValueError, kind.strict, 'many')
            self.assertRaises(ValueError, kind.strict, '1,,0')

    def test_table(self):
        head, *rows = config.settings_table()
        self.assertEqual(len(config.NOVA_SETTINGS), len(rows))
        self.assertIn(('tunnelled', '[libvirt]live_migration_tunnelled',
                       'false, true', 'transport'), rows)
        self.assertEqual({len(head)}, set(map(len, rows)))


class WorkloadsTest(ConfigTestCase):

    def test_names_and_rates(self):
        for text, expected in (
                ('idle', 'idle'),
                ('memory', 'memory 16 MiB/s of 24 MiB'),
                ('memory:32', 'memory 32 MiB/s of 24 MiB'),
                ('memory:0', 'memory unlimited of 24 MiB'),
                ('keeper', 'keeper 2 MiB/s of 24 MiB'),
                ('disk:8', 'disk 8 writes/s'),
                ('wordcount', 'wordcount 10000 words/s')):
            self.assertEqual(expected, str(config.workload(text, 24)))

    def test_mistakes(self):
        for text, expected in (
                ('', "'' is no workload; there are: idle, memory, keeper, "),
                ('spark', "'spark' is no workload"),
                ('idle:1', 'workload idle has no rate'),
                ('memory:', "'' MiB/s is no rate of workload memory, such as "
                 'memory:16'),
                ('keeper:0', "'0' MiB/s is no rate"),
                ('disk:1.5', "'1.5' writes/s is no rate"),
                ('disk:101', 'at most 100 writes/s')):
            self.assertIn(expected, str(self.assertRaises(
                ValueError, config.workload, text, 24)))
            self.assertIn(expected, config._workload_fault(text))

    def test_options(self):
        conf = self.conf('')
        self.assertEqual(schema.WorkloadChoice(),
                         config.declared_workload(conf))
        self.assertEqual([], config.compared_workloads(conf))
        conf = self.conf(
            '[live_migration_ha]\nworkload = keeper\n'
            'workload_memory_mib = 8\n'
            '[live_migration_ha_matrix]\nworkloads = idle,memory:4\n')
        config.check(conf)
        self.assertEqual('keeper 2 MiB/s of 8 MiB',
                         str(config.declared_workload(conf)))
        self.assertEqual(['idle', 'memory 4 MiB/s of 8 MiB'],
                         list(map(str, config.compared_workloads(conf))))

    def test_table(self):
        head, *rows = config.workloads_table()
        self.assertEqual(len(config.WORKLOADS), len(rows))
        self.assertEqual({len(head)}, set(map(len, rows)))
        self.assertIn('2 MiB/s', [row[-1] for row in rows])
