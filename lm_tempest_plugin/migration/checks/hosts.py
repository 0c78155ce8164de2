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

"""Checks that declared or changed settings match observations on the hosts.

A setting that nobody has observed is a label, not a result: the white paper
of 2017 compared tunnelling on and off, and it was never switched.
"""

from collections.abc import Iterator

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import sockets
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import settings
from lm_tempest_plugin.results import schema


@registry.check
def host_access(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect each host to answer when it is asked over SSH."""
    if seen.sockets is None and not seen.host_errors:
        raise registry.SkipCheck('the hosts were not observed')
    for text in dict.fromkeys(seen.host_errors):
        yield schema.Problem(check='host-access', text=text)


@registry.check
def concurrency(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect as many migrations at once as declared, while others wait."""
    limit = seen.plan.settings.values.get('max_concurrent_live_migrations')
    # 0 means no limit to nova.
    if not limit:
        raise registry.SkipCheck(
            'max_concurrent_live_migrations is not declared')
    for each in seen.concurrency:
        declared = (f'host {each.host} is declared to run {limit} live '
                    'migrations at once, and ')
        if each.running > limit:
            yield schema.Problem(
                check='concurrency',
                text=f'{declared}{each.running} ran at once')
        elif each.full is not None and each.full < limit:
            yield schema.Problem(
                check='concurrency',
                text=f'{declared}no more than {each.full} ran while others '
                'were queued')


@registry.check
def storage(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect no disk to be copied where storage is declared to be shared.

    nova's API shows a copy of disks only if it asks libvirt during the copy.
    Sockets show more of a server that is migrated alone: QEMU listens on one
    port for memory and on another one for disks. One port alone proves
    nothing: the connection to the other one may have been too short to be
    seen. So only copied disks are evidence, never their absence.
    """
    declared = seen.plan.settings.storage
    if not declared:
        raise registry.SkipCheck('storage is not declared')
    ports = seen.sockets.results().qemu_ports if seen.sockets else ()
    copied = (len(seen.migrations) == 1 and len(ports) > 1) or any(
        progress.disk_total_bytes for each in seen.migrations
        for progress in each.migration.progress)
    if copied and declared != settings.Storage.BLOCK:
        watched = f': {seen.sockets}' if seen.sockets else ''
        yield schema.Problem(
            check='storage', text=f'storage is declared to be {declared}, '
            f'and disks were copied{watched}')


@registry.check
def post_copy(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect no post-copy where it is declared to be off."""
    # Where it is allowed, it need not be used.
    if seen.plan.settings.values.get('post_copy') is not False:
        raise registry.SkipCheck('post-copy is not declared to be off')
    for each in seen.migrations:
        if each.verdict.evidence.post_copied:
            yield each.problem(
                'post-copy', 'post-copy is declared to be off, and the '
                'migration record was in post-copy')


@registry.check
def transport(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the declared transport: direct or tunnelled."""
    tunnelled = seen.plan.settings.values.get('tunnelled')
    if tunnelled is None:
        raise registry.SkipCheck('tunnelled is not declared')
    if seen.sockets is None:
        raise registry.SkipCheck('no access to both hosts')
    if not any(each.migration.status == 'completed'
               for each in seen.migrations):
        raise registry.SkipCheck('no migration was completed')
    expected = (sockets.Transport.TUNNELLED if tunnelled
                else sockets.Transport.DIRECT)
    try:
        found = seen.sockets.transport
    except remote.HostError as exc:
        yield schema.Problem(check='transport', text=str(exc))
        return
    if found != expected:
        yield schema.Problem(
            check='transport', text='live migrations are declared to be '
            f'{expected.value}, and {found.value} was seen: {seen.sockets}')
