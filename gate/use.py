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

"""Commands that start and use a Zuul; they run in its virtualenv."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import shutil
import subprocess
import time

from gate import demonstration
from gate import follow
from gate import freeze
from gate import machine
from gate import patches
from gate import projects
from gate import rest
from gate.review import changes
from gate import services
from lab import console
from lab import errors
from lab.hosts import sandbox
from lab import layout
from lab.machine import checks
from lab.machine import debian
from lab.machine import virtualenvs
from lab import steps

#: Exit code of ``status`` when no Zuul is up, the same as systemctl's.
NOT_UP = 3
#: Free memory for Zuul, and more for a job with a lab.
MEMORY = 2 * checks.GIB
MEMORY_LAB = 5 * checks.GIB
#: Free disk for the lab that the job makes, and for the repositories.
DISK = 6 * checks.GIB
PICTURE_SIZE = '1400,900'
#: For a page to load its data, in milliseconds of its own clock.
PICTURE_MS = 15000
PICTURE_SECONDS = 120


def dispatch(options: argparse.Namespace, paths: machine.Layout) -> int:
    """Run the command that the command line names.

    :param options: result of :func:`gate.cli.parse`
    :param paths: paths of the Zuul
    :returns: exit code
    """
    match options.command:
        case None:
            return run_everything(paths, options)
        case 'up':
            with layout.locked(paths):
                if sandbox.find(paths.root, paths.mark):
                    print('Zuul is up already.')
                    return 0
                start(paths, options, tied=False)
            return 0
        case 'status':
            return show_status(paths)
        case 'change':
            machine.enter_network(machine.find(paths))
            return submit(paths, options)
        case 'freeze':
            return freeze.run(options, paths)
        case 'approve':
            machine.enter_network(machine.find(paths))
            made = projects.Projects(paths)
            return approve(follow.Follower(paths, made.review), made.review,
                           made.review.get(options.number))
        case _:
            machine.enter_network(machine.find(paths))
            print(take_picture(paths, options.page))
            return 0


def run_everything(paths: machine.Layout,
                   options: argparse.Namespace) -> int:
    """Start Zuul, run the demonstration, and end Zuul in any case.

    :param paths: paths of the Zuul
    :param options: of the command line
    :returns: exit code
    """
    with layout.locked(paths):
        if sandbox.find(paths.root, paths.mark):
            raise errors.LabError(f'A Zuul is up in {paths.root} already: '
                                  f'tools/run-zuul.sh down ends it.')
        try:
            options.tests = options.tests or demonstration.TESTS
            start(paths, options, tied=True)
            shown = demonstration.run(paths)
            if shutil.which('chromium'):
                for page in ('status', 'builds'):
                    print(f'Picture: {take_picture(paths, page)}')
        finally:
            sandbox.end(paths.root, paths.mark)
    print(f'Zuul has ended. Logs of its builds: {paths.builds}; its own: '
          f'{paths.log}.')
    return 0 if shown else 1


def start(paths: machine.Layout, options: argparse.Namespace,
          tied: bool) -> None:
    """Install all that is missing and start a new Zuul.

    :param paths: paths of the Zuul
    :param options: of the command line
    :param tied: whether it ends when this process does
    :raises errors.LabError: if something is in the way
    """
    nova = _nova(options.nova)
    with_lab = options.job == patches.JOB
    checks.memory_for(f'Zuul\'s services{" and a lab" * with_lab}',
                      MEMORY + with_lab * MEMORY_LAB)
    began = time.monotonic()
    with console.Console() as progress:
        steps.run(_installation(paths), progress)
    installed = time.monotonic()
    # An earlier command may have been killed.
    sandbox.end(paths.root, paths.mark)
    layout.empty_folder(paths.cloud, mode=0o711)
    for folder in (paths.log, paths.builds):
        layout.empty_folder(folder)
    files = services.Services(paths)
    files.configure()
    made = projects.Projects(paths)
    made.review.create()
    try:
        with console.Console() as progress:
            steps.run([
                steps.Step('configuration of Zuul', lambda: made.create_config(
                    files, {'job': options.job, 'tests': options.tests})),
                steps.Step(patches.PLUGIN, made.create_plugin),
                steps.Step(f'{patches.NOVA}: {nova or "from PyPI"}',
                           lambda: made.create_nova(nova))], progress)
            machine.begin(paths, files.supervisor_conf, tied)
            steps.run(files.steps(), progress, wait_on_failure=False)
        _refuse_errors(paths, options.job)
    except BaseException:
        sandbox.end(paths.root, paths.mark)
        raise
    print(f'Zuul is up, without an error in its configuration: '
          f'{installed - began:.0f} s to install, '
          f'{time.monotonic() - installed:.0f} s to start, '
          f'{memory_mib(paths):.0f} MiB of memory.')


def _nova(path: str) -> str:
    """Return the absolute path of a checkout of nova, or an empty text."""
    if not path:
        return ''
    folder = pathlib.Path(path).resolve()
    if not folder.is_dir():
        raise errors.LabError(f'--nova {path}: there is no such folder.')
    if patches.project_of(folder) != patches.NOVA:
        raise errors.LabError(f'--nova {path}: this is no checkout of nova.')
    return str(folder)


def _installation(paths: machine.Layout) -> list[steps.Step]:
    """Return the steps that install everything that is missing."""
    found = []
    packages = debian.missing(services.PACKAGES)
    if packages:
        checks.disk(paths, DISK)
        found.append(steps.Step('Debian packages', lambda: debian.install(
            packages, paths.root / 'install' / 'debian.log')))
    checks.disk(paths, checks.DISK_TO_RUN)
    found.append(steps.Step('Java', services.check_java, tuple(
        step.name for step in found)))
    if not virtualenvs.is_current(paths, 'ansible'):
        found.append(steps.Step('virtualenv of Ansible',
                                lambda: virtualenvs.make(paths, 'ansible')))
    return found


def _refuse_errors(paths: machine.Layout, job: str) -> None:
    """Refuse a configuration with errors, and name the first one."""
    if job not in {each['name'] for each in rest.get('jobs')}:
        raise errors.LabError(f'Zuul knows no job {job!r}: name one of '
                              f'zuul.d that needs one node, or show-changes.')
    rest.refuse_errors('the configuration', rest.configuration_errors(),
                       paths.log)


def memory_mib(paths: machine.Layout) -> float:
    """Return the memory of all processes of a Zuul, in MiB.

    Pages that processes share are divided among them.

    :param paths: paths of the Zuul
    """
    total = 0
    for process in sandbox.processes(mark=paths.mark):
        if process.root == paths.root:
            # It may end meanwhile.
            with contextlib.suppress(OSError):
                text = pathlib.Path(
                    f'/proc/{process.pid}/smaps_rollup').read_text()
                total += sum(int(line.split()[1]) for line
                             in text.splitlines() if line.startswith('Pss:'))
    return total / 1024


def show_status(paths: machine.Layout) -> int:
    """Print services, changes under way, and builds.

    :param paths: paths of the Zuul
    :returns: exit code
    """
    process = sandbox.find(paths.root, paths.mark)
    if process is None:
        print(f'No Zuul is up in {paths.root}.')
        return NOT_UP
    machine.enter_network(process)
    states = services.Services(paths).supervisor.states()
    follow.print_table(('Service', 'State', 'Log'), [
        (state.name, f'{state.state}, {state.description}', state.log)
        for state in states])
    for pipeline, change, job, state_name in rest.progress():
        print(f'{pipeline}: change {change}: {job}: {state_name}')
    show_builds()
    return 0 if all(state.up for state in states) else 1


def show_builds() -> None:
    """Print all builds that have ended."""
    follow.print_table(
        ('Pipeline', 'Change', 'Project', 'Job', 'Result', 'Time'), [
            (build['pipeline'], str(build['ref']['change']),
             build['ref']['project'], build['job_name'], build['result'],
             '' if build['duration'] is None else f'{build["duration"]:.0f} s')
            for build in rest.builds()])


def submit(paths: machine.Layout, options: argparse.Namespace) -> int:
    """Give Zuul a change and follow it.

    :param paths: paths of the Zuul, whose network this process is in
    :param options: of the command line
    :returns: exit code
    """
    made = projects.Projects(paths)
    if options.bug:
        project, patch = patches.NOVA, patches.bug(options.bug)
    else:
        path = pathlib.Path(options.path).resolve()
        project = patches.project_of(path)
        patch = patches.patch_of(path, options.revision)
    needs = (None if options.depends_on is None
             else made.review.get(options.depends_on))
    change = made.upload(project, patch, needs)
    followed = follow.Follower(paths, made.review)
    if not followed.until_checked(change):
        return 1
    return approve(followed, made.review, change) if options.approve else 0


def approve(followed: follow.Follower, review: changes.Review,
            change: changes.Change) -> int:
    """Approve a change and follow it through the gate.

    :param followed: follows it
    :param review: the review server
    :param change: the change
    :returns: exit code
    """
    if change['status'] == 'MERGED':
        raise errors.LabError(f'Change {change["number"]} is merged already.')
    follow.say(f'Change {change["number"]} is approved. Zuul waits for the '
               f'changes that it depends on.')
    review.vote(change['number'], {'Workflow': '1'}, '', changes.AUTHOR)
    return 0 if followed.until_merged(change) else 1


def take_picture(paths: machine.Layout, page: str) -> pathlib.Path:
    """Take a picture of one of Zuul's pages.

    :param paths: paths of the Zuul, whose network this process is in
    :param page: such as ``status`` or ``build/ID``
    :returns: the picture
    :raises errors.LabError: there is no Chromium, or it fails
    """
    chromium = shutil.which('chromium')
    if chromium is None:
        raise errors.LabError('A picture needs Chromium: apt-get install '
                              'chromium.')
    paths.pictures.mkdir(exist_ok=True)
    target = paths.pictures / f'{page.replace("/", "-")}.png'
    target.unlink(missing_ok=True)
    home = layout.empty_folder(paths.services / 'chromium')
    result = subprocess.run(
        ['setpriv', '--pdeathsig', 'KILL', chromium, '--headless=new',
         '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
         '--no-proxy-server', f'--user-data-dir={home}',
         f'--window-size={PICTURE_SIZE}',
         f'--virtual-time-budget={PICTURE_MS}', f'--screenshot={target}',
         f'{rest.WEB}/t/{rest.TENANT}/{page}'],
        capture_output=True, text=True, timeout=PICTURE_SECONDS,
        env=sandbox.environment(HOME=str(home), TMPDIR=str(home)))
    if not target.exists():
        said = result.stderr.strip().splitlines() or ['it says nothing']
        raise errors.LabError(f'Chromium took no picture: {said[-1]}.')
    return target
