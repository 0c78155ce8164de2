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

"""Compute the variables of a job on each node, as Zuul and Ansible do."""

from collections.abc import Iterable
from collections.abc import Mapping
import csv
import enum
from typing import Any

from zuul import model

from gate import layout

CONTROLLER = 'controller'
COMPUTE = 'compute1'
# Groups of each node, in the order in which Ansible reads them (alphabetical).
# Every nodeset with two nodes has these groups.
GROUPS: Mapping[str, tuple[str, ...]] = {
    CONTROLLER: ('compute', 'switch', 'tempest'),
    COMPUTE: ('compute', 'peers', 'subnode'),
}

#: The documentation's table, with one row for each node of each job.
TABLE = layout.TOP / 'doc' / 'source' / 'zuul-nodes.csv'
COLUMNS = ('Job', 'Node', 'Label', 'LIBVIRT_TYPE', 'Options of nova-compute')
Row = dict[str, str]


class File(enum.StrEnum):
    """Files that devstack writes, named by devstack's variables."""

    NOVA_CPU = '$NOVA_CPU_CONF'
    TEMPEST = '$TEMPEST_CONFIG'


def resolve(variables: Mapping[str, Any],
            group_variables: Mapping[str, Mapping[str, Any]],
            groups: Iterable[str]) -> dict[str, Any]:
    """Return the variables of a node.

    Ansible does not merge dictionaries: a dictionary of a group replaces the
    job's dictionary of the same name. It reads groups in alphabetical order.

    :param variables: of the job
    :param group_variables: of the job, by group
    :param groups: names of the node's groups
    """
    found = dict(variables)
    for group in sorted(groups):
        found.update(group_variables.get(group, {}))
    return found


def row(job: str, node: str, label: str, variables: Mapping[str, Any]) -> Row:
    """Return the row of a node.

    :param job: name of the job
    :param node: name of the node
    :param label: its label: the kind of machine and its system
    :param variables: its variables
    """
    sections = variables.get('devstack_local_conf', {}).get(
        'post-config', {}).get(File.NOVA_CPU, {})
    options = [f'{section}.{name} = {value}'
               for section, values in sorted(sections.items())
               for name, value in sorted(values.items())]
    return dict(zip(COLUMNS, (
        job, node, label, str(variables['devstack_localrc']['LIBVIRT_TYPE']),
        ', '.join(options) or 'none'), strict=True))


def documented() -> list[Row]:
    """Return the rows of the documentation."""
    with open(TABLE, newline='', encoding='utf-8') as stream:
        return list(csv.DictReader(stream))


class Job:
    """A job with the attributes and variables that it inherits.

    :param loaded: layout with the job and its parents
    :param name: name of the job
    """

    def __init__(self, loaded: model.Layout, name: str) -> None:
        self.definition = loaded.getJob(name)
        line = [self.definition]
        while not line[-1].isBase():
            line.append(loaded.getJob(line[-1].parent))
        self._line = line
        self._nodesets = loaded.nodesets
        # Zuul merges nested dictionaries.
        merged = model.Job(name)
        for each in reversed(line):
            merged.updateVariables(each)
        self._variables = merged.variables
        self._group_variables = merged.group_variables

    def own(self, name: str) -> Any:
        """Return an attribute that the job itself sets, or None.

        :param name: name of the attribute in Zuul's model
        """
        return self.definition._get(name)

    def ours(self, variable: str) -> set[str]:
        """Return the keys of a variable that jobs of this repository set.

        :param variable: name of a variable that is a dictionary
        """
        return {
            key for each in self._line
            if each.source_context.project_name == layout.OURS
            for key in each.variables.get(variable, {})}

    def attribute(self, name: str) -> Any:
        """Return an attribute of the job, or of the nearest parent with it.

        :param name: name of the attribute in Zuul's model
        """
        for each in self._line:
            value = each._get(name)
            if value is not None:
                return value
        return None

    def playbooks(self) -> list[str]:
        """Return the paths of this repository's playbooks, parents' first."""
        return [playbook.path for each in reversed(self._line)
                for playbook in (*each.pre_run, *each.run, *each.post_run)]

    def variables(self, node: str) -> dict[str, Any]:
        """Return the variables of a node.

        Ansible does not merge dictionaries: a dictionary of a group replaces
        the job's dictionary of the same name.

        :param node: name of the node
        """
        return resolve(self._variables, self._group_variables, GROUPS[node])

    def rows(self) -> list[Row]:
        """Return the rows of the job for the documentation's table."""
        nodeset = self.attribute('nodeset')
        if isinstance(nodeset, str):
            nodeset = self._nodesets[nodeset]
        # A node may have several names; ours have one.
        return [row(self.definition.name, name, node.label,
                    self.variables(name))
                for node in nodeset.getNodes() for name in node.name]

    def options(self, node: str, phase: str,
                file: File) -> dict[str, dict[str, Any]]:
        """Return the options in a file, by section.

        :param node: name of the node
        :param phase: phase of devstack, post-config or test-config
        :param file: the file
        """
        phases = self.variables(node).get('devstack_local_conf', {})
        return phases.get(phase, {}).get(file, {})
