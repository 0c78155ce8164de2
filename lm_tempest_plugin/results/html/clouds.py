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

"""What is known of the runs, and of the clouds that they were on."""

from collections.abc import Mapping
from typing import Any

from lm_tempest_plugin.results import collection
from lm_tempest_plugin.results.html import table
from lm_tempest_plugin.results.html import words


def runs(records: collection.Collection) -> table.Table:
    """Return a row for each run.

    :param records: what the files say
    """
    return table.Table(
        'Runs, and the clouds that they were on',
        ('Run', 'Began', 'Plugin', 'Region', 'Compute API', 'Hosts'),
        [table.Row((
            run.name, words.day(run.started_s),
            str(run.body.get('plugin_version') or words.NOTHING),
            str(_cloud(run).get('region') or words.NOTHING),
            str(_cloud(run).get('compute_api') or words.NOTHING),
            _hosts(_cloud(run)))) for run in records.runs], words=6)


def _cloud(run: collection.Run) -> Mapping[str, Any]:
    found = run.body.get('cloud')
    return found if isinstance(found, Mapping) else {}


def _hosts(cloud: Mapping[str, Any]) -> str:
    """Return the hosts, those of one kind together."""
    kinds: dict[str, list[str]] = {}
    for each in cloud.get('hypervisors') or ():
        kind = '%s %s' % (each.get('type', ''), each.get('version', ''))
        if each.get('libvirt'):
            kind += ', libvirt %s' % each['libvirt']
        kinds.setdefault(kind.strip(), []).append(str(each.get('host')))
    return '; '.join('%s: %s' % (', '.join(sorted(hosts)), kind)
                     for kind, hosts in kinds.items()) or words.NOTHING
