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

"""A change is followed from its upload to its merge."""

import contextlib
import io
import pathlib
import types
from unittest import mock

import yaml
from zuul import configloader

import gate
from gate import follow
from gate import rest
from gate.review import changes
from gate.tests import base


class FollowTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(follow, 'POLL_SECONDS', 0)
        self.change = {
            'number': '1', 'project': 'openstack/nova', 'subject': 'a change',
            'status': 'NEW', 'comments': [], 'currentPatchSet': {
                'number': 1, 'approvals': []}}
        self.patch(changes.Review, '_emit', autospec=True)
        self.review._save(self.change)
        self.states = []
        self.patch(rest, 'progress', self.next_state)
        self.builds = [{
            'pipeline': 'check', 'ref': {'change': 1}, 'uuid': 'abc',
            'job_name': 'lab', 'result': 'FAILURE', 'error_detail': None}]
        self.patch(rest, 'builds', lambda: self.builds)
        self.follower = follow.Follower(self.paths, self.review)

    def next_state(self):
        """Do the next thing that Zuul does."""
        state = self.states.pop(0)
        if callable(state):
            state()
            return []
        return [('check', '1,1', 'lab', state)]

    def vote(self, value):
        return lambda: self.review.vote(1, {'Verified': value}, '',
                                        changes.ZUUL)

    def follow(self, function):
        """Return the result of a function of the follower, and its lines."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            result = function(self.change)
        return result, [line[9:] for line in out.getvalue().splitlines()]

    def log(self, text):
        folder = self.paths.builds / 'abc'
        folder.mkdir(parents=True)
        (folder / 'job-output.txt').write_text(text)

    def test_progress_is_printed_once(self):
        self.states = ['waiting', 'running', 'running', self.vote('1')]
        passed, lines = self.follow(self.follower.until_checked)
        self.assertTrue(passed)
        self.assertEqual([
            'Change 1 of openstack/nova: a change',
            'check: change 1,1: lab: waiting',
            'check: change 1,1: lab: running',
            'check: change 1: Verified+1',
            f'  lab: FAILURE; logs: {self.paths.builds}/abc'], lines)

    def test_reason_of_a_failure(self):
        for text, reason in (
                ('1 | fatal: [x]: FAILED!\n2 | node | - port-bindings: kept\n',
                 '(port-bindings: kept)'),
                ('1 | node | run-lab.sh: No cloud.\n1 | fatal: x\n',
                 '(run-lab.sh: No cloud.)'),
                ('1 | fatal: [x]: FAILED!\n', '(fatal: [x]: FAILED!)'),
                ('1 | ok\n', '')):
            self.log(text)
            self.assertEqual(reason, self.follower.reason(
                self.builds[0]).strip(), text)
            (self.paths.builds / 'abc' / 'job-output.txt').unlink()
            (self.paths.builds / 'abc').rmdir()

    def test_failure_without_logs(self):
        self.builds[0]['error_detail'] = 'the node is gone'
        self.states = [self.vote('-1')]
        passed, lines = self.follow(self.follower.until_checked)
        self.assertFalse(passed)
        self.assertIn('FAILURE (the node is gone)', lines[-1])

    def test_vote_without_a_build(self):
        self.builds.clear()
        self.states = [lambda: self.review.vote(
            1, {'Verified': '-1'}, 'Merge Failed.', changes.ZUUL)]
        passed, lines = self.follow(self.follower.until_checked)
        self.assertFalse(passed)
        self.assertEqual('Merge Failed.', ''.join(
            self.review.get(1)['comments'][-1]['message'].splitlines()[-1:]))
        self.assertIn('Patch Set 1: Verified-1', lines)

    def test_no_job_runs(self):
        for function, pipeline in (
                (self.follower.until_checked, 'check'),
                (self.follower.until_merged, 'gate')):
            message = follow.NO_JOBS.format(pipeline=pipeline)
            self.states = ['waiting', lambda text=message: self.review.vote(
                1, {}, text, changes.ZUUL)]
            passed, lines = self.follow(function)
            self.assertFalse(passed)
            self.assertEqual(
                f'{pipeline}: change 1: no job runs for its files, so Zuul '
                f'gives no vote', lines[-1])
            self.assertEqual([], self.states)

    def test_pipelines_say_that_no_job_runs(self):
        # The driver itself needs packages that no other test needs.
        driver = mock.Mock(**{f'get{each}Schema.return_value': dict for each
                              in ('Trigger', 'Reporter', 'Require', 'Reject')})
        context = mock.Mock()
        context.connections.connections = {'gerrit': mock.Mock(driver=driver)}
        schema = configloader.PipelineParser(context).schema
        found = yaml.safe_load((
            pathlib.Path(gate.__file__).parent / 'config-project' / 'zuul.d' /
            'pipelines.yaml').read_text())
        pipelines = [each['pipeline'] for each in found if 'pipeline' in each]
        self.assertEqual(['check', 'gate'],
                         [each['name'] for each in pipelines])
        for each in pipelines:
            schema(each)
            self.assertEqual({'gerrit': {'comment': True}}, each['no-jobs'])
            # Zuul's text is the one that is waited for.
            self.assertEqual(
                follow.NO_JOBS.format(pipeline=each['name']),
                each['no-jobs-message'].format(
                    pipeline=types.SimpleNamespace(name=each['name'])))

    def test_merge(self):
        self.builds[0]['pipeline'] = 'gate'

        def merge():
            self.vote('2')()
            self.review._save(self.review.get(1) | {'status': 'MERGED'})

        # The vote of check is still there when gate begins.
        self.vote('1')()
        self.states = ['running', merge]
        passed, lines = self.follow(self.follower.until_merged)
        self.assertTrue(passed)
        self.assertEqual('Change 1 is merged.', lines[-1])

    def test_refused_by_the_gate(self):
        self.builds[0]['pipeline'] = 'gate'
        self.states = [self.vote('-2')]
        passed, lines = self.follow(self.follower.until_merged)
        self.assertFalse(passed)
        self.assertIn('gate: change 1: Verified-2', lines)
