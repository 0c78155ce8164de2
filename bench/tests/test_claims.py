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

import testtools

from bench.precision import claims
from bench.precision import results


def row(error_s=0.001, tool=claims.REFERENCE, part='trials', kind='drop',
        length_s=1.0, bound_s=0.01):
    own = tool.startswith('our')
    return results.OutageError(
        part, tool, kind, length_s, length_s, 0.0, length_s + error_s,
        bound_s if own else None, 0.01 if own else None)


def verdict(number, **found):
    claim = claims.check(results.BenchResults(**found))[number - 1]
    assert claim.number == number
    return claim.passed


def scenario(name, **more):
    return {'scenario': name, 'tool': claims.REFERENCE, 'period_s': 0.01,
            'length_s': 60.0, **more}


class ClaimsTest(testtools.TestCase):

    def test_nothing_found_is_nothing_claimed(self):
        checked = claims.check(results.BenchResults())
        self.assertEqual(list(range(1, 8)),
                         [claim.number for claim in checked])
        self.assertEqual({None}, {claim.passed for claim in checked})
        self.assertEqual({'-'}, {claim.verdict for claim in checked})

    def test_1_each_kind_counts_by_itself(self):
        good = [row() for _ in range(95)]
        bad = [row(0.011) for _ in range(5)]
        self.assertTrue(verdict(1, readings=good + bad))
        self.assertFalse(verdict(1, readings=good[1:] + bad))
        self.assertFalse(verdict(
            1, readings=good * 9 + [row(0.011, kind='hold')]))
        # Those of 0.02 s are none of its business.
        self.assertTrue(verdict(1, readings=[
            *good, row(0.011, kind='hold', length_s=0.02)]))

    def test_2_one_error_outside_is_too_many(self):
        self.assertTrue(verdict(2, readings=[row(0.0099)] * 99))
        self.assertFalse(verdict(2, readings=[row()] * 99 + [
            row(-0.02, length_s=0.02)]))
        # With hogs it is the last claim's business.
        passed, _ = claims.in_bound(results.BenchResults(readings=[
            row(), row(1.0, part='trials, 2 hogs')]))
        self.assertTrue(passed)

    def test_3_random_loss(self):
        for longest_s, passed in ((0.0209, True), (0.022, False)):
            self.assertEqual(passed, verdict(3, scenarios=[
                scenario('random loss', figure_s=longest_s)]))

    def test_4_ten_outages(self):
        for count, longest_s, passed in (
                (10, 0.205, True), (9, 0.2, False), (10, 0.215, False)):
            self.assertEqual(passed, verdict(4, scenarios=[scenario(
                'ten outages', count=count, figure_s=longest_s,
                bound_s=0.01)]))

    def test_5_times_better_than_the_meter(self):
        for meter_s, passed in ((0.0151, True), (0.0149, False)):
            self.assertEqual(passed, verdict(5, readings=[
                row(), row(-meter_s, claims.METER)]))

    def test_6_many_targets(self):
        part = 'scale, 300 targets'
        good = {'part': part, 'targets': 300, 'cpu_share': 0.9,
                'lateness_p99_s': 0.002}
        self.assertTrue(verdict(
            6, scale=[good], readings=[row(part=part)]))
        for bad in ({'cpu_share': 1.1}, {'lateness_p99_s': 0.0031}):
            self.assertFalse(verdict(
                6, scale=[{**good, **bad}], readings=[row(part=part)]))
        self.assertFalse(verdict(
            6, scale=[good], readings=[row(0.011, part=part)]))

    def test_7_hogs(self):
        part = 'trials, 2 hogs'
        for error_s, busy, passed in (
                (0.001, False, True), (0.02, True, True),
                (0.02, False, False)):
            self.assertEqual(passed, verdict(
                7, readings=[row(error_s, part=part)],
                runs=[results.ProbeRun(part, claims.REFERENCE, 1, 1.0, 1.0,
                                       {'too_busy': busy}, None)]))
