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

"""Bring a cloud up: install, configure, start."""

import dataclasses
import functools
import json
import subprocess
import sys
import time

from lab import console
from lab import errors
from lab.hosts import sandbox
from lab import image
from lab import inside
from lab import layout
from lab.machine import checks
from lab.machine import debian
from lab.machine import qemu
from lab.machine import userland
from lab.machine import virtualenvs
from lab.services import base
from lab import steps
from lab.topology import CONTROLLER
from lab.topology import Topology


def running(paths: layout.Layout) -> Topology | None:
    """Return the hosts of the cloud that is usable now.

    :param paths: paths of the lab
    :returns: None if there is none, or one that never came up whole
    """
    return None if sandbox.find(paths.root) is None else recorded(paths)


def recorded(paths: layout.Layout) -> Topology | None:
    """Return the hosts of the cloud that came up last; also from inside.

    :param paths: paths of the lab
    :returns: None if it never came up whole, or was ended as it should be
    """
    if not paths.ready.exists():
        return None
    try:
        return Topology(**json.loads(paths.ready.read_text()))
    except (TypeError, ValueError):
        # The file is damaged, or of a lab of another version.
        return None


def up(paths: layout.Layout, topology: Topology,
       may_switch: bool = False) -> None:
    """Install all that is missing and start a cloud; idempotent.

    The remains of an earlier command that was cut short are cleared first.

    :param paths: paths of the lab
    :param topology: the hosts
    :param may_switch: whether to start a cloud anew that is up with another
        storage, or without volumes
    :raises errors.LabError: if something is in the way
    """
    with layout.locked(paths):
        present = running(paths)
        if present is not None:
            if present.has_all_of(topology):
                print(f'The cloud is up already ({present.describe()}).')
                return
            _refuse_other(present, topology, may_switch)
            _refuse_servers(paths)
            print(f'The cloud is started anew with --storage '
                  f'{topology.storage}{" --volumes" * topology.volumes}.',
                  flush=True)
        sandbox.refuse_others(paths.root)
        sandbox.end(paths.root)
        checks.memory(topology.computes, topology.has_ceph,
                      topology.volumes)
        began = time.monotonic()
        with console.Console() as progress:
            steps.run(_installation(paths, topology), progress)
        installed = time.monotonic()
        _start(paths, topology)
        layout.write_json(paths.ready, dataclasses.asdict(topology))
        print(f'The cloud is up: {installed - began:.0f} s to install, '
              f'{time.monotonic() - installed:.0f} s to start '
              f'({topology.describe()}).')


def _refuse_other(present: Topology, asked: Topology,
                  may_switch: bool) -> None:
    """Refuse to change anything but the storage of a cloud that is up."""
    switched = dataclasses.replace(
        present, storage=asked.storage,
        volumes=asked.volumes or present.volumes and asked.has_ceph)
    if may_switch and switched == asked:
        return
    way = ('' if switched == present else
           f', and tools/run-lab.sh up {switched.describe()} changes its '
           f'storage')
    raise errors.LabError(
        f'The cloud that is up has {present.describe()}: tools/run-lab.sh '
        f'down ends it{way}.')


def _refuse_servers(paths: layout.Layout) -> None:
    """Refuse to end a cloud that somebody uses."""
    if not virtualenvs.is_current(paths, 'tempest'):
        raise errors.LabError(
            'The cloud that is up is older than this checkout: '
            'tools/run-lab.sh down ends it.')
    process = sandbox.find(paths.root)
    command = ([] if process is None else
               sandbox.enter(process, CONTROLLER.name,
                             layout.REPOSITORY))
    result = subprocess.run(
        [*command, sys.executable, *inside.servers_command(paths)],
        env=sandbox.environment(), capture_output=True, text=True)
    try:
        names = json.loads(result.stdout)
    except ValueError:
        said = result.stderr.strip().splitlines() or ['it says nothing']
        raise errors.LabError(
            f'The servers of the cloud cannot be listed ({said[-1]}): '
            f'tools/run-lab.sh down ends it with all that it has.') from None
    if names:
        raise errors.LabError(
            f'With another storage the cloud is started anew, and it has '
            f'{len(names)} servers or volumes that would be lost '
            f'({", ".join(names)}): delete them first.')


def _installation(paths: layout.Layout, topology: Topology
                  ) -> list[steps.Step]:
    """Return the steps that install everything that is missing."""
    userland.check(topology)
    found = []
    log = paths.root / 'install' / 'debian.log'
    ceph = topology.has_ceph
    emulator = not qemu.is_current(ceph)
    packages = debian.missing((
        *base.TOOLS, *sorted(base.Lab(paths, topology).packages),
        *image.PACKAGES))
    venv = not virtualenvs.is_current(paths, 'cloud')
    if emulator or packages or venv:
        checks.disk(paths, checks.DISK_TO_INSTALL)
    checks.disk(paths, checks.DISK_TO_RUN)
    if emulator:
        found.append(steps.Step(
            'QEMU', lambda: qemu.install(log, ceph)))
    if packages:
        # One apt-get at a time; and with QEMU there, none draws in another.
        found.append(steps.Step(
            'Debian packages', lambda: debian.install(packages, log),
            tuple(step.name for step in found)))
    # The guest image is made with the QEMU that is there in the end.
    needs = tuple(step.name for step in found)
    if venv:
        # Debian's Python modules are linked into it.
        found.append(steps.Step(
            'virtualenv of the cloud',
            lambda: virtualenvs.make(paths, 'cloud'), needs))
    if ceph:
        found.append(steps.Step(
            'Ceph for Python', lambda: virtualenvs.link_ceph(paths),
            tuple(step.name for step in found)))
    for suite in dict.fromkeys(topology.suites.values()):
        if not (paths.userlands / suite).is_dir():
            found.append(steps.Step(
                f'libvirt and QEMU of Debian {suite}',
                functools.partial(userland.install, paths, suite, log),
                tuple(step.name for step in found)))
    found.append(steps.Step('guest image', lambda: _make_image(paths),
                            needs))
    if topology.kvm:
        found.append(steps.Step('guest under KVM', lambda: qemu.try_kvm(
            paths.image), ('guest image',)))
    return found


def _make_image(paths: layout.Layout) -> None:
    stamp = paths.image.with_suffix('.fingerprint')
    try:
        wanted = image.fingerprint()
        if (paths.image.exists() and stamp.exists()
                and stamp.read_text() == wanted):
            return
        debian.ensure_lists(
            image.KERNEL, paths.root / 'install' / 'debian.log')
        image.build(paths.image, paths.cache / 'image')
    except image.ImageError as error:
        raise errors.LabError(f'The guest image: {error}') from error
    layout.write(stamp, wanted)


def _start(paths: layout.Layout, topology: Topology) -> None:
    """Start a cloud; an earlier one is gone, and its data goes now."""
    layout.empty_folder(paths.cloud, mode=0o711)
    layout.empty_folder(paths.log)
    paths.instances.mkdir()
    lab = base.Lab(paths, topology)
    lab.configure()
    try:
        sandbox.begin(paths, lab.supervisor_conf)
        process = sandbox.find(paths.root)
        if process is None:
            raise errors.LabError('The lab ended as soon as it had begun: '
                                  f'see {paths.log}/supervisord.log.')
        command = [*sandbox.enter(process, CONTROLLER.name,
                                  layout.REPOSITORY),
                   sys.executable, *inside.start_command(paths, topology)]
        with subprocess.Popen(command, env=sandbox.environment()) as child:
            try:
                status = child.wait()
            except BaseException:
                # Ctrl-C reached it too; programs that it began end with the
                # lab.
                child.kill()
                raise
    except BaseException:
        sandbox.end(paths.root)
        raise
    if status:
        sandbox.end(paths.root)
        raise errors.LabError(
            f'The cloud did not come up; the logs of its services are in '
            f'{paths.log}.')
