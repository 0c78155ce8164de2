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

"""The report: a document about one or more runs."""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import numpy

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import hosts
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import drains
from lm_tempest_plugin.results.plots import groups
from lm_tempest_plugin.results.plots import host_pairs
from lm_tempest_plugin.results.plots import workloads
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.results import summary

TITLE = 'Live migration'
#: Version of the report as JSON.
VERSION = 2
#: Sections with plots, in the order of the page.
PLOTS = (groups.durations, drains.timeline, groups.continuity, groups.drift,
         drains.load, groups.settings)


def build(results: store.Results, title: str = '') -> document.Document:
    """Return the report about results.

    :param results: results of one or more runs
    :param title: heading; empty for the usual one
    """
    found = summary.summarize(results)
    material = plots.Material(found, results)
    sections = []
    verdicts = hosts.judge(results)
    if hosts.worth_showing(verdicts):
        sections.append(host_pairs.section(material, verdicts))
    if found.problems:
        sections.append(document.Section('problems', 'Problems', [
            document.Bullets(found.problems)]))
    sections.append(document.Section(
        'migrations', 'Live migrations', list(_migrations(material))))
    if directions := summary.directions(results):
        sections.append(document.Section(
            'directions', 'Directions between versions',
            [_directions(directions)]))
    if found.drains:
        sections += [
            document.Section('drains', 'Drains', [_drains(material)]),
            document.Section(
                'recommendation', 'Recommended number of migrations at once',
                [document.Note(f'{found.recommendation.text}.', answer=True),
                 document.Bullets(found.recommendation.evidence)])]
    if found.workloads:
        sections.append(workloads.section(material))
    sections += [section(material) for section in PLOTS]
    if found.checks:
        sections.append(document.Section('checks', 'Checks', [document.Table(
            'Number of drains on which each check ran, failed, or was '
            'skipped, and number of problems that it found.',
            ('Check', 'Skipped because', 'Ran', 'Failed', 'Skipped',
             'Problems'), [document.TableRow((
                 each.check, '; '.join(
                     f'{reason} ({number})'
                     for reason, number in each.reasons.items()) or
                 document.UNKNOWN, f'{each.ran}', f'{each.failed}',
                 f'{each.skipped}', f'{each.problems}'),
                 document.BAD if each.problems else '')
                 for each in found.checks], words=2)]))
    sections.append(document.Section('runs', 'Runs', [document.Table(
        'Plugin, cloud and results file of each run.',
        ('Run', 'Started', 'Plugin', 'Region', 'Compute API', 'Hosts',
         'File'), [document.TableRow((
             run.run, document.time_of_day(run.started_at),
             f'{run.plugin_version} ({run.plugin_commit})'
             if run.plugin_commit else run.plugin_version,
             run.region or document.UNKNOWN,
             run.compute_api or document.UNKNOWN,
             hosts.by_versions(run.hosts) or document.UNKNOWN,
             results.files[run.run])) for run in results.runs], words=7)]))
    return document.Document(
        title=title or TITLE, good=found.good,
        verdict=f'{found.sentence}.',
        remarks=[f'{remark}.' for remark in found.remarks],
        sections=sections,
        data={'version': VERSION, 'kind': 'report', 'summary': found,
              'hosts': verdicts, 'runs': results.runs,
              'files': results.files})


def _migrations(material: plots.Material) -> Iterator[document.Node]:
    names = material.names
    if names.common:
        yield document.Note(
            f'All settings have in common: {names.common}. Tables and plots '
            f'name only the settings that differ.')
    if names.together and material.summary.groups:
        yield document.Note(f'Drained together: {names.together}.')
    if names.explained:
        yield document.Note(f'Short names: {names.explained}.')
    if not material.summary.groups:
        yield document.Note('No live migration was judged.')
        return
    limits = {(each.max_outage_s, each.max_stall_s)
              for each in material.results.migrations}
    limit = ''
    if len(limits) == 1:
        limit = ' Limits: outage {:g} s, stall {:g} s.'.format(*limits.pop())
    together = () if names.together else ('Drained together',)
    work = ('Workload',) if material.summary.workloads else ()
    rows = []
    for group in material.summary.groups:
        conditions = group.conditions
        duration = group.spreads.get('duration_s')
        downtime = group.spreads.get('downtime_s')
        probed = [(each.continuity, each) for each
                  in material.measured(conditions) if each.continuity]
        rows.append(document.TableRow((
            names.settings(conditions.settings), str(conditions.flavor),
            *([conditions.drained_together_short] if together else ()),
            *([str(conditions.workload)] if work else ()),
            _as_expected(material, group),
            document.estimate(duration.median) if duration
            else document.UNKNOWN,
            document.number(duration.p95.value) if duration
            else document.UNKNOWN,
            _longest(((continuity.outage, each.max_outage_s)
                      for continuity, each in probed), bool(limit)),
            _longest(((continuity.stall, each.max_stall_s)
                      for continuity, each in probed if continuity.stall),
                     bool(limit)),
            f'{document.number(downtime.median.value)} / '
            f'{document.number(downtime.largest)}' if downtime
            else document.UNKNOWN),
            document.BAD if group.with_problems else document.GOOD))
    yield document.Table(
        'Live migrations by settings and flavor. Duration: median with its '
        '95 % interval. Outage and stall: longest, with the error bound. '
        f'Downtime by libvirt: median / longest.{limit}',
        ('Settings', 'Flavor', *together, *work, 'As expected', 'Duration (s)',
         'p95 (s)', 'Outage (s)', 'Stall (s)', 'Downtime (s)'), rows,
        words=3 + len(together) + len(work),
        outcome=3 + len(together) + len(work))


def _directions(found: Mapping[
        summary.Direction, Sequence[schema.MigrationResult]]
        ) -> document.Table:
    rows = []
    for (source, destination), migrations in sorted(found.items()):
        cells = []
        for quantity, figure in (
                ('duration_s', numpy.median), ('outage_s', numpy.max),
                ('stall_s', numpy.max), ('downtime_s', numpy.max)):
            values = summary.values(migrations, quantity)
            cells.append(document.number(float(figure(values)))
                         if len(values) else document.UNKNOWN)
        good = sum(not each.problems for each in migrations)
        bad = collections.Counter(
            each.verdict for each in migrations if each.problems)
        rows.append(document.TableRow((
            source, destination, ' '.join(filter(None, (
                '✗' if bad else '✓', f'{good} of {len(migrations)}',
                ', '.join(f'({count} {verdict})'
                          for verdict, count in bad.most_common())))),
            *cells), document.BAD if bad else document.GOOD))
    return document.Table(
        'Live migrations between hosts of different versions, and beside them '
        'those between hosts of the same versions. Duration: median; outage, '
        'stall and downtime by libvirt: longest.',
        ('From', 'To', 'As expected', 'Duration (s)', 'Outage (s)',
         'Stall (s)', 'Downtime (s)'), rows, words=2, outcome=3)


def _as_expected(material: plots.Material, group: summary.Group) -> str:
    """Return how many migrations were as expected, refusals apart.

    A refusal that a test asks for is as expected, but no migration: counted
    together, "11 of 11" would hide that one server was not migrated.
    """
    text = (f'{"✗" if group.with_problems else "✓"} {group.completed} of '
            f'{group.migrations - group.refused}')
    bad = collections.Counter(
        'completed but failed a check' if each.completed else each.verdict
        for each in material.grouped[group.conditions] if each.problems)
    if bad:
        text += ' (' + ', '.join(
            f'{count} {verdict}' for verdict, count in bad.most_common()) + \
            ')'
    if group.refused:
        text += (f'; besides, {group.refused} not completed, as the test '
                 f'expected')
    return text


def _longest(found: Iterable[tuple[
        schema.OutageFigures | schema.StallFigures, float]],
        one_limit: bool) -> str:
    longest = max(found, key=lambda each: each[0].longest_s, default=None)
    if longest is None:
        return document.UNKNOWN
    figures, bound_s = longest
    text = (f'{document.number(figures.longest_s)} ± '
            f'{document.number(figures.error_bound_s)}')
    return text if one_limit else f'{text} (limit {bound_s:g})'


def _drains(material: plots.Material) -> document.Table:
    return document.Table(
        'Seconds from the first request to the last end (median with '
        'its 95 % interval, and longest), and live migrations that the '
        'source host was seen to run at once.',
        ('Settings', 'Servers', 'Strategy', 'Drains', 'Wall time (s)',
         'Longest (s)', 'At once', 'Most waiting', 'Transport'),
        [document.TableRow((
            material.names.settings(each.conditions.settings), each.load,
            each.conditions.strategy or document.UNKNOWN, f'{each.drains}',
            document.estimate(each.wall.median),
            document.number(each.wall.largest),
            document.spread(*each.ran) if each.ran else document.UNKNOWN,
            document.UNKNOWN if each.queued is None else f'{each.queued}',
            ', '.join(each.transports) or document.UNKNOWN))
            for each in material.summary.drains], words=3)
