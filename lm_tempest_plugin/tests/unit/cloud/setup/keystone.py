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

"""A keystone on the loopback: versions, and tokens for the right password."""

import http.server
import json
import threading

import fixtures

PASSWORD = 'right'


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as keystone does."""

    def log_message(self, *args):
        """Say nothing."""

    def do_GET(self):
        version = {'id': 'v3.14', 'status': 'stable', 'links': [
            {'rel': 'self', 'href': self.server.url + '/v3'}]}
        self._answer(200, {'version': version} if '/v3' in self.path else {
            'versions': {'values': [version]}})

    def do_POST(self):
        length = int(self.headers['Content-Length'])
        auth = json.loads(self.rfile.read(length))['auth']
        user = auth['identity']['password']['user']
        if user['password'] != PASSWORD:
            self._answer(401, {'error': {
                'code': 401, 'message': 'The request you have made requires '
                'authentication.', 'title': 'Unauthorized'}})
            return
        token = {
            'methods': ['password'], 'expires_at': '2099-01-01T00:00:00Z',
            'issued_at': '2026-01-01T00:00:00Z', 'roles': [
                {'id': 'r', 'name': 'admin'}], 'catalog': [
                    {'id': 'n', 'name': 'nova', 'type': 'compute',
                     'endpoints': [
                         {'id': interface + region, 'region': region,
                          'region_id': region, 'interface': interface,
                          'url': 'http://127.0.0.1:9/'}
                         for region in self.server.regions
                         for interface in ('public', 'internal')]}],
            'user': {'id': 'u1', 'name': 'boss', 'domain': {
                'id': 'default', 'name': 'Default'}}}
        if 'scope' in auth:
            token['project'] = {'id': 'p1', 'name': 'ops', 'domain': {
                'id': 'other', 'name': 'Other'}}
        self._answer(201, {'token': token}, {'X-Subject-Token': 'secret'})

    def _answer(self, status, body, headers=()):
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Keystone(fixtures.Fixture):
    """Runs one.

    :param regions: those in which the catalog has nova
    :ivar url: its address, without a version
    """

    def __init__(self, *regions):
        super().__init__()
        self._regions = regions

    def _setUp(self):
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = server.url = f'http://127.0.0.1:{server.server_port}'
        server.regions = self._regions
        thread = threading.Thread(target=server.serve_forever, kwargs={
            'poll_interval': 0.05}, daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
