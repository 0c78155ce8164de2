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
import os
import pathlib
import re
import signal
import types

import msgspec

from lab import errors
from lab.gate import __main__ as gate
from lab.gate import preparation
from lab import lifecycle
from lab import reload
from lab.services import keystone
from lab.tests.unit import base
from lab.tests.unit.gate import test_verdict
from lab.topology import Topology
from lm_tempest_plugin.cloud.setup import configuration
from lm_tempest_plugin.commands import tempest_run
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit.results import builders

TEST = 'x.live_migration_ha.DrainTest.test_drain_in_window'


class TempestRun:
    """Stands in for `tempest run`: writes results, and ends at once.

    :cvar play: called with the nova that runs; returns the lines of the
        results, and the ids of the tests that fail
    """

    current = play = None

    def __init__(self, arguments, directory, variables, log):
        conf = (pathlib.Path(variables['TEMPEST_CONFIG_DIR']) /
                variables['TEMPEST_CONFIG']).read_text()
        folder = re.findall('results_directory = (.*)', conf)[-1]
        self.runs.append((self.current[0], arguments[-1], conf))
        lines, failed = type(self).play(self.current[0])
        if lines:
            builders.write(folder, f'run-{len(self.runs)}', lines)
        log.write_text(''.join(
            f'{{0}} {each} [1.5s] ... FAILED\n' for each in failed))
        self.exit_code = int(bool(failed))
        self.interrupted = self.killed = False

    def wait(self, timeout_s):
        return self.exit_code

    def interrupt(self):
        self.interrupted = True

    def kill(self):
        self.killed = True


def lines(seed, longer_s=0.0, problems=()):
    """Return the lines of one run of a pair."""
    found = test_verdict.side(1, seed, longer_s=longer_s)
    drains = iter(found.drains)
    for each in found.migrations:
        yield msgspec.structs.replace(
            each, problems=problems, test=TEST)
    yield from drains


class TestGate(base.TestCase):

    def setUp(self):
        super().setUp()
        self.write(self.layout.tempest_conf, '[DEFAULT]\n')
        os.environ['LM_LAB_DIR'] = str(self.layout.root)
        self.switched = []
        self.servers = []
        self.longer_s = 0.0
        self.reasons = {}
        TempestRun.runs = self.runs = []
        TempestRun.current = ['']
        TempestRun.play = self._play
        self.patch(tempest_run, 'TempestRun', TempestRun)
        self.patch(tempest_run, 'POLL_S', 0.0)
        self.patch(lifecycle, 'recorded', lambda paths: Topology())
        self.patch(reload, 'current', lambda paths, topology: {
            host.name: pathlib.Path('/before') for host in topology.hosts})
        self.patch(reload, 'switch', self._switch)
        self.patch(keystone, 'connect', lambda paths: types.SimpleNamespace(
            compute=types.SimpleNamespace(
                servers=lambda all_projects: self.servers)))
        for number in gate.utils.SIGNALS:
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def _switch(self, lab, wanted):
        self.assertEqual({'controller', 'compute1', 'compute2'}, set(wanted))
        nova, = {venv.name for venv in wanted.values()}
        self.switched.append(nova)
        TempestRun.current = [nova]
        if isinstance(self.reasons.get(nova), Exception):
            raise self.reasons[nova]

    def _play(self, nova):
        reason = self.reasons.get(nova)
        if reason == 'nothing':
            return [], []
        if reason:
            return [*lines(len(self.runs), problems=(
                builders.problem(reason),)), schema.TestFailure(
                    test=TEST, reason=reason)], [TEST]
        return list(lines(len(self.runs), self.longer_s * (
            nova == 'change'))), []

    def _main(self, looks=(2, 4, 6), limit_s=1e6, **changes):
        plan = preparation.Plan(**{
            'base_name': 'HEAD^', 'base_commit': 'abc',
            'change_name': '/nova', 'profile': 'quick', 'looks': looks,
            'limit_s': limit_s, 'folder': str(self.layout.workspace / 'gate'),
            'base_venv': '/base', 'change_venv': '/change', **changes})
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = gate.main([plan.as_json()])
        self.assertEqual('before', self.switched[-1])
        self.assertFalse(
            self.layout.tempest_conf.with_name('tempest-gate.conf').exists())
        self.lines = out.getvalue().splitlines()
        return code, self.lines[-1]

    def _report(self):
        folder = self.layout.workspace / 'gate'
        return (json.loads((folder / 'report.json').read_text()),
                (folder / 'report.html').read_text())

    def test_no_worse(self):
        code, text = self._main()
        self.assertEqual(0, code, text)
        self.assertTrue(text.startswith('no worse than HEAD^: '), text)
        self.assertRegex(text, r'\((2|4|6) pairs\)$')
        data, page = self._report()
        self.assertEqual(('no worse', text), (
            data['outcome'], data['verdict']))
        self.assertIn('/nova, compared with HEAD^', page)
        self.assertIn(text.partition(':')[0], page)

    def test_pairs_alternate(self):
        self.longer_s = 0.6
        self._main()
        self.assertEqual(['base', 'change', 'change', 'base', 'before'],
                         self.switched)

    def test_worse(self):
        self.longer_s = 0.6
        code, text = self._main()
        self.assertEqual(1, code)
        self.assertRegex(text, r'^worse: outage \+0\.[56]\d* s \(.*\), stall')
        self.assertEqual('worse', self._report()[0]['outcome'])

    def test_options_of_a_run(self):
        self.longer_s = 0.6
        self._main()
        for _, regex, conf in self.runs:
            self.assertIn('test_drain_in_window', regex)
            for option in ('drain_servers = 2', 'round_trips = 3',
                           'max_outage = 10'):
                self.assertIn(option, conf)
            self.assertLess(conf.rindex('round_trips = 1'),
                            conf.rindex('round_trips = 3'))

    def test_limit(self):
        code, text = self._main(limit_s=-1, looks=(2, 4))
        self.assertEqual(125, code)
        self.assertRegex(text, r'^undecided: .*\(1 pair\)$')
        self.assertEqual(['base', 'change', 'before'], self.switched)

    def test_change_fails(self):
        self.reasons['change'] = 'the guest is lost'
        code, text = self._main()
        self.assertEqual(1, code)
        self.assertEqual(
            'fails: test_drain_in_window: outage: the guest is lost', text)
        self.assertEqual(['base', 'change', 'before'], self.switched)
        data, page = self._report()
        self.assertEqual('fails', data['outcome'])
        self.assertIn('the guest is lost', page)

    def test_base_fails(self):
        self.reasons['base'] = 'the guest is lost'
        code, text = self._main()
        self.assertEqual(125, code)
        self.assertIn('undecided: HEAD^ itself fails: test_drain', text)

    def test_base_fails_later(self):
        def play(nova):
            # The base begins the first pair, and ends the second.
            self.reasons = {nova: 'the guest is lost'} if len(
                self.runs) == 4 else {}
            return self._play(nova)
        TempestRun.play = play
        self.longer_s = 0.6
        code, text = self._main(looks=(4,))
        self.assertEqual((8, 1), (len(self.runs), code), text)
        self.assertIn('With HEAD^: test_drain_in_window: outage: the guest',
                      '\n'.join(self.lines))

    def test_nova_does_not_start(self):
        for nova, code, said in (
                ('change', 1, 'fails: nova does not start: No port'),
                ('base', 125, 'undecided: HEAD^ itself fails: nova does not')):
            self.reasons = {nova: errors.LabError('No port.')}
            self.switched.clear()
            found = self._main(folder=str(self.folder / nova))
            self.assertEqual(code, found[0])
            self.assertTrue(found[1].startswith(said), found[1])

    def test_no_results(self):
        self.reasons['change'] = 'nothing'
        code, text = self._main()
        self.assertEqual(1, code)
        self.assertIn('fails: no test migrated a server (exit code 0): see ',
                      text)

    def test_profile(self):
        self.longer_s = 0.6
        code, _ = self._main(profile='gate')
        self.assertEqual(1, code)
        self.assertEqual(['change', 'base'], self.switched[:2])
        self.assertEqual(configuration.load_profile('gate').regex,
                         self.runs[0][1])
        self.assertNotIn('max_outage = 10', self.runs[0][2])

    def test_profile_fails(self):
        self.reasons['change'] = 'the guest is lost'
        code, text = self._main(profile='gate')
        self.assertEqual(1, code)
        self.assertEqual(['change', 'base', 'before'], self.switched)
        self.assertEqual(re.escape(TEST), self.runs[1][1])
        self.assertTrue(text.startswith('fails: test_drain_in_window: '))
        self.assertIn('the guest is lost', self._report()[1])

    def test_profile_fails_on_both(self):
        self.reasons = dict.fromkeys(('base', 'change'), 'the guest is lost')
        self._main(profile='gate')
        self.assertIn('The same tests fail with HEAD^.',
                      '\n'.join(self.lines))
        self.assertEqual(['change', 'base', 'base'], self.switched[:3])

    def test_signal(self):
        for place in (0, 1):
            self.switched.clear()

            def play(nova, place=place):
                if len(self.switched) > place:
                    os.kill(os.getpid(), signal.SIGINT)
                return self._play(nova)
            TempestRun.play = play
            code, text = self._main(folder=str(self.folder / str(place)))
            self.assertEqual(130, code)
            self.assertIn('nothing was decided', text)
            self.assertEqual(place + 2, len(self.switched))

    def test_signal_while_nova_starts(self):
        def switch(lab, wanted):
            self.switched.append('before')
            if len(self.switched) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
                raise errors.LabError('nova-manage was interrupted.')
        self.patch(reload, 'switch', switch)
        self.assertEqual(130, self._main()[0])
        self.assertEqual(2, len(self.switched))

    def test_servers(self):
        self.servers = [types.SimpleNamespace(name='mine')]
        with self.assertRaisesRegex(errors.LabError, r'1 server \(mine\)'):
            self._main()
        self.assertEqual([], self.switched)

    def test_old_cloud(self):
        self.patch(reload, 'current', lambda paths, topology: {})
        with self.assertRaisesRegex(errors.LabError, 'older than this'):
            self._main()


class TestMedians(base.TestCase):

    def test_medians(self):
        self.assertRegex(
            gate.medians(test_verdict.side(1)), r'^median duration [\d.]+ s, '
            r'median outage [\d.]+ s, median stall [\d.]+ s$')
        self.assertEqual('no figures', gate.medians(gate.store.Results()))
