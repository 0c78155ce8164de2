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

#: What one finds here and not on PyPI. The guest image names its own, and
#: QEMU has a module of its own.
PACKAGES = (
    # control plane
    'mariadb-server-core', 'mariadb-client', 'rabbitmq-server', 'memcached',
    'ovn-central',
    # compute hosts
    'openvswitch-switch', 'ovn-host', 'haproxy', 'iptables',
    'libvirt-daemon', 'libvirt-daemon-driver-qemu', 'libvirt-clients',
    'python3-libvirt', 'openssh-server',
    # tools that services call, and that people use inside the hosts
    'dosfstools', 'ethtool', 'iproute2', 'iputils-ping', 'kmod',
    'nftables', 'openssh-client', 'procps',
)

#: What is added for storage in Ceph. Its daemons and clients are of one
#: release; QEMU's part of it goes with QEMU.
CEPH_PACKAGES = ('ceph-common', 'ceph-mgr', 'ceph-mon', 'ceph-osd',
                 'python3-rados', 'python3-rbd')

#: A virtualenv of Debian's own Python.
PYTHON = ('python3-venv',)

#: Maintainer scripts start services through these two. They are covered
#: while apt runs, in a mount namespace that ends with it, so that no service
#: of the machine is started and no policy file can be left behind.
SERVICE_STARTERS = ('/usr/sbin/invoke-rc.d', '/usr/bin/deb-systemd-invoke')


def versions(packages: typing.Iterable[str]) -> dict[str, str]:
    """The versions that are installed.

    :param packages: names of Debian packages
    :returns: name and version of those that dpkg lists as installed
    """
    result = subprocess.run(
        ['dpkg-query', '--show', '--showformat',
         '${binary:Package} ${Version} ${db:Status-Status}\n', *packages],
        capture_output=True, text=True)
    installed = [line.split() for line in result.stdout.splitlines()
                 if line.endswith(' installed')]
    return {name.partition(':')[0]: version for name, version, _ in installed}


def missing(packages: typing.Iterable[str]) -> list[str]:
    """Which of the packages are not installed.

    :param packages: names of Debian packages
    :returns: those of them that dpkg does not list as installed
    """
    wanted = list(packages)
    installed = versions(wanted)
    return [package for package in wanted if package not in installed]


def is_at_least(version: str, oldest: str) -> bool:
    """Whether a version is another one or later.

    :param version: version of a Debian package; no version is too old
    :param oldest: the version to compare it with
    """
    result = subprocess.run(
        ['dpkg', '--compare-versions', version, 'ge', oldest],
        capture_output=True)
    return result.returncode == 0


def install(packages: typing.Iterable[str], log: pathlib.Path) -> None:
    """Install what is missing, without starting any service.

    :param packages: names of Debian packages
    :param log: file for apt's output
    :raises errors.LabError: if one cannot be installed, naming it
    """
    wanted = missing(packages)
    if not wanted:
        return
    get(wanted, log)
    absent = missing(wanted)
    if absent:
        raise errors.LabError(
            f'apt-get ended well but {absent[0]} is not installed: see {log}.')


def get(packages: typing.Iterable[str], log: pathlib.Path,
        options: typing.Sequence[str] = ()) -> None:
    """Install or upgrade packages, without starting any service.

    :param packages: names of Debian packages
    :param log: file for apt's output
    :param options: of apt-get, for its ``update`` as well
    :raises errors.LabError: if apt-get fails
    """
    command = ['install', '--no-install-recommends', *packages]
    try:
        _apt_get(command, log, options)
    except errors.LabError:
        # The package lists may be missing or older than the mirror.
        _apt_get(['update'], log, options)
        _apt_get(command, log, options)


def know(package: str, log: pathlib.Path) -> None:
    """Get the package lists where they do not name a package.

    :param package: name of a Debian package
    :param log: file for apt's output
    :raises errors.LabError: if the lists cannot be had
    """
    if not places(package):
        _apt_get(['update'], log)


def places(package: str) -> set[str]:
    """Where the package lists say that a package can be had.

    :param package: name of a Debian package
    :returns: ``URI SUITE/COMPONENT`` of each source of it
    """
    # PACKAGE | VERSION | URI SUITE/COMPONENT ARCHITECTURE Packages
    lines = _ask('madison', package)
    return {' '.join(line.split('|')[2].split()[:2]) for line in lines}


def candidate(package: str) -> str:
    """The version that apt would install now.

    :param package: name of a Debian package
    :returns: the version; ``(none)`` or nothing if there is none
    """
    for line in _ask('policy', package):
        key, _, value = line.strip().partition(': ')
        if key == 'Candidate':
            return value
    return ''


def _ask(question: str, package: str) -> list[str]:
    """The lines of apt-cache's answer, untranslated."""
    return subprocess.run(
        ['apt-cache', question, package], capture_output=True, text=True,
        env=os.environ | {'LC_ALL': 'C.UTF-8'}).stdout.splitlines()


def _apt_get(arguments: list[str], log: pathlib.Path,
             options: typing.Sequence[str] = ()) -> None:
    covered = ''.join(f'mount --bind /bin/true {path}; '
                      for path in SERVICE_STARTERS if os.path.exists(path))
    commands.run(
        ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec',
         covered + 'exec "$@"', 'apt-get', 'apt-get', '--yes', '--quiet',
         '-o', 'DPkg::Lock::Timeout=300', *options, *arguments],
        log, f'apt-get {arguments[0]}', DEBIAN_FRONTEND='noninteractive')
