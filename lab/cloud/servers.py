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

"""Tells which servers and volumes the cloud has, from inside of the lab.

Run as ``python -m lab.cloud.servers STATE_FOLDER`` it prints their names as
JSON.
"""

import json
import pathlib
import sys

from lab.cloud import accounts
from lab import layout as layouts


def main(root: str) -> None:
    """Print the names of all servers and volumes of all projects.

    :param root: the lab's state folder
    """
    cloud = accounts.connect(layouts.Layout(pathlib.Path(root)))
    names = [server.name for server
             in cloud.compute.servers(all_projects=True)]
    if cloud.has_service(accounts.CINDER.kind):
        # nova gives no name to the volume that it makes for a server.
        names += [volume.name or volume.id for volume
                  in cloud.block_storage.volumes(all_projects=True)]
    print(json.dumps(sorted(names)))


def arguments(layout: layouts.Layout) -> list[str]:
    """The command line that prints them, without its interpreter."""
    return ['-m', 'lab.cloud.servers', str(layout.root)]


if __name__ == '__main__':
    main(*sys.argv[1:])
