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

"""Probes of a server of somebody else, once its live migration was seen.

The guest is switched to its destination at the end of the copy, so most of
the time there is enough of it left to see the guest answer before.
"""

import ipaddress

from oslo_log import log as logging

from lm_tempest_plugin.cloud import servers
from lm_tempest_plugin.migration import inspector
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.results import schema

LOG = logging.getLogger(__name__)

FLOATING, FIXED = 'floating', 'fixed'
# A guest that does not answer before it is switched over proves nothing.
READY_S = 2.0
# Guests of others get echo requests, and nothing else.
LEFT_OUT = dict.fromkeys(
    inspector.PACKET_CHECKS, 'guests of others get no other packets')


class LateWatch(watch.Watch):
    """Probes that began after the migration."""

    def continuity(self, address: str, start_ns: int,
                   end_ns: int) -> schema.Continuity:
        """Return the continuity of a guest in a window, as far as known.

        Without probes, nothing is known of the time before: it must not look
        like a time in which this machine fell behind.
        """
        return super().continuity(
            address, max(start_ns, self.started.monotonic_ns), end_ns)


def address_of(server: servers.Server, kind: str) -> str:
    """Return the first address of a kind, IPv4 if possible.

    :param server: the server
    :param kind: floating or fixed
    :returns: empty if it has none
    """
    found = (server.floating_addresses if kind == FLOATING
             else server.addresses)
    return min(found, default='', key=lambda each: (
        ipaddress.ip_address(each).version, found.index(each)))


def start(server: servers.Server, kind: str,
          interval_s: float) -> tuple[str, LateWatch | None]:
    """Start to probe a server if it answers from here.

    :param server: the server
    :param kind: floating or fixed; empty to probe nothing
    :param interval_s: time between two echo requests
    :returns: its address, and the probes; empty and None if it has no such
        address or does not answer
    """
    address = address_of(server, kind) if kind else ''
    if not address:
        return '', None
    try:
        probes = LateWatch([address], interval_s)
    except errors.ProbeError as exc:
        LOG.warning('Server %s is not probed: %s', server.server_id, exc)
        return '', None
    try:
        probes.start()
        probes.await_answers(READY_S)
    except errors.ProbeError as exc:
        LOG.info('Server %s is not probed: %s', server.server_id, exc)
        probes.stop()
        return '', None
    except BaseException:
        probes.stop()
        raise
    return address, probes
