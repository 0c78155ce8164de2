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

"""Stored lines of a results file: the only definition of the format.

A results file holds one JSON object on each line. :class:`RunStarted` comes
first. For each drain follow :class:`DrainStarted`, one
:class:`MigrationEnded` and one :class:`MigrationResult` for each server, and
:class:`DrainResult`. A test that fails adds a :class:`TestFailure`.

Names carry units: ``_s`` seconds, ``_ms`` milliseconds, ``_ns`` nanoseconds,
``_bytes`` bytes, ``_gib`` GiB, ``_bytes_per_s`` bytes per second,
``_fraction`` a part from 0 to 1, ``_at`` a time of day with its zone.
``_monotonic_s`` and ``_ns`` are CLOCK_MONOTONIC of the machine that ran the
tests, so they can be compared with each other within one file. A value that
is not known is null.
"""

import datetime

import msgspec

#: Version of the format. There is no reader for other versions.
VERSION = 2
#: The digest in the first line, which has no line before it.
NO_DIGEST = '0' * 64
COMPLETED = 'completed'
#: The strategy of a live migration that somebody else requested and `watch`
#: judged. Each is a drain of its own.
BY_OTHERS = 'by others'


# Without gc, 100,000 migrations take 60 MB less. Structs of a line cannot be
# parts of a reference cycle: they are immutable, and hold only their fields.
class _Part(msgspec.Struct, frozen=True, gc=False):
    """A part of a line."""


class Problem(_Part, frozen=True, kw_only=True):
    """Something that is not as expected. One check found it.

    :ivar check: slug of the check, such as ``outage``
    :ivar text: the problem, with the figure and the bound
    :ivar server_id: UUID of the server; null for a problem of the host or of
        the whole drain
    :ivar evidence: facts that the text rests on, one on each line
    """

    check: str
    text: str
    server_id: str | None = None
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f'{self.check}: {self.text}'


class CheckOutcome(_Part, frozen=True, kw_only=True):
    """Whether a check ran on a drain.

    :ivar check: slug of the check
    :ivar outcome: ``passed``, ``failed`` or ``skipped``
    :ivar reason: why it was skipped; empty otherwise
    """

    check: str
    outcome: str
    reason: str = ''


class Settings(_Part, frozen=True, kw_only=True):
    """Settings of nova-compute and the storage of the servers' disks.

    :ivar storage: ``block`` or ``shared``; empty if it is not declared
    :ivar values: the settings that are declared or were set, by the names in
        the configuration reference
    """

    storage: str = ''
    values: dict[str, int | bool] = {}

    def __hash__(self) -> int:
        # A dict has none, and settings are keys of groups.
        return hash((self.storage, frozenset(self.values.items())))

    def __str__(self) -> str:
        words = [self.storage] if self.storage else []
        for name, value in self.values.items():
            word = ('on' if value else 'off') if isinstance(
                value, bool) else value
            words.append(f'{name.replace("_", " ")} {word}')
        return ', '.join(words) or 'as configured'


class WorkloadChoice(_Part, frozen=True, kw_only=True):
    """The workload that a test chooses for its guests.

    :ivar name: ``idle``, ``memory``, ``keeper``, ``disk`` or ``wordcount``
    :ivar per_s: work that is asked for each second; 0 for as much as possible
    :ivar unit: unit of the work, such as ``MiB``; empty for none
    :ivar memory_mib: memory in which it works; 0 for none
    """

    name: str = 'idle'
    per_s: float = 0.0
    unit: str = ''
    memory_mib: int = 0

    def __str__(self) -> str:
        if not self.unit:
            return self.name
        rate = f'{self.per_s:g} {self.unit}/s' if self.per_s else 'unlimited'
        return f'{self.name} {rate}' + (
            f' of {self.memory_mib} MiB' if self.memory_mib else '')


class WorkloadFigures(_Part, frozen=True, kw_only=True):
    """The work of one guest around its migration. Null: not known.

    :ivar unit: unit of the work
    :ivar before_per_s: work each second in the last 10 s before the request
    :ivar during_per_s: the same from the request to the end
    :ivar after_per_s: the same in the first 10 s after the end
    :ivar dirty_bytes_per_s: memory that the guest writes each second, as
        libvirt has measured before the request
    :ivar application_stall_s: longest time between two windows that the
        guest finished, which take one second by themselves
    :ivar disk_stall_s: longest write to the disk, by the guest's clock, which
        a pause of the guest stops
    :ivar skipped: why the workload does not run in this guest; empty if it
        does
    """

    unit: str = ''
    before_per_s: float | None = None
    during_per_s: float | None = None
    after_per_s: float | None = None
    dirty_bytes_per_s: float | None = None
    application_stall_s: float | None = None
    disk_stall_s: float | None = None
    skipped: str = ''


class Flavor(_Part, frozen=True, kw_only=True):
    """Size of a server.

    :ivar name: empty if it is not known
    :ivar vcpus: virtual CPUs
    :ivar ram_gib: memory
    :ivar disk_gib: local disks
    """

    name: str
    vcpus: int
    ram_gib: float
    disk_gib: float

    def __str__(self) -> str:
        name = self.name or f'{self.vcpus} vCPUs, {self.ram_gib:g} GiB'
        # A server that boots from a volume has none, whatever its flavor
        # says, and must not look like the others.
        return name if self.disk_gib else f'{name} (no local disk)'


class Refusal(_Part, frozen=True, kw_only=True):
    """nova's answer to a request that it did not accept.

    :ivar status: HTTP status; 0 if there was no answer
    :ivar message: text of the answer
    """

    status: int
    message: str


class MigrationRecord(_Part, frozen=True, kw_only=True):
    """A migration record of nova (os-migrations).

    :ivar number: its id
    :ivar uuid: its UUID, the consumer of its allocation in placement
    :ivar server_id: UUID of the server
    :ivar status: such as ``completed``
    :ivar source: name of the source host
    :ivar destination: name of the destination host; empty if none was chosen
    :ivar created_at: UTC without a zone, as nova returns it
    :ivar updated_at: the same; empty if nova never updated the record
    """

    number: int
    uuid: str
    server_id: str
    status: str
    source: str
    destination: str
    created_at: str
    updated_at: str


class Transition(_Part, frozen=True, kw_only=True):
    """A change of the server or of its migration record.

    :ivar at_s: seconds from the request until the change was seen
    :ivar uncertainty_s: the change may be this much earlier
    :ivar subject: ``record`` or ``server``
    :ivar state: the new state
    """

    at_s: float
    uncertainty_s: float
    subject: str
    state: str


class Progress(_Part, frozen=True, kw_only=True):
    """Progress of the copy, as nova's API shows it.

    :ivar at_s: seconds from the request until nova was asked
    :ivar memory_total_bytes: memory to copy
    :ivar memory_processed_bytes: memory sent, resent pages included
    :ivar memory_remaining_bytes: memory still to send
    :ivar disk_total_bytes: local disks to copy
    :ivar disk_processed_bytes: disk data sent
    :ivar disk_remaining_bytes: disk data still to send
    """

    at_s: float
    memory_total_bytes: int
    memory_processed_bytes: int
    memory_remaining_bytes: int
    disk_total_bytes: int
    disk_processed_bytes: int
    disk_remaining_bytes: int


class Phase(_Part, frozen=True, kw_only=True):
    """A phase of a live migration.

    :ivar name: ``checks``, ``queued``, ``setup``, ``copy``, ``post`` or
        ``cleanup``; ``service`` for the time from setup to the end
    :ivar seconds: its duration
    :ivar resolution_s: the true duration differs by no more than this
    :ivar origin: ``polls`` or ``events``
    """

    name: str
    seconds: float
    resolution_s: float
    origin: str


class GuestInspection(_Part, frozen=True, kw_only=True):
    """Facts that one command over SSH read in a guest.

    A fact that was not read has its default.

    :ivar boot_id: random id that the kernel chose at boot
    :ivar at_ns: when the clocks were read, CLOCK_MONOTONIC of this machine
    :ivar uptime_ahead_s: the guest's uptime minus ``at_ns``; null if it was
        not read
    :ivar uptime_error_s: ``at_ns`` is wrong by no more than this
    :ivar wall_ahead_s: the guest's wall clock minus ours; null if it was not
        read
    :ivar wall_error_s: ``wall_ahead_s`` is wrong by no more than this
    :ivar metadata_server_id: UUID of the server that the metadata service
        told the guest; empty if it told none
    :ivar leased_address: address that DHCP offers to the guest
    :ivar disk_write_s: time of four writes of 4 KiB, each with fsync; null
        if not tried
    :ivar read_only: mount points of file systems on disks, read-only
    :ivar read_write: the same, writable
    :ivar kernel_lines: lines of the kernel's log that tell of a failure
    :ivar written_sectors: number of sectors that the guest has written or
        discarded since it booted, by partition or disk; a disk without its
        partitions
    :ivar base_image: checksum of parts of the root disk, by DEVICE@MIB or
        FILE:SIZE:TIME
    :ivar ephemeral_disks: the same of the other disks
    :ivar skipped: why parts were not read, by the slug of the check
    :ivar failed: why parts do not work, by the slug of the check
    """

    boot_id: str = ''
    at_ns: int = 0
    uptime_ahead_s: float | None = None
    uptime_error_s: float = 0.0
    wall_ahead_s: float | None = None
    wall_error_s: float = 0.0
    metadata_server_id: str = ''
    leased_address: str = ''
    disk_write_s: float | None = None
    read_only: tuple[str, ...] = ()
    read_write: tuple[str, ...] = ()
    kernel_lines: tuple[str, ...] = ()
    written_sectors: dict[str, int] = {}
    base_image: dict[str, str] = {}
    ephemeral_disks: dict[str, str] = {}
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}


class Reachability(_Part, frozen=True, kw_only=True):
    """Answers of a server to single packets.

    :ivar answering: addresses that answered an ICMP echo request
    :ivar full_size_bytes: length of the longest IP packet that was answered
        and that nobody may fragment (DF), by address; addresses without such
        an answer are missing
    :ivar closed_port: state of a TCP port that the security group does not
        open, by address: ``silent``, ``refused`` or ``open``; addresses that
        this machine has no route to are missing
    :ivar from_neighbour: fixed addresses that answered a second guest, which
        is not migrated; null if there is none, or it cannot be asked
    """

    answering: tuple[str, ...] = ()
    full_size_bytes: dict[str, int] = {}
    closed_port: dict[str, str] = {}
    from_neighbour: tuple[str, ...] | None = None


class GuestHardware(_Part, frozen=True, kw_only=True):
    """Virtual hardware that a running guest sees, and the QEMU that runs it.

    :ivar machine: machine type, such as ``pc-i440fx-9.2``
    :ivar cpu: mode, model and features that differ from the model, such as
        ``custom Nehalem +x2apic -vmx``; empty if libvirt leaves it to QEMU
    :ivar qemu_version: by the log of the domain, which libvirt begins when it
        starts a QEMU; empty if the log does not show it
    """

    machine: str
    cpu: str = ''
    qemu_version: str = ''


class HostTraces(_Part, frozen=True, kw_only=True):
    """Traces of one server on one compute host.

    :ivar host: name of the host
    :ivar state: libvirt's state of the domain, such as ``running``, or
        ``post-copy failed``; empty if libvirt knows no such domain
    :ivar persistent: whether the domain outlives its guest; null if there is
        no domain
    :ivar differences: devices that the domain will lose, get or exchange at
        its next start
    :ivar directory: inode and type of the file system of the instance
        directory; empty if there is none; null if that is not known
    :ivar interfaces: tap devices and ports of Open vSwitch that belong to
        the server; null if that is not known
    :ivar interfaces_down: those of ``interfaces`` that are down: nothing goes
        through them
    :ivar stray_taps: tap devices of the host that belong to no server that
        was asked for, and to no port of Open vSwitch
    :ivar hardware: of the running guest; null if none runs
    :ivar unknown: why ``directory`` is null, or ``differences`` or ports of
        Open vSwitch in ``interfaces`` are missing, by the name of the field
    """

    host: str
    state: str = ''
    persistent: bool | None = None
    differences: tuple[str, ...] = ()
    directory: str | None = None
    interfaces: tuple[str, ...] | None = None
    interfaces_down: tuple[str, ...] = ()
    stray_taps: tuple[str, ...] = ()
    hardware: GuestHardware | None = None
    unknown: dict[str, str] = {}


class HostLog(_Part, frozen=True, kw_only=True):
    """Lines of one log on one compute host that belong to a migration.

    :ivar host: name of the host
    :ivar name: ``nova-compute``, ``libvirtd`` or ``qemu``
    :ivar lines: the lines, the oldest first, without secrets
    :ivar error: why the log cannot be read; empty if it can
    """

    host: str
    name: str
    lines: tuple[str, ...] = ()
    error: str = ''


class OtherAction(_Part, frozen=True, kw_only=True):
    """Another instance action between the request and the end.

    :ivar name: such as ``resetState``
    :ivar user: id of the user who asked for it
    :ivar started_at: by the cloud's clock, UTC without a zone
    """

    name: str
    user: str
    started_at: str


class GuestState(_Part, frozen=True, kw_only=True):
    """A guest after its migration.

    :ivar answers: whether it answers probes; null if it was not probed
    :ivar boot_id_before: boot id before the migration; empty if not read
    :ivar boot_id_after: boot id after the migration; empty if not read
    :ivar boot_id_error: why the guest could not be inspected
    :ivar libvirt_state: activity of a silent guest, as libvirt shows it;
        empty without access to its host, and for a guest that answers
    :ivar silent_s: time for which a silent guest was watched since its last
        answer; null for a guest that answers or was not probed
    """

    answers: bool | None = None
    boot_id_before: str = ''
    boot_id_after: str = ''
    boot_id_error: str = ''
    libvirt_state: str = ''
    silent_s: float | None = None


class Outage(_Part, frozen=True, kw_only=True):
    """A time in which no probe was answered in time.

    :ivar start_ns: begin, CLOCK_MONOTONIC
    :ivar end_ns: end, CLOCK_MONOTONIC
    :ivar duration_s: length
    :ivar error_bound_s: the length is wrong by no more than this
    :ivar lost: probes that were never answered
    :ivar late: probes that were answered when it was over
    :ivar kind: ``lost``, ``held`` (all probes were answered late) or
        ``mixed``
    :ivar open: whether it lasted beyond the end of the observation
    """

    start_ns: int
    end_ns: int
    duration_s: float
    error_bound_s: float
    lost: int
    late: int
    kind: str
    open: bool


class Sending(_Part, frozen=True, kw_only=True):
    """How well the prober kept its schedule for one guest.

    :ivar period_s: nominal time between two probes
    :ivar achieved_period_s: mean time between two probes; 0 if not known
    :ivar max_gap_s: longest time without a probe
    :ivar resolution_s: no longer outage can have been missed
    :ivar lateness_p50_s: median lateness of a probe
    :ivar lateness_p99_s: 99th percentile of the lateness
    :ivar lateness_max_s: maximum lateness
    """

    period_s: float
    achieved_period_s: float
    max_gap_s: float
    resolution_s: float
    lateness_p50_s: float
    lateness_p99_s: float
    lateness_max_s: float


class OutageFigures(_Part, frozen=True, kw_only=True):
    """Answers of one guest to ICMP probes in one window of time.

    :ivar sent: probes sent
    :ivar answered: probes answered
    :ivar lost: probes not answered, but for those still under way
    :ivar late: probes answered later than usual by a period or more
    :ivar scattered: probes lost outside any outage
    :ivar longest_s: length of the longest outage; 0 if there was none
    :ivar error_bound_s: error bound of ``longest_s``; without an outage, the
        longest outage that may have been missed
    :ivar open: whether an outage lasted beyond the end of the observation
    :ivar sum_s: total length of all outages
    :ivar outages: all outages, in order
    :ivar sending: quality of the sending
    :ivar delay_p50_s: median delay of an answer; 0 if there was none
    :ivar delay_p99_s: 99th percentile of the delay of ordinary answers
    :ivar send_errors: probes that the local machine refused to send
    :ivar send_error: the last error of that kind
    """

    sent: int
    answered: int
    lost: int
    late: int
    scattered: int
    longest_s: float
    error_bound_s: float
    open: bool
    sum_s: float
    outages: tuple[Outage, ...]
    sending: Sending
    delay_p50_s: float
    delay_p99_s: float
    send_errors: int
    send_error: str

    @property
    def longest(self) -> Outage | None:
        """The longest outage; None if there was none."""
        return max(self.outages, key=lambda each: each.duration_s,
                   default=None)


class StallFigures(_Part, frozen=True, kw_only=True):
    """Progress of one guest's TCP stream in one window of time.

    :ivar start_ns: begin of the longest stall, CLOCK_MONOTONIC
    :ivar longest_s: longest time between two echoes
    :ivar error_bound_s: the cause may have lasted less by this much
    :ivar open: whether the stall lasted beyond the window
    :ivar never_echoed: whether nothing ever came back
    :ivar sent: messages sent in the window
    :ivar outstanding: messages not back at the window's end, not counted as
        lost
    :ivar period_s: nominal time between two messages
    :ivar achieved_period_s: mean time between two messages; 0 if not known
    :ivar broken: why connections broke in the window; empty if none did
    :ivar breaks_total: broken connections since the beginning, as for all
        counters below
    :ivar resets: connections that were reset
    :ivar closes: connections that the guest closed
    :ivar reconnects: how often a new connection brought an echo again
    :ivar connect_failures: failed attempts to connect
    :ivar connect_error: the last error of that kind
    :ivar lost: messages that were lost
    :ivar repeated: messages that came back twice
    :ivar corrupt: lines that came back and were never sent
    :ivar example: the first corrupt line
    :ivar skipped: messages not sent because the socket was full
    :ivar retransmissions: segments that the kernel sent again
    :ivar last_sent: number of the last message sent; -1 if none
    :ivar last_echoed: number of the last message that came back; -1 if none
    :ivar error: why the guest was given up; empty if it was not
    :ivar trouble: present trouble at the end; empty if there is none
    """

    start_ns: int
    longest_s: float
    error_bound_s: float
    open: bool
    never_echoed: bool
    sent: int
    outstanding: int
    period_s: float
    achieved_period_s: float
    broken: str
    breaks_total: int
    resets: int
    closes: int
    reconnects: int
    connect_failures: int
    connect_error: str
    lost: int
    repeated: int
    corrupt: int
    example: str
    skipped: int
    retransmissions: int
    last_sent: int
    last_echoed: int
    error: str
    trouble: str


class ProberQuality(_Part, frozen=True, kw_only=True):
    """How well the prober kept its schedule for all guests together.

    :ivar period_s: nominal time between two probes of one guest
    :ivar achieved_period_s: mean time between two probes; 0 if not known
    :ivar lateness_p50_s: median lateness of a probe
    :ivar lateness_p99_s: 99th percentile of the lateness
    :ivar lateness_max_s: maximum lateness
    :ivar max_gap_s: longest time without a probe of one guest
    :ivar due: probes that were due
    :ivar deadlines_missed: probes never sent because time was over
    :ivar send_errors: probes that the local machine refused to send
    :ivar wall_clock_steps: how often the wall clock was set
    :ivar kernel_stamps_refused: answers without a usable kernel time stamp
    :ivar answers_dropped: packets that the local machine dropped
    :ivar too_busy: whether the local machine was too busy to measure
    """

    period_s: float
    achieved_period_s: float
    lateness_p50_s: float
    lateness_p99_s: float
    lateness_max_s: float
    max_gap_s: float
    due: int
    deadlines_missed: int
    send_errors: int
    wall_clock_steps: int
    kernel_stamps_refused: int
    answers_dropped: int
    too_busy: bool


class Continuity(_Part, frozen=True, kw_only=True):
    """Continuity of one guest during its migration.

    :ivar address: address that was probed
    :ivar outage: ICMP probes from the request until some seconds after the
        end
    :ivar control: ICMP probes at all other times
    :ivar stall: the TCP stream in the same window as ``outage``; null if
        there was none
    :ivar quality: quality of the measurement
    """

    address: str
    outage: OutageFigures
    control: OutageFigures
    stall: StallFigures | None
    quality: ProberQuality


class LibvirtJob(_Part, frozen=True, kw_only=True):
    """libvirt's statistics of a migration (domjobinfo).

    In results, that of a completed one, as its destination knows it.

    Times without ``_net`` include the difference of both hosts' clocks.

    :ivar total_ms: from the start of the job until the guest ran on the
        destination
    :ivar total_net_ms: the same without the hand-over between the hosts
    :ivar downtime_ms: guest pause: from the stop of the CPUs on the source
        until they run on the destination
    :ivar downtime_net_ms: the same without the hand-over
    :ivar setup_ms: preparation before the first page is sent
    :ivar memory_bytes_total: the guest's memory
    :ivar memory_bytes_processed: memory sent, resent pages included
    :ivar memory_bytes_remaining: memory left at the end
    :ivar memory_bytes_per_s: last throughput
    :ivar page_bytes: size of a page
    :ivar dirty_pages_per_s: last dirty rate
    :ivar iterations: passes over dirty memory
    :ivar postcopy_requests: pages that the destination asked for
    :ivar disk_bytes_total: disk data to copy
    :ivar disk_bytes_processed: disk data sent
    :ivar disk_bytes_remaining: disk data left at the end
    :ivar throttle_percent: throttling by auto-converge
    """

    total_ms: int | None = None
    total_net_ms: int | None = None
    downtime_ms: int | None = None
    downtime_net_ms: int | None = None
    setup_ms: int | None = None
    memory_bytes_total: int | None = None
    memory_bytes_processed: int | None = None
    memory_bytes_remaining: int | None = None
    memory_bytes_per_s: int | None = None
    page_bytes: int | None = None
    dirty_pages_per_s: int | None = None
    iterations: int | None = None
    postcopy_requests: int | None = None
    disk_bytes_total: int | None = None
    disk_bytes_processed: int | None = None
    disk_bytes_remaining: int | None = None
    throttle_percent: int | None = None


class Concurrency(_Part, frozen=True, kw_only=True):
    """Live migrations that one source host ran at once during a drain.

    :ivar host: name of the host
    :ivar running: maximum number that ran at once
    :ivar queued: maximum number that waited at once
    :ivar mean: mean number that ran at once while any ran
    :ivar busy_s: time in which any ran
    :ivar idle_s: time in which none ran although some waited
    :ivar full: maximum number that ran while another one had to wait; null
        if none had to wait
    """

    host: str
    running: int
    queued: int
    mean: float
    busy_s: float
    idle_s: float
    full: int | None


class Sockets(_Part, frozen=True, kw_only=True):
    """TCP connections between two hosts during a drain.

    :ivar transport: ``direct``, ``tunnelled`` or ``unseen``
    :ivar samples: how often the sockets were listed
    :ivar qemu_ports: ports of QEMU on the destination
    :ivar qemu_connections: maximum number of connections to them at once
    :ivar libvirt_ports: ports of libvirt on the destination
    :ivar error: why a list is missing; null if none is
    """

    transport: str
    samples: int
    qemu_ports: tuple[int, ...]
    qemu_connections: int
    libvirt_ports: tuple[int, ...]
    error: str | None = None


class InterfaceRate(_Part, frozen=True, kw_only=True):
    """Traffic of one network interface."""

    received_bytes_per_s: float
    sent_bytes_per_s: float


class HostSample(_Part, frozen=True, kw_only=True):
    """Load of a host, read between two times. Rates are null in the first.

    :ivar before_ns: before the host was asked, CLOCK_MONOTONIC
    :ivar after_ns: when its answer had arrived
    :ivar seconds: time since the sample before, by the host's clock
    :ivar cpu_busy_fraction: busy part of all CPUs' time
    :ivar cpu_stolen_fraction: part that a hypervisor below took
    :ivar memory_total_bytes: memory of the host
    :ivar memory_available_bytes: memory that is available without swapping
    :ivar received_bytes_per_s: all interfaces but lo together
    :ivar sent_bytes_per_s: the same
    :ivar read_bytes_per_s: all disks together
    :ivar written_bytes_per_s: the same
    :ivar interfaces: traffic by name, of interfaces with any
    """

    before_ns: int
    after_ns: int
    seconds: float | None = None
    cpu_busy_fraction: float | None = None
    cpu_stolen_fraction: float | None = None
    memory_total_bytes: int
    memory_available_bytes: int
    received_bytes_per_s: float | None = None
    sent_bytes_per_s: float | None = None
    read_bytes_per_s: float | None = None
    written_bytes_per_s: float | None = None
    interfaces: dict[str, InterfaceRate] = {}

    @property
    def at_monotonic_s(self) -> float:
        """Middle between both times, in seconds, CLOCK_MONOTONIC."""
        return (self.before_ns + self.after_ns) / 2e9


class MissedSample(_Part, frozen=True, kw_only=True):
    """A sample that could not be read.

    :ivar before_ns: before the host was asked, CLOCK_MONOTONIC
    :ivar after_ns: when the attempt had failed
    :ivar error: why
    """

    before_ns: int
    after_ns: int
    error: str


class HostSamples(_Part, frozen=True, kw_only=True):
    """Samples of one host during a drain.

    :ivar host: its name
    :ivar period_s: nominal time between two samples
    :ivar samples: in order of time
    :ivar missed: samples that could not be read
    """

    host: str
    period_s: float
    samples: tuple[HostSample, ...]
    missed: tuple[MissedSample, ...] = ()


class ComputeHost(_Part, frozen=True, kw_only=True):
    """Versions on one compute host, when the run began.

    Without access to the host, only nova's API tells versions, and it tells
    none but that of the hypervisor.

    :ivar host: its name
    :ivar hypervisor_type: such as ``QEMU``
    :ivar hypervisor_version: such as 10.0.2: with access to the host that of
        the QEMU that libvirt starts now, without it the one that nova-compute
        reported last
    :ivar libvirt_version: of the daemon that runs; null without access
    :ivar nova_version: of the nova-compute that runs, with the Git commit
        (``+g1234abc``) if it is not a release; null without access
    :ivar ovn_version: of the ovn-controller that runs; null without access,
        and if there is none
    """

    host: str
    hypervisor_type: str
    hypervisor_version: str
    libvirt_version: str | None = None
    nova_version: str | None = None
    ovn_version: str | None = None


class Line(_Part, frozen=True, kw_only=True, tag_field='kind'):
    """Fields of every line.

    :ivar version: version of the format
    :ivar previous: SHA-256 of the line before, without its line end
    :ivar run: name of the run
    :ivar written_at: when the line was written
    """

    version: int = VERSION
    previous: str = NO_DIGEST
    run: str = ''
    written_at: datetime.datetime = datetime.datetime.fromtimestamp(
        0, datetime.UTC)


class RunStarted(Line, frozen=True, kw_only=True, tag='run'):
    """The first line: plugin and cloud.

    :ivar started_at: when the run began
    :ivar plugin_version: version of this plugin
    :ivar plugin_commit: its Git commit; empty if it is not known
    :ivar region: region of the cloud
    :ivar compute_api: newest microversion of the compute API
    :ivar hosts: compute hosts
    """

    started_at: datetime.datetime
    plugin_version: str
    plugin_commit: str
    region: str
    compute_api: str
    hosts: tuple[ComputeHost, ...]


class _OfDrain(Line, frozen=True, kw_only=True):
    """Fields that all lines about a drain share.

    :ivar drain: id of the drain within the run
    :ivar test: id of the test, or name of the command
    :ivar settings: settings and storage that were declared or set
    :ivar workload: work of the guests meanwhile
    :ivar strategy: such as ``window of 2``; ``by others`` for a migration
        that somebody else requested
    :ivar servers: number of servers of the drain
    :ivar round_trip: number of the round trip, from 1
    :ivar measured: whether its figures count; false for a warm-up and for a
        migration that was interfered with
    :ivar source: name of the source host; empty for several
    :ivar destination: name of the destination host; empty for several, and if
        the scheduler chooses
    """

    drain: str
    test: str
    settings: Settings
    workload: WorkloadChoice = WorkloadChoice()
    strategy: str
    servers: int
    round_trip: int
    measured: bool
    source: str
    destination: str


class DrainStarted(_OfDrain, frozen=True, kw_only=True, tag='drain-started'):
    """Written before the first request of a drain.

    A server without a :class:`MigrationResult` in this drain was never
    judged: the run was killed, or the test failed before.

    :ivar server_ids: UUIDs of the servers
    """

    server_ids: tuple[str, ...]


class MigrationEnded(Line, frozen=True, kw_only=True, tag='migration-ended'):
    """Written as soon as a migration has ended, before it is judged.

    :ivar drain: id of the drain within the run
    :ivar server_id: UUID of the server
    :ivar source: name of the source host
    :ivar destination: name of the destination host
    :ivar requested_at: when it was requested
    :ivar duration_s: from the request to the end
    :ivar record_status: status of nova's migration record; empty if there is
        none
    :ivar server_status: status of the server; GONE if there is none
    :ivar timed_out: the condition that timed out; empty if none did
    """

    drain: str
    server_id: str
    source: str
    destination: str
    requested_at: datetime.datetime
    duration_s: float
    record_status: str
    server_status: str
    timed_out: str


class MigrationResult(_OfDrain, frozen=True, kw_only=True, tag='migration'):
    """One live migration, judged.

    :ivar migration: id of the migration within the run
    :ivar server_id: UUID of the server
    :ivar server_name: its name
    :ivar flavor: its size
    :ivar block_migration: as it was requested; ``unknown`` if somebody else
        requested it
    :ivar microversion: of the request; empty if it is not known
    :ivar request_id: nova's id of the request
    :ivar refusal: nova's answer if it refused; null otherwise
    :ivar requested_at: when it was requested
    :ivar requested_monotonic_s: the same, CLOCK_MONOTONIC
    :ivar duration_s: from the request to the end
    :ivar queue_s: time in nova's queue on the source host
    :ivar phases: the phases that are known, in order
    :ivar service: time from setup to the end; null if it is not known
    :ivar verdict: such as ``completed``
    :ivar expected_verdicts: verdicts that are no problem
    :ivar cause: why; empty if it was completed
    :ivar signature: slug of the known cause; empty if there is none
    :ivar problems: problems of this server; empty if all is well
    :ivar records: nova's migration records of this request
    :ivar transitions: changes, in order
    :ivar progress: progress of the copy
    :ivar events: events of nova's instance action
    :ivar server_status: final status; GONE if there is no server
    :ivar server_task_state: final task state
    :ivar server_host: final host
    :ivar guest: state of the guest
    :ivar continuity: probes of the guest; null if it was not probed
    :ivar job: libvirt's statistics; null if they are not known
    :ivar work: figures of the workload; null for idle guests, and if the
        guest cannot be asked
    :ivar traces: traces on the source and on the destination; empty without
        access to the hosts
    :ivar hardware_before: virtual hardware of the guest before the request;
        null without access to the source
    :ivar other_actions: other instance actions meanwhile
    :ivar reason: class of the reason that the logs of the hosts show, such as
        ``certificate``; empty if they show none
    :ivar max_outage_s: bound of the outage
    :ivar max_stall_s: bound of the stall
    """

    migration: str
    server_id: str
    server_name: str
    flavor: Flavor
    block_migration: str | bool
    microversion: str
    request_id: str
    refusal: Refusal | None
    requested_at: datetime.datetime
    requested_monotonic_s: float
    duration_s: float
    queue_s: float
    phases: tuple[Phase, ...]
    service: Phase | None
    verdict: str
    expected_verdicts: tuple[str, ...]
    cause: str
    signature: str
    problems: tuple[Problem, ...]
    records: tuple[MigrationRecord, ...]
    transitions: tuple[Transition, ...]
    progress: tuple[Progress, ...]
    events: tuple[str, ...]
    server_status: str
    server_task_state: str | None
    server_host: str | None
    guest: GuestState
    continuity: Continuity | None
    job: LibvirtJob | None
    work: WorkloadFigures | None = None
    traces: tuple[HostTraces, ...] = ()
    hardware_before: GuestHardware | None = None
    other_actions: tuple[OtherAction, ...] = ()
    reason: str = ''
    max_outage_s: float
    max_stall_s: float

    @property
    def completed(self) -> bool:
        """Whether the verdict is completed."""
        return self.verdict == COMPLETED

    @property
    def expected(self) -> bool:
        """Whether the verdict is one of the expected ones."""
        return self.verdict in self.expected_verdicts


class DrainResult(_OfDrain, frozen=True, kw_only=True, tag='drain'):
    """Servers that were live-migrated together. Written after all of them.

    :ivar started_at: when the drain began
    :ivar started_monotonic_s: the same, CLOCK_MONOTONIC
    :ivar wall_s: from the first request to the last end
    :ivar concurrency: of each source host
    :ivar polls: how often nova was asked
    :ivar poll_errors: how often that failed
    :ivar checks: which checks ran
    :ivar problems: problems of hosts or of the whole drain
    :ivar sockets: connections between both hosts; null without access
    :ivar hosts: samples of both hosts
    :ivar cloud_clock_ahead_s: the cloud's clock minus ours; null if its
        answers have no date
    """

    started_at: datetime.datetime
    started_monotonic_s: float
    wall_s: float
    concurrency: tuple[Concurrency, ...]
    polls: int
    poll_errors: int
    checks: tuple[CheckOutcome, ...]
    problems: tuple[Problem, ...]
    sockets: Sockets | None
    hosts: tuple[HostSamples, ...]
    cloud_clock_ahead_s: float | None = None


class TestFailure(Line, frozen=True, kw_only=True, tag='test-failure'):
    """A test that failed, for any reason.

    :ivar test: id of the test
    :ivar reason: why, on one line; only the exception's class if other
        software raised it, since its text may contain a password
    """

    test: str
    reason: str


AnyLine = (RunStarted | DrainStarted | MigrationEnded | MigrationResult |
           DrainResult | TestFailure)
