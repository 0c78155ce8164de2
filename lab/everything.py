"""What ``tools/run-lab.sh`` does without a command."""

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
            lifecycle.down(layout)
