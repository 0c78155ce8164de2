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
import json

import fixtures
from scipy import stats

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.comparison import chance
from lm_tempest_plugin.results.comparison import document
from lm_tempest_plugin.results.comparison import groups
from lm_tempest_plugin.results.comparison import html
from lm_tempest_plugin.results.comparison import judgement
from lm_tempest_plugin.results.comparison import markdown
from lm_tempest_plugin.results.comparison import quantities
from lm_tempest_plugin.results.comparison import text
from lm_tempest_plugin.results.comparison import words
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.results import runs

SCRIPT = '<script>alert(1)</script>'


class ChanceTest(base.TestCase):

    def one(self, before, after, resolution=0.0, paired=False):
        [found] = chance.of_differences([
            chance.Sample(before, after, resolution, paired)])
        return found

    def test_student_s_own_figures(self):
        # Sleep, in W. S. Gosset, Biometrika 6 (1908), 1-25.
        first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
        second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
        self.assertAlmostEqual(
            0.002833, self.one(first, second, paired=True), 6)
        # The same spread on both sides, so that all spreads are one.
        first = [value + 1e6 for value in second]
        second = [value + 2.0 for value in first]
        self.assertAlmostEqual(
            float(stats.ttest_ind(first, second).pvalue),
            self.one(first, second), 6)

    def test_ranks(self):
        few = self.one([1.0] * 11 + [1000.0], [2.0] * 12)
        self.assertLess(few, 0.01)

    def test_all_the_same(self):
        self.assertEqual(1.0, self.one([3.0, 3.0], [3.0, 3.0]))
        self.assertEqual(1.0, self.one([3.0] * 20, [3.0] * 20))
        self.assertEqual(0.0, self.one([3.0, 3.0], [4.0, 4.0]))

    def test_resolution_spreads_values(self):
        self.assertGreater(self.one([3.0, 3.0], [4.0, 4.0], 0.5), 0.001)

    def test_one_value_says_nothing(self):
        self.assertIsNone(self.one([3.0], [4.0, 4.1, 4.2]))

    def test_what_varies_elsewhere_counts(self):
        alone = self.one([10.0, 10.1], [12.0, 12.1])
        noisy = chance.Sample([8.0, 12.0, 10.0, 14.0], [12.0, 9.0, 11.0], 0)
        among = chance.of_differences([
            chance.Sample([10.0, 10.1], [12.0, 12.1], 0), noisy])[0]
        self.assertLess(alone, 0.01)
        self.assertGreater(among, 0.2)

    def test_what_varies_elsewhere_helps(self):
        # Two drains say nothing of how much drains vary; twelve do.
        alone = self.one([10.0, 10.2], [13.0, 13.3])
        others = [chance.Sample([10.0, 10.2], [10.1, 10.2], 0)
                  for _ in range(6)]
        among = chance.of_differences([
            chance.Sample([10.0, 10.2], [13.0, 13.3], 0), *others])[0]
        self.assertLess(among, alone / 100)

    def test_holm(self):
        # The example of many textbooks: 0.01, 0.04, 0.03, 0.005.
        self.assertEqual(
            [0.03, 0.06, 0.06, 0.02],
            [round(each, 6) for each in chance.adjusted(
                [0.01, 0.04, 0.03, 0.005])])
        self.assertEqual([], chance.adjusted([]))
        self.assertEqual([1.0, 1.0], chance.adjusted([0.6, 0.9]))

    def test_fisher_and_the_tea(self):
        # R. A. Fisher, The Design of Experiments (1935): 17 of 70.
        self.assertAlmostEqual(17 / 70, chance.of_failures(1, 4, 3, 4))

    def test_units(self):
        before, after = {'a': [1.0, 3.0], 'b': [5.0]}, {'c': [2.0], 'd': [4]}
        self.assertEqual(([2.0, 5.0], [2.0, 4.0]),
                         chance.units(before, after))
        # One drain says nothing of how much drains differ.
        self.assertEqual(([1.0, 3.0], [2.0, 4.0]), chance.units(
            {'a': [1.0, 3.0]}, after))


class GroupsTest(base.TestCase):

    def gathered(self, *arguments, **keywords):
        return groups.gather(
            runs.run(1, runs.Cloud(), drains=2,
                     strategies=('window of 2',),
                     flavors=runs.FLAVORS[:1], **keywords), *arguments)

    def test_groups(self):
        lots = self.gathered()
        self.assertEqual(
            ['block, max concurrent live migrations 1, tunnelled off; '
             'lm.tiny; window of 2; drain of 4 lm.tiny',
             'block, max concurrent live migrations 1, tunnelled off; '
             'window of 2; drain of 4 lm.tiny'], list(map(str, lots)))
        self.assertEqual([(8, 0), (0, 2)], [
            (len(lot.attempts), len(lot.drains)) for lot in lots.values()])

    def test_drains_of_another_size_are_another_group(self):
        first = self.gathered()
        second = self.gathered(servers=3)
        exc = self.assertRaises(
            groups.NotComparable, groups.common, first, second)
        self.assertIn('drain of 4 lm.tiny', str(exc))
        self.assertIn('drain of 3 lm.tiny', str(exc))

    def test_order_of_settings_does_not_matter(self):
        turned = dataclasses.replace(
            runs.CELL, settings=runs.CELL.settings[::-1])
        self.assertEqual(2, len(groups.common(
            self.gathered(), self.gathered(cell=turned))))

    def test_what_is_ignored(self):
        three = collection.Cell('shared', (
            ('max_concurrent_live_migrations', 3), ('tunnelled', False)))
        exc = self.assertRaises(
            groups.NotComparable, groups.common, self.gathered(),
            self.gathered(cell=three))
        self.assertIn('--ignore storage --ignore '
                      'max_concurrent_live_migrations', str(exc))
        ignored = ('storage', 'max_concurrent_live_migrations')
        [group, _drains] = groups.common(
            self.gathered(ignored), self.gathered(ignored, cell=three))
        self.assertEqual('tunnelled off', str(group.cell))

    def test_several_of_what_is_ignored(self):
        both = groups.gather(runs.run(1, runs.Cloud()), ('strategy',))
        exc = self.assertRaises(
            groups.NotComparable, groups.common, both, both)
        self.assertIn('BEFORE has more than one', str(exc))
        self.assertIn('--before-only', str(exc))
        one = groups.gather(runs.run(1, runs.Cloud()), ('strategy',),
                            {'strategy': 'window of 2'})
        self.assertEqual(6, len(groups.common(one, one)))

    def test_nothing(self):
        exc = self.assertRaises(groups.NotComparable, groups.common, {}, {})
        self.assertIn('BEFORE has nothing; AFTER has nothing', str(exc))

    def test_a_single_server_has_no_strategy(self):
        one, *others = groups.gather(runs.run(
            1, runs.Cloud(), servers=1, flavors=runs.FLAVORS[:1]))
        self.assertEqual(('', 1), (one.strategy, len(others)))
        cell = str(one.cell)
        self.assertEqual(cell, groups.told((one.cell, '')))
        self.assertEqual(cell + '; window of 2',
                         groups.told((one.cell, 'window of 2')))

    def test_words_of_settings(self):
        [attempt, *_] = runs.run(1, runs.Cloud()).attempts
        self.assertEqual(['1', 'off', 'block', 'window of 2', ''], [
            groups.value(attempt, name) for name in (
                'max_concurrent_live_migrations', 'tunnelled', 'storage',
                'strategy', 'other')])


class JudgementTest(base.TestCase):

    def run_of(self, seed=1, drains=6, **cloud):
        return runs.run(seed, runs.Cloud(**cloud), drains=drains,
                        flavors=runs.FLAVORS[:1],
                        strategies=('window of 2',))

    def replaced(self, collected, **changes):
        return dataclasses.replace(collected, attempts=[
            dataclasses.replace(each, **changes)
            for each in collected.attempts])

    def words(self, before, after, **keywords):
        found = judgement.compare(before, after, **keywords)
        return {row.quantity: row.word for row in found.rows}

    def test_equal(self):
        found = judgement.compare(self.run_of(1), self.run_of(2))
        self.assertFalse(found.worse)
        self.assertEqual({'no difference found'},
                         {row.word for row in found.rows})
        self.assertEqual(7, len(found.rows))
        self.assertEqual([], found.failures)

    def test_slower(self):
        said = self.words(self.run_of(1), self.run_of(2, factor=1.5))
        for name in ('wall_s', 'service_s', 'duration_s', 'queue_s'):
            self.assertEqual('worse', said[name], name)
        for name in ('outage_s', 'stall_s', 'downtime_s'):
            self.assertEqual('no difference found', said[name], name)

    def test_faster(self):
        said = self.words(self.run_of(1, factor=1.5), self.run_of(2))
        self.assertEqual('better', said['wall_s'])
        self.assertEqual('better', said['service_s'])

    def test_within_the_tolerance(self):
        before, after = self.run_of(1), self.run_of(2, factor=1.5)
        said = self.words(before, after, tolerance_percent=80)
        self.assertEqual('worse within tolerance', said['wall_s'])
        self.assertFalse(judgement.compare(
            before, after, tolerance_percent=80).worse)

    def test_only_what_is_wanted(self):
        said = self.words(self.run_of(1), self.run_of(2),
                          wanted=['outage_s'])
        self.assertEqual(['outage_s'], list(said))
        self.assertEqual(['wall_s'], list(self.words(
            self.run_of(1), self.run_of(2), wanted=['wall_s'])))

    def test_a_change_within_the_error_is_none(self):
        def outages(start, error):
            run = self.run_of(1)
            return dataclasses.replace(run, attempts=[
                dataclasses.replace(each, outage=collection.Longest(
                    start + 0.0001 * number, error, 1.0))
                for number, each in enumerate(run.attempts)])
        self.assertEqual('worse', self.words(
            outages(0.02, 0.015), outages(0.04, 0.015))['outage_s'])
        self.assertEqual('no difference found', self.words(
            outages(0.02, 0.015), outages(0.04, 0.025))['outage_s'])

    def test_from_none(self):
        run = self.run_of(1)
        found = judgement.compare(
            self.replaced(run, queue_s=0.0), self.replaced(run, queue_s=4.0),
            wanted=['queue_s'])
        self.assertTrue(found.worse)
        [row] = found.rows
        self.assertEqual(float('inf'), row.change)
        self.assertEqual('from none', words.change(row))
        self.assertIsNone(json.loads(
            document.render(found))['rows'][0]['change'])

    def test_drains_are_paired(self):
        paired = [row.effect.paired for row in judgement.compare(
            self.run_of(1), self.run_of(2)).rows
            if row.quantity == 'wall_s']
        self.assertEqual([True], paired)
        # Of a drain that one run alone has, there is no pair.
        other = self.run_of(2)
        other.drains[0] = dataclasses.replace(other.drains[0], trip=9)
        [row, *_] = judgement.compare(self.run_of(1), other).rows
        self.assertEqual(('wall_s', False), (row.quantity, row.effect.paired))
        [row, *_] = judgement.compare(
            self.run_of(1, drains=4), self.run_of(2, drains=4)).rows
        self.assertFalse(row.effect.paired)

    def test_too_few(self):
        after = self.run_of(2)
        del after.drains[1:]
        said = self.words(self.run_of(1), after)
        self.assertEqual('too few values', said['wall_s'])
        self.assertEqual('no difference found', said['service_s'])
        one = runs.run(3, runs.Cloud(), drains=1, servers=1,
                       strategies=('window of 2',))
        exc = self.assertRaises(
            groups.NotComparable, judgement.compare, one, one)
        self.assertIn('cannot be compared', str(exc))

    def test_warm_ups_do_not_count(self):
        run = self.replaced(self.run_of(1), measured=False)
        run = dataclasses.replace(run, drains=[])
        self.assertRaises(groups.NotComparable, judgement.compare, run, run)

    def failing(self, count):
        run = self.run_of(2)
        for place in range(count):
            run.attempts[place] = dataclasses.replace(
                run.attempts[place], verdict='rolled back',
                violations=('no',))
        return run

    def failures(self, before, after):
        return [(each.what, each.before, each.after, each.word)
                for each in judgement.compare(before, after).failures]

    def test_a_failure_where_there_was_none(self):
        self.assertEqual(
            [('live migrations', 0, 1, 'worse')],
            self.failures(self.run_of(1), self.failing(1)))
        self.assertTrue(judgement.compare(
            self.run_of(1), self.failing(1),
            tolerance_percent=1000).worse)

    def test_failures_as_before(self):
        self.assertEqual(
            [('live migrations', 2, 3, 'no difference found')],
            self.failures(self.failing(2), self.failing(3)))

    def test_many_more_failures(self):
        self.assertEqual(
            [('live migrations', 2, 12, 'worse')],
            self.failures(self.failing(2), self.failing(12)))

    def test_fewer_failures(self):
        self.assertEqual(
            [('live migrations', 12, 0, 'better')],
            self.failures(self.failing(12), self.run_of(1)))

    def test_failures_of_all_groups_together(self):
        def failing(count):
            run = runs.run(1, runs.Cloud(), drains=2)
            for place in range(0, len(run.attempts), 8 // count):
                run.attempts[place] = dataclasses.replace(
                    run.attempts[place], violations=('no',))
            return run
        found = self.failures(failing(1), failing(4))
        self.assertEqual(7, len(found))
        self.assertEqual(('live migrations', 6, 24, 'worse'), found[-1])
        self.assertEqual({'no difference found'},
                         {word for *_, word in found[:-1]})

    def test_a_drain_in_which_one_stays_has_no_wall_time(self):
        after = self.failing(1)
        counts = [(row.effect.before.count, row.effect.after.count)
                  for row in judgement.compare(self.run_of(1), after).rows
                  if row.quantity == 'wall_s']
        self.assertEqual([(6, 5)], counts)

    def test_a_drain_that_leaves_something(self):
        after = self.run_of(2)
        after.drains[0] = dataclasses.replace(
            after.drains[0], left_over=('a binding',))
        self.assertEqual([('drains', 0, 1, 'worse')],
                         self.failures(self.run_of(1), after))

    def test_unjudged(self):
        after = dataclasses.replace(self.run_of(2), unjudged=['server x'])
        self.assertEqual([('servers not judged', 0, 1, 'worse')],
                         self.failures(self.run_of(1), after))

    def test_tests_that_failed(self):
        tests = {'a.test', 'another'}
        before, after = (dataclasses.replace(
            self.run_of(number), tests=tests, failed=failed)
            for number, failed in ((1, []), (2, [
                collection.Failed('a.test', 'a disk')] * 2)))
        self.assertEqual([('tests', 0, 1, 'worse')],
                         self.failures(before, after))
        self.assertEqual([('tests', 1, 0, 'better')],
                         self.failures(after, before))
        self.assertEqual([('tests', 1, 1, 'no difference found')],
                         self.failures(after, after))

    def test_failures_in_groups_of_one_side_alone(self):
        before = self.run_of(1)
        strange = [dataclasses.replace(
            each, drain='another', strategy='window of 9',
            violations=('it failed',))
            for each in self.run_of(2).attempts]
        after = dataclasses.replace(
            self.run_of(2), attempts=[*self.run_of(2).attempts, *strange])
        what, failed, failing, word = self.failures(before, after)[-1]
        self.assertEqual(('live migrations', 0, len(strange), 'worse'),
                         (what, failed, failing, word))

    def test_unknown_setting(self):
        exc = self.assertRaises(
            groups.NotComparable, judgement.compare, self.run_of(1),
            self.run_of(2), ignored=['nonsense'])
        self.assertIn('no setting nonsense', str(exc))
        self.assertIn('tunnelled', str(exc))

    def test_quantities(self):
        run = self.run_of(1)
        self.assertEqual([0.5, 0.5, 0.5, 0.015, 0.06, 0.01], [
            quantities.smallest_s(each, run.attempts)
            for each in quantities.OF_ATTEMPTS])


class WordsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.before = runs.run(1, runs.Cloud())

    def compare(self, **cloud):
        return judgement.compare(self.before, runs.run(2, runs.Cloud(
            **cloud)))

    def test_no_difference(self):
        self.assertEqual('No difference found: 42 comparisons in 12 groups.',
                         words.sentence(self.compare()))

    def test_worse(self):
        said = words.sentence(self.compare(factor=2))
        self.assertRegex(said, r"^Worse: drain's wall time of window of 2; "
                         r'drain of 4 lm.\w+ [0-9.]+ s to [0-9.]+ s, \+')
        self.assertRegex(said, r'; \d+ more\.$')

    def test_better(self):
        said = words.sentence(self.compare(factor=0.5))
        self.assertRegex(
            said, r'^Nothing got worse by more than 10 %, in 42 comparisons '
            r"in 12 groups; better: drain's wall time of .*, -\d\d %")

    def test_failures_come_first(self):
        after = runs.run(2, runs.Cloud(factor=2))
        after.attempts[0] = dataclasses.replace(
            after.attempts[0], violations=('no',))
        self.assertRegex(
            words.sentence(judgement.compare(self.before, after)),
            r'^Worse: failures: 1 of 16 live migrations and before 0 of 16')

    def test_servers_share_what_drains_gain(self):
        cell = collection.Cell('block', (
            ('max_concurrent_live_migrations', 3), ('tunnelled', False)))
        after = runs.run(2, runs.Cloud(factor=1.5), cell=cell)
        after = dataclasses.replace(after, drains=[
            dataclasses.replace(each, wall_s=each.wall_s / 3)
            for each in after.drains])
        notes = words.notes(judgement.compare(
            self.before, after,
            ignored=['max_concurrent_live_migrations']))
        self.assertEqual(3, len(notes))
        self.assertIn('is compared with', notes[0])
        self.assertIn('live migrations 3', notes[0])
        self.assertIn('although each server takes longer', notes[2])
        self.assertEqual([], words.notes(self.compare()))

    def test_what_one_has_alone(self):
        after = runs.run(2, runs.Cloud(), flavors=runs.FLAVORS[:2])
        after.remarks.append('a file has no head')
        notes = words.notes(judgement.compare(self.before, after))
        self.assertIn('Only the records before have: ', notes[0])
        self.assertIn('lm.medium', notes[0])
        self.assertEqual('a file has no head.', notes[1])

    def test_percent(self):
        self.assertEqual(['+50 %', '-3.1 %'],
                         [words.percent(0.5), words.percent(-0.031)])


class FormsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        flavor = dataclasses.replace(runs.FLAVORS[0], name=SCRIPT)
        before, after = (runs.run(
            seed, runs.Cloud(factor=factor), flavors=[flavor])
            for seed, factor in ((1, 1.0), (2, 2.0)))
        after.attempts[0] = dataclasses.replace(
            after.attempts[0], violations=('no',))
        self.found = judgement.compare(before, after)

    def test_text(self):
        said = text.render(self.found)
        self.assertIn('| service time', said)
        self.assertIn('1 of 16', said)
        self.assertEqual(words.sentence(self.found),
                         said.rstrip().splitlines()[-1])

    def test_text_does_nothing_to_a_terminal(self):
        found = dataclasses.replace(self.found, remarks=['\x1b[2Jgone'])
        self.assertNotIn('\x1b', text.render(found))

    def test_markdown(self):
        said = markdown.render(self.found)
        self.assertNotIn('<script', said)
        self.assertIn('| quantity | before (s) | after (s) |', said)
        tables = [line for line in said.splitlines()
                  if line.startswith('| ')]
        self.assertLess(14, len(tables))

    def test_document(self):
        found = json.loads(document.render(self.found))
        self.assertEqual(1, found['schema'])
        self.assertTrue(found['worse'])
        self.assertEqual(14, len(found['rows']))
        row = found['rows'][0]
        self.assertEqual('wall_s', row['quantity'])
        self.assertEqual('worse', row['found'])
        self.assertIsNone(row['group']['flavor'])
        self.assertEqual(SCRIPT, found['rows'][-1]['group']['flavor']['name'])
        self.assertEqual(4, row['before']['count'])
        self.assertGreater(row['ratio']['low'], 1)

    def test_html(self):
        said = html.render(self.found, SCRIPT)
        # Plotly's own script aside.
        without = said.replace(str(html._script()), '')
        self.assertNotIn('<script>alert', without)
        self.assertNotIn('alert(1)</script', without)
        self.assertIn('&lt;script&gt;alert(1)&lt;/script&gt;', without)
        self.assertEqual(7, without.count('<option '))
        self.assertIn('✗ Not good', without)
        for outside in ('src="http', 'href="http', 'url('):
            self.assertNotIn(outside, without)

    def test_html_without_figures(self):
        found = dataclasses.replace(self.found, rows=[])
        said = html.render(found, 'T')
        self.assertIn('There is no figure to compare', said)
        self.assertLess(len(said), 100_000)


class RecordsTest(base.TestCase):

    def test_from_files(self):
        directory = self.useFixture(fixtures.TempDir()).path
        before, after = (collection.read([runs.write(
            directory, name, seed=seed)]) for name, seed in (
                ('one', 1), ('two', 2)))
        found = judgement.compare(before, after)
        self.assertEqual(7, len(found.rows))
        self.assertEqual([], found.those(judgement.WORSE))
