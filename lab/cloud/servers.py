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

"""Tells which servers the cloud has, from inside of the lab.

Run as ``python -m lab.cloud.servers STATE_FOLDER`` it prints their names as
JSON.
"""

import json
import pathlib
import sys

from lab.cloud import accounts
from lab import layout as layouts


def main(root: str) -> None:
    """Print the names of all servers of all projects.

    :param root: the lab's state folder
    """
    cloud = accounts.connect(layouts.Layout(pathlib.Path(root)))
    print(json.dumps(sorted(
        server.name for server in cloud.compute.servers(all_projects=True))))


def arguments(layout: layouts.Layout) -> list[str]:
    """The command line that prints them, without its interpreter."""
    return ['-m', 'lab.cloud.servers', str(layout.root)]


if __name__ == '__main__':
    main(*sys.argv[1:])
