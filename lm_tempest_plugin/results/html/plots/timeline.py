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

"""What each server of a drain did when: queue, copy and outage as bars."""

from collections.abc import Sequence

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import drains as choosing
from lm_tempest_plugin.results.html import figure as figures
from lm_tempest_plugin.results.html import material as materials
from lm_tempest_plugin.results.html import plot as plots
from lm_tempest_plugin.results.html import spans
from lm_tempest_plugin.results.html import theme
from lm_tempest_plugin.results.html import words

# So many servers of a drain have a bar.
MOST_SERVERS = 60
ROW, STEPS, GAP = 22, 84, 44
BAR, OUTAGE_BAR = 0.62, 0.28
KEY, TITLE = 'timeline', 'Timeline of a drain'


def plot(material: materials.Material) -> plots.Plot:
    """Return the plot.

    :param material: of the page
    """
    drains = [drain for drain in material.records.drains
              if material.of(drain)]
    if not drains:
        return plots.Plot(KEY, TITLE, '', missing=(
            'The records tell of no drain with an attempt that was judged.'))
    shown = choosing.chosen(material, drains)
    notes = choosing.notes(drains, shown)
    if any(len(material.of(drain)) > MOST_SERVERS for drain in shown):
        notes.append('Of each drain, the first %d servers have a bar.' %
                     MOST_SERVERS)
    return plots.Plot(
        KEY, TITLE,
        'A bar for each server from its request to the end of its live '
        'migration, with its longest outage in red; below it how many '
        'servers the source host worked on at once, and how many waited. '
        'Times are those of the polls of the API, or of nova\'s own stamps, '
        'which know whole seconds; so two bars that follow each other may '
        'seem to overlap.',
        figures=[(choosing.label(material, drain),
                  _figure(drain, material.of(drain))) for drain in shown],
        choice='Drain', notes=notes)


def _figure(drain: collection.Drain,
            found: Sequence[collection.Attempt]) -> figures.Figure:
    attempts = sorted(
        found, key=lambda each: each.requested_monotonic_s)[:MOST_SERVERS]
    bars = max(2, len(attempts)) * ROW
    area = bars + GAP + STEPS
    figure = theme.figure(
        area, barmode='overlay',
        xaxis=theme.axis('seconds after the drain began', anchor='y2',
                         range=[0, 1.03 * _end(drain, found)]),
        yaxis=theme.rows(
            [theme.short(each.server_name or each.server_id, 18)
             for each in attempts],
            domain=[1 - bars / area, 1]),
        yaxis2=theme.axis('at once', domain=[0, STEPS / area],
                          rangemode='tozero', tickformat='d', nticks=4))
    _add_phases(figure, drain, attempts)
    _add_rest(figure, drain, attempts)
    _add_outages(figure, drain, attempts)
    _add_steps(figure, 'at work%s' % (
        '' if drain.ran is None else ' (most that were seen: %d)' %
        drain.ran), spans.running(drain, found),
               color=theme.PHASES['copy'], dash='solid')
    _add_steps(figure, 'waiting', spans.queued(drain, found),
               color=theme.MUTED, dash='dot')
    return figure


def _end(drain: collection.Drain,
         attempts: Sequence[collection.Attempt]) -> float:
    return max([drain.wall_s, *(
        spans.asked_s(drain, each) + each.duration_s for each in attempts)])


def _add_phases(figure: figures.Figure, drain: collection.Drain,
                attempts: Sequence[collection.Attempt]) -> None:
    placed: dict[str, list[tuple[int, spans.Span]]] = {
        name: [] for name in theme.PHASES}
    for row, attempt in enumerate(attempts):
        for span in spans.phases(drain, attempt):
            placed.setdefault(span.name, []).append((row, span))
    for number, (name, found) in enumerate(placed.items()):
        _add_bars(figure, name, found, attempts, theme.PHASES.get(
            name, theme.colour(number)), BAR)


def _add_rest(figure: figures.Figure, drain: collection.Drain,
              attempts: Sequence[collection.Attempt]) -> None:
    """Add a bar for attempts of which no phase is known."""
    _add_bars(figure, 'no phase is known', [
        (row, spans.Span(attempt.verdict, spans.asked_s(drain, attempt),
                         attempt.duration_s))
        for row, attempt in enumerate(attempts) if not attempt.phases],
        attempts, '#f2d9d7', BAR, line={'color': theme.BAD, 'width': 1})


def _add_outages(figure: figures.Figure, drain: collection.Drain,
                 attempts: Sequence[collection.Attempt]) -> None:
    _add_bars(figure, 'longest outage', [
        (row, span) for row, attempt in enumerate(attempts)
        if (span := spans.outage(drain, attempt)) is not None],
        attempts, theme.OUTAGE, OUTAGE_BAR,
        line={'color': theme.OUTAGE, 'width': 1.5})


def _add_bars(figure: figures.Figure, name: str,
              placed: Sequence[tuple[int, spans.Span]],
              attempts: Sequence[collection.Attempt], colour: str,
              width: float, line: dict[str, object] | None = None) -> None:
    if not placed:
        return
    figure.add(
        'bar',
        name=theme.text(name), orientation='h', width=width,
        y=[row for row, _span in placed],
        x=[span.seconds for _row, span in placed],
        base=[span.begin_s for _row, span in placed],
        marker={'color': colour,
                'line': line or {'color': '#ffffff', 'width': 0.5}},
        hoverinfo='text', hovertext=[
            theme.hover(
                attempts[row].server_name,
                '%s: %s s, from %s s' % (
                    span.name, words.number(span.seconds),
                    words.number(span.begin_s)),
                'verdict: %s' % attempts[row].verdict,
                *attempts[row].violations)
            for row, span in placed])


def _add_steps(figure: figures.Figure, name: str,
               found: Sequence[spans.Span], color: str, dash: str) -> None:
    times, counts = spans.at_once(found)
    if not any(counts):
        return
    figure.add(
        'scatter',
        x=times, y=counts, yaxis='y2', mode='lines', name=name,
        line={'shape': 'hv', 'color': color, 'dash': dash, 'width': 2},
        hoverinfo='text', hovertext=['%d %s' % (each, name)
                                     for each in counts])
