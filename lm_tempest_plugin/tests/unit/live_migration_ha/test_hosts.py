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

import json
import pathlib
import types

import fixtures
from tempest.lib import exceptions as lib_exc

from lm_tempest_plugin.migration import coverage
from lm_tempest_plugin.migration import inventory
from lm_tempest_plugin.migration import preflight
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.migration.verdict import Kind
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import reachability
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.results import store
from lm_tempest_plugin.tests.live_migration_ha import base as tempest_base
from lm_tempest_plugin.tests.live_migration_ha import test_hosts
from lm_tempest_plugin.tests.unit import fakes as clouds
from lm_tempest_plugin.tests.unit.live_migration_ha import fakes
from lm_tempest_plugin.tests.unit.migration import builders as migrations
from lm_tempest_plugin.tests.unit.migration import simulation
from lm_tempest_plugin.tests.unit.results import builders

NAME = 'test_every_host_sends_and_receives'


class HostsTestCase(fakes.TempestTestCase):
    """A cloud of equal hosts, whose migrations have a problem if told so."""

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.conf.live_migration_ha.results_directory = str(self.directory)
        self.options = self.conf.live_migration_ha_coverage
        self.hosts = [coverage.Host(name, qemu='9.2.0', zone='nova')
                      for name in 'abcd']
        self.useFixture(fixtures.MockPatchObject(
            inventory, 'of_clients',
            side_effect=lambda *args: self.hosts))
        # Functions of the pair.
        self.bad = lambda source, destination: False
        self.fields_of = lambda source, destination: {}
        self.engine.side_effect = self.migrate
        self.pairs = []

    def usable(self, **states):
        """Let the compute services have states; by default all are up."""
        self.clients.services.list_services.return_value = {'services': [
            {'host': each.name, 'status': 'enabled',
             'state': states.get(each.name, 'up')} for each in self.hosts]}

    def migrate(self, plan, clients, **kwargs):
        """Migrate as the engine does; store the results."""
        self.plans.append(plan)
        where = {each.server_id: each.host for each in self.guests}
        problems, results = [], []
        for number, planned in enumerate(plan.servers):
            source = where[planned.server_id]
            pair = (source, planned.destination)
            self.pairs.append(''.join(pair))
            own = [fakes.problem('verdict', 'it is bad', planned.server_id)
                   ] if self.bad(*pair) else []
            problems += own
            results.append(builders.migration(number, **{
                'server_id': planned.server_id, 'source': source,
                'destination': planned.destination, 'problems': tuple(own),
                'test': plan.test, 'server_host':
                    source if own else planned.destination,
                **({'verdict': 'rolled back', 'cause': 'a port is closed'}
                   if own else {}), **self.fields_of(*pair)}))
        for each in results:
            kwargs['store'].append(each)
        found = fakes.run(plan, problems)
        return type(found)(**{**vars(found), 'results': results})

    def new_test(self, **attributes):
        self.usable()
        return self.new(test_hosts.HostsTest, NAME, options=self.options,
                        **attributes)

    def verdicts(self):
        """Return the abilities of each host, as they are stored."""
        found = json.loads((self.directory / 'hosts.json').read_text())
        return {each['host']: f'{each["sends"]}, {each["receives"]}'
                for each in found}

    def causes(self):
        found = json.loads((self.directory / 'hosts.json').read_text())
        return {each['host']: each['cause'] for each in found}


class HostsTest(HostsTestCase):

    def test_all_hosts(self):
        self.passes(self.new_test())
        self.assertEqual(['ab', 'cd', 'bc', 'da'], self.pairs)
        plan, = self.plans
        self.assertEqual(
            ('', 'window of 4, 1 per host', (Kind.COMPLETED,)),
            (plan.destination, str(plan.strategy), plan.expected))
        self.builder.build_on.assert_called_once_with(['a', 'c', 'b', 'd'])
        self.assert_deleted_as_built()
        self.assertEqual(dict.fromkeys('abcd', 'good, good'),
                         self.verdicts())

    def test_servers_in_portions(self):
        self.options.servers = 2
        self.passes(self.new_test())
        self.assertEqual([2, 2], [len(each.servers) for each in self.plans])
        self.assert_deleted_as_built()
        # The quota allows fewer.
        self.builder.room.side_effect = lambda wanted, fewest: 1
        self.passes(self.new_test())
        self.assertEqual([2, 2, 1, 1, 1, 1],
                         [len(each.servers) for each in self.plans])

    def test_options(self):
        self.options.hosts, self.options.pairs = ['a', 'c'], 'all'
        self.options.at_once = 1
        self.passes(self.new_test())
        self.assertEqual(['ac', 'ca'], self.pairs)
        self.assertEqual('window of 1, 1 per host',
                         str(self.plans[0].strategy))

    def test_a_host_that_cannot_receive(self):
        self.bad = lambda source, destination: destination == 'b'
        text = self.fails(self.new_test(), 'Not every host can send and '
                          'receive; hosts: 1 of 4')
        self.assertEqual(['ab', 'cd', 'bc', 'da'], self.pairs[:4])
        # Who works with a, and who with b?
        self.assertEqual(2, len(self.pairs[4:]))
        self.assertEqual(
            {**dict.fromkeys('acd', 'good, good'), 'b': 'good, problems'},
            self.verdicts())
        self.assertRegex(text, 'b +good +problems +. to b: rolled back: a ')
        self.assert_deleted_as_built()

    def test_a_host_that_cannot_take_part(self):
        self.hosts[3] = coverage.Host('d', 'disabled: new disk')
        self.fails(self.new_test(), 'hosts: 1 of 4',
                   'd     not tried  not tried  disabled: new disk')

    def test_no_plan(self):
        self.options.hosts = ['x']
        outcome, details = self.run_test(self.new_test())
        self.assertEqual('addError', outcome)
        self.assertIn("no compute host matches 'x'; there are: a, b, c, d",
                      fakes.describe(details))
        self.builder.build_on.assert_not_called()

    def test_too_many_failures_end_it(self):
        self.options.max_failures, self.options.servers = '1', 1
        self.bad = lambda *pair: True
        self.fails(self.new_test(), 'ends early, since more than 1')
        self.assertEqual(['ab', 'cd'], self.pairs)
        self.assertEqual('received from no host', self.causes()['a']
                         .rpartition('; ')[2])

    def test_a_server_that_cannot_be_built(self):
        """It keeps no other host from being covered."""
        real = self.builder.build_on.side_effect

        def build_on(hosts):
            if 'b' in hosts:
                raise lib_exc.TempestException('the network is broken')
            return real(hosts)

        self.builder.build_on.side_effect = build_on
        self.fails(self.new_test(), 'hosts: 1 of 4')
        # c receives from another one.
        self.assertEqual({'ab', 'cd', 'da', 'ac'}, set(self.pairs))
        self.assertEqual(4, len(self.pairs))
        self.assertEqual('not tried, good', self.verdicts()['b'])
        self.assertEqual('no server can be built on it: the network is '
                         'broken', self.causes()['b'])
        self.assert_deleted_as_built()

    def test_a_server_that_does_not_answer(self):
        def await_answers(timeout_s):
            addresses = self.watch.call_args.args[0]
            hosts = {each.address: each.host for each in self.guests}
            if 'b' in [hosts[each] for each in addresses]:
                raise errors.NotAnswering('192.0.2.1 does not answer')

        self.probes.await_answers.side_effect = await_answers
        self.fails(self.new_test(), 'hosts: 1 of 4')
        self.assertEqual('not tried, good', self.verdicts()['b'])
        self.assertIn('cannot be reached: 192.0.2.1', self.causes()['b'])
        self.assert_deleted_as_built()

    def test_a_machine_that_may_not_probe(self):
        """It says nothing about hosts."""
        self.probes.start.side_effect = errors.ProbesNotPermitted('no ping')
        outcome, details = self.run_test(self.new_test())
        self.assertEqual('addError', outcome)
        self.assertIn('no ping', fakes.describe(details))
        self.assert_deleted_as_built()

    def test_a_server_that_cannot_be_deleted(self):
        self.options.servers = 2
        self.builder.delete.side_effect = [
            lib_exc.TimeoutException('server-0 is still there'), None]
        self.fails(self.new_test(), 'hosts: 0 of 4',
                   'server-0 is still there')
        self.assertEqual(4, len(self.pairs))

    def test_a_host_that_goes_down_in_the_middle(self):
        self.options.servers = 2
        test = self.new_test()
        self.fields_of = lambda *pair: self.usable(d='down') or {}
        self.fails(test, 'hosts: 1 of 4')
        self.assertEqual(['ab', 'cd', 'bc'], self.pairs[:3])
        # d cannot send to a any more, so another one does.
        self.assertEqual(['ba'], self.pairs[3:])
        self.assertEqual('not tried, good', self.verdicts()['d'])
        self.assertIn('it was enabled and down', self.causes()['d'])

    def test_hosts_with_room_for_one_server(self):
        """None for its own and another one that arrives."""
        def migrate(plan, clients, **kwargs):
            if len(plan.servers) > 1:
                raise preflight.CannotMigrate('host b has no room')
            return self.migrate(plan, clients, **kwargs)

        self.engine.side_effect = migrate
        self.passes(self.new_test())
        self.assertEqual(['ab', 'cd', 'bc', 'da'], self.pairs)
        self.assert_deleted_as_built()

    def test_a_host_that_fills_up(self):
        def migrate(plan, clients, **kwargs):
            if any(each.destination == 'b' for each in plan.servers):
                raise preflight.CannotMigrate('host b has no room')
            return self.migrate(plan, clients, **kwargs)

        self.engine.side_effect = migrate
        self.fails(self.new_test(), 'hosts: 1 of 4')
        self.assertEqual('good, not tried', self.verdicts()['b'])
        self.assertEqual('host b has no room', self.causes()['b'])
        self.assertEqual('good, good', self.verdicts()['a'])

    def test_an_error_of_the_engine_is_no_verdict(self):
        self.engine.side_effect = store.ResultsError('the disk is full')
        outcome, details = self.run_test(self.new_test())
        self.assertEqual('addError', outcome)
        self.assertIn('the disk is full', fakes.describe(details))
        self.assert_deleted_as_built()

    def test_a_guest_that_is_harmed_after_its_migration(self):
        self.streams['192.0.2.0'] = fakes.stream(lost=3)
        self.fails(self.new_test(), 'messages: 3 lost')

    def test_a_problem_of_no_server(self):
        def migrate(plan, clients, **kwargs):
            found = self.migrate(plan, clients, **kwargs)
            return type(found)(**{**vars(found), 'problems': [fakes.problem(
                'host-access', 'no SSH to host a', None)]})

        self.engine.side_effect = migrate
        self.fails(self.new_test(), 'hosts: 0 of 4',
                   'host-access: no SSH to host a')

    def test_an_older_qemu(self):
        self.hosts[2:] = [coverage.Host('c', qemu='10.0.0', zone='nova')]
        self.fields_of = lambda source, destination: {
            'verdict': 'failed', 'cause': 'nova gave up', 'events': (
                'Error (requires a newer hypervisor version)',)
        } if source == 'c' else {}
        self.passes(self.new_test())
        self.assertEqual(['ab', 'ba', 'bc', 'ca'], sorted(self.pairs))
        self.assertEqual(
            {'ca': True, **dict.fromkeys(('ab', 'ba', 'bc'), False)},
            dict(zip(self.pairs, (
                Kind.FAILED in plan.expected for plan in self.plans
                for each in plan.servers))))
        self.assertEqual('not tried, good', self.verdicts()['c'])


class CanariesTest(HostsTestCase):

    def canary(self, server_id, host):
        guest = fakes.guest(server_id, host, f'192.0.2.{len(self.guests)}')
        self.guests.append(guest)
        self.conf.live_migration_ha.canary_key_file = 'etc/canary.key'
        self.builder.adopt.side_effect = lambda path: list(self.guests[:2])

    def test_canaries_and_new_servers(self):
        self.canary('one', 'a')
        self.canary('two', 'b')
        self.passes(self.new_test())
        self.builder.adopt.assert_called_once_with('etc/canary.key')
        self.builder.build_on.assert_called_once_with(['c', 'd'])
        self.assertEqual(['server-0', 'server-1'], [
            each.server_id
            for call in self.builder.delete.call_args_list
            for each in call.args])
        self.assertEqual({'one', 'server-0', 'two', 'server-1'}, {
            each.server_id for each in self.plans[0].servers})

    def test_only_canaries(self):
        self.options.only_canaries = True
        self.canary('one', 'a')
        self.canary('two', 'b')
        # Canaries that have arrived are sent on, so that more is verified.
        self.fails(self.new_test(), 'hosts: 1 of 4',
                   'd     not tried  good      it has no canary')
        self.assertEqual({'ab', 'bc'}, set(self.pairs[:2]))
        self.assertEqual(len(set(self.pairs)), len(self.pairs))
        self.builder.build_on.assert_not_called()
        self.builder.delete.assert_not_called()

    def test_no_canary_at_all(self):
        self.options.only_canaries = True
        outcome, details = self.run_test(self.new_test())
        self.assertEqual('addError', outcome)
        self.assertIn('no host that can take part has a canary',
                      fakes.describe(details))


class ResumeTest(HostsTestCase):

    def setUp(self):
        super().setUp()
        self.new_results('one')

    def new_results(self, name, **changes):
        self.patch(tempest_base.LiveMigrationHaTest, 'results',
                   results_file.ResultsFile(
                       str(self.directory), name, lambda: builders.run(
                           region='RegionOne', hosts=tuple(
                               schema.ComputeHost(
                                   host=each.name, hypervisor_type='QEMU',
                                   hypervisor_version='9.2.0')
                               for each in self.hosts), **changes)))

    def killed(self, after):
        """Run the test, killed after some portions of one server."""
        self.options.servers = 1
        real, left = self.engine.side_effect, [None] * after

        def migrate(*args, **kwargs):
            if not left:
                raise KeyError('killed')
            left.pop()
            return real(*args, **kwargs)

        self.engine.side_effect = migrate
        outcome, _ = self.run_test(self.new_test())
        self.assertEqual('addError', outcome)
        self.engine.side_effect = real
        self.options.resume = str(self.directory)
        self.new_results('two')

    def test_no_pair_twice_and_none_missed(self):
        for after in range(4):
            self.pairs.clear()
            self.new_results('one')
            self.killed(after)
            self.assertEqual(after, len(self.pairs))
            self.passes(self.new_test())
            self.assertEqual(['ab', 'bc', 'cd', 'da'], sorted(self.pairs))
            self.assertEqual(dict.fromkeys('abcd', 'good, good'),
                             self.verdicts())
            self.options.resume = ''
            for path in self.directory.iterdir():
                path.unlink()

    def test_bad_pairs_count_as_well(self):
        self.bad = lambda source, destination: destination == 'b'
        self.killed(2)
        self.fails(self.new_test(), 'hosts: 1 of 4')
        self.assertEqual(len(set(self.pairs)), len(self.pairs))
        self.assertEqual('good, problems', self.verdicts()['b'])

    def refused(self, *parts):
        self.pairs.clear()
        outcome, details = self.run_test(self.new_test())
        self.assertEqual('addError', outcome)
        for part in parts:
            self.assertIn(part, fakes.describe(details))
        self.assertEqual([], self.pairs)

    def test_results_of_another_cloud(self):
        self.killed(2)
        kept = self.hosts
        self.hosts = [coverage.Host(name, zone='nova') for name in 'xy']
        self.refused('is from another cloud: region RegionOne with hosts a, '
                     'b, c, d')
        self.hosts = kept
        self.conf.identity.region = 'RegionTwo'
        self.refused('is from another cloud: region RegionOne')

    def test_nothing_to_resume(self):
        self.options.resume = str(self.directory)
        self.refused('there is nothing to resume', 'has no results file')

    def test_results_that_were_altered(self):
        self.killed(2)
        path, = self.directory.glob('*.jsonl')
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b''.join(lines[:1] + lines[2:]))
        self.refused('was altered')


class SimulatedCloudTest(HostsTestCase):
    """The test with the engine, in a cloud that moves servers."""

    def setUp(self):
        super().setUp()
        self.engine.side_effect = self.real_engine
        self.cloud = simulation.Cloud(8, limit=4, hosts=list('abcd'))
        self.clients = self.cloud.clients
        simulation.use_clock(self, self.cloud.clock)
        self.probes.continuity.return_value = migrations.continuity()
        self.useFixture(fixtures.MockPatchObject(
            reachability, 'look', return_value={}))
        self.patch(tempest_base.LiveMigrationHaTest, 'results',
                   results_file.ResultsFile(
                       str(self.directory), 'unit', builders.run))
        self.builder.build_on.side_effect = self.build_on

    def usable(self, **states):
        """All hosts are up."""

    def build_on(self, hosts):
        built = [guest for host in hosts for guest in self.build(1, host)]
        for each in built:
            self.cloud.change(each.server_id, host=each.host)
        return built

    def results(self):
        return store.read(self.directory.glob('*.jsonl'))

    def test_pairs_go_side_by_side(self):
        self.passes(self.new_test())
        found = self.results()
        self.assertEqual(
            ['ab', 'cd', 'bc', 'da'],
            [each.source + each.destination for each in found.migrations])
        drain, = found.drains
        # Two rounds of two, in a little more than twice 5 s.
        self.assertLess(drain.wall_s, 12.0)
        self.assertEqual([0, 1, 0, 1], [
            going_on for *_, going_on in self.cloud.requested])
        self.assertEqual(dict.fromkeys('abcd', 'good, good'),
                         self.verdicts())

    def test_a_host_to_which_nothing_goes(self):
        # a to b, and then c to b.
        for number in (0, 5):
            self.cloud.outcomes[f'server-{number}'] = 'failed'
        self.fails(self.new_test(), 'hosts: 1 of 4')
        found = [each.source + each.destination
                 for each in self.results().migrations]
        self.assertEqual(len(set(found)), len(found))
        self.assertEqual(['ab', 'cd', 'bc', 'da'], found[:4])
        self.assertIn('rolled back', self.causes()['b'])


class ResourceSetupTest(fakes.LiveMigrationHaTestCase):

    def test_time_for_all_portions(self):
        kind = type('HostsTest', (test_hosts.HostsTest,), {
            'clients': types.SimpleNamespace(
                versions=clouds.versions(('v2.1', '2.1', '2.104')),
                services=clouds.services(*(
                    (f'host{each}', 'enabled', 'up')
                    for each in range(100))))})
        for pairs, factor in (('ring', 24), ('all', 1004)):
            self.conf.live_migration_ha_coverage.pairs = pairs
            kind.resource_setup()
            self.assertEqual(factor, kind.TIMEOUT_SCALING_FACTOR)
