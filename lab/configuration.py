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

"""Passwords of a lab, and the templates of its configuration files."""

import json
import pathlib
import secrets as randomness
import typing

import jinja2

from lab import layout
from lab.topology import CONTROLLER
from lab.topology import PROVIDER_NAME
from lab.topology import Topology

REGION = 'RegionOne'
TEMPLATES = pathlib.Path(__file__).resolve().parent / 'templates'
#: Passwords of a lab, named after their use.
SECRETS = ('admin', 'database', 'messaging', 'metadata', 'service')


def passwords(paths: layout.Layout) -> dict[str, str]:
    """Return the lab's passwords; they are made when first asked for.

    :param paths: paths of the lab
    :returns: a password for each name of :data:`SECRETS`
    """
    try:
        known = json.loads(paths.secrets.read_text())
    except (FileNotFoundError, ValueError):
        # A new lab, or a file that is damaged. Databases that were prepared
        # with other passwords have another key: they are not taken.
        known = {}
    if not isinstance(known, dict) or set(known) != set(SECRETS):
        known = {name: randomness.token_hex(16) for name in SECRETS}
        layout.write_json(paths.secrets, known, mode=0o600)
    return known


class Templates:
    """Renders templates for one lab.

    :param paths: paths of the lab
    :param topology: the hosts
    """

    def __init__(self, paths: layout.Layout, topology: Topology) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True,
            lstrip_blocks=True, keep_trailing_newline=True,
            undefined=jinja2.StrictUndefined,
            # Configuration files, not HTML; nothing in them comes from
            # outside of the lab.
            autoescape=False)  # noqa: S701
        self._common = {
            'layout': paths, 'topology': topology,
            'controller': CONTROLLER.address, 'region': REGION,
            'secrets': passwords(paths), 'run': layout.RUN,
            'provider': PROVIDER_NAME,
        }

    def render(self, template: str, **values: typing.Any) -> str:
        """Return the text of a template.

        :param template: its name without the ending ``.j2``
        :param values: values beside those that are common to all
        """
        return self._environment.get_template(f'{template}.j2').render(
            self._common | values)
