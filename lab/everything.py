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

"""What ``tools/run-lab.sh`` does without a command."""

from lab import clearing
from lab import cli
from lab import layout as layouts
from lab import lifecycle
from lab import topology as topologies
from lab import use


def run(layout: layouts.Layout, topology: topologies.Topology,
        keep: bool) -> int:
    """Start a cloud, run the tests, end the cloud.

    :param layout: paths of the lab
    :param topology: the hosts
    :param keep: leave the cloud running
    :returns: Tempest's exit code
    """
    was_up = lifecycle.running(layout) is not None
    lifecycle.up(layout, topology)
    try:
        return use.run(layout, cli.DEFAULT_RUN)
    finally:
        # A cloud that somebody else brought up is theirs to end.
        if keep or was_up:
            print('The cloud is left running: tools/run-lab.sh down ends it.')
        else:
            clearing.down(layout)
