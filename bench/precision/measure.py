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

"""Trials and scenarios: run them, and say what every tool said."""

from collections.abc import Sequence
from typing import Any

from bench.precision import episodes
from bench.precision import prober
from bench.precision import results
from bench.precision import rows
from bench.precision import session
from bench.precision import slots
from bench.precision import trials


def run(found: results.Results, planned: Sequence[slots.Slot],
        part: str) -> None:
    """Run trials and scenarios side by side, and note what was seen.

    :param found: where to
    :param planned: trials and scenarios
    :param part: what the rows are marked with
    """
    ran = session.run(planned, part)
    found.responders.append({'part': part, **ran.responder})
    found.runs.extend(results.Run.of(part, name, report)
                      for name, report in ran.reports.items())
    for seen in ran.seen:
        if seen.slot.name == trials.NAME:
            found.readings.extend(trial_rows(part, seen, ran.reports))
        else:
            found.scenarios.extend(scenario(seen, ran.reports))


def trial_rows(part: str, seen: session.Seen,
               reports: dict[str, prober.Report]) -> list[rows.Row]:
    """Return what each tool says about the outage of one trial."""
    truth, = seen.truth
    made = [
        rows.make(part, name, truth, report.reading(
            seen.slot.address, truth['begin_ns'], truth['end_ns']),
            report.json['interval_s'])
        for name, report in reports.items()]
    return made + [rows.make(part, name, truth, prober.Reading(figure_s))
                   for name, figure_s in seen.figures.items()]


def scenario(seen: session.Seen,
             reports: dict[str, prober.Report]) -> list[dict[str, Any]]:
    """Return what each tool says about one scenario."""
    slot = seen.slot
    about = {
        'scenario': slot.name,
        'length_s': (slot.end_ns - slot.begin_ns) / episodes.NS,
        'dropped': sum(one['dropped'] for one in seen.truth),
        'kept': sum(one['kept'] for one in seen.truth),
        'uncertainty_s': max(one['uncertainty_ns']
                             for one in seen.truth) / episodes.NS}
    told = [{**about, 'tool': name, 'figure_s': figure_s}
            for name, figure_s in seen.figures.items()]
    for name, report in reports.items():
        outages = report.outages(slot.address, slot.begin_ns, slot.end_ns)
        longest = report.reading(slot.address, slot.begin_ns, slot.end_ns)
        target = report.target(slot.address)
        told.append({
            **about, 'tool': name, 'figure_s': longest.figure_s,
            'bound_s': longest.bound_s, 'count': len(outages),
            'sum_s': sum(one['duration_s'] for one in outages),
            'period_s': report.json['interval_s'],
            'too_busy': report.too_busy,
            'lost': target['lost'], 'late': target['late'],
            'scattered_losses': target['scattered_losses']})
    return told
