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
from testtools import content_type

from lm_tempest_plugin import attachments
from lm_tempest_plugin.tests.unit import base

# Characters of two bytes, so that a piece may end within one.
LONG = 'x' + 'é' * (3 * 1024 * 1024)


class ConvertTest(base.TestCase):

    def test_a_short_text_stays(self):
        details = {'reason': content.text_content('short')}
        attachments.convert(details)
        self.assertEqual(
            {'reason': content.text_content('short')}, details)

    def test_a_long_text_is_cut(self):
        details = {'traceback': content.text_content(LONG)}
        attachments.convert(details)
        sizes = list(map(len, details['traceback'].iter_bytes()))
        self.assertEqual(7, len(sizes))
        self.assertLessEqual(max(sizes), attachments.PIECE_BYTES)
        # Contents can be read more than once.
        self.assertEqual(LONG, details['traceback'].as_text())
        self.assertEqual(LONG, details['traceback'].as_text())

    def test_short_pieces_are_joined(self):
        """stestr prints an empty line after each."""
        pieces = [b'x' * 1000] * 2000
        details = {'traceback': content.Content(
            content_type.UTF8_TEXT, lambda: pieces)}
        attachments.convert(details)
        first, second = details['traceback'].iter_bytes()
        self.assertEqual(attachments.PIECE_BYTES, len(first))
        self.assertEqual(b''.join(pieces), first + second)

    def test_texts_come_first(self):
        json = content.Content(attachments.JSON_LINES, lambda: [b'{}'])
        details = {name: json if name == 'results' else
                   content.text_content(name)
                   for name in ('results', "pythonlogging:''", 'traceback',
                                'traceback-1', 'reason')}
        attachments.convert(details)
        self.assertEqual(
            ['traceback', 'traceback-1', 'reason', 'results',
             "pythonlogging:''"], list(details))

    def test_a_log_is_no_text(self):
        details = {"pythonlogging:''": content.text_content('short')}
        attachments.convert(details)
        log, = details.values()
        self.assertEqual('application/x-log; charset="utf8"',
                         str(log.content_type))
        self.assertEqual([b'short'], list(log.iter_bytes()))

    def test_a_long_log_is_cut(self):
        details = {"pythonlogging:''": content.text_content(LONG)}
        attachments.convert(details)
        log, = details.values()
        self.assertEqual(7, len(list(log.iter_bytes())))
        self.assertEqual(LONG, b''.join(log.iter_bytes()).decode())

    def test_an_empty_log(self):
        details = {"pythonlogging:''": content.text_content('')}
        attachments.convert(details)
        log, = details.values()
        self.assertEqual(b'', b''.join(log.iter_bytes()))


class AttachTest(base.TestCase):

    def test_types_that_terminals_do_not_print(self):
        for kind, name in ((attachments.JSON_LINES, 'x-ndjson'),
                           (attachments.LOG, 'x-log')):
            test = testtools.TestCase('run')
            attachments.attach(test, 'a name', kind, b'{}')
            found = test.getDetails()['a name']
            self.assertEqual(
                (f'application/{name}; charset="utf8"', [b'{}\n']),
                (str(found.content_type), list(found.iter_bytes())))

    def test_further_lines(self):
        test = testtools.TestCase('run')
        for lines in ((b'1', b'2'), (), (b'3',)):
            attachments.attach(test, 'results', attachments.JSON_LINES,
                               *lines)
        self.assertEqual(['results'], list(test.getDetails()))
        self.assertEqual(b'1\n2\n3\n', b''.join(
            test.getDetails()['results'].iter_bytes()))


class ConvertAtEndTest(base.TestCase):

    def test_a_subunit_stream_carries_it(self):
        """Together with logs that are attached by cleanups."""
        class LongTest(testtools.TestCase):

            def setUp(self):
                attachments.convert_at_end(self)
                super().setUp()
                self.addCleanup(self.addDetail, "pythonlogging:''",
                                content.text_content(LONG))

            def test(self):
                self.addDetail('reason', content.text_content(LONG))

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
            test['status'], test['details']['reason'].as_text()))
        log = test['details']["pythonlogging:''"]
        self.assertEqual(('application', LONG), (
            log.content_type.type, b''.join(log.iter_bytes()).decode()))
