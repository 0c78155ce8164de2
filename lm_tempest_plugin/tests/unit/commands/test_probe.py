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

import contextlib
import csv
from importlib import metadata
import io
import json
import logging
import os
import signal
import socket
import stat
import sys
import threading
import time
import types
from unittest import mock

from cliff import app
from cliff import commandmanager
import fixtures
import numpy

from lm_tempest_plugin.commands import probe
from lm_tempest_plugin.probes import errors
from lm_tempest_plugin.probes import icmp
from lm_tempest_plugin.probes import icmp_echo
from lm_tempest_plugin.probes import quality
from lm_tempest_plugin.probes import recording
from lm_tempest_plugin.probes import tcp
from lm_tempest_plugin.probes import watch
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.probes import fakes

COMMAND = 'live-migration-ha probe'
# So that no test takes long.
QUICKLY = ('--interval', '0.005', '--duration', '0.15', '--calibrate', '0')
GUEST = '127.0.0.1'
OTHER = '127.0.0.2'
# Nobody may send to it.
BROADCAST = '127.255.255.255'
NOBODY = 'nosuch.invalid'


class Terminal(io.StringIO):
    """A text stream in front of somebody."""

    def isatty(self):
        return True


class CommandTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.folder = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.folder, 'recording')
        self.patch(tcp, 'PAUSE_S', 0.02)
        # The CPUs of the machine that tests are not to be kept awake.
        self.asleep = ''
        self.awake = self.useFixture(fixtures.MockPatchObject(
            quality, 'awake', autospec=True,
            side_effect=lambda: contextlib.nullcontext(self.asleep))).mock
        # argparse writes its messages there.
        self.patch(sys, 'stderr', self.stderr)
        root = logging.getLogger()
        self.addCleanup(root.setLevel, root.level)
        self.addCleanup(setattr, root, 'handlers', list(root.handlers))

    def patch(self, module, name, value):
        self.useFixture(fixtures.MonkeyPatch(
            '%s.%s' % (module.__name__, name), value))

    def run_command(self, *arguments):
        """Run it as the tempest command does; return the exit code."""
        manager = commandmanager.CommandManager('lm_tempest_plugin.no.such')
        manager.add_command(COMMAND, probe.Probe)
        command = app.App('the tempest of a test', '1', manager,
                          stdout=self.stdout, stderr=self.stderr,
                          deferred_help=True)
        try:
            return command.run([*COMMAND.split(), *arguments])
        except SystemExit as exc:
            return exc.code

    def document(self, *arguments, code=0):
        """Run it with JSON as the output; return that."""
        self.assertEqual(
            code, self.run_command(*arguments, '--format', 'json'),
            self.stderr.getvalue())
        return json.loads(self.stdout.getvalue())


class ProbeTestCase(CommandTestCase):
    """Something is really sent."""

    def setUp(self):
        super().setUp()
        if reason := fakes.why_no_icmp():
            self.skipTest(reason)

    def serve(self, *args, **kwargs):
        server = fakes.EchoServer(*args, **kwargs)
        self.addCleanup(server.close)
        return server

    def sleeping(self, sleep):
        """Have the command itself, and nothing else, sleep like this."""
        self.patch(probe, 'time', types.SimpleNamespace(
            monotonic=time.monotonic, sleep=sleep))


class OutputTest(ProbeTestCase):

    def test_json(self):
        document = self.document(
            GUEST, OTHER, '--interval', '0.005', '--duration', '0.3',
            '--calibrate', '0.2')
        self.assertEqual((1, 0.005, False, {}, []), tuple(
            document[name] for name in (
                'schema', 'interval_s', 'interrupted', 'names',
                'rejected')))
        self.assertTrue(0.25 < document['duration_s'] < 3)
        self.assertEqual([GUEST, OTHER], [
            target['address'] for target in document['targets']])
        for target in document['targets']:
            self.assertGreater(target['answered'], 5)
            self.assertEqual((None, None), (target['error'], target['tcp']))
        self.assertEqual(2, document['calibration']['targets'])
        self.assertEqual(0.2, document['calibration']['duration_s'])
        self.assertIn('Calibration on the loopback: 2 targets, noise floor ',
                      self.stderr.getvalue())

    def test_table(self):
        self.assertEqual(0, self.run_command(
            GUEST, *QUICKLY, '--format', 'table', '--max-width', '0'))
        head, row = (
            [cell.strip() for cell in line.split('|')[1:-1]]
            for line in self.stdout.getvalue().splitlines()
            if line.startswith('|'))
        self.assertEqual(
            [column.heading for column in probe.COLUMNS], head)
        shown = dict(zip(head, row))
        self.assertEqual(GUEST, shown['Address'])
        self.assertGreater(int(shown['Answered']), 10)
        self.assertRegex(shown['Longest outage (s)'],
                         r'^\d\.\d{3} \+/- \d\.\d{3}$')
        self.assertRegex(shown['Start (UTC)'],
                         r'^(-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})$')

    def test_it_is_a_table_unless_asked_for(self):
        self.assertEqual(0, self.run_command(GUEST, *QUICKLY))
        self.assertEqual('+', self.stdout.getvalue()[0])

    def test_value(self):
        self.assertEqual(0, self.run_command(
            GUEST, OTHER, *QUICKLY, '--format', 'value',
            '--column', 'address', '--column', 'outages_count'))
        rows = [line.split() for line in
                self.stdout.getvalue().splitlines()]
        self.assertEqual([GUEST, OTHER], [address for address, _ in rows])
        for _, count in rows:
            self.assertGreaterEqual(int(count), 0)

    def test_csv_has_names_for_programs(self):
        port = self.serve().port
        self.assertEqual(1, self.run_command(
            GUEST, OTHER, *QUICKLY, '--tcp', str(port), '--format', 'csv'))
        guest, other = csv.DictReader(io.StringIO(self.stdout.getvalue()))
        self.assertEqual(
            [column.key for column in (
                *probe.COLUMNS, *probe.MACHINE_COLUMNS,
                *probe.TCP_COLUMNS)], list(guest))
        self.assertGreater(float(guest['error_bound_s']), 0)
        self.assertGreater(float(guest['achieved_period_s']), 0.004)
        self.assertEqual('-1', other['last_echoed'])

    def test_ipv6(self):
        if reason := fakes.why_no_icmp('::1'):
            self.skipTest(reason)
        target, = self.document('::1', *QUICKLY)['targets']
        self.assertEqual('::1', target['address'])
        self.assertGreater(target['answered'], 5)

    def test_an_address_twice_is_probed_once(self):
        self.assertEqual([GUEST, OTHER], [
            target['address'] for target in self.document(
                GUEST, OTHER, GUEST, *QUICKLY)['targets']])

    def test_without_calibration(self):
        document = self.document(GUEST, *QUICKLY)
        self.assertIsNone(document['calibration'])
        self.assertNotIn('alibration', self.stderr.getvalue())

    def test_a_calibration_that_fails_does_no_harm(self):
        self.useFixture(fixtures.MockPatch(
            'lm_tempest_plugin.probes.quality.calibrate', autospec=True,
            side_effect=errors.ProbeError('the loopback is down')))
        document = self.document(GUEST, *QUICKLY[:4])
        self.assertIsNone(document['calibration'])
        self.assertIn('No calibration: the loopback is down',
                      self.stderr.getvalue())

    def test_remarks_of_the_prober_are_shown(self):
        self.useFixture(fixtures.MockPatch(
            'lm_tempest_plugin.probes.quality.remarks',
            autospec=True, return_value=['Something to know.']))
        document = self.document(GUEST, *QUICKLY)
        self.assertEqual(
            ['Something to know.'], document['prober']['remarks'])
        self.assertIn('Something to know.\n', self.stderr.getvalue())


class NamesTest(ProbeTestCase):

    def setUp(self):
        super().setUp()
        self.asked = []
        getaddrinfo = socket.getaddrinfo

        def resolve(host, *args, **kwargs):
            self.asked.append(host)
            # No name server is asked.
            return getaddrinfo(
                {'guest.test': GUEST, 'alias.test': GUEST}.get(host, host),
                *args, **kwargs)

        self.patch(socket, 'getaddrinfo', resolve)

    def test_a_name_is_resolved_once(self):
        server = self.serve()
        document = self.document(
            'guest.test', OTHER, *QUICKLY, '--tcp', str(server.port),
            code=1)
        self.assertEqual([GUEST, OTHER], [
            target['address'] for target in document['targets']])
        self.assertGreater(document['targets'][0]['answered'], 5)
        self.assertGreater(document['targets'][0]['tcp']['last_echoed'], -1)
        self.assertEqual({GUEST: 'guest.test'}, document['names'])
        said = self.stderr.getvalue().splitlines()
        self.assertIn('guest.test is 127.0.0.1', said)
        self.assertFalse([line for line in said if line.startswith(
            '%s is ' % OTHER)])
        self.assertEqual(1, self.asked.count('guest.test'))

    def test_a_name_and_its_address_are_probed_once(self):
        for addresses in (('guest.test', GUEST), (GUEST, 'guest.test')):
            self.stdout.truncate(0)
            self.stdout.seek(0)
            document = self.document(*addresses, *QUICKLY)
            self.assertEqual([GUEST], [
                target['address'] for target in document['targets']])
            self.assertEqual({GUEST: 'guest.test'}, document['names'])

    def test_two_names_of_one_address(self):
        document = self.document('guest.test', 'alias.test', *QUICKLY)
        self.assertEqual(1, len(document['targets']))
        self.assertIn('guest.test is 127.0.0.1\n', self.stderr.getvalue())
        self.assertIn('alias.test is 127.0.0.1\n', self.stderr.getvalue())

    def test_an_address_that_is_written_in_another_way(self):
        if reason := fakes.why_no_icmp('::1'):
            self.skipTest(reason)
        document = self.document('0:0:0:0:0:0:0:1', *QUICKLY)
        self.assertEqual({'::1': '0:0:0:0:0:0:0:1'}, document['names'])


class WakefulnessTest(ProbeTestCase):

    def test_they_are_kept_awake(self):
        self.assertEqual(0, self.run_command(GUEST, *QUICKLY))
        self.awake.assert_called_once_with()
        self.assertIn('This machine\'s CPUs are kept awake meanwhile.\n',
                      self.stderr.getvalue())

    def test_as_long_as_something_is_observed(self):
        held = []

        @contextlib.contextmanager
        def awake():
            held.append('begin')
            yield ''
            held.append('end')

        self.awake.side_effect = awake
        self.useFixture(fixtures.MockPatch(
            'lm_tempest_plugin.probes.quality.calibrate', autospec=True,
            side_effect=lambda *_: held.append('calibrated') or
            fakes.recorded().calibration))
        self.sleeping(lambda seconds: held.append('observed') or
                      time.sleep(seconds))
        self.assertEqual(0, self.run_command(GUEST, *QUICKLY[:4]))
        self.assertEqual(['begin', 'calibrated', 'end'],
                         [event for event in held if event != 'observed'])
        self.assertEqual('end', held[-1])
        self.assertIn('observed', held[2:-1])

    def test_they_cannot_be(self):
        self.asleep = '/dev/cpu_dma_latency: Permission denied'
        self.assertEqual(0, self.run_command(GUEST, *QUICKLY))
        self.assertIn(
            'This machine\'s CPUs may sleep (/dev/cpu_dma_latency: '
            'Permission denied), and wake up late then.\n',
            self.stderr.getvalue())
        self.assertNotIn('are kept awake', self.stderr.getvalue())

    def test_they_may_sleep(self):
        self.assertEqual(0, self.run_command(
            GUEST, *QUICKLY, '--allow-idle'))
        self.awake.assert_not_called()
        self.assertNotIn('CPUs', self.stderr.getvalue())


class CalibrationTest(ProbeTestCase):

    def setUp(self):
        super().setUp()
        self.calibrate = self.useFixture(fixtures.MockPatchObject(
            quality, 'calibrate', autospec=True,
            return_value=fakes.recorded().calibration)).mock

    def test_as_often_as_the_guests_are_asked(self):
        self.document(GUEST, OTHER, *QUICKLY[:4], '--calibrate', '0.2')
        self.calibrate.assert_called_once_with(2, 0.005, 0.2)

    def test_often_enough_in_a_short_time(self):
        self.document(GUEST, '--interval', '0.1', '--duration', '0.3',
                      '--calibrate', '0.2')
        self.calibrate.assert_called_once_with(1, 0.01, 0.2)


class AffordableTest(base.TestCase):

    def test_what_was_asked_for(self):
        self.assertEqual(60, probe._affordable_s(50, 0.01, 60))
        self.assertEqual(86400, probe._affordable_s(1, 0.01, 86400))

    def test_exactly_as_much_as_there_may_be(self):
        self.assertEqual(10000, probe._affordable_s(50, 0.01, 10000))

    def test_as_long_as_possible(self):
        self.assertEqual(86400, probe._affordable_s(1, 0.01, None))
        self.assertEqual(10000, probe._affordable_s(50, 0.01, None))

    def test_too_much(self):
        exc = self.assertRaises(
            errors.ProbeError, probe._affordable_s, 50, 0.01, 10001)
        self.assertEqual(
            '50 addresses every 0.01 s for 10001 s are more than 50000000 '
            'requests, which take too much memory: ask for at most 10000 s, '
            'or for a longer interval', str(exc))

    def test_what_is_offered_is_taken(self):
        # A third of 50000 s is 16666.67 s.
        exc = self.assertRaises(
            errors.ProbeError, probe._affordable_s, 3, 0.001, 86400)
        self.assertIn('at most 16666 s', str(exc))


class ProgressTest(ProbeTestCase):

    line = '1 of 1 answered lately'

    def test_elsewhere_than_on_a_terminal(self):
        self.patch(probe, 'LOGGED_S', 0.05)
        self.assertEqual(0, self.run_command(GUEST, *QUICKLY))
        self.assertIn('0 s: %s\n' % self.line, self.stderr.getvalue())
        self.assertNotIn('\x1b', self.stderr.getvalue())

    def test_on_a_terminal_it_is_one_line(self):
        self.stderr = Terminal()
        # They would follow it.
        self.useFixture(fixtures.MockPatch(
            'lm_tempest_plugin.probes.quality.remarks',
            autospec=True, return_value=[]))
        self.patch(probe, 'SHOWN_S', 0.05)
        self.assertEqual(0, self.run_command(GUEST, *QUICKLY))
        shown = self.stderr.getvalue()
        self.assertGreaterEqual(shown.count('\r\x1b[K0 s: ' + self.line), 2)
        # The figures must not follow it in the same line.
        self.assertRegex(shown, r'(\n|\r\x1b\[K)$')

    def test_quiet(self):
        self.patch(probe, 'LOGGED_S', 0.05)
        self.assertEqual(0, self.run_command(GUEST, *QUICKLY, '--quiet'))
        self.assertNotIn(self.line, self.stderr.getvalue())
        self.assertIn(GUEST, self.stdout.getvalue())


class InterruptionTest(ProbeTestCase):

    def assert_interrupted(self, document):
        self.assertTrue(document['interrupted'])
        self.assertGreater(document['targets'][0]['answered'], 5)
        self.assertLess(document['duration_s'], 30)
        self.assertIn('Interrupted; these are the figures so far.\n',
                      self.stderr.getvalue())

    def test_ctrl_c(self):
        def sleep(seconds):
            time.sleep(0.1)
            raise KeyboardInterrupt

        self.sleeping(sleep)
        # However long it should have been.
        self.assert_interrupted(self.document(
            GUEST, '--interval', '0.005', '--calibrate', '0',
            '--save', self.path))
        self.assertIn(GUEST, recording.load(self.path).icmp)

    def test_sigterm(self):
        # Were it not caught, it would end the tests.
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        mine = signal.getsignal(signal.SIGTERM)

        def sleep(seconds):
            time.sleep(0.1)
            signal.raise_signal(signal.SIGTERM)

        self.sleeping(sleep)
        self.assert_interrupted(self.document(
            GUEST, '--interval', '0.005', '--duration', '60',
            '--calibrate', '0'))
        self.assertIs(mine, signal.getsignal(signal.SIGTERM))

    def test_nothing_runs_any_more(self):
        self.sleeping(mock.Mock(side_effect=KeyboardInterrupt))
        self.run_command(GUEST, *QUICKLY, '--tcp', str(self.serve().port))
        self.assertIn('Interrupted', self.stderr.getvalue())
        self.assertFalse([
            thread.name for thread in threading.enumerate()
            if 'prober' in thread.name])


class TcpTest(ProbeTestCase):

    def tcp(self, port, *arguments, **kwargs):
        return self.document(
            GUEST, *arguments, *QUICKLY, '--tcp', str(port),
            '--tcp-interval', '0.005', **kwargs)['targets']

    def test_an_echo_service(self):
        server = self.serve()
        target, = self.tcp(server.port)
        self.assertIsNone(target['error'])
        tcp = target['tcp']
        self.assertEqual(
            (server.port, 0, 0, 0.005, ''), tuple(tcp[name] for name in (
                'port', 'resets', 'reconnects', 'period_s', 'trouble')))
        self.assertGreater(tcp['last_echoed'], 5)
        self.assertFalse(tcp['never_echoed'])

    def test_table(self):
        self.assertEqual(0, self.run_command(
            GUEST, *QUICKLY, '--tcp', str(self.serve().port)))
        for column in probe.TCP_COLUMNS:
            self.assertIn(column.heading, self.stdout.getvalue())

    def test_a_closed_port_and_the_others_go_on(self):
        server = self.serve()
        guest, other = self.tcp(server.port, OTHER, code=1)
        self.assertGreater(guest['tcp']['last_echoed'], 5)
        self.assertIsNone(guest['error'])
        trouble = 'TCP port %d of %s: connection refused (' % (
            server.port, OTHER)
        self.assertIn(trouble, other['error'])
        self.assertIn(trouble, self.stderr.getvalue())
        self.assertGreater(other['answered'], 5)

    def test_something_that_does_not_echo(self):
        target, = self.tcp(
            self.serve(lambda _: b'SSH-2.0-other\r\n').port, code=1)
        self.assertIn('SSH-2.0-other', target['error'])
        self.assertIn('SSH-2.0-other', self.stderr.getvalue())
        self.assertTrue(target['tcp']['never_echoed'])

    def test_a_stall_that_is_not_over(self):
        server = self.serve()

        def sleep(seconds):
            time.sleep(0.1)
            server.gate.clear()
            time.sleep(0.15)
            raise KeyboardInterrupt

        self.sleeping(sleep)
        self.assertEqual(0, self.run_command(
            GUEST, *QUICKLY, '--tcp', str(server.port), '--tcp-interval',
            '0.005', '--save', self.path))
        self.assertRegex(self.stdout.getvalue(), r'\| \d\.\d{3}, not over')
        seen = recording.load(self.path).tcp[GUEST]
        self.assertEqual(0, seen.lost)
        self.assertGreater(seen.last_sent, seen.last_echoed)


class TroubleTest(ProbeTestCase):

    def setUp(self):
        super().setUp()
        getaddrinfo = socket.getaddrinfo

        def resolve(host, *args, **kwargs):
            # No name server is asked.
            if host == NOBODY:
                raise socket.gaierror(-2, 'Name or service not known')
            return getaddrinfo(host, *args, **kwargs)

        self.patch(socket, 'getaddrinfo', resolve)

    def test_a_name_that_does_not_resolve_and_others_go_on(self):
        document = self.document(NOBODY, GUEST, *QUICKLY, code=1)
        target, = document['targets']
        self.assertGreater(target['answered'], 5)
        self.assertEqual({}, document['names'])
        rejected, = document['rejected']
        self.assertEqual(NOBODY, rejected['address'])
        for text in (rejected['error'], self.stderr.getvalue()):
            self.assertIn('%s is no IP address and no name that resolves to '
                          'one: [Errno -2] Name or service not known' %
                          NOBODY, text)

    def test_nothing_can_be_probed(self):
        self.assertEqual(1, self.run_command(NOBODY, *QUICKLY))
        self.assertEqual('', self.stdout.getvalue())
        said, = self.stderr.getvalue().splitlines()
        self.assertIn(NOBODY, said)

    def test_what_was_rejected_is_said_if_the_rest_fails_too(self):
        with mock.patch.object(icmp.IcmpProber, 'on_tick', autospec=True,
                               side_effect=RuntimeError('broken')):
            self.assertEqual(1, self.run_command(NOBODY, GUEST, *QUICKLY))
        said = self.stderr.getvalue()
        self.assertEqual(1, said.count('%s is no IP address' % NOBODY))
        self.assertIn('the ICMP prober died: RuntimeError', said)
        self.assertEqual('', self.stdout.getvalue())

    def test_an_address_that_is_never_asked(self):
        target, = self.document(
            GUEST, '--interval', '60', '--duration', '0.1', '--calibrate',
            '0', code=1)['targets']
        self.assertEqual(
            '127.0.0.1 was never probed: the duration is shorter than one '
            'interval', target['error'])
        self.assertIn(target['error'], self.stderr.getvalue())

    def test_an_address_that_cannot_be_sent_to(self):
        guest, nobody = self.document(
            GUEST, BROADCAST, *QUICKLY, code=1)['targets']
        self.assertIsNone(guest['error'])
        self.assertEqual((0, 0), (nobody['sent'], nobody['answered']))
        self.assertGreater(nobody['send_errors'], 5)
        self.assertRegex(nobody['error'], r'^\d+ requests could not be sent '
                                          'to %s: .' % BROADCAST)
        self.assertIn(nobody['error'], self.stderr.getvalue())

    def test_an_address_that_never_answers(self):
        # It is probed, and its answers are ignored.
        with mock.patch.object(icmp.IcmpGroup, '_note', autospec=True):
            target, = self.document(GUEST, *QUICKLY, code=1)['targets']
        self.assertIn('127.0.0.1 never answered', target['error'])
        self.assertIn(target['error'], self.stderr.getvalue())
        self.assertTrue(target['longest_outage_open'])
        self.assertGreater(target['longest_outage_s'], 0.1)

    def test_the_prober_dies(self):
        with mock.patch.object(icmp.IcmpProber, 'on_tick', autospec=True,
                               side_effect=RuntimeError('broken')):
            self.assertEqual(1, self.run_command(GUEST, *QUICKLY))
        self.assertIn('the ICMP prober died: RuntimeError',
                      self.stderr.getvalue())
        self.assertEqual('', self.stdout.getvalue())


class NotPermittedTest(CommandTestCase):

    def test_what_to_do_is_said(self):
        self.useFixture(fixtures.MockPatchObject(
            icmp_echo, 'open_socket', autospec=True,
            side_effect=errors.ProbesNotPermitted(
                'sysctl net.ipv4.ping_group_range')))
        self.assertEqual(1, self.run_command(GUEST, *QUICKLY))
        self.assertEqual('', self.stdout.getvalue())
        self.assertEqual(
            '127.0.0.1 cannot be probed: sysctl '
            'net.ipv4.ping_group_range\n', self.stderr.getvalue())


class SaveAndLoadTest(ProbeTestCase):

    def test_the_same_figures(self):
        saved = self.document(
            GUEST, OTHER, *QUICKLY[:4], '--calibrate', '0.05',
            '--tcp', str(self.serve(host='0.0.0.0').port),
            '--save', self.path)
        self.stdout.truncate(0)
        self.stdout.seek(0)
        self.assertEqual(saved, self.document('--load', self.path))

    def test_it_is_saved_before_the_figures_are_computed(self):
        with mock.patch.object(recording, 'document', autospec=True,
                               side_effect=MemoryError('too much')):
            self.assertNotEqual(0, self.run_command(
                GUEST, *QUICKLY, '--save', self.path))
        self.assertIn(GUEST, recording.load(self.path).icmp)

    def test_no_folder_nothing_is_observed(self):
        self.useFixture(fixtures.MockPatchObject(
            watch, 'Watch', autospec=True,
            side_effect=AssertionError('something is observed')))
        nowhere = os.path.join(self.folder, 'nowhere', 'recording')
        for path, reason in ((nowhere, 'there is no directory'),
                             (self.folder, 'it is a directory')):
            self.assertEqual(1, self.run_command(
                GUEST, *QUICKLY, '--save', path))
            said = self.stderr.getvalue().splitlines()[-1]
            self.assertIn('cannot be written to %s: %s' % (
                path, reason), said)
        self.assertEqual([], os.listdir(self.folder))

    def test_what_is_no_file_is_not_replaced(self):
        os.mkfifo(self.path)
        self.assertEqual(1, self.run_command(
            GUEST, *QUICKLY, '--save', self.path))
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path).st_mode))

    def test_a_full_disk_does_not_cost_the_figures(self):
        with mock.patch.object(
                numpy, 'savez_compressed', autospec=True,
                side_effect=OSError(28, 'No space left on device')):
            document = self.document(
                GUEST, *QUICKLY, '--save', self.path, code=1)
        self.assertGreater(document['targets'][0]['answered'], 5)
        self.assertIn('No space left on device', self.stderr.getvalue())
        self.assertEqual([], os.listdir(self.folder))


class LoadTest(CommandTestCase):
    """Nothing is sent."""

    def load(self, recorded, *arguments):
        recording.save(recorded, self.path)
        return self.run_command('--load', self.path, *arguments)

    def test_figures_of_a_file(self):
        # One of the guests never answered.
        self.assertEqual(1, self.load(fakes.recorded(), '--format', 'json'))
        guest, silent = json.loads(self.stdout.getvalue())['targets']
        self.assertLess(
            abs(guest['longest_outage_s'] - 1), guest['error_bound_s'])
        self.assertIn('2001:db8::1 never answered', silent['error'])
        self.assertIn(silent['error'], self.stderr.getvalue())
        self.assertIn('this machine dropped 3 answers',
                      self.stderr.getvalue())
        self.assertNotIn('fell behind', self.stderr.getvalue())

    def test_table(self):
        self.load(fakes.recorded(), '--max-width', '0')
        guest, silent = [
            line for line in self.stdout.getvalue().splitlines()
            if ':' in line and 'Address' not in line]
        cells = [cell.strip() for cell in guest.split('|')[1:-1]]
        self.assertEqual(
            ['192.0.2.1', '1000', '900', '0', '100', '1.000 +/- 0.010',
             '2023-11-14T22:13:22.995', '1.000', '1', '10.00', '0.03',
             '1.050', '1', '1', '199', '199', '5'], cells)
        self.assertIn('| 2001:db8::1 |', silent)

    def test_guests_with_tcp_and_without(self):
        recorded = fakes.recorded()
        tcp = {'192.0.2.1': recorded.tcp['192.0.2.1']}
        self.load(fakes.recorded(tcp=tcp), '--format', 'csv')
        guest, silent = csv.DictReader(io.StringIO(self.stdout.getvalue()))
        self.assertEqual(('199', ''), (
            guest['last_sent'], silent['last_sent']))

    def test_one_that_is_well(self):
        icmp_seen = {'192.0.2.1': fakes.observed()}
        recorded = fakes.recorded(
            icmp=icmp_seen, tcp={}, wall_clock_steps=0,
            kernel_stamps_refused=0, answers_dropped=0)
        self.assertEqual(0, self.load(recorded))
        self.assertEqual('', self.stderr.getvalue())
        self.assertIn('| - ', self.stdout.getvalue())

    def test_no_file(self):
        self.assertEqual(1, self.run_command('--load', self.path))
        self.assertIn('%s cannot be read' % self.path,
                      self.stderr.getvalue())

    def test_no_recording(self):
        with open(self.path, 'wb'):
            pass
        self.assertEqual(1, self.run_command('--load', self.path))
        self.assertIn('%s is no recording' % self.path,
                      self.stderr.getvalue())


class ArgumentsTest(CommandTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            watch, 'Watch', autospec=True,
            side_effect=AssertionError('something is observed')))

    def refused(self, code, *arguments):
        """Return the one sentence with which arguments are refused."""
        self.assertEqual(code, self.run_command(*arguments))
        self.assertEqual('', self.stdout.getvalue())
        self.assertNotIn('Traceback', self.stderr.getvalue())
        return self.stderr.getvalue().splitlines()[-1]

    def test_seconds(self):
        for option, low, high in (
                ('--interval', 0.001, 60), ('--duration', 0.1, 86400),
                ('--tcp-interval', 0.002, 0.05), ('--calibrate', 0, 60)):
            for value in ('0.0009', '-1', '86401', 'inf', 'nan', 'soon', '',
                          '%g' % (high * 1.01)):
                if option == '--calibrate' and value == '0.0009':
                    continue
                said = self.refused(
                    2, GUEST, '%s=%s' % (option, value))
                self.assertTrue(said.endswith(
                    'error: argument %s: %r is not a number of seconds from '
                    '%g to %g' % (option, value, low, high)), said)

    def test_too_many_requests(self):
        said = self.refused(
            1, GUEST, OTHER, '--interval', '0.001', '--duration', '25001',
            '--calibrate', '0')
        self.assertEqual(
            '2 addresses every 0.001 s for 25001 s are more than 50000000 '
            'requests, which take too much memory: ask for at most 25000 s, '
            'or for a longer interval', said)
        self.awake.assert_not_called()

    def test_ports(self):
        for value in ('0', '65536', '-7', '7.0', 'echo', '', '\u00b2'):
            said = self.refused(2, GUEST, '--tcp=' + value)
            self.assertTrue(said.endswith(
                'error: argument --tcp: %r is no TCP port (1 to 65535)' %
                value), said)

    def test_nothing_to_do(self):
        self.assertIn('give either addresses to probe or --load FILE',
                      self.refused(1))

    def test_two_things_to_do(self):
        self.assertIn('give either addresses to probe or --load FILE',
                      self.refused(1, GUEST, '--load', self.path))

    def test_help(self):
        self.assertEqual(0, self.run_command('--help'))
        for option in ('--interval', '--duration', '--tcp', '--calibrate',
                       '--save', '--load', 'Ctrl-C'):
            self.assertIn(option, self.stdout.getvalue())


class EntryPointTest(base.TestCase):

    def test_tempest_finds_the_command(self):
        # Metadata in a checkout may be older than the installed one.
        found = [
            entry for one in metadata.distributions(name='lm-tempest-plugin')
            for entry in one.entry_points.select(
                group='tempest.cm', name='live-migration-ha_probe')]
        self.assertTrue(found)
        for entry in found:
            self.assertIs(probe.Probe, entry.load())
