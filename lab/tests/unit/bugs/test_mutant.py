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

import ast
import importlib
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest
from unittest import mock

from lab.bugs import loader
from lab.bugs import mutant
from lab import layout

MODULE = 'nova.compute.manager'
SOURCE = textwrap.dedent("""\
    import functools


    def keep(function):
        @functools.wraps(function)
        def kept(*args):
            return function(*args)
        return kept


    class ComputeManager:

        @keep
        def post_live_migration(self, context):
            LOG.info('begins')
            with self.lock(1):
                self.delete(context, 'host', name='server')
                found = self.find([1, 2])
            try:
                self.update(found, flag=True)
            except OSError:
                raise exception.MigrationError(reason='no')
            self.delete(context, *found, **{})
            return len(found)

        def attach_volume(self):
            self.delete()


    def live_migration():
        run()
    """)
FUNCTION = f'{MODULE}:ComputeManager.post_live_migration'


class SitesTest(unittest.TestCase):

    def setUp(self):
        self.sites = mutant.sites(MODULE, ast.parse(SOURCE))

    def test_calls_of_the_path_alone(self):
        self.assertEqual(
            [f'{FUNCTION}:self.{call}' for call in (
                'delete', 'find', 'update', 'delete@2')],
            list(map(str, self.sites)))

    def test_mutants(self):
        self.assertEqual([
            f'{FUNCTION}:self.delete:{operator}' for operator in (
                'exception', 'missing-call', 'wrong-parameter=2',
                'wrong-parameter=name')], self.sites[0].mutants)
        self.assertEqual([
            f'{FUNCTION}:self.find:{operator}' for operator in (
                'exception', 'wrong-return', 'wrong-parameter=1')],
            self.sites[1].mutants)

    def test_names(self):
        name = self.sites[0].mutants[2]
        self.assertEqual(
            ('wrong-parameter', f'{FUNCTION}:self.delete', MODULE),
            (mutant.operator_of(name), mutant.site_of(name),
             mutant.module_of(name)))

    def test_labels_of_nested_calls(self):
        tree = ast.parse('def live_migration(self):\n'
                         '    a(b(1)).c[d()].e()\n')
        labels = [site.call for site in mutant.sites(
            'nova.virt.libvirt.migration', tree)]
        self.assertEqual({'a', 'a().c[].e', 'b', 'd'}, set(labels))


class Manager:
    """Runs a changed module, and records the calls that are made."""

    def __init__(self, chosen):
        self.calls = []
        self.fired = []
        tree = ast.parse(SOURCE)
        self.changed = mutant.rewrite(MODULE, tree, chosen)
        scope = {'LOG': mock.Mock(), 'exception': mock.Mock(
            MigrationError=lambda reason: RuntimeError(reason)),
            '_lm_mutant': mutant.Helper(chosen)}
        exec(compile(tree, 'manager.py', 'exec'), scope)  # noqa: S102
        self._made = scope['ComputeManager']()
        for name in ('delete', 'find', 'update'):
            setattr(self._made, name, self._recorder(name))
        self._made.lock = mock.MagicMock()

    def _recorder(self, name):
        def record(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return [3, 4]
        return record

    def run(self):
        with mock.patch.object(loader.Bug, 'fired',
                               lambda bug, text: self.fired.append(text)):
            return self._made.post_live_migration('context')


class RewriteTest(unittest.TestCase):

    usual = [('delete', ('context', 'host'), {'name': 'server'}),
             ('find', ([1, 2],), {}), ('update', ([3, 4],), {'flag': True}),
             ('delete', ('context', 3, 4), {})]

    def play(self, name):
        manager = Manager(name)
        self.assertTrue(manager.changed)
        return manager, manager.run()

    def test_unknown_mutant_changes_nothing(self):
        manager = Manager(f'{FUNCTION}:self.other:exception')
        self.assertFalse(manager.changed)
        self.assertEqual(2, manager.run())
        self.assertEqual(self.usual, manager.calls)

    def test_trace(self):
        manager, result = self.play(mutant.TRACE)
        self.assertEqual((2, self.usual), (result, manager.calls))
        expected = [f'{FUNCTION}:self.{call}' for call in (
            'delete', 'find', 'update', 'delete@2')]
        self.assertEqual(expected, manager.fired)
        manager.run()
        self.assertEqual(expected, manager.fired)

    def test_missing_call(self):
        manager, _ = self.play(f'{FUNCTION}:self.delete:missing-call')
        self.assertEqual(self.usual[1:], manager.calls)
        self.assertEqual(1, len(manager.fired))

    def test_second_call_of_a_name(self):
        manager, _ = self.play(f'{FUNCTION}:self.delete@2:missing-call')
        self.assertEqual(self.usual[:3], manager.calls)

    def test_wrong_parameters(self):
        manager, _ = self.play(f'{FUNCTION}:self.delete:wrong-parameter=2')
        self.assertEqual(
            ('delete', ('context', 'host-wrong'), {'name': 'server'}),
            manager.calls[0])
        self.assertIn("'host' became 'host-wrong'", manager.fired[0])
        manager, _ = self.play(f'{FUNCTION}:self.update:wrong-parameter=flag')
        self.assertIn(('update', ([3, 4],), {'flag': False}), manager.calls)

    def test_wrong_return(self):
        manager, result = self.play(f'{FUNCTION}:self.find:wrong-return')
        self.assertEqual(0, result)
        self.assertIn(('update', ([],), {'flag': True}), manager.calls)

    def test_exception(self):
        name = f'{FUNCTION}:self.update:exception'
        with mock.patch.object(mutant, 'error_of',
                               return_value=OSError()) as error_of:
            manager = Manager(name)
            self.assertRaises(RuntimeError, manager.run)
        error_of.assert_called_once_with(f'{FUNCTION}:self.update')
        self.assertNotIn('update', [call[0] for call in manager.calls])

    def test_log_ends_in_a_loop(self):
        helper = mutant.Helper('name')
        with mock.patch.object(loader.Bug, 'fired') as fired:
            for _ in range(2 * mutant.MOST_LOGGED):
                helper.skip()
        self.assertEqual(mutant.MOST_LOGGED, fired.call_count)


class ValuesTest(unittest.TestCase):

    def test_wrong_value_differs_and_keeps_the_type(self):
        for value, expected in (
                (True, False), (3, 0), (0, 1), (0.5, 0.0), ('a', 'a-wrong'),
                (None, '-wrong'), ([1], []), ({'a': 1}, {}), ((1,), ()),
                ({1}, set()), ([], None), (object(), None)):
            with self.subTest(value):
                wrong = mutant.wrong_value(value)
                self.assertEqual(expected, wrong)
                self.assertIs(type(expected), type(wrong))

    def test_values_of_structures_are_not_logged(self):
        helper = mutant.Helper('name')
        with mock.patch.object(loader.Bug, 'fired') as fired:
            helper.wrong({'password': 'secret'})
        self.assertNotIn('secret', str(fired.mock_calls))

    def test_errors_by_called_function(self):
        made = mock.Mock()
        for call, module, name in (
                ('self.compute_rpcapi.live_migration', 'oslo_messaging',
                 'MessagingTimeout'),
                ('self.network_api.migrate_instance_start',
                 'neutronclient.common.exceptions', 'ConnectionFailed'),
                ('self.report_client.delete', 'nova.exception',
                 'PlacementAPIConnectFailure'),
                ('self.volume_api.attachment_delete', 'nova.exception',
                 'CinderConnectionFailed'),
                ('self.driver.live_migration', 'libvirt', 'libvirtError'),
                ('instance.save', 'oslo_db.exception', 'DBConnectionError'),
                ('self._check', 'nova.exception', 'NovaException')):
            with self.subTest(call), mock.patch.object(
                    importlib, 'import_module', return_value=made) as imported:
                mutant.error_of(f'{FUNCTION}:{call}')
                self.assertEqual(module, imported.mock_calls[0].args[0])
                getattr(made, name).assert_called_once()


class ProcessTest(unittest.TestCase):
    """A process of nova, with the loader and a module to change."""

    def run_nova(self, chosen):
        folder = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()))
        package = folder / 'site' / 'nova' / 'compute'
        package.mkdir(parents=True)
        for path in (package.parent, package):
            (path / '__init__.py').touch()
        (package / 'manager.py').write_text(SOURCE.replace(
            'LOG.info(', 'print('))
        (folder / loader.ACTIVE).write_text('mutant')
        (folder / 'mutant-chosen').write_text(f'{chosen}\n')
        done = subprocess.run([sys.executable, '-c', textwrap.dedent(f"""\
            from lab.bugs import loader
            loader.start({str(folder)!r})
            import inspect
            from unittest import mock
            import nova.compute.manager as manager
            class Made(manager.ComputeManager):
                lock = mock.MagicMock()
                find = update = lambda *args, **kwargs: [1]
                delete = lambda *args, **kwargs: print('deleted')
            Made().post_live_migration('context')
            inspect.getsource(manager)
            """)], text=True, capture_output=True, env={
                'PYTHONPATH': f'{folder / "site"}:{layout.REPOSITORY}',
                'PYTHONDONTWRITEBYTECODE': '1'})
        self.assertEqual('', done.stderr)
        log = (folder / loader.LOG).read_text().splitlines()
        return done.stdout.split(), [line.split('\t') for line in log]

    def test_mutant(self):
        name = f'{FUNCTION}:self.delete:missing-call'
        printed, log = self.run_nova(name)
        self.assertEqual(['begins', 'deleted'], printed)
        self.assertEqual([['applied', 'mutant', name],
                          ['fired', 'mutant', 'the call was left out']],
                         [[line[1], line[2], line[6]] for line in log])

    def test_trace(self):
        printed, log = self.run_nova(mutant.TRACE)
        self.assertEqual(['begins', 'deleted', 'deleted'], printed)
        self.assertEqual(4, len([line for line in log
                                 if line[1] == 'fired']))
