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

"""Checks of settings and of servers by facts from the hosts.

A setting that nobody has observed is a label, not a result: the white paper
of 2017 compared tunnelling on and off, and it was never switched.

Servers are judged after their migrations have ended: before, both hosts have
a domain, a directory and interfaces. A server is where nova says it is, and
all other hosts of the drain must have nothing of it. No host may have anything
of a server that does not exist any more.
"""

from collections.abc import Iterator
import dataclasses

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import sockets
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import settings
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.results import schema

# libvirt's states of the domain by nova's status of the server. A server of
# another status, such as ERROR, may have any state, or no domain.
STATES = {
    'ACTIVE': ('running', 'blocked'),
    'PAUSED': ('paused',),
    'SHUTOFF': ('shut off', ''),
    'SUSPENDED': ('shut off', ''),
}
# Types of file systems that no other host can mount, in the words of GNU
# stat. Two hosts that were installed in the same way may well use the same
# inode number there.
LOCAL = ('btrfs', 'ext2/ext3', 'f2fs', 'jfs', 'overlayfs', 'reiserfs',
         'tmpfs', 'xfs', 'zfs')


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


@dataclasses.dataclass(frozen=True)
class _Placed:
    """A server whose migration has ended, with its traces.

    :ivar judged: its migration
    :ivar status: status of the server now; GONE if it does not exist
    :ivar host: its host; empty if it does not exist
    :ivar home: traces on this host; None if they are not known
    :ivar others: traces on the other hosts
    """

    judged: registry.Judged
    status: str
    host: str
    home: schema.HostTraces | None
    others: tuple[schema.HostTraces, ...]

    @property
    def place(self) -> str:
        """Where the server is, as a clause."""
        return (f'nova calls the server {self.status} on host {self.host}'
                if self.host else 'the server does not exist any more')


def _placed(seen: registry.Observation, field: str = ''
            ) -> Iterator[_Placed]:
    """Yield the servers whose migrations have ended.

    :param seen: the drain
    :param field: field of the traces that the check needs
    :raises SkipCheck: after the last server, if something is not known;
        problems that were found until then count
    """
    missing: dict[str, None] = {}
    none = True
    for each in seen.migrations:
        server = seen.servers[each.server_id]
        # nova does nothing more about a server without a task, even if it
        # never ends the record. One that is shelved exists, and has no host.
        goes_on = each.verdict.kind is Kind.STUCK and (
            server is None or server.task_state is not None)
        if goes_on or server and not server.host:
            continue
        none = False
        host = server.host if server else ''
        traces = {found.host: found
                  for found in seen.traces.get(each.server_id, ())}
        facts = each.verdict.evidence
        for name in sorted({facts.source, facts.destination, host} - {''}):
            if name not in traces:
                missing[f'host {name} cannot be asked'] = None
        for found in traces.values():
            if field in found.unknown:
                missing[f'host {found.host}: {found.unknown[field]}'] = None
        yield _Placed(
            each, server.status if server else 'GONE', host,
            traces.get(host), tuple(found for found in traces.values()
                                    if found.host != host))
    if none:
        raise registry.SkipCheck('no migration has ended')
    if missing:
        raise registry.SkipCheck('; '.join(missing))


@registry.check
def domains(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect one domain of each server, on its host, in its state."""
    for each in _placed(seen):
        expected = STATES.get(each.status)
        if any(found.state for found in each.others) or (
                each.home and expected and each.home.state not in expected):
            shown = ', '.join(
                f'{found.state or "no domain"} on host {found.host}'
                for found in filter(None, (each.home, *each.others)))
            words = (' or '.join(state or 'no domain' for state in expected)
                     if expected else 'a domain')
            words = (f'{words} there, and no domain elsewhere' if each.host
                     else 'no domain')
            yield each.judged.problem(
                'domains', f'{each.place}, and libvirt shows: {shown}; '
                f'expected: {words}')
        if each.home and each.home.persistent is False:
            yield each.judged.problem(
                'domains', f'the domain on host {each.host} is not defined: '
                'it will be gone when its guest ends')


@registry.check
def domain_xml(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect a server to keep its devices when its guest is started anew."""
    for each in _placed(seen, 'differences'):
        for found in filter(None, (each.home, *each.others)):
            for text in found.differences:
                yield each.judged.problem(
                    'domain-xml', f'host {found.host}: {text}')


@registry.check
def machine_and_cpu(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect the guest to keep its machine type and its CPU.

    Both are a promise to the running kernel: another machine type means other
    devices, and a CPU without a feature ends programs that use it.
    """
    known = False
    for each in _placed(seen):
        before = each.judged.hardware_before
        after = each.home.hardware if each.home else None
        if before is None or after is None:
            continue
        known = True
        qemu = ' to '.join(
            f'QEMU {found.qemu_version or "of unknown version"}'
            for found in (before, after))
        if before.machine != after.machine:
            yield each.judged.problem(
                'machine-and-cpu', f'the machine type was {before.machine}, '
                f'and is {after.machine} on host {each.host} ({qemu})')
        if before.cpu != after.cpu:
            had, has = before.cpu.split(), after.cpu.split()
            lost, new = (' '.join(
                word for word in one if word not in other) or 'nothing'
                for one, other in ((had, has), (has, had)))
            yield each.judged.problem(
                'machine-and-cpu', f'the CPU was {before.cpu or "the default"}'
                f', and has lost {lost} and got {new} on host {each.host} '
                f'({qemu})')
    if not known:
        raise registry.SkipCheck('no virtual hardware is known from before '
                                 'the migrations and from after them')


@registry.check
def instance_directories(seen: registry.Observation
                         ) -> Iterator[schema.Problem]:
    """Expect the instance directory on the server's host, and on no other.

    On shared storage, all hosts see the same directory.
    """
    for each in _placed(seen, 'directory'):
        home = each.home.directory if each.home else None
        if home == '':
            yield each.judged.problem(
                'instance-directories', 'there is no instance directory on '
                f'host {each.host}, and {each.place}')
        for found in each.others:
            if found.directory and (
                    not each.host or home and found.directory != home or
                    found.directory.partition(' ')[2] in LOCAL):
                yield each.judged.problem(
                    'instance-directories', 'the instance directory is left '
                    f'on host {found.host}, and {each.place}')


@registry.check
def interfaces(seen: registry.Observation) -> Iterator[schema.Problem]:
    """Expect a server's interfaces up, and none on a host it is not on."""
    for each in _placed(seen, 'interfaces'):
        # libvirt may set those of a paused guest down.
        if each.home and each.home.state in STATES['ACTIVE'] and (
                each.home.interfaces_down):
            yield each.judged.problem(
                'interfaces', f'{", ".join(each.home.interfaces_down)} down '
                f'on host {each.host}: nothing goes through')
        own = each.home.interfaces or () if each.home else ()
        for found in each.others:
            left = {*(found.interfaces or ()), *(
                name for name in found.stray_taps if name in own)}
            if left:
                yield each.judged.problem(
                    'interfaces', f'{", ".join(sorted(left))} left on host '
                    f'{found.host}, and {each.place}')
