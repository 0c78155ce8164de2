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

import dataclasses
from unittest import mock

from lm_tempest_plugin.hosts import remote
from lm_tempest_plugin.hosts import sockets
from lm_tempest_plugin.migration.checks import hosts
from lm_tempest_plugin.migration.checks import registry
from lm_tempest_plugin.migration import verdict
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.migration import builders
from lm_tempest_plugin.tests.unit.migration.checks import base

Transport = sockets.Transport


def settings(storage='', **values):
    return schema.Settings(storage=storage, values=values)


def watch(transport=Transport.DIRECT, ports=(49152,)):
    """Return a watch of the sockets that saw a transport."""
    found = mock.create_autospec(sockets.SocketWatch, instance=True)
    found.transport = transport
    found.results.return_value = schema.Sockets(
        transport=transport.value, samples=40, qemu_ports=ports,
        qemu_connections=len(ports), libvirt_ports=())
    found.__str__.return_value = f'sockets: transport {transport}'
    return found


def migration(*snapshots, progress=(), known=None):
    """Return a migration with its verdict.

    :param snapshots: by default those of a completed one
    :param progress: progress of its copy
    :param known: its evidence
    """
    followed = (builders.migration(*snapshots) if snapshots
                else builders.completed())
    followed.progress.extend(progress)
    return builders.judged(known, migration=followed)


class HostAccessTest(base.CheckTestCase):

    check = staticmethod(hosts.host_access)

    def test_every_host_answered(self):
        self.assert_passes(builders.observation(sockets=mock.Mock()))

    def test_without_access(self):
        self.assert_skipped(builders.observation(), 'not observed')

    def test_a_host_that_did_not_answer_is_named_once(self):
        self.assert_problem(
            builders.observation(host_errors=['beta: no SSH'] * 2),
            'beta: no SSH', server_id=None)


class ConcurrencyTest(base.CheckTestCase):

    check = staticmethod(hosts.concurrency)

    def observation(self, limit, running=2, full=2):
        values = ({} if limit is None
                  else {'max_concurrent_live_migrations': limit})
        return builders.observation(
            settings=settings(**values), concurrency=[schema.Concurrency(
                host='alpha', running=running, queued=1, mean=2.0,
                busy_s=9.0, idle_s=0.0, full=full)])

    def test_as_declared(self):
        self.assert_passes(self.observation(2))

    def test_more_at_once(self):
        self.assert_problem(
            self.observation(2, running=3), 'host alpha',
            'declared to run 2', '3 ran', server_id=None)

    def test_fewer_while_others_had_to_wait(self):
        self.assert_problem(
            self.observation(2, running=1, full=1), 'host alpha',
            'declared to run 2', 'no more than 1', server_id=None)

    def test_fewer_while_none_had_to_wait(self):
        self.assert_passes(self.observation(2, running=1, full=None))

    def test_no_limit_is_declared(self):
        # 0 means no limit to nova.
        for limit in (None, 0):
            self.assert_skipped(self.observation(limit), 'is not declared')


class StorageTest(base.CheckTestCase):

    check = staticmethod(hosts.storage)

    def observation(self, storage, *migrations, sockets=None):
        return builders.observation(
            *migrations, settings=settings(storage), sockets=sockets)

    def copied(self, disk):
        return migration(progress=[builders.progress(disk=disk)])

    def test_disks_are_copied_as_declared(self):
        self.assert_passes(self.observation('block', self.copied(10)))

    def test_disks_are_copied_although_storage_is_shared(self):
        self.assert_problem(
            self.observation('shared', self.copied(10)),
            'declared to be shared, and disks were copied', server_id=None)

    def test_without_a_copy_of_disks_nothing_is_proven(self):
        for storage in ('block', 'shared'):
            self.assert_passes(self.observation(storage, self.copied(0)))
            self.assert_passes(self.observation(storage, migration()))

    def test_a_second_port_of_qemu_is_a_copy_of_disks(self):
        problem = self.assert_problem(
            self.observation('shared', migration(),
                             sockets=watch(ports=(49152, 49153))),
            'disks were copied', server_id=None)
        self.assertIn('sockets: transport direct', problem.text)

    def test_ports_of_qemu_that_prove_nothing(self):
        for ports, number in (
                ((49152,), 1), ((), 1), ((49152, 49153), 2)):
            self.assert_passes(self.observation(
                'shared', *[migration()] * number,
                sockets=watch(ports=ports)))

    def test_storage_is_not_declared(self):
        self.assert_skipped(self.observation('', self.copied(10)),
                            'storage is not declared')


class PostCopyTest(base.CheckTestCase):

    check = staticmethod(hosts.post_copy)

    def observation(self, post_copied=True, **values):
        return builders.observation(
            builders.judged(builders.new_evidence(
                transitions=builders.transitions(
                    'running', 'running (post-copy)', 'completed'))
                if post_copied else None),
            settings=settings(**values))

    def test_no_post_copy(self):
        self.assert_passes(
            self.observation(post_copied=False, post_copy=False))

    def test_post_copy_although_it_is_off(self):
        self.assert_problem(self.observation(post_copy=False),
                            'declared to be off', 'in post-copy')

    def test_post_copy_that_is_allowed(self):
        for values in ({'post_copy': True}, {}):
            for post_copied in (False, True):
                self.assert_skipped(
                    self.observation(post_copied, **values),
                    'not declared to be off')


class TransportTest(base.CheckTestCase):

    check = staticmethod(hosts.transport)

    def observation(self, found, declared, *migrations):
        values = {} if declared is None else {'tunnelled': declared}
        return builders.observation(
            *migrations, settings=settings(**values),
            sockets=found and watch(found))

    def test_as_declared(self):
        for found, declared in ((Transport.TUNNELLED, True),
                                (Transport.DIRECT, False)):
            self.assert_passes(self.observation(found, declared))

    def test_another_transport_than_declared(self):
        for found, declared, expected in (
                (Transport.TUNNELLED, False, 'direct'),
                (Transport.DIRECT, True, 'tunnelled'),
                (Transport.UNSEEN, True, 'tunnelled'),
                (Transport.UNSEEN, False, 'direct')):
            self.assert_problem(
                self.observation(found, declared),
                f'declared to be {expected}, and {found} was seen',
                f'transport {found}', server_id=None)

    def test_sockets_that_could_not_be_listed(self):
        seen = self.observation(Transport.DIRECT, True)
        type(seen.sockets).transport = mock.PropertyMock(
            side_effect=remote.HostError('beta: no SSH'))
        self.assert_problem(seen, 'beta: no SSH', server_id=None)

    def test_tunnelled_is_not_declared(self):
        self.assert_skipped(self.observation(Transport.UNSEEN, None),
                            'tunnelled is not declared')

    def test_no_access_to_the_hosts(self):
        self.assert_skipped(self.observation(None, True), 'no access')

    def test_no_migration_was_completed(self):
        self.assert_skipped(
            self.observation(Transport.UNSEEN, True, migration(
                builders.snapshot(1, [builders.record('failed')]))),
            'no migration was completed')


class PlacedTestCase(base.CheckTestCase):
    """A server that went from alpha to beta, unless a test moves it."""

    def observation(self, *traces, host='beta', kind=None, exists=True,
                    hardware_before=None, **changes):
        """Return the observation of a server.

        :param traces: of the server on the hosts
        :param host: its host
        :param kind: verdict on its migration; completed by default
        :param exists: whether it still exists
        :param hardware_before: of its guest
        :param changes: of the server
        """
        judged = builders.judged(hardware_before=hardware_before)
        if kind:
            judged = dataclasses.replace(judged, verdict=dataclasses.replace(
                judged.verdict, kind=kind))
        seen = builders.observation(
            judged, read_traces=lambda hosts, server_ids: dict.fromkeys(
                server_ids, traces))
        # A cached property.
        seen.__dict__['servers'] = {fakes.SERVER_ID: builders.server(
            host=host, **changes) if exists else None}
        return seen


def traces(host, state='', **changes):
    return schema.HostTraces(host=host, state=state, **changes)


class DomainsTest(PlacedTestCase):

    check = staticmethod(hosts.domains)

    def test_expected(self):
        for status, state in (
                ('ACTIVE', 'running'), ('ACTIVE', 'blocked'),
                ('PAUSED', 'paused'), ('SHUTOFF', 'shut off'),
                ('SUSPENDED', ''), ('ERROR', 'crashed'), ('ERROR', '')):
            self.assert_passes(self.observation(
                traces('alpha'), traces('beta', state), status=status))

    def test_wrong(self):
        for alpha, beta, status in (
                ('', 'paused', 'ACTIVE'), ('', '', 'ACTIVE'),
                ('', 'running', 'PAUSED'), ('running', 'running', 'ACTIVE'),
                ('shut off', 'running', 'ACTIVE'),
                ('running', 'shut off', 'SHUTOFF'),
                ('running', '', 'ERROR')):
            self.assert_problem(
                self.observation(traces('alpha', alpha),
                                 traces('beta', beta), status=status),
                f'nova calls the server {status} on host beta',
                f'{beta or "no domain"} on host beta, '
                f'{alpha or "no domain"} on host alpha')

    def test_a_server_that_stayed(self):
        self.assert_problem(
            self.observation(traces('alpha', 'running'),
                             traces('beta', 'paused'), host='alpha'),
            'running on host alpha, paused on host beta',
            'expected: running or blocked there, and no domain elsewhere')

    def test_a_server_that_does_not_exist(self):
        self.assert_passes(self.observation(
            traces('alpha'), traces('beta'), exists=False))
        self.assert_problem(
            self.observation(
                traces('alpha'), traces('beta', 'paused'), exists=False),
            'the server does not exist any more, and libvirt shows: no domain '
            'on host alpha, paused on host beta; expected: no domain')

    def test_a_domain_that_is_not_defined(self):
        self.assert_problem(
            self.observation(
                traces('alpha'), traces('beta', 'running', persistent=False)),
            'on host beta is not defined')

    def test_without_access(self):
        self.assert_skipped(self.observation(), 'host alpha cannot be asked',
                            'host beta cannot be asked')

    def test_with_access_to_one_of_two_hosts(self):
        self.assert_skipped(self.observation(traces('alpha')),
                            'host beta cannot be asked')
        seen = self.observation(traces('alpha', 'running'))
        # A problem is told, even if the check is not done.
        problems, outcome = registry._run('domains', self.check, seen)
        self.assertEqual(1, len(problems))
        self.assertEqual('failed', outcome.outcome)

    def test_nothing_is_judged_that_has_not_ended(self):
        both = traces('alpha', 'running'), traces('beta', 'paused')
        for seen in (
                self.observation(*both, kind=verdict.Kind.STUCK,
                                 task_state='migrating'),
                # A server that is shelved has no host.
                self.observation(*both, host='')):
            self.assert_skipped(seen, 'no migration')

    def test_a_record_that_was_abandoned(self):
        self.assert_problem(
            self.observation(
                traces('alpha', 'running'), traces('beta', 'shut off'),
                host='alpha', kind=verdict.Kind.STUCK),
            'shut off on host beta')


class DomainXmlTest(PlacedTestCase):

    check = staticmethod(hosts.domain_xml)

    def test_no_difference(self):
        self.assert_passes(self.observation(
            traces('alpha'), traces('beta', 'running')))

    def test_differences(self):
        self.assert_problem(
            self.observation(traces('alpha'), traces(
                'beta', 'running', differences=('disk vda is no more',))),
            'host beta: disk vda is no more')

    def test_without_access(self):
        self.assert_skipped(self.observation(), 'cannot be asked')


class MachineAndCpuTest(PlacedTestCase):

    check = staticmethod(hosts.machine_and_cpu)

    def seen(self, before, after):
        """Return an observation of one migration.

        :param before: machine, CPU and version of QEMU before; None if they
            are not known
        :param after: the same on the destination
        """
        known, found = (each and schema.GuestHardware(
            machine=each[0], cpu=each[1], qemu_version=each[2])
            for each in (before, after))
        return self.observation(
            traces('alpha'), traces('beta', 'running', hardware=found),
            hardware_before=known)

    def test_kept(self):
        # Another QEMU is the reason to look, and no problem.
        self.assert_passes(self.seen(
            ('pc-i440fx-9.2', 'custom Nehalem +x2apic', '10.0.2'),
            ('pc-i440fx-9.2', 'custom Nehalem +x2apic', '11.1.3')))

    def test_another_machine_type(self):
        self.assert_problem(
            self.seen(('pc-i440fx-9.2', '', '10.0.2'),
                      ('pc-i440fx-11.1', '', '')),
            'was pc-i440fx-9.2, and is pc-i440fx-11.1 on host beta',
            '(QEMU 10.0.2 to QEMU of unknown version)')

    def test_another_cpu(self):
        for before, after, lost, new in (
                ('custom Nehalem +ht +x2apic', 'custom Nehalem +x2apic -vmx',
                 '+ht', '-vmx'),
                ('custom Nehalem', 'custom SandyBridge', 'Nehalem',
                 'SandyBridge'),
                ('', 'custom Nehalem', 'nothing', 'custom Nehalem'),
                ('custom Nehalem -vmx', 'custom Nehalem', '-vmx',
                 'nothing')):
            self.assert_problem(
                self.seen(('pc', before, '9'), ('pc', after, '9')),
                f'lost {lost} and got {new} on host beta',
                before or 'the default')

    def test_not_known(self):
        known = ('pc', '', '')
        for before, after in ((None, known), (known, None)):
            self.assert_skipped(self.seen(before, after),
                                'no virtual hardware is known')

    def test_without_access(self):
        self.assert_skipped(self.observation(), 'cannot be asked')


class InstanceDirectoriesTest(PlacedTestCase):

    check = staticmethod(hosts.instance_directories)

    def two(self, alpha, beta, **changes):
        return self.observation(
            traces('alpha', directory=alpha),
            traces('beta', directory=beta), **changes)

    def test_expected(self):
        for alpha, beta in (
                ('', '7 ext2/ext3'), ('7 nfs', '7 nfs'),
                # The check would be skipped, with another reason.
                (None, '7 xfs'), ('7 nfs', None)):
            self.assert_passes(self.two(alpha, beta))
        self.assert_passes(self.two('7 xfs', '', host='alpha'))

    def test_left_behind(self):
        for alpha, beta in (
                ('7 ext2/ext3', '8 ext2/ext3'), ('7 xfs', '7 xfs'),
                ('7 xfs', None), ('7 nfs', '8 nfs')):
            self.assert_problem(
                self.two(alpha, beta), 'left on host alpha',
                'nova calls the server ACTIVE on host beta')
        for type_ in ('nfs', 'xfs'):
            self.assert_problem(
                self.two('', f'7 {type_}', exists=False), 'left on host beta',
                'the server does not exist any more')

    def test_missing(self):
        self.assert_problem(
            self.two('', ''), 'there is no instance directory on host beta')

    def test_not_known(self):
        self.assert_skipped(
            self.observation(
                traces('alpha', directory=''),
                traces('beta', unknown={'directory': 'no such path'})),
            'host beta: no such path')


class InterfacesTest(PlacedTestCase):

    check = staticmethod(hosts.interfaces)

    def two(self, alpha=(), beta=('tap1',), stray=(), exists=True,
            **unknown):
        return self.observation(
            traces('alpha', interfaces=alpha, stray_taps=stray,
                   unknown=unknown),
            traces('beta', interfaces=beta), exists=exists)

    def test_expected(self):
        self.assert_passes(self.two())
        self.assert_passes(self.two(beta=None))
        # Of another server.
        self.assert_passes(self.two(stray=('tap2',)))

    def test_left_behind(self):
        self.assert_problem(
            self.two(alpha=('tap1', 'qvo1')),
            'qvo1, tap1 left on host alpha, and nova calls the server ACTIVE '
            'on host beta')
        self.assert_problem(
            self.two(stray=('tap1', 'tap2')), 'tap1 left on host alpha')
        self.assert_problem(
            self.two(exists=False), 'tap1 left on host beta, and the server '
            'does not exist any more')

    def test_down(self):
        def down(state):
            return self.observation(traces('alpha'), traces(
                'beta', state, interfaces=('tap1', 'tap2'),
                interfaces_down=('tap2',)))

        self.assert_problem(
            down('running'), 'tap2 down on host beta: nothing goes through')
        self.assert_passes(down('paused'))
        self.assert_passes(down('shut off'))

    def test_not_known(self):
        self.assert_skipped(
            self.two(interfaces='Open vSwitch cannot be asked'),
            'host alpha: Open vSwitch cannot be asked')
        self.assert_skipped(self.observation(), 'host beta cannot be asked')
