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

from lm_tempest_plugin.results.html import page
from lm_tempest_plugin.results.html.plots import differences
from lm_tempest_plugin.results.html.plots import distributions
from lm_tempest_plugin.results.html.plots import drift
from lm_tempest_plugin.results.html.plots import durations
from lm_tempest_plugin.results.html.plots import hosts
from lm_tempest_plugin.results.html.plots import phases
from lm_tempest_plugin.results.html.plots import published
from lm_tempest_plugin.results.html.plots import timeline
from lm_tempest_plugin.tests.functional import matrix
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import builders
from lm_tempest_plugin.tests.unit.results import materials

SCRIPT = '<script>alert(1)</script>'
ESCAPED = '&lt;script&gt;alert(1)&lt;/script&gt;'


def names(figure):
    """Return the names of the traces that are in the legend."""
    return [trace['name'] for trace in figure.traces
            if trace.get('showlegend', True)]


class EveryPlotTest(base.TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.material = materials.whole(names=((0, SCRIPT),))

    def test_plotly_takes_it(self):
        for make in (*page.PLOTS, published.plot):
            plot = make(self.material)
            materials.check(self, plot)
            self.assertNotIn(SCRIPT, str([
                figure.as_dict() for _label, figure in plot.figures]))
            for table in plot.tables:
                for row in table.rows:
                    self.assertEqual(len(table.columns), len(row.cells))

    def test_nothing_to_show(self):
        nothing = materials.make([])
        for make in (*page.PLOTS, published.plot):
            plot = make(nothing)
            self.assertEqual((), plot.figures)
            self.assertTrue(plot.missing.endswith('.'), plot)

    def test_failures_alone(self):
        bad = materials.make([
            ('attempt', builders.failed_line(icmp=None, tcp=None)),
            ('drain', builders.drain_line(hosts=None))])
        self.assertEqual(
            ['timeline'],
            [plot.key for plot in (make(bad) for make in page.PLOTS)
             if not plot.missing])

    def test_one_attempt(self):
        one = materials.make([
            *materials.attempts(1), ('drain', builders.drain_line())])
        for make in page.PLOTS:
            plot = make(one)
            if not plot.missing:
                materials.check(self, plot)


class DurationsTest(base.TestCase):

    def test_points_of_small_groups_only(self):
        small = durations.plot(materials.make(materials.attempts(3)))
        large = durations.plot(materials.make(materials.attempts(
            durations.MOST_POINTS + 1)))
        sizes = [[len(trace['y']) for trace in plot.figures[0][1].traces]
                 for plot in (small, large)]
        self.assertEqual([[1, 3, 1, 1], [1, 1, 1]], sizes)

    def test_box_and_median(self):
        lines = [('attempt', builders.attempt_line(
            number, duration_s=float(number))) for number in range(1, 102)]
        box, _longest, median = durations.plot(
            materials.make(lines)).figures[0][1].traces
        self.assertEqual(
            [[6.0], [26.0], [51.0], [76.0], [96.0]],
            [box[name] for name in ('lowerfence', 'q1', 'median', 'q3',
                                    'upperfence')])
        self.assertEqual([51.0], median['x'])
        self.assertLess(0, median['error_x']['array'][0])

    def test_too_many_cells(self):
        lines = [('attempt', builders.attempt_line(number, cell=builders.cell(
            max_concurrent_live_migrations=number)))
            for number in range(durations.MOST_ROWS + 2)]
        plot = durations.plot(materials.make(lines))
        self.assertIn('40 of 42 cells', plot.notes[0])
        self.assertEqual(durations.MOST_ROWS, len(
            plot.figures[0][1].layout['yaxis']['ticktext']))

    def test_fits(self):
        plot = durations.plot(materials.whole(trips=2))
        self.assertEqual(4, len(plot.tables[0].rows))


class PhasesTest(base.TestCase):

    def test_stacked(self):
        plot = phases.plot(materials.make(materials.attempts(3)))
        figure = plot.figures[0][1]
        self.assertEqual('stack', figure.layout['barmode'])
        self.assertEqual(
            [('checks', [1.0]), ('queued', [2.0]), ('setup', [2.0]),
             ('copy', [3.0]), ('post', [0.5]), ('cleanup', [0.5])],
            [(trace['name'], trace['x']) for trace in figure.traces])


class TimelineTest(base.TestCase):

    def figure(self, lines):
        plot = timeline.plot(materials.make(lines))
        materials.check(self, plot)
        return plot.figures[0][1]

    def test_bars(self):
        figure = self.figure([
            *materials.attempts(2), ('drain', builders.drain_line())])
        self.assertEqual(
            ['checks', 'queued', 'setup', 'copy', 'post', 'cleanup',
             'longest outage', 'at work (most that were seen: 1)',
             'waiting'], names(figure))
        copy = figure.traces[3]
        self.assertEqual(([5.0, 15.0], [3.0, 3.0], [0, 1]),
                         (copy['base'], copy['x'], copy['y']))
        outage = figure.traces[6]
        self.assertEqual([6.0, 16.0], outage['base'])
        running = figure.traces[7]
        self.assertEqual([0, 1, 0, 1, 0], running['y'])

    def test_a_failure(self):
        figure = self.figure([
            ('attempt', builders.failed_line(icmp=None)),
            ('drain', builders.drain_line())])
        self.assertEqual(['no phase is known'], names(figure))
        hover = figure.traces[0]['hovertext'][0]
        self.assertIn('verdict: rolled back', hover)
        self.assertIn('it failed while copying',
                      ' '.join(hover.split('<br>')))

    def test_names_are_text(self):
        figure = self.figure([
            *materials.attempts(1, server_name=SCRIPT),
            ('drain', builders.drain_line())])
        self.assertEqual(['&lt;script&gt;alert(1)&lt;…'],
                         figure.layout['yaxis']['ticktext'])
        self.assertTrue(figure.traces[0]['hovertext'][0].startswith(ESCAPED))

    def test_too_many_servers(self):
        plot = timeline.plot(materials.make([
            *materials.attempts(timeline.MOST_SERVERS + 1),
            ('drain', builders.drain_line())]))
        self.assertIn('first 60 servers', plot.notes[0])
        self.assertEqual(timeline.MOST_SERVERS, len(
            plot.figures[0][1].layout['yaxis']['ticktext']))

    def test_a_drain_that_was_never_judged(self):
        self.assertTrue(timeline.plot(materials.make([
            ('drain', builders.drain_line())])).missing)


class DistributionsTest(base.TestCase):

    def test_lines_and_bound(self):
        plot = distributions.outages(materials.make([
            ('attempt', builders.attempt_line(
                number, icmp=builders.outage(0.1 * (4 - number))))
            for number in range(4)]))
        figure = plot.figures[0][1]
        self.assertEqual(
            ['block, tunnelled off', 'at other times', 'bound: 1 s'],
            names(figure))
        line = figure.traces[0]
        self.assertEqual([0, 25, 50, 75, 100], line['y'])
        self.assertEqual([0.1, 0.1, 0.2, 0.3, 0.4],
                         [round(each, 6) for each in line['x']])
        # The bound can be seen.
        self.assertGreater(figure.layout['xaxis']['range'][1], 1)

    def test_stalls_have_no_control(self):
        plot = distributions.stalls(materials.make(materials.attempts(2)))
        self.assertEqual(['block, tunnelled off', 'bound: 3 s'],
                         names(plot.figures[0][1]))

    def test_many_values_keep_the_largest(self):
        count = distributions.MOST_STEPS + 50
        plot = distributions.stalls(materials.make([
            ('attempt', builders.attempt_line(
                number, tcp=builders.stall(0.001 * number)))
            for number in range(count)]))
        line = plot.figures[0][1].traces[0]
        self.assertEqual(distributions.MOST_STEPS + 1, len(line['x']))
        self.assertEqual((0.001 * (count - 1), 100),
                         (line['x'][-1], line['y'][-1]))

    def test_too_many_cells(self):
        plot = distributions.stalls(materials.make([
            ('attempt', builders.attempt_line(
                number, cell=builders.cell(parallel_connections=number),
                tcp=builders.stall(0.1 * number)))
            for number in range(distributions.MOST_LINES + 1)]))
        self.assertIn('8 of 9 cells', plot.notes[0])
        self.assertNotIn('block, parallel connections 0', str(
            names(plot.figures[0][1])))


class DriftTest(base.TestCase):

    def test_slope(self):
        lines = [('attempt', builders.attempt_line(
            trip, trip=trip, duration_s=10.0 + 2 * trip))
            for trip in range(1, 9)]
        plot = drift.plot(materials.make(lines))
        points, line = plot.figures[0][1].traces[:2]
        self.assertEqual(list(range(1, 9)), points['x'])
        self.assertEqual([1, 8], line['x'])
        self.assertEqual([12.0, 26.0], line['y'])
        self.assertEqual('+2.00 (+2.00 to +2.00)',
                         plot.tables[0].rows[0].cells[3])
        self.assertIn('found in 1 of them', plot.notes[0])

    def test_many_trips(self):
        lines = [('attempt', builders.attempt_line(
            trip, trip=trip, duration_s=10.0 + trip))
            for trip in range(1, 11)]
        with mock.patch.object(drift, 'MOST_POINTS', 4):
            plot = drift.plot(materials.make(lines))
        points, line = plot.figures[0][1].traces[:2]
        self.assertEqual([1, 4, 7, 10], points['x'])
        self.assertEqual(([1, 10], [11.0, 20.0]), (line['x'], line['y']))
        self.assertIn('more than 4 trips', plot.notes[1])

    def test_no_drift(self):
        lines = [('attempt', builders.attempt_line(trip, trip=trip))
                 for trip in range(1, 9)]
        plot = drift.plot(materials.make(lines))
        self.assertEqual((), plot.tables)
        self.assertIn('found in 0 of them', plot.notes[0])

    def test_too_many_cells(self):
        lines = [('attempt', builders.attempt_line(
            number, trip=trip, cell=builders.cell(
                parallel_connections=number)))
            for number in range(drift.MOST_CHOICES + 1)
            for trip in (1, 2, 3)]
        plot = drift.plot(materials.make(lines))
        self.assertEqual(drift.MOST_CHOICES, len(plot.figures))
        self.assertIn('24 of 25 cells', plot.notes[1])


class HostsTest(base.TestCase):

    def test_lines_and_bands(self):
        plot = hosts.plot(materials.make([
            *materials.attempts(2), ('drain', builders.drain_line())]))
        figure = plot.figures[0][1]
        self.assertEqual(['compute1', 'compute2'], names(figure))
        cpu = figure.traces[0]
        # The first sample has no rates.
        self.assertEqual(19, len(cpu['x']))
        self.assertEqual([1.005, 42.0], [cpu['x'][0], round(cpu['y'][0], 6)])
        self.assertEqual([(3.0, 9.0), (13.0, 19.0)], [
            (band['x0'], band['x1']) for band in figure.layout['shapes']])

    def test_many_samples(self):
        samples = {**builders.samples('compute1', 1200)}
        line = builders.drain_line()
        line['hosts']['samples'] = [samples]
        figure = hosts.plot(materials.make([('drain', line)])).figures[0][1]
        self.assertEqual(hosts.MOST_POINTS, len(figure.traces[0]['x']))

    def test_no_access(self):
        plot = hosts.plot(materials.make([
            ('drain', builders.drain_line(hosts=None))]))
        self.assertIn('no access to hosts', plot.missing)


class DifferencesTest(base.TestCase):

    def lines(self, first, second):
        return [
            ('attempt', builders.attempt_line(
                number, cell=builders.cell(tunnelled=tunnelled),
                server_id='server-%d' % (number % 10),
                duration_s=seconds + 0.01 * (number * 7 % 10)))
            for number, (tunnelled, seconds) in enumerate(
                [(False, first)] * 10 + [(True, second)] * 10)]

    def test_longer(self):
        plot = differences.plot(materials.make(self.lines(9.0, 12.0)))
        figure = dict(plot.figures)['duration']
        self.assertEqual(['longer'], names(figure))
        self.assertEqual([3.0], [round(each, 2)
                                 for each in figure.traces[0]['x']])
        self.assertIn('tunnelled: off → on',
                      figure.layout['yaxis']['ticktext'][0])

    def test_shorter(self):
        plot = differences.plot(materials.make(self.lines(12.0, 9.0)))
        self.assertEqual(['shorter'],
                         names(dict(plot.figures)['duration']))

    def test_no_difference(self):
        plot = differences.plot(materials.make(self.lines(9.0, 9.0)))
        self.assertEqual(['no difference found'],
                         names(dict(plot.figures)['duration']))

    def test_storage(self):
        plot = differences.plot(materials.make([
            ('attempt', builders.attempt_line(
                number, cell=builders.cell(storage),
                server_id='server-%d' % (number % 10)))
            for number, storage in enumerate(
                ['block'] * 10 + ['shared'] * 10)]))
        self.assertIn('storage: block → shared', plot.figures[0][1].layout[
            'yaxis']['ticktext'][0])

    def test_too_many(self):
        plan = matrix.Plan(trips=1)
        with mock.patch.object(differences, 'MOST_ROWS', 2):
            plot = differences.plot(materials.make(matrix.lines(plan)))
        self.assertIn('the 2 with the largest change', plot.notes[0])
        figure = dict(plot.figures)['duration']
        self.assertEqual(2, len(figure.layout['yaxis']['ticktext']))


class PublishedTest(base.TestCase):

    def test_beside_ours(self):
        plot = published.plot(materials.make(materials.attempts(6)))
        self.assertEqual(
            ['published: block, tunnelled off', 'ours: block, tunnelled off'],
            names(plot.figures[0][1]))
        self.assertEqual(
            ['published'] * 3 + ['ours'],
            [row.cells[0] for row in plot.tables[0].rows])
        # Without the queue.
        self.assertEqual('7.00 (7.00 to 7.00)',
                         plot.tables[0].rows[3].cells[4])
        self.assertTrue(plot.points)

    def test_several_at_once_are_another_thing(self):
        at_once = [{**builders.drain_line()['observed_concurrency'][0],
                    'running': 2}]
        plot = published.plot(materials.make([
            *materials.attempts(2), ('drain', builders.drain_line(
                observed_concurrency=at_once))]))
        self.assertIn('no counterpart', plot.missing)

    def test_a_cell_that_says_nothing(self):
        plot = published.plot(materials.make(materials.attempts(
            2, cell={'storage': None, 'settings': {}})))
        self.assertIn('no counterpart', plot.missing)
