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

"""Bugs of the copy, of hosts, ports and volumes."""

import types
from xml.etree import ElementTree

from lab.tests.unit.bugs import base

# libvirt's flags, with other values.
LIBVIRT = types.SimpleNamespace(
    VIR_MIGRATE_TUNNELLED=1, VIR_MIGRATE_PERSIST_DEST=2,
    VIR_MIGRATE_UNDEFINE_SOURCE=4, VIR_MIGRATE_POSTCOPY=8)
XML = """
<domain><uuid>server-1</uuid><devices>
  <disk><target dev='vda'/></disk>
  <disk><target dev='vdb'/><serial>volume-1</serial></disk>
  <interface><mtu size='1500'/><target dev='tap1'/></interface>
</devices></domain>
"""


def volume(attachment_id, volume_id='volume-1', is_volume=True):
    """Return a block device mapping."""
    return types.SimpleNamespace(
        attachment_id=attachment_id, volume_id=volume_id, is_volume=is_volume)


class HostsTestCase(base.BugTestCase):
    """A test of one bug of nova-compute."""

    def setUp(self):
        super().setUp()
        self.flags = []

        def migrate(this, destination, flags=0, bandwidth=0):
            self.flags.append(flags)

        self.guest = types.SimpleNamespace(libvirt=LIBVIRT, Guest=self.fake(
            'Guest', migrate=migrate, uuid='server-1'))

    def migrate(self, flags):
        """Return the flags that libvirt gets."""
        self.guest.Guest().migrate('two', flags=flags, bandwidth=0)
        return self.flags[-1]


class TestSourceInterfaces(HostsTestCase):

    bug = 'source_interfaces_left'

    def test_nothing_is_unplugged(self):
        unplugged = []
        driver = self.fake(
            'LibvirtDriver', post_live_migration_at_source=lambda
            this, context, instance, network_info:
            unplugged.append(network_info))
        self.apply(driver=types.SimpleNamespace(LibvirtDriver=driver))
        driver().post_live_migration_at_source(
            None, self.instance, ['interface'])
        self.assertEqual([[]], unplugged)
        self.assertEqual(['interfaces of server server-1 kept'],
                         self.events())


class TestSourceDomain(HostsTestCase):

    bug = 'source_domain_left'

    def test_left_by_live_migrations_only(self):
        driver = self.fake('LibvirtDriver', '_undefine_domain')
        manager = self.fake('ComputeManager', _post_live_migration=lambda
                            this: driver()._undefine_domain(self.instance))
        self.apply(guest=self.guest,
                   driver=types.SimpleNamespace(LibvirtDriver=driver),
                   manager=types.SimpleNamespace(ComputeManager=manager))
        self.assertEqual(3, self.migrate(7))
        manager()._post_live_migration()
        self.assertEqual([], self.calls)
        self.assertEqual(['domain of server server-1 is not to be undefined',
                          'domain of server server-1 kept'], self.events())
        driver()._undefine_domain(self.instance)
        self.assertEqual(['_undefine_domain'], self.calls)


class TestDomain(HostsTestCase):

    bug = 'domain_not_persistent'

    def test_flag_is_missing(self):
        self.apply(guest=self.guest)
        self.assertEqual(5, self.migrate(7))
        self.assertEqual(1, len(self.events()))


class TestPaused(HostsTestCase):

    bug = 'paused_refused_with_post_copy'

    def test_flag_of_paused_servers_only(self):
        driver = types.SimpleNamespace(
            vm_states=types.SimpleNamespace(PAUSED='paused'),
            LibvirtDriver=self.fake(
                'LibvirtDriver', _live_migration_operation=lambda
                this, context, instance: self.migrate(7)))
        self.apply(driver=driver, guest=self.guest)
        for state, flags in (('active', 7), ('paused', 15), ('active', 7)):
            self.instance.vm_state = state
            self.assertEqual(
                flags, driver.LibvirtDriver()._live_migration_operation(
                    None, self.instance))
        self.assertEqual(1, len(self.events()))


class TestTunnelled(HostsTestCase):

    bug = 'tunnelled_in_spite_of_setting'

    def test_flag_is_added(self):
        driver = types.SimpleNamespace(
            libvirt=LIBVIRT, LibvirtDriver=self.fake(
                'LibvirtDriver', '_live_migration_operation',
                _handle_live_migration_tunnelled=lambda this, flags: flags))
        self.apply(driver=driver)
        libvirt = driver.LibvirtDriver()
        self.assertEqual(7, libvirt._handle_live_migration_tunnelled(6))
        self.assertEqual([], self.events())
        libvirt._live_migration_operation(None, self.instance, 'two')
        self.assertEqual(['_live_migration_operation'], self.calls)
        self.assertEqual(['live migration of server server-1 is tunnelled'],
                         self.events())


class TestMonitor(HostsTestCase):

    bug = 'monitor_fails_copy_goes_on'

    def test_copy_is_not_aborted(self):
        migration = types.SimpleNamespace(
            __name__='migration',
            save_stats=lambda *args: self.calls.append('save'))

        def live_migration(this, context, instance):
            try:
                migration.save_stats(instance)
            except RuntimeError:
                this.live_migration_abort(instance)
                raise

        driver = self.fake('LibvirtDriver', 'live_migration_abort',
                           _live_migration=live_migration)
        self.apply(migration=migration,
                   driver=types.SimpleNamespace(LibvirtDriver=driver))
        self.assertRaisesRegex(RuntimeError, self.bug,
                               driver()._live_migration, None, self.instance)
        self.assertEqual([], self.calls)
        self.assertEqual(['copy of server server-1 goes on unwatched'],
                         self.events())
        # A user asks for it.
        driver().live_migration_abort(self.instance)
        self.assertEqual(['live_migration_abort'], self.calls)


class TestHealthyCopy(HostsTestCase):

    bug = 'healthy_copy_aborted'

    def test_after_a_second(self):
        migration = types.SimpleNamespace(
            __name__='migration',
            should_trigger_timeout_action=lambda *args: False)
        self.apply(migration=migration)
        for elapsed_s, aborts in ((0.5, False), (1.5, True)):
            self.assertIs(aborts, migration.should_trigger_timeout_action(
                self.instance, elapsed_s, 1600, 'running'))
        self.assertEqual(['server server-1 aborted after 1.5 s'],
                         self.events())


class TestMtu(HostsTestCase):

    bug = 'mtu_dropped'

    def test_only_the_mtu(self):
        migration = types.SimpleNamespace(
            __name__='migration',
            _update_vif_xml=lambda domain, *args: domain)
        self.apply(migration=migration)
        domain = migration._update_vif_xml(
            ElementTree.fromstring(XML), None, None)
        self.assertIsNone(domain.find('devices/interface/mtu'))
        self.assertIsNotNone(domain.find('devices/interface/target'))
        self.assertEqual(['MTU of 1500 bytes dropped, server server-1'],
                         self.events())


class TestVolumesInDomain(HostsTestCase):

    bug = 'volumes_missing_in_domain'

    def test_defined_without_volumes(self):
        defined = []
        xml = [XML, defined]
        host = types.SimpleNamespace(
            get_guest=lambda instance: types.SimpleNamespace(
                get_xml_desc=lambda dump_inactive, dump_sensitive: xml[0]),
            write_instance_config=defined.append)
        driver = self.fake('LibvirtDriver',
                           'post_live_migration_at_destination', _host=host)
        self.apply(driver=types.SimpleNamespace(LibvirtDriver=driver))
        driver().post_live_migration_at_destination(
            None, self.instance, [], False, {})
        self.assertEqual(['post_live_migration_at_destination'], self.calls)
        found = ElementTree.fromstring(defined.pop())
        self.assertEqual(['vda'], [disk.find('target').get('dev')
                                   for disk in found.iter('disk')])
        self.assertIsNotNone(found.find('devices/interface/mtu'))
        self.assertEqual(1, len(self.events()))
        # A server without a volume.
        xml[0] = ElementTree.tostring(found, encoding='unicode')
        driver().post_live_migration_at_destination(
            None, self.instance, [], False, {})
        self.assertEqual(([], 1), (defined, len(self.events())))


class TestDestinationAttachment(HostsTestCase):

    bug = 'destination_attachment_deleted'

    def test_present_mappings_are_used(self):
        present = [volume('of two'), volume(None, is_volume=False)]
        used = []
        name = '_post_live_migration_remove_source_vol_connections'

        def remove(this, context, instance, bdms):
            used.append(bdms)

        manager = types.SimpleNamespace(
            ComputeManager=self.fake('ComputeManager', **{name: remove}),
            objects=types.SimpleNamespace(
                BlockDeviceMappingList=types.SimpleNamespace(
                    get_by_instance_uuid=lambda context, uuid: present)))
        self.apply(manager=manager)
        getattr(manager.ComputeManager(), name)(
            None, self.instance, [volume('of one')])
        self.assertEqual([present], used)
        self.assertEqual(['attachment of two of volume volume-1 deleted'],
                         self.events())


class TestAttachmentLost(HostsTestCase):

    bug = 'attachment_lost_on_failure'

    def test_source_attachments_are_deleted(self):
        deleted = []
        manager = self.fake(
            'ComputeManager', '_rollback_volume_bdms',
            volume_api=types.SimpleNamespace(
                attachment_delete=lambda context, uuid: deleted.append(uuid)))
        driver = self.fake('LibvirtDriver', '_pre_live_migration_plug_vifs')
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager),
                   driver=types.SimpleNamespace(LibvirtDriver=driver))
        self.assertRaisesRegex(
            RuntimeError, self.bug, driver()._pre_live_migration_plug_vifs,
            self.instance, [], None)
        # The second one still has the destination's attachment, which the
        # original deletes.
        manager()._rollback_volume_bdms(
            None, [volume('of one'), volume('of two', 'volume-2')],
            [volume('of one'), volume('old', 'volume-2'),
             volume(None, None, is_volume=False)], self.instance)
        self.assertEqual(['of one'], deleted)
        self.assertEqual(['_pre_live_migration_plug_vifs',
                          '_rollback_volume_bdms'], self.calls)
        self.assertEqual(1, len(self.events()))


class TestRollbackDestination(HostsTestCase):

    bug = 'rollback_destination_not_cleaned'

    def test_no_cleanup_in_rollbacks_only(self):
        def flags(this, migrate_data, migr_ctxt=None):
            return True, True

        manager = self.fake(
            'ComputeManager', _live_migration_cleanup_flags=flags,
            _rollback_live_migration=lambda this, *args:
            this._live_migration_cleanup_flags(None, migr_ctxt=None))
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager))
        self.assertEqual((False, False), manager()._rollback_live_migration(
            None, self.instance, 'two'))
        self.assertEqual(1, len(self.events()))
        self.assertEqual((True, True),
                         manager()._live_migration_cleanup_flags(None))


class TestRollbackBindings(HostsTestCase):

    bug = 'rollback_bindings_left'

    def test_left_by_rollbacks_only(self):
        network = self.fake('API', 'setup_networks_on_host')

        def rollback(this, context, instance):
            network().setup_networks_on_host(
                context, instance, 'two', teardown=True)

        manager = self.fake('ComputeManager',
                            _rollback_live_migration=rollback,
                            rollback_live_migration_at_destination=rollback)
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager),
                   neutron=types.SimpleNamespace(API=network))
        manager()._rollback_live_migration(None, self.instance)
        manager().rollback_live_migration_at_destination(None, self.instance)
        self.assertEqual([], self.calls)
        self.assertEqual(['bindings of server server-1 to host two kept'] * 2,
                         self.events())
        network().setup_networks_on_host(
            None, self.instance, 'two', teardown=True)
        self.assertEqual(['setup_networks_on_host'], self.calls)


class TestSourceBindings(HostsTestCase):

    bug = 'source_bindings_left'

    def test_left_by_arrivals_only(self):
        network = self.fake('API', '_delete_port_bindings')

        def post(this, context, instance):
            network()._delete_port_bindings(context, [{'id': 'port'}], 'one')

        manager = self.fake('ComputeManager',
                            post_live_migration_at_destination=post)
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager),
                   neutron=types.SimpleNamespace(API=network))
        manager().post_live_migration_at_destination(None, self.instance)
        self.assertEqual([], self.calls)
        self.assertEqual(['binding of port port to host one kept'],
                         self.events())
        network()._delete_port_bindings(None, [], 'one')
        self.assertEqual(['_delete_port_bindings'], self.calls)
