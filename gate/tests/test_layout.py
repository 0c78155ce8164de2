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

"""Zuul accepts the definitions in zuul.d, and refuses wrong ones."""

import dataclasses
from unittest import mock

import testtools

from gate import layout

JOBS = 'zuul.d/jobs.yaml'
LAB = 'lm-tempest-plugin-lab'
PROJECT = 'zuul.d/project.yaml'
TEMPLATE = 'lm-tempest-plugin-nova-jobs'
TEMPLATE_LAB = 'lm-tempest-plugin-nova-lab'

# The lines that nova has to add.
NOVA = layout.Source(f"""
- project:
    templates:
      - {TEMPLATE_LAB}
      - {TEMPLATE}
""", '.zuul.yaml', 'openstack/nova')


def matches(job, *files):
    """Return whether none of these files triggers a job."""
    return job.irrelevant_file_matcher.matches(
        mock.Mock(spec_set=['files'], files=['/COMMIT_MSG', *files]))


class AcceptedTest(testtools.TestCase):

    def test_ours(self):
        loaded = layout.load(layout.ours())
        self.assertIn('lm-tempest-plugin-base', loaded.jobs)

    def test_bases_are_abstract(self):
        loaded = layout.load(layout.ours())
        self.assertEqual(
            {'lm-tempest-plugin-base', 'lm-tempest-plugin-ceph-base'},
            {name for name, jobs in loaded.jobs.items() if jobs[0].abstract})

    def test_nova_adopts_with_one_line_for_each_template(self):
        loaded = layout.load([*layout.ours(), NOVA])
        stanza, *templates = loaded.getAllProjectConfigs(
            'opendev.org/openstack/nova')
        self.assertEqual([TEMPLATE_LAB, TEMPLATE], stanza.templates)
        self.assertEqual(
            [{'check', 'gate'}, {'check', 'experimental', 'periodic-weekly'}],
            [set(template.pipelines) for template in templates])

    def test_other_project_adopts_the_lab_job(self):
        page = (layout.TOP / 'doc' / 'source' /
                'nova-developers.rst').read_text()
        example = page.partition('.. _adoption:')[2].partition(
            '.. code-block:: yaml')[2].partition('\nFor neutron')[0]
        loaded = layout.load([*layout.ours(), layout.Source(
            example, '.zuul.yaml', 'openstack/os-vif')])
        child = loaded.getJob('os-vif-live-migration')
        self.assertEqual(LAB, child.parent)
        # Zuul adds those of the parent.
        self.assertEqual(['openstack/os-vif'], [*child.required_projects])
        self.assertFalse(matches(child, 'vif_plug_ovs/ovs.py'))
        self.assertTrue(matches(child, 'README.rst', 'os_vif/tests/x.py'))

    def test_nova_gets_all_jobs_without_a_vote(self):
        loaded = layout.load(layout.ours())
        template, = loaded.getProjectTemplates(TEMPLATE)
        jobs = {
            name: job for pipeline in template.pipelines.values()
            for name, (job,) in pipeline.job_list.jobs.items()}
        self.assertEqual(
            {name for name, (job, *_) in loaded.jobs.items()
             if name.startswith('lm-tempest-plugin-') and not job.abstract and
             not name.endswith(('-lab', '-tox-zuul'))}, set(jobs))
        for name, job in jobs.items():
            self.assertIs(False, job.voting, name)
            self.check_files_of_nova(job)

    def check_files_of_nova(self, job):
        """Check which files of nova trigger a job."""
        self.assertTrue(
            matches(job, 'nova/tests/unit/test_utils.py', 'tox.ini',
                    'doc/source/index.rst', 'nova/virt/zvm/driver.py'),
            job.name)
        for file in ('nova/compute/manager.py', 'nova/virt/driver.py',
                     'nova/virt/libvirt/driver.py', 'nova/conf/libvirt.py',
                     'setup.cfg'):
            self.assertFalse(matches(job, 'tox.ini', file), file)

    def test_lab_votes_in_check_and_gate(self):
        loaded = layout.load(layout.ours())
        template, = loaded.getProjectTemplates(TEMPLATE_LAB)
        project, *_ = loaded.getAllProjectConfigs(
            'opendev.org/openstack/lm-tempest-plugin')
        self.assertEqual({'check', 'gate'}, set(template.pipelines))
        for pipeline in 'check', 'gate':
            job, = template.pipelines[pipeline].job_list.jobs[LAB]
            # None: a job votes unless it says otherwise.
            self.assertIsNot(False, job.voting)
            self.check_files_of_nova(job)
            job, = project.pipelines[pipeline].job_list.jobs[LAB]
            self.assertIsNot(False, job.voting)

    def test_queue(self):
        project, *_ = layout.load(layout.ours()).getAllProjectConfigs(
            'opendev.org/openstack/lm-tempest-plugin')
        self.assertEqual('integrated', project.queue_name)

    def test_files_of_the_lab_job(self):
        job = layout.load(layout.ours()).getJob(LAB)
        self.assertTrue(matches(job, 'README.rst', 'tools/run-zuul.sh',
                                'lab/tests/test_cli.py', 'gate/cli.py'))
        for file in ('lab/cli.py', 'tools/run-lab.sh', 'setup.cfg',
                     'lm_tempest_plugin/config.py', 'playbooks/lab/run.yaml'):
            self.assertFalse(matches(job, 'tox.ini', file), file)

    def test_irrelevant_files_of_this_repository(self):
        loaded = layout.load(layout.ours())
        for name in 'lm-tempest-plugin-base', 'lm-tempest-plugin-ceph-base':
            job = loaded.getJob(name)
            self.assertTrue(matches(
                job, 'lab/cli.py', 'gate/layout.py', 'README.rst',
                'lm_tempest_plugin/tests/unit/test_config.py'), name)
            for file in ('lm_tempest_plugin/config.py', 'requirements.txt.j2',
                         'lm_tempest_plugin/tests/live_migration_ha/base.py',
                         'playbooks/pre.yaml', 'setup.cfg', JOBS):
                self.assertFalse(matches(job, file), file)


class RefusedTest(testtools.TestCase):
    """Each test puts one mistake into the real definitions."""

    def refused(self, right, wrong, path=JOBS):
        """Return Zuul's error if some text is replaced by a mistake."""
        sources = layout.ours()
        source, = (each for each in sources if each.path == path)
        self.assertIn(right, source.text, 'the text to replace is not there')
        sources[sources.index(source)] = dataclasses.replace(
            source, text=source.text.replace(right, wrong, 1))
        return str(self.assertRaises(
            layout.Refused, layout.load, sources))

    def test_misspelt_key(self):
        said = self.refused('irrelevant-files:', 'irelevant-files:')
        self.assertIn('extra keys not allowed', said)
        self.assertIn('irelevant-files', said)

    def test_unknown_parent_here(self):
        said = self.refused('parent: lm-tempest-plugin-ceph\n',
                            'parent: lm-tempest-plugin-cephs\n')
        self.assertIn('Job lm-tempest-plugin-cephs not defined', said)

    def test_unknown_parent_elsewhere(self):
        said = self.refused('parent: tempest-multinode-full-py3',
                            'parent: tempest-multinode-full-py2')
        self.assertIn('Job tempest-multinode-full-py2 not defined', said)

    def test_timeout_of_wrong_type(self):
        said = self.refused('&timeout 10800', '&timeout three hours')
        self.assertIn('expected int', said)
        self.assertIn('timeout', said)

    def test_timeout_too_long(self):
        self.assertIn('exceeds tenant max',
                      self.refused('&timeout 10800', '&timeout 10801'))

    def test_key_twice(self):
        said = self.refused('    abstract: true\n',
                            '    abstract: true\n    abstract: false\n')
        self.assertIn('"abstract" appears more than once', said)

    def test_no_yaml(self):
        self.assertIn('did not find expected',
                      self.refused('[^/]+', "': {"))

    def test_variable_with_hyphen(self):
        said = self.refused('tempest_concurrency:', 'tempest-concurrency:')
        self.assertIn("Invalid Ansible variable name 'tempest-concurrency'",
                      said)

    def test_expression_that_re2_does_not_know(self):
        self.assertIn('RE2', self.refused('^doc/.*$', '^doc/(?!source).*$'))

    def test_unknown_nodeset(self):
        said = self.refused('nodeset: lm-tempest-plugin-nested-virt-two-node',
                            'nodeset: lm-tempest-plugin-three-node')
        self.assertIn('lm-tempest-plugin-three-node', said)

    def test_group_of_unknown_node(self):
        said = self.refused('          - compute1', '          - compute2')
        self.assertIn('compute2', said)

    def test_unknown_project(self):
        said = self.refused('- openstack/lm-tempest-plugin',
                            '- openstack/lm-tempest')
        self.assertIn('openstack/lm-tempest', said)

    def test_unknown_template(self):
        said = self.refused('- tempest-plugin-jobs', '- tempest-plugins-jobs',
                            PROJECT)
        self.assertIn('tempest-plugins-jobs', said)

    def test_unknown_job(self):
        said = self.refused('- lm-tempest-plugin-tox-zuul',
                            '- lm-tempest-plugin-zuul', PROJECT)
        self.assertIn('lm-tempest-plugin-zuul not defined', said)

    def test_vote_of_wrong_type(self):
        said = self.refused('voting: false', 'voting: nobody', PROJECT)
        self.assertIn('expected', said)
