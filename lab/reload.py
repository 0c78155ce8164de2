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

"""Change the nova of hosts while the cloud is up.

``python -m lab.reload STATE_FOLDER TOPOLOGY HOST=VIRTUALENV ...`` runs inside
of the lab, on the controller.
"""

import collections.abc
import concurrent.futures
import dataclasses
import datetime
import json
import os
import pathlib
import re
import sys
import time

import keystoneauth1.exceptions
import openstack

from lab import errors
from lab import fleet
from lab import layout
from lab.machine import debian
from lab.machine import sources
from lab.services import base
from lab.services import keystone
from lab.services import nova
from lab.topology import CONTROLLER
from lab.topology import Topology

#: Time for nova's services to report, in seconds. They do so 5 s after their
#: start, and nova-compute waits for nova-conductor before.
UP_SECONDS = 90
POLL_SECONDS = 0.3
#: States of the supervisor in which there is no process.
ENDED = ('STOPPED', 'EXITED', 'FATAL')
#: The end of a traceback, and how oslo.log writes it. uWSGI and oslo.service
#: write other errors behind it.
EXCEPTION = re.compile(r'(?:^|Unhandled error: )((?:\w+\.)*[A-Z]\w+'
                       r'(?<!Warning): .+)$', re.MULTILINE)
SET_VERSION = "UPDATE services SET version = {version} WHERE host = '{host}'"


def current(paths: layout.Layout,
            topology: Topology) -> dict[str, pathlib.Path]:
    """Return the virtualenv whose nova each host runs.

    :param paths: paths of the lab
    :param topology: the hosts
    :returns: nothing of a host that an older version of the lab has made
    """
    return {host.name: paths.nova(host.name).resolve()
            for host in topology.hosts
            if paths.nova(host.name).is_symlink()}


def is_downgrade(present: collections.abc.Mapping[str, pathlib.Path],
                 wanted: collections.abc.Mapping[str, pathlib.Path]) -> bool:
    """Return whether a host would get an older nova, which nova refuses.

    :param present: virtualenv of each host
    :param wanted: virtualenv of each host
    """
    controller = CONTROLLER.name
    return (not sources.migrations(present[controller])
            <= sources.migrations(wanted[controller])
            or any(sources.service_version(wanted[host])
                   < sources.service_version(venv)
                   for host, venv in present.items()))


def switch(lab: base.Lab,
           wanted: collections.abc.Mapping[str, pathlib.Path]) -> None:
    """Restart nova's services of hosts with the nova of other virtualenvs.

    They restart even if a host keeps its virtualenv; those of the controller
    also if its virtualenv stays, but the oldest nova-compute has another
    version then. If one does not come up, the hosts have the new virtualenvs;
    another call may mend that.

    nova refuses a service that is older than its record in the database, and
    a controller that is too new for the record of a nova-compute. Therefore
    the records get the new versions first. The schema does not go back to that
    of an older nova, since migrations only add to it.

    :param lab: the lab, which is up
    :param wanted: virtualenv of each host that is to change
    :raises errors.LabError: if a service does not come up
    """
    present = current(lab.paths, lab.topology)
    controller = CONTROLLER.name
    if (controller in wanted and sources.migrations(wanted[controller])
            - sources.migrations(present[controller])):
        # Services of the old nova can go on meanwhile.
        for schema in ('api_db', 'db'):
            base.run(wanted[controller] / 'bin' / 'nova-manage',
                     f'--config-file={lab.paths.etc(controller)}/nova.conf',
                     schema, 'sync')
    before, after = (min(
        sources.service_version(virtualenvs[host.name])
        for host in lab.topology.compute_hosts)
        for virtualenvs in (present, {**present, **wanted}))
    hosts = {*wanted, controller} if before != after else {*wanted}
    services = [service for service in lab.services
                if isinstance(service, nova.OwnNova)
                and service.host.name in hosts]
    _stop(lab, services)
    for host, venv in wanted.items():
        layout.link(lab.paths.nova(host), venv)
        fleet.sql(lab.paths, SET_VERSION.format(
            version=sources.service_version(venv), host=host))
    _start(lab, services)


def restart_control_plane(lab: base.Lab) -> None:
    """Restart nova's services on the controller.

    They decide when they start about the version of messages to nova-compute.

    :param lab: the lab, which is up
    :raises errors.LabError: if one does not come up
    """
    services = [lab.find(nova.Nova)]
    _stop(lab, services)
    _start(lab, services)


def _stop(lab: base.Lab,
          services: collections.abc.Iterable[base.Service]) -> None:
    """Stop all programs of services, all at once."""
    ended = {state.name for state in lab.supervisor.states()
             if state.state in ENDED}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        # list() raises the first error.
        list(pool.map(lab.supervisor.stop, [
            program.identifier for service in services
            for program in service.programs()
            if program.identifier not in ended]))


def _start(lab: base.Lab,
           services: collections.abc.Iterable[base.Service]) -> None:
    """Start all programs of services, and wait until they have reported.

    :raises errors.LabError: naming the first one that ends, or all that do not
        report
    """
    programs = [(service, program) for service in services
                for program in service.programs()]
    logs = {program.identifier: (program.log, program.log.stat().st_size)
            for _, program in programs}
    daemons = sorted((program.name, program.host) for _, program in programs
                     if program.port is None)
    began = datetime.datetime.now(datetime.UTC).isoformat()
    with concurrent.futures.ThreadPoolExecutor(len(programs)) as pool:
        list(pool.map(lambda pair: pair[0].launch(pair[1]), programs))
    pids = {state.name: state.pid for state in lab.supervisor.states()
            if state.name in logs}
    cloud = keystone.connect(lab.paths)
    deadline = time.monotonic() + UP_SECONDS
    while True:
        for state in lab.supervisor.states():
            if state.pid != pids.get(state.name, state.pid):
                log, size = logs[state.name]
                text = log.read_bytes()[size:].decode('utf-8', 'replace')
                reasons = EXCEPTION.findall(text) or [
                    debian.find_reason(log, size)]
                raise errors.LabError(
                    f'{state.name} ends after its start: '
                    f'{reasons[-1].rstrip(".")} (whole log: {log}).')
        try:
            reports = {(service.binary, service.host): service.updated_at
                       for service in cloud.compute.services()}
            # Both are UTC, with the date first.
            missing = ', '.join(
                f'{name} on {host}' for name, host in daemons
                if (reports.get((name, host)) or '') < began)
        except (openstack.exceptions.SDKException,
                keystoneauth1.exceptions.ClientException) as error:
            missing = f"an answer of nova's API ({error})"
        if not missing:
            return
        if time.monotonic() > deadline:
            raise errors.LabError(
                f'After {UP_SECONDS} s nova still lacks {missing}: '
                f'tools/run-lab.sh status')
        time.sleep(POLL_SECONDS)


def command(paths: layout.Layout, topology: Topology,
            wanted: collections.abc.Mapping[str, pathlib.Path]) -> list[str]:
    """Return the command line that runs :func:`switch`, for an interpreter.

    :param paths: paths of the lab
    :param topology: the hosts
    :param wanted: virtualenv of each host that is to change
    """
    return ['-m', 'lab.reload', str(paths.root),
            json.dumps(dataclasses.asdict(topology)),
            *(f'{host}={venv}' for host, venv in wanted.items())]


def main(root: str, topology: str, *wanted: str) -> int:
    """Run :func:`switch`; for the arguments see the module.

    :returns: exit code
    """
    lab = base.Lab(layout.Layout(pathlib.Path(root)),
                   Topology(**json.loads(topology)))
    pairs = (each.partition('=') for each in wanted)
    try:
        switch(lab, {host: pathlib.Path(venv) for host, _, venv in pairs})
    except (errors.LabError, OSError) as error:
        return errors.tell(error)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    STATUS = main(*sys.argv[1:])
    sys.stdout.flush()
    # Without waiting for the threads that an error has left.
    os._exit(STATUS)
