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

"""Show that Zuul merges good changes, and refuses one with an old bug."""

from __future__ import annotations

import time

from gate import follow
from gate import machine
from gate import patches
from gate import projects
from gate.review import changes

#: The old bug that the bad change brings back.
BUG = 'source_allocation_kept'
#: Tests that the job runs here: the shortest that sees the bug.
TESTS = 'block_live_migration_round_trip'


class Demonstration:
    """Three changes: a good one, a bad one, one that needs the good one.

    :param paths: paths of the Zuul, whose network this process is in
    """

    def __init__(self, paths: machine.Layout) -> None:
        self._projects = projects.Projects(paths)
        self._review = self._projects.review
        self._follower = follow.Follower(paths, self._review)
        self._began = time.monotonic()
        self.facts: list[tuple[str, str, bool, float]] = []

    def run(self) -> None:
        """Give Zuul the changes, and note how it treats each of them."""
        good = self._projects.upload(patches.NOVA, _patch('nova'))
        self._note(good, 'check passes it: Verified+1',
                   self._follower.until_checked(good))
        bad = self._projects.upload(patches.NOVA, patches.bug(BUG))
        self._note(bad, 'check refuses it: Verified-1',
                   not self._follower.until_checked(bad))
        needing = self._projects.upload(patches.PLUGIN, _patch('plugin'),
                                        needs=good)
        self._note(needing, 'check passes it: Verified+1',
                   self._follower.until_checked(needing))
        self._note(needing, 'it was tested with the change of nova',
                   self._was_tested_with(needing, good))
        # The one that depends on the other is approved first, and has to
        # wait.
        for change in (needing, good):
            self._review.vote(change['number'], {'Workflow': '1'}, '',
                              changes.AUTHOR)
        self._note(good, 'gate merges it',
                   self._follower.until_merged(good))
        self._note(needing, 'gate merges it afterwards',
                   self._follower.until_merged(needing)
                   and self._merged() == [good['number'], needing['number']])
        self._note(bad, 'it is not merged',
                   self._review.get(bad['number'])['status'] == 'NEW')

    def _note(self, change: changes.Change, text: str, seen: bool) -> None:
        name = f'{change["number"]} of {change["project"].rpartition("/")[2]}'
        self.facts.append((name, text, seen, time.monotonic() - self._began))

    def _was_tested_with(self, change: changes.Change,
                         other: changes.Change) -> bool:
        """Return whether the builds of one change had another one in them.

        The first play of each job copies the inventory, in which Zuul lists
        the changes under test.
        """
        return all(
            f"change_url: {other['url']}" in (
                self._follower.folder(build) / 'inventory.yaml').read_text()
            for build in self._follower.builds(change, 'check'))

    def _merged(self) -> list[str]:
        """Return the numbers of the merged changes, by the time of merge."""
        return [event['change']['number'] for event in self._review.history()
                if event['type'] == 'change-merged']


def _patch(name: str) -> str:
    return (patches.FOLDER / f'{name}.patch').read_text()


def run(paths: machine.Layout) -> bool:
    """Run the demonstration, and print its facts.

    :param paths: paths of the Zuul, whose network this process is in
    :returns: whether everything was seen
    """
    shown = Demonstration(paths)
    shown.run()
    print(f'\n{"Seen":6}{"After":>7}  Change')
    for change, text, seen, after in shown.facts:
        print(f'{"yes" if seen else "NO":6}{after:5.0f} s  {change}: {text}')
    return all(seen for _, _, seen, _ in shown.facts)
