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

All options are in groups of our own. They are read by the tests and handed
on as values: nothing else in this package reads Tempest's configuration.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import math
import pathlib
import re
from typing import Any

from oslo_config import cfg
from oslo_config import types
from tempest.lib import exceptions as lib_exc


# Where `tempest live-migration-ha recover` looks as well.
JOURNAL = '~/.local/state/live-migration-ha'
# How long nova-compute may take to stop, and as long again to start.
RESTART_S = 300.0
RESTART_BOUNDS_S = (1.0, 3600.0)
# Major and minor number, without leading zeros.
MICROVERSION = r'([1-9][0-9]*)\.(0|[1-9][0-9]*)'


class Late(types.ConfigType):
    """A type that takes any value at first, and is strict when asked to be.

    Tempest reads every option when it starts. If one of ours raised an
    error then, no test of any plugin could be imported, and what is wrong
    would be lost among the consequences. check() is strict.
    """

    def __call__(self, value: Any) -> Any:
        """Return a value, converted if that is possible."""
        try:
            return self.strict(value)
        except ValueError:
            return value

    def strict(self, value: Any) -> Any:
        """Return a value, converted.

        :raises ValueError: it is no such value, or out of bounds
        """
        return super().__call__(value)


class LateFloat(Late, types.Float):
    """A finite number within bounds."""

    def strict(self, value: Any) -> Any:
        """Return a value as a number.

        :raises ValueError: it is no number, not finite, or out of bounds
        """
        number = super().strict(value)
        if number is None or not math.isfinite(number):
            raise ValueError('Should be a finite number')
        return number


class LateInteger(Late, types.Integer):
    """A whole number within bounds."""

    def strict(self, value: Any) -> Any:
        """Return a value as a whole number.

        :raises ValueError: it is no number, or out of bounds
        """
        number = None if value is None else super().strict(value)
        if number is None:
            raise ValueError('Should be a whole number')
        return number


class LatePort(LateInteger):
    """A TCP port."""

    def __init__(self) -> None:
        super().__init__(min=1, max=65535)


# What is counted: servers, batches, trips.
COUNT = LateInteger(min=1, max=1000)


class LateBoolean(Late, types.Boolean):
    """Yes or no; nothing where that is the default."""

    def strict(self, value: Any) -> Any:
        """Return a value as a boolean.

        :raises ValueError: it is none
        """
        return None if value is None else super().strict(value)


class LateList(Late, types.List):
    """Values of one type.

    :param item: their type
    :param least: how many there have to be
    """

    def __init__(self, item: Late, least: int) -> None:
        super().__init__(item_type=item)
        self._item = item
        self._least = least

    def strict(self, value: Any) -> Any:
        """Return a value as a list.

        :raises ValueError: one is no such value, or there are too few
        """
        values = [self._item.strict(each)
                  for each in super().strict(value) or ()]
        if len(values) < self._least:
            raise ValueError('Should have at least %d value' % self._least)
        return values


class LateDict(Late, types.Dict):
    """Names with a value each.

    :param value: the type of the values
    :param names: those that are allowed; none for any
    """

    def __init__(self, value: Late, names: Sequence[str] = ()) -> None:
        super().__init__(value_type=value)
        self._value = value
        self._names = names

    def strict(self, value: Any) -> Any:
        """Return a value as a dictionary.

        :raises ValueError: a value is none of the type, or a name is not
            allowed
        """
        found = {name: self._value.strict(each)
                 for name, each in (super().strict(value) or {}).items()}
        unknown = sorted(set(found) - set(self._names)) if self._names else ()
        if unknown:
            raise ValueError('%s is none of: %s' % (
                unknown[0], ', '.join(self._names)))
        return found


class LateText(Late, types.String):
    """Any text."""


class LateMicroversion(Late, types.String):
    """A microversion of the compute API, or nothing."""

    def strict(self, value: Any) -> Any:
        """Return a value as it is.

        :raises ValueError: it is no microversion
        """
        text = super().strict(value)
        if text and not re.fullmatch(MICROVERSION, text):
            raise ValueError('%r is no microversion, such as 2.84' % text)
        return text


def _number(name: str, default: float, low: float, high: float,
            text: str) -> cfg.FloatOpt:
    """Return an option that is a number.

    :param low: the smallest value that is allowed
    :param high: the largest value that is allowed
    :param text: the help
    """
    opt = cfg.FloatOpt(name, default=default, min=low, max=high, help=text)
    opt.type = LateFloat(min=low, max=high)
    return opt


def _integer(name: str, default: int, low: int, high: int,
             text: str) -> cfg.IntOpt:
    """Return an option that is a whole number.

    :param low: the smallest value that is allowed
    :param high: the largest value that is allowed
    :param text: the help
    """
    opt = cfg.IntOpt(name, default=default, min=low, max=high, help=text)
    opt.type = LateInteger(min=low, max=high)
    return opt


def _sizes(name: str, default: list[int], text: str,
           least: int = 1) -> cfg.ListOpt:
    """Return an option that is a list of whole numbers of 1 or more.

    :param least: how many there have to be
    :param text: the help
    """
    opt = cfg.ListOpt(name, default=default, help=text)
    opt.type = LateList(COUNT, least)
    return opt


def _booleans(name: str, text: str) -> cfg.ListOpt:
    """Return an option that is a list of true and false."""
    opt = cfg.ListOpt(name, default=[], help=text)
    opt.type = LateList(LateBoolean(), 0)
    return opt


def _texts(name: str, text: str) -> cfg.ListOpt:
    """Return an option that is a list of words."""
    opt = cfg.ListOpt(name, default=[], help=text)
    opt.type = LateList(LateText(), 0)
    return opt


def _text(name: str, default: str, text: str) -> cfg.StrOpt:
    """Return an option that is a text."""
    opt = cfg.StrOpt(name, default=default, help=text)
    opt.type = LateText()
    return opt


def _addresses(name: str, text: str) -> cfg.DictOpt:
    """Return an option that gives hosts an address each."""
    opt = cfg.DictOpt(name, default={}, help=text)
    opt.type = LateDict(LateText())
    return opt


def _seconds_each(name: str, names: Sequence[str], text: str) -> cfg.DictOpt:
    """Return an option that gives seconds to some names."""
    opt = cfg.DictOpt(name, default={}, help=text)
    opt.type = LateDict(LateFloat(min=0.01, max=3600.0), names)
    return opt


def _choice(name: str, choices: list[str], text: str) -> cfg.StrOpt:
    """Return an option that is one of several words, or empty."""
    opt = cfg.StrOpt(name, default='', choices=['', *choices], help=text)
    opt.type = LateText(choices=['', *choices])
    return opt


def _boolean(name: str, default: bool | None, text: str) -> cfg.BoolOpt:
    """Return an option that is yes or no."""
    opt = cfg.BoolOpt(name, default=default, help=text)
    opt.type = LateBoolean()
    return opt


def _microversion(name: str, text: str) -> cfg.StrOpt:
    """Return an option that is a microversion, or empty."""
    opt = cfg.StrOpt(name, default='', help=text)
    opt.type = LateMicroversion()
    return opt


def _port(name: str, default: int, text: str) -> cfg.PortOpt:
    """Return an option that is a TCP port; port 0 is none."""
    opt = cfg.PortOpt(name, default=default, min=1, help=text)
    opt.type = LatePort()
    return opt


live_migration_ha_group = cfg.OptGroup(
    name='live_migration_ha',
    title='Live migration under observation',
    help='What the live_migration_ha tests require of a live migration and '
         'how they watch it.')

_bound_opts = [
    _number(
        'max_outage', 1.0, 0.01, 3600.0,
        'Longest outage, in seconds, that a live migration may cause: '
        'the time during which the guest answers no ICMP echo request. '
        'The default is twice the pause that nova itself aims at '
        '(nova.conf: [libvirt]live_migration_downtime, 500 ms), to '
        'leave room for the network to follow the guest.'),
    _number(
        'max_stall', 3.0, 0.05, 3600.0,
        'Longest stall, in seconds, that a live migration may cause: '
        'the time during which a TCP connection to the guest makes no '
        'progress. It cannot be smaller than max_outage, because TCP '
        'sends lost data again only after 0.2 s, then 0.6, 1.4, 3.0 and '
        '6.2 s after the loss: an outage of 0.3 s stalls a connection '
        'for 0.65 s, one of 1.0 s for 1.5 s, one of 2.0 s for 3.1 s. '
        'The default passes whatever an outage within the default of '
        'max_outage can cause, also where the first of these steps '
        'takes 0.4 s, and no more than that.'),
    _number(
        'max_forced_outage', 30.0, 0.01, 3600.0,
        'Longest outage, in seconds, where nova is told to complete a live '
        'migration by force: it pauses the guest until the rest is copied, '
        'or goes over to post-copy. A connection may stall for twice as '
        'long and a second, since TCP waits twice as long each time.'),
]

_drain_opts = [
    _integer(
        'drain_servers', 12, 2, 1000,
        'How many servers are put on a host to drain it of them. The '
        'default is that of the white paper of 2017. Where the hosts have '
        'no room for as many, or the quota of a project that was not made '
        'for the tests allows fewer, they take as many as fit, at least 2, '
        'and say so.'),
    _sizes(
        'batch_sizes', [1, 2, 3, 4],
        'How many live migrations are asked for at once, one number for '
        'each drain: all of a batch have to end before the next is asked '
        'for. The default is that of the white paper of 2017.'),
    _integer(
        'window_size', 4, 1, 1000,
        'How many live migrations are in flight at once where the next is '
        'asked for as soon as one ends. One more than the source host runs '
        'at once keeps it busy.'),
    _integer(
        'round_trips', 1, 1, 1000,
        'How often the servers of a drain go to the other host and back, '
        'for each batch size, and those of a cell; 20 in the white paper of '
        '2017.'),
    _integer(
        'seed', 0, 0, 2 ** 31 - 1,
        'Batch sizes of each round trip, and cells, come in an order drawn '
        'by lot, so that a drift of the cloud does not look like an effect '
        'of what changes slowest; this number draws it.'),
    _integer(
        'max_concurrent_live_migrations', 0, 0, 1000,
        'What nova.conf of the compute hosts says: [DEFAULT] '
        'max_concurrent_live_migrations. Tests that move several servers '
        'fail if they observe something else. 0 to declare nothing; nova '
        'itself has 1 by default.'),
    _boolean(
        'tunnelled', None,
        'What nova.conf of the compute hosts says: [libvirt] '
        'live_migration_tunnelled. With access to hosts (group '
        'live_migration_ha_hosts) tests fail if the sockets between the '
        'hosts show something else; without, it cannot be seen. Without a '
        'value nothing is declared.'),
    _choice(
        'storage', ['block', 'shared'],
        'Where the disks of servers live: block for local disks, which are '
        'copied, shared for Ceph and the like. Tests fail if nova shows '
        'something else while it copies. Empty to declare nothing.'),
    _boolean(
        'recovers_from_failure', True,
        'Whether a server is ACTIVE again after libvirt has ended its live '
        'migration, be it aborted or failed. nova 34.0.0 is known to fail: '
        'it rolls back, and then calls the server ERROR while its guest '
        'runs, because the driver raises what libvirt said once more '
        '(virt/libvirt/driver.py, _live_migration). With False, the test '
        'that aborts a running live migration is skipped, and where cells '
        'are to be refused, servers are expected to be left in ERROR, with '
        'guests unharmed.'),
    _microversion(
        'request_microversion',
        'Microversion of the compute API with which live migrations are '
        'asked for, such as 2.24 for the old way; what became of them is '
        'read with a newer one. Empty for the newest that the tests know. '
        'Before 2.25, block_migration is what '
        '[compute-feature-enabled]block_migration_for_live_migration says.'),
]

_probe_opts = [
    _number(
        'probe_interval', 0.01, 0.002, 1.0,
        'Time between two ICMP echo requests to one guest, in seconds. '
        'An outage is known to about one such interval, and found if '
        'it lasts for two or more, so this should be far below '
        'max_outage.'),
    _number(
        'tcp_interval', 0.05, 0.002, 0.05,
        'Time between two numbered messages on the TCP connection to '
        'one guest, in seconds; at most 0.05 s (20 messages per '
        'second), so that a stall is not mistaken for a pause of ours.'),
    _port(
        'tcp_echo_port', 7,
        'TCP port on which the guest sends back unchanged what it '
        'receives. If nothing listens there, the user data that the '
        'tests give to the guest starts such a service; that needs '
        'socat, python3, ncat or a busybox with "nc -ll" in the image.'),
    _number(
        'ready_timeout', 300.0, 1.0, 7200.0,
        'How long to wait, in seconds, until a new guest answers ICMP '
        'echo requests and its echo service answers.'),
    _integer(
        'disk_mib', 8, 0, 1024,
        'How much a guest writes to its disk, in MiB, before it is moved; '
        'afterwards it is read back, not from memory, and compared. It goes '
        'into the home directory of the user with whom the tests log in. 0 '
        'to do neither.'),
    _number(
        'grace_time', 5.0, 0.0, 3600.0,
        'How long the guest stays under observation after a migration '
        'has ended, in seconds. An outage in this time counts as '
        'caused by the migration. It should be larger than max_stall.'),
    _number(
        'drain_timeout', 30.0, 1.0, 3600.0,
        'How long to wait, in seconds, for the outstanding echoes of '
        'the TCP connection when the observation ends. The test fails '
        'if something has not come back by then.'),
]

_wait_opts = [
    _number(
        'poll_interval', 0.5, 0.1, 60.0,
        'Time between two looks at the migration record and the server, '
        'in seconds. Transitions are known no better than this.'),
    _number(
        'poll_error_timeout', 60.0, 0.0, 3600.0,
        'How long the compute API may fail to answer while a migration '
        'is followed, in seconds, before the test gives up. Only server '
        'faults (HTTP 5xx) and broken connections are tolerated.'),
    _number(
        'migration_timeout', 300.0, 1.0, 86400.0,
        'How long a live migration may take, in seconds, whatever the '
        'size of the server. To this come migration_timeout_per_gib_ram '
        'and migration_timeout_per_gib_disk. The sum is a deadline of the '
        'tests, not that of nova (nova.conf: '
        '[libvirt]live_migration_completion_timeout, 800 s per GiB), which '
        'can be many hours.'),
    _number(
        'migration_timeout_per_gib_ram', 60.0, 0.0, 7200.0,
        'Seconds added to migration_timeout for each GiB of memory that the '
        'server has. The default lets a network of 1 Gbit/s copy '
        'the memory six times over.'),
    _number(
        'migration_timeout_per_gib_disk', 30.0, 0.0, 7200.0,
        'Seconds added to migration_timeout for each GiB of local disk that '
        'the server has, when disks are copied (block migration). '
        'The default lets a network of 1 Gbit/s copy them three times.'),
    _number(
        'settle_timeout', 60.0, 0.0, 3600.0,
        'How long the server may take, in seconds, to be without a task '
        'after its migration record has ended.'),
]

_result_opts = [
    _text(
        'results_directory', 'live-migration-ha-results',
        'Directory for the files of records: what was found of each live '
        'migration, a line for each. Each process that runs tests makes one, '
        'named by run_name and its process id. A relative path begins where '
        'the tests run, which is the workspace. Empty for no file: records '
        'are attached to the results of the tests in any case.'),
    _text(
        'run_name', '',
        'What this run is called in its records. Empty for the time at which '
        'it began.'),
]

live_migration_ha_opts = (
    _bound_opts + _drain_opts + _probe_opts + _wait_opts + _result_opts)

hosts_group = cfg.OptGroup(
    name='live_migration_ha_hosts',
    title='Access to compute hosts',
    help='How the live_migration_ha tests reach the compute hosts with SSH, '
         'to see what the API does not show and to change settings of '
         'nova-compute. Without ssh_user they do neither. {host} in a path '
         'or a command on hosts, and in those of key and known hosts, stands '
         'for the name of the host.')

hosts_opts = [
    _text(
        'ssh_user', '',
        'Who logs in on the compute hosts. Empty for no access to hosts.'),
    _text(
        'ssh_key_file', '',
        'Path of the private key of that user. Empty for the keys of an SSH '
        'agent and those in ~/.ssh.'),
    _text(
        'ssh_known_hosts_file', '~/.ssh/known_hosts',
        'Path of the file with the public keys of the compute hosts. A host '
        'that is not in there, or has another key, is not used.'),
    _port('ssh_port', 22, 'TCP port of the SSH servers.'),
    _addresses(
        'addresses',
        'Where the SSH servers answer, if not under the name by which nova '
        'calls the host: name:address, separated by commas.'),
    _boolean(
        'sudo', True,
        'Whether commands on the hosts need sudo, without a password.'),
    _text(
        'nova_conf', '/etc/nova/nova.conf',
        'Path on a compute host of the file from which nova-compute reads '
        'its options; /etc/nova/nova-cpu.conf with devstack.'),
    _text(
        'restart_command', 'systemctl restart nova-compute',
        'Command on a compute host that restarts nova-compute and returns '
        'when that is done, for sh; "systemctl restart devstack@n-cpu" with '
        'devstack, "docker restart nova_compute" for a container.'),
    _text(
        'pid_command',
        'systemctl show --property=MainPID --value nova-compute',
        'Command on a compute host that prints the process id of '
        'nova-compute, or 0 if it does not run, for sh; "docker inspect '
        '--format {{.State.Pid}} nova_compute" for a container.'),
    _text(
        'virsh_command', 'virsh',
        'How to call virsh on a compute host, as words separated by spaces; '
        '"docker exec nova_libvirt virsh" for a container.'),
    _number(
        'restart_timeout', RESTART_S, *RESTART_BOUNDS_S,
        'How long nova-compute may take to stop, in seconds, and as long '
        'again to start and report to nova. Before it stops nova 34 waits '
        'for what it is at, up to 180 s (nova.conf: '
        '[DEFAULT]graceful_shutdown_timeout); the default leaves room for '
        'that.'),
    _number(
        'sample_interval', 1.0, 0.0, 60.0,
        'Time between two samples of CPU, memory, network and disks of the '
        'hosts while servers are moved, in seconds. 0 to take none.'),
    _text(
        'journal_directory', JOURNAL,
        'Directory on this machine in which hosts are written down before '
        'they are changed. What a killed run left behind there is put back '
        'by `tempest live-migration-ha recover`.'),
]

cells_group = cfg.OptGroup(
    name='live_migration_ha_cells',
    title='Deployment settings to switch through',
    help='Settings of nova-compute with which live migrations are tested: '
         'every combination of the values given here is a cell. They are set '
         'on the hosts, which takes access to hosts, and put back '
         'afterwards. A setting without a value is left as it is.')

# The options of cells_group whose values are set on hosts.
SETTINGS = ('max_concurrent_live_migrations', 'tunnelled', 'post_copy',
            'auto_converge', 'parallel_connections', 'native_tls')
# What may have a bound of its own.
_BOUNDED = ('block', 'shared', *(
    name for name in SETTINGS if not name.startswith(('max', 'parallel'))))

cells_opts = [
    _sizes(
        'max_concurrent_live_migrations', [],
        'Values of nova.conf: [DEFAULT]max_concurrent_live_migrations. Each '
        'has to be smaller than drain_servers of this group: how many run at '
        'once is seen where another one has to wait.',
        least=0),
    _booleans(
        'tunnelled',
        'Values of nova.conf: [libvirt]live_migration_tunnelled.'),
    _booleans(
        'post_copy',
        'Values of nova.conf: [libvirt]live_migration_permit_post_copy.'),
    _booleans(
        'auto_converge',
        'Values of nova.conf: [libvirt]live_migration_permit_auto_converge.'),
    _sizes(
        'parallel_connections', [],
        'Values of nova.conf: [libvirt]live_migration_parallel_connections '
        '(nova 33.0 and later). Not above 1 together with post_copy.',
        least=0),
    _booleans(
        'native_tls',
        'Values of nova.conf: [libvirt]live_migration_with_native_tls.'),
    _texts(
        'flavors',
        'Names or ids of the flavors that are tested in every cell. Empty '
        'for [compute]flavor_ref alone.'),
    _seconds_each(
        'max_outage', _BOUNDED,
        'Longest outage, in seconds, in cells with a storage (block, shared) '
        'or with a setting that is on, such as block:1.0,tunnelled:2.0; the '
        'largest of them counts. Where none is given, max_outage in group '
        'live_migration_ha: none of the settings makes the pause longer '
        'that nova aims at.'),
    _seconds_each(
        'max_stall', _BOUNDED,
        'Longest stall, in seconds, in the same way. Where none is given, '
        'max_stall in group live_migration_ha.'),
    _integer(
        'drain_servers', 4, 0, 1000,
        'How many servers are drained in every cell, in a window of one more '
        'than the hosts run at once, so that their number shows. 0 or 1 for '
        'none. Where hosts or quota have no room for as many, they are as '
        'many as fit, and a cell fails if these are not more than the hosts '
        'run at once.'),
]

_groups = [
    (live_migration_ha_group, live_migration_ha_opts),
    (hosts_group, hosts_opts),
    (cells_group, cells_opts),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the plugin's groups and options.

    :param conf: the configuration object that gets them
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
    """Refuse a configuration that the plugin cannot take as it stands.

    oslo.config ignores an option that it does not know, so a misspelt bound
    would silently leave the default in force. Names and values of all of
    our own groups are looked at.

    :param conf: Tempest's CONF, or any oslo.config object
    :raises InvalidConfiguration: names group, option and file or value
    """
    faults = _unknown_options(config_files(conf)) + _bad_values(conf)
    if faults:
        raise lib_exc.InvalidConfiguration('; '.join(faults))


def config_files(conf: Any) -> list[str]:
    """Return the files that a configuration was read from, in that order.

    :param conf: Tempest's CONF, or any oslo.config object
    """
    files = list(conf.config_file or [])
    directories = conf.config_dir or []
    for directory in directories:
        files.extend(
            str(path) for path in sorted(pathlib.Path(directory).glob(
                '*.conf')))
    return [path for path in files if pathlib.Path(path).is_file()]


def _unknown_options(files: Iterable[str]) -> list[str]:
    """Return one sentence for each option in our groups that is not ours."""
    faults: list[str] = []
    for path in files:
        sections: dict[str, dict[str, Any]] = {}
        cfg.ConfigParser(path, sections).parse()
        for section, assignments in sections.items():
            known = _known_names(section)
            if known is None:
                continue
            if section.lower() not in _group_names():
                faults.append('unknown group [%s] in %s; it is spelt [%s]' % (
                    section, path, _plain(section)))
                continue
            faults.extend(
                'unknown option %s in group [%s] of %s; the options of this '
                'group are: %s' % (name, section, path, ', '.join(known))
                for name in assignments if name not in known)
    return faults


def _plain(section: str) -> str:
    """Return the name of a section as it is spelt if it is one of ours."""
    return section.lower().replace('-', '_')


def _group_names() -> list[str]:
    """Return the names of our groups."""
    return [group.name for group, _ in _groups]


def _known_names(section: str) -> Sequence[str] | None:
    """Return the names of a group's options; None if it is not our group.

    A group with hyphens for underscores is taken for ours: nobody else's is
    called like that, and oslo.config would not look at it.
    """
    for group, opts in _groups:
        if _plain(section) == group.name:
            return sorted(opt.dest for opt in opts)
    return None


def _bad_values(conf: Any) -> list[str]:
    """Return one sentence for each own option whose value is refused."""
    faults = []
    for group, opts in _groups:
        values = getattr(conf, group.name)
        for opt in opts:
            value = getattr(values, opt.dest)
            try:
                getattr(opt.type, 'strict', opt.type)(value)
            except ValueError as exc:
                faults.append('bad value of option %s in group [%s]: %s: '
                              '%s' % (opt.dest, group.name, value, exc))
    return faults or _contradictions(conf)


def _contradictions(conf: Any) -> list[str]:
    """Return one sentence for each two values that do not go together."""
    faults = []
    values = getattr(conf, live_migration_ha_group.name)
    if values.max_stall < values.max_outage:
        faults.append(
            'option max_stall in group [%s] is %s s, less than max_outage, '
            '%s s: while a guest cannot be reached, a connection to it '
            'makes no progress either' % (
                live_migration_ha_group.name, values.max_stall,
                values.max_outage))
    cells = getattr(conf, cells_group.name)
    given = [name for name in SETTINGS if getattr(cells, name)]
    if given and not getattr(conf, hosts_group.name).ssh_user:
        faults.append(
            'group [%s] has settings to switch through (%s), and option '
            'ssh_user in group [%s] gives no access to the hosts' % (
                cells_group.name, ', '.join(given), hosts_group.name))
    return faults + _contradictory_cells(cells)


def _contradictory_cells(cells: Any) -> list[str]:
    """Return one sentence for each two values of cells, in the same way.

    :param cells: the values of group live_migration_ha_cells
    """
    faults = []
    most = max(cells.max_concurrent_live_migrations, default=0)
    if most and most >= cells.drain_servers:
        faults.append(
            'option max_concurrent_live_migrations in group [%s] has the '
            'value %d, and option drain_servers there is %d: that no more '
            'run at once shows only where another one has to wait, so there '
            'have to be more servers' % (
                cells_group.name, most, cells.drain_servers))
    if any(cells.post_copy) and max(
            cells.parallel_connections, default=1) > 1:
        faults.append(
            'options post_copy and parallel_connections in group [%s] are '
            'on and above 1: nova-compute does not start with both, unless '
            'QEMU is 10.1 or later; go through them one after the other' % (
                cells_group.name))
    return faults
