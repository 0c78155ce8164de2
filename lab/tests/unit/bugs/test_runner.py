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
import contextlib
import io
import json
import pathlib
import signal
import subprocess
import sys
import threading
import types

from lab.bugs import loader
from lab.bugs import runner
from lab import errors
from lab import fleet
from lab import layout
from lab import reload
from lab.services import base as services
from lab.tests.unit import base
from lab.topology import Topology
from lm_tempest_plugin.commands import tempest_run
from lm_tempest_plugin.migration import checks  # noqa: F401 (registers)
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

#: Workloads are checks as well. "test": the test itself fails; "": nothing.
OTHER_CHECKS = {'disk', 'memory', 'volume', 'test', ''}
#: Of a bridge, and of a server.
INTERFACES = json.dumps({'headings': ['external_ids'], 'data': [
    [['map', []]], [['map', [['iface-id', 'port-1'],
                             ['vm-uuid', 'domain-1']]]]]})
NOVA = """\
class ComputeManager:
    def _delete_allocation_after_move(self, context, instance, migration):
        return 'deleted'
"""


class TestDiscover(base.TestCase):
    """Each bug can be put in, tested, and seen."""

    def setUp(self):
        super().setUp()
        self.bugs = runner.discover()

    def test_names(self):
        names = [each.name for each in self.bugs]
        self.assertEqual(sorted({*names}), names)
        self.assertIn('source_allocation_kept', names)
        self.assertNotIn('runner', names)
        for each in self.bugs:
            self.assertLessEqual({*each.needs}, {*names}, each.name)

    def test_tests_exist(self):
        tests = layout.REPOSITORY / 'lm_tempest_plugin' / 'tests'
        known = {node.name
                 for path in (tests / 'live_migration_ha').glob('test_*.py')
                 for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.FunctionDef)}
        for each in self.bugs:
            # A fault shows some of the corrections.
            if each.test or each.kind != loader.CORRECTION:
                self.assertIn(each.test, known, each.name)

    def test_checks_exist(self):
        for each in self.bugs:
            self.assertIn(each.check, {*registry.CHECKS, *OTHER_CHECKS},
                          each.name)
            # Only a bug can be seen.
            self.assertTrue(each.kind == loader.DEFECT or not each.check,
                            each.name)

    def test_services_exist(self):
        known = {program.name for program in services.Lab(
            self.layout, Topology(storage='ceph', volumes=True)).programs}
        for each in self.bugs:
            self.assertLessEqual({*each.services}, known, each.name)

    def test_values_are_literals(self):
        # The documentation is made from them, without an import.
        for each in self.bugs:
            text = pathlib.Path(each.file).read_text()
            call, = (node for node in ast.walk(ast.parse(text))
                     if isinstance(node, ast.Call) and getattr(
                         node.func, 'attr', '') == 'Bug')
            for keyword in call.keywords:
                if keyword.arg != 'kind':
                    self.assertEqual(getattr(each, keyword.arg),
                                     ast.literal_eval(keyword.value))


class RunnerTestCase(base.TestCase):
    """A test with a runner of a cloud whose services report at once."""

    def setUp(self):
        super().setUp()
        self.site = (self.layout.venvs / 'cloud' / 'lib' / 'python3.11'
                     / 'site-packages')
        self.site.mkdir(parents=True)
        self.layout.cloud.mkdir(parents=True)
        self.bugs = self.layout.cloud / loader.FOLDER
        #: Services that were restarted, and the bugs in them.
        self.restarts = []
        self.patch(reload, 'restart', lambda lab, services: (
            self.restarts.append((services, loader.active(self.bugs)))))
        self.statements = []
        self.patch(fleet, 'sql', self._sql)
        self.removed = []
        self.patch(fleet, 'remove_traces', lambda paths, host, server, ports:
                   self.removed.append((host, server, *ports)))
        self.patch(fleet, 'inside', lambda host, program, *arguments:
                   types.SimpleNamespace(stdout={
                       'virsh': 'domain-1\nserver-1\n',
                       'ovs-vsctl': INTERFACES}[program]))
        # "nova-manage placement audit" has deleted allocations.
        self.write(self.layout.nova('controller') / 'bin' / 'nova-manage',
                   f'#!/bin/sh\necho "$@" > {self.folder}/audit\nexit 4\n',
                   0o755)
        self.runner = runner.Runner(self.layout, Topology())

    def _sql(self, paths, statement):
        self.statements.append(statement)
        return [['server-1']] if statement == runner.SERVERS else []


class TestActivated(RunnerTestCase):

    def test_in_and_out(self):
        hook = self.site / 'lm-lab-bugs.pth'
        both = ('nova-conductor', 'nova-compute')
        with self.runner, self.runner.activated(['one', 'two'], both):
            self.assertTrue(hook.exists())
            self.assertEqual([(both, ['one', 'two'])], self.restarts)
        self.assertFalse(hook.exists())
        self.assertEqual((both, []), self.restarts[-1])

    def test_leftovers_are_removed(self):
        directories = self.layout.data('compute2') / 'instances'
        for name in ('_base', 'locks',
                     'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee_del'):
            (directories / name).mkdir(parents=True)
        with self.runner, self.runner.activated(['one'], ('nova-compute',)):
            self.assertEqual([], self.removed)
        self.assertEqual(
            [('compute1', 'domain-1', 'port-1'),
             ('compute2', 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'),
             ('compute2', 'domain-1', 'port-1')], sorted(self.removed))
        self.assertIn(runner.END_RECORDS, self.statements)
        self.assertTrue((self.folder / 'audit').read_text().endswith(
            'placement audit --delete\n'))

    def test_audit_fails(self):
        self.write(self.layout.nova('controller') / 'bin' / 'nova-manage',
                   '#!/bin/sh\necho no database >&2\nexit 1\n', 0o755)
        with self.runner:
            message = self.refused(self.runner.deactivate, ('nova-compute',))
        self.assert_sentence(message)
        self.assertIn('no database', message)

    def test_service_that_ends_with_a_bug(self):
        said = 'nova-compute ends after its start: RecursionError.'
        self.patch(reload, 'restart', side_effect=[
            errors.LabError(said), None])
        with self.runner:
            self.assertEqual(said, self.refused(
                self.runner.activate, ['one'], ('nova-compute',)))
        self.assertEqual([], loader.active(self.bugs))

    def test_broken_bug_is_taken_out(self):
        self.bugs.mkdir()
        log = self.write(self.bugs / loader.LOG, 'an\told\tline\n')
        self.patch(reload, 'restart', lambda lab, services: self.write(
            log, f'{log.read_text()}now\tbroken\tone\tcompute1\t7\t'
            'nova-compute\tAttributeError\n'))
        with self.runner:
            message = self.refused(self.runner.activated(
                ['one'], ('nova-compute',)).__enter__)
            self.assertEqual([], loader.active(self.bugs))
        self.assertEqual('one cannot be put into nova-compute on compute1: '
                         'AttributeError.', message)

    def test_one_at_a_time(self):
        with self.runner:
            other = runner.Runner(self.layout, Topology())
            self.assert_sentence(self.refused(other.__enter__))
        with other:
            self.assertEqual([], other.log())

    def test_processes_load_the_bugs(self):
        self.write(self.folder / 'nova' / 'compute' / 'manager.py', NOVA)
        code = (
            f'import site, sys; site.addsitedir({str(self.site)!r}); '
            f'sys.path.insert(0, {str(self.folder)!r}); '
            'from nova.compute import manager; import types; '
            'print(manager.ComputeManager()._delete_allocation_after_move('
            'None, None, types.SimpleNamespace(is_live_migration=True, '
            'uuid="m-1")), [path for path in sys.path '
            f'if path == {str(layout.REPOSITORY)!r}], "lab" in sys.modules)')

        def printed():
            return subprocess.run(
                [sys.executable, '-c', code], cwd=self.folder, text=True,
                capture_output=True, env={}, check=True).stdout.strip()

        with self.runner:
            with self.runner.activated(['source_allocation_kept'],
                                       ('nova-compute',)):
                hook = next(self.site.iterdir())
                text = hook.read_text()
                self.assertEqual('None [] True', printed())
                self.assertEqual(
                    [('applied', 'ComputeManager._delete_allocation_after_'
                      'move'), ('fired', 'allocation of migration m-1 kept')],
                    [(each.kind, each.text) for each in self.runner.log()])
            # A hook that was left by a killed command does nothing.
            hook.write_text(text)
            self.assertEqual('deleted [] False', printed())


class TestRunTests(RunnerTestCase):

    def setUp(self):
        super().setUp()
        self.write(self.layout.tempest_conf, '[identity]\n')
        self.layout.workspace.mkdir(parents=True, exist_ok=True)
        self.results = self.folder / 'results'

    def _run(self, script, **options):
        """Run a shell script in place of Tempest."""
        self.patch(tempest_run, 'command', lambda regex: [
            'sh', '-c', script, regex])
        out = io.StringIO()
        with self.runner, contextlib.redirect_stdout(out):
            ran = self.runner.run_tests('my.test', '[a]\nb = 1', self.results,
                                        **options)
        return ran, out.getvalue()

    def test_outcomes(self):
        ran, output = self._run(
            'cat "$TEMPEST_CONFIG_DIR/$TEMPEST_CONFIG" > conf; '
            'echo "{0} x.A.test_a [1.0s] ... ok"; '
            'echo "{0} x.A.test_b [1.0s] ... FAILED"; '
            'echo "{0} setUpClass (x.B) ... SKIPPED: no $0"; exit 1')
        self.assertEqual({
            'x.A.test_a': 'ok', 'x.A.test_b': 'FAILED',
            'setUpClass (x.B)': 'SKIPPED: no my.test'}, ran.outcomes)
        self.assertEqual((['x.A.test_a'], ['x.A.test_b'], []),
                         (ran.passed, ran.failed, ran.checks))
        self.assertEqual(
            ['[identity]', '', '[a]', 'b = 1', '[live_migration_ha]',
             f'results_directory = {self.results}'],
            (self.layout.workspace / 'conf').read_text().splitlines())

    def test_interrupted(self):
        ready = self.layout.workspace / 'ready'

        def interrupt():
            utils.wait_until(bool, ready.exists, 'the test', 10, 0.01)
            signal.raise_signal(signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        self.addCleanup(thread.join)
        self.patch(runner, 'CLEANUP_SECONDS', 10)
        # The tests run in a process below that of Tempest.
        self.assertRaises(
            utils.Interrupted, self._run,
            "sh -c 'trap \": > cleaned; exit 1\" INT; : > ready; "
            "while true; do sleep 0.1; done'; exit 1")
        self.assertTrue((self.layout.workspace / 'cleaned').exists())

    def test_too_long(self):
        message = self.refused(self._run, 'sleep 60', limit_s=0)
        self.assert_sentence(message)


class TestRun(base.TestCase):

    def test_checks(self):
        def line(*slugs):
            return types.SimpleNamespace(problems=[
                types.SimpleNamespace(check=slug) for slug in slugs])

        ran = runner.TestRun({}, store.Results(
            migrations=[line('verdict', 'outage'), line()],
            drains=[line('outage', 'concurrency')]), self.folder, 1.0)
        self.assertEqual(['concurrency', 'outage', 'verdict'], ran.checks)
