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

"""Runs a service's own tools inside of a host."""

import os
import socket
import subprocess
import time

from lab import errors
from lab.hosts import sandbox
from lab import topology as topologies

POLL_SECONDS = 0.1


def run(*command: object, host: str = topologies.CONTROLLER.name,
        text: str = '', **environment: str) -> str:
    """Run a command in a host and return what it printed.

    :param command: program and arguments
    :param host: name of the host
    :param text: its standard input
    :param environment: variables added to the environment
    :returns: its standard output
    :raises errors.LabError: if it fails, with the last line that it printed
    """
    line = [str(word) for word in command]
    result = subprocess.run(
        [*sandbox.enter_compute(host), *line], input=text,
        capture_output=True, text=True, env=os.environ | environment)
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise errors.LabError(
            f'{os.path.basename(line[0])} {" ".join(line[1:])[:60]} failed on '
            f'{host}: {said[-1] if said else "it printed nothing"}')
    return result.stdout


def wait_for_port(what: str, address: str, port: int,
                  seconds: float = 90) -> None:
    """Wait until a TCP port takes connections.

    :param what: name of the service, for the message
    :param address: IPv4 address
    :param port: TCP port
    :param seconds: how long to wait
    :raises errors.LabError: if it does not within that time
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return
    raise errors.LabError(
        f'{what} did not open {address}:{port} within {seconds:.0f} s: '
        f'tools/run-lab.sh logs {what}')
