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

"""What the tests of the Tempest tests share: configuration and guests."""

import types

import fixtures
from tempest.scenario import manager

from lm_tempest_plugin import config
from lm_tempest_plugin.tests.live_migration_ha import base as tempest_base
from lm_tempest_plugin.tests.live_migration_ha import guests
from lm_tempest_plugin.tests.live_migration_ha import recorder
from lm_tempest_plugin.tests.live_migration_ha import test_block_migration
from lm_tempest_plugin.tests.live_migration_ha import test_cells
from lm_tempest_plugin.tests.live_migration_ha import test_drain
from lm_tempest_plugin.tests.live_migration_ha import test_intervention
from lm_tempest_plugin.tests.live_migration_ha import test_requests
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration import simulation

MODULES = (guests, tempest_base, test_block_migration, test_cells,
           test_drain, test_intervention, test_requests)


def guest(server_id='server-0', host='alpha', address='192.0.2.1'):
    """Return a guest that was built."""
    body = simulation.server_body(builders.server(
        server_id=server_id, host=host))
    return guests.Guest(body, host, address, 'secret')


class LiveMigrationHaTestCase(base.TestCase):
    """Gives the Tempest tests a configuration."""

    def setUp(self):
        super().setUp()
        namespace = types.SimpleNamespace
        self.conf = namespace(
            config_file=[], config_dir=[],
            auth=namespace(use_dynamic_credentials=True),
            compute=namespace(
                min_compute_nodes=2, migration_source_host=None,
                migration_dest_host=None, target_hosts_to_avoid='-ironic',
                build_timeout=10, build_interval=0, flavor_ref='42'),
            compute_feature_enabled=namespace(
                live_migration=True, can_migrate_between_any_hosts=True,
                console_output=True,
                block_migration_for_live_migration=True),
            validation=namespace(
                run_validation=True, auth_method='keypair',
                ip_version_for_ssh=4),
            live_migration_ha=namespace(**{
                opt.dest: opt.default
                for opt in config.live_migration_ha_opts}),
            **{group.name: namespace(**{
                opt.dest: opt.default for opt in opts})
               for group, opts in config.list_opts()
               if group is not config.live_migration_ha_group})
        # Nothing is written into the folder where unit tests run.
        self.conf.live_migration_ha.results_directory = ''
        self.conf.identity = namespace(region='RegionOne')
        self.useFixture(fixtures.MonkeyPatch(
            'lm_tempest_plugin.tests.live_migration_ha.base.'
            'LiveMigrationHaTest.recorder',
            recorder.Recorder('', 'unit', dict)))
        for module in MODULES:
            self.useFixture(fixtures.MonkeyPatch(
                '%s.CONF' % module.__name__, self.conf))
        for name in ('skip_checks', 'setup_clients', 'resource_setup'):
            self.useFixture(fixtures.MockPatchObject(
                manager.ScenarioTest, name, autospec=True))
