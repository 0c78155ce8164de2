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

from unittest import mock

import msgspec

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import drains
from lm_tempest_plugin.results.plots import groups
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import summary
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import materials

SCRIPT = '<script>alert(1)</script>'
ESCAPED = '&lt;script&gt;alert(1)&lt;/script&gt;'


def names(figure):
    """Return the names of the traces that are in the legend."""
    return [trace['name'] for trace in figure.traces
            if trace.get('showlegend', True)]


def unprobed(migration):
    """Return a migration without probes of the guest."""
    return msgspec.structs.replace(migration, continuity=None)


def first(section):
    """Return the only plot of a section."""
    [plot] = materials.plots_of(section)
    return plot


class ThemeTest(base.TestCase):

    def test_text_stays_text(self):
        self.assertEqual('&lt;b&gt; &amp;amp;', theme.text('<b> &amp;'))

    def test_short(self):
        self.assertEqual('&lt;script…', theme.short(SCRIPT, 8))
        self.assertEqual('a b', theme.short('a\n  b'))

    def test_wrapped(self):
        self.assertEqual('one two &lt;<br>three …',
                         theme.wrapped('one two < three four', 9, 2))
        self.assertEqual('x' * 20 + '<br>' + 'x' * 5,
                         theme.wrapped('x' * 25))

    def test_hover(self):
        self.assertEqual('&lt;i&gt;<br>2', theme.hover('<i>', 2))
        self.assertEqual('<br>a', theme.hover('', 'a'))

    def test_things_in_turn(self):
        for choose, of in ((theme.colour, theme.COLOURS),
                           (theme.symbol, theme.SYMBOLS),
                           (theme.dash, theme.DASHES)):
            self.assertEqual([*of, of[0]],
                             [choose(each) for each in range(len(of) + 1)])

    def test_rows_from_the_top(self):
        self.assertEqual([1.5, -0.5], theme.rows(['a', 'b'])['range'])

    def test_error_bars(self):
        found = theme.error_bars([
            estimates.Estimate(2.0, 1.0, 4.0, 9),
            estimates.Estimate(2.0, None, None, 1)], width=3)
        self.assertEqual(([2.0, 0.0], [1.0, 0.0], 3), (
            found['array'], found['arrayminus'], found['width']))


class EveryPlotTest(base.TestCase):

    def sections(self, lines):
        return materials.sections(materials.make(lines))

    def missing(self, sections):
        """Return by key whether a plot is missing."""
        return {plot.key: not plot.figures for section in sections
                for plot in materials.plots_of(section)}

    def test_order(self):
        self.assertEqual(
            ['durations', 'timeline', 'continuity', 'drift', 'load',
             'settings'],
            [section.key for section in self.sections([])])

    def test_plotly_takes_it(self):
        found = materials.sections(materials.whole(names=((0, SCRIPT),)))
        for section in found:
            materials.check(self, section)
            self.assertNotIn(SCRIPT, str([
                figure.as_dict() for plot in materials.plots_of(section)
                for _label, figure in plot.figures]))
            for table in materials.tables_of(section):
                for row in table.rows:
                    self.assertEqual(len(table.columns), len(row.cells))
        self.assertEqual(8, len(self.missing(found)))

    def test_nothing_to_show(self):
        for section in self.sections([]):
            for plot in materials.plots_of(section):
                self.assertEqual(0, len(plot.figures))
                self.assertTrue(plot.missing.endswith('.'), plot)

    def test_failures_alone(self):
        found = self.sections([
            unprobed(builders.failed()),
            builders.drain(hosts=())])
        self.assertEqual(['timeline'], [
            key for key, missing in self.missing(found).items()
            if not missing])

    def test_one_migration(self):
        for section in self.sections([
                *materials.migrations(1), builders.drain()]):
            for plot in materials.plots_of(section):
                if plot.figures:
                    materials.check(self, document.Section('', '', [plot]))


class DurationsTest(base.TestCase):

    def figure(self, lines):
        plot, _phases = materials.plots_of(
            groups.durations(materials.make(lines)))
        return plot.figures[0][1]

    def test_points_of_small_groups_only(self):
        sizes = [
            [len(trace['y'])
             for trace in self.figure(materials.migrations(count)).traces]
            for count in (3, groups.MOST_POINTS + 1)]
        self.assertEqual([[1, 3, 1, 1], [1, 1, 1]], sizes)

    def test_box_and_median(self):
        box, _longest, median = self.figure([
            builders.migration(number, duration_s=float(number))
            for number in range(1, 102)]).traces
        self.assertEqual(
            [[6.0], [26.0], [51.0], [76.0], [96.0]],
            [box[name] for name in ('lowerfence', 'q1', 'median', 'q3',
                                    'upperfence')])
        self.assertEqual([51.0], median['x'])
        self.assertLess(0, median['error_x']['array'][0])

    def test_too_many_settings(self):
        plot, _phases = materials.plots_of(groups.durations(materials.make([
            builders.migration(number, settings=builders.settings(
                max_concurrent_live_migrations=number))
            for number in range(groups.MOST_ROWS + 2)])))
        self.assertIn('40 of 42 combinations', plot.notes[0])
        self.assertEqual(groups.MOST_ROWS, len(
            plot.figures[0][1].layout['yaxis']['ticktext']))

    def test_phases(self):
        _durations, plot = materials.plots_of(groups.durations(
            materials.make(materials.migrations(3))))
        figure = plot.figures[0][1]
        self.assertEqual('stack', figure.layout['barmode'])
        self.assertEqual(
            [('checks', [1.0]), ('queued', [2.0]), ('setup', [2.0]),
             ('copy', [3.0]), ('post', [0.5]), ('cleanup', [0.5])],
            [(trace['name'], trace['x']) for trace in figure.traces])

    def test_fits(self):
        [table] = materials.tables_of(groups.durations(
            materials.whole(round_trips=2)))
        self.assertEqual(4, len(table.rows))


class TimelineTest(base.TestCase):

    def figure(self, lines):
        section = drains.timeline(materials.make(lines))
        materials.check(self, section)
        return first(section).figures[0][1]

    def test_bars(self):
        figure = self.figure([*materials.migrations(2), builders.drain()])
        self.assertEqual(
            ['checks', 'queued', 'setup', 'copy', 'post', 'cleanup',
             'longest outage', 'running (maximum seen: 1)', 'waiting'],
            names(figure))
        copy = figure.traces[3]
        self.assertEqual(([5.0, 15.0], [3.0, 3.0], [0, 1]),
                         (copy['base'], copy['x'], copy['y']))
        outage = figure.traces[6]
        self.assertEqual([6.0, 16.0], outage['base'])
        running = figure.traces[7]
        self.assertEqual([0, 1, 0, 1, 0], running['y'])

    def test_a_failure(self):
        figure = self.figure([unprobed(builders.failed()),
                              builders.drain()])
        self.assertEqual(['phases not known'], names(figure))
        hover = figure.traces[0]['hovertext'][0]
        self.assertIn('verdict: rolled back', hover)
        self.assertIn('it failed while copying',
                      ' '.join(hover.split('<br>')))

    def test_names_are_text(self):
        figure = self.figure([
            *materials.migrations(1, server_name=SCRIPT), builders.drain()])
        self.assertEqual(['&lt;script&gt;alert(1)&lt;…'],
                         figure.layout['yaxis']['ticktext'])
        self.assertTrue(figure.traces[0]['hovertext'][0].startswith(ESCAPED))

    def test_too_many_servers(self):
        plot = first(drains.timeline(materials.make([
            *materials.migrations(drains.MOST_SERVERS + 1),
            builders.drain()])))
        self.assertIn('first 60 servers', plot.notes[0])
        self.assertEqual(drains.MOST_SERVERS, len(
            plot.figures[0][1].layout['yaxis']['ticktext']))

    def test_a_drain_that_was_never_judged(self):
        self.assertFalse(first(drains.timeline(
            materials.make([builders.drain()]))).figures)


class TimeSpanTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.drain = builders.drain()

    def migration(self, **changes):
        """Return a migration that was requested 3 s after the drain began."""
        return builders.migration(**{
            'requested_monotonic_s': builders.STARTED_MONOTONIC_S + 3,
            **changes})

    def test_phases(self):
        self.assertEqual(
            [('checks', 3.0, 4.0), ('queued', 4.0, 6.0), ('setup', 6.0, 8.0),
             ('copy', 8.0, 11.0), ('post', 11.0, 11.5),
             ('cleanup', 11.5, 12.0)],
            [(each.name, each.begin_s, each.end_s)
             for each in drains.phases(self.drain, self.migration())])

    def test_the_first_is_not_known(self):
        self.assertEqual(
            [drains.TimeSpan('copy', 9.0, 3.0)],
            drains.phases(self.drain, self.migration(
                phases=(builders.phase('copy', 3.0),))))

    def test_none_is_known(self):
        self.assertEqual([], drains.phases(
            self.drain, self.migration(phases=())))

    def test_running(self):
        self.assertEqual(
            [drains.TimeSpan('service', 6.0, 6.0)],
            drains.running(self.drain, [
                self.migration(), self.migration(service=None)]))

    def test_outage(self):
        found = drains.outage(self.drain, self.migration(
            outage=builders.outage(
                0.25, builders.STARTED_MONOTONIC_S + 10)))
        self.assertEqual(drains.TimeSpan('longest outage', 10.0, 0.25),
                         found)
        self.assertIsNone(drains.outage(
            self.drain, unprobed(self.migration())))
        self.assertIsNone(drains.outage(
            self.drain, self.migration(outage=builders.outage(0.0))))

    def test_at_once(self):
        found = drains.at_once([
            drains.TimeSpan('a', 1.0, 2.0),
            drains.TimeSpan('b', 2.0, 2.0),
            # It begins as the first one ends, but for a rounding error.
            drains.TimeSpan('c', 2.9999999, 3.0),
            drains.TimeSpan('d', 2.0, 0.0)])
        self.assertEqual(
            ([0.0, 1.0, 2.0, 3.0, 4.0, 6.0], [0, 1, 2, 2, 1, 0]), found)

    def test_nothing_at_once(self):
        self.assertEqual(([0.0], [0]), drains.at_once([]))


class ChosenDrainsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.lines = []
        for number in range(1, 11):
            problems = (builders.problem(),) if number == 7 else ()
            self.lines += [
                builders.migration(
                    number, drain=f'drain-{number}', problems=problems,
                    outage=builders.outage(0.9 if number == 5 else 0.2)),
                builders.drain(
                    f'drain-{number}', round_trip=number,
                    started_at=builders.time_of_day(100 * number))]
        self.material = materials.make(self.lines)

    def round_trips(self, most):
        return [drain.result.round_trip for drain in drains.choose(
            self.material.drains, most)]

    def test_the_most_informative_ones(self):
        self.assertEqual([7], self.round_trips(1))
        self.assertEqual([5, 7], self.round_trips(2))
        self.assertEqual([1, 5, 7, 10], self.round_trips(4))
        self.assertEqual([1, 2, 5, 7, 10], self.round_trips(5))
        self.assertEqual(list(range(1, 11)), self.round_trips(24))

    def test_the_largest_comes_first(self):
        self.lines[7] = builders.drain(
            'drain-4', round_trip=4, servers=12,
            started_at=builders.time_of_day(400))
        self.material = materials.make(self.lines)
        self.assertEqual([4, 1, 2, 3, *range(5, 11)], self.round_trips(24))

    def test_notes(self):
        found = self.material.drains
        self.assertEqual([], drains.drain_notes(found, found))
        self.assertIn('4 of 10 drains', drains.drain_notes(
            found, found[:4])[0])

    def test_labels(self):
        title = ('drain of compute1 to compute2, window of 2, round trip '
                 '{}: block, tunnelled off')
        self.assertEqual(
            [title.format(6), '(problems) ' + title.format(7)],
            [drains.drain_label(self.material, drain)
             for drain in self.material.drains[5:7]])


class ContinuityTest(base.TestCase):

    def plots(self, lines):
        return materials.plots_of(groups.continuity(materials.make(lines)))

    def test_lines_and_bound(self):
        outages, _stalls = self.plots([
            builders.migration(
                number, outage=builders.outage(0.1 * (4 - number)))
            for number in range(4)])
        figure = outages.figures[0][1]
        self.assertEqual(
            ['block, tunnelled off', 'at other times', 'limit: 1 s'],
            names(figure))
        line = figure.traces[0]
        self.assertEqual([0, 25, 50, 75, 100], line['y'])
        self.assertEqual([0.1, 0.1, 0.2, 0.3, 0.4],
                         [round(each, 6) for each in line['x']])
        # The bound is visible.
        self.assertGreater(figure.layout['xaxis']['range'][1], 1)

    def test_stalls_have_no_control(self):
        _outages, stalls = self.plots(materials.migrations(2))
        self.assertEqual(['block, tunnelled off', 'limit: 3 s'],
                         names(stalls.figures[0][1]))

    def test_many_values_keep_the_largest(self):
        count = groups.MOST_STEPS + 50
        _outages, stalls = self.plots([
            builders.migration(number, stall=builders.stall(0.001 * number))
            for number in range(count)])
        line = stalls.figures[0][1].traces[0]
        self.assertEqual(groups.MOST_STEPS + 1, len(line['x']))
        self.assertEqual((0.001 * (count - 1), 100),
                         (line['x'][-1], line['y'][-1]))

    def test_too_many_settings(self):
        _outages, stalls = self.plots([
            builders.migration(
                number, stall=builders.stall(0.1 * number),
                settings=builders.settings(parallel_connections=number))
            for number in range(groups.MOST_CURVES + 1)])
        self.assertIn('8 of 9 combinations', stalls.notes[0])
        self.assertNotIn('block, parallel connections 0', str(
            names(stalls.figures[0][1])))


class DriftTest(base.TestCase):

    def test_slope(self):
        section = groups.drift(materials.make([
            builders.migration(number, round_trip=number,
                               duration_s=10.0 + 2 * number)
            for number in range(1, 9)]))
        points, line = first(section).figures[0][1].traces[:2]
        self.assertEqual(list(range(1, 9)), points['x'])
        self.assertEqual([1, 8], line['x'])
        self.assertEqual([12.0, 26.0], line['y'])
        [table] = materials.tables_of(section)
        self.assertEqual('+2.00 (+2.00 to +2.00)', table.rows[0].cells[3])
        self.assertIn('found in 1 of them', section.nodes[1].text)

    def test_many_round_trips(self):
        with mock.patch.object(groups, 'MOST_ROUND_TRIPS', 4):
            plot = first(groups.drift(materials.make([
                builders.migration(number, round_trip=number,
                                   duration_s=10.0 + number)
                for number in range(1, 11)])))
        points, line = plot.figures[0][1].traces[:2]
        self.assertEqual([1, 4, 7, 10], points['x'])
        self.assertEqual(([1, 10], [11.0, 20.0]), (line['x'], line['y']))
        self.assertIn('More than 4 round trips', plot.notes[0])

    def test_no_drift(self):
        section = groups.drift(materials.make([
            builders.migration(number, round_trip=number)
            for number in range(1, 9)]))
        self.assertEqual([], materials.tables_of(section))
        self.assertIn('found in 0 of them', section.nodes[1].text)

    def test_too_many_settings(self):
        plot = first(groups.drift(materials.make([
            builders.migration(
                number, round_trip=round_trip, settings=builders.settings(
                    parallel_connections=number))
            for number in range(groups.MOST_CHOICES + 1)
            for round_trip in (1, 2, 3)])))
        self.assertEqual(groups.MOST_CHOICES, len(plot.figures))
        self.assertIn('24 of 25 combinations', plot.notes[0])


class HostsTest(base.TestCase):

    def figure(self, lines):
        return first(drains.load(materials.make(lines))).figures[0][1]

    def test_lines_and_bands(self):
        figure = self.figure([*materials.migrations(2), builders.drain()])
        self.assertEqual(['compute1', 'compute2'], names(figure))
        cpu = figure.traces[0]
        # The first sample has no rates.
        self.assertEqual(19, len(cpu['x']))
        self.assertEqual([1.005, 42.0], [cpu['x'][0], round(cpu['y'][0], 6)])
        self.assertEqual([(3.0, 9.0), (13.0, 19.0)], [
            (band['x0'], band['x1']) for band in figure.layout['shapes']])

    def test_many_samples(self):
        figure = self.figure([builders.drain(hosts=(
            builders.samples('compute1', 1200),))])
        self.assertEqual(drains.MOST_SAMPLES, len(figure.traces[0]['x']))

    def test_no_access(self):
        plot = first(drains.load(materials.make([
            builders.drain(hosts=())])))
        self.assertIn('no access to the hosts', plot.missing)
        self.assertFalse(plot.figures)


class SettingsTest(base.TestCase):

    def lines(self, one_s, other_s):
        return [
            builders.migration(
                number, settings=builders.settings(tunnelled=tunnelled),
                server_id=f'server-{number % 10}',
                duration_s=seconds + 0.01 * (number * 7 % 10))
            for number, (tunnelled, seconds) in enumerate(
                [(False, one_s)] * 10 + [(True, other_s)] * 10)]

    def section(self, lines):
        return groups.settings(materials.make(lines))

    def figure(self, lines):
        return dict(first(self.section(lines)).figures)['duration']

    def test_longer(self):
        section = self.section(self.lines(9.0, 12.0))
        figure = dict(first(section).figures)['duration']
        self.assertEqual(['longer'], names(figure))
        self.assertEqual([3.0], [round(each, 2)
                                 for each in figure.traces[0]['x']])
        self.assertIn('tunnelled: off → on',
                      figure.layout['yaxis']['ticktext'][0])
        [table] = materials.tables_of(section)
        self.assertEqual('tunnelled: off → on', table.rows[0].cells[0])

    def test_shorter(self):
        self.assertEqual(
            ['shorter'], names(self.figure(self.lines(12.0, 9.0))))

    def test_no_difference(self):
        lines = self.lines(9.0, 9.0)
        self.assertEqual(['no difference found'], names(self.figure(lines)))
        self.assertEqual([], materials.tables_of(self.section(lines)))

    def test_storage(self):
        plot = first(self.section([
            builders.migration(
                number, settings=builders.settings(storage),
                server_id=f'server-{number % 10}')
            for number, storage in enumerate(
                ['block'] * 10 + ['shared'] * 10)]))
        self.assertIn('storage: block → shared', plot.figures[0][1].layout[
            'yaxis']['ticktext'][0])

    def test_too_many(self):
        with mock.patch.object(groups, 'MOST_ROWS', 2):
            plot = first(groups.settings(materials.whole(round_trips=1)))
        self.assertIn('the 2 largest of', plot.notes[0])
        figure = dict(plot.figures)['duration']
        self.assertEqual(2, len(figure.layout['yaxis']['ticktext']))


class NamesTest(base.TestCase):

    def conditions(self, strategy='window of 2', **values):
        return summary.Conditions(
            schema.Settings(storage='block', values=values), 2, strategy)

    def test_only_differences(self):
        one = self.conditions(tunnelled=False,
                              max_concurrent_live_migrations=1)
        two = self.conditions(tunnelled=False,
                              max_concurrent_live_migrations=3)
        found = plots.Names([one, two])
        self.assertEqual('block, tunnelled off', found.common)
        self.assertEqual('limit means max_concurrent_live_migrations',
                         found.explained)
        self.assertEqual(['limit 1', 'limit 3'],
                         [found.settings(one.settings), found.group(two)])
        self.assertEqual('2 servers, window of 2', found.together)

    def test_one_combination(self):
        one = self.conditions(tunnelled=True)
        found = plots.Names(
            [one, self.conditions('batch of 2', tunnelled=True)])
        self.assertEqual('', found.common + found.explained)
        self.assertEqual('block, tunnelled on – 2 servers, window of 2',
                         found.group(one))

    def test_nothing_but_common_settings(self):
        one, two = self.conditions(), self.conditions(post_copy=True)
        found = plots.Names([one, two])
        self.assertEqual(
            ['block', 'post copy on'],
            [found.settings(each.settings) for each in (one, two)])

    def test_nothing_at_all(self):
        self.assertEqual('', plots.Names([]).common)
        self.assertEqual('as configured', plots.Names(
            []).settings(schema.Settings()))


class MaterialTest(base.TestCase):

    def test_groups(self):
        found = materials.make([
            *materials.migrations(2),
            builders.migration(2, measured=False), builders.failed(3),
            builders.drain()])
        conditions = found.summary.groups[0].conditions
        self.assertEqual(3, len(found.measured(conditions)))
        self.assertEqual(2, len(found.completed(conditions)))
        self.assertEqual(4, len(found.drains[0].migrations))
        self.assertEqual(['lm.small'], list(map(str, found.flavors())))
