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

"""The review server keeps changes, answers queries, and merges."""

import json

from gate.review import changes
from gate.tests import base
from lab.machine import sources

PROJECT = 'openstack/nova'


class Base(base.TestCase):

    def setUp(self):
        super().setUp()
        self.work = self.nova()
        self.bare = self.paths.repositories / PROJECT
        self.bare.parent.mkdir()
        sources.git('clone', '--quiet', '--bare', self.work, self.bare)

    def upload(self, name, message=None, text=''):
        """Upload a commit that adds a file, on top of the branch."""
        sources.git('-C', self.work, 'checkout', '--quiet', '--detach',
                    'master')
        return self.upload_here(name, message, text)

    def upload_here(self, name, message=None, text=''):
        """Upload a commit that adds a file, on top of the last one."""
        (self.work / name).write_text(text)
        commit = self.commit(self.work, message or f'add {name}')
        sources.git('-C', self.work, 'push', '--quiet', self.bare,
                    f'HEAD:refs/uploads/{commit}')
        return self.review.upload(PROJECT, commit)

    def approve(self, change, **labels):
        self.review.vote(change['number'],
                         labels or {'Verified': '2', 'Workflow': '1'}, '',
                         changes.ZUUL)

    def files(self):
        return sources.git('--git-dir', self.bare, 'ls-tree', '--name-only',
                           'master').splitlines()

    def events(self):
        return [event['type'] for event in self.review.history()]


class UploadTest(Base):

    def test_change(self):
        change = self.upload('a')
        self.assertEqual('1', change['number'])
        self.assertEqual('add a', change['subject'])
        self.assertEqual('https://review.invalid/c/openstack/nova/+/1',
                         change['url'])
        self.assertEqual(['/COMMIT_MSG', 'a'], [
            each['file'] for each in change['currentPatchSet']['files']])
        self.assertEqual(change, self.review.get(1))

    def test_commit_can_be_fetched(self):
        change = self.upload('a')
        self.assertEqual(
            change['currentPatchSet']['revision'],
            sources.git('--git-dir', self.bare, 'rev-parse',
                        'refs/changes/01/1/1'))

    def test_zuul_is_told(self):
        self.upload('a')
        event = json.loads(self.review.events.read_text())
        self.assertEqual('patchset-created', event['type'])
        self.assertEqual('1', event['change']['number'])

    def test_numbers_go_up(self):
        self.assertEqual(['1', '2'], [self.upload('a')['number'],
                                      self.upload('b')['number']])

    def test_unknown(self):
        self.assertIn('no change 7', self.refused(self.review.get, 7))
        for name in ('openstack/neutron', '../../x', ''):
            self.assertIn('no project', self.refused(
                self.review.repository, name))


class QueryTest(Base):

    def setUp(self):
        super().setUp()
        self.first = self.upload('a')
        self.upload_here('b')
        self.upload('c', f'add c\n\nDepends-On: {self.first["url"]}')

    def test_selection(self):
        for query, numbers in (
                ('change:2', ['2']),
                (f'change:{self.first["id"]}', ['1']),
                ('project:openstack/nova status:open', ['1', '2', '3']),
                ('project:openstack/neutron', []),
                (f'{{message:{{Depends-On: {self.first["url"]}}}}}', ['3'])):
            self.assertEqual(numbers, [
                change['number'] for change in self.review.query(query)],
                query)

    def test_merged_changes_are_not_open(self):
        self.approve(self.first)
        self.review.submit(1)
        self.assertEqual(['2', '3'], [
            change['number'] for change in self.review.query('status:open')])

    def test_relations_of_commits(self):
        first, second, third = self.review.query('status:open')
        self.assertEqual(['2'], [each['number']
                                 for each in first['neededBy']])
        self.assertEqual(['1'], [each['number']
                                 for each in second['dependsOn']])
        self.assertNotIn('dependsOn', third)

    def test_missing_votes(self):
        self.approve(self.first, Workflow='1')
        record, = self.review.query('change:1')[0]['submitRecords']
        self.assertEqual('NOT_READY', record['status'])
        self.assertEqual([{'label': 'Verified', 'status': 'NEED'},
                          {'label': 'Workflow', 'status': 'OK'}],
                         record['labels'])


class VoteTest(Base):

    def test_later_vote_replaces_the_earlier_one(self):
        change = self.upload('a')
        self.approve(change, Verified='1')
        self.approve(change, Verified='-2')
        self.review.vote(1, {'Workflow': '1'}, 'Good.', changes.AUTHOR)
        self.assertEqual(
            {('Verified', '-2', 'zuul'), ('Workflow', '1', 'author')},
            {(each['type'], each['value'], each['by']['username']) for each
             in self.review.get(1)['currentPatchSet']['approvals']})
        self.assertEqual('Patch Set 1: Workflow+1\n\nGood.',
                         self.review.get(1)['comments'][-1]['message'])


class SubmitTest(Base):

    def test_votes_are_needed(self):
        change = self.upload('a')
        self.approve(change, Verified='2')
        self.assertIn('without Workflow+1', self.refused(
            self.review.submit, 1))
        self.assertNotIn('a', self.files())

    def test_merge(self):
        first, second = self.upload('a'), self.upload('b')
        for change in (first, second):
            self.approve(change)
            self.review.submit(change['number'])
        self.assertEqual(['a', 'b', 'nova'], self.files())
        self.assertEqual('MERGED', self.review.get(2)['status'])
        self.assertEqual(['ref-updated', 'change-merged'],
                         self.events()[-2:])

    def test_conflict(self):
        for text in ('one\n', 'other\n'):
            self.approve(self.upload('a', text=text))
        self.review.submit(1)
        self.refused(self.review.submit, 2)
        self.assertEqual('NEW', self.review.get(2)['status'])
