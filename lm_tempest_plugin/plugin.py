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

"""What Tempest loads: the plugin's entry point in tempest.test_plugins."""

import os

from oslo_config import cfg
from tempest.test_discover import plugins

from lm_tempest_plugin import config


class LiveMigrationHaPlugin(plugins.TempestPlugin):
    """Tells Tempest where the tests and the options of this plugin are."""

    def load_tests(self) -> tuple[str, str]:
        """Return the directory of the cloud tests and the one above.

        Tempest discovers everything that can be imported below the first of
        the two, so it is the cloud tests alone: the unit tests stay out.

        :returns: (test directory, top level directory), both absolute
        """
        package = os.path.dirname(os.path.abspath(__file__))
        tests = os.path.join(package, 'tests', 'live_migration_ha')
        return tests, os.path.dirname(package)

    def register_opts(self, conf: cfg.ConfigOpts) -> None:
        """Register the options of this plugin on Tempest's configuration."""
        config.register_opts(conf)

    def get_opt_lists(self) -> list[tuple[str, list[cfg.Opt]]]:
        """Return what goes into tempest.conf.sample.

        The groups go by their names: Tempest reads an attribute of group
        objects that oslo.config does not have any more.
        """
        return [(group.name, opts) for group, opts in config.list_opts()]
