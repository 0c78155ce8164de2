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

import io

import subunit
import testtools
from testtools import content

from lm_tempest_plugin.tests.live_migration_ha import attachments
from lm_tempest_plugin.tests.unit import base

# Characters of two bytes, so that a piece may end within one.
LONG = 'x' + 'é' * (3 * 1024 * 1024)


class SplitTest(base.TestCase):

    def test_what_is_short_stays(self):
        short = content.text_content('short')
        details = {'log': short}
        attachments.split(details)
        self.assertIs(short, details['log'])

    def test_what_is_long_is_cut(self):
        details = {'log': content.text_content(LONG)}
        attachments.split(details)
        sizes = list(map(len, details['log'].iter_bytes()))
        self.assertEqual(7, len(sizes))
        self.assertLessEqual(max(sizes), attachments.PIECE_BYTES)
        self.assertEqual(LONG, details['log'].as_text())
        self.assertEqual(LONG, details['log'].as_text())

    def test_a_result_carries_it(self):
        """With what a test attaches while it is set up."""
        class LongTest(testtools.TestCase):

            def setUp(self):
                attachments.in_pieces(self)
                super().setUp()
                self.addCleanup(
                    self.addDetail, 'log', content.text_content(LONG))

            def test(self):
                pass

        stream = io.BytesIO()
        result = testtools.ExtendedToStreamDecorator(
            subunit.StreamResultToBytes(stream))
        result.startTestRun()
        LongTest('test').run(result)
        result.stopTestRun()
        stream.seek(0)
        found = []
        into = testtools.StreamToDict(found.append)
        into.startTestRun()
        subunit.ByteStreamToStreamResult(stream).run(into)
        into.stopTestRun()
        test, = found
        self.assertEqual(('success', LONG), (
            test['status'], test['details']['log'].as_text()))
