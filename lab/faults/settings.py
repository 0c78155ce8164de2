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

import pathlib

from lab import errors
from lab.faults import programs
from lab import fleet
from lab import layout
from lab.layout import Layout
from lm_tempest_plugin import utils

#: Time until a nova-compute that has started serves requests.
SERVE_SECONDS = 90
POLL_SECONDS = 0.5
REPORTS = ('SELECT host, report_count FROM services WHERE `binary` = '
           "'nova-compute' AND deleted = 0;")


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


def restart_compute(paths: Layout, host: str) -> None:
    """Restart a nova-compute, and wait until the new one serves requests.

    Until then it takes a migration for one that its end has interrupted, and
    resets the server. It first reports when it serves.

    :param paths: paths of the lab
    :param host: name of the host
    :raises errors.LabError: if it does not stop, start or report
    """
    name, supervisor = f'{host}-nova-compute', programs.supervisor()
    if supervisor.state(name).up:
        supervisor.stop(name)

    def reports() -> str:
        return dict(fleet.sql(paths, REPORTS))[host]

    before = reports()
    supervisor.start(name)
    utils.wait_until(
        lambda count: count != before, reports, f'{name} to report',
        SERVE_SECONDS, POLL_SECONDS, error=errors.LabError)


def is_changed(paths: Layout, host: str) -> bool:
    """Return whether a change is in force."""
    return _files(paths, host)[1].exists()


def _files(paths: Layout, host: str) -> tuple[pathlib.Path, pathlib.Path]:
    """Return nova.conf and the file that keeps the text before a fault."""
    conf = paths.etc(host) / 'nova.conf'
    return conf, conf.with_name('nova.conf.before-fault')
