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

"""Restart services while the cloud is up, also with other code.

``python -m lab.reload STATE_FOLDER TOPOLOGY PROJECT/HOST=VIRTUALENV ...`` runs
inside of the lab, on the controller.
"""

import collections.abc
import concurrent.futures
import dataclasses
import datetime
import json
import os
import pathlib
import re
import socket
import sys
import time

import keystoneauth1.exceptions
import openstack

from lab import errors
from lab import fleet
from lab import layout
from lab.machine import debian
from lab.machine import overlays
from lab.machine import sources
from lab.services import base
from lab.services import keystone
from lab import supervisor
from lab.topology import CONTROLLER
from lab.topology import Topology

#: Time for services to serve, in seconds. Those of nova report 5 s after their
#: start, and nova-compute waits for nova-conductor before. A busy machine
#: takes much longer.
UP_SECONDS = 120
#: Time for a daemon to load its modules, in seconds. One that neither has a
#: port nor reports to nova shows only by its end that it does not work.
#: neutron's agents took 4 s on a busy machine.
SETTLE_SECONDS = 12
POLL_SECONDS = 0.3
#: State of a program that has ended by itself. Within a second the supervisor
#: starts one that has failed.
EXITED = 'EXITED'
RESTART_SECONDS = 2
#: The end of a traceback, and how oslo.log writes it. uWSGI and oslo.service
#: write other errors behind it.
EXCEPTION = re.compile(r'(?:^|Unhandled error: )((?:\w+\.)*[A-Z]\w+'
                       r'(?<!Warning): .+)$', re.MULTILINE)
SET_VERSION = "UPDATE services SET version = {version} WHERE host = '{host}'"


def current(paths: layout.Layout, topology: Topology,
            project: str = sources.NOVA) -> dict[str, pathlib.Path]:
    """Return the virtualenv whose code of a project each host runs.

    :param paths: paths of the lab
    :param topology: the hosts
    :param project: name of the project
    :returns: nothing of a host that an older version of the lab has made, or
        that does not run it
    """
    links = {host.name: paths.code / project / host.name
             for host in topology.hosts}
    return {host: link.resolve() for host, link in links.items()
            if link.is_symlink()}


def is_downgrade(present: collections.abc.Mapping[str, pathlib.Path],
                 wanted: collections.abc.Mapping[str, pathlib.Path],
                 project: str = sources.NOVA) -> bool:
    """Return whether code cannot replace the present one.

    nova refuses to be replaced by an older one. The database has a migration
    that the new code lacks if that is older, or if it no longer needs it:
    neutron 29 lacks some of neutron 28.

    :param present: virtualenv of each host
    :param wanted: virtualenv of each host
    :param project: name of the project
    """
    controller = CONTROLLER.name
    return (not overlays.migrations(present[controller], project)
            <= overlays.migrations(wanted[controller], project)
            or project == sources.NOVA and any(
                overlays.service_version(wanted[host])
                < overlays.service_version(venv)
                for host, venv in present.items()))


def switch(lab: base.Lab,
           wanted: collections.abc.Mapping[str, pathlib.Path],
           project: str = sources.NOVA) -> None:
    """Restart a project's services of hosts with code of other virtualenvs.

    They restart even if a host keeps its virtualenv; nova's of the controller
    also if its virtualenv stays, but the oldest nova-compute has another
    version then. If one does not come up, the hosts have the new virtualenvs;
    another call may mend that.

    nova refuses a service that is older than its record in the database, and
    a controller that is too new for the record of a nova-compute. Therefore
    the records get the new versions first. The schema does not go back to that
    of an older nova, since migrations only add to it.

    :param lab: the lab, which is up
    :param wanted: virtualenv of each host that is to change
    :param project: name of the project
    :raises errors.LabError: if a service does not come up
    """
    is_nova = project == sources.NOVA
    present = current(lab.paths, lab.topology, project)
    controller = CONTROLLER.name
    if (controller in wanted
            and overlays.migrations(wanted[controller], project)
            - overlays.migrations(present[controller], project)):
        # Services of the old code can go on meanwhile.
        for service in (*lab.services, *lab.schemas):
            if service.project == project and service.host.is_controller:
                service.sync(wanted[controller])
    hosts = {*wanted}
    if is_nova:
        before, after = (min(
            overlays.service_version(virtualenvs[host.name])
            for host in lab.topology.compute_hosts)
            for virtualenvs in (present, {**present, **wanted}))
        if before != after:
            hosts.add(controller)
    programs = [each for each in _of(lab, project) if each.host in hosts]
    _stop(lab, programs)
    for host, venv in wanted.items():
        layout.link(lab.paths.code / project / host, venv)
        if is_nova:
            fleet.sql(lab.paths, SET_VERSION.format(
                version=overlays.service_version(venv), host=host))
    has_daemons = any(each.port is None for each in programs)
    _start(lab, programs, programs if is_nova else (),
           SETTLE_SECONDS if has_daemons and not is_nova else 0)


def restart(lab: base.Lab, names: collections.abc.Collection[str],
            hosts: collections.abc.Collection[str] | None = None) -> None:
    """Restart services, and wait until they serve requests.

    Until a new nova-compute serves, it takes a migration for one that its end
    has interrupted, and resets the server. It first reports when it serves, by
    way of nova-conductor: with one service of nova, the reports of all on all
    hosts are awaited.

    :param lab: the lab, which is up
    :param names: names of programs, such as nova-compute
    :param hosts: names of hosts; None for all
    :raises errors.LabError: if one is not part of the lab, does not stop, ends
        after its start, or does not serve in time
    """
    programs = [each for each in lab.programs if each.name in names
                and (hosts is None or each.host in hosts)]
    unknown = {*names} - {each.name for each in programs}
    if unknown:
        where = '' if hosts is None else f' on {", ".join(hosts)}'
        raise errors.LabError(
            f'The lab has no service {", ".join(sorted(unknown))}{where}.')
    of_nova = _of(lab, sources.NOVA)
    _stop(lab, programs)
    _start(lab, programs, of_nova if any(
        each.name in {own.name for own in of_nova} for each in programs)
        else ())


def _of(lab: base.Lab, project: str) -> list[base.Program]:
    """Return a project's programs on all hosts."""
    return [program for service in lab.services
            if service.project == project
            for program in service.programs()]


def _stop(lab: base.Lab,
          programs: collections.abc.Iterable[base.Program]) -> None:
    """Stop programs, all at once."""
    def stop(name: str) -> None:
        deadline = time.monotonic() + RESTART_SECONDS
        while (state := lab.supervisor.state(name).state) == EXITED:
            # If it has failed, the supervisor is about to start it again: it
            # would be taken for the new one.
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)
        if state in (supervisor.RUNNING, *supervisor.PENDING):
            lab.supervisor.stop(name)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        # list() raises the first error.
        list(pool.map(stop, [each.identifier for each in programs]))


def _start(lab: base.Lab, programs: collections.abc.Sequence[base.Program],
           reporting: collections.abc.Iterable[base.Program],
           settle_s: float = 0) -> None:
    """Start programs, all at once, and wait until they serve.

    :param programs: programs that are down
    :param reporting: programs of nova; the reports of the daemons among them
        are awaited
    :param settle_s: time that all have to stay up, in seconds
    :raises errors.LabError: naming the first one that ends, or all that do not
        serve
    """
    sizes = {each.identifier: each.log.stat().st_size for each in programs}
    began = datetime.datetime.now(datetime.UTC).isoformat()

    def launch(program: base.Program) -> int:
        name = program.identifier
        try:
            lab.supervisor.start(name)
        except errors.LabError as error:
            if lab.supervisor.state(name).up:
                raise
            raise _end(program, sizes[name]) from error
        return lab.supervisor.state(name).pid

    with concurrent.futures.ThreadPoolExecutor(len(programs) or 1) as pool:
        started = {each.identifier: (each, pid) for each, pid in zip(
            programs, pool.map(launch, programs), strict=True)}
    daemons = sorted((each.name, each.host) for each in reporting
                     if each.port is None)
    cloud = keystone.connect(lab.paths)
    settled = time.monotonic() + settle_s
    deadline = time.monotonic() + UP_SECONDS
    while True:
        for state in lab.supervisor.states():
            if state.name in started:
                program, pid = started[state.name]
                if not state.up or state.pid != pid:
                    raise _end(program, sizes[state.name])
        missing = [*_closed(programs), *_silent(cloud, daemons, began)]
        if not missing and time.monotonic() >= settled:
            return
        if time.monotonic() > deadline:
            raise errors.LabError(
                f'After {UP_SECONDS} s the cloud still lacks '
                f'{", ".join(missing)}: tools/run-lab.sh status')
        time.sleep(POLL_SECONDS)


def _end(program: base.Program, size: int) -> errors.LabError:
    """Return the error of a program that has ended.

    :param program: the program
    :param size: size of its log before its start, in bytes
    """
    text = program.log.read_bytes()[size:].decode('utf-8', 'replace')
    reasons = EXCEPTION.findall(text) or [
        debian.find_reason(program.log, size)]
    return errors.LabError(
        f'{program.identifier} ends after its start: '
        f'{reasons[-1].rstrip(".")} (whole log: {program.log}).')


def _closed(programs: collections.abc.Iterable[base.Program]
            ) -> collections.abc.Iterator[str]:
    """Yield the ports of programs that take no connection."""
    for program in programs:
        if program.port is not None:
            try:
                # Programs of the controller alone have one.
                socket.create_connection(
                    (CONTROLLER.address, program.port), timeout=2).close()
            except OSError:
                yield f'port {program.port} of {program.identifier}'


def _silent(cloud: openstack.connection.Connection,
            daemons: collections.abc.Sequence[tuple[str, str]], began: str
            ) -> collections.abc.Iterator[str]:
    """Yield the daemons of nova that have not reported since a time.

    :param cloud: connection as administrator
    :param daemons: name and host of each; without any, nova is not asked
    :param began: the time, as nova's API shows it
    """
    try:
        # Both times are UTC, with the date first.
        reported = {(service.binary, service.host)
                    for service in cloud.compute.services()
                    if (service.updated_at or '') >= began
                    } if daemons else set()
    except (openstack.exceptions.SDKException,
            keystoneauth1.exceptions.ClientException) as error:
        yield f"an answer of nova's API ({error})"
    else:
        yield from (f'{name} on {host}' for name, host in daemons
                    if (name, host) not in reported)


def command(paths: layout.Layout, topology: Topology,
            wanted: collections.abc.Mapping[tuple[str, str], pathlib.Path]
            ) -> list[str]:
    """Return the command line that runs :func:`switch`, for an interpreter.

    :param paths: paths of the lab
    :param topology: the hosts
    :param wanted: virtualenv of each project and host that is to change
    """
    return ['-m', 'lab.reload', str(paths.root),
            json.dumps(dataclasses.asdict(topology)),
            *(f'{project}/{host}={venv}'
              for (project, host), venv in wanted.items())]


def main(root: str, topology: str, *wanted: str) -> int:
    """Run :func:`switch` for each project; for the arguments see the module.

    :returns: exit code
    """
    lab = base.Lab(layout.Layout(pathlib.Path(root)),
                   Topology(**json.loads(topology)))
    found: dict[str, dict[str, pathlib.Path]] = {}
    for entry in wanted:
        place, _, venv = entry.partition('=')
        project, _, host = place.partition('/')
        found.setdefault(project, {})[host] = pathlib.Path(venv)
    try:
        for project, hosts in found.items():
            switch(lab, hosts, project)
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
