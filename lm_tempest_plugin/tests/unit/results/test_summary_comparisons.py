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

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders

MEDIUM = {'name': 'lm.medium', 'vcpus': 2, 'ram_gib': 1.0, 'disk_gib': 1.0}


def summarize(lines):
    return summary.summarize(builders.read(lines))


class TrendsTest(base.TestCase):

    def lines(self, trips, service_s, **changes):
        return [line for trip in range(1, trips + 1)
                for line in builders.drain_lines(
                    trip, [service_s(trip)] * 2, trip=trip, **changes)]

    def drift(self, found, quantity):
        each, = (each for each in found.drifts if each.quantity == quantity)
        return each

    def test_drift(self):
        found = summarize(self.lines(8, lambda trip: 10 + 0.5 * trip))
        drift = self.drift(found, 'service_s')
        self.assertEqual(8, drift.trips)
        self.assertAlmostEqual(0.5, drift.per_trip.value)
        self.assertTrue(drift.per_trip.excludes(0))
        self.assertFalse(
            self.drift(found, 'outage_s').per_trip.excludes(0))

    def test_two_trips_are_none(self):
        self.assertEqual((), summarize(
            self.lines(2, lambda trip: 10 + trip)).drifts)

    def test_trips_of_two_runs_are_not_put_together(self):
        one = builders.read(self.lines(4, lambda trip: 10 + trip))
        other = builders.read(self.lines(4, lambda trip: 10 + trip))
        both = collection.Collection(
            one.runs, [*one.attempts, *(
                dataclasses.replace(each, run='run-2')
                for each in other.attempts)], (), (), ())
        self.assertEqual((), summary.summarize(both).drifts)

    def test_fit(self):
        found = summarize([
            *self.lines(3, lambda trip: 9.0),
            *self.lines(3, lambda trip: 12.25, flavor=MEDIUM)])
        fit, = found.fits
        self.assertEqual('2 servers, window of 2', str(fit.way))
        # 3.25 s for 0.8125 GiB more; what servers waited is left out.
        self.assertAlmostEqual(4, fit.fit.seconds_per_gib.value)
        self.assertEqual(12, fit.fit.count)

    def test_no_fit_of_one_size(self):
        self.assertEqual((), summarize(self.lines(
            3, lambda trip: 9.0)).fits)


class DifferencesTest(base.TestCase):

    def lines(self, cell, service_s, **changes):
        return [line for trip in range(1, 5)
                for line in builders.drain_lines(
                    trip, [service_s + 0.1 * trip, service_s], trip=trip,
                    cell=cell, **changes)]

    def effects(self, *lots):
        found = summarize(line for lot in lots for line in lot).differences
        return {(each.setting, each.quantity): each for each in found}

    def test_one_setting(self):
        found = self.effects(
            self.lines(builders.cell(tunnelled=True), 15.0),
            self.lines(builders.cell(tunnelled=False), 10.0))
        self.assertEqual({'tunnelled'}, {key[0] for key in found})
        service = found['tunnelled', 'service_s']
        self.assertEqual('block, tunnelled off', str(service.before))
        self.assertEqual('block, tunnelled on', str(service.after))
        self.assertTrue(service.effect.found)
        self.assertFalse(service.effect.paired)
        self.assertAlmostEqual(5, service.effect.difference.value)
        self.assertFalse(found['tunnelled', 'outage_s'].effect.found)

    def test_storage(self):
        found = self.effects(
            self.lines(builders.cell('shared'), 5.0),
            self.lines(builders.cell('block'), 10.0))
        self.assertEqual({'storage'}, {key[0] for key in found})
        self.assertAlmostEqual(
            -5, found['storage', 'service_s'].effect.difference.value)

    def test_two_settings_at_once_tell_nothing(self):
        self.assertEqual({}, self.effects(
            self.lines(builders.cell(tunnelled=True, post_copy=True), 5.0),
            self.lines(builders.cell(tunnelled=False, post_copy=False),
                       9.0)))

    def test_what_is_not_said_may_differ(self):
        self.assertEqual({}, self.effects(
            self.lines(builders.cell(tunnelled=True, post_copy=True), 5.0),
            self.lines(builders.cell(tunnelled=True), 9.0)))
        self.assertEqual({}, self.effects(
            self.lines(builders.cell(''), 5.0),
            self.lines(builders.cell('block'), 9.0)))

    def test_other_servers_are_not_paired(self):
        found = self.effects(
            self.lines(builders.cell(tunnelled=False), 10.0),
            [(kind, {**body, 'server_id': 'other-%s' % body.get(
                'server_id')}) for kind, body in self.lines(
                    builders.cell(tunnelled=True), 15.0)])
        effect = found['tunnelled', 'service_s'].effect
        self.assertFalse(effect.paired)
        self.assertTrue(effect.found)
        self.assertEqual(16, effect.difference.count)

    def test_no_figures_no_difference(self):
        # Tunnelled block migration is refused.
        refused = [
            ('attempt', builders.failed_line(
                number, cell=builders.cell(tunnelled=True), violations=[]))
            for number in range(3)]
        found = self.effects(
            refused, self.lines(builders.cell(tunnelled=False), 10.0))
        self.assertEqual({'outage_s', 'stall_s'}, {key[1] for key in found})


class RecommendationTest(base.TestCase):

    def lines(self, limit, ran, wall_s, storage='block', **changes):
        return [line for number in range(5) for line in builders.drain_lines(
            10 * ran + number, [2.0] * 4,
            cell=builders.cell(
                storage, max_concurrent_live_migrations=limit),
            wall_s=wall_s + 0.1 * number, **builders.observed(ran),
            **changes)]

    def test_three_instead_of_one(self):
        found = summarize([*self.lines(1, 1, 20.0),
                           *self.lines(3, 3, 9.0)]).recommendation
        self.assertEqual(3, found.concurrency)
        self.assertIn('3 instead of 1 at once: -2.8 s for each server',
                      found.evidence[-1])

    def test_a_window_of_two_is_no_two_at_once(self):
        # The host runs one, whatever it is asked for.
        found = summarize([
            *self.lines(1, 1, 20.0, strategy='window of 1'),
            *self.lines(1, 1, 18.0, strategy='window of 4')]).recommendation
        self.assertIsNone(found.concurrency)
        self.assertIn('no host was seen to run other than 1', found.text)

    def test_different_storage(self):
        found = summarize([
            *self.lines(1, 1, 20.0),
            *self.lines(3, 3, 9.0, storage='shared')]).recommendation
        self.assertIsNone(found.concurrency)
        self.assertIn('cannot be compared', found.text)

    def test_single_servers_tell_nothing(self):
        found = summarize(builders.drain_lines(
            1, [2.0], **builders.observed(1))).recommendation
        self.assertIsNone(found.concurrency)
        self.assertEqual((), found.evidence)
