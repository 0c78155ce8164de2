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


import contextlib
import io
import json
import sys
import types

from lab.bugs import __main__ as main
from lab.bugs import loader
from lab.bugs import runner
from lab import errors
from lab import layout
from lab.tests.unit import base
from lab.tests.unit.bugs import test_loader
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

BUGS = [test_loader.new_bug('one', needs=('three',), profile='[a]'),
        test_loader.new_bug('two', storage='ceph'),
        test_loader.new_bug('three', kind=loader.CORRECTION, check='',
                            effect='', services=('nova-api',))]


def new_run(outcome='ok', *slugs, test='A.test_it[id-1]'):
    """Return a run of one test, with checks that failed."""
    problems = [types.SimpleNamespace(check=slug) for slug in slugs]
    return runner.TestRun(
        {test: outcome} if outcome else {}, store.Results(migrations=[
            types.SimpleNamespace(problems=problems)]), '/results', 1.0)


def new_entry(name, kind=loader.FIRED, text='task kept'):
    return runner.Entry('now', kind, name, 'compute1', '7', 'nova-compute',
                        text)


class FakeRunner(contextlib.AbstractContextManager):

    def __init__(self, runs):
        self._runs = runs
        self.calls = []
        self._active = ()

    def __exit__(self, *raised):
        self.calls.append('end')

    def activate(self, names, services):
        self._active = names
        self.calls.append((sorted(names), sorted(services)))

    @contextlib.contextmanager
    def activated(self, names, services):
        self.activate(names, services)
        try:
            yield
        finally:
            self.calls.append('out')

    def deactivate(self, services):
        self.calls.append(sorted(services))

    def run_tests(self, regex, profile, results):
        self.regex, self.profile = regex, profile
        run = self._runs.get(results.name) or new_run('FAILED', 'verdict')
        if isinstance(run, BaseException):
            raise run
        return run

    def log(self):
        return [new_entry(name) for name in self._active]


class TestMain(base.TestCase):

    def _run(self, *arguments, **runs):
        self.runner = FakeRunner(runs)
        for module, name, value in (
                (runner, 'discover', lambda: BUGS),
                (layout, 'state_folder', lambda: self.layout.root),
                (main.LOG, 'exception', lambda *args: None),
                (runner, 'Runner', lambda *args: self.runner)):
            self.patch(module, name, value)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = main.main([*arguments])
        return status, output.getvalue()

    def _kept(self):
        path, = self.layout.workspace.glob('bugs-*.json')
        return [(row['BUG'], row['RESULT'], row['TEXT'])
                for row in json.loads(path.read_text())]

    def test_all_right(self):
        status, output = self._run(three=new_run())
        self.assertEqual(0, status)
        self.assertEqual(
            [(['one', 'three'], ['nova-api', 'nova-compute']), 'out',
             (['three'], ['nova-api']), 'out', 'end'], self.runner.calls)
        self.assertEqual(
            [('one', 'seen', 'task kept'),
             ('two', 'skipped', 'It takes a lab with --storage ceph.'),
             ('three', 'passed', 'task kept')], self._kept())
        self.assertIn('1 of 3: one: an effect ... (about 12 min left)',
                      output)
        self.assertIn('3 bugs, corrections and controls: 0 wrong, 1 skipped.',
                      output)

    def test_storage_of_the_lab(self):
        layout.write_json(self.layout.ready, {'storage': 'ceph'})
        self._run('two')
        self.assertEqual('seen', self._kept()[0][1])
        self.assertRegex('x.live_migration_ha.test_a.A.test_it[id-1]',
                         self.runner.regex)
        self.assertNotRegex('x.live_migration_ha.test_a.A.test_it_too[id-1]',
                            self.runner.regex)

    def test_not_seen(self):
        status, output = self._run('one', one=new_run())
        self.assertEqual((1, '[a]'), (status, self.runner.profile))
        self.assertIn('passed: no check failed; fired 1 times: task kept',
                      output)

    def test_false_alarm(self):
        self.assertEqual(1, self._run('three')[0])

    def test_others_go_on(self):
        status, output = self._run(one=errors.LabError('is not up.'),
                                   three=new_run())
        self.assertEqual(1, status)
        self.assertEqual([('one', 'not tested', 'LabError: is not up.'),
                          ('three', 'passed', 'task kept')],
                         self._kept()[::2])

    def test_interrupted(self):
        status, output = self._run(
            three=utils.Interrupted('told to end by SIGINT'))
        self.assertEqual((130, ['out', 'end']),
                         (status, self.runner.calls[-2:]))
        self.assertEqual(['one', 'two'], [name for name, *_ in self._kept()])
        self.assertIn('Interrupted.', output)

    def test_stale_bug_is_taken_out_first(self):
        active = self.layout.cloud / loader.FOLDER / loader.ACTIVE
        for stale, services in (('one', ['nova-compute']), (
                'gone', ['nova-api', 'nova-compute'])):
            self.write(active, stale)
            status, output = self._run('--clear')
            self.assertEqual((0, [services, 'end']),
                             (status, self.runner.calls))
            self.assertIn(f'{stale} is taken out first', output)
        active.unlink()
        self.assertEqual((0, 'No bug is active.\n'), self._run('--clear'))
        self.assertEqual(['end'], self.runner.calls)

    def test_keep(self):
        status, output = self._run('--keep', 'one')
        self.assertEqual((0, [(['one', 'three'], ['nova-api', 'nova-compute']),
                              'end']), (status, self.runner.calls))
        self.assertIn('Until tools/run-lab.sh bugs --clear nova has one, '
                      'three.', output)
        with contextlib.redirect_stderr(io.StringIO()) as output:
            self.assertRaises(SystemExit, self._run, '--keep')
        self.assertIn('which bugs?', output.getvalue())

    def test_correction_that_no_test_shows(self):
        shown = test_loader.new_bug('four', kind=loader.CORRECTION, test='')
        self.patch(sys.modules[__name__], 'BUGS', [shown])
        self._run('four')
        self.assertEqual('skipped', self._kept()[0][1])
        self.assertEqual(['end'], self.runner.calls)
        # Without a name it is left out.
        self.assertEqual((0, ''), self._run())

    def test_unknown_name(self):
        message = self.refused(self._run, 'one', 'four')
        self.assert_sentence(message)
        self.assertIn('There is no bug four', message)

    def test_list(self):
        self.patch(runner, 'discover', lambda: BUGS)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            main.print_list()
        for text in ('one', 'abc', 'an effect', 'nova-compute', 'test_it',
                     'verdict', 'correction'):
            self.assertIn(text, output.getvalue())


class TestJudge(base.TestCase):

    def test_results(self):
        bug, fired = BUGS[0], [new_entry('one')]
        applied = [new_entry('one', loader.APPLIED, 'A.b')]
        fixture = 'setUpClass (x.A)'
        for ran, entries, result, checks, text in (
                (new_run('FAILED', 'verdict', 'outage'), fired, 'seen',
                 ['outage', 'verdict'], 'task kept'),
                (new_run('FAILED', 'outage'), fired, 'seen by another check',
                 ['outage'], 'task kept'),
                (new_run('FAILED'), fired, 'seen by another check', ['test'],
                 'task kept'),
                (new_run(), fired, 'passed', [], 'task kept'),
                (new_run(), applied, 'never fired', [], 'test passed'),
                (new_run('FAILED', 'outage'), applied, 'never fired',
                 ['outage'], 'test FAILED'),
                (new_run(), [], 'never fired', [], 'nothing was replaced'),
                (new_run('SKIPPED: no room', test=fixture), fired, 'skipped',
                 [], 'SKIPPED: no room'),
                (new_run(''), fired, 'not tested', [],
                 'No test was run: see /results.')):
            outcome = main.judge(bug, ran, entries)
            self.assertEqual((result, checks, text), (
                str(outcome.result), outcome.checks, outcome.text))
            self.assertEqual(result in ('seen', 'seen by another check',
                                        'skipped'), outcome.right)

    def test_test_that_has_to_see_it_itself(self):
        bug = test_loader.new_bug('one', check='test')
        self.assertEqual(main.Result.SEEN, main.judge(
            bug, new_run('FAILED'), [new_entry('one')]).result)
