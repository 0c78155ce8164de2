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

import dataclasses
import datetime
import json
import os

import fixtures

from lm_tempest_plugin.probes import json_document
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

PROBER = [
    'period_s', 'achieved_period_s', 'lateness_p50_s', 'lateness_p99_s',
    'lateness_max_s', 'max_gap_s', 'due', 'deadlines_missed',
    'send_errors', 'wall_clock_steps', 'kernel_stamps_refused',
    'answers_dropped', 'too_busy', 'remarks', 'cpu_s']
CALIBRATION = [
    'targets', 'duration_s', 'noise_floor_s', 'delay_p50_s', 'delay_p99_s',
    'achieved_period_s', 'lateness_p50_s', 'lateness_p99_s',
    'lateness_max_s', 'too_busy']
TARGET = [
    'address', 'error', 'sent', 'answered', 'late', 'lost',
    'scattered_losses', 'send_errors', 'longest_outage_s',
    'longest_outage_start_monotonic_s', 'error_bound_s',
    'longest_outage_open', 'outages_sum_s', 'outages_count', 'outages',
    'delay_p50_s', 'delay_p99_s', 'period_s', 'achieved_period_s',
    'max_gap_s', 'resolution_s', 'lateness_p50_s', 'lateness_p99_s',
    'lateness_max_s', 'duplicates', 'strangers', 'longest_outage_start',
    'tcp']
TCP = [
    'port', 'longest_stall_start_monotonic_s', 'longest_stall_start',
    'longest_stall_s', 'longest_stall_open', 'stall_error_bound_s',
    'never_echoed', 'messages_sent', 'messages_outstanding',
    'messages_lost', 'messages_repeated', 'messages_corrupt',
    'messages_corrupt_example', 'messages_skipped', 'last_sent',
    'last_echoed', 'connection_broken', 'breaks', 'breaks_total', 'resets',
    'closes', 'reconnects', 'connect_failures', 'connect_error',
    'retransmissions', 'error', 'trouble', 'period_s', 'achieved_period_s']


def items(value):
    """Yield each name with its value, at any depth."""
    if isinstance(value, dict):
        for name, content in value.items():
            yield name, content
            yield from items(content)
    elif isinstance(value, list):
        for content in value:
            yield from items(content)


class DocumentTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.recorded = fakes.recorded()
        self.document = json_document.document(self.recorded)
        self.well, self.silent = self.document['targets']

    def only(self, seen, **kwargs):
        """Return the entry of one guest."""
        target, = json_document.document(fakes.recorded(
            icmp={seen.target: seen}, tcp={}, **kwargs))['targets']
        return target

    def tcp_error(self, **kwargs):
        """Return the error of a guest that answers to ICMP."""
        stream = dataclasses.replace(
            self.recorded.tcp['192.0.2.1'], **kwargs)
        target, _ = json_document.document(fakes.recorded(
            tcp={'192.0.2.1': stream}))['targets']
        return target['error']

    def test_the_observation(self):
        self.assertEqual(
            ('2023-11-14T22:13:20.000+00:00', 5000.0, 10.0, 0.01), tuple(
                self.document[name] for name in (
                    'started', 'started_monotonic_s', 'duration_s',
                    'interval_s')))
        self.assertEqual(json_document.SCHEMA, self.document['schema'])
        self.assertEqual(
            ['192.0.2.1', '2001:db8::1'],
            [target['address'] for target in self.document['targets']])

    def test_json_takes_it_as_it_is(self):
        self.assertEqual(self.document, json.loads(
            json.dumps(self.document, allow_nan=False)))

    def test_all_that_is_a_time_says_its_unit(self):
        for name, value in items(self.document):
            if isinstance(value, float):
                self.assertTrue(name.endswith('_s'), name)
            if name.endswith('_s') and value is not None:
                self.assertIsInstance(value, float, name)

    def test_times_of_day_say_their_zone(self):
        seen = 0
        for name, value in items(self.document):
            if value and (name.endswith('start') or name == 'started'):
                seen += 1
                at = datetime.datetime.fromisoformat(value)
                self.assertEqual(datetime.timedelta(0), at.utcoffset())
                self.assertEqual(
                    1_700_000_000, at.timestamp() // 100 * 100)
        # Of the observation; twice of each outage; of each stall.
        self.assertEqual(1 + 2 * 2 + 2, seen)

    def test_the_longest_outage(self):
        self.assertEqual(1, self.well['outages_count'])
        outage, = self.well['outages']
        for value in (self.well['longest_outage_s'],
                      self.well['outages_sum_s'], outage['duration_s']):
            self.assertLess(abs(value - 1.0), self.well['error_bound_s'])
        self.assertTrue(0 < self.well['error_bound_s'] < 0.02)
        self.assertEqual(
            (1000, 900, 100, 0, False), tuple(self.well[name] for name in (
                'sent', 'answered', 'lost', 'late', 'longest_outage_open')))
        # Between the requests at 2.99 and 3.00 s.
        self.assertEqual(
            '2023-11-14T22:13:22.995', self.well['longest_outage_start'][:23])
        self.assertEqual(self.well['longest_outage_start'], outage['start'])
        self.assertAlmostEqual(
            5002.995, self.well['longest_outage_start_monotonic_s'],
            delta=0.0001)

    def test_no_outage(self):
        target = self.only(fakes.observed())
        self.assertEqual(
            (0.0, None, None, [], None), tuple(target[name] for name in (
                'longest_outage_s', 'longest_outage_start',
                'longest_outage_start_monotonic_s', 'outages', 'error')))
        self.assertGreater(target['error_bound_s'], 0)
        self.assertEqual(0.0, target['outages_sum_s'])
        self.assertIsInstance(target['outages_sum_s'], float)

    def test_it_never_answered(self):
        self.assertIn('2001:db8::1 never answered', self.silent['error'])
        self.assertTrue(self.silent['longest_outage_open'])
        self.assertAlmostEqual(
            10, self.silent['longest_outage_s'],
            delta=self.silent['error_bound_s'] + 0.0001)

    def test_it_answered_only_once(self):
        target = self.only(fakes.observed(lost=range(1, 1000)))
        self.assertTrue(target['longest_outage_open'])
        # It cannot have begun before the first question.
        self.assertAlmostEqual(10, target['longest_outage_s'],
                               delta=target['error_bound_s'] + 0.0001)
        self.assertIsNone(target['error'])

    def test_what_could_not_be_sent(self):
        self.assertIn('3 requests could not be sent to 2001:db8::1: no '
                      'buffer space; ', self.silent['error'])
        # Where nothing was sent, nothing could be answered.
        target = self.only(fakes.observed(
            count=0, send_errors=1000, send_error='no route to host'))
        self.assertEqual(
            '1000 requests could not be sent to 192.0.2.1: no route to host',
            target['error'])

    def test_it_was_never_asked(self):
        target = self.only(fakes.observed(count=0))
        self.assertEqual(
            '192.0.2.1 was never probed: the duration is shorter than one '
            'interval', target['error'])
        self.assertEqual((0, 0, []), (
            target['sent'], target['lost'], target['outages']))

    def test_asked_once_it_was_asked(self):
        self.assertIsNone(self.only(fakes.observed(count=1))['error'])

    def test_the_gap_before_the_first_question_counts(self):
        started = recording.Clocks(
            fakes.BEGIN_NS - 2000 * fakes.MS,
            fakes.BEGIN_WALL_NS - 2000 * fakes.MS)
        target = self.only(fakes.observed(), started=started)
        self.assertAlmostEqual(2.0, target['max_gap_s'], delta=0.01)
        self.assertLess(
            self.only(fakes.observed())['max_gap_s'], 0.02)

    def test_trouble_with_tcp_is_named(self):
        self.assertIn('; TCP port 7 of 2001:db8::1: connection refused (20 '
                      'attempts)', self.silent['error'])
        self.assertIn(self.silent['tcp']['trouble'], self.silent['error'])
        self.assertTrue(self.silent['tcp']['never_echoed'])

    def test_a_guest_that_is_well_has_no_error(self):
        # Even though its connection broke: that is a figure.
        self.assertIsNone(self.tcp_error(corrupt=0))

    def test_lines_that_were_never_sent(self):
        self.assertEqual(
            'TCP port 7 of 192.0.2.1 sent back 2 lines that it was never '
            'sent, the first: \u201cx\u201d', self.well['error'])

    def test_they_are_named_once_where_the_connection_was_given_up(self):
        self.assertEqual(
            'it does not echo',
            self.tcp_error(connected=False, error='it does not echo'))

    def test_what_came_that_was_not_expected(self):
        self.assertEqual((1, 2), (
            self.well['duplicates'], self.well['strangers']))
        self.assertEqual((0, 0), (
            self.silent['duplicates'], self.silent['strangers']))

    def test_the_longest_stall(self):
        tcp = self.well['tcp']
        # From the echo of message 59 to that of message 80.
        self.assertAlmostEqual(1.05, tcp['longest_stall_s'], delta=0.001)
        self.assertEqual('2023-11-14T22:13:22.950',
                         tcp['longest_stall_start'][:23])
        self.assertEqual(
            (7, False, 1, 1, 20, 5, 199, 199), tuple(tcp[name] for name in (
                'port', 'longest_stall_open', 'resets', 'reconnects',
                'messages_lost', 'retransmissions', 'last_sent',
                'last_echoed')))
        self.assertFalse([name for name in tcp if name.startswith('tcp_')])

    def test_without_tcp_and_calibration(self):
        recorded = fakes.recorded(tcp={}, calibration=None)
        document = json_document.document(recorded)
        self.assertIsNone(document['calibration'])
        self.assertEqual(
            [None, None], [one['tcp'] for one in document['targets']])

    def test_the_prober_and_the_calibration(self):
        prober = self.document['prober']
        self.assertEqual((3, 1, 2, 3), tuple(prober[name] for name in (
            'send_errors', 'wall_clock_steps', 'kernel_stamps_refused',
            'answers_dropped')))
        self.assertTrue(prober['too_busy'])
        self.assertEqual(4, len(prober['remarks']))
        self.assertEqual(0.0007, self.document['calibration'][
            'noise_floor_s'])

    def test_the_same_from_a_file(self):
        path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'recording')
        recording.save(self.recorded, path)
        self.assertEqual(
            self.document, json_document.document(recording.load(path)))

    def test_an_outage(self):
        found = json_document._outage(self.recorded, schema.Outage(
            start_ns=1000 * fakes.MS, end_ns=1250 * fakes.MS,
            duration_s=0.25, error_bound_s=0.01, lost=20, late=5,
            kind='mixed', open=False))
        del found['start']
        self.assertEqual({
            'start_monotonic_s': 1.0, 'end_monotonic_s': 1.25,
            'duration_s': 0.25, 'error_bound_s': 0.01, 'lost': 20,
            'late': 5, 'kind': 'mixed', 'open': False}, found)

    def test_its_keys_stay_the_same_for_other_programs(self):
        self.assertEqual(
            ['schema', 'started', 'started_monotonic_s', 'duration_s',
             'interval_s', 'prober', 'calibration', 'targets'],
            list(self.document))
        self.assertEqual(PROBER, list(self.document['prober']))
        self.assertEqual(CALIBRATION, list(self.document['calibration']))
        for target in self.document['targets']:
            self.assertEqual(TARGET, list(target))
            self.assertEqual(TCP, list(target['tcp']))
