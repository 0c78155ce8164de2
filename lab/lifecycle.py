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

"""Brings a cloud up."""

import dataclasses
import json
import subprocess
import sys
import time

from lab.cloud import configuration
from lab.cloud import servers
from lab.cloud import start
from lab import console as consoles
from lab import errors
from lab import files
from lab.hosts import sandbox
from lab import image
from lab import layout as layouts
from lab import lock
from lab.machine import checks
from lab.machine import debian
from lab.machine import qemu
from lab.machine import virtualenvs
from lab import steps
from lab import topology as topologies


def running(layout: layouts.Layout) -> topologies.Topology | None:
    """The hosts of the cloud that is usable now.

    :param layout: paths of the lab
    :returns: None if there is none, or one that never came up whole
    """
    return None if sandbox.find(layout.root) is None else recorded(layout)


def recorded(layout: layouts.Layout) -> topologies.Topology | None:
    """The hosts of the cloud that came up last; also asked from inside.

    :param layout: paths of the lab
    :returns: None if it never came up whole, or was ended as it should be
    """
    if not layout.ready.exists():
        return None
    try:
        return topologies.Topology(**json.loads(layout.ready.read_text()))
    except (TypeError, ValueError):
        # Damaged, or of a lab of another version: not one to work with.
        return None


def up(layout: layouts.Layout, topology: topologies.Topology,
       may_switch: bool = False) -> None:
    """Install what is missing and start a cloud; harmless if one is up.

    What an earlier command left half done is cleared first.

    :param layout: paths of the lab
    :param topology: the hosts
    :param may_switch: whether to start a cloud anew that is up with another
        storage, or without volumes
    :raises errors.LabError: saying in one sentence what is in the way
    """
    with lock.held(layout):
        present = running(layout)
        if present is not None:
            if present.has_all_of(topology):
                print(f'The cloud is up already ({present.describe()}).')
                return
            _refuse_other(present, topology, may_switch)
            _refuse_servers(layout)
            print(f'The cloud is started anew with --storage '
                  f'{topology.storage}{" --volumes" * topology.volumes}.',
                  flush=True)
        sandbox.refuse_others(layout.root)
        sandbox.end(layout.root)
        checks.memory(topology.computes, topology.has_ceph,
                      topology.volumes)
        began = time.monotonic()
        with consoles.Console() as console:
            steps.run(_installation(layout, topology), console)
        installed = time.monotonic()
        _start(layout, topology)
        files.write_json(layout.ready, dataclasses.asdict(topology))
        print(f'The cloud is up: {installed - began:.0f} s to install, '
              f'{time.monotonic() - installed:.0f} s to start '
              f'({topology.describe()}).')


def _refuse_other(present: topologies.Topology, asked: topologies.Topology,
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


def _refuse_servers(layout: layouts.Layout) -> None:
    """Refuse to end a cloud that somebody uses."""
    if not virtualenvs.is_current(layout, 'tempest'):
        raise errors.LabError(
            'The cloud that is up is older than this checkout: '
            'tools/run-lab.sh down ends it.')
    process = sandbox.find(layout.root)
    command = ([] if process is None else
               sandbox.enter(process, topologies.CONTROLLER.name,
                             layouts.REPOSITORY))
    result = subprocess.run(
        [*command, sys.executable, *servers.arguments(layout)],
        env=sandbox.environment(), capture_output=True, text=True)
    try:
        names = json.loads(result.stdout)
    except ValueError:
        said = result.stderr.strip().splitlines() or ['it says nothing']
        raise errors.LabError(
            f'What the cloud has cannot be seen ({said[-1]}): '
            f'tools/run-lab.sh down ends it with all that it has.') from None
    if names:
        raise errors.LabError(
            f'With another storage the cloud is started anew, and it has '
            f'{len(names)} servers or volumes that would be lost '
            f'({", ".join(names)}): delete them first.')


def _installation(layout: layouts.Layout, topology: topologies.Topology
                  ) -> list[steps.Step]:
    """What is missing on the machine."""
    found = []
    log = layout.root / 'install' / 'debian.log'
    ceph = topology.has_ceph
    emulator = not qemu.is_current(ceph)
    packages = debian.missing((
        *debian.PACKAGES, *image.PACKAGES,
        *(debian.CEPH_PACKAGES if ceph else ())))
    venv = not virtualenvs.is_current(layout, 'cloud')
    if emulator or packages or venv:
        checks.disk(layout, checks.DISK_TO_INSTALL)
    checks.disk(layout, checks.DISK_TO_RUN)
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
            lambda: virtualenvs.make(layout, 'cloud'), needs))
    if ceph:
        found.append(steps.Step(
            'Ceph for Python', lambda: virtualenvs.link_ceph(layout),
            tuple(step.name for step in found)))
    found.append(steps.Step('guest image', lambda: _make_image(layout),
                            needs))
    if topology.kvm:
        found.append(steps.Step('guest under KVM', lambda: qemu.try_kvm(
            layout.image), ('guest image',)))
    return found


def _make_image(layout: layouts.Layout) -> None:
    stamp = layout.image.with_suffix('.fingerprint')
    try:
        wanted = image.fingerprint()
        if (layout.image.exists() and stamp.exists()
                and stamp.read_text() == wanted):
            return
        debian.ensure_lists(
            image.KERNEL, layout.root / 'install' / 'debian.log')
        image.build(layout.image, layout.cache / 'image')
    except image.ImageError as error:
        raise errors.LabError(f'The guest image: {error}') from error
    files.write(stamp, wanted)


def _start(layout: layouts.Layout, topology: topologies.Topology) -> None:
    """Start a cloud where nothing is left of an earlier one."""
    files.empty_folder(layout.cloud, mode=0o711)
    files.empty_folder(layout.log)
    layout.instances.mkdir()
    writer = configuration.Writer(layout, topology)
    writer.write_all()
    try:
        sandbox.begin(layout, writer.supervisor_conf)
        process = sandbox.find(layout.root)
        if process is None:
            raise errors.LabError('The lab ended as soon as it had begun: '
                                  f'see {layout.log}/supervisord.log.')
        command = [*sandbox.enter(process, topologies.CONTROLLER.name,
                                  layouts.REPOSITORY),
                   sys.executable, *start.arguments(layout, topology)]
        status = _call(command)
    except BaseException:
        sandbox.end(layout.root)
        raise
    if status:
        sandbox.end(layout.root)
        raise errors.LabError(
            f'The cloud did not come up; the logs of its services are in '
            f'{layout.log}.')


def _call(command: list[str]) -> int:
    """Run a command and end it with us."""
    with subprocess.Popen(command, env=sandbox.environment()) as child:
        try:
            return child.wait()
        except BaseException:
            # Ctrl-C reached it too; what it began ends with the lab.
            child.kill()
            raise
