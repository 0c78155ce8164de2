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
import pathlib
import subprocess
import sys
import time
import typing

from lab import console
from lab import errors
from lab.hosts import sandbox
from lab import image
from lab import inside
from lab import layout
from lab.machine import checks
from lab.machine import debian
from lab.machine import overlays
from lab.machine import qemu
from lab.machine import sources
from lab.machine import userland
from lab.machine import virtualenvs
from lab import reload
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
       may_switch: bool = False, reloads: bool = False) -> None:
    """Install all that is missing and start a cloud; idempotent.

    The remains of an earlier command that was cut short are cleared first.

    :param paths: paths of the lab
    :param topology: the hosts
    :param may_switch: whether to start a cloud anew that is up with another
        storage, or without volumes or Heat
    :param reloads: whether to restart the services of named projects in a
        cloud that is up, even if it has servers
    :raises errors.LabError: if something is in the way
    """
    with layout.locked(paths):
        present = running(paths)
        if present is not None:
            anew = _change(paths, present, topology, may_switch, reloads)
            if anew is None:
                return
            topology = anew
        elif reloads:
            raise errors.LabError(
                f'No cloud is up in {paths.root}, so there is nothing to '
                f'reload: leave --reload out.')
        chosen = _sources(paths, topology)
        sandbox.refuse_others(paths.root)
        sandbox.end(paths.root)
        checks.memory(topology.computes, topology.has_ceph,
                      topology.volumes, topology.heat)
        began = time.monotonic()
        with console.Console() as progress:
            steps.run(_installation(paths, topology), progress)
        code = _install_sources(paths, chosen)
        installed = time.monotonic()
        _start(paths, topology, code)
        layout.write_json(paths.ready, dataclasses.asdict(topology))
        print(f'The cloud is up: {installed - began:.0f} s to install, '
              f'{time.monotonic() - installed:.0f} s to start '
              f'({topology.describe()}).')


def _change(paths: layout.Layout, present: Topology, asked: Topology,
            may_switch: bool, reloads: bool) -> Topology | None:
    """Change a cloud that is up as requested, if it need not end for that.

    :param paths: paths of the lab
    :param present: its hosts
    :param asked: the requested hosts
    :param may_switch: see :func:`up`
    :param reloads: see :func:`up`
    :returns: the hosts to start anew; None if the cloud is as requested now
    :raises errors.LabError: if something is in the way
    """
    # It keeps its code unless the user names other code. A nova that is named
    # for all hosts replaces those of single hosts.
    code = dataclasses.replace(
        present, sources=(*asked.sources, *present.sources),
        nova_on=asked.nova_on if asked.source_of(sources.NOVA)
        else (*asked.nova_on, *present.nova_on))
    if present.has_all_of(dataclasses.replace(
            asked, sources=present.sources, nova_on=present.nova_on)):
        if not (asked.sources or asked.nova_on or reloads):
            print(f'The cloud is up already ({present.describe()}).')
            return None
        if _has_switched(paths, code, _sources(paths, code), reloads):
            return None
        print('The cloud is started anew, because the new code cannot '
              'replace the code that runs.', flush=True)
        return code
    topology = dataclasses.replace(asked, sources=code.sources,
                                   nova_on=code.nova_on)
    _refuse_other(present, topology, may_switch)
    _refuse_servers(paths, 'With other services all would start anew',
                    'delete them first')
    print(f'The cloud is started anew with --storage {topology.storage}'
          f'{" --volumes" * topology.volumes}{" --heat" * topology.heat}.',
          flush=True)
    return topology


def _refuse_other(present: Topology, asked: Topology,
                  may_switch: bool) -> None:
    """Refuse to change anything but the services of a cloud that is up."""
    switched = dataclasses.replace(
        present, storage=asked.storage, sources=asked.sources,
        nova_on=asked.nova_on, heat=asked.heat or present.heat,
        volumes=asked.volumes or present.volumes and asked.has_ceph)
    if may_switch and switched == asked:
        return
    way = ('' if switched == present else
           f', and tools/run-lab.sh up {switched.describe()} changes its '
           f'services')
    raise errors.LabError(
        f'The cloud that is up has {present.describe()}: tools/run-lab.sh '
        f'down ends it{way}.')


def _sources(paths: layout.Layout, topology: Topology
             ) -> dict[tuple[str, str], tuple[sources.Source, ...]]:
    """Return the sources of each project on each host, with its libraries.

    :raises errors.LabError: if one is none, or is that of an unknown host
    """
    names = [host.name for host in topology.hosts]
    for entry in topology.nova_on:
        host = entry.partition('=')[0]
        if host not in names:
            raise errors.LabError(
                f'--nova-on {entry}: the lab has no host {host!r}, only '
                f'{", ".join(names)}.')
    named = [sources.Source.parse(text, project) for project, _, text in (
        entry.partition('=') for entry in topology.sources)]
    libraries = [each for each in named
                 if each.project not in sources.SERVICES]
    found = {}
    for project, hosts in base.Lab(paths, topology).projects.items():
        for host in hosts:
            text = topology.source_of(project, host)
            own = [sources.Source.parse(text, project)] if text else []
            found[project, host] = (*own, *libraries)
    return found


def _install_sources(
        paths: layout.Layout,
        chosen: typing.Mapping[tuple[str, str], tuple[sources.Source, ...]]
        ) -> dict[tuple[str, str], pathlib.Path]:
    """Install the code of each project and host; return its virtualenv."""
    found: dict[tuple[sources.Source, ...], pathlib.Path] = {
        (): paths.venvs / virtualenvs.CLOUD}

    def install(group: tuple[sources.Source, ...]) -> None:
        found[group] = overlays.install(paths, *group)

    # One after the other: pip keeps a core busy.
    for group in dict.fromkeys(filter(None, chosen.values())):
        name = ', '.join(f'{each.project} {each.text}' for each in group)
        with console.Console() as progress:
            steps.run([steps.Step(name, functools.partial(install, group))],
                      progress)
    return {place: found[group] for place, group in chosen.items()}


def _has_switched(
        paths: layout.Layout, topology: Topology,
        chosen: typing.Mapping[tuple[str, str], tuple[sources.Source, ...]],
        reloads: bool) -> bool:
    """Change the code of a cloud that is up, if that is possible.

    :param paths: paths of the lab
    :param topology: the hosts, with the new sources
    :param chosen: the new sources of each project and host
    :param reloads: whether to restart it in any case, even with servers
    :returns: whether the cloud has it now; if not, start the cloud anew
    :raises errors.LabError: if the cloud has servers in the way, or a service
        does not come up
    """
    present = {(project, host): venv
               for project in base.Lab(paths, topology).projects
               for host, venv in reload.current(
                   paths, topology, project).items()}
    if set(present) != set(chosen):
        raise errors.LabError(
            'The cloud that is up is older than this checkout: '
            'tools/run-lab.sh down ends it.')
    wanted = _install_sources(paths, chosen)
    changed = {place: venv for place, venv in wanted.items()
               if venv != present[place]}
    if not (changed or reloads):
        print(f'The cloud is up already ({topology.describe()}).')
        return True
    # Without a difference, --reload restarts all that has other code.
    changed = (
        changed
        or {place: venv for place, venv in wanted.items() if chosen[place]}
        or {place: venv for place, venv in wanted.items()
            if place[0] == sources.NOVA})
    for project in dict.fromkeys(project for project, _ in changed):
        before, after = ({host: venv for (name, host), venv in each.items()
                          if name == project} for each in (present, wanted))
        if reload.is_downgrade(before, after, project):
            _refuse_servers(
                paths, f'This {project} cannot replace the one that runs, so '
                f'all would start anew', 'delete them first')
            return False
    if not reloads:
        _refuse_servers(paths, 'Services would restart',
                        'delete them first, or add --reload')
    # Before, so that another --reload takes the same one if this one fails.
    layout.write_json(paths.ready, dataclasses.asdict(topology))
    began = time.monotonic()
    if _run_inside(paths, reload.command(paths, topology, changed)):
        raise errors.LabError(
            'The new code does not come up: mend it and use '
            'tools/run-lab.sh up --reload, or name another one with --from.')
    hosts = dict.fromkeys(host for _, host in changed)
    print(f'Services have restarted on {", ".join(hosts)} within '
          f'{time.monotonic() - began:.0f} s ({topology.describe()}).')
    return True


def _refuse_servers(paths: layout.Layout, reason: str, remedy: str) -> None:
    """Refuse to change a cloud that somebody uses."""
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
            f'{reason}, but the cloud has {len(names)} servers or volumes '
            f'({", ".join(names)}): {remedy}.')


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
    venvs = [name for name in base.Lab(paths, topology).virtualenvs
             if not virtualenvs.is_current(paths, name)]
    if emulator or packages or venvs:
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
    for name in venvs:
        # Debian's Python modules are linked into the cloud's, which comes
        # first, because others see its packages.
        found.append(steps.Step(
            f'virtualenv {name}',
            functools.partial(virtualenvs.make, paths, name),
            tuple(step.name for step in found)))
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


def _run_inside(paths: layout.Layout, arguments: list[str]) -> int:
    """Run Python on the controller of a cloud, and return its exit code.

    :param paths: paths of the lab
    :param arguments: arguments of the interpreter
    :raises errors.LabError: if the cloud is gone
    """
    process = sandbox.find(paths.root)
    if process is None:
        raise errors.LabError('The lab ended as soon as it had begun: '
                              f'see {paths.log}/supervisord.log.')
    command = [*sandbox.enter(process, CONTROLLER.name, layout.REPOSITORY),
               sys.executable, *arguments]
    with subprocess.Popen(command, env=sandbox.environment()) as child:
        try:
            return child.wait()
        except BaseException:
            # Ctrl-C reached it too; programs that it began end with the lab.
            child.kill()
            raise


def _start(paths: layout.Layout, topology: Topology,
           code: typing.Mapping[tuple[str, str], pathlib.Path]) -> None:
    """Start a cloud; an earlier one is gone, and its data goes now."""
    layout.empty_folder(paths.cloud, mode=0o711)
    layout.empty_folder(paths.log)
    paths.instances.mkdir()
    for (project, host), virtualenv in code.items():
        layout.link(paths.code / project / host, virtualenv)
    lab = base.Lab(paths, topology)
    lab.configure()
    try:
        sandbox.begin(paths, lab.supervisor_conf)
        status = _run_inside(paths, inside.start_command(paths, topology))
    except BaseException:
        sandbox.end(paths.root)
        raise
    if status:
        sandbox.end(paths.root)
        raise errors.LabError(
            f'The cloud did not come up; the logs of its services are in '
            f'{paths.log}.')
