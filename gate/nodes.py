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

"""What a job sets on each of its nodes, by the rules of Zuul and Ansible."""

from collections.abc import Mapping
import enum
from typing import Any

from zuul import model

from gate import layout as layouts

CONTROLLER = 'controller'
COMPUTE = 'compute1'
# In the order in which Ansible reads them. All nodesets of two nodes have
# these.
GROUPS: Mapping[str, tuple[str, ...]] = {
    CONTROLLER: ('compute', 'switch', 'tempest'),
    COMPUTE: ('compute', 'peers', 'subnode'),
}


class File(enum.StrEnum):
    """Files that devstack writes, by its names for them."""

    NOVA_CPU = '$NOVA_CPU_CONF'
    TEMPEST = '$TEMPEST_CONFIG'


class Job:
    """A job with all that it has from its parents.

    :param layout: Zuul's
    :param name: of the job
    """

    def __init__(self, layout: model.Layout, name: str) -> None:
        self.definition = layout.getJob(name)
        line = [self.definition]
        while not line[-1].isBase():
            line.append(layout.getJob(line[-1].parent))
        self._line = line
        # Zuul merges dictionaries within dictionaries.
        merged = model.Job(name)
        for each in reversed(line):
            merged.updateVariables(each)
        self._variables = merged.variables
        self._group_variables = merged.group_variables

    def own(self, name: str) -> Any:
        """Return an attribute of the job itself; None if it has none.

        :param name: as Zuul's model calls it
        """
        return self.definition._get(name)

    def ours(self, variable: str) -> set[str]:
        """Return the keys of a dictionary that jobs of this repository set.

        :param variable: that has the dictionary
        """
        return {
            key for each in self._line
            if each.source_context.project_name == layouts.OURS
            for key in each.variables.get(variable, {})}

    def attribute(self, name: str) -> Any:
        """Return an attribute, of the job or of the next who has it.

        :param name: as Zuul's model calls it
        """
        for each in self._line:
            value = each._get(name)
            if value is not None:
                return value
        return None

    def playbooks(self) -> list[str]:
        """Return the paths of all playbooks of our own, parents' first."""
        return [playbook.path for each in reversed(self._line)
                for playbook in (*each.pre_run, *each.run, *each.post_run)]

    def variables(self, node: str) -> dict[str, Any]:
        """Return what a node's variables are.

        Ansible does not merge: a group's dictionary hides another one.

        :param node: its name
        """
        found = dict(self._variables)
        for group in GROUPS[node]:
            found.update(self._group_variables.get(group, {}))
        return found

    def options(self, node: str, phase: str,
                file: File) -> dict[str, dict[str, Any]]:
        """Return the options of a file by section.

        :param node: name of the node
        :param phase: of devstack: post-config or test-config
        :param file: which
        """
        phases = self.variables(node).get('devstack_local_conf', {})
        return phases.get(phase, {}).get(file, {})
