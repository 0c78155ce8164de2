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

"""A command of Zuul to the review server, over SSH.

``python -m gate.review FOLDER`` is the ForceCommand of an sshd: the command
itself is in SSH_ORIGINAL_COMMAND.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import sys
import time

from gate.review import changes
from lab import errors

VERSION = 'gerrit version 3.9.0'
POLL_SECONDS = 0.2
#: Options of "gerrit review" with a value that means nothing here.
IGNORED = ('--project', '--tag', '--notify')
TARGET = re.compile(r'(\d+),\d+')


def stream(server: changes.Review) -> None:
    """Print each event from now on, until the connection ends."""
    with open(server.events, encoding='utf-8') as events:
        events.seek(0, os.SEEK_END)
        parent = os.getppid()
        # sshd does not end a command whose client is gone.
        while os.getppid() == parent:
            line = events.readline()
            if line:
                print(line, end='', flush=True)
            else:
                time.sleep(POLL_SECONDS)


def query(server: changes.Review, words: list[str]) -> None:
    """Print the changes of a query, and a last line that counts them."""
    found = server.query(' '.join(words))
    for change in found:
        print(json.dumps(change))
    print(json.dumps({'type': 'stats', 'rowCount': len(found),
                      'moreChanges': False}))


def review(server: changes.Review, words: list[str]) -> None:
    """Vote, comment and merge.

    :param server: the server
    :param words: arguments of "gerrit review"
    :raises errors.LabError: the change is unknown or cannot be merged
    """
    labels: dict[str, str] = {}
    message, number, submits = '', '', False
    rest = iter(words)
    for word in rest:
        if word == '--label':
            label, _, value = next(rest).partition('=')
            labels[label] = value
        elif word == '--message':
            message = next(rest)
        elif word in IGNORED:
            next(rest)
        elif word == '--submit':
            submits = True
        elif TARGET.fullmatch(word):
            number = word.partition(',')[0]
        else:
            raise errors.LabError(f'gerrit review has no option {word}.')
    server.vote(number, labels, message, changes.ZUUL)
    if submits:
        server.submit(number)


def main(folder: str, command: str) -> int:
    """Run a command.

    :param folder: of the server's files
    :param command: as Zuul sent it
    :returns: exit code
    """
    server = changes.Review(pathlib.Path(folder))
    words = shlex.split(command)
    try:
        if words[:1] == ['git-upload-pack']:
            os.execvp('git-upload-pack', [
                'git-upload-pack', str(server.repository(words[1]))])
        elif words == ['gerrit', 'stream-events']:
            stream(server)
        elif words[:2] == ['gerrit', 'query']:
            query(server, words[2:])
        elif words[:2] == ['gerrit', 'review']:
            review(server, words[2:])
        elif words == ['gerrit', 'version']:
            print(VERSION)
        else:
            raise errors.LabError(f'The command {command!r} is unknown.')
    except errors.LabError as error:
        return errors.tell(error, 'gerrit')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], os.environ.get('SSH_ORIGINAL_COMMAND', '')))
