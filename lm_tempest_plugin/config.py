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

"""Every option of the plugin: type, unit, bounds and help.

All options are in groups of our own. Only this module and the tests read
Tempest's configuration; everything else gets values.
"""

from collections.abc import Callable
from collections.abc import Iterable
import math
import pathlib
import re
from typing import Any
from typing import NamedTuple

from oslo_config import cfg
from oslo_config import types
from tempest.lib import exceptions

from lm_tempest_plugin.results import schema


# `tempest live-migration-ha recover` has the same default.
UNDO_LOG = '~/.local/state/live-migration-ha'
# Time for nova-compute to stop, and again to start.
RESTART_S = 300.0
RESTART_BOUNDS_S = (1.0, 3600.0)
# Major and minor number, without leading zeros.
MICROVERSION = r'([1-9][0-9]*)\.(0|[1-9][0-9]*)'
RUN_NAME = '([A-Za-z0-9_-][A-Za-z0-9._-]*)?'
# Servers, batches, round trips, connections.
COUNT = types.Integer(min=1, max=1000)
# Which pairs of hosts cover hosts, and the facts in which both have to agree.
HOST_PAIRS = ('ring', 'all', 'release')
HOST_FACTS = ('zone', 'aggregates', 'architecture', 'hypervisor', 'cpu')


class Tolerant(types.ConfigType):
    """Accept a wrong value at first, and refuse it only in check().

    Tempest reads every option when it starts. If one of ours raised an error
    then, no test of any plugin could be imported, and the reason would be lost
    among many messages.

    :param kind: a type of oslo.config
    :param condition: returns the fault of a converted value, or an empty text
    """

    def __init__(self, kind: Any,
                 condition: Callable[[Any], str] = lambda value: '') -> None:
        super().__init__(type_name=kind.type_name)
        self.kind = kind
        self._condition = condition
        # List and Dict try to join items that their type refuses, with a
        # comma, and then complain about the joined text. Let them accept
        # all, and refuse afterwards.
        for nested in ('item_type', 'value_type'):
            if hasattr(kind, nested):
                setattr(kind, nested, Tolerant(getattr(kind, nested)))

    def __getattr__(self, name: str) -> Any:
        # oslo.config reads bounds, choices and the name of the type.
        if name == 'kind':
            raise AttributeError(name)
        return getattr(self.kind, name)

    def _formatter(self, value: Any) -> str:
        return str(self.kind._formatter(value))

    def __call__(self, value: Any) -> Any:
        """Return a value, converted if it is correct."""
        try:
            return self.strict(value)
        except ValueError:
            return value

    def strict(self, value: Any) -> Any:
        """Return a value, converted.

        :raises ValueError: it has another type, or is out of bounds
        """
        # An option without a default, and without a value.
        if value is None and not isinstance(self.kind, types.Number):
            return None
        value = self.kind(value)
        # The type of the items, if it has some, is tolerant as well.
        if isinstance(self.kind, types.List):
            value = [self.item_type.strict(item) for item in value]
        elif isinstance(self.kind, types.Dict):
            value = {name: self.value_type.strict(item)
                     for name, item in value.items()}
        elif isinstance(self.kind, types.Number) and (
                value is None or not math.isfinite(value)):
            # oslo.config accepts an empty text and nan as numbers.
            raise ValueError('Should be a finite number')
        fault = self._condition(value)
        if fault:
            raise ValueError(fault)
        return value


def _checked(opt: cfg.Opt, condition: Callable[[Any], str]) -> cfg.Opt:
    """Add a condition that oslo.config has no type for."""
    opt.type = Tolerant(opt.type, condition)
    return opt


class WorkloadKind(NamedTuple):
    """Work of a guest while it is migrated.

    :ivar name: value of option workload
    :ivar unit: unit of its rate; empty for none
    :ivar per_s: rate if none is given
    :ivar in_memory: whether it works in a memory of a given size
    :ivar about: the work, for the documentation
    """

    name: str
    unit: str = ''
    per_s: float = 0.0
    in_memory: bool = False
    about: str = ''


# A guest in software emulation reaches these rates.
WORKLOADS = (
    WorkloadKind('idle', about='none: the guest only answers probes'),
    WorkloadKind('memory', 'MiB', 16.0, True,
                 'writes memory, again and again; 0 for as fast as it can'),
    WorkloadKind('keeper', 'MiB', 2.0, True,
                 'increments a counter in every page, and compares all pages'),
    WorkloadKind('disk', 'writes', 4.0,
                 about='writes blocks of 4 KiB to its disk, each with fsync'),
    WorkloadKind('wordcount', 'words', 10000.0,
                 about='counts the words of a text that this machine streams '
                 'to it, and registers them on its disk each second'),
)


def workloads_table() -> list[tuple[str, ...]]:
    """Return WORKLOADS as rows of text for the documentation.

    The first row has the headings.
    """
    return [('Name', 'Work of the guest', 'Rate if none is given'),
            *((each.name, each.about,
               f'{each.per_s:g} {each.unit}/s' if each.unit else '')
              for each in WORKLOADS)]


def workload(text: str, memory_mib: int) -> schema.WorkloadChoice:
    """Return the workload that a value of an option stands for.

    :param text: NAME or NAME:RATE
    :param memory_mib: value of option workload_memory_mib
    :raises ValueError: there is no such workload, or it has no such rate
    """
    name, colon, rate = text.partition(':')
    kind = next((each for each in WORKLOADS if each.name == name), None)
    if kind is None:
        raise ValueError(
            f'{name!r} is no workload; there are: '
            f'{", ".join(each.name for each in WORKLOADS)}')
    if not colon:
        per_s = kind.per_s
    elif not kind.unit:
        raise ValueError(f'workload {name} has no rate')
    elif re.fullmatch(r'[1-9]\d{0,6}', rate) or (
            rate == '0' and name == 'memory'):
        per_s = float(rate)
    else:
        raise ValueError(f'{rate!r} {kind.unit}/s is no rate of workload '
                         f'{name}, such as {name}:{kind.per_s:g}')
    if name == 'disk' and per_s > 100:
        raise ValueError('workload disk does at most 100 writes/s')
    return schema.WorkloadChoice(
        name=name, per_s=per_s, unit=kind.unit,
        memory_mib=memory_mib if kind.in_memory else 0)


def _workload_fault(text: str) -> str:
    """Return why a value of an option is no workload; empty if it is one."""
    try:
        workload(text, 1)
    except ValueError as exc:
        return str(exc)
    return ''


live_migration_ha_group = cfg.OptGroup(
    name='live_migration_ha',
    title='Live migration under observation',
    help='Bounds for the effect of a live migration on a guest, sizes of the '
         'tests, and how they observe.')

_bound_opts = [
    cfg.FloatOpt(
        'max_outage', default=1.0, min=0.01, max=3600.0,
        help='Longest outage that a live migration may cause, in seconds: '
        'time in which the guest answers no ICMP echo request. The default '
        'is twice the pause that nova aims at (nova.conf: '
        '[libvirt]live_migration_downtime, 500 ms); the rest is for the '
        'network, which has to follow the guest.'),
    cfg.FloatOpt(
        'max_stall', default=3.0, min=0.05, max=3600.0,
        help='Longest stall that a live migration may cause, in seconds: '
        'time in which a TCP connection to the guest makes no progress. It '
        'cannot be smaller than max_outage, because TCP sends lost data '
        'again only after 0.2 s, then 0.6, 1.4, 3.0 and 6.2 s after the '
        'loss: an outage of 0.3 s stalls a connection for 0.65 s, one of '
        '1.0 s for 1.5 s, one of 2.0 s for 3.1 s. The default is the '
        'longest stall that an outage of the default max_outage can cause, '
        'also where the first of these steps takes 0.4 s.'),
    cfg.FloatOpt(
        'max_forced_outage', default=30.0, min=0.01, max=3600.0,
        help='Longest outage, in seconds, of a live migration that is '
        'completed by force: nova pauses the guest until the rest is '
        'copied, or switches to post-copy. The bound of the stall is twice '
        'this and one second more, because TCP doubles its waiting time '
        'after each loss.'),
]

_drain_opts = [
    cfg.IntOpt(
        'drain_servers', default=12, min=2, max=1000,
        help='Number of servers of a drain. The default is that of the '
        'white paper of 2017. If the hosts have no room for as many, or the '
        'quota of a project that Tempest did not create allows fewer, the '
        'tests use as many as fit, at least 2, and log that.'),
    _checked(cfg.ListOpt(
        'batch_sizes', default=[1, 2, 3, 4], item_type=COUNT,
        help='Numbers of live migrations that are requested together, one '
        'drain for each number: a batch has to end before the next one is '
        'requested. The default is that of the white paper of 2017.'),
        lambda sizes: '' if sizes else 'Should have at least 1 value'),
    cfg.IntOpt(
        'window_size', default=4, min=1, max=1000,
        help='Number of live migrations in flight in a drain that requests '
        'the next one as soon as one ends. One more than the source host '
        'runs at once keeps the host busy.'),
    cfg.IntOpt(
        'round_trips', default=1, min=1, max=1000,
        help='Number of times that the servers of a drain go to the other '
        'host and back, for each batch size and in each combination of '
        'settings; 20 in the white paper of 2017.'),
    cfg.IntOpt(
        'seed', default=0, min=0, max=2 ** 31 - 1,
        help='Seed of the random order of batch sizes in each round trip, '
        'and of combinations of settings. The order is random, so that a '
        'drift of the cloud does not look like an effect of the slowest '
        'changing setting.'),
    cfg.IntOpt(
        'max_concurrent_live_migrations', default=0, min=0, max=1000,
        help='Value of [DEFAULT]max_concurrent_live_migrations in nova.conf '
        'of the compute hosts. Tests that migrate several servers fail if '
        'they observe another number. 0, the default, to check nothing; '
        "nova's own default is 1."),
    cfg.StrOpt(
        'canary_key_file', default='',
        help='Path of the private key of the canaries: servers that '
        '`tempest live-migration-ha bootstrap --canaries` built, perhaps '
        'before an upgrade, and that the tests of upgrades move. Empty, the '
        'default, for none: these tests then build servers of their own.'),
    cfg.StrOpt(
        'deploy_by', default='nova', choices=['nova', 'heat'],
        help='Service that deploys the servers of the tests: nova itself, or '
        'Heat, by a stack that is deleted afterwards. Stacks belong to the '
        'project of the account in group auth, because Heat lists those of '
        'the own project alone. Servers that are no plain ones, with volumes '
        'for example, are built by nova in any case.'),
    cfg.StrOpt(
        'heat_template', default='',
        help='Path of the template for deploy_by=heat, with the parameters '
        "of the plugin's own, etc/heat/workload.yaml. Empty, the default, "
        'for that one.'),
    cfg.DictOpt(
        'heat_parameters', default={},
        help='Further parameters for the template, such as '
        'availability_zone:nova. They override those of the tests.'),
    cfg.StrOpt(
        'stack_id', default='',
        help='UUID, or name, of an existing stack of Heat, whose servers the '
        'drain tests and the test of a stack migrate instead of new ones. '
        'They need a TCP echo service; the stack and its servers remain. '
        'Empty, the default, for none.'),
    cfg.StrOpt(
        'stack_key_file', default='',
        help='Path of the private key for SSH to the servers of stack_id.'),
    cfg.BoolOpt(
        'tunnelled',
        help='Value of [libvirt]live_migration_tunnelled in nova.conf of '
        'the compute hosts. With access to hosts (group '
        'live_migration_ha_hosts) tests fail if the sockets between the '
        'hosts show something else; without access it cannot be observed. '
        'Without a value nothing is checked.'),
    cfg.StrOpt(
        'storage', default='', choices=['', 'block', 'shared'],
        help='Storage of the servers\' disks: block for local disks, which '
        'a migration copies, shared for Ceph and the like. Tests fail if '
        'nova shows something else during the copy. Empty, the default, to '
        'check nothing.'),
    cfg.BoolOpt(
        'recovers_from_failure', default=True,
        help='Whether a server is ACTIVE again after libvirt has ended its '
        'live migration, aborted or failed. nova 34.0.0 is known to leave '
        'it in ERROR while its guest runs: after the rollback the driver '
        "raises libvirt's error again (virt/libvirt/driver.py, "
        '_live_migration). With False, the test that aborts a running live '
        'migration is skipped, and where settings make nova refuse, the '
        'servers are expected in ERROR with guests unharmed.'),
    cfg.BoolOpt(
        'copies_images', default=False,
        help='Whether nova-compute can copy an image from the cache of '
        'another compute host, which takes SSH between the hosts without a '
        'password, as for cold migrations of local disks. With True, the '
        'test of a server whose image was deleted expects that; with False, '
        'it puts the image into the cache of the destination first.'),
    cfg.BoolOpt(
        'changes_hosts', default=False,
        help='Whether tests may disable the destination, force it down, or '
        'take its free memory in placement, for about a minute each. nova '
        'puts no new servers on that host meanwhile, so use True on test '
        'clouds only. With False, these tests are skipped.'),
    _checked(cfg.StrOpt(
        'request_microversion', default='',
        help='Microversion of the compute API for the requests of live '
        'migrations, such as 2.24 for the oldest behaviour; their progress '
        'is read with a newer one. Empty, the default, for the newest that '
        'the tests support. Before 2.25, block_migration has the value of '
        '[compute-feature-enabled]block_migration_for_live_migration.'),
        lambda text: '' if not text or re.fullmatch(MICROVERSION, text) else
        f'{text!r} is not a microversion, such as 2.84'),
]

_probe_opts = [
    cfg.FloatOpt(
        'probe_interval', default=0.01, min=0.002, max=1.0,
        help='Time between two ICMP echo requests to a guest, in seconds. '
        'The length of an outage is known to about one interval, and an '
        'outage of two intervals or more is always found. So it should be '
        'far below max_outage.'),
    cfg.FloatOpt(
        'tcp_interval', default=0.05, min=0.002, max=0.05,
        help='Time between two numbered messages on the TCP connection to a '
        'guest, in seconds. The maximum, 20 messages per second, is the '
        'default; with fewer, our own pauses could look like stalls.'),
    cfg.PortOpt(
        'tcp_echo_port', default=7, min=1,
        help='TCP port of an echo service on the guest. If nothing listens '
        'there, the user data of the guest start one; that needs socat, '
        'python3, ncat or a busybox with "nc -ll" in the image.'),
    cfg.FloatOpt(
        'ready_timeout', default=300.0, min=1.0, max=7200.0,
        help='Time for a new guest to answer ICMP echo requests and to run '
        'the echo service, in seconds.'),
    cfg.IntOpt(
        'disk_mib', default=8, min=0, max=1024,
        help='Size of a file, in MiB, that a guest writes to its disk '
        'before a migration, into the home directory of the SSH user. '
        'Afterwards it is read from the disk, without the page cache, and '
        'compared. 0 to write none.'),
    cfg.FloatOpt(
        'grace_time', default=5.0, min=0.0, max=3600.0,
        help='Time for which a guest is observed after the end of a '
        'migration, in seconds. An outage in this time counts as caused by '
        'the migration. It should be larger than max_stall.'),
    cfg.FloatOpt(
        'return_timeout', default=330.0, min=0.0, max=7200.0,
        help='Time to wait for a guest that does not answer after its '
        'migration, in seconds, while its server is ACTIVE. If it answers '
        'again, the migration is completed with a long outage, else the '
        'guest is lost. The default is longer than 300 s, after which '
        'switches usually forget on which port an address was.'),
    cfg.ListOpt(
        'leave_out_checks', default=[],
        help='Names of checks that do not run, such as metadata,dhcp-lease. '
        'The documentation lists all checks. Results say that they were left '
        'out.'),
    cfg.FloatOpt(
        'drain_timeout', default=30.0, min=1.0, max=3600.0,
        help='Time for the outstanding echoes of the TCP connection when '
        'the observation ends, in seconds. The test fails if one is still '
        'missing then.'),
]

_workload_opts = [
    _checked(cfg.StrOpt(
        'workload', default='idle',
        help='Work of the guests while they are migrated, NAME or NAME:RATE, '
        'such as memory:32. The names are '
        f'{", ".join(each.name for each in WORKLOADS)}; the documentation '
        'tells their units. A guest that does not reach the rate works as '
        'fast as it can, and results have the measured one.'),
        _workload_fault),
    cfg.IntOpt(
        'workload_memory_mib', default=16, min=1, max=1048576,
        help='Memory that workloads memory and keeper write again and again, '
        'in MiB. The guest needs as much in a tmpfs, which usually takes up '
        'to half of its memory.'),
]

_wait_opts = [
    cfg.FloatOpt(
        'poll_interval', default=0.5, min=0.1, max=60.0,
        help='Time between two snapshots of migration records and servers, '
        'in seconds. It is the resolution of the times of transitions.'),
    cfg.FloatOpt(
        'poll_error_timeout', default=60.0, min=0.0, max=3600.0,
        help='Time for which the compute API may fail during a migration, '
        'in seconds, before the test fails. Only server faults (HTTP 5xx) '
        'and broken connections are tolerated.'),
    cfg.FloatOpt(
        'migration_timeout', default=300.0, min=1.0, max=86400.0,
        help='Time-out of a live migration, in seconds, without the parts '
        'for the size of the server: migration_timeout_per_gib_ram and '
        'migration_timeout_per_gib_disk are added. It is a time-out of the '
        'tests. nova has its own, which can be many hours (nova.conf: '
        '[libvirt]live_migration_completion_timeout, 800 s per GiB).'),
    cfg.FloatOpt(
        'migration_timeout_per_gib_ram', default=60.0, min=0.0, max=7200.0,
        help='Seconds to add to migration_timeout for each GiB of memory of '
        'the server. The default is enough to copy the memory six times '
        'over a network of 1 Gbit/s.'),
    cfg.FloatOpt(
        'migration_timeout_per_gib_disk', default=30.0, min=0.0, max=7200.0,
        help='Seconds to add to migration_timeout for each GiB of local disk '
        'of the server if disks are copied (block migration). The default is '
        'enough to copy them three times over a network of 1 Gbit/s.'),
    cfg.FloatOpt(
        'settle_timeout', default=60.0, min=0.0, max=3600.0,
        help='Time for the task state of the server to become empty after '
        'the end of its migration record, in seconds.'),
]

_result_opts = [
    cfg.StrOpt(
        'results_directory', default='live-migration-ha-results',
        help='Directory of the results files, which have lines about the run, '
        'each drain, each live migration and each failed test. Each process '
        'that runs tests writes one file, named after run_name and its '
        'process id. A relative path starts where the tests run, in the '
        'workspace. Empty for no file; the results are attached to the tests '
        'in any case.'),
    _checked(cfg.StrOpt(
        'run_name', default='',
        help='Name of this run in its results: letters, digits, ".", "_" and '
        '"-", but no "." at the beginning. Empty, the default, for the time '
        'at which it started.'),
        # It becomes a part of the name of a file, which must not lead out of
        # results_directory.
        lambda text: '' if re.fullmatch(RUN_NAME, text) else
        'Should have only letters, digits, ".", "_" and "-", and no "." '
        'at the beginning'),
    cfg.IntOpt(
        'metrics_port', default=0, min=0, max=65535,
        help='TCP port on which the process that runs the tests serves '
        'metrics of its live migrations to Prometheus while they go on, on '
        'all addresses and without encryption. Needs the extra "report". '
        'Each process needs a port of its own, so run the tests with '
        '--serial. 0, the default, for no port.'),
    cfg.StrOpt(
        'metrics_textfile', default='',
        help='File in which the same metrics are kept, for the textfile '
        'collector of node_exporter; its name has to end in .prom. Empty, the '
        'default, for no file.'),
]


live_migration_ha_opts = (
    _bound_opts + _drain_opts + _probe_opts + _workload_opts + _wait_opts +
    _result_opts)


def _log_command(path: str, *units: str) -> str:
    """Return a command that prints a log, from a file or from the journal.

    :param path: path of the file below /var/log
    :param units: units of systemd
    """
    return (f'if test -s /var/log/{path}; then tail -c 50M /var/log/{path}; '
            f'else journalctl {" ".join(f"-u {unit}" for unit in units)} '
            '--since=@{since} -o short-iso --no-pager -aq; fi')


hosts_group = cfg.OptGroup(
    name='live_migration_ha_hosts',
    title='Access to compute hosts',
    help='SSH access of the live_migration_ha tests to the compute hosts, to '
         'see things that the API does not show and to change settings of '
         'nova-compute. Without ssh_user they do neither. {host} in the paths '
         'and commands below stands for the name of the host.')

hosts_opts = [
    cfg.StrOpt(
        'ssh_user', default='',
        help='SSH user on the compute hosts. Empty, the default, for no '
        'access to hosts.'),
    cfg.StrOpt(
        'ssh_key_file', default='',
        help='Path of the private key of that user. Empty, the default, for '
        'the keys of an SSH agent and those in ~/.ssh.'),
    cfg.StrOpt(
        'ssh_known_hosts_file', default='~/.ssh/known_hosts',
        help='Path of the file with the public keys of the compute hosts. A '
        'host that is missing there, or has another key, is an error.'),
    cfg.PortOpt(
        'ssh_port', default=22, min=1, help='TCP port of the SSH servers.'),
    cfg.DictOpt(
        'addresses', default={},
        help="Addresses of the SSH servers, if they differ from nova's names "
        'of the hosts: name:address, separated by commas.'),
    cfg.BoolOpt(
        'sudo', default=True,
        help='Whether commands on the hosts need sudo, without a password.'),
    cfg.StrOpt(
        'nova_conf', default='/etc/nova/nova.conf',
        help="Path on a compute host of nova-compute's configuration file; "
        '/etc/nova/nova-cpu.conf with devstack.'),
    cfg.StrOpt(
        'restart_command', default='systemctl restart nova-compute',
        help='Command for sh on a compute host that restarts nova-compute '
        'and returns afterwards; "systemctl restart devstack@n-cpu" with '
        'devstack, "docker restart nova_compute" for a container.'),
    cfg.StrOpt(
        'pid_command',
        default='systemctl show --property=MainPID --value nova-compute',
        help='Command for sh on a compute host that prints the process id of '
        'nova-compute, or 0 if it does not run; "docker inspect '
        '--format {{.State.Pid}} nova_compute" for a container.'),
    cfg.StrOpt(
        'virsh_command', default='virsh',
        help='Command line of virsh on a compute host, as words separated by '
        'spaces; "docker exec nova_libvirt virsh" for a container.'),
    cfg.StrOpt(
        'ovs_vsctl_command', default='ovs-vsctl',
        help='Command line of ovs-vsctl on a compute host, as words separated '
        'by spaces; "docker exec openvswitch_vswitchd ovs-vsctl" for a '
        'container. It lists ports that were left behind.'),
    cfg.StrOpt(
        'ovn_appctl_command', default='ovn-appctl',
        help='The same for ovn-appctl; "docker exec ovn_controller '
        'ovn-appctl" for a container. It asks ovn-controller for its version. '
        'Hosts without OVN need none.'),
    cfg.StrOpt(
        'instances_path', default='',
        help='Path on a compute host of the directory with the instance '
        'directories, to find those that were left behind. Empty, the '
        'default, to read it from nova_conf. nova-compute in a container '
        'has another path than the host, such as '
        '"/var/lib/docker/volumes/nova_compute/_data/instances".'),
    cfg.StrOpt(
        'nova_compute_log', default=_log_command(
            'nova/nova-compute.log', 'nova-compute', 'openstack-nova-compute',
            'devstack@n-cpu'),
        help='Command for sh on a compute host that prints the log of '
        'nova-compute, to tell why a live migration failed. Each line has to '
        'begin with its time, such as 2026-01-31 00:00:00. {server} stands '
        'for the UUID of the server, {since} for the start in seconds since '
        '1970. The lines of the migration are filtered on the host. "tail -c '
        '50M /var/log/kolla/nova/nova-compute.log" or "docker logs --since '
        '{since} nova_compute 2>&1" for a container. Empty to read no such '
        'log.'),
    cfg.StrOpt(
        'libvirt_log', default=_log_command(
            'libvirt/libvirtd.log', 'libvirtd', 'virtqemud'),
        help='The same for the log of libvirtd, or virtqemud.'),
    cfg.StrOpt(
        'qemu_log',
        default='grep -lF -e {server} /var/log/libvirt/qemu/*.log | '
        'xargs -r cat',
        help='The same for the log of QEMU. The default finds the file of '
        'the domain by the UUID in the command line of QEMU.'),
    cfg.FloatOpt(
        'restart_timeout', default=RESTART_S, min=RESTART_BOUNDS_S[0],
        max=RESTART_BOUNDS_S[1],
        help='Time for nova-compute to stop, and again to start and report '
        'to nova, in seconds. Before it stops, nova 34 waits up to 180 s for '
        'work in progress (nova.conf: [DEFAULT]graceful_shutdown_timeout); '
        'the default leaves room for that.'),
    cfg.FloatOpt(
        'sample_interval', default=1.0, min=0.0, max=60.0,
        help='Time between two samples of CPU, memory, network and disks of '
        'the hosts during a migration, in seconds. 0 to take none.'),
    cfg.StrOpt(
        'undo_log_directory', default=UNDO_LOG,
        help='Directory on this machine for the undo log, which has an entry '
        'for each host that is changed. After a run that was killed, '
        '`tempest live-migration-ha recover` uses it to restore the hosts.'),
]


class ConfOption(NamedTuple):
    """Section and name of an option in nova.conf.

    :ivar section: such as libvirt
    :ivar name: such as live_migration_tunnelled
    """

    section: str
    name: str

    def __str__(self) -> str:
        return f'[{self.section}]{self.name}'


class NovaSetting(NamedTuple):
    """An option of nova-compute that tests can set.

    One row of NOVA_SETTINGS is all that a new setting needs.

    :ivar name: our name, also of the option in the group
        live_migration_ha_matrix
    :ivar option: option in nova.conf
    :ivar kind: type of a value; a setting of type Boolean can have bounds of
        its own
    :ivar note: restrictions, for the help
    :ivar observed_by: slug of the check that sees the setting at work; empty
        if none does
    """

    name: str
    option: ConfOption
    kind: types.ConfigType
    note: str = ''
    observed_by: str = ''


# As of nova 34.0: nova/conf/compute.py, nova/conf/libvirt.py.
NOVA_SETTINGS = (
    NovaSetting(
        'max_concurrent_live_migrations',
        ConfOption('DEFAULT', 'max_concurrent_live_migrations'), COUNT,
        'Each has to be smaller than drain_servers of this group: the limit '
        'can be observed only while another migration has to wait.',
        observed_by='concurrency'),
    NovaSetting(
        'tunnelled', ConfOption('libvirt', 'live_migration_tunnelled'),
        types.Boolean(), observed_by='transport'),
    NovaSetting(
        'post_copy', ConfOption('libvirt', 'live_migration_permit_post_copy'),
        types.Boolean(), observed_by='post-copy'),
    NovaSetting(
        'auto_converge',
        ConfOption('libvirt', 'live_migration_permit_auto_converge'),
        types.Boolean()),
    NovaSetting(
        'bandwidth', ConfOption('libvirt', 'live_migration_bandwidth'),
        types.Integer(min=0, max=1000000), 'MiB/s; 0 for no limit.'),
    NovaSetting(
        'parallel_connections',
        ConfOption('libvirt', 'live_migration_parallel_connections'), COUNT,
        'nova 33.0 and later. Not above 1 together with post_copy.'),
    NovaSetting(
        'native_tls', ConfOption('libvirt', 'live_migration_with_native_tls'),
        types.Boolean()),
)


def settings_table() -> list[tuple[str, ...]]:
    """Return NOVA_SETTINGS as rows of text for the documentation.

    The first row has the headings.
    """
    def values(kind: types.ConfigType) -> str:
        if isinstance(kind, types.Boolean):
            return 'false, true'
        if isinstance(kind, types.Number):
            return f'numbers from {kind.min} to {kind.max}'
        return str(kind.type_name)

    return [('Option', 'Option in nova.conf', 'Values', 'Observed by check'),
            *((setting.name, str(setting.option), values(setting.kind),
               setting.observed_by or '(not observed)')
              for setting in NOVA_SETTINGS)]


matrix_group = cfg.OptGroup(
    name='live_migration_ha_matrix',
    title='Matrix of nova-compute settings',
    help='Settings of nova-compute to compare. The matrix is every '
         'combination of the values given here. Each combination is set on '
         'the hosts, which needs access to hosts, and the hosts are restored '
         'afterwards. A setting without a value is not changed.')

# Conditions that may have a bound of their own.
_BOUNDED = ('block', 'shared', *(
    setting.name for setting in NOVA_SETTINGS
    if isinstance(setting.kind, types.Boolean)))


def _bounds(name: str, text: str) -> cfg.Opt:
    def unknown(bounds: dict[str, float]) -> str:
        names = sorted(set(bounds) - set(_BOUNDED))
        return (f'{names[0]} is not one of: {", ".join(_BOUNDED)}'
                if names else '')

    # DictOpt takes no type of values, and the documentation shows the type of
    # a plain Opt as unknown.
    opt = cfg.DictOpt(name, default={}, help=text)
    opt.type = types.Dict(types.Float(min=0.01, max=3600.0))
    return _checked(opt, unknown)


matrix_opts = [
    _checked(cfg.ListOpt(
        'workloads', default=[],
        help='Work of the guests to compare, such as '
        'idle,memory:8,memory:32: values of option workload in group '
        'live_migration_ha. The servers are migrated with each of them; '
        'without settings of nova-compute in this group, this needs no '
        'access to the hosts. Empty, the default, for that option alone.'),
        lambda texts: next(filter(None, map(_workload_fault, texts)), '')),
    *(cfg.ListOpt(
        setting.name, default=[], item_type=setting.kind,
        help=f'Values of {setting.option} in nova.conf. {setting.note}'.strip()
    ) for setting in NOVA_SETTINGS),
    cfg.ListOpt(
        'flavors', default=[],
        help='Names or ids of the flavors to test with every combination. '
        'Empty, the default, for [compute]flavor_ref alone.'),
    _bounds(
        'max_outage',
        'Longest outage, in seconds, by storage (block, shared) or by a '
        'setting that is on, such as block:1.0,tunnelled:2.0; the largest of '
        'those that apply counts. If none applies, max_outage in group '
        'live_migration_ha: no setting changes the pause that nova aims at.'),
    _bounds(
        'max_stall',
        'Longest stall, in seconds, in the same way. If none applies, '
        'max_stall in group live_migration_ha.'),
    cfg.IntOpt(
        'drain_servers', default=4, min=0, max=1000,
        help='Number of servers of the drain with every combination, in a '
        'window of one more than the hosts run at once, so that this number '
        'can be observed. 0 or 1 for no drain. If hosts or quota have no room '
        'for as many, the tests use as many as fit, and a combination fails '
        'if they are not more than the hosts run at once.'),
]

coverage_group = cfg.OptGroup(
    name='live_migration_ha_coverage',
    title='Coverage of hosts',
    help='Which hosts the test that covers hosts lets send and receive a '
         'server. `tempest live-migration-ha verify --hosts` sets these '
         'options.')

coverage_opts = [
    _checked(cfg.ListOpt(
        'hosts', default=['all'],
        help='Hosts to cover: all, names of hosts, aggregate=NAME for those '
        'of an aggregate, az=NAME for those of an availability zone. Hosts '
        'that [compute]target_hosts_to_avoid matches are left out.'),
        lambda words: '' if words else 'Should have at least 1 value'),
    cfg.StrOpt(
        'pairs', default='ring', choices=HOST_PAIRS,
        help='Which hosts send to which. ring: each sends once and receives '
        'once, the fewest migrations that cover all hosts. all: each sends to '
        'each other one of its group. release: hosts of a version send to '
        'those of the next one and back, as a rolling upgrade does.'),
    cfg.ListOpt(
        'group_by', default=list(HOST_FACTS),
        item_type=types.String(choices=HOST_FACTS),
        help='Facts in which two hosts have to agree, so that a server is '
        'expected to move between them. Aggregates count if they have '
        'metadata other than availability_zone. A host that agrees with no '
        'other one is left out, and reported.'),
    cfg.IntOpt(
        'at_once', default=4, min=1, max=1000,
        help='Maximum number of live migrations in the cloud at a time. Each '
        'host takes part in one.'),
    cfg.IntOpt(
        'servers', default=20, min=1, max=1000,
        help='Maximum number of servers that exist at a time; fewer if the '
        'quota of a project that Tempest did not create allows fewer. They '
        'are deleted as soon as their migrations are judged, and the next '
        'ones are built.'),
    _checked(cfg.StrOpt(
        'max_failures', default='50%',
        help='End the test when more than this number of planned migrations, '
        'or this share of them with a % sign, had a problem. 100% to end '
        'only when all hosts are covered.'),
        lambda text: '' if re.fullmatch(r'\d{1,6}|(100|\d{1,2})%', text) else
        f'{text!r} is no number, such as 5, and no share, such as 20%'),
    cfg.BoolOpt(
        'only_canaries', default=False,
        help='Whether to build no servers, and to move only canaries '
        '(canary_key_file in group live_migration_ha). A host without one '
        'then only receives. With False, servers are built on hosts without '
        'a canary.'),
    cfg.StrOpt(
        'resume', default='',
        help='Directory with the results of an earlier run that was ended: '
        'pairs of hosts that have a result there are not tried again. Empty, '
        'the default, to begin anew.'),
]

_groups = [
    (live_migration_ha_group, live_migration_ha_opts),
    (coverage_group, coverage_opts),
    (hosts_group, hosts_opts),
    (matrix_group, matrix_opts),
]
for _, _opts in _groups:
    for _opt in _opts:
        if not isinstance(_opt.type, Tolerant):
            _opt.type = Tolerant(_opt.type)


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the plugin's groups and options.

    :param conf: the configuration object
    """
    for group, opts in _groups:
        conf.register_group(group)
        conf.register_opts(opts, group=group)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Return (group, options) for each of our groups.

    This is the entry point for oslo-config-generator.
    """
    return [(group, list(opts)) for group, opts in _groups]


def check(conf: Any) -> None:
    """Refuse a configuration with a wrong name or value in one of our groups.

    oslo.config ignores an unknown option, so the default of a misspelt bound
    would silently apply.

    :param conf: Tempest's CONF, or any oslo.config object
    :raises InvalidConfiguration: names group, option and file or value
    """
    faults = _unknown_options(config_files(conf)) + _bad_values(conf)
    if faults:
        raise exceptions.InvalidConfiguration('; '.join(faults))


def skip_reason(conf: Any) -> str:
    """Return why the cloud cannot run any of the tests; empty if it can.

    :param conf: Tempest's CONF
    :raises InvalidConfiguration: source and destination are the same host
    """
    features = conf.compute_feature_enabled
    source = conf.compute.migration_source_host
    destination = conf.compute.migration_dest_host
    if not features.live_migration:
        return '[compute-feature-enabled] live_migration is False'
    if conf.compute.min_compute_nodes < 2:
        return ('it needs two compute hosts, and [compute] min_compute_nodes '
                f'is {conf.compute.min_compute_nodes}')
    if not conf.validation.run_validation:
        return ('it has to reach its guests, and [validation] run_validation '
                'is False')
    if source and source == destination:
        raise exceptions.InvalidConfiguration(
            '[compute] migration_source_host and migration_dest_host are the '
            f'same: {source}')
    if not features.can_migrate_between_any_hosts and not (
            source and destination):
        return ('it chooses the hosts itself, and [compute-feature-enabled] '
                'can_migrate_between_any_hosts is False; name two compatible '
                'hosts in [compute] migration_source_host and '
                'migration_dest_host')
    return ''


def declared_settings(conf: Any) -> schema.Settings:
    """Return the settings and the storage that the configuration declares.

    :param conf: Tempest's CONF
    """
    options = conf.live_migration_ha
    declared = {
        'max_concurrent_live_migrations':
            options.max_concurrent_live_migrations or None,
        'tunnelled': options.tunnelled}
    return schema.Settings(
        storage=options.storage or '',
        values={name: value for name, value in declared.items()
                if value is not None})


def declared_workload(conf: Any) -> schema.WorkloadChoice:
    """Return the work of the guests in tests that do not compare workloads.

    :param conf: Tempest's CONF
    """
    options = conf.live_migration_ha
    return workload(options.workload, options.workload_memory_mib)


def compared_workloads(conf: Any) -> list[schema.WorkloadChoice]:
    """Return the work of the guests in tests that compare workloads.

    :param conf: Tempest's CONF
    """
    return [workload(text, conf.live_migration_ha.workload_memory_mib)
            for text in getattr(conf, matrix_group.name).workloads]


def config_files(conf: Any) -> list[str]:
    """Return the files of a configuration, in the order of reading.

    :param conf: Tempest's CONF, or any oslo.config object
    """
    files = list(conf.config_file or [])
    for directory in conf.config_dir or []:
        files.extend(
            str(path) for path in sorted(pathlib.Path(directory).glob(
                '*.conf')))
    return [path for path in files if pathlib.Path(path).is_file()]


def _unknown_options(files: Iterable[str]) -> list[str]:
    """Return one sentence for each group of ours with unknown options."""
    known = {group.name: sorted(opt.dest for opt in opts)
             for group, opts in _groups}
    faults: list[str] = []
    for path in files:
        sections: dict[str, dict[str, Any]] = {}
        cfg.ConfigParser(path, sections).parse()
        for section, assignments in sections.items():
            # oslo.config ignores a group with hyphens, and no other plugin
            # has such a name.
            ours = section.lower().replace('-', '_')
            if ours not in known:
                # A group of another version, such as one that was renamed.
                if ours.startswith(live_migration_ha_group.name):
                    faults.append(f'unknown group [{section}] in {path}; our '
                                  f'groups are: {", ".join(known)}')
                continue
            if section.lower() != ours:
                faults.append(f'unknown group [{section}] in {path}; its name '
                              f'is [{ours}]')
                continue
            unknown = [name for name in assignments
                       if name not in known[ours]]
            if unknown:
                faults.append(
                    f'unknown option {", ".join(unknown)} in group '
                    f'[{section}] of {path}; the options of this group are: '
                    f'{", ".join(known[ours])}')
    return faults


def _bad_values(conf: Any) -> list[str]:
    """Return one sentence for each wrong value in our groups."""
    faults = []
    for group, opts in _groups:
        values = getattr(conf, group.name)
        for opt in opts:
            value = getattr(values, opt.dest)
            kind: Any = opt.type
            try:
                kind.strict(value)
            except ValueError as exc:
                faults.append(f'bad value of option {opt.dest} in group '
                              f'[{group.name}]: {value}: {exc}')
    # Values of a wrong type cannot be compared.
    return faults or [*_contradictions(conf), *_matrix_contradictions(
        getattr(conf, matrix_group.name))]


def _contradictions(conf: Any) -> Iterable[str]:
    """Yield one sentence for each two values that contradict each other."""
    values = getattr(conf, live_migration_ha_group.name)
    if values.max_stall < values.max_outage:
        yield (f'option max_stall in group [{live_migration_ha_group.name}] '
               f'is {values.max_stall} s, less than max_outage, '
               f'{values.max_outage} s: a connection to a guest that cannot '
               'be reached makes no progress')
    if getattr(conf, coverage_group.name).only_canaries and (
            not values.canary_key_file):
        yield (f'option only_canaries in group [{coverage_group.name}] is '
               'given, but canary_key_file in group '
               f'[{live_migration_ha_group.name}] is not: build canaries '
               'with `tempest live-migration-ha bootstrap --canaries`')
    if values.stack_id and not values.stack_key_file:
        yield (f'option stack_id in group [{live_migration_ha_group.name}] '
               'is given, but stack_key_file is not: the tests log in to its '
               'servers')
    matrix = getattr(conf, matrix_group.name)
    given = [setting.name for setting in NOVA_SETTINGS
             if getattr(matrix, setting.name)]
    if given and not getattr(conf, hosts_group.name).ssh_user:
        yield (f'group [{matrix_group.name}] has settings ('
               f'{", ".join(given)}), but there is no access to the hosts: '
               f'set option ssh_user in group [{hosts_group.name}]')


def _matrix_contradictions(matrix: Any) -> Iterable[str]:
    most = max(matrix.max_concurrent_live_migrations, default=0)
    if most and most >= matrix.drain_servers:
        yield ('option max_concurrent_live_migrations in group '
               f'[{matrix_group.name}] has the value {most}, but option '
               f'drain_servers there is {matrix.drain_servers}: the limit can '
               'be observed only if there are more servers than that')
    if any(matrix.post_copy) and max(
            matrix.parallel_connections, default=1) > 1:
        yield (f'options post_copy and parallel_connections in group '
               f'[{matrix_group.name}] are on and above 1: with both, '
               'nova-compute does not start, unless QEMU is 10.1 or later; '
               'test them one after the other')
