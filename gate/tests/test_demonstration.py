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

"""The demonstration gives Zuul three changes, and sees what becomes of them.

Zuul is played by a follower that merges what it should.
"""

import contextlib
import io

from gate import demonstration
from gate import follow
from gate import patches
from gate import projects
from gate.tests import base


class Zuul(follow.Follower):
    """Checks and merges by a list of results."""

    passes = {'1': True, '2': False, '3': True}

    def until_checked(self, change):
        """Return whether it passes."""
        return self.passes[change['number']]

    def until_merged(self, change):
        """Merge it."""
        self._review.vote(change['number'], {'Verified': '2'}, '', {})
        self._review.submit(change['number'])
        return True

    def builds(self, change, pipeline):
        """Return one build."""
        return [{'uuid': 'abc'}]


class DemonstrationTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(follow, 'Follower', Zuul)
        made = projects.Projects(self.paths)
        made._publish(patches.NOVA, self.nova())
        made._publish(patches.PLUGIN, self.checkout(
            'plugin', lm_tempest_plugin__plugin_py=''))
        self.patch(demonstration, '_patch', self.new_file)
        self.patch(patches, 'bug', self.new_file)
        inventory = self.paths.builds / 'abc' / 'inventory.yaml'
        inventory.parent.mkdir(parents=True)
        inventory.write_text('    - change: 1\n      change_url: '
                             'https://review.invalid/c/openstack/nova/+/1\n')

    def new_file(self, name):
        """Return a commit that adds a file, as a patch."""
        folder = self.checkout(f'with {name}', first='')
        (folder / f'{name}.txt').write_text(name)
        self.commit(folder, f'add {name}')
        return patches.patch_of(folder, 'HEAD')

    def run_it(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            good = demonstration.run(self.paths)
        return good, out.getvalue()

    def test_everything_is_seen(self):
        good, text = self.run_it()
        self.assertTrue(good, text)
        self.assertNotIn('NO', text)

    def test_bug_that_passes(self):
        self.patch(Zuul, 'passes', {'1': True, '2': True, '3': True})
        good, text = self.run_it()
        self.assertFalse(good)
        self.assertRegex(text, r'NO .*2 of nova: check refuses it')

    def test_tested_without_the_other_change(self):
        (self.paths.builds / 'abc' / 'inventory.yaml').write_text('')
        good, text = self.run_it()
        self.assertFalse(good)
        self.assertRegex(text, r'NO .*: it was tested with')

    def test_patches_are_those_of_the_repository(self):
        for name in ('nova', 'plugin'):
            self.assertIn('Subject: [PATCH] ', (
                patches.FOLDER / f'{name}.patch').read_text())
