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

from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.migration import progress
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation

S = builders.S


class ProgressReaderTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = simulation.Cloud(2)
        self.reader = progress.ProgressReader(self.cloud.clients)

    def copying(self, server_id, status='running'):
        """Return a migration that copies."""
        server = builders.server(server_id=server_id)
        return builders.migration(
            builders.snapshot(1, [builders.record(
                status, server_id=server_id)], builders.migrating(
                    server_id=server_id)), server=server)

    def read(self, migrations, *seconds):
        """Return the numbers of readings after snapshots at these times."""
        for each in seconds:
            self.reader.read(migrations, builders.REQUESTED_NS + each * S)
        return [len(each.progress) for each in migrations]

    def test_one_after_the_other(self):
        migrations = [self.copying('server-0'), self.copying('server-1')]
        self.assertEqual([1, 0], self.read(migrations, 2))
        self.assertEqual([1, 1], self.read(migrations, 3))
        self.assertEqual([2, 1], self.read(migrations, 4))
        self.assertEqual(4, migrations[0].progress[-1].at_s)

    def test_not_too_often(self):
        self.assertEqual([1], self.read([self.copying('server-0')], 2, 3))

    def test_only_those_that_copy(self):
        self.assertEqual([0], self.read(
            [self.copying('server-0', 'queued')], 2, 9))
        self.assertEqual([], self.cloud.calls)

    def test_errors(self):
        migrations = [self.copying('server-0')]
        self.cloud.progress_error = fakes.server_fault(503)
        self.assertEqual([0], self.read(migrations, 2))
        self.cloud.progress_error = lib_exc.Forbidden(
            'no', resp=fakes.Response(403))
        self.assertRaises(lib_exc.Forbidden, self.read, migrations, 9)
