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

"""Unit tests of corrections of nova's and neutron's present defects."""

import sys
import threading
import types
from unittest import mock

from lab.tests.unit.bugs import base


class TestPortUpAfterRollback(base.BugTestCase):

    bug = 'port_up_after_rollback_corrected'

    def setUp(self):
        super().setUp()
        self.switch_port = types.SimpleNamespace(up=True)
        self.chassis = [types.SimpleNamespace(hostname='one')]
        self.enterContext(mock.patch.dict(sys.modules, {
            'neutron.common.ovn.utils': types.SimpleNamespace(
                is_lsp_up=lambda port: port.up)}))
        driver = self.fake(
            'OVNMechanismDriver', 'update_port_postcommit',
            nb_ovn=types.SimpleNamespace(lookup=self.look_up),
            sb_ovn=types.SimpleNamespace(db_find_rows=self.find),
            _plugin=types.SimpleNamespace(
                update_port_status=lambda *args: self.calls.append(args)))
        self.apply(mech_driver=types.SimpleNamespace(
            OVNMechanismDriver=driver))
        self.driver = driver()

    def look_up(self, table, name, default):
        self.assertEqual(('Logical_Switch_Port', 'port-1'), (table, name))
        return self.switch_port or default

    def find(self, table, condition):
        self.assertEqual(('Port_Binding', ('logical_port', '=', 'port-1')),
                         (table, condition))
        return types.SimpleNamespace(execute=lambda check_error: [
            types.SimpleNamespace(chassis=self.chassis)])

    def update(self, before='unbound', **changes):
        """Return the calls of an update of the port."""
        self.calls.clear()
        self.driver.update_port_postcommit(types.SimpleNamespace(
            plugin_context='context', original={'binding:vif_type': before},
            current={'id': 'port-1', 'status': 'DOWN',
                     'binding:vif_type': 'ovs', 'binding:profile': {},
                     'binding:host_id': 'one', **changes}))
        return self.calls

    def test_bound_again_to_the_host_where_it_is_up(self):
        self.assertEqual(['update_port_postcommit',
                          ('context', 'port-1', 'ACTIVE')], self.update())
        self.assertEqual(['port port-1 is up on one as before'],
                         self.events())

    def test_other_updates(self):
        own = ['update_port_postcommit']
        self.assertEqual(own, self.update(status='ACTIVE'))
        self.assertEqual(own, self.update(**{'binding:vif_type': 'unbound'}))
        self.assertEqual(own, self.update('ovs'))
        self.assertEqual(own, self.update(
            **{'binding:profile': {'migrating_to': 'two'}}))

    def test_it_is_not_up_there(self):
        own = ['update_port_postcommit']
        # After an activation the source may still hold it.
        self.assertEqual(own, self.update(**{'binding:host_id': 'two'}))
        self.chassis = []
        self.assertEqual(own, self.update())
        self.chassis = [types.SimpleNamespace(hostname='one')]
        self.switch_port.up = False
        self.assertEqual(own, self.update())
        self.switch_port = None
        self.assertEqual(own, self.update())
        self.assertEqual([], self.events())


class TestMetadataMtu(base.BugTestCase):

    bug = 'metadata_mtu_corrected'

    def test_network_is_read_for_metadata_ports_without_one(self):
        def options(this, context, port):
            return port.get('network', {}).get('mtu')

        client = type('OVNClient', (), {
            '_get_port_options': options,
            '_plugin': types.SimpleNamespace(
                get_network=lambda context, network: {
                    'id': network, 'mtu': 1400})})
        self.apply(ovn_client=types.SimpleNamespace(
            OVNClient=client, utils=types.SimpleNamespace(
                is_ovn_metadata_port=lambda port: port['id'] == 'metadata',
                is_ovn_lb_hm_port=lambda port: port['id'] == 'monitor')))
        context = types.SimpleNamespace(elevated=lambda: 'elevated')
        mtus = [client()._get_port_options(
            context, {'id': name, 'network_id': 'net', **more})
            for name, more in (
                ('metadata', {}), ('monitor', {}), ('server', {}),
                ('metadata', {'network': {'mtu': 1500}}))]
        self.assertEqual([1400, 1400, None, 1500], mtus)
        self.assertEqual(['port metadata: MTU 1400',
                          'port monitor: MTU 1400'], self.events())


class FakeLibvirtError(Exception):

    def __init__(self, domain):
        super().__init__('keepalive timeout')
        self.err = ()
        self._domain = domain

    def get_error_domain(self):
        return self._domain


class HypervisorUnavailable(Exception):
    pass


class TestHungLibvirt(base.BugTestCase):

    bug = 'hung_libvirt_corrected'

    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.dict(sys.modules, {
            'libvirt': types.SimpleNamespace(
                libvirtError=FakeLibvirtError, VIR_FROM_REMOTE=13,
                VIR_FROM_RPC=7, VIR_FROM_QEMU=10, VIR_ERR_RPC=39,
                VIR_ERR_ERROR=2)}))
        self.released = threading.Event()
        # The thread would keep the process from ending.
        self.addCleanup(self.released.set)

    def patched(self, error=None):
        """Return nova's patched classes; the check raises the error."""
        def check(this, context, instance, *args):
            if error is not None:
                raise error
            return 'data'

        def connect(this, uri, read_only):
            self.released.wait()
            return types.SimpleNamespace(
                setKeepAlive=lambda *args: self.calls.append(args))

        manager = type('ComputeManager', (),
                       {'check_can_live_migrate_destination': check})
        host = type('Host', (), {'_connect': connect})
        self.apply(
            host=types.SimpleNamespace(Host=host),
            manager=types.SimpleNamespace(
                ComputeManager=manager, exception=types.SimpleNamespace(
                    HypervisorUnavailable=HypervisorUnavailable)))
        return host(), manager()

    def test_connection_is_kept_alive(self):
        self.released.set()
        host, manager = self.patched()
        host._connect('qemu:///system', False)
        self.assertEqual([(5, 2)], self.calls)
        self.assertEqual('data', manager.check_can_live_migrate_destination(
            None, self.instance))

    def test_connection_that_is_not_answered(self):
        self.patch(self.module, 'CONNECT_S', 0.05)
        host, _ = self.patched()
        for _ in range(2):
            self.assertRaises(FakeLibvirtError, host._connect, 'qemu', False)
        # The first attempt ends, and the second one was never made.
        self.released.set()
        host._connect('qemu', False)
        self.assertEqual([(5, 2)], self.calls)
        self.assertEqual(['no connection to qemu within 0.05 s'] * 2,
                         self.events())

    def test_lost_connection(self):
        _, manager = self.patched(FakeLibvirtError(7))
        self.assertRaises(
            HypervisorUnavailable, manager.check_can_live_migrate_destination,
            None, self.instance)
        self.assertEqual(['server server-1: keepalive timeout'],
                         self.events())

    def test_other_errors(self):
        for error in (FakeLibvirtError(10), ValueError()):
            _, manager = self.patched(error)
            self.assertRaises(
                type(error), manager.check_can_live_migrate_destination,
                None, self.instance)
        self.assertEqual([], self.events())


class TestLibvirtGone(base.BugTestCase):

    bug = 'libvirt_gone_corrected'

    def test_callback_in_the_thread_that_holds_the_lock(self):
        class Host:

            def __init__(this):
                this._wrapped_conn_lock = threading.Lock()

            def _get_connection(this):
                with this._wrapped_conn_lock:
                    this._connection_closed()

            def _connection_closed(this):
                # acquire() without a limit would never end the test.
                self.calls.append(
                    this._wrapped_conn_lock.acquire(timeout=0.01))

        self.apply(host=types.SimpleNamespace(Host=Host))
        host = Host()
        host._get_connection()
        self.assertEqual([True], self.calls)
        self.assertEqual(1, len(self.events()))
        # Of the thread with libvirt's events.
        Host()._connection_closed()
        self.assertEqual(1, len(self.events()))


class MessageUndeliverable(Exception):
    pass


class ComputeServiceUnavailable(Exception):

    def __init__(self, host):
        super().__init__(host)


class TestLostCast(base.BugTestCase):

    bug = 'lost_cast_corrected'

    def api(self, lost=False):
        """Return the patched RPC API; messages may have no queue."""
        def live_migration(this, context, *args):
            this.prepare_for_alt_rpcserver('client', 'one', '5.0')
            if lost:
                raise MessageUndeliverable

        self.enterContext(mock.patch.dict(sys.modules, {
            'oslo_messaging': types.SimpleNamespace(
                MessageUndeliverable=MessageUndeliverable,
                TransportOptions=dict)}))
        api = type('ComputeAPI', (), {
            'live_migration': live_migration,
            'prepare_for_alt_rpcserver': lambda this, *args, **kwargs:
                self.calls.append(kwargs)})
        self.apply(rpcapi=types.SimpleNamespace(
            ComputeAPI=api, exception=types.SimpleNamespace(
                ComputeServiceUnavailable=ComputeServiceUnavailable)))
        return api()

    def test_message_is_mandatory(self):
        api = self.api()
        api.live_migration(None, self.instance, 'two', False, 'one', None)
        # Others are not.
        api.prepare_for_alt_rpcserver('client', 'one', '5.0', timeout=7)
        self.assertEqual(
            [{'transport_options': {'at_least_once': True}}, {'timeout': 7}],
            self.calls)
        self.assertEqual([], self.events())

    def test_no_queue(self):
        with self.assertRaises(ComputeServiceUnavailable) as caught:
            self.api(lost=True).live_migration(
                None, self.instance, 'two', False, 'one', None)
        self.assertEqual('one', str(caught.exception))
        self.assertEqual(['server server-1: no queue of one'], self.events())


class TestPostFailed(base.BugTestCase):

    bug = 'post_failed_corrected'

    def manager(self, error, host):
        """Return the patched manager; the last steps may fail."""
        def update_host(this, context, instance, dest, *args):
            instance.host = host
            if error is not None:
                raise error

        manager = self.fake(
            'ComputeManager', '_delete_allocation_after_move', host='one',
            _post_live_migration_update_host=update_host,
            network_api=types.SimpleNamespace(
                setup_networks_on_host=lambda context, instance, host,
                teardown: self.calls.append((host, teardown))))
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager))
        return manager()

    def update(self, error, host='two'):
        self.manager(error, host)._post_live_migration_update_host(
            None, self.instance, 'two', migrate_data=types.SimpleNamespace(
                migration=self.migration))

    def test_source_is_released(self):
        self.assertRaises(ValueError, self.update, ValueError())
        self.assertEqual(['_delete_allocation_after_move', ('one', True)],
                         self.calls)
        self.assertEqual(
            ['server server-1: one is released after ValueError'],
            self.events())

    def test_left_alone(self):
        self.update(None)
        self.assertRaises(ValueError, self.update, ValueError(), 'one')
        self.assertEqual(([], []), (self.calls, self.events()))


class TestRestart(base.BugTestCase):

    bug = 'restart_corrected'

    def setUp(self):
        super().setUp()
        self.found = []
        self.power = 'running'
        self.instance.get_network_info = lambda: 'interfaces'
        self.instance.power_state = 'running'
        self.migration.dest_compute = 'two'
        self.migration.save = lambda: self.calls.append('save')
        migrations = types.SimpleNamespace(get_by_filters=self.find)
        manager = self.fake(
            'ComputeManager', '_reset_live_migration', '_revert_allocation',
            '_delete_allocation_after_move', host='one',
            _get_power_state=lambda this, instance: self.power,
            _is_instance_storage_shared=lambda this, *args, host: False,
            _set_migration_status=lambda this, migration, status: setattr(
                migration, 'status', status),
            network_api=self.fake(
                'API', 'migrate_instance_start', 'setup_networks_on_host')(),
            compute_rpcapi=self.fake(
                'ComputeAPI', 'post_live_migration_at_destination')(),
            driver=types.SimpleNamespace(
                cleanup=lambda *args, destroy_disks: self.calls.append(
                    (*args[1:], destroy_disks))))
        self.apply(manager=types.SimpleNamespace(
            ComputeManager=manager,
            objects=types.SimpleNamespace(MigrationList=migrations),
            power_state=types.SimpleNamespace(NOSTATE='none')))
        self.manager = manager()

    def find(self, context, filters):
        self.assertEqual(('server-1', 'one'), (
            filters['instance_uuid'], filters['source_compute']))
        return [each for each in self.found
                if each.status in filters['status']]

    def reset(self, status):
        """Return the calls of a start with a record in this status."""
        self.migration.status = status
        self.found = [self.migration]
        self.manager._reset_live_migration(None, self.instance)
        return self.calls

    def test_no_record(self):
        self.assertEqual(['_reset_live_migration'], self.reset('error'))
        self.assertEqual([], self.events())

    def test_not_ended(self):
        for status in ('queued', 'preparing', 'running'):
            self.calls.clear()
            self.assertEqual(
                ['_reset_live_migration', '_revert_allocation',
                 'setup_networks_on_host'], self.reset(status))
            self.assertEqual('error', self.migration.status)
        self.assertEqual(['server server-1 stays on one'] * 3, self.events())

    def test_copy_has_ended(self):
        self.power = 'none'
        self.assertEqual(
            ['migrate_instance_start', 'post_live_migration_at_destination',
             (self.instance, 'interfaces', True), 'save',
             '_delete_allocation_after_move'], self.reset('running'))
        self.assertEqual('completed', self.migration.status)
        # Or the guest would be started here.
        self.assertEqual('none', self.instance.power_state)
        self.assertEqual(['server server-1 is on two'], self.events())

    def test_guest_that_is_absent_before_the_copy(self):
        self.power = 'none'
        self.assertEqual('_reset_live_migration', self.reset('preparing')[0])
