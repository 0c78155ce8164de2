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

"""Classes of reasons for which a migration failed, by the hosts' logs.

Texts are those of libvirt 9 to 11, QEMU 7 to 10 and nova 34. nova-compute on
the source logs libvirt's message. That may say only that a connection broke,
while QEMU or libvirtd of either host know why.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import re

from lm_tempest_plugin.hosts.logs import LIBVIRTD
from lm_tempest_plugin.hosts.logs import NOVA_COMPUTE
from lm_tempest_plugin.hosts.logs import QEMU
from lm_tempest_plugin.results import schema

OTHER, TIME_OUT = 'other', 'time-out'
# The first match counts.
_CLASSES = tuple((slug, re.compile(pattern)) for slug, pattern in (
    # virDomainAbortJob().
    ('aborted', r'cancell?ed by client'),
    # virnettlscontext.c; QEMU's crypto/tls*.c. Before authentication:
    # "authentication failed: Failed to verify peer's certificate".
    ('certificate', r'[Cc]ertificate|x509|TLS handshake|TLS channel|'
     r'tls-creds|/etc/pki/'),
    # VIR_ERR_AUTH_*; ssh; SASL.
    ('authentication', r'[Aa]uthentication (failed|unavailable|cancelled)|'
     r'Host key verification failed|Permission denied[ ,]+(\(|please)|SASL'),
    # GlanceConnectionFailed, ImageNotFound, ImageUnacceptable.
    ('image', r'glance host|Image \S+ (could not be found|is unacceptable)'),
    # keystoneauth: another service of OpenStack. Its text names the error of
    # the connection, too.
    ('api', r'Unable to establish connection to http'),
    # getaddrinfo(); QEMU's util/qemu-sockets.c.
    ('name-resolution', r'Name or service not known|[Uu]nable to resolve|'
     r'address resolution failed|Temporary failure in name resolution|'
     r'No address associated with hostname|Could not resolve'),
    # A libvirtd that starts looks for the QEMU processes of before. Its banner
    # ("libvirt version") is no sign of a start: it comes with the first
    # message, however long after it.
    ('connection-refused', r'(?<!monitor socket: )Connection refused'),
    ('no-route', r'No route to host|Network is unreachable|'
     r'Cannot assign requested address'),
    # InvalidCPUInfo, CPU comparison; VIR_ERR_CPU_INCOMPATIBLE; QEMU's -cpu
    # enforce.
    ('cpu', r'CPU (info|model|doesn|is not)|[Hh]ost CPU|guest CPU|'
     r'requested feature: CPUID'),
    ('machine-type', r'[Mm]achine type'),
    # DestinationDiskExists.
    ('disk-exists', r'already exists, it is expected not to exist'),
    # virDomainObjListAdd().
    ('domain-exists', r"domain '.*' (already exists|is already)|"
     r'domain is already (active|being)'),
    # ENOSPC; the driver's comparison of disks with the free space.
    ('disk-space', r'No space left on device|Disk of instance is too large'),
    # VIR_ERR_NO_SECRET, such as Ceph's.
    ('secret', r'(?i:secret not found)|no secret with matching'),
    # ENOMEM; the conductor's comparison of memory; huge pages.
    ('out-of-memory', r'[Cc]annot allocate memory|[Oo]ut of memory|'
     r'cannot set up guest memory|Lack of memory|'
     r'Insufficient free host memory'),
    # VIR_ERR_MIGRATE_UNSAFE, InvalidSharedStorage, InvalidLocalStorage; RBD;
    # locks of disks, NBD exports and backing files in QEMU's block layer.
    ('storage', r'Unsafe migration|not on (shared|local) storage|'
     r'[Cc]annot access storage|error connecting: |error reading header|'
     r"Failed to get (shared )?[\"'](write|consistent read)|"
     r'Could not (open|read) |Block node is read-only|No such image'),
    # QEMU's migration/savevm.c, vmstate.c, ram.c. Where it is not of a device
    # ("section id 2(ram)"), the stream broke.
    ('device-state', r'error while loading state for|'
     r'Unknown (savevm|ramblock)|Length mismatch|Not a migration stream|'
     r'load of migration failed: Invalid argument'),
    ('unsupported', r'unsupported configuration|is not supported'),
    # VIR_DOMAIN_SHUTOFF_DAEMON: a libvirtd that starts ends the guests whose
    # migration it does not know any more.
    ('libvirtd-restarted', r'reason=daemon'),
    # _get_neutron_events_for_live_migration().
    ('vif-plug', r'Timeout waiting for .*network-vif-plugged'),
    # Not the lock of a domain, for which everybody waits during a migration.
    (TIME_OUT, r'[Tt]imed out(?! during operation: cannot acquire)|'
     r'keepalive timeout|MessagingTimeout'),
))
# A sign that something else has happened before.
_GENERIC = tuple((slug, re.compile(pattern)) for slug, pattern in (
    ('qemu-ended', r"domain( '.*')? is not running|closed the monitor|"
     r'Unable to read from monitor|guest unexpectedly quit|'
     r'reason=(crashed|destroyed)'),
    ('connection-lost', r'client socket is closed|Connection reset by peer|'
     r'Lost connection to destination host|'
     r'Broken pipe|received hangup|Unable to write to socket|'
     r'Input/output error'),
))

# The text behind oslo.log's logging_context_format_string or
# logging_exception_prefix. The frames of a traceback are indented, and do not
# match.
_NOVA = re.compile(r' (?:ERROR|CRITICAL|WARNING) [\w.]+ '
                   r'(?:\[(?:None )?(?:req-|-)[^]]*\] )?'
                   r'(?:\[instance: [^]]*\] )?((?!\[instance: )\S.*)')
# should_trigger_timeout_action() in nova/virt/libvirt/migration.py.
_NOT_COMPLETED = 'Live migration not completed after'
_FAILURE, _LIBVIRT_ERROR = 'Live Migration failure: ', 'libvirt.libvirtError: '
_EXCEPTION = re.compile(r'.*\b(?:[a-z_]\w*\.)+[A-Z]\w+: (.+)')
# virLogFormatString(): time, thread, priority, function and line. The journal
# has the message alone.
_LIBVIRTD = re.compile(r'(?:: error : \w+:\d+ : |\w\[\d+\]: )(.+)')
# QEMU's error_report(), and libvirt's notes in QEMU's log.
_QEMU = re.compile(r'(?:\bqemu-[\w-]+|\+0000): (?!warning: |info: )(.+)')


@dataclasses.dataclass(frozen=True)
class Reason:
    """The reason that a log shows.

    :ivar slug: its class, such as certificate
    :ivar text: the message, without its time; with log and host unless nova
        logged it
    """

    slug: str
    text: str


def classify(logs: Iterable[schema.HostLog]) -> Reason | None:
    """Return the reason that logs show; None if they show none.

    Messages that name a cause go before those that only say that QEMU or a
    connection ended, wherever they were logged.

    :param logs: lines that belong to one migration
    """
    failures, others = _messages(list(logs))
    if any(_CLASSES[0][1].search(text) for text in failures):
        # nova aborts after its own time-out, or switches to post-copy.
        for text in others:
            if _NOT_COMPLETED in text:
                return Reason(TIME_OUT, text)
    for classes in (_CLASSES, _GENERIC):
        for text in (*failures, *others):
            for slug, pattern in classes:
                if pattern.search(text):
                    return Reason(slug, text)
    # Messages of the others may have nothing to do with it.
    return Reason(OTHER, failures[0]) if failures else None


def _messages(logs: Sequence[schema.HostLog]) -> tuple[list[str], list[str]]:
    """Return the messages of failed migrations, and all other errors.

    The nearest to the cause come first.
    """
    def found(name: str, pattern: re.Pattern[str]) -> Iterator[str]:
        # The first of both hosts is the cause of the others. Lines of libvirt
        # and QEMU begin with the time in UTC.
        for line, host in sorted((line, log.host) for log in logs
                                 if log.name == name for line in log.lines):
            match = pattern.search(line)
            if match:
                yield f'{name} on host {host}: {match[1]}'

    nova = [match[1] for log in logs if log.name == NOVA_COMPUTE
            for match in map(_NOVA.search, log.lines) if match]
    # oslo.log appends the exception, which has the same text.
    failures = [
        text.partition(_FAILURE)[2].partition(f': {_LIBVIRT_ERROR}')[0]
        for text in nova if _FAILURE in text]
    # Lines of libvirtd may belong to other migrations at the same time. If
    # QEMU ended, its own log says why.
    ended = any(_GENERIC[0][1].search(text) for text in failures)
    return failures, [
        *(text.rpartition(_LIBVIRT_ERROR)[2] for text in nova
          if _LIBVIRT_ERROR in text),
        *found(QEMU, _QEMU),
        *(() if ended else found(LIBVIRTD, _LIBVIRTD)),
        *(_EXCEPTION.sub(r'\1', text) for text in nova)]
