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

"""Installs the Debian packages that the lab is made of."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing

from lab import errors
from lab.machine import commands

#: What one finds here and not on PyPI. The guest image names its own.
PACKAGES = (
    # control plane
    'mariadb-server-core', 'mariadb-client', 'rabbitmq-server', 'memcached',
    'ovn-central',
    # compute hosts
    'openvswitch-switch', 'ovn-host', 'haproxy', 'iptables',
    'libvirt-daemon', 'libvirt-daemon-driver-qemu', 'libvirt-clients',
    'python3-libvirt', 'qemu-system-x86', 'qemu-utils',
    # tools that services call, and that people use inside the hosts
    'dosfstools', 'ethtool', 'iproute2', 'iputils-ping', 'kmod',
    'nftables', 'procps',
)

#: A virtualenv of Debian's own Python.
PYTHON = ('python3-venv',)

#: Maintainer scripts start services through these two. They are covered
#: while apt runs, in a mount namespace that ends with it, so that no service
#: of the machine is started and no policy file can be left behind.
SERVICE_STARTERS = ('/usr/sbin/invoke-rc.d', '/usr/bin/deb-systemd-invoke')


def missing(packages: typing.Iterable[str]) -> list[str]:
    """Which of the packages are not installed.

    :param packages: names of Debian packages
    :returns: those of them that dpkg does not list as installed
    """
    wanted = list(packages)
    result = subprocess.run(
        ['dpkg-query', '--show', '--showformat',
         '${binary:Package} ${db:Status-Status}\n', *wanted],
        capture_output=True, text=True)
    installed = {line.split()[0].partition(':')[0]
                 for line in result.stdout.splitlines()
                 if line.endswith(' installed')}
    return [package for package in wanted if package not in installed]


def install(packages: typing.Iterable[str], log: pathlib.Path) -> None:
    """Install what is missing, without starting any service.

    :param packages: names of Debian packages
    :param log: file for apt's output
    :raises errors.LabError: if one cannot be installed, naming it
    """
    wanted = missing(packages)
    if not wanted:
        return
    try:
        _apt_get(['install', '--no-install-recommends', *wanted], log)
    except errors.LabError:
        # The package lists may be missing or older than the mirror.
        _apt_get(['update'], log)
        _apt_get(['install', '--no-install-recommends', *wanted], log)
    absent = missing(wanted)
    if absent:
        raise errors.LabError(
            f'apt-get ended well but {absent[0]} is not installed: see {log}.')


def know(package: str, log: pathlib.Path) -> None:
    """Get the package lists where they do not name a package.

    :param package: name of a Debian package
    :param log: file for apt's output
    :raises errors.LabError: if the lists cannot be had
    """
    shown = subprocess.run(['apt-cache', 'show', package],
                           capture_output=True)
    if shown.returncode:
        _apt_get(['update'], log)


def _apt_get(arguments: list[str], log: pathlib.Path) -> None:
    covered = ''.join(f'mount --bind /bin/true {path}; '
                      for path in SERVICE_STARTERS if os.path.exists(path))
    commands.run(
        ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec',
         covered + 'exec "$@"', 'apt-get', 'apt-get', '--yes', '--quiet',
         '-o', 'DPkg::Lock::Timeout=300', *arguments],
        log, f'apt-get {arguments[0]}', DEBIAN_FRONTEND='noninteractive')
