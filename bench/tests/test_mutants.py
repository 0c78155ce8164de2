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
import subprocess
import tempfile
import unittest
from unittest import mock

from bench.mutants import __main__ as main
from bench.mutants import facts
from bench.mutants import ledger
from bench.mutants import scenarios
from lab.bugs import loader
from lab.bugs import mutant
from lab import errors
from lab import layout
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.results import schema
from lm_tempest_plugin import utils

SERVER, PORT = '11111111-aaaa', '2222222222-bbbb'
SUBJECT = facts.Subject(SERVER, (PORT,), '198.18.4.9', 'boot-1')
MODULE = 'nova.compute.manager'
SOURCE = """\
class ComputeManager:
    def live_migration(self):
        self.prepare()
        self.copy()

    def rollback_live_migration(self):
        self.undo(1)
"""
PREPARE, COPY, UNDO = (
    f'{MODULE}:ComputeManager.{call}' for call in (
        'live_migration:self.prepare', 'live_migration:self.copy',
        'rollback_live_migration:self.undo'))


def catalogue(source=SOURCE):
    sites = mutant.sites(MODULE, ast.parse(source))
    return ledger.Catalogue('digest', {str(site): site for site in sites})


class Folder(unittest.TestCase):

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()))
        self.paths = layout.Layout(self.folder)
        self.path = self.folder / 'mutants.json'

    def book(self, path=None):
        book = ledger.Ledger(path or self.path, catalogue())
        book.executed = {'round-trip': [PREPARE, COPY], 'abort': [UNDO]}
        book.accepted = {name: [{'instance': ['active']}] * legs
                         for name, legs in (('round-trip', 2), ('abort', 1))}
        return book


class FactsTest(Folder):

    rows = {'instance': [[SERVER, 'compute2', 'active'],
                         ['other', 'compute1', 'active']],
            'port bindings': [[PORT, 'compute2', 'ACTIVE'],
                              ['other', 'compute1', 'ACTIVE']],
            'allocations': [['record-1', 'compute1', '0', '1'],
                            [SERVER, 'compute2', '0', '1']]}

    def sql(self, paths, statement, database='nova'):
        if statement == facts.RECORDS:
            return [[SERVER, 'record-1'], ['other', 'record-2']]
        if statement == facts.ADDRESSES:
            return [[PORT, 'fa:16:3e:00:00:01'], ['other', 'fa:16:3e:0']]
        title, = (title for title, name, text in facts.QUERIES
                  if (name, text) == (database, statement))
        return self.rows.get(title, [])

    def inside(self, host, *command, check=True):
        xml = (f"<domain type='qemu' id='7'><uuid>{SERVER}</uuid>"
               f"<target dev='tap{PORT[:11]}'/>"
               "<mac address='fa:16:3e:00:00:01'/></domain>")
        return subprocess.CompletedProcess(command, 0, xml, '')

    def read(self, run=lambda command: 'boot-1\nlo eth0', **changes):
        folder = self.paths.data('compute2') / 'instances' / SERVER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'disk').touch()
        fakes = {
            'sql': self.sql, 'inside': self.inside,
            'nbctl': lambda *command: 'requested-chassis=compute2\n',
            'qemu_processes': lambda server_id: ['12'],
            'domain_state': lambda host, server_id: (
                'running' if host == 'compute2' else ''),
            'traces': lambda paths, host, *rest: (
                ['domain'] if host == 'compute2' else [])}
        with mock.patch.multiple(facts.fleet, **{**fakes, **changes}):
            return facts.read(self.paths, ('compute1', 'compute2'), SUBJECT,
                              run)

    def test_facts_of_the_server_alone(self):
        found = self.read()
        self.assertEqual('SERVER | compute2 | active', found['instance'])
        self.assertEqual('PORT-1 | compute2 | ACTIVE', found['port bindings'])
        self.assertEqual(
            'RECORD-1 | compute1 | 0 | 1\nSERVER | compute2 | 0 | 1',
            found['allocations'])
        self.assertEqual('requested-chassis=compute2',
                         found['options in OVN of PORT-1'])
        self.assertEqual(('running', '', 'disk'), (
            found['compute2: domain state'], found['compute1: domain state'],
            found['compute2: files']))

    def test_names_are_replaced(self):
        found = self.read()
        self.assertEqual(
            "<domain type='qemu'><uuid>SERVER</uuid>"
            "<target dev='tapPORT-1'/><mac address='MAC-1'/></domain>",
            found['compute2: domain'])
        self.assertEqual('BOOT\nlo eth0', found['guest'])

    def test_silent_guest_and_libvirt(self):
        def fail(*args):
            raise errors.LabError('no answer')

        def silent(command):
            raise builder.GuestUnreachable('no SSH')
        found = self.read(silent, domain_state=fail)
        self.assertEqual(('does not answer', 'does not answer'), (
            found['guest'], found['compute1: libvirt']))

    def test_differences(self):
        accepted = facts.merge([{'a': '1\n2', 'b': 'x'},
                                {'a': '1\n2', 'b': 'y'}])
        self.assertEqual(
            [], facts.differences({'a': '1\n2', 'b': 'y'}, accepted))
        self.assertEqual(
            ['a: has 3; lacks 2', 'b: lacks x', 'c: has z'],
            facts.differences({'a': '1\n3', 'c': 'z'}, accepted))


class LedgerTest(Folder):

    def test_catalogue_of_an_installed_nova(self):
        for module in mutant.TARGETS:
            path = self.folder.joinpath(
                *module.split('.')).with_suffix('.py')
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SOURCE if module == MODULE else '')
        found = ledger.Catalogue.of(self.folder)
        self.assertEqual({PREPARE, COPY, UNDO}, set(found.sites))
        self.assertIn(f'{UNDO}:wrong-parameter=1', found.mutants)
        path.write_text('def (')
        with self.assertRaisesRegex(errors.LabError, path.name):
            ledger.Catalogue.of(self.folder)

    def test_kept(self):
        book = self.book()
        row = ledger.Row(f'{PREPARE}:exception', ledger.KILLED, 'round-trip',
                         ('verdict',), 'stuck', 60.0)
        book.save_reference()
        book.add(row)
        again = ledger.Ledger(self.path, catalogue())
        self.assertEqual(({row.mutant: row}, book.executed, book.accepted),
                         (again.rows, again.executed, again.accepted))
        stored = json.loads(self.path.read_text())
        self.assertEqual(list(mutant.OPERATORS), [
            line['operator'] for line in stored['summary']])
        self.assertEqual(list(mutant.OPERATORS), [
            line['operator']
            for line in json.loads(self.path.read_text())['summary']])

    def test_results_of_another_nova(self):
        self.book().save()
        other = ledger.Catalogue('other', {})
        with self.assertRaisesRegex(errors.LabError, 'another nova'):
            ledger.Ledger(self.path, other)
        self.path.write_text('{')
        with self.assertRaisesRegex(errors.LabError, 'cannot be read'):
            ledger.Ledger(self.path, catalogue())

    def test_sample_is_of_executed_calls_and_repeats(self):
        book = self.book()
        del book.executed['abort']
        all_ = book.sample(0, 1)
        self.assertEqual({PREPARE, COPY}, set(map(mutant.site_of, all_)))
        self.assertEqual(all_[:2], book.sample(2, 1))
        self.assertNotEqual(all_, book.sample(0, 4))

    def test_summary(self):
        book = self.book()
        del book.executed['abort']
        book.add(ledger.Row(f'{PREPARE}:exception', ledger.KILLED))
        book.add(ledger.Row(f'{COPY}:missing-call', ledger.SILENT))
        by_operator = {line['operator']: line for line in book.summary()}
        found = by_operator['exception']
        self.assertEqual((3, 1, 1), (found['all'], found['killed'],
                                     found['never executed']))
        self.assertEqual(1, by_operator['missing-call']['silent'])

    def test_reviewed_mutants_have_reasons(self):
        for name, reason in ledger.reviewed().items():
            with self.subTest(name):
                self.assertGreater(len(reason), 20)
                self.assertIn(mutant.operator_of(name), mutant.OPERATORS)
                self.assertIn(mutant.module_of(name), mutant.TARGETS)
        path = self.folder / 'equivalent.json'
        path.write_text('{"x": " "}')
        with self.assertRaisesRegex(errors.LabError, 'no reason why x'):
            ledger.reviewed(path)


class Runner:
    """Stands for lab.bugs.runner.Runner; keeps the calls."""

    def __init__(self, effects=(), error=None, broken=False):
        self.calls = []
        self.effects = effects
        self.error = error
        self.broken = broken

    @contextlib.contextmanager
    def activated(self, names, services):
        self.calls.append((list(names), set(services)))
        if self.error:
            raise self.error
        yield

    def log(self):
        entries = [Entry(loader.FIRED, text=text) for text in self.effects]
        return entries + [Entry(loader.BROKEN)] * self.broken


class Entry:

    name = 'mutant'

    def __init__(self, kind, text=''):
        self.kind = kind
        self.text = text


def played(*facts_, problems=()):
    return scenarios.Played(tuple(
        schema.Problem(check=check, text='bad') for check in problems),
        ('completed',) * len(facts_), facts_)


GOOD = {'instance': 'active'}


class BenchTest(Folder):

    def bench(self, runner, result):
        def play(scenario, changed, accepted=()):
            with changed:
                self.scenario = scenario.name
                if isinstance(result, Exception):
                    raise result
                return result
        return main.Bench(self.paths, runner, mock.Mock(play=play),
                          self.book())

    def judge(self, name, runner, result):
        self.enterContext(mock.patch.object(main, 'LOG'))
        return self.bench(runner, result).judge(name)

    def test_outcomes(self):
        name = f'{PREPARE}:missing-call'
        for effects, result, outcome, checks in (
                (['left out'], played(GOOD, problems=['verdict', 'outage']),
                 ledger.KILLED, ('outage', 'verdict')),
                (['left out'], played(GOOD, GOOD), ledger.SURVIVED, ()),
                (['left out'], played(GOOD, {'instance': 'error'}),
                 ledger.SILENT, ()),
                ([], played(GOOD, GOOD), ledger.NEVER, ()),
                (['left out'], scenarios.NotActed('no copy'), ledger.FAILED,
                 ())):
            with self.subTest(outcome):
                row = self.judge(name, Runner(effects), result)
                self.assertEqual((outcome, checks, 'round-trip'),
                                 (row.outcome, row.checks, row.scenario))

    def test_difference_is_told(self):
        row = self.judge(f'{COPY}:exception', Runner(['raised']),
                         played(GOOD, {'instance': 'error'}))
        self.assertEqual('after migration 2 to another host: instance: has '
                         'error; lacks active', row.text)

    def test_services_of_the_module_and_corrections(self):
        runner = Runner(['raised'])
        self.judge(f'{UNDO}:exception', runner, played(GOOD))
        self.assertEqual('abort', self.scenario)
        self.assertEqual([(['abort_corrected', 'mutant'],
                           {'nova-compute'})], runner.calls)
        self.assertEqual(
            f'{UNDO}:exception\n',
            (self.paths.cloud / 'bugs' / 'mutant-chosen').read_text())

    def test_services_that_do_not_start_kill(self):
        error = errors.LabError('nova-compute does not stay up')
        row = self.judge(f'{COPY}:exception', Runner(error=error),
                         played(GOOD, GOOD))
        self.assertEqual((ledger.KILLED, ('services',)),
                         (row.outcome, row.checks))

    def test_mutant_that_cannot_be_applied_is_not_killed(self):
        row = self.judge(f'{COPY}:exception', Runner(
            error=errors.LabError('broken'), broken=True),
            played(GOOD, GOOD))
        self.assertEqual(ledger.FAILED, row.outcome)

    def test_observe(self):
        runner = Runner([PREPARE])
        bench = self.bench(runner, played(GOOD, GOOD))
        book = bench._book
        book.executed, book.accepted = {}, {}
        with contextlib.redirect_stdout(io.StringIO()):
            bench.observe(2)
        self.assertEqual({name: [PREPARE] for name in scenarios.SCENARIOS},
                         book.executed)
        self.assertEqual([{'instance': ['active']}] * 2,
                         book.accepted['round-trip'])
        traced = [names for names, _ in runner.calls if 'mutant' in names]
        self.assertEqual(len(scenarios.SCENARIOS), len(traced))
        # Untouched nova is not restarted, but for a correction.
        self.assertEqual(
            2, len([names for names, _ in runner.calls
                    if names == ['abort_corrected']]))
        self.assertEqual(len(traced) + 2, len(runner.calls))

    def test_unchanged_nova_has_to_pass(self):
        bench = self.bench(Runner(), played(problems=['outage']))
        bench._book.accepted = {}
        with contextlib.redirect_stdout(io.StringIO()), \
                self.assertRaisesRegex(errors.LabError, 'outage: bad'):
            bench.observe(1)


class JudgeAllTest(Folder):

    def run_all(self, book, names, again=False, equivalent=None):
        self.judged = []

        def judge(name):
            self.judged.append(name)
            return ledger.Row(name, ledger.KILLED, checks=('verdict',))
        with contextlib.redirect_stdout(io.StringIO()) as stdout, \
                mock.patch.object(ledger, 'reviewed',
                                  return_value=equivalent or {}):
            main._judge_all(mock.Mock(judge=judge), book, names, again)
            main._print_summary(book)
        return stdout.getvalue()

    def test_goes_on_with_the_missing_ones(self):
        book = self.book()
        done, failed, new = (f'{PREPARE}:exception', f'{COPY}:exception',
                             f'{UNDO}:exception')
        book.add(ledger.Row(done, ledger.SURVIVED, text='left out'))
        book.add(ledger.Row(failed, ledger.FAILED))
        text = self.run_all(book, [done, failed, new])
        self.assertEqual([failed, new], self.judged)
        self.assertIn('Killed by: verdict 2', text)
        self.assertIn(f'survived: {done}: left out', text)
        self.run_all(book, [done], again=True)
        self.assertEqual([done], self.judged)

    def test_not_played(self):
        book = self.book()
        del book.executed['abort']
        never, same = f'{UNDO}:exception', f'{COPY}:exception'
        self.run_all(book, [never, same], equivalent={same: 'no effect'})
        self.assertEqual([], self.judged)
        self.assertEqual((ledger.NEVER, ledger.EQUIVALENT, 'no effect'), (
            book.rows[never].outcome, book.rows[same].outcome,
            book.rows[same].text))

    def test_survivor_that_was_reviewed(self):
        book = self.book()
        survived, killed = f'{COPY}:exception', f'{PREPARE}:exception'
        book.add(ledger.Row(survived, ledger.SURVIVED))
        book.add(ledger.Row(killed, ledger.KILLED))
        text = self.run_all(book, [], equivalent={
            survived: 'no effect', killed: 'no effect'})
        self.assertEqual((ledger.EQUIVALENT, ledger.KILLED), (
            book.rows[survived].outcome, book.rows[killed].outcome))
        self.assertIn(f'{killed} is killed', text)


class MainTest(Folder):

    def main(self, *arguments):
        site = self.paths.venvs / 'cloud/lib/python3.11/site-packages'
        (site / 'nova').mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(io.StringIO()) as stdout, \
                mock.patch.object(layout, 'Layout',
                                  return_value=self.paths), \
                mock.patch.object(ledger.Catalogue, 'of', side_effect=(
                    lambda folder: catalogue())) as of:
            code = main.main(list(arguments))
        of.assert_called_once_with(site)
        return code, stdout.getvalue()

    def test_list(self):
        self.paths.workspace.mkdir()
        book = self.book(self.paths.workspace / 'mutants.json')
        book.add(ledger.Row(f'{COPY}:exception', ledger.KILLED))
        code, text = self.main('--list')
        self.assertEqual(0, code)
        self.assertIn(f'{COPY}:exception: killed\n', text)
        self.assertIn(f'{PREPARE}:exception: not played\n', text)

    def play(self, row, **bench):
        made = mock.Mock(judge=mock.Mock(side_effect=lambda name: (
            ledger.Row(name, row))), **bench)
        self.paths.workspace.mkdir(exist_ok=True)
        book = self.book(self.paths.workspace / 'mutants.json')
        book.save_reference()
        for name in ('lifecycle', 'fleet', 'openstack.connect', 'Runner',
                     'scenarios.Stage'):
            self.enterContext(mock.patch(f'bench.mutants.__main__.{name}'))
        main.Runner.return_value = mock.MagicMock()
        with mock.patch.object(main, 'Bench', return_value=made):
            return self.main('--sample', '2')

    def test_sample(self):
        for outcome, code in ((ledger.KILLED, 0), (ledger.SILENT, 1)):
            with self.subTest(outcome):
                self.paths.workspace.joinpath('mutants.json').unlink(
                    missing_ok=True)
                found, text = self.play(outcome)
                self.assertEqual(code, found)
                self.assertIn('2 of 2: ', text)
                book = ledger.Ledger(
                    self.paths.workspace / 'mutants.json', catalogue())
                self.assertEqual(book.sample(2, 1), list(book.rows))

    def test_signal(self):
        code, text = self.play(ledger.KILLED, observe=mock.Mock(
            side_effect=utils.Interrupted('SIGTERM')))
        self.assertEqual(130, code)
        self.assertIn('the same command goes on', text)

    def test_unknown_name(self):
        with self.assertRaisesRegex(errors.LabError, 'no mutant nonsense'):
            self.main('nonsense')

    def test_nova_of_the_hosts(self):
        other = (self.paths.cloud / 'nova' / 'compute1' /
                 'lib/python3.11/site-packages')
        (other / 'nova').mkdir(parents=True)
        self.assertEqual(other, main._site_packages(self.paths))

    def test_no_nova(self):
        with self.assertRaisesRegex(errors.LabError, 'no nova'):
            main._site_packages(self.paths)

    def test_wrong_numbers(self):
        for arguments in (['--sample', '-1'], ['--references', '0']):
            with contextlib.redirect_stderr(io.StringIO()), \
                    self.assertRaises(SystemExit):
                main._options(arguments)


class SettledTest(unittest.TestCase):

    def settled(self, values, accepted):
        reads = iter(values)
        with mock.patch('time.sleep') as sleep:
            found = scenarios._settled(lambda: next(reads), accepted)
        return found, sleep.call_count

    def test_accepted_at_once(self):
        self.assertEqual((GOOD, 0), self.settled(
            [GOOD], {'instance': ['active']}))

    def test_accepted_later(self):
        self.assertEqual((GOOD, 1), self.settled(
            [{'instance': 'x'}, GOOD], {'instance': ['active']}))

    def test_never_accepted(self):
        self.assertEqual(({'instance': 'x'}, 2), self.settled(
            [{'instance': 'x'}] * 3, {'instance': ['active']}))

    def test_reference_has_to_be_stable(self):
        self.assertEqual((GOOD, 2), self.settled(
            [{'instance': 'x'}, GOOD, GOOD], None))


class StageTest(unittest.TestCase):
    """Scenarios, with stand-ins for servers, engine and facts."""

    def setUp(self):
        self.events = []
        self.plans = []
        self.acts = True
        self.problems = []
        guest = mock.Mock(server_id=SERVER, address='198.18.4.9')
        self.observed = mock.Mock()
        self.observed.guests.guests = [guest]
        self.observed.guests.inspections = {SERVER: mock.Mock(
            boot_id='boot-1')}
        self.observed.guests.final_problems.return_value = []
        self.maker = mock.Mock()
        self.cloud = mock.Mock()
        stand_ins = {
            'fleet.Fleet': lambda *args: self.context(
                'server', mock.Mock(ids=[SERVER], ports={SERVER: [PORT]})),
            'moves.observed': lambda *args: self.context(
                'probes', self.observed),
            'fleet.guest_builder': lambda clients: self.maker,
            'fleet.sql': lambda *args: [[SERVER, 'record-1'],
                                        ['other', 'record-2']],
            'fleet.remove_traces': lambda paths, host, *args: (
                self.events.append(f'traces on {host}')),
            'fleet.qemu_processes': lambda server_id: [],
            'engine.run': self.run_engine,
            'facts.read': lambda *args: GOOD,
            'config.CONF': mock.MagicMock(),
            'plan.Bounds.of': lambda options: 'usual',
            'plan.Bounds.forced': lambda options: 'forced',
            'test_intervention.is_copying': lambda client, migration: True,
            'migration_records.abort': lambda client, *args: (
                self.events.append('abort')),
            'migration_records.force_complete': lambda client, *args: (
                self.events.append('force')),
            'time.sleep': lambda seconds: None}
        for name, stand_in in stand_ins.items():
            self.enterContext(mock.patch(
                f'bench.mutants.scenarios.{name}', stand_in))
        self.stage = scenarios.Stage(
            self.cloud, mock.Mock(), layout.Layout(pathlib.Path('/lab')),
            lambda: self.context('interruptible', None))

    @contextlib.contextmanager
    def context(self, name, value):
        self.events.append(f'{name} begins')
        try:
            yield value
        finally:
            self.events.append(f'{name} ends')

    def run_engine(self, plan, clients, *, on_poll, aborted, forced,
                   **observed):
        self.plans.append(plan)
        self.events.append(f'to {plan.destination}')
        if on_poll and self.acts:
            on_poll(None, [mock.Mock(
                status='running', newest=mock.Mock(number=7),
                request=mock.Mock(server_id=SERVER))])
        self.acted_on = {*aborted, *forced}
        return mock.Mock(problems=self.problems,
                         migrations=[mock.Mock()])

    def play(self, name):
        return self.stage.play(scenarios.SCENARIOS[name],
                               self.context('mutant', None))

    def test_nova_is_changed_for_the_migrations_alone(self):
        found = self.play('round-trip')
        self.assertEqual([
            'server begins', 'probes begins', 'mutant begins',
            'interruptible begins', 'to compute2', 'to compute1',
            'interruptible ends', 'mutant ends', 'probes ends',
            'server ends', 'traces on compute1', 'traces on compute2'],
            self.events)
        self.assertEqual(((GOOD, GOOD), ()), (found.facts, found.problems))
        self.cloud.placement.delete.assert_called_once_with(
            '/allocations/record-1')
        self.maker.start.assert_not_called()

    def test_nothing_follows_a_problem(self):
        self.problems = [schema.Problem(check='outage', text='long')]
        found = self.play('round-trip')
        self.assertEqual((1, (), ['outage']), (
            len(self.plans), found.facts, found.checks))

    def test_problems_of_the_guest_at_the_end(self):
        self.observed.guests.final_problems.return_value = [
            schema.Problem(check='tcp-stream', text='broken')]
        self.assertEqual(['tcp-stream'], self.play('round-trip').checks)

    def test_interventions(self):
        for name, event, bounds in (('abort', 'abort', 'usual'),
                                    ('force-complete', 'force', 'forced')):
            with self.subTest(name):
                self.play(name)
                self.assertIn(event, self.events)
                self.assertEqual({SERVER}, self.acted_on)
                self.assertEqual(bounds, self.plans[-1].bounds)
                self.maker.start.assert_called()

    def test_nova_was_not_asked(self):
        self.acts = False
        self.assertRaises(scenarios.NotActed, self.play, 'abort')
        self.assertIn('traces on compute2', self.events)
        # A problem without it counts nevertheless.
        self.problems = [schema.Problem(check='verdict', text='failed')]
        self.assertEqual(['verdict'], self.play('abort').checks)
