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

"""Breaks something during a live migration: do the tests notice?

Run inside of a cloud that is up, from the root of the repository::

    tools/run-lab.sh exec -- python -m lab.faults

It starts the block migration test, kills the libvirtd of the destination
with SIGKILL as soon as nova says that the migration runs, and exits with 0
only if the test failed, its message names server, record, status and hosts,
and nothing is left behind.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import typing

import openstack

from lab.cloud import supervisor as supervisors
from lab import errors
from lab import layout as layouts

TEST = 'test_block_live_migration_round_trip'
FAILED = 'FAILED'
SECONDS = 300
POLL_SECONDS = 0.05


class Unexpected(Exception):
    """The fault did not lead to what it should lead to."""


def running_migration(cloud: openstack.connection.Connection,
                      known: set[str], child: subprocess.Popen[str]
                      ) -> typing.Any:
    """Wait for a live migration that copies at this moment.

    :param cloud: connection as administrator
    :param known: UUIDs of migration records from before
    :param child: the test, which will ask for it
    :returns: its record
    :raises Unexpected: if there is none until the test has ended
    """
    while child.poll() is None:
        for record in cloud.compute.migrations():
            if record.uuid not in known and record.status == 'running':
                return record
        time.sleep(POLL_SECONDS)
    raise Unexpected('The test ended before a migration was seen running.')


def kill_libvirtd(host: str) -> None:
    """End the libvirtd of a host as a crash would.

    :param host: name of the host
    :raises Unexpected: if it is not up
    """
    supervisor = supervisors.Supervisor(layouts.SUPERVISOR_SOCKET)
    state = supervisor.state(f'{host}-libvirtd')
    if not state.up:
        raise Unexpected(f'libvirtd of {host} is not up.')
    os.kill(state.pid, signal.SIGKILL)


def leftovers(cloud: openstack.connection.Connection,
              server_id: str) -> list[str]:
    """What is left of a server that a test has deleted.

    :param cloud: connection as administrator
    :param server_id: UUID of the server
    :returns: a few words for each thing
    """
    found = [f'server {server.id} ({server.status})'
             for server in cloud.compute.servers(all_projects=True)
             if server.id == server_id]
    found += [f'port {port.id}' for port in cloud.network.ports()
              if port.device_id == server_id]
    found += [f'QEMU process {path.parent.name}'
              for path in pathlib.Path('/proc').glob('[0-9]*/cmdline')
              if server_id.encode() in _read(path)]
    return found


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        # The process has ended.
        return b''


def check(output: str, record: typing.Any) -> None:
    """Refuse a message that does not say what happened to what.

    :param output: what Tempest printed
    :param record: the migration that was broken
    :raises Unexpected: naming what is not in the message
    """
    if FAILED not in output:
        raise Unexpected('The test did not fail.')
    wanted = {'the server': record.server_id,
              'the record with status and hosts':
              rf'record {record.id} (error|failed) from '
              rf'{record.source_compute} to {record.dest_compute}'}
    for what, pattern in wanted.items():
        if not re.search(pattern, output):
            raise Unexpected(f'The message does not name {what}: '
                             f'{pattern!r}.')


def main() -> int:
    """Break a migration and see what the test says.

    :returns: exit code
    """
    cloud = openstack.connect()
    known = {record.uuid for record in cloud.compute.migrations()}
    workspace = pathlib.Path(os.environ['TEMPEST_CONFIG_DIR']).parent
    with subprocess.Popen(['tempest', 'run', '--regex', TEST], cwd=workspace,
                          text=True, stdout=subprocess.PIPE) as child:
        try:
            record = running_migration(cloud, known, child)
            print(f'Record {record.id} is running from '
                  f'{record.source_compute} to {record.dest_compute}: '
                  f'libvirtd there is killed now.', flush=True)
            kill_libvirtd(record.dest_compute)
            output, _ = child.communicate(timeout=SECONDS)
        except BaseException:
            # As Ctrl-C would: it cleans up what it has made.
            child.send_signal(signal.SIGINT)
            raise
    begin = output.find('The live migration of')
    print(output[begin:output.find('\n\n', begin)] if begin >= 0 else output)
    check(output, record)
    left = leftovers(cloud, record.server_id)
    if left:
        raise Unexpected(f'Left behind: {", ".join(left)}.')
    print(f'The test failed (exit code {child.returncode}), as it should, '
          f'and nothing is left behind.')
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (Unexpected, errors.LabError) as error:
        sys.exit(f'faults: {error}')
