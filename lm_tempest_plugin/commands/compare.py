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

"""tempest live-migration-ha compare: did anything get worse?"""

import argparse
from collections.abc import Callable
import importlib
import math
import pathlib
from typing import Any

from cliff import command

from lm_tempest_plugin.commands import records
from lm_tempest_plugin.results import chain
from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results import output

TEXT, MARKDOWN, JSON, HTML = 'text', 'markdown', 'json', 'html'
FORMATS = (TEXT, MARKDOWN, JSON, HTML)
EXTENSIONS = {'.txt': TEXT, '.md': MARKDOWN, '.json': JSON, '.html': HTML,
              '.htm': HTML}
# As results.comparison.quantities has them, which is not imported before
# it is needed.
QUANTITIES = ('wall_s', 'duration_s', 'service_s', 'queue_s', 'outage_s',
              'stall_s', 'downtime_s')
TOLERANCE_PERCENT = 10.0
TITLE = 'Live migration, before and after'
WORSE, BAD_INPUT = 1, 2
_PACKAGE = 'lm_tempest_plugin.results.comparison.'
_MODULES = {TEXT: 'text', MARKDOWN: 'markdown', JSON: 'document',
            HTML: 'html'}


class CompareError(Exception):
    """Nothing can be compared as it is asked for."""


class Compare(command.Command):
    """Compare two lots of records, such as before and after an upgrade.

    What happened under the same conditions is held against each other: the
    same cell, flavor and strategy, and the same servers moved together. The
    exit code is 0 if nothing got worse beyond the tolerance, 1 if anything
    did or failed more often, and 2 if the records cannot be used or not be
    compared.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        records.add_argument(parser, 'before', None)
        records.add_argument(parser, 'after', None)
        parser.add_argument(
            '--tolerance', metavar='PERCENT', type=_percent,
            default=TOLERANCE_PERCENT,
            help='what may get worse (default: %(default)g)')
        parser.add_argument(
            '--ignore', metavar='SETTING', action='append', default=[],
            help='compare what differs in this setting, such as '
            'max_concurrent_live_migrations; strategy and storage are '
            'settings, too (may be given more than once)')
        parser.add_argument(
            '--quantity', choices=QUANTITIES, action='append', default=[],
            help='compare this alone, and what failed (default: all; may '
            'be given more than once)')
        for side in ('before', 'after'):
            parser.add_argument(
                '--%s-only' % side, metavar='SETTING=VALUE', type=_setting,
                action='append', default=[],
                help='of the records %s, take only what has this value; the '
                'setting is ignored in the comparison' % side)
        parser.add_argument(
            '-o', '--output', metavar='FILE',
            help='file to write, as a whole or not at all (default: print '
            'the comparison); the sentence is printed as well')
        parser.add_argument(
            '--format', choices=FORMATS,
            help='form of the comparison (default: by the extension of '
            'FILE: %s; text without FILE)' % ' '.join(EXTENSIONS))
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Compare, and write what was found.

        :returns: 0, 1 if anything got worse, 2 if nothing can be compared
        """
        try:
            return self._compare(parsed_args)
        except (chain.RecordsError, output.OutputError,
                CompareError) as exc:
            self.app.stderr.write('%s\n' % exc)
            return BAD_INPUT

    def _compare(self, parsed_args: argparse.Namespace) -> int:
        """Compare, and write what was found.

        :raises RecordsError: records cannot be used
        :raises OutputError: the file cannot be written
        :raises CompareError: there is nothing to compare
        """
        path = parsed_args.output
        form = parsed_args.format or _by_extension(path)
        sides = [parsed_args.before], [parsed_args.after]
        if path:
            output.check(path, [
                each for side in sides for each in records.files(side)])
        before, after = map(records.read, sides)
        found = _found(before, after, parsed_args)
        text = _rendered(form, found)
        if path:
            output.write(path, text)
            self.app.stdout.write('%s\n' % _module('words').sentence(found))
        else:
            self.app.stdout.write(text)
        return WORSE if found.worse else 0


def _found(before: collection.Collection, after: collection.Collection,
           parsed_args: argparse.Namespace) -> Any:
    """Return the comparison.

    :raises CompareError: there is nothing to compare
    """
    judgement, groups = _module('judgement'), _module('groups')
    try:
        return judgement.compare(
            before, after, parsed_args.tolerance, parsed_args.ignore,
            dict(parsed_args.before_only), dict(parsed_args.after_only),
            parsed_args.quantity)
    except groups.NotComparable as exc:
        raise CompareError(str(exc)) from exc


def _rendered(form: str, found: Any) -> str:
    """Return the comparison in one of FORMATS."""
    render: Callable[..., str] = _module(_MODULES[form]).render
    return render(found, TITLE) if form == HTML else render(found)


def _module(name: str) -> Any:
    """Return a module of the comparison.

    Whoever only runs the tests has no need of what it is made with.

    :raises CompareError: a library is missing
    """
    try:
        return importlib.import_module(_PACKAGE + name)
    except ModuleNotFoundError as exc:
        if (exc.name or '').startswith('lm_tempest_plugin'):
            raise
        raise CompareError(
            'a comparison needs %s, which is not installed: pip install '
            'lm-tempest-plugin[report]' % exc.name) from exc


def _by_extension(path: str | None) -> str:
    """Return the format that a file is to have.

    :raises CompareError: its name does not say so
    """
    if not path:
        return TEXT
    try:
        return EXTENSIONS[pathlib.Path(path).suffix.lower()]
    except KeyError:
        raise CompareError(
            'the name of %s does not say which format it is to have: end it '
            'in one of %s, or give --format' % (
                path, ' '.join(EXTENSIONS))) from None


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(
            '%r is not a number of percent, 0 or more' % text)
    return value


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition('=')
    if not name or not equals:
        raise argparse.ArgumentTypeError(
            '%r is not like SETTING=VALUE' % text)
    return name, value
