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

import json

from lab import clearing
from lab import errors
from lab.hosts import sandbox
from lab import lifecycle
from lab import lock
from lab.tests.unit import base


class TestCase(base.TestCase):
    """A machine on which a lab is a process that is there or not."""

    def setUp(self):
        super().setUp()
        self.process = None
        self.patch(sandbox, 'find', lambda root: self.process)
        self.patch(sandbox, 'end', self._end)

    def up(self):
        self.process = sandbox.Process(7, self.layout.root, True)
        for path in (self.layout.image, self.layout.log / 'x.log',
                     self.layout.secrets, self.layout.venvs / 'cloud/stamp'):
            self.write(path)
        self.write(self.layout.ready, json.dumps(
            {'computes': 2, 'kvm': False, 'storage': 'block'}))

    def _end(self, root):
        self.assertEqual(self.layout.root, root)
        # Nobody else may begin meanwhile.
        if root.exists():
            self.refused(lock.held(self.layout).__enter__)
        was, self.process = self.process, None
        return was is not None


class TestDown(TestCase):

    def test_down(self):
        self.up()
        self.assertTrue(clearing.down(self.layout))
        self.assertIsNone(self.process)
        self.assertIsNone(lifecycle.running(self.layout))
        self.assertTrue(self.layout.image.exists())
        self.assertTrue(self.layout.log.exists())

    def test_nothing_up(self):
        self.assertFalse(clearing.down(self.layout))
        # Nor does that leave a folder behind.
        self.assertFalse(self.layout.root.exists())

    def test_processes_without_a_folder(self):
        self.process = sandbox.Process(7, self.layout.root, True)
        self.assertTrue(clearing.down(self.layout))
        self.assertIsNone(self.process)

    def test_damaged_record_does_not_matter(self):
        self.up()
        self.layout.ready.write_text('{')
        self.assertTrue(clearing.down(self.layout))

    def test_process_that_stays(self):
        # It is no cloud any more, although something of it lives.
        self.up()
        self.patch(sandbox, 'end', side_effect=errors.LabError('Stays.'))
        self.refused(clearing.down, self.layout)
        self.assertIsNone(lifecycle.running(self.layout))


class TestDestroy(TestCase):

    def test_destroy(self):
        self.up()
        self.write(self.layout.root / '.secrets.json.x')
        self.assertTrue(clearing.destroy(self.layout))
        self.assertIsNone(self.process)
        self.assertFalse(self.layout.root.exists())
        # Nothing beside it.
        self.assertEqual([], list(self.folder.iterdir()))

    def test_nothing_there(self):
        self.assertFalse(clearing.destroy(self.layout))
        self.assertFalse(self.layout.root.exists())

    def test_processes_without_a_folder(self):
        self.process = sandbox.Process(7, self.layout.root, True)
        self.assertTrue(clearing.destroy(self.layout))
        self.assertIsNone(self.process)

    def test_what_links_lead_to_is_left(self):
        kept = self.write(self.folder / 'elsewhere' / 'file')
        self.layout.cache.mkdir(parents=True)
        (self.layout.cache / 'link').symlink_to(kept.parent)
        clearing.destroy(self.layout)
        self.assertTrue(kept.exists())

    def test_folder_that_is_a_link(self):
        # To a larger disk.
        kept = self.write(self.folder / 'large' / 'file')
        self.layout.root.mkdir()
        self.layout.cache.symlink_to(kept.parent)
        self.assertTrue(clearing.destroy(self.layout))
        self.assertFalse(self.layout.root.exists())
        self.assertTrue(kept.exists())

    def test_what_is_not_of_the_lab_is_left(self):
        self.up()
        kept = [self.write(self.layout.root / name) for name in (
            '.ssh/id_rsa', '.bashrc', 'thesis.tex')]
        clearing.destroy(self.layout)
        for path in kept:
            self.assertTrue(path.exists(), path)
        self.assertEqual({'.ssh', '.bashrc', 'thesis.tex'},
                         {path.name for path in self.layout.root.iterdir()})

    def test_files_stay_while_a_process_does(self):
        self.up()
        self.patch(sandbox, 'end', side_effect=errors.LabError('Stays.'))
        self.assertEqual('Stays.', self.refused(clearing.destroy,
                                                self.layout))
        self.assertTrue(self.layout.cloud.exists())
