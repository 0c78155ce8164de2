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

"""The TCP echo service in the guest, as user data for its creation."""

import base64
import importlib.resources
import shlex


def script(port: int) -> str:
    """Return a shell script that starts the service, for the guest's root.

    :param port: TCP port on which the guest is to echo
    """
    if not 1 <= port <= 65535:
        raise ValueError('%s is no TCP port' % port)
    source = importlib.resources.files(__package__).joinpath('echo.sh')
    return source.read_text('utf-8').replace(
        '@PORT@', shlex.quote(str(port)))


def user_data(port: int) -> str:
    """Return the script as nova takes it: in base64.

    :param port: TCP port on which the guest is to echo
    """
    return base64.b64encode(script(port).encode('utf-8')).decode('ascii')
