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


import importlib
import io
import sys
import threading
import types
from unittest import mock

from lab.bugs import loader
from lab.tests.unit import base


def new_bug(name='a_bug', **values):
    return loader.Bug(f'/somewhere/{name}.py', **{
        'number': '1', 'commit': 'abc', 'services': ('nova-compute',),
        'effect': 'an effect', 'test': 'test_it', 'check': 'verdict',
        'stock': False, **values})


class LoaderTestCase(base.TestCase):
    """A test with a folder for the log, and no patches of other tests."""

    def setUp(self):
        super().setUp()
        self.bugs = self.folder / 'bugs'
        self.bugs.mkdir()
        self.patch(loader, '_folder', self.bugs)
        self.patch(loader, '_patches', {})
        self.patch(sys, 'meta_path', [*sys.meta_path])
        self.patch(sys, 'argv', ['/usr/bin/nova-compute'])
        self.bug = new_bug()

    def log(self):
        """Return kind, name and text of each line of the log."""
        path = self.bugs / loader.LOG
        lines = path.read_text().splitlines() if path.exists() else []
        return [(kind, name, text) for _, kind, name, _, _, program, text in (
            line.split('\t') for line in lines) if program == 'nova-compute']


class TestWrap(LoaderTestCase):

    def test_functions_of_all_kinds(self):
        class Manager:
            def method(self, number):
                return number

            @staticmethod
            def static(number):
                return number

            @classmethod
            def of_class(cls, number):
                return number

        class Child(Manager):
            pass

        module = types.SimpleNamespace(
            __name__='module', function=lambda number: number)
        for owner, name in ((Child, 'method'), (Child, 'static'),
                            (Child, 'of_class'), (module, 'function')):
            @self.bug.wrap(owner, name)
            def double(original, *args):
                return 2 * original(*args)

        self.assertEqual([6] * 5, [
            Child().method(3), Child().static(3), Child.static(3),
            Child.of_class(3), module.function(3)])
        # Other classes with the function are left alone.
        self.assertEqual(3, Manager().method(3))
        self.assertEqual(
            ('applied', 'a_bug', 'Child.method'), self.log()[0])

    def test_nova_finds_the_original(self):
        def original(self):
            return 1

        owner = type('Manager', (), {'method': original})

        @self.bug.wrap(owner, 'method')
        def patched(_, *args):
            return 2

        # As nova.safe_utils.get_wrapped_function() does it.
        first, *_ = owner.method.__closure__
        self.assertIs(original, first.cell_contents)
        self.assertEqual('original', owner.method.__name__)

    def test_missing(self):
        self.assertRaises(AttributeError, self.bug.wrap, type('Manager', (), {
        }), 'method')


class TestStart(LoaderTestCase):

    def setUp(self):
        super().setUp()
        self.name = 'lm_imagined_nova'
        self.write(self.folder / f'{self.name}.py', 'def answer(): return 1\n')
        self.patch(sys, 'path', [str(self.folder), *sys.path])
        importlib.invalidate_caches()
        self.addCleanup(sys.modules.pop, self.name, None)

    def _start(self, names=''):
        self.write(self.bugs / loader.ACTIVE, names)
        loader.start(str(self.bugs))

    def test_patched_after_the_import(self):
        @self.bug.after(self.name)
        def patch(module):
            @self.bug.wrap(module, 'answer')
            def answer(original):
                self.bug.fired('one\nline,\ttwo words')
                return original() + 1

        self._start()
        self.assertEqual([], self.log())
        module = importlib.import_module(self.name)
        self.assertEqual(2, module.answer())
        self.assertEqual([('applied', 'a_bug', f'{self.name}.answer'),
                          ('fired', 'a_bug', 'one line, two words')],
                         self.log())
        # pkgutil and inspect still get answers from the loader.
        self.assertIn('answer', module.__spec__.loader.get_source(self.name))

    def test_started_twice(self):
        @self.bug.after(self.name)
        def patch(module):
            self.bug.applied(module.__name__)

        self._start()
        self._start()
        importlib.import_module(self.name)
        self.assertEqual([('applied', 'a_bug', self.name)], self.log())

    def test_imported_already(self):
        module = importlib.import_module(self.name)
        self.bug.after(self.name)(lambda found: self.bug.applied(
            found.__name__))
        self.assertEqual([('applied', 'a_bug', module.__name__)], self.log())

    def test_broken_patch_starts_the_service(self):
        self.bug.after(self.name)(lambda module: module.nothing)
        self._start()
        with mock.patch('sys.stderr', new_callable=io.StringIO) as stderr:
            self.assertEqual(1, importlib.import_module(self.name).answer())
        (kind, name, text), = self.log()
        self.assertEqual(('broken', 'a_bug'), (kind, name))
        self.assertIn('nothing', text)
        self.assertIn('Traceback', stderr.getvalue())

    def test_unknown_bug(self):
        with mock.patch('sys.stderr', new_callable=io.StringIO):
            self._start('no_such_bug')
        (kind, name, text), = self.log()
        self.assertEqual(('broken', 'no_such_bug'), (kind, name))
        self.assertIn('ModuleNotFoundError', text)

    def test_active_bugs_are_imported(self):
        self.addCleanup(sys.modules.pop, 'lab.bugs.source_directory_left')
        sys.modules.pop('lab.bugs.source_directory_left', None)
        self._start('source_directory_left\n')
        self.assertEqual({'nova.compute.manager', 'nova.virt.libvirt.driver'},
                         {*loader._patches})

    def test_none_active(self):
        self.assertEqual([], loader.active(self.bugs))


class TestBug(LoaderTestCase):

    def test_paths(self):
        self.assertEqual('a_bug', self.bug.name)
        self.assertEqual(self.bugs / 'a_bug-key', self.bug.shared('key'))


class TestFlag(base.TestCase):

    def test_inside_and_outside(self):
        flag = loader.Flag()
        self.assertFalse(flag.on)
        with flag.raised():
            with flag.raised():
                pass
            self.assertTrue(flag.on)
            seen = []
            thread = threading.Thread(target=lambda: seen.append(flag.on))
            thread.start()
            thread.join()
            self.assertEqual([False], seen)
        self.assertFalse(flag.on)


class TestLibvirtError(base.TestCase):

    def test_code(self):
        libvirt = types.SimpleNamespace(
            libvirtError=type('libvirtError', (Exception,), {
                '__init__': lambda self, text: Exception.__init__(
                    self, 'the last error')}),
            VIR_ERR_NO_DOMAIN=42, VIR_FROM_QEMU=10, VIR_ERR_ERROR=2)
        with mock.patch.dict(sys.modules, libvirt=libvirt):
            error = loader.libvirt_error('gone', 'VIR_ERR_NO_DOMAIN')
        self.assertEqual(('gone', 42), (str(error), error.err[0]))
