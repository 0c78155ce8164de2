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

import json

import testtools

from bench.precision import errors
from bench.precision import prober

NS = 1_000_000_000


def outage(start_s, end_s, **more):
    return {'start_monotonic_s': start_s, 'end_monotonic_s': end_s,
            'duration_s': end_s - start_s, 'error_bound_s': 0.01,
            'kind': 'lost', **more}


def output(*outages, **more):
    return json.dumps({
        'schema': 1, 'started_monotonic_s': 5.5, 'interval_s': 0.01,
        'prober': {'too_busy': False},
        'targets': [{'address': 'a', 'error': None, 'resolution_s': 0.02,
                     'outages': outages}], **more})


class ReportTest(testtools.TestCase):

    def test_the_longest_that_overlaps_is_taken(self):
        report = prober.parse(output(
            outage(8.0, 9.9), outage(10.1, 10.2), outage(10.3, 10.9)))
        reading = report.reading('a', 10 * NS, 11 * NS)
        self.assertAlmostEqual(0.6, reading.figure_s)
        self.assertEqual(0.01, reading.bound_s)

    def test_without_one_it_read_0(self):
        report = prober.parse(output(outage(8.0, 9.9)))
        self.assertEqual(prober.Reading(0.0, 0.02),
                         report.reading('a', 10 * NS, 11 * NS))

    def test_a_target_that_could_not_be_watched(self):
        report = prober.parse(output())
        self.assertRaises(errors.BenchError, report.reading, 'b', 0, 1)

    def test_troubles(self):
        self.assertEqual([], prober.parse(output()).troubles)
        report = prober.parse(output(targets=[
            {'address': 'a', 'error': 'no route', 'outages': []}]))
        self.assertEqual(['no route'], report.troubles)

    def test_other_output_is_an_error(self):
        for text in ('', 'no JSON', output(schema=2)):
            self.assertRaises(errors.BenchError, prober.parse, text)

    def test_who_starts_late_is_found_out(self):
        report = prober.parse(output())
        prober.check_started([report], 6 * NS)
        self.assertRaises(errors.BenchError, prober.check_started,
                          [report], 5 * NS)
