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

"""Repositories are published as they are, and patches become changes."""

from gate import patches
from gate import projects
from gate.tests import base
from lab import layout
from lab.machine import sources


class ProjectsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.projects = projects.Projects(self.paths)
        self.source = self.nova()

    def bare(self, *arguments, project=patches.NOVA):
        """Return the answer of git in the repository of a project."""
        return sources.git('--git-dir', self.paths.repositories / project,
                           *arguments)

    def change(self, text):
        """Return a commit of another clone as a patch."""
        clone = self.folder / 'clone'
        if not clone.exists():
            sources.git('clone', '--quiet', self.source, clone)
        (clone / 'nova/compute/manager.py').write_text(text)
        self.commit(clone, 'compute: change it')
        return patches.patch_of(clone, 'HEAD')

    def test_nova_from_a_checkout(self):
        tip = self.commit(self.source, 'second')
        sources.git(*base.IDENTITY, '-C', self.source, 'tag', '34.0.0',
                    'HEAD^')
        sources.git('-C', self.source, 'checkout', '--quiet', '-b', 'topic')
        self.projects.create_nova(str(self.source))
        self.assertEqual(tip, self.bare('rev-parse', 'master'))
        self.assertEqual('34.0.0', self.bare('tag'))

    def test_nova_from_a_shallow_clone(self):
        self.commit(self.source, 'second')
        clone = self.folder / 'shallow'
        sources.git('clone', '--quiet', '--depth=1', self.source.as_uri(),
                    clone)
        self.projects.create_nova(str(clone))
        self.assertEqual('1', self.bare('rev-list', '--count', 'master'))

    def test_plugin(self):
        plugin = self.checkout('plugin', lm_tempest_plugin__plugin_py='')
        self.patch(layout, 'REPOSITORY', plugin)
        self.projects.create_plugin()
        self.assertEqual('lm_tempest_plugin', self.bare(
            'ls-tree', '--name-only', 'master', project=patches.PLUGIN))

    def test_plugin_without_git(self):
        self.patch(layout, 'REPOSITORY', self.folder)
        self.assertIn('no Git repository', self.refused(
            self.projects.create_plugin))

    def test_content_is_replaced(self):
        for files in ({'zuul.d/a.yaml': 'a'}, {}, {'b.yaml': 'b'}):
            self.projects.create('openstack/other', files)
            self.assertEqual(list(files), self.bare(
                'ls-tree', '-r', '--name-only', 'master',
                project='openstack/other').split())

    def test_upload(self):
        self.projects.create_nova(str(self.source))
        change = self.projects.upload(patches.NOVA, self.change('1\n2\n'))
        self.assertEqual('compute: change it', change['subject'])
        self.assertEqual('1\n2', self.bare(
            'show', f'{change["currentPatchSet"]["ref"]}:'
            'nova/compute/manager.py'))

    def test_dependency(self):
        self.projects.create_nova(str(self.source))
        first = self.projects.upload(patches.NOVA, self.change('1\n2\n'))
        second = self.projects.upload(patches.NOVA, patches.patch_of(
            self.folder / 'clone', 'HEAD'), needs=first)
        self.assertEqual(
            'compute: change it\n\nDepends-On: '
            'https://review.invalid/c/openstack/nova/+/1\n',
            second['commitMessage'])

    def test_patch_that_does_not_apply(self):
        self.projects.create_nova(str(self.source))
        self.change('2\n')
        other = self.change('3\n')
        self.assertIn('does not apply to the branch master', self.refused(
            self.projects.upload, patches.NOVA, other))
        self.assertEqual([], self.review.changes())
        # The next one is not disturbed.
        sources.git('-C', self.folder / 'clone', 'reset', '--quiet', '--hard',
                    'origin/master')
        self.projects.upload(patches.NOVA, self.change('4\n'))
