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

"""What a workspace knows of what was made from it, and of what was asked for.

All that the cloud can mark is found there by its mark. A key pair cannot be
marked: it is taken for ours if the manifest has its name and public key.
"""

from collections.abc import Mapping
import dataclasses
import json
import pathlib

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import files

FILE = 'bootstrap.json'


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The contents of the file.

    :ivar cloud: name of the cloud in clouds.yaml
    :ivar key_pairs: public keys by the names of key pairs
    :ivar made: what else was made: kind, name and id, in words
    :ivar wishes: what was asked for, by the names of arguments
    """

    cloud: str
    key_pairs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    made: tuple[str, ...] = ()
    wishes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def save(self, workspace: pathlib.Path) -> None:
        """Write it.

        :param workspace: its directory
        :raises OperatorError: it cannot be written
        """
        files.write(workspace / FILE, json.dumps(
            dataclasses.asdict(self), indent=2) + '\n')


def load(workspace: pathlib.Path, cloud: str) -> Manifest:
    """Return what a workspace knows; nothing if it is new.

    :param workspace: its directory
    :param cloud: name of the cloud in clouds.yaml
    :raises OperatorError: it belongs to another cloud, or cannot be read
    """
    path = workspace / FILE
    text = files.read(path)
    if text is None:
        return Manifest(cloud)
    try:
        body = json.loads(text)
        found = Manifest(str(body['cloud']), dict(body['key_pairs']),
                         tuple(body['made']), dict(body['wishes']))
    except (KeyError, TypeError, ValueError) as exc:
        raise errors.OperatorError(
            '%s is not what bootstrap writes: %s' % (path, exc)) from exc
    if found.cloud != cloud:
        raise errors.OperatorError(
            'the workspace %s belongs to cloud %s, not to %s: give another '
            'one with --workspace' % (workspace, found.cloud, cloud))
    return found
