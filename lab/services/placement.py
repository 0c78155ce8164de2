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

"""placement: which host has room for a server."""

from lab.services import base


class Placement(base.Service):
    """placement."""

    name = 'placement'
    configuration = 'placement.conf'
    databases = ('placement',)
    endpoint = base.Endpoint('placement', 8778)
    needs = (base.DATABASES, 'keystone')

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API."""
        return (base.Application(
            'placement', 'placement.wsgi.api', self.endpoint.port, 1,
            (('OS_PLACEMENT_CONFIG_DIR', str(self.etc)),)),)

    def migrate(self) -> None:
        """Make its schema."""
        self.manage('placement-manage', 'db', 'sync')
