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

"""Error against length, for each tool."""

from collections.abc import Sequence
import pathlib

import matplotlib
from matplotlib import axes
from matplotlib import figure
import numpy

from bench.precision import lengths
from bench.precision import rows
from bench.precision import trials as trial_plan

# Errors up to this are drawn on a linear scale, longer ones on a
# logarithmic one; in milliseconds.
LINEAR_MS = 10
BAND_MS = 10
LIMIT_MS = 10_000
# Trials of the same length are set side by side, tool by tool.
SPREAD = 0.22
MARKERS = 'osv^DPX'


def trials(several: Sequence[rows.Row]) -> list[rows.Row]:
    """Return what is drawn."""
    return [row for row in rows.select(several, part='trials')
            if row.error_s is not None]


def draw(several: Sequence[rows.Row], path: pathlib.Path,
         kind: str) -> None:
    """Draw the errors of all trials.

    :param several: all readings
    :param path: where to
    :param kind: png or svg
    """
    told = trials(several)
    drawing = figure.Figure(figsize=(11, 8), layout='constrained')
    panels = drawing.subplots(len(trial_plan.KINDS), 1, sharex=True)
    for panel, name in zip(panels, trial_plan.KINDS):
        draw_panel(panel, rows.select(told, kind=name),
                   rows.values(told, 'tool'))
        panel.set_title('packets %s' % {
            'drop': 'dropped', 'hold': 'held, then all answered'}[name])
    panels[-1].set_xlabel('true length of the outage (s)')
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc='outside right upper')
    # Text stays text, and two runs differ by their figures alone.
    with matplotlib.rc_context({'svg.fonttype': 'none',
                                'svg.hashsalt': 'bench'}):
        drawing.savefig(path, format=kind, dpi=130)


def draw_panel(panel: axes.Axes, told: Sequence[rows.Row],
               tools: Sequence[str]) -> None:
    """Draw the trials of one kind."""
    panel.axhspan(-BAND_MS, BAND_MS, color='0.9', zorder=0,
                  label='± one period (10 ms)')
    panel.axhline(0, color='0.6', linewidth=0.8, zorder=1)
    offsets = numpy.linspace(-SPREAD, SPREAD, len(tools))
    for number, tool in enumerate(tools):
        some = rows.select(told, tool=tool)
        panel.plot(
            [row.truth_s * numpy.exp(offsets[number]) for row in some],
            [1000 * (row.error_s or 0) for row in some],
            linestyle='none', marker=MARKERS[number % len(MARKERS)],
            markersize=4, alpha=0.7, color='C%d' % number, label=tool)
    panel.set_xscale('log')
    panel.set_xticks(lengths.LENGTHS_S,
                     ['%g' % length for length in lengths.LENGTHS_S])
    panel.minorticks_off()
    panel.set_yscale('symlog', linthresh=LINEAR_MS)
    panel.yaxis.set_major_formatter('{x:+g}')
    panel.set_ylim(-LIMIT_MS, LIMIT_MS)
    panel.set_ylabel('error (ms)')
    panel.grid(axis='y', color='0.93')
