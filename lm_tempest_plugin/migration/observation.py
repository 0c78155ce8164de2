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

"""What was declared, against what was seen.

A setting that nobody has seen at work is a label, not a result: the white
paper of 2017 compared tunnelling on and off, and it was never switched.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

from lm_tempest_plugin.cloud import records
from lm_tempest_plugin.hosts import sockets
from lm_tempest_plugin.hosts import transport as transports
from lm_tempest_plugin.migration import attempt as attempts
from lm_tempest_plugin.migration import cells
from lm_tempest_plugin.migration import drain


@dataclasses.dataclass(frozen=True)
class Declared:
    """What the cloud is said to be.

    :ivar cell: settings of nova-compute
    :ivar storage: where the disks of servers live; None to say nothing
    """

    cell: cells.Cell = cells.Cell()
    storage: cells.Storage | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what is declared, by our names."""
        return {**self.cell.settings,
                'storage': str(self.storage) if self.storage else None}


def storage(found: Sequence[attempts.Attempt],
            watched: transports.Watch | None) -> cells.Storage | None:
    """Return where the disks of servers that were moved live.

    nova's API shows disks being copied, if it asks libvirt while they are;
    that it shows none says nothing. Sockets say more of a server that goes
    alone: QEMU listens at one port for memory and at another one for disks.
    One port alone says nothing either: the connection at the other one may
    have been too short to be seen.

    :param found: what was seen
    :param watched: what was seen of sockets; None without access to hosts
    :returns: block; None if that is not known
    """
    if any(sample.progress.disk_total
           for attempt in found for sample in attempt.samples):
        return cells.Storage.BLOCK
    ports = watched.as_dict()['qemu_ports'] if watched is not None else ()
    if len(found) == 1 and len(ports) > 1:
        return cells.Storage.BLOCK
    return None


def post_copied(attempt: attempts.Attempt) -> bool:
    """Return whether a server ran on the destination before all was there.

    :param attempt: what was seen
    """
    return any(transition.state == records.POST_COPY
               for transition in attempt.transitions)


def contradictions(declared: Declared, drained: drain.Drained,
                   watched: transports.Watch | None) -> list[str]:
    """Return what was declared and not seen, naming both.

    :param declared: what the cloud is said to be
    :param drained: what was seen of servers that were moved
    :param watched: what was seen of sockets; None without access to hosts
    :raises HostError: the sockets could not be looked at
    """
    return [*_about_concurrency(declared.cell, drained),
            *_about_storage(declared.storage, drained.attempts, watched),
            *_about_post_copy(declared.cell, drained.attempts),
            *_about_transport(declared.cell, drained.attempts, watched)]


def _about_concurrency(cell: cells.Cell,
                       drained: drain.Drained) -> Iterator[str]:
    limit = cell.max_concurrent_live_migrations
    # 0 is nova's word for as many as it can.
    if limit:
        yield from filter(None, (
            observed.contradicts(limit) for observed in drained.observed))


def _about_storage(wanted: cells.Storage | None,
                   found: Sequence[attempts.Attempt],
                   watched: transports.Watch | None) -> Iterator[str]:
    seen = storage(found, watched) if wanted is not None else None
    if seen not in (None, wanted):
        yield 'storage is declared to be %s, and disks were copied%s' % (
            wanted, ': %s' % watched if watched is not None else '')


def _about_post_copy(cell: cells.Cell,
                     found: Iterable[attempts.Attempt]) -> Iterator[str]:
    # That it is allowed does not mean that it is needed.
    if cell.post_copy is False:
        for attempt in found:
            if post_copied(attempt):
                yield ('post-copy is declared to be off, and the record of '
                       'server %s was "%s"' % (
                           attempt.request.server_id, records.POST_COPY))


def _about_transport(cell: cells.Cell, found: Sequence[attempts.Attempt],
                     watched: transports.Watch | None) -> Iterator[str]:
    if cell.tunnelled is None or watched is None:
        return
    # Where nothing was copied there is no transport to be seen.
    if not any(attempt.newest is not None and
               attempt.newest.status == 'completed' for attempt in found):
        return
    wanted = (sockets.Transport.TUNNELLED if cell.tunnelled
              else sockets.Transport.DIRECT)
    if watched.transport != wanted:
        yield ('live migrations are declared to be %s, and %s was seen: %s' %
               (wanted.value, watched.transport.value, watched))
