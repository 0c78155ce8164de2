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


def convert_at_end(test: testtools.TestCase) -> None:
    """Convert the test's attachments when it has ended.

    Call it before anything else: cleanups run last-in first-out, and the
    fixture that holds the log attaches it in a cleanup of its own.

    :param test: a test that is not set up yet
    """
    test.addCleanup(convert, test.getDetails())


def convert(details: MutableMapping[str, content.Content]) -> None:
    """Keep logs off the terminal, and cut what is too long for a packet.

    :param details: attachments by name; they are replaced
    """
    for name, found in list(details.items()):
        data = b''.join(found.iter_bytes())
        kind = LOG if name.startswith('pythonlogging') else found.content_type
        if kind is LOG or len(data) > PIECE_BYTES:
            details[name] = _cut(kind, data)


def attach(test: testtools.TestCase, name: str,
           kind: content_type.ContentType, data: bytes) -> None:
    """Attach data to a test.

    :param test: the test
    :param name: name of the attachment
    :param kind: JSON_LINES or LOG
    :param data: the content
    """
    test.addDetail(name, content.Content(kind, lambda: [data]))


def _cut(kind: content_type.ContentType, data: bytes) -> content.Content:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start:start + PIECE_BYTES]

    return content.Content(kind, pieces)
