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
import os
import pathlib
import stat

from lab import files
from lab.tests.unit import base


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


class TestWrite(base.TestCase):

    def setUp(self):
        super().setUp()
        self.path = self.folder / 'a' / 'b' / 'file'

    def test_makes_folders(self):
        files.write(self.path, 'text \N{SNOWMAN}\n')
        self.assertEqual('text \N{SNOWMAN}\n',
                         self.path.read_text(encoding='utf-8'))
        self.assertEqual([self.path], list(self.path.parent.iterdir()))

    def test_mode(self):
        self.addCleanup(os.umask, os.umask(0o077))
        files.write(self.path, '')
        self.assertEqual(0o644, mode_of(self.path))
        files.write(self.path, '', mode=0o600)
        self.assertEqual(0o600, mode_of(self.path))

    def test_never_readable_by_others_meanwhile(self):
        # The text is not in a file of the final mode before it is whole.
        seen = []
        real = os.fchmod
        self.patch(os, 'fchmod', side_effect=lambda number, mode: (
            seen.extend(stat.S_IMODE(os.stat(self.path.parent / name).st_mode)
                        for name in os.listdir(self.path.parent)),
            real(number, mode)))
        files.write(self.path, 'secret', mode=0o640)
        self.assertEqual([0o600], seen)

    def test_reader_keeps_the_old_text(self):
        files.write(self.path, 'old')
        with open(self.path) as reader:
            files.write(self.path, 'new')
            self.assertEqual('old', reader.read())
        self.assertEqual('new', self.path.read_text())

    def _fail(self, error):
        with self.assertRaises(error):
            files.write(self.path, 'new')
        self.assertEqual('old', self.path.read_text())
        self.assertEqual([self.path], list(self.path.parent.iterdir()))

    def test_old_file_is_kept_when_writing_fails(self):
        files.write(self.path, 'old')
        with open('/dev/full', 'w') as full:
            self.patch(os, 'fchmod', side_effect=lambda *_: (
                full.write('x'), full.flush()))
            self._fail(OSError)
            # Or closing complains once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())

    def test_old_file_is_kept_when_replacing_fails(self):
        files.write(self.path, 'old')
        self.patch(os, 'replace', side_effect=OSError)
        self._fail(OSError)

    def test_interrupted(self):
        files.write(self.path, 'old')
        self.patch(os, 'replace', side_effect=KeyboardInterrupt)
        self._fail(KeyboardInterrupt)

    def test_json(self):
        files.write_json(self.path, {'b': [1], 'a': None}, mode=0o600)
        text = self.path.read_text()
        self.assertEqual({'a': None, 'b': [1]}, json.loads(text))
        self.assertLess(text.index('"a"'), text.index('"b"'))
        self.assertTrue(text.endswith('}\n'))
        self.assertEqual(0o600, mode_of(self.path))


class TestEmptyFolder(base.TestCase):

    def test_makes_and_empties(self):
        self.addCleanup(os.umask, os.umask(0o022))
        path = self.folder / 'x' / 'y'
        self.assertEqual(path, files.empty_folder(path, mode=0o711))
        self.assertEqual(0o711, mode_of(path))
        self.write(path / 'below' / 'file')
        files.empty_folder(path)
        self.assertEqual([], list(path.iterdir()))
        self.assertEqual(0o755, mode_of(path))

    def test_leaves_what_links_lead_to(self):
        kept = self.write(self.folder / 'elsewhere' / 'file')
        path = self.folder / 'x'
        path.mkdir()
        pathlib.Path(path, 'link').symlink_to(kept.parent)
        files.empty_folder(path)
        self.assertTrue(kept.exists())
