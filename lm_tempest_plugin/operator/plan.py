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

"""How many live migrations a run is going to be, so far as that is known."""

from collections.abc import Sequence
import itertools
import re
from typing import Any

from lm_tempest_plugin import config
from lm_tempest_plugin.operator import profiles

PREFIX = 'lm_tempest_plugin.tests.live_migration_ha.'
# Those that ask for block migration, or for none, by what tempest.conf says
# of disks. Where nobody said it, they could only guess.
NEED_STORAGE = 'OldApiTest'
CELLS = 'test_cells.CellsTest.test_each_cell'


def expected(conf: Any, profile: profiles.Profile, exclude: str = '',
             volumes: bool = False) -> int:
    """Return how many live migrations the tests of a profile ask for.

    It is an estimate: hosts and quotas may have room for fewer servers, some
    cells refuse, and tests may be skipped.

    :param conf: the plugin's options, as oslo.config has them
    :param profile: whose tests
    :param exclude: tests that are left out, as a regular expression; empty
        for none
    :param volumes: whether the cloud has cinder
    """
    return sum(
        number for name, number in by_test(conf, volumes).items()
        if re.search(profile.regex, PREFIX + name) and
        not (exclude and re.search(exclude, PREFIX + name)))


def has_cells(conf: Any, profile: profiles.Profile) -> bool:
    """Return whether a profile sets settings of hosts, cell by cell.

    What is to come of a cell depends on where disks are.

    :param conf: the plugin's options, as oslo.config has them
    :param profile: whose tests
    """
    return bool(_values(conf) and re.search(profile.regex, PREFIX + CELLS))


def by_test(conf: Any, volumes: bool = False) -> dict[str, int]:
    """Return how many live migrations each test asks for.

    :param conf: the plugin's options, as oslo.config has them
    :param volumes: whether the cloud has cinder
    """
    own = conf.live_migration_ha
    there_and_back = 2 * own.drain_servers * own.round_trips
    declared = own.max_concurrent_live_migrations
    return {
        CELLS: _cells(conf),
        'test_block_migration.BlockMigrationTest.'
        'test_block_live_migration_round_trip': 2,
        'test_drain.DrainTest.test_drain_in_batches':
            there_and_back * len(own.batch_sizes),
        'test_drain.DrainTest.test_drain_in_window': there_and_back,
        'test_intervention.InterventionTest.test_abort_running':
            int(own.recovers_from_failure),
        'test_intervention.InterventionTest.test_abort_queued':
            max(1, declared) + 1,
        'test_intervention.InterventionTest.test_force_complete': 1,
        'test_requests.OldApiTest.test_block_migration_flag_wrong': 1,
        'test_requests.OldApiTest.test_live_migration': 1,
        'test_requests.PausedTest.test_live_migration_of_paused_server': 1,
        'test_requests.ManagerTest.'
        'test_live_migration_by_project_manager': 1,
        'test_volumes.VolumesTest.test_booted_from_volume': 2 * volumes,
        'test_volumes.VolumesTest.test_with_volume_attached': 2 * volumes,
    }


def _cells(conf: Any) -> int:
    """Return how many there are in all cells: a warm-up, flavors, drains."""
    options, values = conf.live_migration_ha_cells, _values(conf)
    if not values or not conf.live_migration_ha.storage:
        return 0
    drained = options.drain_servers if options.drain_servers > 1 else 0
    return len(list(itertools.product(*values))) * 2 * (
        1 + conf.live_migration_ha.round_trips * (
            (len(options.flavors) or 1) + drained))


def _values(conf: Any) -> list[Sequence[Any]]:
    """Return the values of each setting that has some."""
    options = conf.live_migration_ha_cells
    return [getattr(options, name) for name in config.SETTINGS
            if getattr(options, name)]
