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

"""Tempest tests that run without a cloud: configuration, guests, engine."""

import dataclasses
import functools
import importlib
import io
import itertools
import pkgutil
import types
from unittest import mock

import fixtures
from stestr import subunit_trace
import subunit
from tempest.scenario import manager
from tempest import test as tempest_test
import testtools
from testtools.testresult import doubles

from lm_tempest_plugin.cloud import api
from lm_tempest_plugin import config
from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.migration import engine
from lm_tempest_plugin.migration import results_file
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests import live_migration_ha
from lm_tempest_plugin.tests.live_migration_ha import base as tempest_base
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes
from lm_tempest_plugin.tests.unit.results import builders

# All modules with Tempest tests. One that was missing here would escape the
# checks of docstrings and ids, and read Tempest's real CONF.
TESTS = tuple(
    importlib.import_module(f'{live_migration_ha.__name__}.{each.name}')
    for each in pkgutil.iter_modules(live_migration_ha.__path__)
    if each.name.startswith('test_'))
FLAVOR = {'id': '42', 'name': 'small', 'vcpus': 1, 'ram': 2048, 'disk': 1,
          'OS-FLV-EXT-DATA:ephemeral': 0, 'swap': ''}


def guest(server_id='server-0', host='alpha', address='192.0.2.1'):
    """Return a guest that was built."""
    return builder.Guest(fakes.server(server_id=server_id, host=host), host,
                         address, 'secret')


def stream(**changes):
    """Return a TCP stream that was not harmed."""
    return types.SimpleNamespace(**{
        'breaks': (), 'lost': 0, 'repeated': 0, 'corrupt': 0,
        'last_sent': 99, 'last_echoed': 99, **changes})


def run(plan, problems=(), **fields):
    """Return the run of a plan, as the engine does.

    :param plan: the plan
    :param problems: problems of the servers and of the hosts
    :param fields: fields of the results that differ
    """
    shared = {'settings': plan.settings, 'source': 'alpha',
              'destination': plan.destination, 'servers': len(plan.servers),
              'strategy': str(plan.strategy)}
    results = [
        builders.migration(number, **{
            'server_id': each.server_id, 'problems': tuple(
                problem for problem in problems
                if problem.server_id == each.server_id), **shared, **fields})
        for number, each in enumerate(plan.servers)]
    drain = builders.drain(problems=tuple(
        problem for problem in problems if not problem.server_id), **shared)
    return engine.MigrationRun(plan, None, (), problems, results, drain,
                               [b'{"a": 1}', b'{"b": 2}'])


class LiveMigrationHaTestCase(base.TestCase):
    """Gives the Tempest tests a configuration."""

    def setUp(self):
        super().setUp()
        namespace = types.SimpleNamespace
        self.conf = namespace(
            config_file=[], config_dir=[],
            auth=namespace(use_dynamic_credentials=True),
            identity=namespace(region='RegionOne'),
            compute=namespace(
                min_compute_nodes=2, migration_source_host=None,
                migration_dest_host=None, target_hosts_to_avoid='-ironic',
                build_timeout=10, build_interval=0, flavor_ref='42',
                image_ref='image-1', compute_volume_common_az=None),
            compute_feature_enabled=namespace(
                live_migration=True, can_migrate_between_any_hosts=True,
                console_output=True, volume_backed_live_migration=True,
                block_migration_for_live_migration=True),
            validation=namespace(
                run_validation=True, auth_method='keypair',
                connect_method='fixed',
                ip_version_for_ssh=4),
            network=namespace(port_vnic_type=None, port_profile={}),
            service_available=namespace(cinder=True, glance=True),
            volume=namespace(
                volume_type='', volume_size=1, build_timeout=10,
                build_interval=0, max_microversion='latest'),
            resource_name_prefix='tempest',
            **{group.name: namespace(**{
                opt.dest: opt.default for opt in opts})
               for group, opts in config.list_opts()})
        # These need another guest, or a connection from a guest.
        self.conf.live_migration_ha.leave_out_checks = [
            'neighbour', 'outbound']
        # Nothing is written into the directory where unit tests run.
        self.conf.live_migration_ha.results_directory = ''
        self.patch(tempest_base.LiveMigrationHaTest, 'results',
                   results_file.ResultsFile('', 'unit', builders.run))
        for module in (tempest_base, *TESTS):
            if hasattr(module, 'CONF'):
                self.patch(module, 'CONF', self.conf)
        for name in ('skip_checks', 'setup_clients', 'resource_setup'):
            self.useFixture(fixtures.MockPatchObject(
                manager.ScenarioTest, name, autospec=True))


class TempestTestCase(LiveMigrationHaTestCase):
    """Runs whole Tempest tests; builder, probes and engine are fakes.

    :ivar builder: the builder of all tests
    :ivar probes: the probes of all guests
    :ivar plans: the plans that the engine got
    :ivar calls: the keyword arguments that it got with them
    :ivar problems: problems of each run, or a function of its plan
    :ivar fields: fields of the results that differ
    """

    def setUp(self):
        super().setUp()
        self.patch(tempest_test.BaseTestCase, 'setUp', set_up)
        self.clients = api.Clients(**{
            **{field.name: mock.Mock() for field in
               dataclasses.fields(api.Clients)},
            'services': fakes.services(('alpha', 'enabled', 'up'),
                                       ('beta', 'enabled', 'up'))})
        self.owner = mock.Mock()
        self.owner.flavors_client.show_flavor.return_value = {
            'flavor': FLAVOR}
        self.builder = mock.create_autospec(
            builder.GuestBuilder, instance=True)
        self.numbers = itertools.count()
        self.guests, self.streams = [], {}
        self.builder.build.side_effect = self.build
        self.builder.build_on.side_effect = lambda hosts: [
            guest for host in hosts for guest in self.build(1, host)]
        self.builder.room.side_effect = lambda wanted, *_: wanted
        self.builder.flavor_id.side_effect = lambda name: (
            name and f'id-of-{name}')
        self.builder.inspect.return_value = schema.GuestInspection(
            boot_id='boot-1')
        self.builder.verify.return_value = {}
        self.builder.consoles.side_effect = lambda server_ids: [
            f'Console of {each}'.encode() for each in server_ids]
        self.made = self.useFixture(fixtures.MockPatchObject(
            builder, 'GuestBuilder', return_value=self.builder)).mock
        self.probes = mock.create_autospec(watch.Watch, instance=True)
        self.probes.silent_s.return_value = 0.0
        self.probes.answered_after_ns.return_value = None
        self.probes.finish.side_effect = lambda timeout_s: {
            each.address: self.streams.get(each.address, stream())
            for each in self.guests}
        self.watch = self.useFixture(fixtures.MockPatchObject(
            watch, 'Watch', return_value=self.probes)).mock
        self.plans, self.calls = [], []
        self.problems = ()
        self.fields = {}
        self.real_engine = engine.run
        self.engine = self.useFixture(fixtures.MockPatchObject(
            engine, 'run', autospec=True, side_effect=self.migrated)).mock

    def build(self, number=1, host='', flavor='', **kwargs):
        built = [guest(f'server-{each}', host or 'alpha', f'192.0.2.{each}')
                 for each in itertools.islice(self.numbers, number)]
        self.guests += built
        return built

    def reboot(self, boot_id='boot-2'):
        """Let the guests have another boot id after the first inspection."""
        known = set()

        def inspect(guest, *args):
            first = guest.server_id not in known
            known.add(guest.server_id)
            return schema.GuestInspection(
                boot_id='boot-1' if first else boot_id)

        self.builder.inspect.side_effect = inspect

    def migrated(self, plan, clients, **kwargs):
        self.plans.append(plan)
        self.calls.append(kwargs)
        problems = (self.problems(plan) if callable(self.problems)
                    else self.problems)
        return run(plan, problems, **self.fields)

    def new(self, kind, name, **attributes):
        """Return a test of a class, with clients and whatever else."""
        return type(kind.__name__, (kind,), {
            'clients': self.clients, 'owner': self.owner,
            'servers_client': mock.Mock(), 'microversion': '2.84',
            **attributes})(name)

    def run_test(self, test):
        """Run a test with its cleanups; return its outcome and details."""
        result = doubles.ExtendedTestResult()
        test.run(result)
        outcome, = (event for event in result._events
                    if event[0].startswith('add'))
        return outcome[0], outcome[2] if len(outcome) > 2 else {}

    def passes(self, test):
        outcome, details = self.run_test(test)
        self.assertEqual('addSuccess', outcome, describe(details))
        return details

    def fails(self, test, *parts):
        """Run a test that has to fail; return the text of its failure."""
        outcome, details = self.run_test(test)
        self.assertEqual('addFailure', outcome, describe(details))
        text = describe(details)
        for part in parts:
            self.assertIn(part, text)
        return text

    def skips(self, test, *parts):
        outcome, details = self.run_test(test)
        self.assertEqual('addSkip', outcome, describe(details))
        for part in parts:
            self.assertIn(part, details['reason'].as_text())

    def terminal(self, test):
        """Run a test; return the lines that stestr prints about it."""
        stream, output = io.BytesIO(), io.StringIO()
        result = testtools.ExtendedToStreamDecorator(
            subunit.StreamResultToBytes(stream))
        result.startTestRun()
        test.run(result)
        result.stopTestRun()
        stream.seek(0)
        self.patch(subunit_trace, 'RESULTS', {})
        self.patch(subunit_trace, 'FAILS', [])
        printer = testtools.StreamToDict(functools.partial(
            subunit_trace.show_outcome, output,
            # The default of its commands.
            show_binary_attachments=False))
        printer.startTestRun()
        subunit.ByteStreamToStreamResult(stream).run(printer)
        printer.stopTestRun()
        return output.getvalue().rstrip().splitlines()

    def assert_deleted_as_built(self):
        self.assertEqual(
            [each.server_id for each in self.guests],
            [each.server_id for call in self.builder.delete.call_args_list
             for each in call.args])


def set_up(test):
    """Set a Tempest test up as Tempest does, without its class."""
    testtools.TestCase.setUp(test)
    test.useFixture(fixtures.FakeLogger())


def text(attached):
    """Return an attachment of any type as text."""
    return b''.join(attached.iter_bytes()).decode()


def describe(details):
    """Return the tracebacks of a test."""
    return '\n'.join(found.as_text() for name, found in details.items()
                     if name.startswith('traceback'))


def problem(check='verdict', text='the verdict is stuck',
            server_id='server-0', **changes):
    """Return a problem."""
    return schema.Problem(check=check, text=text, server_id=server_id,
                          **changes)
