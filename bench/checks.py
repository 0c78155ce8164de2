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

"""Cost of the checks: wall time and measured outage of the round trip test.

The test runs in pairs, with all checks and without any, in an order that
changes from pair to pair.

    tools/run-lab.sh exec -- python -m bench.checks [--pairs N]
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy

from lab import layout
from lm_tempest_plugin.migration import checks  # noqa: F401 (registers them)
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.results import effects
from lm_tempest_plugin.results import estimates
from lm_tempest_plugin.results import store

TEST = 'live_migration_ha.*test_block_live_migration_round_trip'
# Claims: how much longer the test takes, and how much longer outages are.
SHARE, OUTAGE_S = 0.25, 0.05
# As `tempest run` prints it.
DURATION = re.compile(r'\[(\d+\.\d+)s\] \.\.\. ok')


class TestFailed(Exception):
    """The test failed, so that its time says nothing."""


def main(arguments: list[str]) -> int:
    """Run the pairs, and print the differences.

    :param arguments: of the command line
    :returns: 0 if both claims hold
    """
    parser = argparse.ArgumentParser(
        prog='python -m bench.checks', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pairs', type=int, default=6, metavar='N',
                        help='number of pairs (default: %(default)s, the '
                        'fewest for a 95 %% interval)')
    options = parser.parse_args(arguments)
    paths = layout.Layout(layout.state_folder())
    shares, longer_s = [], []
    for number in range(1, options.pairs + 1):
        cost = {checked: run(paths, checked) for checked in (
            (True, False) if number % 2 else (False, True))}
        wall_s, outages = zip(cost[True], cost[False])
        shares.append(wall_s[0] / wall_s[1] - 1)
        longer_s.append(outages[0] - outages[1])
        print(f'pair {number}: {wall_s[0]:.1f} s with checks, '
              f'{wall_s[1]:.1f} s without; mean outage {outages[0]:.3f} s '
              f'and {outages[1]:.3f} s', flush=True)
    share = effects.centre(numpy.array(shares))
    longer = effects.centre(numpy.array(longer_s))
    held = [
        _claim(f'wall time: {_text(share, 100, "%")} longer, at most '
               f'{SHARE:.0%}', share.value <= SHARE),
        _claim(f'outage: {_text(longer, 1000, "ms")} longer, and 0 within '
               f'the interval or less than {OUTAGE_S * 1000:g} ms',
               not longer.excludes(0) or abs(longer.value) < OUTAGE_S)]
    return 0 if all(held) else 1


def run(paths: layout.Layout, checked: bool) -> tuple[float, float]:
    """Return the time of one run of the test, and its mean longest outage.

    :param paths: paths of the lab
    :param checked: whether the checks run
    :raises TestFailed: the test failed
    """
    with tempfile.TemporaryDirectory() as folder:
        added = ['[live_migration_ha]', f'results_directory = {folder}']
        if not checked:
            names = [name for name in registry.CHECKS if name != 'verdict']
            added.append(
                f'leave_out_checks = {",".join([*names, "outbound"])}')
        # Tempest looks for its configuration in etc of the workspace.
        conf = paths.tempest_conf.with_name('bench-checks.conf')
        layout.write(conf, '\n'.join(
            [paths.tempest_conf.read_text(), *added, '']), mode=0o600)
        try:
            done = subprocess.run(
                ['tempest', 'run', '--serial', '--regex', TEST],
                cwd=paths.workspace, text=True, capture_output=True,
                env={**os.environ, 'TEMPEST_CONFIG': conf.name})
        finally:
            conf.unlink()
        found = DURATION.search(done.stdout)
        if done.returncode or found is None:
            raise TestFailed(done.stdout[-2000:] + done.stderr[-500:])
        results = store.read(pathlib.Path(folder).glob('*.jsonl'))
    outages = [each.continuity.outage.longest_s
               for each in results.migrations if each.continuity]
    return float(found[1]), sum(outages) / len(outages)


def _text(estimate: estimates.Estimate, scale: float, unit: str) -> str:
    """Return an estimate with its interval."""
    interval = (f' ({estimate.low * scale:.0f} to {estimate.high * scale:.0f})'
                if estimate.low is not None and estimate.high is not None
                else ' (too few pairs for an interval)')
    return f'{estimate.value * scale:.0f}{interval} {unit}'


def _claim(text: str, holds: bool) -> bool:
    print(f'{"PASS" if holds else "FAIL"} {text}', flush=True)
    return holds


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except TestFailed as error:
        sys.exit(f'bench.checks: the test failed:\n{error}')
