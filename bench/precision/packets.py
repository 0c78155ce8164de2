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

"""ICMP and ICMPv6 echo packets, as a TUN device hands them over."""

import dataclasses
import struct

WORD = struct.Struct('!H')
# Where things are in the two headers.
V4_PROTOCOL, V4_SOURCE, V4_TARGET, V4_END = 9, 12, 16, 20
V6_PROTOCOL, V6_SOURCE, V6_TARGET, V6_END = 6, 8, 24, 40
ICMP, ICMP6 = 1, 58
REQUEST, REPLY = 8, 0
REQUEST6, REPLY6 = 128, 129
# From the start of the ICMP header.
CHECKSUM, IDENTIFIER, ICMP_HEADER_BYTES = 2, 4, 8


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """An echo request.

    :ivar address: whom it is for, packed
    :ivar flow: who asks: its address and ICMP identifier
    :ivar reply: the packet that answers it
    """

    address: bytes
    flow: bytes
    reply: bytes


def parse(packet: bytes) -> Request | None:
    """Return the echo request that a packet is; None if it is none."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= V4_END:
        return _parse(packet, (packet[0] & 0x0f) * 4, V4_PROTOCOL, ICMP,
                      (V4_SOURCE, V4_TARGET, V4_END), (REQUEST, REPLY))
    if version == 6 and len(packet) >= V6_END:
        return _parse(packet, V6_END, V6_PROTOCOL, ICMP6,
                      (V6_SOURCE, V6_TARGET, V6_END), (REQUEST6, REPLY6))
    return None


def _parse(packet: bytes, start: int, protocol_at: int, protocol: int,
           addresses: tuple[int, int, int],
           kinds: tuple[int, int]) -> Request | None:
    """Do the work for either version; start is where ICMP begins."""
    if (len(packet) < start + ICMP_HEADER_BYTES
            or packet[protocol_at] != protocol or packet[start] != kinds[0]):
        return None
    source_at, target_at, end = addresses
    source, target = packet[source_at:target_at], packet[target_at:end]
    reply = bytearray(packet)
    # Sums do not mind that their terms change places: only the type counts.
    reply[source_at:end] = target + source
    reply[start] = kinds[1]
    WORD.pack_into(reply, start + CHECKSUM, patched(
        WORD.unpack_from(packet, start + CHECKSUM)[0],
        kinds[0] << 8, kinds[1] << 8))
    identifier = packet[start + IDENTIFIER:start + IDENTIFIER + 2]
    return Request(target, source + identifier, bytes(reply))


def patched(checksum: int, old: int, new: int) -> int:
    """Return a checksum after one 16-bit word has changed (RFC 1624)."""
    total = (~checksum & 0xffff) + (~old & 0xffff) + new
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
