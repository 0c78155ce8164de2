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

"""Begin, find, enter and end a lab's outermost namespaces; delete a lab.

:func:`down` and :func:`destroy` work whatever an earlier command left
unfinished, even a virtualenv.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import typing

from lab import errors
from lab import layout
from lab import topology

MARK = layout.Layout.mark
START_SECONDS = 20
END_SECONDS = 20
POLL_SECONDS = 0.05
SYSTEM_PATH = ':'.join(('/usr/local/sbin', '/usr/local/bin', '/usr/sbin',
                        '/usr/bin', '/sbin', '/bin'))
#: Variables of the user that would mislead programs inside a lab.
OUTSIDE_VARIABLES = ('pythonpath', 'http_proxy', 'https_proxy', 'ftp_proxy',
                     'all_proxy', 'no_proxy', 'ceph_args', 'ceph_conf',
                     'ceph_keyring', 'libvirt_default_uri',
                     'virsh_default_connect_uri')


@dataclasses.dataclass(frozen=True)
class Process:
    """A process inside a lab.

    :ivar pid: its number outside the lab
    :ivar root: state folder of the lab that it belongs to
    :ivar first: whether it is the first process of the lab, on which all
        others depend
    """

    pid: int
    root: pathlib.Path
    first: bool


def processes(proc: pathlib.Path = pathlib.Path('/proc'),
              mark: str = MARK) -> typing.Iterator[Process]:
    """Return all processes of all labs on this machine.

    :param proc: where procfs is mounted
    :param mark: see :class:`lab.layout.Layout`
    :returns: one for each process with a lab's mark among its mounts
    """
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            mounts = os.fsdecode((folder / 'mountinfo').read_bytes())
            status = os.fsdecode((folder / 'status').read_bytes())
        except OSError:
            # It ended meanwhile.
            continue
        found = re.search(rf' - tmpfs {mark}(\S+) ', mounts)
        if found:
            # A process has one number in each PID namespace that it is in.
            numbers = re.search(r'^NSpid:\s+(.*)$', status, re.MULTILINE)
            # mountinfo has blanks, tabs and backslashes as octal numbers.
            root = re.sub(
                rb'\\([0-7]{3})', lambda match: bytes([int(match[1], 8)]),
                os.fsencode(found[1]))
            yield Process(
                int(folder.name), pathlib.Path(os.fsdecode(root)),
                numbers is not None and numbers.group(1).split()[1:] == ['1'])


def find(root: pathlib.Path, mark: str = MARK) -> Process | None:
    """Return the first process of a lab, or None if that lab is not up.

    :param root: the lab's state folder
    :param mark: see :class:`lab.layout.Layout`
    """
    return next((process for process in processes(mark=mark)
                 if process.root == root and process.first), None)


def refuse_others(root: pathlib.Path) -> None:
    """Refuse to begin while a lab of another checkout is up.

    :param root: state folder of the lab that would begin
    :raises errors.LabError: naming the other one's folder
    """
    for process in processes():
        if process.first and process.root != root:
            raise errors.LabError(
                f'Another lab is up on this machine, in {process.root}: end '
                f'it first (LM_LAB_DIR={process.root} tools/run-lab.sh '
                f'down).')


def begin(paths: layout.Layout, supervisor_conf: pathlib.Path,
          module: str = 'lab.hosts.namespaces',
          options: typing.Sequence[str] = ('--net',),
          prefix: typing.Sequence[str] = ()) -> None:
    """Make the namespaces and start the supervisor as their first process.

    :param paths: paths of the lab
    :param supervisor_conf: configuration of the supervisor
    :param module: becomes the supervisor: see its ``become_controller``
    :param options: further options of unshare(1)
    :param prefix: words to put before the command
    :raises errors.LabError: if it does not come up
    """
    log = paths.log / 'supervisord.log'
    with open(log, 'a', encoding='utf-8') as stream:
        child = subprocess.Popen(
            [*prefix, 'unshare', '--pid', '--fork', '--mount-proc',
             '--mount', '--uts', '--ipc', '--propagation', 'private',
             *options, sys.executable, '-m', module, 'controller',
             str(paths.root), str(supervisor_conf)],
            cwd=layout.REPOSITORY, env={'PATH': SYSTEM_PATH},
            stdin=subprocess.DEVNULL, stdout=stream,
            stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        process = find(paths.root, paths.mark)
        if process and inside(process, layout.SUPERVISOR_SOCKET).exists():
            return
        time.sleep(POLL_SECONDS)
    raise errors.LabError(
        f'The supervisor did not come up within {START_SECONDS} s: '
        f'see {log}.')


def inside(process: Process, path: pathlib.Path) -> pathlib.Path:
    """Translate a path inside the lab into one outside it.

    :param process: the lab's first process
    :param path: absolute path as the controller sees it
    """
    return pathlib.Path(f'/proc/{process.pid}/root') / path.relative_to('/')


def enter(process: Process, host: str,
          folder: pathlib.Path) -> list[str]:
    """Return the command prefix that enters a host from outside the lab.

    :param process: the lab's first process
    :param host: name of the host
    :param folder: working directory of the command
    :returns: words to put before the command
    """
    into = ['nsenter', f'--target={process.pid}', '--pid', '--mount',
            '--net', '--uts', '--ipc', '--']
    return [*into, *enter_compute(host), 'env', f'--chdir={folder}']


def environment(**values: str) -> dict[str, str]:
    """Return the user's environment without misleading variables.

    :param values: variables to set in it
    """
    return {name: value for name, value in os.environ.items()
            if name.lower() not in OUTSIDE_VARIABLES} | values


def enter_compute(host: str) -> list[str]:
    """Like :func:`enter`, for a command that is inside the lab already.

    :param host: name of the host; the controller needs no prefix
    """
    if host == topology.CONTROLLER.name:
        return []
    return ['nsenter', f'--net={layout.namespace(host, "net")}',
            f'--mount={layout.namespace(host, "mnt")}',
            f'--uts={layout.namespace(host, "uts")}', '--']


def end(root: pathlib.Path, mark: str = MARK) -> bool:
    """End all processes of a lab, and with them all its namespaces.

    :param root: the lab's state folder
    :param mark: see :class:`lab.layout.Layout`
    :returns: whether there was a process to end
    :raises errors.LabError: if a process does not end
    """
    found = [process for process in processes(mark=mark)
             if process.root == root]
    deadline = time.monotonic() + END_SECONDS
    left = found
    while left:
        if time.monotonic() > deadline:
            numbers = ', '.join(str(process.pid) for process in left)
            raise errors.LabError(
                f'Processes {numbers} of the lab in {root} did not end '
                f'within {END_SECONDS} s.')
        for process in sorted(left, key=lambda each: not each.first):
            # The kernel ends most of them together with the first one.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
        left = [process for process in processes(mark=mark)
                if process.root == root]
    return bool(found)


def down(paths: layout.Layout) -> bool:
    """End the cloud.

    :param paths: paths of the lab
    :returns: whether there was one
    """
    with _locked(paths):
        paths.ready.unlink(missing_ok=True)
        return end(paths.root, paths.mark)


def destroy(paths: layout.Layout) -> bool:
    """End the cloud and delete the lab's files.

    :param paths: paths of the lab
    :returns: whether there was a cloud or a state folder
    """
    with _locked(paths):
        ended = end(paths.root, paths.mark)
        if not paths.root.exists():
            return ended
        for entry in paths.root.iterdir():
            # The lock goes last: until then no other command may begin.
            if (not layout.is_own(entry.name, paths.entries)
                    or entry == paths.lock):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        paths.lock.unlink()
        with contextlib.suppress(OSError):
            os.rmdir(paths.root)
    return True


def _locked(paths: layout.Layout) -> contextlib.AbstractContextManager[None]:
    # layout.locked() would create the state folder.
    return (layout.locked(paths) if paths.root.exists()
            else contextlib.nullcontext())
