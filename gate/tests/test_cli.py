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

"""The command line is understood, and wrong ones are refused."""

import contextlib
import io
import unittest

from gate import cli
from gate import patches


def refusal(*arguments):
    """Return the complaint about a command line."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            cli.parse(list(arguments))
        except SystemExit as error:
            assert error.code == 2, error.code
    return err.getvalue()


class ParseTest(unittest.TestCase):

    def test_defaults(self):
        options = cli.parse([])
        self.assertEqual((None, '', patches.JOB, ''), (
            options.command, options.nova, options.job, options.tests))

    def test_options_before_and_behind_the_command(self):
        for line in (['--nova', 'x', 'up'], ['up', '--nova', 'x']):
            options = cli.parse(line)
            self.assertEqual(('up', 'x', patches.JOB),
                             (options.command, options.nova, options.job))

    def test_change(self):
        options = cli.parse(['change', '--bug', 'b', '--depends-on', '3',
                             '--approve'])
        self.assertEqual((None, 'b', 3, True, 'HEAD'), (
            options.path, options.bug, options.depends_on, options.approve,
            options.revision))

    def test_refused(self):
        for line, message in (
                (('change',), 'either the PATH'),
                (('change', 'x', '--bug', 'b'), 'either the PATH'),
                (('change', 'x', '--depends-on', 'y'), 'invalid int'),
                (('--nova', 'x', 'down'), 'go with "up"'),
                (('--job', 'x', 'status'), 'go with "up"'),
                (('build',), 'invalid choice')):
            self.assertIn(message, refusal(*line), line)

    def test_freeze(self):
        self.assertEqual(['a', 'x/b=b'], cli.parse(
            ['freeze', 'a', 'x/b=b']).checkouts)
        self.assertIn('required', refusal('freeze'))

    def test_approve(self):
        self.assertEqual(3, cli.parse(['approve', '3']).number)
