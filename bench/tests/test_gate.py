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
import unittest
from unittest import mock

import numpy

from bench import gate
from lab.gate import verdict
from lm_tempest_plugin.results import schema


class GateTest(unittest.TestCase):

    def main(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            code = gate.main(['--gates', '4', *arguments])
        return code, stdout.getvalue().splitlines()

    def test_claims_hold(self):
        code, lines = self.main()
        self.assertEqual(0, code, lines)
        self.assertEqual(len(gate.SCENARIOS), len(lines))
        self.assertIn('PASS no effect: "worse" in 0.0 % of gates', lines[0])
        self.assertIn('(worse after 2 pairs 4)', lines[-1])

    def test_claim_that_does_not_hold(self):
        with mock.patch.object(gate, 'SCENARIOS', (
                gate.Scenario('outages', verdict.WORSE, 3.0, longer_s=0.6),)):
            code, lines = self.main()
        self.assertEqual(1, code)
        self.assertIn('FAIL outages: "worse" in 100.0 % of gates', lines[0])

    def test_same_seed(self):
        self.assertEqual(self.main('--seed', '3'), self.main('--seed', '3'))

    def test_effects(self):
        def medians(scenario):
            lines = [line for line in gate.run_lines(
                numpy.random.default_rng(1), scenario, 0.0)
                if isinstance(line, schema.MigrationResult)]
            self.assertEqual(12, len(lines))
            return (numpy.median([each.duration_s for each in lines]),
                    numpy.median([each.continuity.outage.longest_s
                                  for each in lines]))
        before = medians(gate.Scenario('', '', 0.0))
        after = medians(gate.Scenario('', '', 0.0, longer_s=0.6, slower=2.0))
        self.assertGreater(after[0], 1.5 * before[0])
        self.assertAlmostEqual(0.6, after[1] - before[1])

    def test_runs_have_names_of_their_own(self):
        results = gate.store.Results()
        for _ in range(2):
            gate.add_run(results, gate.run_lines(
                numpy.random.default_rng(1), gate.SCENARIOS[0], 0.0))
        self.assertEqual({'run-0': 12, 'run-6': 12}, {
            name: sum(each.run == name for each in results.migrations)
            for name in {each.run for each in results.drains}})

    def test_stall(self):
        for outage_s, found in ((0.0, 0.3), (0.3, 0.7), (0.9, 1.5), (4, 8.1)):
            self.assertAlmostEqual(found, gate.stall_s(outage_s))
