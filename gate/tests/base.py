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

"""Base of the tests of a Zuul, which need no Zuul and no network."""

import pathlib
import tempfile
import unittest
from unittest import mock

from gate import machine
from gate.review import changes
from lab import errors
from lab.machine import sources

IDENTITY = ('-c', 'user.name=A', '-c', 'user.email=a@example.org')


class TestCase(unittest.TestCase):
    """A test with a folder of its own, and a review server in it."""

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix='zuul-')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        self.paths = machine.Layout(self.folder / 'state')
        self.review = changes.Review(self.paths.review)
        self.review.create()

    def patch(self, owner, name, *args, **options):
        """Replace an attribute for the time of the test."""
        patcher = mock.patch.object(owner, name, *args, **options)
        replacement = patcher.start()
        self.addCleanup(patcher.stop)
        return replacement

    def refused(self, call, *args, **options):
        """Return the message of the LabError that a call raises."""
        with self.assertRaises(errors.LabError) as caught:
            call(*args, **options)
        return str(caught.exception)

    def checkout(self, name, **files):
        """Make a repository with one commit.

        :param files: content by path, with __ for / and _ for a dot
        """
        folder = self.folder / name
        sources.git('init', '--quiet', '--initial-branch=master', folder)
        for path, text in files.items():
            file = folder / path.replace('__', '/').replace('_py', '.py')
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.commit(folder, 'first')
        return folder

    def commit(self, folder, message):
        """Commit everything in a checkout, and return the commit."""
        sources.git('-C', folder, 'add', '--all')
        sources.git(*IDENTITY, '-C', folder, 'commit', '--quiet',
                    '--allow-empty', '--message', message)
        return sources.git('-C', folder, 'rev-parse', 'HEAD')

    def nova(self):
        """Make a checkout of a small nova."""
        return self.checkout('nova', nova__compute__manager_py='one\ntwo\n')
