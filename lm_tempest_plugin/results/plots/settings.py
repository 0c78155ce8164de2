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

"""Effect of single settings: conditions that differ in nothing else."""

from collections.abc import Sequence
import dataclasses
import math

from lm_tempest_plugin.results import document
from lm_tempest_plugin.results import plots
from lm_tempest_plugin.results.plots import theme
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import summary

PLACE = 70
MOST_ROWS = 40
LINE, GAP = 15, 18


def section(material: plots.Material) -> document.Section:
    """Return the section with a plot of each quantity, and a table."""
    differences = material.summary.differences
    quantities: dict[str, list[summary.Difference]] = {}
    for name in plots.QUANTITIES:
        found = [each for each in differences if each.quantity == name]
        if found:
            quantities[name] = found
    nodes: list[document.Node] = [document.Plot(
        'settings',
        'The time that the second value of a setting adds, with its 95 % '
        'interval. If the interval includes zero, no difference was found '
        '(hollow).',
        [(plots.QUANTITIES[name], _figure(material, found))
         for name, found in quantities.items()],
        'Quantity', missing='' if differences else
        'No two combinations differ in exactly one setting, so the effect '
        'of a setting is not known.', notes=[
            f'{plots.QUANTITIES[name]}: the {MOST_ROWS} largest of '
            f'{len(found)} differences are drawn.'
            for name, found in quantities.items()
            if len(found) > MOST_ROWS])]
    if differences:
        nodes += _table(material, differences)
    return document.Section('settings', 'Effect of settings', nodes)


def _table(material: plots.Material,
           differences: Sequence[summary.Difference]) -> list[document.Node]:
    found = [each for each in differences if each.effect.found]
    note = document.Note(
        f'No difference found in {len(differences) - len(found)} of '
        f'{document.count(len(differences), "comparison")}. Where nothing '
        f'differs, 1 in 20 seems to.')
    if not found:
        return [note]
    return [document.Table(
        'Differences that were found, in seconds: medians, and the '
        'difference with its 95 % interval.',
        ('Setting', 'Other conditions', 'Quantity', 'Before', 'After',
         'Difference', 'Ratio'),
        [document.TableRow((
            _title(each), _rest(material, each),
            plots.QUANTITIES[each.quantity],
            document.number(each.effect.before.value),
            document.number(each.effect.after.value),
            document.estimate(each.effect.difference, sign=True),
            document.UNKNOWN if math.isnan(each.effect.ratio.value)
            else document.number(each.effect.ratio.value)))
            for each in found], words=3), note]


def _figure(material: plots.Material,
            found: Sequence[summary.Difference]) -> document.Figure:
    largest = sorted(range(len(found)), key=lambda place: -abs(
        found[place].effect.difference.value))[:MOST_ROWS]
    shown = [found[place] for place in sorted(largest)]
    labels = [
        f'<b>{theme.wrapped(_title(each), 24, 2)}</b><br>'
        f'{theme.wrapped(_rest(material, each), 24, 3)}' for each in shown]
    # All rows have the height of the highest.
    lines = 1 + max(label.count('<br>') for label in labels)
    longer = [place for place, each in enumerate(shown)
              if each.effect.found and each.effect.difference.value > 0]
    shorter = [place for place, each in enumerate(shown)
               if each.effect.found and each.effect.difference.value <= 0]
    none = [place for place, each in enumerate(shown)
            if not each.effect.found]
    return theme.forest(
        max(110, len(labels) * (lines * LINE + GAP)), labels,
        'difference (s)', [
            ('longer', theme.BAD, 'circle', longer),
            ('shorter', theme.GOOD, 'diamond', shorter),
            ('no difference found', theme.MUTED, 'circle-open', none)],
        [each.effect.difference for each in shown], list(map(_hover, shown)))


def _title(each: summary.Difference) -> str:
    before, after = (
        plots.setting_value(conditions.settings, each.setting)
        for conditions in (each.before, each.after))
    return f'{plots.setting(each.setting)}: {before} → {after}'


def _rest(material: plots.Material, each: summary.Difference) -> str:
    """Return the conditions without the setting."""
    settings = each.before.settings
    rest = schema.Settings(
        storage='' if each.setting == summary.STORAGE else settings.storage,
        values={name: value for name, value in settings.values.items()
                if name != each.setting})
    name = material.names.group(dataclasses.replace(
        each.before, settings=rest))
    return f'{name}, {each.before.flavor}'


def _hover(each: summary.Difference) -> str:
    effect = each.effect
    ratio = [] if math.isnan(effect.ratio.value) else [
        f'ratio {document.estimate(effect.ratio)}']
    return theme.hover(
        f'{each.before.settings} → {each.after.settings}',
        f'{each.before.flavor}, {each.before.drained_together}',
        f'before {document.estimate(effect.before)} s, after '
        f'{document.estimate(effect.after)} s',
        f'difference {document.estimate(effect.difference, sign=True)} s',
        *ratio, *([] if effect.found else ['no difference found']))
