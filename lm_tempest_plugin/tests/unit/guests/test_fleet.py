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
import pathlib
import subprocess
import types
from unittest import mock

import fixtures

from lm_tempest_plugin.guests import builder
from lm_tempest_plugin.guests import fleet
from lm_tempest_plugin.guests import inspection
from lm_tempest_plugin.guests import workloads
from lm_tempest_plugin.guests.workloads import choice
from lm_tempest_plugin.guests.workloads import outbound
from lm_tempest_plugin.guests.workloads import program
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.results import schema
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes

OPTIONS = fleet.ProbeOptions(
    interval_s=0.01, tcp_interval_s=0.05, tcp_echo_port=7,
    ready_timeout_s=60.0, echo_timeout_s=10.0, leave_out=('kernel-log',))


def guest(number):
    """Return a guest that was built."""
    server_id = f'server-{number}'
    return builder.Guest(fakes.server(server_id=server_id), 'alpha',
                         f'192.0.2.{number}', 'secret')


def stream(**changes):
    """Return a TCP stream that was not harmed."""
    return types.SimpleNamespace(**{
        'breaks': (), 'lost': 0, 'repeated': 0, 'corrupt': 0,
        'last_sent': 99, 'last_echoed': 99, **changes})


class FleetTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.probes = mock.create_autospec(watch.Watch, instance=True)
        self.streams = {}
        self.probes.finish.side_effect = lambda timeout_s: {
            each.address: self.streams.get(each.address, stream())
            for each in self.guests}
        self.made = self.useFixture(fixtures.MockPatchObject(
            watch, 'Watch', return_value=self.probes)).mock
        self.builder = mock.create_autospec(
            builder.GuestBuilder, instance=True)
        self.facts = {}
        self.builder.inspect.side_effect = lambda guest, leave_out: (
            schema.GuestInspection(
                boot_id=f'boot-of-{guest.server_id}', **self.facts))
        self.builder.verify.return_value = {'disk': ''}
        self.guests = (guest(0), guest(1))
        self.fleet = fleet.Fleet(self.builder, self.guests, OPTIONS)


class FleetTest(FleetTestCase):

    def test_options(self):
        self.assertEqual(OPTIONS, fleet.ProbeOptions.of(types.SimpleNamespace(
            probe_interval=0.01, tcp_interval=0.05, tcp_echo_port=7,
            ready_timeout=60.0, drain_timeout=10.0,
            leave_out_checks=['kernel-log'])))

    def test_all_are_probed_together(self):
        self.made.assert_called_once_with(
            ['192.0.2.0', '192.0.2.1'], 0.01, watch.Echo(7, 0.05))
        # Nothing is sent before it is entered.
        self.probes.start.assert_not_called()

    def test_probes_run_inside(self):
        with self.fleet as entered:
            self.assertIs(self.fleet, entered)
            self.probes.start.assert_called_once_with()
            self.probes.await_answers.assert_called_once_with(60.0)
            self.builder.write_disks.assert_called_once_with(*self.guests)
            self.assertEqual(['boot-of-server-0', 'boot-of-server-1'], [
                entered.inspections[each.server_id].boot_id
                for each in self.guests])
            self.probes.stop.assert_not_called()
        self.probes.stop.assert_called_once_with()

    def test_probes_are_stopped_after_an_error(self):
        def fail():
            with self.fleet:
                raise ValueError('inside')

        self.assertRaises(ValueError, fail)
        self.probes.stop.assert_called_once_with()

    def test_probes_are_stopped_if_it_cannot_be_entered(self):
        for part in (self.probes.start, self.probes.await_answers,
                     self.builder.write_disks, self.builder.start,
                     self.builder.inspect):
            self.probes.stop.reset_mock()
            before = part.side_effect
            part.side_effect = errors.NotAnswering('silent')
            self.assertRaises(errors.NotAnswering, self.fleet.__enter__)
            # At once: they would disturb the next part of the test.
            self.probes.stop.assert_called_once_with()
            part.side_effect = before

    def test_workloads_are_verified(self):
        self.assertEqual({'disk': ''}, self.fleet.verify('server-1'))
        self.builder.verify.assert_called_once_with(self.guests[1])


class InspectionTest(FleetTestCase):

    def left_out(self):
        return [call.args[1] for call in self.builder.inspect.call_args_list
                if call.args[0] is self.guests[1]]

    def test_the_newest_is_remembered(self):
        with self.fleet:
            self.facts['leased_address'] = '192.0.2.9'
            found = self.fleet.inspect('server-1')
            self.assertEqual('192.0.2.9', found.leased_address)
            self.assertEqual(found, self.fleet.inspections['server-1'])
        self.assertEqual([{'kernel-log'}] * 2, self.left_out())

    def test_a_part_is_not_tried_again(self):
        self.facts = {'skipped': {'clock': 'no clock'},
                      'failed': {'metadata': 'silent'}}
        with self.fleet:
            self.assertEqual(
                self.facts['failed'],
                self.fleet.inspections['server-1'].failed)
            self.facts = {}
            found = self.fleet.inspect('server-1')
        self.assertEqual(
            ({'clock': 'no clock',
              'metadata': 'it did not work before: silent'}, {}),
            (found.skipped, found.failed))
        self.assertEqual({'kernel-log', 'clock', 'metadata'},
                         self.left_out()[1])


class OutboundTest(FleetTestCase):

    def test_each_guest_connects(self):
        with self.fleet:
            started = [call.args for call in
                       self.builder.start.call_args_list]
        self.assertEqual(list(self.guests), [each for each, _ in started])
        self.assertEqual({'outbound'}, {each.name for _, each in started})

    def test_a_guest_that_cannot_connect(self):
        self.builder.start.side_effect = workloads.Skipped('a firewall')
        with self.fleet as entered:
            self.assertEqual(
                {'outbound': 'a firewall'},
                entered.inspections['server-1'].skipped)

    def test_the_option(self):
        options = dataclasses.replace(OPTIONS, leave_out=('outbound',))
        with fleet.Fleet(self.builder, self.guests, options):
            self.builder.start.assert_not_called()

    def test_connections_are_closed(self):
        close = self.useFixture(fixtures.MockPatchObject(
            outbound.OutboundWorkload, 'close')).mock
        with self.fleet:
            close.assert_not_called()
        self.assertEqual(2, close.call_count)


class NeighbourTest(FleetTestCase):

    ADDRESSES = {'server-0': ['192.0.2.0'],
                 'server-1': ['192.0.2.1', '2001:db8::1']}

    def setUp(self):
        super().setUp()
        self.other = guest(2)
        self.fleet = fleet.Fleet(
            self.builder, self.guests, OPTIONS, self.other)

    def seen(self):
        return self.fleet.seen_from_neighbour(self.ADDRESSES)

    def test_the_answers_of_each_server(self):
        self.builder.run.return_value = '2001:db8::1\n192.0.2.0'
        self.assertEqual({'server-0': ('192.0.2.0',),
                          'server-1': ('2001:db8::1',)}, self.seen())
        asked, command = self.builder.run.call_args.args
        self.assertIs(self.other, asked)
        for address in ('192.0.2.0', '192.0.2.1', '2001:db8::1'):
            self.assertIn(address, command)

    def test_no_answer(self):
        self.builder.run.return_value = ''
        self.assertEqual({'server-0': (), 'server-1': ()}, self.seen())

    def test_a_neighbour_that_cannot_be_asked(self):
        self.builder.run.side_effect = builder.GuestUnreachable('no SSH')
        self.assertEqual({}, self.seen())

    def test_no_neighbour(self):
        self.fleet = fleet.Fleet(self.builder, self.guests, OPTIONS)
        self.assertEqual({}, self.seen())

    def test_the_command(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        ping = folder / 'ping'
        # The last argument is the address.
        ping.write_text('#!/bin/sh\n[ "$5" = 192.0.2.1 ]\n')
        ping.chmod(0o755)
        self.builder.run.side_effect = lambda guest, command: subprocess.run(
            ['/bin/sh', '-euc', command], check=True, capture_output=True,
            text=True, env={'PATH': str(folder)}).stdout.strip()
        self.assertEqual({'server-0': (), 'server-1': ('192.0.2.1',)},
                         self.seen())


class FinalProblemsTest(FleetTestCase):

    final = None

    def problems(self):
        with self.fleet:
            if self.final:
                # The boot id alone: all else belongs to a migration.
                self.builder.inspect.side_effect = lambda guest, leave_out: (
                    self.final(guest) if leave_out == inspection.PARTS
                    else None)
            return [(each.server_id, each.check, each.text)
                    for each in self.fleet.final_problems()]

    def problem(self, check, *parts):
        """Expect one problem, of the second guest."""
        (server_id, slug, text), = self.problems()
        self.assertEqual(('server-1', check), (server_id, slug))
        for part in parts:
            self.assertIn(part, text)

    def test_no_harm(self):
        self.assertEqual([], self.problems())
        self.probes.finish.assert_called_once_with(10.0)

    def test_a_connection_that_broke(self):
        self.streams['192.0.2.1'] = stream(breaks=('reset',))
        self.problem('tcp-stream', 'the TCP connection broke 1 times')

    def test_messages(self):
        for changes, text in (
                ({'lost': 3}, '3 lost'), ({'repeated': 3}, '3 repeated'),
                ({'corrupt': 3}, '3 never sent')):
            self.streams['192.0.2.1'] = stream(**changes)
            self.problem('tcp-stream', text)

    def test_the_last_message(self):
        self.streams['192.0.2.1'] = stream(last_echoed=98)
        self.problem('tcp-stream', 'message 99', 'within 10 s',
                     'the last one back is 98')

    def test_a_guest_that_has_booted_again(self):
        self.final = lambda guest: schema.GuestInspection(
            boot_id='boot-of-server-0')
        self.problem('boot-id', 'boot id boot-of-server-0, before '
                     'boot-of-server-1')

    def test_workloads(self):
        self.builder.verify.side_effect = lambda guest: {
            'disk': '', 'volume': 'bad' if guest is self.guests[1] else ''}
        self.problem('volume', 'bad')

    def test_a_guest_that_cannot_be_inspected_hides_nothing(self):
        def fail(guest):
            raise builder.GuestUnreachable('no SSH')

        self.final = fail
        self.streams['192.0.2.0'] = stream(lost=1)
        found = self.problems()
        self.assertEqual(
            [('server-0', 'tcp-stream'), ('server-0', 'boot-id'),
             ('server-1', 'boot-id')], [each[:2] for each in found])
        self.assertIn('no SSH', found[1][2])

    def test_all_at_once(self):
        self.builder.verify.return_value = {'disk': 'bad'}
        self.streams['192.0.2.0'] = stream(lost=1, last_echoed=98)
        self.assertEqual(
            [('server-0', 'tcp-stream'), ('server-0', 'tcp-stream'),
             ('server-0', 'disk'), ('server-1', 'disk')],
            [each[:2] for each in self.problems()])


class WorkloadTest(FleetTestCase):
    """Two guests with a workload that is a fake."""

    def setUp(self):
        super().setUp()
        self.builder.run.side_effect = lambda guest, command: (
            f'{command} in {guest.server_id}')
        self.made = {}
        self.useFixture(fixtures.MockPatchObject(
            choice, 'create', side_effect=self.create))
        self.fleet = fleet.Fleet(
            self.builder, self.guests, OPTIONS,
            workload=schema.WorkloadChoice(
                name='keeper', unit='MiB', per_s=2.0))

    def create(self, asked, address):
        self.assertEqual('keeper', asked.name)
        found = mock.create_autospec(program.Program, instance=True)
        found.verify.side_effect = lambda run: ''
        found.progress.side_effect = lambda run, begin_ns, end_ns: (
            schema.WorkloadFigures(unit=f'{run("progress")} {begin_ns}'))
        self.made[address] = found
        return found

    def test_it_runs_inside(self):
        with self.fleet as entered:
            for number, guest_ in enumerate(self.guests):
                made = self.made[guest_.address]
                run, = made.start.call_args.args
                self.assertEqual(f'ls in server-{number}', run('ls'))
                made.stop.assert_not_called()
                self.assertEqual(
                    f'progress in server-{number} 1', entered.progress(
                        guest_.server_id, 1, 2).unit)
        for made in self.made.values():
            made.stop.assert_called_once()
            made.close.assert_called_once_with()

    def test_idle_guests(self):
        with mock.patch.object(choice, 'create', return_value=None):
            self.fleet = fleet.Fleet(self.builder, self.guests, OPTIONS)
        with self.fleet as entered:
            self.assertEqual({'disk': ''}, entered.verify('server-0'))
            self.assertIsNone(entered.progress('server-0', 1, 2))

    def test_a_problem(self):
        with self.fleet as entered:
            self.assertEqual({'disk': '', 'workload': ''},
                             entered.verify('server-1'))
            self.made['192.0.2.1'].verify.side_effect = lambda run: 'page 7'
            self.assertEqual({'disk': '', 'workload': 'keeper: page 7'},
                             entered.verify('server-1'))
            self.assertEqual(['workload: keeper: page 7'], [
                str(each) for each in entered.final_problems()])

    def test_a_guest_that_cannot_do_it(self):
        self.made['192.0.2.0'].start.side_effect = workloads.Skipped('no awk')
        with self.fleet as entered:
            self.assertEqual({'disk': ''}, entered.verify('server-0'))
            self.assertEqual('no awk',
                             entered.progress('server-0', 1, 2).skipped)
            self.assertIn('workload', entered.verify('server-1'))

    def test_a_lost_guest_is_not_asked_to_stop(self):
        def fail():
            with self.fleet:
                raise ValueError('inside')

        self.assertRaises(ValueError, fail)
        for made in self.made.values():
            made.stop.assert_not_called()
            made.close.assert_called_once_with()

    def test_a_guest_that_does_not_stop(self):
        for made in self.made.values():
            made.stop.side_effect = builder.GuestUnreachable('no SSH')
        with self.fleet:
            pass
        for made in self.made.values():
            made.stop.assert_called_once()
