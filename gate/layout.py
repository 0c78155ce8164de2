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

"""Load job definitions with Zuul's own parser.

The parser and its checks of references run here without a scheduler. Most of
the functions are not a public API of Zuul, so its version is pinned
(gate/requirements-zuul.txt).
"""

from collections.abc import Iterable
import dataclasses
import logging
import pathlib
from typing import Any
from unittest import mock

from zuul import configloader
from zuul import model

TOP = pathlib.Path(__file__).parent.parent
JOBS = TOP / 'zuul.d'
# Jobs and templates of other repositories that our definitions refer to.
PARENTS = TOP / 'gate' / 'parents.yaml'
OURS = 'openstack/lm-tempest-plugin'

_THEIRS = 'openstack/openstack-zuul-jobs'
_PROJECTS = (OURS, _THEIRS, 'openstack/nova', 'openstack/os-vif')
_HOST = 'opendev.org'


class Refused(Exception):
    """Zuul refuses a configuration; the text is Zuul's message."""


@dataclasses.dataclass(frozen=True)
class Project:
    """A repository, with the attributes that Zuul's parser reads."""

    name: str
    canonical_hostname: str = _HOST
    connection_name: str = 'gerrit'
    private_secrets_key: None = None
    source: Any = dataclasses.field(default_factory=lambda: mock.Mock(
        **{'getProjectDefaultMergeMode.return_value': 'merge',
           'getProjectDefaultBranch.return_value': 'master'}))

    @property
    def canonical_name(self) -> str:
        """Name with the host in front, such as opendev.org/openstack/nova."""
        return f'{self.canonical_hostname}/{self.name}'


@dataclasses.dataclass(frozen=True)
class Source:
    """Definitions of one file.

    :ivar text: YAML
    :ivar path: path of the file, for Zuul's messages
    :ivar project: repository of the file
    """

    text: str
    path: str
    project: str = OURS


def ours() -> list[Source]:
    """Return all definitions of this repository."""
    return [Source(path.read_text(), str(path.relative_to(TOP)))
            for path in sorted(JOBS.glob('**/*.yaml'))]


def load(sources: Iterable[Source]) -> model.Layout:
    """Return the layout of definitions and of the parents that they need.

    :param sources: definitions of this repository and of nova
    :raises Refused: Zuul reports an error or a deprecation
    """
    tenant = model.Tenant('openstack')
    # Zuul's parser of tenants sets these; it does not run here.
    tenant.allowed_labels = tenant.disallowed_labels = None
    for name in _PROJECTS:
        entry = model.TenantProjectConfig(Project(name))
        # Only a trusted project may define a job without a parent.
        entry.trusted = name == _THEIRS
        tenant.addTPC(entry)
    parser = configloader.TenantParser.__new__(configloader.TenantParser)
    parser.log = logging.getLogger(__name__)
    context = configloader.ParseContext(
        mock.Mock(connections={}), None, None, None)
    parsed = model.ParsedConfig()
    unparsed = model.UnparsedConfig()
    theirs = Source(PARENTS.read_text(), PARENTS.name, _THEIRS)
    for source in (theirs, *sources):
        with context.accumulator.catchErrors():
            unparsed.extend(configloader.safe_load_yaml(
                source.text, model.SourceContext(
                    f'{_HOST}/{source.project}', source.project,
                    'gerrit', 'master', source.path)))
    parsed = parser.parseConfig(unparsed, context)
    layout = parser._parseLayout(tenant, parsed, context)
    complaints = [each.error for each in layout.loading_errors]
    if complaints:
        raise Refused('\n\n'.join(complaints))
    return layout
