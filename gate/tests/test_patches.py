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

"""Commits become patches, and patches are found by their names."""

from gate import patches
from gate.tests import base
from lab.machine import sources


class CheckoutTest(base.TestCase):

    def test_projects(self):
        self.assertEqual(patches.NOVA, patches.project_of(self.nova()))
        self.assertEqual(patches.PLUGIN, patches.project_of(self.checkout(
            'plugin', lm_tempest_plugin__plugin_py='')))

    def test_no_project(self):
        self.assertIn('no Git repository', self.refused(
            patches.project_of, self.folder / 'missing'))
        self.assertIn('checkout of neither', self.refused(
            patches.project_of, self.checkout('x', README='')))

    def test_patch(self):
        nova = self.nova()
        (nova / 'new').write_text('text\n')
        self.commit(nova, 'add a file')
        (nova / 'new').write_text('not committed\n')
        patch = patches.patch_of(nova, 'HEAD')
        self.assertIn('Subject: [PATCH] add a file', patch)
        self.assertIn('\n+text\n', patch)

    def test_no_patch(self):
        nova = self.nova()
        for revision in ('missing', '--all'):
            self.assertIn(f'no branch or commit {revision!r}', self.refused(
                patches.patch_of, nova, revision))
        self.commit(nova, 'empty')
        self.assertIn('changes no file', self.refused(
            patches.patch_of, nova, 'HEAD'))
        (nova / 'a').write_text('')
        self.commit(nova, 'a')
        sources.git('-C', nova, 'checkout', '--quiet', '-b', 'other', 'HEAD^')
        (nova / 'b').write_text('')
        self.commit(nova, 'b')
        sources.git(*base.IDENTITY, '-C', nova, 'merge', '--quiet', 'master')
        self.assertIn('is a merge', self.refused(
            patches.patch_of, nova, 'HEAD'))


class BugTest(base.TestCase):

    def test_known(self):
        self.assertIn('source_allocation_kept', patches.bugs())
        for name in patches.bugs():
            self.assertIn('Subject: [PATCH] compute: ', patches.bug(name))

    def test_unknown(self):
        message = self.refused(patches.bug, '../nova')
        self.assertIn("'../nova'", message)
        self.assertIn('source_allocation_kept', message)
