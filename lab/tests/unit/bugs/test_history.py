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

"""Bugs of requests, records and states, and controls."""

import types

from lab.bugs import loader
from lab.tests.unit.bugs import base


class NovaException(Exception):
    """As nova raises it."""

    def __init__(self, reason='', path=''):
        super().__init__(f'{reason} {path}'.strip())


class ComputeHostNotFound(NovaException):
    pass


class InvalidSharedStorage(NovaException):
    pass


class MigrationPreCheckError(NovaException):
    pass


class NoValidHost(NovaException):
    pass


class HistoryTestCase(base.BugTestCase):
    """A test of one bug or control."""

    def manager(self, *names, **values):
        """Apply the bug to a module with a ComputeManager."""
        manager = types.SimpleNamespace(
            ComputeManager=self.fake('ComputeManager', *names, **values))
        self.apply(manager=manager)
        return manager.ComputeManager()


class RefusalTestCase(HistoryTestCase):
    """A test of a bug that leaves refused servers MIGRATING."""

    def check(self, error, other):
        """Expect one error to leave a server MIGRATING, and another not to."""
        utils = types.SimpleNamespace(
            __name__='utils', exception=types.SimpleNamespace(
                MigrationPreCheckError=MigrationPreCheckError,
                NoValidHost=NoValidHost),
            set_vm_state_and_notify=lambda *args: self.calls.append(args[5]))

        def reset(error):
            utils.set_vm_state_and_notify(
                None, 'server-1', 'compute_task', 'migrate_server', {}, error,
                {})

        manager = self.fake('ComputeTaskManager', _live_migrate=lambda
                            this, error: reset(error))
        self.apply(manager=types.SimpleNamespace(ComputeTaskManager=manager),
                   utils=utils)
        manager()._live_migrate(error)
        self.assertEqual([], self.calls)
        self.assertEqual([f'server server-1 stays MIGRATING: {error}'],
                         self.events())
        manager()._live_migrate(other)
        # Of another request.
        reset(error)
        self.assertEqual([other, error], self.calls)


class TestRefusal(RefusalTestCase):

    bug = 'refusal_leaves_migrating'

    def test_task_is_not_reset(self):
        self.check(MigrationPreCheckError('no'), NoValidHost('no'))


class TestNoHost(RefusalTestCase):

    bug = 'no_host_leaves_migrating'

    def test_task_is_not_reset(self):
        self.check(NoValidHost('no'), MigrationPreCheckError('no'))


class TestUnknownHost(HistoryTestCase):

    bug = 'unknown_host_leaves_migrating'

    def test_task_is_set_for_unknown_hosts_only(self):
        def live_migrate(this, context, instance, block_migration, host):
            if host == 'unknown':
                raise ComputeHostNotFound

        api = types.SimpleNamespace(
            API=self.fake('API', live_migrate=live_migrate),
            exception=types.SimpleNamespace(
                ComputeHostNotFound=ComputeHostNotFound),
            task_states=types.SimpleNamespace(MIGRATING='migrating'))
        self.apply(api=api)
        self.instance.task_state = None
        api.API().live_migrate(None, self.instance, 'auto', 'two')
        self.assertIsNone(self.instance.task_state)
        self.assertRaises(ComputeHostNotFound, api.API().live_migrate, None,
                          self.instance, 'auto', 'unknown')
        self.assertEqual(('migrating', 1, 1), (
            self.instance.task_state, self.instance.saved,
            len(self.events())))


class TestLaunchedTogether(HistoryTestCase):

    bug = 'launched_together_refused'

    def test_as_many_hosts_as_servers_were_launched(self):
        manager = types.SimpleNamespace(
            SchedulerManager=self.fake(
                'SchedulerManager', _schedule=lambda
                this, context, spec, uuids, *args: uuids),
            exception=types.SimpleNamespace(NoValidHost=NoValidHost))
        self.apply(manager=manager)
        scheduler = manager.SchedulerManager()
        spec = types.SimpleNamespace(num_instances=2)
        self.assertEqual(['one', 'two'], scheduler._schedule(
            None, spec, ['one', 'two'], {}, {}))
        self.assertEqual([], self.events())
        self.assertRaises(NoValidHost, scheduler._schedule, None, spec,
                          ['one'], {}, {})
        self.assertEqual(1, len(self.events()))


class TestBootedFromVolume(HistoryTestCase):

    bug = 'booted_from_volume_refused'

    def test_volume_backed_servers_only(self):
        def check(this, context, instance, data, info):
            return data

        driver = types.SimpleNamespace(
            LibvirtDriver=self.fake(
                'LibvirtDriver', check_can_live_migrate_source=check),
            exception=types.SimpleNamespace(
                InvalidSharedStorage=InvalidSharedStorage))
        self.apply(driver=driver)
        self.instance.host = 'one'
        libvirt = driver.LibvirtDriver()
        data = types.SimpleNamespace(is_volume_backed=False)
        self.assertIs(data, libvirt.check_can_live_migrate_source(
            None, self.instance, data, None))
        data.is_volume_backed = True
        with self.assertRaises(InvalidSharedStorage) as caught:
            libvirt.check_can_live_migrate_source(
                None, self.instance, data, None)
        self.assertIn('one', str(caught.exception))
        self.assertEqual(['server server-1 refused'], self.events())


class TestArrival(HistoryTestCase):
    """Bugs of the last step on the destination."""

    def arrive(self, **fields):
        """Let a server with these fields arrive at host two."""
        def post(this, context, instance):
            instance.host = instance.node = 'two'
            instance.compute_id, instance.progress = 2, 0
            instance.save(expected_task_state='migrating')

        manager = self.manager(post_live_migration_at_destination=post)
        vars(self.instance).update(
            host='one', node='one', compute_id=1, progress=0, **fields)
        manager.post_live_migration_at_destination(None, self.instance)
        self.assertEqual(('two', 1), (
            self.instance.host, self.instance.saved))


class TestNode(TestArrival):

    bug = 'node_not_updated'

    def test_node_is_that_of_the_source(self):
        self.arrive()
        self.assertEqual(('one', 1), (
            self.instance.node, self.instance.compute_id))
        self.assertEqual(['server server-1 is on host two with node one'],
                         self.events())


class TestProgress(TestArrival):

    bug = 'progress_left'

    def test_progress_is_kept(self):
        self.arrive()
        self.assertEqual(92, self.instance.progress)
        self.assertEqual(1, len(self.events()))


class TestShutOff(HistoryTestCase):

    bug = 'shut_off_after_arrival'

    def test_called_off_by_the_source(self):
        manager = types.SimpleNamespace(
            ComputeManager=self.fake('ComputeManager', '_post_live_migration'),
            vm_states=types.SimpleNamespace(STOPPED='stopped'),
            power_state=types.SimpleNamespace(SHUTDOWN=4))
        self.apply(manager=manager)
        self.instance.refresh = lambda: self.calls.append('refresh')
        manager.ComputeManager()._post_live_migration(
            None, self.instance, 'two', source_bdms=[])
        self.assertEqual(['_post_live_migration', 'refresh'], self.calls)
        self.assertEqual(('stopped', 4, 1), (
            self.instance.vm_state, self.instance.power_state,
            self.instance.saved))
        self.assertEqual(['server server-1 is called off'], self.events())


class TestHost(HistoryTestCase):

    bug = 'host_not_updated'

    def test_host_stays_after_an_error(self):
        rpcapi = self.fake('ComputeAPI', 'post_live_migration_at_destination')

        def post(this, context, instance, dest, **kwargs):
            rpcapi().post_live_migration_at_destination(
                context, instance, False, dest)

        manager = self.fake(
            'ComputeManager', '_post_live_migration_update_host',
            _post_live_migration=post)
        self.apply(manager=types.SimpleNamespace(ComputeManager=manager),
                   rpcapi=types.SimpleNamespace(ComputeAPI=rpcapi))
        self.assertRaisesRegex(
            RuntimeError, self.bug,
            manager()._post_live_migration_update_host, None, self.instance,
            'two', source_bdms=[])
        self.assertEqual([], self.calls)
        self.assertEqual(['host of server server-1 is not updated'],
                         self.events())


class TestEvents(HistoryTestCase):

    bug = 'events_missing'

    def test_only_those_of_live_migrations_on_hosts(self):
        def init(this, context, event_name, host, *uuids,
                 graceful_exit=False):
            this.uuids = uuids

        utils = types.SimpleNamespace(EventReporter=type(
            'EventReporter', (), {'__init__': init}))
        self.apply(utils=utils)
        for name, uuids in (
                ('compute_live_migration', ()),
                ('compute_check_can_live_migrate_source', ()),
                ('compute_reboot_instance', ('server-1',)),
                ('conductor_live_migrate_instance', ('server-1',))):
            self.assertEqual(uuids, utils.EventReporter(
                None, name, 'one', 'server-1', graceful_exit=True).uuids)
        self.assertEqual(2, len(self.events()))


class TestPlugEvent(HistoryTestCase):

    bug = 'plug_event_never_comes'

    def test_one_more_event_for_a_short_time(self):
        waits = []

        def wait(this, instance, event_names, timeout=300,
                 error_callback=None):
            waits.append((event_names, timeout))

        manager = types.SimpleNamespace(
            ComputeManager=type('ComputeManager', (), {
                '_get_neutron_events_for_live_migration': staticmethod(
                    lambda instance: [('network-vif-plugged', 'port')])}),
            ComputeVirtAPI=type('ComputeVirtAPI', (), {
                'wait_for_instance_event': wait}))
        self.apply(manager=manager)
        events = (manager.ComputeManager().
                  _get_neutron_events_for_live_migration(self.instance))
        self.assertEqual(2, len(events))
        api = manager.ComputeVirtAPI()
        for names in (events, events[:1]):
            api.wait_for_instance_event(
                self.instance, names, timeout=100, error_callback=None)
        self.assertEqual([(events, 20), (events[:1], 100)], waits)
        self.assertEqual(1, len(self.events()))


class ControlTestCase(HistoryTestCase):
    """A test of a control, which must change nothing."""

    def check(self, module, owner, name, *arguments, result=3, **fields):
        """Expect the result of the original, and a line in the log.

        :param module: last name of the module
        :param owner: name of the class
        :param name: name of the method
        :param arguments: arguments of a call
        :param result: result of the original
        :param fields: attributes of the class
        """
        bug = self.module.BUG
        self.assertEqual((loader.CONTROL, '', ''), (
            bug.kind, bug.effect, bug.check))
        kind = self.fake(owner, name, result=result, **fields)
        self.apply(**{module: types.SimpleNamespace(**{owner: kind})})
        self.assertIs(result, getattr(kind(), name)(*arguments))
        self.assertEqual([name], self.calls)
        self.assertTrue(self.events())


class TestControlRequests(ControlTestCase):

    bug = 'control_requests'

    def test_nothing_changes(self):
        self.check('api', 'API', 'live_migrate', None, self.instance, 'auto')


class TestControlTasks(ControlTestCase):

    bug = 'control_tasks'

    def test_nothing_changes(self):
        self.check('live_migrate', 'LiveMigrationTask', '_execute',
                   instance=self.instance)
        self.assertEqual(
            ['server server-1: begin', 'server server-1: end'], self.events())


class TestControlScheduler(ControlTestCase):

    bug = 'control_scheduler'

    def test_nothing_changes(self):
        self.check('manager', 'SchedulerManager', 'select_destinations', None,
                   result=['host'])
        self.assertEqual(['1 hosts'], self.events())


class TestControlCopy(ControlTestCase):

    bug = 'control_copy'

    def test_nothing_changes(self):
        self.check('guest', 'Guest', 'get_job_info', uuid='server-1',
                   result=types.SimpleNamespace(type=2))
        self.assertEqual(['server server-1: job type 2'], self.events())
