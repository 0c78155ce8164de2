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

"""Base of the tests of single bugs."""

import importlib
import sys

from lab.bugs import loader
from lab.tests.unit import base


class FakeInstance:

    uuid = 'server-1'

    def __init__(self):
        self.saved = 0

    def save(self, *args, **kwargs):
        self.saved += 1


class FakeMigration:

    uuid = 'migration-1'
    instance_uuid = 'server-1'
    is_live_migration = True


class BugTestCase(base.TestCase):
    """A test of one bug, with a few classes that look like nova's."""

    bug = ''

    def setUp(self):
        super().setUp()
        # Patched by hand: nothing waits for the real modules.
        self.patch(loader, '_patches', {})
        self.patch(loader, '_folder', self.folder)
        # Each import registers the patches.
        sys.modules.pop(f'lab.bugs.{self.bug}', None)
        self.module = importlib.import_module(f'lab.bugs.{self.bug}')
        self.instance = FakeInstance()
        self.migration = FakeMigration()
        self.calls = []

    def apply(self, **fakes):
        """Apply the bug's patches to modules, by their last names."""
        for module, patches in loader._patches.items():
            for patch in patches:
                patch(fakes[module.rpartition('.')[2]])
        self.assertEqual([], self.events(loader.BROKEN))

    def events(self, kind=loader.FIRED):
        """Return the texts of the log."""
        path = self.folder / loader.LOG
        lines = path.read_text().splitlines() if path.exists() else []
        return [text for _, found, *_, text in (
            line.split('\t') for line in lines) if found == kind]

    def fake(self, owner, *names, result='original', **values):
        """Return a class whose methods note each call."""
        def method(name):
            def called(this, *args, **kwargs):
                self.calls.append(name)
                return result
            return called
        return type(owner, (), {name: method(name) for name in names} | values)
