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

"""What the records of a run say, on the screen and as a page.

Statistics and pages take libraries that the tests do not need. They are
imported here, and only when they are used.
"""

from collections.abc import Sequence
import importlib
import pathlib
from typing import Any

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results import output

PACKAGE = 'lm_tempest_plugin.results.'
EXTRA = 'pip install lm-tempest-plugin[report]'
PARTS = ('summary', 'rendering.text', 'html.page')


def check(path: pathlib.Path | None) -> None:
    """Find out whether there can be a report, before hours are spent.

    :param path: of the page; None for one in the workspace
    :raises OperatorError: a library is missing, or it cannot be written
    """
    for part in PARTS:
        _module(part)
    if path is not None:
        try:
            output.check(path)
        except output.OutputError as exc:
            raise errors.OperatorError(str(exc)) from exc


def report(results: pathlib.Path, path: pathlib.Path,
           title: str) -> tuple[bool, str]:
    """Write the page.

    :param results: directory of the records
    :param path: of the page
    :param title: its heading
    :returns: whether all was good, and what to print
    :raises OperatorError: there are no records, they cannot be used, or
        the page cannot be written
    """
    try:
        records = collection.read(_files(results))
        summary = _module('summary').summarize(records)
        text = _module('rendering.text').render(summary, records)
        output.write(path, _module('html.page').render(
            summary, records, title))
    except (chain.RecordsError, output.OutputError) as exc:
        raise errors.OperatorError(str(exc)) from exc
    return bool(summary.good), str(text)


def _files(results: pathlib.Path) -> Sequence[pathlib.Path]:
    found = sorted(results.glob('*' + chain.SUFFIX))
    if not found:
        raise chain.RecordsError(
            'no live migration was recorded in %s' % results)
    return found


def _module(part: str) -> Any:
    """Return a module that may need libraries that are not there.

    :raises OperatorError: one is missing; says how to install it
    """
    try:
        return importlib.import_module(PACKAGE + part)
    except ModuleNotFoundError as exc:
        if str(exc.name).startswith('lm_tempest_plugin'):
            raise
        raise errors.OperatorError(
            'the report needs %s, which is not installed: %s' % (
                exc.name, EXTRA)) from exc
