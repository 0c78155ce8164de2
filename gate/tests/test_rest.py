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

"""Answers of Zuul's REST API are read as they are."""

import http.server
import json
import threading
import unittest
from unittest import mock

from gate import rest
from lab import errors

STATUS = {'pipelines': [{'name': 'check', 'change_queues': [{'heads': [[{
    'refs': [{'id': '1,1'}], 'jobs': [
        {'name': 'a', 'result': None, 'start_time': 5.0},
        {'name': 'b', 'result': None, 'start_time': None},
        {'name': 'c', 'result': 'SUCCESS', 'start_time': 5.0}]}]]}]}]}


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the JSON of a path, or 404."""

    def do_GET(self):
        """Answer."""
        answer = self.server.answers.get(
            self.path.removeprefix('/api/tenant/lab/'))
        self.send_response(404 if answer is None else 200)
        self.end_headers()
        if answer is not None:
            self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        """Say nothing."""


class RestTest(unittest.TestCase):

    def setUp(self):
        super().setUp()
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answers)
        server.answers = self.answers = {}
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        patcher = mock.patch.object(
            rest, 'WEB', f'http://127.0.0.1:{server.server_port}')
        patcher.start()
        self.addCleanup(patcher.stop)

    def test_proxy_is_not_used(self):
        self.answers['jobs'] = [{'name': 'a'}]
        with mock.patch.dict('os.environ', http_proxy='http://127.0.0.1:1'):
            self.assertEqual([{'name': 'a'}], rest.get('jobs'))

    def test_no_answer(self):
        with self.assertRaisesRegex(errors.LabError, 'about jobs .*404'):
            rest.get('jobs')
        with mock.patch.object(rest, 'WEB', 'http://127.0.0.1:1'):
            with self.assertRaisesRegex(errors.LabError, 'refused'):
                rest.get('jobs')

    def test_readiness(self):
        self.assertFalse(rest.is_ready())
        self.answers['status'] = STATUS
        self.answers['nodes'] = []
        self.assertFalse(rest.is_ready())
        self.answers['nodes'] = [{'state': 'building'}]
        self.assertFalse(rest.is_ready())
        self.answers['nodes'] = [{'state': 'ready'}]
        self.assertTrue(rest.is_ready())
        self.answers['status'] = {'pipelines': []}
        self.assertFalse(rest.is_ready())

    def test_configuration_errors(self):
        for answer in ([{'short_error': 'x', 'error': 'long'}],
                       {'errors': [{'short_error': 'x'}]},
                       [{'error': 'x'}]):
            self.answers['config-errors'] = answer
            self.assertEqual(['x'], rest.configuration_errors(), answer)

    def test_configuration_errors_of_one_project(self):
        self.answers['config-errors'] = [
            {'error': name, 'source_context': {'project': name}}
            for name in ('ours', 'another')]
        self.assertEqual(
            ['ours'], rest.configuration_errors(rest.TENANT, 'ours'))

    def test_builds_by_their_end(self):
        self.answers['builds?limit=100'] = [
            {'end_time': '2026-01-02T00:00:00'}, {'end_time': None},
            {'end_time': '2026-01-01T00:00:00'}]
        self.assertEqual(
            [None, '2026-01-01T00:00:00', '2026-01-02T00:00:00'],
            [build['end_time'] for build in rest.builds()])

    def test_progress(self):
        self.answers['status'] = STATUS
        self.assertEqual([
            ('check', '1,1', 'a', 'running'), ('check', '1,1', 'b', 'waiting'),
            ('check', '1,1', 'c', 'SUCCESS')], rest.progress())
