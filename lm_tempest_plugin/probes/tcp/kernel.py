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

"""What the kernel says of a TCP connection: struct tcp_info."""

import dataclasses
import socket
import struct
from typing import Self

# The beginning of struct tcp_info in Linux' include/uapi/linux/tcp.h, which
# only ever grows at its end: eight bytes, of which the third is
# tcpi_retransmits, then 24 numbers of 32 bits from tcpi_rto (in us) over
# tcpi_rtt (in us, the 16th) to tcpi_total_retrans (the 24th).
LAYOUT = struct.Struct('@2xB5xI56xI28xI')
US = 1_000_000


@dataclasses.dataclass(frozen=True)
class TcpInfo:
    """How a connection fares.

    :ivar retransmits: how often what is under way has been sent again in
        vain
    :ivar rto_s: how long the kernel waits until it does so again
    :ivar rtt_s: smoothed round-trip time
    :ivar retransmissions: segments sent again since the connection began
    """

    retransmits: int = 0
    rto_s: float = 0.0
    rtt_s: float = 0.0
    retransmissions: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return what a buffer says.

        :param data: what getsockopt() returned; what is missing at its end,
            for the kernel is an old one, is taken for 0
        """
        retransmits, rto_us, rtt_us, total = LAYOUT.unpack_from(
            data.ljust(LAYOUT.size, b'\0'))
        return cls(retransmits, rto_us / US, rtt_us / US, total)


def read(sock: socket.socket) -> TcpInfo:
    """Return how the connection of a socket fares; zeros if it is closed."""
    try:
        return TcpInfo.parse(sock.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, LAYOUT.size))
    except OSError:
        return TcpInfo()
