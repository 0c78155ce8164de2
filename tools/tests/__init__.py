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

"""Run the unit tests of the whole repository as one suite.

stestr discovers tests below one directory. It is this package, which loads the
tests of the tools, the plugin, the lab and the benchmarks.
"""

import os.path
import unittest

ELSEWHERE = (
    'lm_tempest_plugin/tests/unit',
    'lab/tests/unit',
    'bench/tests',
)


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite,
               pattern: str | None) -> unittest.TestSuite:
    """Load the tests here and elsewhere (unittest's load_tests protocol).

    A missing directory is an error; otherwise its tests would silently not
    run any more.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    top = os.path.dirname(os.path.dirname(here))
    folders = [here] + [os.path.join(top, folder) for folder in ELSEWHERE]
    for folder in folders:
        tests.addTests(loader.discover(folder, pattern or 'test*.py', top))
    return tests
