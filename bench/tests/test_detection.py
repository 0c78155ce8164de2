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
import pathlib
import tempfile
import unittest
from unittest import mock

from bench import detection
from lab.bugs import __main__ as bugs
from lab.bugs import loader
from lab.bugs import runner
from lab import errors
from lab import layout
from lab import lifecycle
from lab import topology
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin import utils


def bug(name='late', kind=loader.DEFECT, **changes):
    return loader.Bug(f'/lab/bugs/{name}.py', **{
        'number': '1', 'commit': 'abc', 'services': ('nova-compute',),
        'effect': 'late' if kind == loader.DEFECT else '',
        'test': 'test_x', 'check': 'outage', 'stock': False, 'kind': kind,
        **changes})


class Runner:
    """Stands for lab.bugs.runner.Runner; its tests write real results.

    :ivar outages: the outages that each run of round trips measures
    """

    def __init__(self, outages=(), failed=(), effects=1):
        self.outages = iter(outages)
        self.failed = failed
        self.effects = effects
        self.calls = []
        self.names = []

    @contextlib.contextmanager
    def activated(self, names, services):
        self.names = list(names)
        self.calls.append((self.names, set(services)))
        yield
        self.names = []

    def log(self):
        return [runner.Entry('', loader.FIRED, self.names[0], 'compute1',
                             '1', 'nova-compute', 'effect')] * self.effects

    def run_tests(self, regex, profile, results):
        self.calls.append((regex, profile, tuple(self.names)))
        results.mkdir(parents=True)
        failed = [name for name, with_ in self.failed
                  if with_ in (None, bool(self.names))]
        if regex == detection.ROUND_TRIPS:
            self._write(results, next(self.outages))
        return runner.TestRun(
            {'tempest.passed': 'ok', **dict.fromkeys(failed, 'FAILED')},
            store.read(results.glob('*.jsonl')), results, 1.0)

    def _write(self, folder, outage_s):
        migrations = []
        for number in range(6):
            figures = builders.outage(outage_s + number / 1000)
            migrations += [builders.migration(
                drain=f'drain-{number}', server_id=f'{number}-{server}',
                continuity=builders.continuity(outage=figures))
                for server in range(2)]
        builders.write(folder, f'run-{id(folder)}-{len(self.calls)}',
                       migrations)


class DetectionTest(unittest.TestCase):

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()))
        self.path = self.folder / 'detection.json'
        self.number = 0

    def play(self, run, part, chosen=None):
        table = detection.Table(self.path)
        # Folders are named by the second.
        self.number += 1
        with contextlib.redirect_stdout(io.StringIO()) as stdout, \
                mock.patch.object(detection, 'LOG'), \
                mock.patch('time.strftime', side_effect=map(str, range(
                    100 * self.number, 100 * self.number + 99))):
            detection.Detection(run, topology.Topology(), table,
                                self.folder / 'results').test(
                                    chosen or bug(), part)
        self.printed = stdout.getvalue()
        row = json.loads(self.path.read_text())['rows'][0]
        return row[part]

    def test_ours(self):
        outcome = bugs.Outcome(bug(), bugs.Result.SEEN_BY_ANOTHER,
                               ['verdict'], 'effect', 3)
        with mock.patch.object(bugs, 'test', return_value=outcome):
            found = self.play(Runner(), detection.OURS)
        self.assertEqual(
            ('seen by another check', 'effect', ['verdict'], 3),
            (found['result'], found['text'], found['by'], found['fired']))
        self.assertIn('seen by another check verdict', self.printed)

    def test_comparison_without_a_difference(self):
        run = Runner([0.2, 0.2, 0.2])
        found = self.play(run, detection.COMPARISON)
        self.assertEqual('passed', found['result'], found)
        self.assertIn('No difference found', found['text'])
        self.assertEqual(
            [(), ('late',), ()],
            [call[2] for call in run.calls if len(call) == 3])

    def test_worse_twice(self):
        run = Runner([0.2, 0.9, 0.2, 0.9, 0.2])
        found = self.play(run, detection.COMPARISON)
        self.assertEqual(('seen', ['outage_s']),
                         (found['result'], found['by']))
        self.assertEqual(1, found['fired'])

    def test_worse_once_is_no_alarm(self):
        found = self.play(Runner([0.2, 0.9, 0.2, 0.2, 0.2]),
                          detection.COMPARISON)
        self.assertEqual(('passed', []), (found['result'], found['by']))

    def test_failing_round_trips_are_seen_at_once(self):
        run = Runner([0.2, 0.2], failed=[('tempest.drain', True)])
        found = self.play(run, detection.COMPARISON)
        self.assertEqual(('seen', ['test']), (found['result'], found['by']))

    def test_unchanged_nova_that_fails_proves_nothing(self):
        run = Runner([0.2], failed=[('tempest.drain', False)])
        found = self.play(run, detection.COMPARISON)
        self.assertEqual('not tested', found['result'])
        self.assertIn('unchanged nova fail', found['text'])
        self.assertIsNone(detection.Table(self.path).part(
            bug(), detection.COMPARISON))

    def test_stock(self):
        run = Runner(failed=[('tempest.T.test_always', None),
                             ('tempest.T.test_new[id-1]', True)])
        found = self.play(run, detection.STOCK)
        self.assertEqual(('seen', ['test_new']),
                         (found['result'], found['by']))
        # Tempest without a bug is run once only.
        self.play(run, detection.STOCK)
        self.assertEqual(1, [call[2] for call in run.calls
                             if len(call) == 3].count(()))

    def test_needs_are_active_as_well(self):
        run = Runner()
        needed = bug('abort_corrected', services=('nova-conductor',))
        with mock.patch.object(bugs, 'choose', return_value=[needed]):
            self.play(run, detection.STOCK, bug(needs=('abort_corrected',)))
        self.assertIn((['late', 'abort_corrected'],
                       {'nova-compute', 'nova-conductor'}), run.calls)

    def test_other_storage(self):
        found = self.play(Runner(), detection.OURS, bug(storage='ceph'))
        self.assertEqual('skipped', found['result'])

    def test_error_costs_nothing_else(self):
        with mock.patch.object(bugs, 'test', side_effect=errors.LabError(
                'nova-compute does not stay up')):
            found = self.play(Runner(), detection.OURS)
        self.assertEqual(
            ('not tested', 'LabError: nova-compute does not stay up'),
            (found['result'], found['text']))
        self.assertTrue(found['ended'])


def row(kind=loader.DEFECT, **results):
    return {'bug': 'late', 'kind': kind, 'number': '1', 'commit': 'abc',
            'services': ['nova-compute'], 'effect': '',
            **{part: {'result': result, 'by': ['outage'], 'text': '',
                      'fired': 2, 'seconds': 90}
               for part, result in results.items()}}


class TableTest(unittest.TestCase):

    def test_right(self):
        for kind, results, right in (
                (loader.DEFECT, {'ours': 'seen', 'stock': 'passed'}, True),
                (loader.DEFECT, {'ours': 'passed', 'comparison': 'seen'},
                 True),
                (loader.DEFECT, {'ours': 'passed', 'stock': 'seen'}, False),
                (loader.DEFECT, {'ours': 'never fired'}, False),
                (loader.DEFECT, {'ours': 'skipped'}, True),
                (loader.CONTROL, {'ours': 'passed', 'stock': 'passed'},
                 True),
                (loader.CONTROL, {'ours': 'passed', 'comparison': 'seen'},
                 False),
                (loader.CORRECTION, {'ours': 'seen by another check'},
                 False)):
            with self.subTest(kind=kind, results=results):
                self.assertIs(right, detection.is_right(row(kind, **results)))

    def test_cells(self):
        measured = row(loader.CONTROL, ours='passed', stock='seen')
        measured['ours']['ended'] = '2026-11-28T08:00:00Z'
        self.assertEqual(
            ['late', '1', 'abc', 'nova-compute', 'control', '2 / - / 2',
             'passed (outage)', '-', 'seen (outage)', '3',
             '2026-11-28T08:00:00Z / - / ?'],
            detection.cells(measured))

    def test_totals(self):
        self.assertEqual([
            'bugs seen: ours 1 of 1, comparison 1 of 2, stock 0 of 0',
            'false alarms in controls and corrections: ours 0 of 1, '
            'comparison 0 of 0, stock 0 of 0'],
            detection.totals([
                row(ours='seen', comparison='passed'),
                row(ours='not tested', comparison='seen'),
                row(loader.CONTROL, ours='passed')]))

    def test_damaged_file(self):
        path = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory())) / 'detection.json'
        path.write_text('[]')
        with self.assertRaisesRegex(errors.LabError, 'cannot be read'):
            detection.Table(path)


class MainTest(unittest.TestCase):

    def setUp(self):
        folder = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()))
        self.paths = layout.Layout(folder)
        self.paths.workspace.mkdir()
        (self.paths.cloud / 'bugs').mkdir(parents=True)
        self.chosen = [bug(), bug('control', loader.CONTROL),
                       bug('untested', test='')]
        self.tested = []

    def play(self, detection_, bug_, part):
        self.tested.append((bug_.name, part))
        if self.interrupt:
            raise utils.Interrupted('SIGTERM')
        seen = bug_.kind == loader.DEFECT
        detection_._table.add(bug_, part, {
            'result': 'seen' if seen else 'passed', 'by': [], 'text': '',
            'fired': 1, 'seconds': 1})

    def main(self, *arguments, interrupt=False):
        self.interrupt = interrupt
        self.tested.clear()
        with mock.patch.object(layout, 'Layout', return_value=self.paths), \
                mock.patch.object(lifecycle, 'recorded'), \
                mock.patch.object(bugs, 'choose',
                                  return_value=self.chosen), \
                mock.patch.object(
                    detection.Detection, 'test', autospec=True,
                    side_effect=self.play), \
                contextlib.redirect_stdout(io.StringIO()) as stdout, \
                mock.patch.object(runner, 'Runner', mock.MagicMock()):
            code = detection.main(list(arguments))
        return code, stdout.getvalue()

    def test_goes_on(self):
        code, _ = self.main(interrupt=True)
        self.assertEqual((130, 1), (code, len(self.tested)))
        code, text = self.main()
        self.assertEqual((0, 6), (code, len(self.tested)))
        self.assertIn('ours 1 of 1, comparison 1 of 1, stock 1 of 1', text)
        self.main()
        self.assertEqual([], self.tested)
        self.main('--only', 'stock', '--again')
        self.assertEqual([('late', 'stock'), ('control', 'stock')],
                         self.tested)

    def test_active_bug_of_an_interrupted_command(self):
        (self.paths.cloud / 'bugs' / 'active').write_text('late\n')
        with self.assertRaisesRegex(errors.LabError, r'late.*--clear'):
            self.main()


class ProfileTest(unittest.TestCase):

    def test_enough_drains_for_a_comparison(self):
        found = dict(line.split(' = ') for line in
                     detection.PROFILE.splitlines()[1:])
        self.assertGreaterEqual(2 * int(found['round_trips']), 6)
        self.assertEqual(found['drain_servers'], found['batch_sizes'])
