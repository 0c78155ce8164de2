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

"""The plugin's entry point in tempest.test_plugins."""

import os

from oslo_config import cfg
from tempest.test_discover import plugins

from lm_tempest_plugin import config


class LiveMigrationHaPlugin(plugins.TempestPlugin):
    """Tell Tempest where to find the tests and the options."""

    def load_tests(self) -> tuple[str, str]:
        """Return the directory of the tests and the top level directory.

        Tempest imports every module below the first one, so it contains only
        the tests that need a cloud, not the unit tests.

        :returns: (test directory, top level directory), both absolute
        """
        package = os.path.dirname(os.path.abspath(__file__))
        tests = os.path.join(package, 'tests', 'live_migration_ha')
        return tests, os.path.dirname(package)

    def register_opts(self, conf: cfg.ConfigOpts) -> None:
        """Register the options of this plugin on Tempest's configuration."""
        config.register_opts(conf)

    def get_opt_lists(self) -> list[tuple[str, list[cfg.Opt]]]:
        """Return the groups and options for tempest.conf.sample.

        The groups are names, not group objects: Tempest reads an attribute of
        the objects that oslo.config has removed.
        """
        return [(group.name, opts) for group, opts in config.list_opts()]
