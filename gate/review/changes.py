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

"""Changes, votes and events, in files that all processes share."""

from __future__ import annotations

import collections.abc
import contextlib
import fcntl
import hashlib
import json
import pathlib
import re
import time
import typing

from lab import errors
from lab import layout
from lab.machine import sources

#: Address of the review server in the links of changes, and so in
#: Depends-On. Nothing listens there: Zuul finds a change by its number.
URL = 'https://review.invalid'
AUTHOR = {'name': 'Author', 'email': 'author@review.invalid',
          'username': 'author'}
ZUUL = {'name': 'Zuul', 'email': 'zuul@review.invalid', 'username': 'zuul'}
#: Votes that a change needs to be merged: label and value.
REQUIRED = (('Verified', '2'), ('Workflow', '1'))

#: A change in Gerrit's own words, as its documentation of JSON has them.
Change: typing.TypeAlias = dict[str, typing.Any]


class Review:
    """The changes of a review server.

    :param folder: of all its files; ``git`` in it has the repositories
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self.events = folder / 'events'

    def create(self) -> None:
        """Make an empty server."""
        (self._folder / 'changes').mkdir(parents=True)
        (self._folder / 'git').mkdir()
        self.events.touch()

    def repository(self, project: str) -> pathlib.Path:
        """Return the bare repository of a project.

        :param project: its name, with or without slashes around it
        :raises errors.LabError: there is no such project
        """
        root = self._folder / 'git'
        path = (root / project.strip('/')).resolve()
        if not path.is_relative_to(root.resolve()) or not (
                path / 'HEAD').exists():
            raise errors.LabError(f'There is no project {project!r}.')
        return path

    def get(self, number: str | int) -> Change:
        """Return a change.

        :param number: its number
        :raises errors.LabError: there is none
        """
        try:
            found: Change = json.loads(self._path(number).read_text())
        except (FileNotFoundError, ValueError):
            raise errors.LabError(f'There is no change {number}.') from None
        return found

    def changes(self) -> list[Change]:
        """Return all changes, by their number."""
        return sorted((json.loads(path.read_text()) for path
                       in (self._folder / 'changes').glob('[0-9]*.json')),
                      key=lambda change: int(change['number']))

    def upload(self, project: str, commit: str,
               branch: str = 'master') -> Change:
        """Add a commit as a new change.

        :param project: name of the project
        :param commit: a commit in its repository
        :param branch: the branch that it is for
        """
        with self._locked():
            number = str(len(self.changes()) + 1)
            ref = f'refs/changes/{int(number) % 100:02}/{number}/1'
            commit = self._git(project, 'rev-parse', f'{commit}^{{commit}}')
            self._git(project, 'update-ref', ref, commit)
            message = self._git(project, 'log', '-1', '--format=%B', commit)
            names = self._git(project, 'diff', '--name-only', f'{commit}^',
                              commit).splitlines()
            patch_set = {
                'number': 1, 'revision': commit, 'ref': ref,
                'parents': [self._git(project, 'rev-parse', f'{commit}^')],
                'uploader': AUTHOR, 'author': AUTHOR,
                'createdOn': int(time.time()), 'kind': 'REWORK',
                'approvals': [], 'files': [
                    {'file': name, 'type': 'MODIFIED'}
                    for name in ('/COMMIT_MSG', *names)]}
            change = {
                'project': project, 'branch': branch, 'number': number,
                'id': f'I{hashlib.sha1(number.encode()).hexdigest()}',
                'subject': message.splitlines()[0], 'owner': AUTHOR,
                'url': f'{URL}/c/{project}/+/{number}', 'open': True,
                'commitMessage': f'{message}\n', 'status': 'NEW',
                'createdOn': int(time.time()), 'comments': [],
                'currentPatchSet': patch_set, 'patchSets': [patch_set]}
            self._save(change)
            self._emit('patchset-created', change, uploader=AUTHOR)
        return change

    def history(self) -> list[Change]:
        """Return all events so far."""
        return [json.loads(line) for line
                in self.events.read_text().splitlines()]

    def query(self, text: str) -> list[Change]:
        """Return the changes that a query of Zuul asks for.

        :param text: in Gerrit's language of queries
        """
        found = self.changes()
        every = {change['currentPatchSet']['revision']: change
                 for change in found}
        wanted = re.findall(r'\bchange:(\w+)', text)
        if wanted:
            found = [change for change in found
                     if {change['number'], change['id']} & set(wanted)]
        needs = re.findall(r'Depends-On: ([^}\s"]+)', text)
        if needs:
            found = [change for change in found if any(
                url in change['commitMessage'] for url in needs)]
        project = re.search(r'\bproject:(\S+)', text)
        if project:
            found = [change for change in found
                     if change['project'] == project[1].strip('{}')]
        if 'status:open' in text:
            found = [change for change in found if change['open']]
        return [_with_relations(change, every) for change in found]

    def vote(self, number: str | int, labels: dict[str, str], message: str,
             voter: dict[str, str]) -> None:
        """Add votes and a comment to a change.

        :param number: of the change
        :param labels: value by label
        :param message: the comment
        :param voter: one of :data:`AUTHOR` and :data:`ZUUL`
        """
        with self._locked():
            change = self.get(number)
            votes = [{'type': label, 'description': label, 'value': value,
                      'by': voter, 'grantedOn': int(time.time())}
                     for label, value in labels.items()]
            patch_set = change['currentPatchSet']
            patch_set['approvals'] = votes + [
                each for each in patch_set['approvals']
                if each['by'] != voter or each['type'] not in labels]
            change['patchSets'] = [patch_set]
            given = ' '.join(f'{label}{int(value):+}'
                             for label, value in labels.items())
            change['comments'].append({
                'timestamp': int(time.time()), 'reviewer': voter,
                'message': f'Patch Set 1: {given}\n\n{message}'})
            self._save(change)
            self._emit('comment-added', change, author=voter, approvals=votes,
                       comment=change['comments'][-1]['message'])

    def submit(self, number: str | int) -> None:
        """Merge a change into its branch.

        :param number: of the change
        :raises errors.LabError: it lacks a vote, or Git cannot merge it
        """
        with self._locked():
            change = self.get(number)
            missing = _missing_votes(change)
            if missing:
                raise errors.LabError(
                    f'Change {number} cannot be merged without '
                    f'{" and ".join(missing)}.')
            project = change['project']
            commit = change['currentPatchSet']['revision']
            ref = f'refs/heads/{change["branch"]}'
            old = self._git(project, 'rev-parse', ref)
            new = commit
            if self._git(project, 'merge-base', commit, old) != old:
                tree = self._git(project, 'merge-tree', '--write-tree', old,
                                 commit)
                new = self._git(
                    project, '-c', 'user.name=Review', '-c',
                    'user.email=review@review.invalid', 'commit-tree', tree,
                    '-p', old, '-p', commit, '-m',
                    f'Merge "{change["subject"]}"')
            self._git(project, 'update-ref', ref, new, old)
            change.update(status='MERGED', open=False)
            self._save(change)
            self._emit('ref-updated', submitter=ZUUL, refUpdate={
                'project': project, 'refName': change['branch'],
                'oldRev': old, 'newRev': new})
            self._emit('change-merged', change, submitter=ZUUL, newRev=new)

    def _path(self, number: str | int) -> pathlib.Path:
        return self._folder / 'changes' / f'{int(number)}.json'

    def _save(self, change: Change) -> None:
        layout.write_json(self._path(change['number']), change)

    def _git(self, project: str, *arguments: str) -> str:
        return sources.git('--git-dir', self.repository(project), *arguments)

    @contextlib.contextmanager
    def _locked(self) -> collections.abc.Iterator[None]:
        """Let no other process write; each command of Zuul is a process."""
        with open(self._folder / 'lock', 'a', encoding='ascii') as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _emit(self, kind: str, change: Change | None = None,
              **more: typing.Any) -> None:
        event = {'type': kind, 'eventCreatedOn': int(time.time()), **more}
        if change is not None:
            event['change'] = {key: change[key] for key in (
                'project', 'branch', 'id', 'number', 'subject', 'owner',
                'url', 'commitMessage', 'status')}
            event['patchSet'] = change['currentPatchSet']
        with open(self.events, 'a', encoding='utf-8') as stream:
            stream.write(f'{json.dumps(event)}\n')


def _missing_votes(change: Change) -> list[str]:
    votes = {(each['type'], each['value'])
             for each in change['currentPatchSet']['approvals']}
    return [f'{label}{int(value):+}' for label, value in REQUIRED
            if (label, value) not in votes]


def _with_relations(change: Change, every: dict[str, Change]) -> Change:
    """Add the facts that a query of Gerrit works out.

    :param change: a change
    :param every: all changes, by their commit
    """
    patch_set = change['currentPatchSet']
    missing = _missing_votes(change)
    relations = {
        'dependsOn': [_relation(every[parent]) for parent
                      in patch_set['parents'] if parent in every],
        'neededBy': [_relation(other) for other in every.values()
                     if patch_set['revision']
                     in other['currentPatchSet']['parents']]}
    # Zuul takes the first entry of a list that is there.
    return change | {name: found for name, found in relations.items()
                     if found} | {'submitRecords': [{
                         'status': 'NOT_READY' if missing else 'OK',
                         'labels': [
                             {'label': label, 'status': 'NEED'
                              if f'{label}{int(value):+}' in missing else 'OK'}
                             for label, value in REQUIRED]}]}


def _relation(change: Change) -> Change:
    return {'id': change['id'], 'number': change['number'],
            'revision': change['currentPatchSet']['revision'],
            'ref': change['currentPatchSet']['ref'],
            'isCurrentPatchSet': True}
