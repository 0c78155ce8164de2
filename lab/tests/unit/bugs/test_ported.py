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


import types

from lab.bugs import loader
from lab.tests.unit.bugs import base


class PreCheckError(Exception):
    pass


class LibvirtError(Exception):
    pass


class TestAbortQueued(base.BugTestCase):

    bug = 'abort_queued_not_cleaned'

    def test_nothing_is_cleaned_up(self):
        network = self.fake('API', 'setup_networks_on_host')

        def abort(this, context, instance, migration_id):
            this._revert_allocation(context, instance, self.migration)
            network().setup_networks_on_host(context, instance, host='two')
            instance.save(expected_task_state=['migrating'])

        manager = self.fake('ComputeManager', '_revert_allocation',
                            live_migration_abort=abort)
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager),
                   neutron=types.SimpleNamespace(API=network))
        manager().live_migration_abort(None, self.instance, 1)
        self.assertEqual(([], 0, 3), (
            self.calls, self.instance.saved, len(self.events())))
        # A rollback is no abort in the queue.
        self.instance.save()
        manager()._revert_allocation(None, self.instance, self.migration)
        network().setup_networks_on_host(None, self.instance)
        self.assertEqual(1, self.instance.saved)
        self.assertEqual(['_revert_allocation', 'setup_networks_on_host'],
                         self.calls)


class TestSourceAllocation(base.BugTestCase):

    bug = 'source_allocation_kept'

    def test_kept_of_live_migrations_only(self):
        manager = self.fake('ComputeManager', '_delete_allocation_after_move')
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager))
        manager()._delete_allocation_after_move(
            None, self.instance, self.migration)
        self.assertEqual(['allocation of migration migration-1 kept'],
                         self.events())
        self.assertEqual([], self.calls)
        self.migration.is_live_migration = False
        manager()._delete_allocation_after_move(
            None, self.instance, self.migration)
        self.assertEqual(['_delete_allocation_after_move'], self.calls)


class TestForcedHost(base.BugTestCase):

    bug = 'forced_host_not_allocated'

    def test_not_claimed_by_live_migrations(self):
        utils = types.SimpleNamespace(
            __name__='utils', claim_resources_on_destination=lambda *args:
            self.calls.append('claim'))

        def execute(this):
            utils.claim_resources_on_destination(
                None, None, self.instance, 'one', 'two')

        task = self.fake('LiveMigrationTask', _execute=execute)
        self.apply(live_migrate=types.SimpleNamespace(
            LiveMigrationTask=task), utils=utils)
        task()._execute()
        self.assertEqual(([], 1), (self.calls, len(self.events())))
        utils.claim_resources_on_destination(
            None, None, self.instance, 'one', 'two')
        self.assertEqual(['claim'], self.calls)


class TestBoundAfterMigration(base.BugTestCase):

    bug = 'bound_after_migration'

    def test_neutron_is_not_told(self):
        network = self.fake('API', 'has_port_binding_extension',
                            '_setup_migration_port_profile', result=True)
        self.apply(neutron=types.SimpleNamespace(API=network))
        self.assertFalse(network().has_port_binding_extension(None))
        network()._setup_migration_port_profile(
            None, self.instance, 'two', None, [])
        self.assertEqual([], self.calls)
        self.assertEqual(['neutron is not told that server server-1 goes to '
                          'two'], self.events())


class TestExecutorDeadlock(base.BugTestCase):

    bug = 'executor_deadlock'

    def test_thread_does_not_return(self):
        manager = self.fake('ComputeManager', '_do_live_migration')
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager))
        self.patch(self.module.time, 'sleep', side_effect=ZeroDivisionError)
        self.assertRaises(ZeroDivisionError, manager()._do_live_migration,
                          None, 'two', self.instance)
        self.assertEqual(['_do_live_migration'], self.calls)
        self.assertEqual(1, len(self.events()))


class TestFailedCheck(base.BugTestCase):

    bug = 'failed_check_sets_error'

    def test_unknown_error(self):
        def check(this, context, instance):
            raise PreCheckError('no room')

        manager = types.SimpleNamespace(
            ComputeManager=self.fake(
                'ComputeManager', check_can_live_migrate_destination=check),
            exception=types.SimpleNamespace(
                MigrationPreCheckError=PreCheckError))
        self.apply(manager=manager)
        with self.assertRaises(RuntimeError) as caught:
            manager.ComputeManager().check_can_live_migrate_destination(
                None, self.instance)
        self.assertEqual('Remote error: no room', str(caught.exception))
        self.assertEqual(['server server-1: no room'], self.events())


class LiveMigrationTestCase(base.BugTestCase):
    """A test of the libvirt driver's _live_migration."""

    def driver(self, aborts=False, recovers=True):
        """Return the patched driver; its migration fails."""
        def live_migration(this, context, instance, dest, post_method,
                           recover_method, *args):
            if aborts:
                this.live_migration_abort(instance)
            if recovers:
                recover_method(context, instance)
            raise LibvirtError('aborted')

        driver = self.fake('LibvirtDriver', 'live_migration_abort',
                           _live_migration=live_migration)
        self.apply(driver=types.SimpleNamespace(
            LibvirtDriver=driver,
            libvirt=types.SimpleNamespace(libvirtError=LibvirtError)))
        return driver()

    def recover(self, *args, **kwargs):
        """Note the status of the record."""
        self.calls.append(kwargs.get('migration_status', 'failed'))


class TestAbortCorrected(LiveMigrationTestCase):

    bug = 'abort_corrected'

    def test_error_after_rollback_is_not_raised(self):
        for aborts, status in ((True, 'cancelled'), (False, 'failed')):
            self.calls.clear()
            self.driver(aborts)._live_migration(
                None, self.instance, 'two', None, self.recover)
            self.assertEqual(status, self.calls[-1])
        self.assertEqual(2, len(self.events()))

    def test_error_without_rollback_is_raised(self):
        driver = self.driver(recovers=False)
        self.assertRaises(LibvirtError, driver._live_migration, None,
                          self.instance, 'two', None, self.recover)
        self.assertEqual([], self.events())


class TestAbortLeavesError(LiveMigrationTestCase):

    bug = 'abort_leaves_error'

    def test_logged_after_a_rollback_only(self):
        for recovers, number in ((False, 0), (True, 1)):
            driver = self.driver(recovers=recovers)
            self.assertRaises(LibvirtError, driver._live_migration, None,
                              self.instance, 'two', None, self.recover)
            self.assertEqual(number, len(self.events()))
        self.assertEqual(['failed'], self.calls)


class TestForceComplete(base.BugTestCase):

    bug = 'force_complete_leaves_paused'

    def test_paused_once(self):
        manager = self.fake('ComputeManager', 'live_migration_force_complete')
        driver = self.fake(
            'LibvirtDriver', 'post_live_migration_at_destination',
            _host=types.SimpleNamespace(
                get_guest=lambda instance: types.SimpleNamespace(
                    pause=lambda: self.calls.append('pause'))))
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager),
                   driver=types.SimpleNamespace(LibvirtDriver=driver))
        for _ in range(2):
            driver().post_live_migration_at_destination(
                None, self.instance, None)
        self.assertNotIn('pause', self.calls)
        manager().live_migration_force_complete(None, self.instance)
        for _ in range(2):
            driver().post_live_migration_at_destination(
                None, self.instance, None)
        self.assertEqual(1, self.calls.count('pause'))
        self.assertEqual(['guest of server server-1 paused'], self.events())


class TestSourceDirectory(base.BugTestCase):

    bug = 'source_directory_left'

    def test_left_by_live_migrations_only(self):
        driver = self.fake('LibvirtDriver', 'delete_instance_files')

        def post(this, instance):
            return driver().delete_instance_files(instance)

        manager = self.fake('ComputeManager', _post_live_migration=post)
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager),
                   driver=types.SimpleNamespace(LibvirtDriver=driver))
        self.assertTrue(manager()._post_live_migration(self.instance))
        self.assertEqual(([], 1), (self.calls, len(self.events())))
        driver().delete_instance_files(self.instance)
        self.assertEqual(['delete_instance_files'], self.calls)


class TestMaxConcurrent(base.BugTestCase):

    bug = 'max_concurrent_ignored'

    def test_ten(self):
        sizes = {'live migration': lambda: 1, 'other': lambda: 2}
        self.apply(thread_pool_factory=types.SimpleNamespace(
            ExecutorsPoolSize=types.SimpleNamespace(
                _EXECUTOR_POOL_SIZE=sizes),
            ExecutorType=types.SimpleNamespace(
                LIVE_MIGRATION='live migration')))
        self.assertEqual((10, 2), (sizes['live migration'](),
                                   sizes['other']()))
        self.assertEqual(1, len(self.events()))
        self.assertEqual(1, len(self.events(loader.APPLIED)))


class TestPortSwitch(base.BugTestCase):

    bug = 'port_switch_late'

    def test_late(self):
        network = self.fake('API', '_setup_migration_port_profile',
                            'migrate_instance_start')

        def switch(this, *args):
            network().migrate_instance_start(None, self.instance,
                                             self.migration)

        manager = self.fake(
            'ComputeManager', _post_live_migration=switch,
            handle_lifecycle_event=switch,
            _get_neutron_events_for_live_migration=staticmethod(
                lambda instance: [('network-vif-plugged', 'port')]))
        sleep = self.patch(self.module.time, 'sleep')
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager),
                   neutron=types.SimpleNamespace(API=network))
        self.assertEqual([], manager._get_neutron_events_for_live_migration(
            self.instance))
        network()._setup_migration_port_profile(None, self.instance, 'two')
        manager().handle_lifecycle_event(None)
        self.assertEqual(([], []), (self.calls, self.events()))
        manager()._post_live_migration()
        sleep.assert_called_once_with(5)
        self.assertEqual((['migrate_instance_start'], 1),
                         (self.calls, len(self.events())))


class TestRecordLeftRunning(base.BugTestCase):

    bug = 'record_left_running'

    def setUp(self):
        super().setUp()
        self.patch(loader, 'libvirt_error', lambda text, code: LibvirtError(
            text))
        rpcapi = self.fake('ComputeAPI', 'post_live_migration_at_destination')

        def migrate(this, context, dest, instance):
            try:
                this._post_live_migration_update_host(context, instance)
            except LibvirtError:
                this._set_migration_status(self.migration, 'error')
                this._set_instance_obj_error_state(instance)
                raise

        def post(this, context, instance):
            rpcapi().post_live_migration_at_destination(
                context, instance, False, 'two')

        self.manager = self.fake(
            'ComputeManager', '_post_live_migration_update_host',
            '_set_instance_obj_error_state', _do_live_migration=migrate,
            _post_live_migration=post, _set_migration_status=staticmethod(
                lambda migration, status: self.calls.append(status)))
        self.rpcapi = rpcapi
        self.apply(manager=types.SimpleNamespace(ComputeManager=self.manager),
                   rpcapi=types.SimpleNamespace(ComputeAPI=rpcapi))

    def test_nobody_is_told(self):
        self.assertRaises(LibvirtError, self.manager()._do_live_migration,
                          None, 'two', self.instance)
        self.assertEqual(['post_live_migration_at_destination'], self.calls)
        self.assertEqual(2, len(self.events()))

    def test_others_are(self):
        self.rpcapi().post_live_migration_at_destination(
            None, self.instance, False, 'two')
        self.manager()._set_instance_obj_error_state(self.instance)
        for migration in (self.migration, None):
            self.manager._set_migration_status(migration, 'error')
        self.assertEqual(4, len(self.calls))
        self.assertEqual([], self.events())


class TestRollbackAllocation(base.BugTestCase):

    bug = 'rollback_allocation_left'

    def test_left_by_live_migrations_only(self):
        manager = self.fake('ComputeManager', '_revert_allocation')
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager))
        manager()._revert_allocation(None, self.instance, self.migration)
        self.assertEqual(([], 1), (self.calls, len(self.events())))
        self.migration.is_live_migration = False
        manager()._revert_allocation(None, self.instance, self.migration)
        self.assertEqual(['_revert_allocation'], self.calls)
