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

"""What tests attach to their results, in pieces that a result can carry.

A piece is a packet of the subunit stream, which holds 4 MiB at the most; of a
longer one nothing arrives, and the totals of the run are missing too
("Length too long"). The log of a test that moves hundreds of servers is
longer.
"""

from collections.abc import Iterator
from collections.abc import MutableMapping

import testtools
from testtools import content

PIECE_BYTES = 1024 * 1024


def in_pieces(test: testtools.TestCase) -> None:
    """Have what a test attaches cut in the end.

    It has to be called before anything else: what is cleaned up later, such
    as the fixture that holds the log, has been attached by then.

    :param test: one that is not set up yet
    """
    test.addCleanup(split, test.getDetails())


def split(details: MutableMapping[str, content.Content]) -> None:
    """Cut what is attached into pieces; nothing of it is lost.

    :param details: by their names; those that are too long are replaced
    """
    for name, found in list(details.items()):
        pieces = list(found.iter_bytes())
        if any(len(piece) > PIECE_BYTES for piece in pieces):
            details[name] = _cut(found, b''.join(pieces))


def _cut(found: content.Content, data: bytes) -> content.Content:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start:start + PIECE_BYTES]

    return content.Content(found.content_type, pieces)
