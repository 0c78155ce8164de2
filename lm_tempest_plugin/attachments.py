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

"""Attachments of test results, in a form that results can carry."""

from collections.abc import Iterator
from collections.abc import MutableMapping

import testtools
from testtools import content
from testtools import content_type

# A packet of the subunit stream holds at most 4 MiB. A longer one is lost,
# and the totals of the run with it ("Length too long").
PIECE_BYTES = 1024 * 1024
# A terminal shows text and nothing else. Both types stay in the stream.
JSON_LINES = content_type.ContentType(
    'application', 'x-ndjson', {'charset': 'utf8'})
LOG = content_type.ContentType('application', 'x-log', {'charset': 'utf8'})


def attach(test: testtools.TestCase, name: str,
           kind: content_type.ContentType, *lines: bytes) -> None:
    """Attach lines to a test, below earlier lines of the same attachment.

    Few attachments with many lines each: terminals print three lines for
    every attachment of a failed test, of any type.

    :param test: the test
    :param name: name of the attachment
    :param kind: JSON_LINES or LOG
    :param lines: the lines, without their ends
    """
    details = test.getDetails()
    data = b''.join([*(details[name].iter_bytes() if name in details else ()),
                     *(line + b'\n' for line in lines)])
    test.addDetail(name, content.Content(kind, lambda: [data]))


def convert_at_end(test: testtools.TestCase) -> None:
    """Convert the test's attachments when it has ended.

    Call it before anything else: cleanups run last-in first-out, and the
    fixture that holds the log attaches it in a cleanup of its own.

    :param test: a test that is not set up yet
    """
    test.addCleanup(convert, test.getDetails())


def convert(details: MutableMapping[str, content.Content]) -> None:
    """Prepare attachments for a terminal and for the subunit stream.

    Texts come first, in as few pieces as possible, because stestr prints an
    empty line after each piece. Logs are not texts any more.

    :param details: attachments by name; they are replaced and sorted
    """
    found = {name: _converted(name, each) for name, each in details.items()}
    details.clear()
    # sorted() keeps the order of those that are alike.
    details.update(sorted(
        found.items(), key=lambda item: item[1].content_type.type != 'text'))


def _converted(name: str, found: content.Content) -> content.Content:
    kind = LOG if name.startswith('pythonlogging') else found.content_type
    data = b''.join(found.iter_bytes())

    # A function, because contents may be read more than once.
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start:start + PIECE_BYTES]

    return content.Content(kind, pieces)
