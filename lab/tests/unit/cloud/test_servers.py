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

import contextlib
import io
import json
import types

from lab.cloud import accounts
from lab.cloud import servers
from lab.tests.unit import base


class TestServers(base.TestCase):

    def test_names_of_all_projects(self):
        def listed(all_projects):
            self.assertTrue(all_projects)
            return [types.SimpleNamespace(name=name) for name in ('b', 'a')]

        def connect(layout):
            self.assertEqual(self.layout, layout)
            return types.SimpleNamespace(
                compute=types.SimpleNamespace(servers=listed),
                has_service=lambda kind: False)

        self.patch(accounts, 'connect', connect)
        self.assertEqual(['a', 'b'], self._printed())

    def test_volumes_where_there_are_any(self):
        self.patch(accounts, 'connect', lambda layout: types.SimpleNamespace(
            compute=types.SimpleNamespace(
                servers=lambda all_projects: [
                    types.SimpleNamespace(name='server')]),
            has_service=lambda kind: kind == 'block-storage',
            block_storage=types.SimpleNamespace(
                volumes=lambda all_projects: [
                    types.SimpleNamespace(id='1', name=''),
                    types.SimpleNamespace(id='2', name='data')])))
        self.assertEqual(['1', 'data', 'server'], self._printed())

    def _printed(self):
        module, name, *arguments = servers.arguments(self.layout)
        self.assertEqual(('-m', servers.__name__), (module, name))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            servers.main(*arguments)
        return json.loads(out.getvalue())
