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


from lm_tempest_plugin.hosts import logs
from lm_tempest_plugin.migration import reasons
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base

SERVER = '26955a34-328e-4855-8514-313835496090'
# As nova 34 and libvirt 9.0 write them.
CONTEXT = ('[None req-6aa508be-7b02-4789-9991-8e0696709ee2 0506087003dc4e61 '
           f'e081618e32114e53 - - default default] [instance: {SERVER}] ')
DRIVER = '2026-11-28 00:14:31.091 360 ERROR nova.virt.libvirt.driver '
MANAGER = '2026-11-28 00:14:31.791 360 ERROR nova.compute.manager '
CLOSED = 'internal error: client socket is closed'
REFUSED = ("internal error: unable to execute QEMU command 'blockdev-add': "
           "Failed to connect to '198.18.0.12:49153': Connection refused")
KEEPALIVE = 'internal error: connection closed due to keepalive timeout'


def failure(text):
    """Return nova's line about a failed migration."""
    return (f'{DRIVER}{CONTEXT}Live Migration failure: {text}: '
            f'libvirt.libvirtError: {text}')


def libvirtd(text, time='00:14:31.071', function='qemuMigrationDstFinish'):
    return f'2026-11-28 {time}+0000: 116: error : {function}:366 : {text}'


def qemu(text, program='qemu-system-x86_64'):
    return f'2026-11-28T00:14:31.180820Z {program}: {text}'


class ClassifyTest(base.TestCase):

    def classify(self, nova=(), libvirtd=(), qemu=(), other_libvirtd=()):
        return reasons.classify([
            schema.HostLog(host='alpha', name=logs.NOVA_COMPUTE, lines=nova),
            schema.HostLog(host='alpha', name=logs.LIBVIRTD, lines=libvirtd),
            schema.HostLog(host='beta', name=logs.LIBVIRTD,
                           lines=other_libvirtd),
            schema.HostLog(host='beta', name=logs.QEMU, lines=qemu),
            schema.HostLog(host='beta', name=logs.NOVA_COMPUTE,
                           error='no such file')])

    def test_messages_of_libvirt(self):
        for slug, text in (
                ('aborted', 'operation aborted: migration out job: canceled '
                 'by client'),
                ('certificate', 'authentication failed: Failed to verify '
                 "peer's certificate"),
                ('certificate', 'operation failed: migration out job: Cannot '
                 'write to TLS channel: Input/output error'),
                ('authentication', 'authentication failed: authentication '
                 'failed'),
                ('authentication', 'Cannot recv data: Host key verification '
                 'failed.: Connection reset by peer'),
                ('name-resolution', 'unable to connect to server at '
                 "'beta:49152': Name or service not known"),
                ('connection-refused', REFUSED),
                ('no-route', 'unable to connect to server at '
                 "'198.18.0.99:16509': No route to host"),
                ('cpu', 'unsupported configuration: guest and host CPU are '
                 'not compatible: Host CPU does not provide required '
                 'features: avx512f'),
                ('cpu', 'operation failed: guest CPU doesn\'t match '
                 'specification: missing features: pcid'),
                ('domain-exists', "operation failed: domain "
                 "'instance-00000001' already exists with uuid " + SERVER),
                ('secret', 'Secret not found: no secret with matching uuid '
                 f"'{SERVER}'"),
                ('out-of-memory', 'internal error: QEMU unexpectedly closed '
                 "the monitor (vm='instance-00000001'): 2026-11-28T00:14:31Z "
                 'qemu-system-x86_64: cannot set up guest memory '
                 "'pc.ram': Cannot allocate memory"),
                ('storage', 'Unsafe migration: Migration without shared '
                 'storage is unsafe'),
                ('device-state', 'internal error: QEMU unexpectedly closed '
                 "the monitor (vm='instance-00000001'): 2026-11-28T00:14:31Z "
                 'qemu-system-x86_64: error while loading state for instance '
                 "0x0 of device '0000:00:02.0/virtio-net'"),
                ('unsupported', 'unsupported configuration: Unable to find '
                 'security driver for model selinux'),
                ('time-out', 'unable to connect to server at '
                 "'beta:49152': Connection timed out"),
                ('qemu-ended', 'Unable to read from monitor: Connection '
                 'reset by peer'),
                ('connection-lost', CLOSED),
                ('other', 'internal error: something new')):
            self.assertEqual(reasons.Reason(slug, text),
                             self.classify([failure(text)]))

    def test_exceptions_of_nova(self):
        for slug, text, exception in (
                ('disk-exists', 'The supplied disk path (/var/lib/nova/'
                 f'instances/{SERVER}) already exists, it is expected not to '
                 'exist.', 'DestinationDiskExists_Remote'),
                ('disk-space', f'Migration pre-check error: Unable to migrate '
                 f'{SERVER}: Disk of instance is too large(available on '
                 'destination host:1 < need:2)', 'MigrationPreCheckError'),
                ('out-of-memory', f'Migration pre-check error: Unable to '
                 f'migrate {SERVER} to beta: Lack of memory(host:1 <= '
                 'instance:2)', 'MigrationPreCheckError'),
                ('cpu', "Unacceptable CPU info: CPU doesn't have "
                 'compatibility.', 'InvalidCPUInfo'),
                ('image', 'Connection to glance host http://198.18.0.10:9292 '
                 'failed: Error finding address for http://198.18.0.10:9292: '
                 'Unable to establish connection to http://198.18.0.10:9292: '
                 'Failed to establish a new connection: [Errno 111] '
                 'Connection refused', 'GlanceConnectionFailed'),
                ('api', 'Unable to establish connection to '
                 'http://198.18.0.10:9696/networking/v2.0/ports: [Errno 111] '
                 'Connection refused', 'ConnectFailure'),
                ('storage', '/var/lib/nova/instances is not on shared '
                 'storage: Shared storage migration requires it',
                 'InvalidSharedStorage')):
            for line in (
                    f'{MANAGER}{CONTEXT}Pre live migration failed at beta: '
                    f'nova.exception_Remote.{exception}: {text}',
                    f'{MANAGER}[instance: {SERVER}] nova.exception.'
                    f'{exception}: {text}'):
                self.assertEqual(reasons.Reason(slug, text),
                                 self.classify([line]))

    def test_a_warning_of_nova(self):
        text = ("Timeout waiting for [('network-vif-plugged', 'port-1')] for "
                'instance with vm_state active and task_state migrating.')
        self.assertEqual(
            reasons.Reason('vif-plug', text), self.classify([
                '2026-11-28 00:14:31.791 360 WARNING nova.compute.manager '
                f'{CONTEXT}{text}']))

    def test_the_time_out_of_nova(self):
        text = 'Live migration not completed after 800 sec'
        line = ('2026-11-28 00:45:21.174 6275 WARNING '
                f'nova.virt.libvirt.migration {CONTEXT}{text}')
        aborted = "operation aborted: job 'migration out' canceled by client"
        for nova, reason in (
                ([line, failure(aborted)], ('time-out', text)),
                ([failure(aborted)], ('aborted', aborted)),
                # nova may switch to post-copy instead.
                ([line, failure(CLOSED)], ('connection-lost', CLOSED))):
            self.assertEqual(reasons.Reason(*reason), self.classify(nova))

    def test_qemu_of_the_other_host_knows_the_cause(self):
        text = 'cannot set up guest memory \'pc.ram\': Cannot allocate memory'
        for program in ('qemu-system-x86_64', 'qemu-kvm'):
            self.assertEqual(
                reasons.Reason('out-of-memory', f'qemu on host beta: {text}'),
                self.classify(
                    [failure(CLOSED)], [], [
                        qemu('warning: host doesn\'t support requested '
                             'feature: CPUID.1H'),
                        qemu('terminating on signal 15 from pid 70'),
                        qemu(text, program)]))

    def test_notes_of_libvirt_in_the_log_of_qemu(self):
        for text, slug in (
                ('initiating migration', None),
                ('shutting down, reason=migrated', None),
                ('shutting down, reason=failed', None),
                ('shutting down, reason=destroyed', 'qemu-ended'),
                ('shutting down, reason=daemon', 'libvirtd-restarted')):
            found = self.classify((), (), [
                f'2026-11-28 00:49:28.405+0000: {text}',
                # As after each migration.
                qemu('terminating on signal 15 from pid 60 (libvirtd)')])
            self.assertEqual(
                reasons.Reason(slug, f'qemu on host beta: {text}')
                if slug else None, found)

    def test_waiting_for_the_lock_of_a_domain_is_no_reason(self):
        self.assertIsNone(self.classify((), [libvirtd(
            'Timed out during operation: cannot acquire state change lock '
            '(held by monitor=remoteDispatchDomainMigrateFinish3Params)')]))

    def test_the_first_message_of_libvirtd_counts(self):
        self.assertEqual(
            reasons.Reason('time-out', f'libvirtd on host beta: {KEEPALIVE}'),
            self.classify(
                [failure(CLOSED)], [
                    libvirtd("Failed to open file '/sys/fs/cgroup': No such "
                             'file or directory', '00:14:10.000'),
                    libvirtd(REFUSED)],
                other_libvirtd=[libvirtd(KEEPALIVE, '00:14:15.441')]))

    def test_libvirtd_of_the_destination_was_killed(self):
        """When it starts again, it finds the sockets of dead processes."""
        started = libvirtd('failed to connect to monitor socket: Connection '
                           'refused', '00:14:10.000')
        lost = 'operation failed: Lost connection to destination host'
        self.assertEqual(
            reasons.Reason('connection-lost', CLOSED),
            self.classify([failure(CLOSED)], [started]))
        self.assertEqual(
            reasons.Reason('connection-lost',
                           f'libvirtd on host beta: {lost}'),
            self.classify((), [started], other_libvirtd=[libvirtd(lost)]))

    def test_libvirtd_in_the_journal(self):
        self.assertEqual(
            reasons.Reason(
                'connection-refused', f'libvirtd on host alpha: {REFUSED}'),
            self.classify(
                [failure(CLOSED)], ['2026-11-28T00:14:31+0000 alpha '
                                    f'virtqemud[93]: {REFUSED}']))

    def test_libvirtd_explains_no_end_of_qemu(self):
        # It may have migrated another domain meanwhile.
        self.assertEqual('qemu-ended', self.classify(
            [failure('Unable to read from monitor: Connection reset by peer')],
            [libvirtd(REFUSED)]).slug)

    def test_nothing_is_known(self):
        for nova in ((), [
                f'{MANAGER}[instance: {SERVER}]     raise '
                'MessagingTimeout(timed out)',
                '2026-11-28 00:14:31.791 360 INFO nova.compute.manager '
                f'{CONTEXT}Connection refused',
                f'{MANAGER}{CONTEXT}Setting instance vm_state to ERROR']):
            self.assertIsNone(self.classify(nova))
