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

"""Variables of the jobs on each host fit the options of nova and plugin."""

import pathlib
import re

from ansible.parsing import dataloader
from ansible import template
import fixtures
from oslo_config import cfg
from tempest.lib import exceptions as lib_exc
import testtools
import yaml

from gate import layout
from gate import nodes
from lab import layout as lab_layout
from lm_tempest_plugin import config
from lm_tempest_plugin.migration import settings
from lm_tempest_plugin.results import schema

BASES = ('lm-tempest-plugin-base', 'lm-tempest-plugin-ceph-base')
# Storage of each job, and its settings that differ from nova's defaults.
SETTINGS = {
    'lm-tempest-plugin-block-migration': ('block', {}),
    'lm-tempest-plugin-block-migration-kvm': ('block', {}),
    'lm-tempest-plugin-batches': (
        'block', {'max_concurrent_live_migrations': 3}),
    'lm-tempest-plugin-native-tls': ('block', {'native_tls': True}),
    'lm-tempest-plugin-ceph': ('shared', {}),
    'lm-tempest-plugin-ceph-tunnelled': ('shared', {'tunnelled': True}),
    'lm-tempest-plugin-post-copy': ('shared', {'post_copy': True}),
}
LAB = 'lm-tempest-plugin-lab'
RESULTS = '/opt/stack/live-migration-ha'
PLAYBOOKS = layout.TOP / 'playbooks'


def values_of(sections):
    """Return the values of settings among options of nova-compute."""
    found = {
        setting.name: sections.get(
            setting.option.section, {}).get(setting.option.name)
        for setting in config.NOVA_SETTINGS}
    return {name: value for name, value in found.items()
            if value is not None}


class JobsTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        loaded = layout.load(layout.ours())
        self.jobs = {name: nodes.Job(loaded, name) for name in SETTINGS}
        self.names = set(loaded.jobs)
        self.bases = [nodes.Job(loaded, name) for name in BASES]
        self.lab = nodes.Job(loaded, LAB)

    def options(self, job):
        """Return a job's options in the plugin's groups."""
        return {
            group: dict(options) for group, options in job.options(
                nodes.CONTROLLER, 'test-config', nodes.File.TEMPEST).items()
            if group.startswith('live_migration_ha')}

    def check(self, sections):
        """Let the plugin check options in the format that devstack writes."""
        lines = []
        for section, options in sections.items():
            lines.append(f'[{section}]')
            lines.extend(f'{name} = {value}'
                         for name, value in options.items())
        path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'tempest.conf')
        path.write_text('\n'.join(lines))
        conf = cfg.ConfigOpts()
        config.register_opts(conf)
        conf(['--config-file', str(path)], project='tempest')
        config.check(conf)

    def test_every_job_is_checked(self):
        self.assertEqual(
            {*SETTINGS, *BASES, LAB, 'lm-tempest-plugin-tox-zuul'},
            {name for name in self.names
             if name.startswith('lm-tempest-plugin')})

    def test_options_of_the_tests_exist(self):
        groups = {group.name for group, _ in config.list_opts()}
        for name, job in self.jobs.items():
            sections = self.options(job)
            self.assertEqual(set(), set(sections) - groups, name)
            self.check(sections)

    def test_option_that_does_not_exist(self):
        sections = self.options(self.jobs['lm-tempest-plugin-batches'])
        sections['live_migration_ha']['batch_size'] = 3
        exc = self.assertRaises(
            lib_exc.InvalidConfiguration, self.check, sections)
        self.assertIn('unknown option batch_size', str(exc))

    def test_option_of_wrong_type(self):
        sections = self.options(self.jobs['lm-tempest-plugin-batches'])
        sections['live_migration_ha']['batch_sizes'] = [1, 2]
        exc = self.assertRaises(
            lib_exc.InvalidConfiguration, self.check, sections)
        self.assertIn('batch_sizes', str(exc))

    def test_nova_compute_has_the_same_options_on_both_hosts(self):
        for name, job in self.jobs.items():
            options = [job.options(node, 'post-config', nodes.File.NOVA_CPU)
                       for node in (nodes.CONTROLLER, nodes.COMPUTE)]
            self.assertEqual(*options, name)

    def test_jobs_write_only_the_file_that_nova_compute_reads(self):
        for name, job in self.jobs.items():
            for node in nodes.CONTROLLER, nodes.COMPUTE:
                phases = job.variables(node)['devstack_local_conf']
                self.assertEqual(
                    set(), set(phases['post-config']) -
                    {nodes.File.NOVA_CPU, '$NEUTRON_CONF'}, name)

    def test_table_of_the_documentation(self):
        self.assertEqual(nodes.documented(), [
            row for job in self.jobs.values() for row in job.rows()])

    def test_devstack_has_the_same_variables_on_both_hosts(self):
        for name, job in self.jobs.items():
            for variable in 'devstack_localrc', 'devstack_services':
                controller, compute = (
                    job.variables(node)[variable]
                    for node in (nodes.CONTROLLER, nodes.COMPUTE))
                for key in job.ours(variable):
                    self.assertEqual(
                        controller[key], compute.get(key),
                        f'{name}: {key} in {variable} of {nodes.COMPUTE}')

    def test_hosts_have_the_same_libvirt_type(self):
        for name, job in self.jobs.items():
            kind = 'kvm' if name.endswith('-kvm') else 'qemu'
            for node in nodes.CONTROLLER, nodes.COMPUTE:
                self.assertEqual(
                    kind, job.variables(node)['devstack_localrc'][
                        'LIBVIRT_TYPE'], f'{name}: {node}')

    def test_settings(self):
        for name, job in self.jobs.items():
            storage, values = SETTINGS[name]
            self.assertEqual(values, values_of(job.options(
                nodes.COMPUTE, 'post-config', nodes.File.NOVA_CPU)), name)
            self.assertEqual(
                storage, self.options(job)['live_migration_ha']['storage'],
                name)

    def test_settings_can_work(self):
        for name, (storage, values) in SETTINGS.items():
            self.assertEqual(
                settings.Outcome.MOVES,
                settings.outcome(schema.Settings(
                    storage=storage, values=values)), name)

    def test_tempest_has_the_right_storage(self):
        for name, job in self.jobs.items():
            self.assertIs(
                SETTINGS[name][0] == 'block',
                job.variables(nodes.CONTROLLER)['devstack_localrc'][
                    'USE_BLOCK_MIGRATION_FOR_LIVE_MIGRATION'], name)

    def test_settings_are_declared_to_the_tests(self):
        for name, job in self.jobs.items():
            declared = self.options(job)['live_migration_ha']
            values = SETTINGS[name][1]
            self.assertEqual(
                (values.get('max_concurrent_live_migrations', 1),
                 values.get('tunnelled', False)),
                (declared['max_concurrent_live_migrations'],
                 declared['tunnelled']), name)

    def test_batches_wait(self):
        options = self.options(
            self.jobs['lm-tempest-plugin-batches'])['live_migration_ha']
        sizes = [int(size) for size in options['batch_sizes'].split(',')]
        limit = options['max_concurrent_live_migrations']
        self.assertGreater(max(sizes), limit)
        self.assertGreater(options['window_size'], limit)
        self.assertGreaterEqual(options['drain_servers'], max(sizes))

    def test_selected_test_modules(self):
        modules = {
            f'lm_tempest_plugin.tests.live_migration_ha.{path.stem}'
            for path in (layout.TOP / 'lm_tempest_plugin' / 'tests' /
                         'live_migration_ha').glob('test_*.py')}
        for name, job in self.jobs.items():
            variables = job.variables(nodes.CONTROLLER)
            excluded = {
                module for module in modules
                if re.search(variables['tempest_exclude_regex'], module)}
            self.assertEqual(
                {'lm_tempest_plugin.tests.live_migration_ha.test_matrix'},
                excluded, name)
            for module in modules:
                self.assertRegex(module, variables['tempest_test_regex'])
            self.assertEqual(('all', 1, ['lm-tempest-plugin']), (
                variables['tox_envlist'], variables['tempest_concurrency'],
                variables['tempest_plugins']), name)

    def test_timeouts(self):
        for name, job in self.jobs.items():
            self.assertLess(
                job.variables(nodes.CONTROLLER)['tempest_test_timeout'],
                job.attribute('timeout'), name)

    def test_results_are_collected(self):
        for playbook, line in (('pre', f'path: {RESULTS}\n'),
                               ('post', f'directory: {RESULTS}\n')):
            self.assertIn(
                line, (PLAYBOOKS / f'{playbook}.yaml').read_text())
        for name, job in self.jobs.items():
            copied = job.variables(nodes.CONTROLLER)['zuul_copy_output']
            self.assertEqual('logs', copied[RESULTS], name)
            options = self.options(job)
            for group, option in (
                    ('live_migration_ha_hosts', 'undo_log_directory'),
                    ('live_migration_ha', 'results_directory')):
                self.assertEqual(RESULTS, str(pathlib.Path(
                    options[group][option]).parent), name)

    def test_bases_are_alike(self):
        one, other = (
            [job.own(attribute) for attribute in (
                'variables', 'group_variables', 'pre_run', 'post_run',
                'timeout', 'required_projects', 'irrelevant_file_matcher')]
            for job in self.bases)
        self.assertEqual(one, other)

    def test_lab_has_what_it_needs(self):
        self.assertEqual(
            {'openstack/lm-tempest-plugin', 'openstack/nova'},
            {project.project_name
             for project in self.lab.definition.required_projects.values()})
        node, = self.lab.definition.nodeset.nodes.values()
        self.assertEqual('debian-bookworm', node.label)
        self.assertIn('lab/pre.yaml', self.lab.playbooks()[0])

    def test_lab_uses_its_variables(self):
        playbooks = ''.join(path.read_text()
                            for path in (PLAYBOOKS / 'lab').glob('*.yaml'))
        self.assertEqual(
            set(self.lab.definition.variables),
            set(re.findall(r'\blab_[a-z]+\b', playbooks)))

    def test_lab_runs_all_projects_that_the_job_requires(self):
        loader = dataloader.DataLoader()
        play, = loader.load_from_file(str(PLAYBOOKS / 'lab' / 'run.yaml'),
                                      trusted_as_template=True)
        projects = {
            f'opendev.org/{name}': {
                'short_name': name.partition('/')[2],
                'src_dir': f'src/opendev.org/{name}', 'required': required}
            for name, required in (
                ('openstack/lm-tempest-plugin', True),
                ('openstack/nova', True), ('openstack/os-vif', True),
                ('openstack/tempest', False))}
        templar = template.Templar(loader, variables={
            **play['vars'], 'zuul': {'projects': projects}, 'lab_profile': '',
            'ansible_user_dir': '/home/zuul', 'lab_options': ['--volumes']})
        source = '/home/zuul/src/opendev.org/openstack'
        self.assertEqual(
            ['tools/run-lab.sh', 'up', f'--from=nova={source}/nova',
             f'--from=os-vif={source}/os-vif', '--volumes'],
            templar.template(
                play['tasks'][0]['ansible.builtin.command']['argv']))

    def test_lab_keeps_no_secrets(self):
        collected = re.search(r'for each in (.*?); do', (
            PLAYBOOKS / 'lab' / 'post.yaml').read_text(), re.DOTALL)[1]
        paths = lab_layout.Layout(pathlib.Path('/lab'))
        self.assertEqual(
            {'install', 'log', 'workspace/logs',
             str(paths.results.relative_to(paths.root))},
            set(collected.replace('\\', '').split()))

    def test_playbooks(self):
        wanted = {playbook for job in (*self.jobs.values(), self.lab)
                  for playbook in job.playbooks()}
        self.assertEqual(
            {str(path.relative_to(layout.TOP))
             for path in PLAYBOOKS.glob('**/*.yaml')}, wanted)
        # They are checked with Ansible, too.
        self.assertEqual(wanted, set(re.search(
            '^playbooks = (.*)$', (layout.TOP / 'tox.ini').read_text(),
            re.MULTILINE)[1].split()))

    def test_order_of_playbooks(self):
        self.assertEqual(
            ['playbooks/pre.yaml', 'playbooks/post.yaml',
             'playbooks/native-tls.yaml'],
            self.jobs['lm-tempest-plugin-native-tls'].playbooks())
        self.assertEqual(
            ['playbooks/pre.yaml', 'playbooks/post.yaml',
             'playbooks/post-copy.yaml'],
            self.jobs['lm-tempest-plugin-post-copy'].playbooks())

    def test_nodeset_has_the_groups(self):
        nodeset, = (
            stanza['nodeset'] for stanza in yaml.safe_load(
                (layout.JOBS / 'jobs.yaml').read_text())
            if 'nodeset' in stanza)
        for node, groups in nodes.GROUPS.items():
            self.assertEqual(list(groups), sorted(
                group['name'] for group in nodeset['groups']
                if node in group['nodes']))
