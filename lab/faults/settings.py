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

"""Settings of nova-compute that a fault needs, for the time of the fault."""

from __future__ import annotations

import functools
import pathlib

from lab.faults import programs
from lab import layout
from lab.layout import Layout
from lab import lifecycle
from lab import reload
from lab.services import base
from lab.topology import Topology


def change(paths: Layout, host: str, text: str) -> None:
    """Add text to a host's nova.conf, and restart its nova-compute.

    :param paths: paths of the lab
    :param host: name of the host
    :param text: lines with sections; of an option that is there twice,
        oslo.config takes the last value
    """
    conf, kept = _files(paths, host)
    old = conf.read_text()
    if not kept.exists():
        # It holds passwords.
        layout.write(kept, old, mode=0o600)
    layout.write(conf, f'{old}\n{text}', mode=0o600)
    restart_compute(paths, host)


def restore(paths: Layout, host: str) -> None:
    """Undo :func:`change`; without one, do nothing.

    :param paths: paths of the lab
    :param host: name of the host
    """
    conf, kept = _files(paths, host)
    if kept.exists():
        kept.rename(conf)
        restart_compute(paths, host)


def restart_compute(paths: Layout, *hosts: str) -> None:
    """Restart nova-compute on hosts, and wait until they serve requests.

    :param paths: paths of the lab
    :param hosts: names of the hosts
    :raises errors.LabError: if one does not stop, ends, or does not report
    """
    reload.restart(_lab(paths), ('nova-compute',), hosts)


@functools.cache
def _lab(paths: Layout) -> base.Lab:
    """Return the lab, with the one connection to its supervisor."""
    lab = base.Lab(paths, lifecycle.recorded(paths) or Topology())
    lab.supervisor = programs.supervisor()
    return lab


def is_changed(paths: Layout, host: str) -> bool:
    """Return whether a change is in force."""
    return _files(paths, host)[1].exists()


def _files(paths: Layout, host: str) -> tuple[pathlib.Path, pathlib.Path]:
    """Return nova.conf and the file that keeps the text before a fault."""
    conf = paths.etc(host) / 'nova.conf'
    return conf, conf.with_name('nova.conf.before-fault')
