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

"""Run ``python -m bench.statistics``; see the package."""

import argparse
import sys

import bench.statistics
from bench.statistics import coverage
from bench.statistics import known

PARTS = ('coverage', 'known')
#: Claim: an interval contains the true value this often, in % of simulations.
LOW, HIGH = 92.0, 98.0


def main(arguments: list[str]) -> int:
    """Run the requested parts.

    :param arguments: command line arguments
    :returns: 0 if all claims hold
    """
    options = _options(arguments)
    holds = True
    if options.only in (None, 'coverage'):
        holds &= _coverage(options.simulations, options.seed)
    if options.only in (None, 'known'):
        for answer in known.answers(options.runs, options.seed):
            holds &= _claim(f'known: {answer.text}', answer.holds)
    return 0 if holds else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m bench.statistics',
        description=bench.statistics.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', choices=PARTS, help='run only this part')
    parser.add_argument('--simulations', type=_positive, default=1000,
                        metavar='N', help='simulations for each coverage '
                        '(default: %(default)s)')
    parser.add_argument('--runs', type=_positive, default=100, metavar='N',
                        help='runs of each simulated cloud (default: '
                        '%(default)s)')
    parser.add_argument('--seed', type=int, default=1, metavar='N',
                        help='seed of the random numbers (default: '
                        '%(default)s)')
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'{text!r} is not a number; use 1 '
                                         f'or more')
    return int(text)


def _coverage(simulations: int, seed: int) -> bool:
    print(f'{"95 % interval of":<20}{"values":<18}{"count":<10}{"covers":>8}'
          f'{"above":>8}{"below":>8}   (% of {simulations})')
    claimed = []
    for case in coverage.cases():
        for name, result in coverage.simulate(
                case, simulations, seed).items():
            mark = '   not claimed'
            if case.claimed:
                claimed.append(result.covers)
                inside = LOW <= result.covers <= HIGH
                mark = '' if inside else '   OUTSIDE'
            print(f'{name:<20}{case.values:<18}{case.count:<10}'
                  f'{result.covers:>8.1f}{result.above:>8.1f}'
                  f'{result.below:>8.1f}{mark}', flush=True)
    return _claim(
        f'coverage: {min(claimed):.1f} to {max(claimed):.1f} % in '
        f'{len(claimed)} cases (claim: {LOW:g} to {HIGH:g} %)',
        all(LOW <= each <= HIGH for each in claimed))


def _claim(text: str, holds: bool) -> bool:
    print(f'{"PASS" if holds else "FAIL"} {text}', flush=True)
    return holds


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
