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

"""glance: images, in local files or in Ceph."""

from lab.services import base
from lab.services import ceph


class Glance(base.Service):
    """glance."""

    name = 'glance'
    configuration = 'glance-api.conf'
    values = {'ceph': ceph}
    folders = ('glance',)
    databases = ('glance',)
    endpoint = base.Endpoint('image', 9292)
    needs = (base.DATABASES, 'keystone', 'ceph')

    def applications(self) -> tuple[base.Application, ...]:
        """Return the API."""
        return (base.Application(
            'glance', 'glance.wsgi.api', self.endpoint.port, 1,
            (('OS_GLANCE_CONFIG_DIR', str(self.etc)),)),)

    def migrate(self) -> None:
        """Make its schema."""
        self.manage('glance-manage', 'db_sync')
