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

"""Whether guests can run under KVM here; to ask /dev/kvm is not enough.

On machines that are virtual themselves, /dev/kvm may open and make virtual
machines that then cannot run a single instruction of a kernel.
"""

from __future__ import annotations

import pathlib
import subprocess
import threading

from lab import errors

#: What the guest prints on its console when it has booted.
BOOTED = '-----BEGIN SSH HOST KEY KEYS-----'
#: A guest boots in a second or two under KVM.
SECONDS = 20


def try_guest(image: pathlib.Path) -> None:
    """Boot the guest image, and refuse a machine on which that fails.

    :param image: the guest image; it is not changed
    :raises errors.LabError: if it does not, with what QEMU says
    """
    command = ['qemu-system-x86_64', '-accel', 'kvm', '-cpu', 'host',
               '-m', '192',
               '-nographic', '-nodefaults', '-no-reboot', '-snapshot',
               '-serial', 'stdio', '-drive', f'file={image},if=virtio']
    said: list[str] = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors='replace') as guest:
        assert guest.stdout is not None
        limit = threading.Timer(SECONDS, guest.kill)
        limit.start()
        try:
            for line in guest.stdout:
                said.append(line.strip())
                if BOOTED in line:
                    return
        finally:
            limit.cancel()
            guest.kill()
    telling = [line for line in said if 'error' in line.lower()]
    reason = (telling or said or ['it says nothing'])[0]
    raise errors.LabError(
        f'A guest does not boot under KVM on this machine ({reason}): leave '
        f'out --kvm to emulate guests in software.')
