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

from lm_tempest_plugin.migration import drain
from lm_tempest_plugin.migration import inspector
from lm_tempest_plugin.migration import judging
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import test_engine


class JudgeTest(test_engine.OneServerTestCase):
    """Without an engine: the server was migrated by somebody else."""

    def setUp(self):
        super().setUp()
        planned = self.plan()
        self.judge = judging.Judge(
            planned, self.cloud.clients, self.file, hosts=self.hosts,
            inspected_by=inspector.Inspector(
                planned, self.cloud.clients, self.probes, self.hosts,
                self.guests), metrics=None, aborted=(), forced={})
        self.server = builders.server(server_id='server-0')
        self.judge.begin([self.server], 'alpha', '')

    def drained(self, overtaken=False):
        """Return a migration that was completed, and has been followed."""
        record = builders.record(server_id='server-0')
        moved = builders.server(server_id='server-0', host='beta')
        migration = builders.migration(
            builders.snapshot(20, [record], moved), server=self.server)
        migration.overtaken = overtaken
        return drain.Drained(
            [migration], [], builders.REQUESTED_NS,
            builders.REQUESTED_NS + 20 * builders.S, 9, 1)

    def test_nothing_is_stored_before_it_is_asked_for(self):
        found = self.judge.examine(self.drained())
        read = self.read()
        self.assertEqual(([], []), (read.migrations, read.drains))
        # The server never left, whatever the snapshots showed.
        self.assertEqual(Kind.INCONSISTENT, found.judged[0].verdict.kind)
        run = self.judge.store(self.drained(), found)
        self.assertEqual(run.problems, found.problems)
        self.assertEqual((9, 1, 20.0), (
            run.drain.polls, run.drain.poll_errors, run.drain.wall_s))
        self.assertEqual(1, len(self.read().migrations))

    def test_one_that_was_overtaken(self):
        """Server and hosts show the state after something else."""
        found = self.judge.examine(self.drained(overtaken=True))
        judged, = found.judged
        self.assertEqual(Kind.COMPLETED, judged.verdict.kind)
        self.assertEqual(((), ()), (
            judged.verdict.evidence.traces,
            judged.verdict.evidence.silent_hosts))
