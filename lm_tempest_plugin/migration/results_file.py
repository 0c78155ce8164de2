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

"""The results file of a run, and lines about the run itself."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import datetime
from importlib import metadata
import json
import os
import pathlib
import re
import subprocess
import threading
from typing import Any

from oslo_log import log as logging

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin.cloud import compute_hosts
from lm_tempest_plugin.hosts import access
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin import utils

LOG = logging.getLogger(__name__)

PACKAGE = 'lm-tempest-plugin'
GIT_TIMEOUT_S = 10


class ResultsFile:
    """Lines of one process, stored as soon as they are known.

    The file is created with its first line, so that a run without a live
    migration leaves no file. Each process has its own file, because several
    processes may run tests at the same time.
    """

    def __init__(self, directory: str, name: str,
                 describe: Callable[[], schema.RunStarted]) -> None:
        """Prepare; nothing is written yet.

        :param directory: directory of the file; empty to keep no file
        :param name: name of the run; empty for the time
        :param describe: returns the first line
        """
        self._directory = directory
        self._name = name
        self._describe = describe
        self._chain: store.Chain | None = None
        self._drains = 0
        # A watch judges several migrations at once.
        self._lock = threading.Lock()

    def next_drain(self) -> str:
        """Return an id for a new drain."""
        with self._lock:
            self._drains += 1
            return f'drain-{self._drains}'

    def append(self, line: schema.Line) -> bytes:
        """Store a line, and return it as it was stored, without line end.

        :param line: the line
        :raises ResultsError: it cannot be written
        """
        with self._lock:
            return self._begun().append(line)

    def _begun(self) -> store.Chain:
        """Return the chain of lines; begin it with the first one."""
        if self._chain is None:
            now = datetime.datetime.now(datetime.UTC)
            run = f'{self._name or now.strftime("%Y%m%dT%H%M%SZ")}-' \
                  f'{os.getpid()}'
            first = self._describe()
            chain = (store.Writer(self._directory, run)
                     if self._directory else store.Chain(run))
            try:
                chain.append(first)
            except BaseException:
                # A later line begins a file of that name anew.
                chain.discard()
                raise
            self._chain = chain
        return self._chain

    def keep_logs(self, migration: str,
                  logs: Iterable[schema.HostLog]) -> None:
        """Keep the logs of the hosts beside the results file.

        Each is a file of its own, named after the run, the migration, the
        host and the log. Nothing is kept without a results file.

        :param migration: id of the migration within the run
        :param logs: lines that belong to it
        :raises ResultsError: they cannot be written
        """
        if not isinstance(self._chain, store.Writer):
            return
        for log in logs:
            if not log.lines:
                continue
            # The id contains a slash, and the host has its name from nova.
            name = re.sub(r'[^\w.-]', '-',
                          f'{self._chain.run}-{migration}-{log.host}-'
                          f'{log.name}.log')
            path = self._chain.path.with_name(name)
            try:
                # Masked passwords or not: logs are not for everybody.
                utils.write_atomically(path, '\n'.join([*log.lines, '']))
            except OSError as exc:
                raise store.ResultsError(f'log {path} cannot be written: '
                                         f'{exc.strerror}') from exc
            LOG.info('Log of %s on host %s, %d lines: %s', log.name, log.host,
                     len(log.lines), path)

    def test_failed(self, test: str, exc: BaseException) -> bytes:
        """Store that a test failed, even if all its migrations passed.

        :param test: id of the test
        :param exc: why
        :raises ResultsError: it cannot be written
        """
        return self.append(schema.TestFailure(
            test=test, reason=utils.describe_error(exc)))


def run_started(region: str, clients: api.Clients,
                hosts: access.HostAccess | None = None) -> schema.RunStarted:
    """Return the first line: plugin and cloud.

    :param region: name of the region
    :param clients: of an administrator
    :param hosts: SSH to the compute hosts; None to leave out versions that
        nova's API does not tell
    """
    return schema.RunStarted(
        started_at=datetime.datetime.now(datetime.UTC),
        plugin_version=metadata.version(PACKAGE), plugin_commit=commit(),
        region=region,
        compute_api=api.offered_microversions(clients.versions)[1],
        hosts=describe_hosts(clients, hosts))


def describe_hosts(clients: api.Clients,
                   hosts: access.HostAccess | None = None
                   ) -> tuple[schema.ComputeHost, ...]:
    """Return the compute hosts with the versions of their programs.

    :param clients: of an administrator
    :param hosts: SSH to the compute hosts; None to leave out versions that
        nova's API does not tell
    """
    versions = hosts.versions() if hosts else {}
    return tuple(
        describe_host(body, versions) for body in
        compute_hosts.list_hypervisors(clients.hypervisors))


def describe_host(body: Mapping[str, Any],
                  versions: Mapping[str, access.HostVersions]
                  ) -> schema.ComputeHost:
    """Return a compute host with the versions of its programs.

    :param body: JSON of its hypervisor
    :param versions: of the hosts that were asked, by name
    """
    host = body['service']['host']
    found = versions.get(host, access.HostVersions('', '', '', ''))
    return schema.ComputeHost(
        host=host, hypervisor_type=body['hypervisor_type'],
        hypervisor_version=found.hypervisor or _dotted(
            body['hypervisor_version']),
        libvirt_version=found.libvirt or None,
        nova_version=found.nova or None, ovn_version=found.ovn or None)


def commit() -> str:
    """Return the Git commit of this plugin; empty if it is not known.

    A checkout is asked for its present commit, with ``+`` if files differ
    from it. A package has the commit that pbr stored when it was built.
    """
    checkout = pathlib.Path(__file__).parents[2]
    if (checkout / '.git').exists():
        try:
            # Git refuses a checkout of another user, and prints nothing.
            return subprocess.run(
                ['git', '-C', str(checkout), 'describe', '--always',
                 '--abbrev=12', '--exclude=*', '--dirty=+'],
                capture_output=True, text=True,
                timeout=GIT_TIMEOUT_S).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return ''
    text = metadata.distribution(PACKAGE).read_text('pbr.json')
    return str(json.loads(text).get('git_version', '')) if text else ''


def _dotted(number: int) -> str:
    # nova stores 10.0.2 as 10000002.
    return f'{number // 1000000}.{number // 1000 % 1000}.{number % 1000}'
