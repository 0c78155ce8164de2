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

import errno
import os

from lab import machine
from lab.tests.unit import base

UNKNOWN_PACKAGE = """\
Reading package lists...
Building dependency tree...
E: Unable to locate package no-such-package
"""
UNMET = """\
The following packages have unmet dependencies:
 ovn-host : Depends: ovn-common (= 23.03) but it is not going to be installed
E: Unable to correct problems, you have held broken packages.
"""
PIP = """\
Collecting nova==34.0.0
ERROR: Could not find a version that satisfies the requirement nova==34.0.0
WARNING: You are using an old version of pip.

"""


class TestReason(base.TestCase):

    def _reason(self, text):
        return machine.find_reason(self.write(self.folder / 'log', text))

    def test_line_of_apt(self):
        self.assertEqual('E: Unable to locate package no-such-package',
                         self._reason(UNKNOWN_PACKAGE))

    def test_ends_without_a_full_stop(self):
        # The sentence that it becomes part of goes on.
        self.assertEqual('E: Unable to correct problems, you have held broken '
                         'packages', self._reason(UNMET))

    def test_line_of_pip_before_later_noise(self):
        self.assertEqual(
            'ERROR: Could not find a version that satisfies the requirement '
            'nova==34.0.0', self._reason(PIP))

    def test_full_disk(self):
        for text in ('ERROR: Could not install packages due to an OSError: '
                     '[Errno 28] No space left on device\nbye\n',
                     'dpkg: error: cannot copy: failed to write '
                     f'({os.strerror(errno.ENOSPC)})\n'
                     'E: Sub-process /usr/bin/dpkg returned an error code\n'):
            self.assertIn('the disk is full', self._reason(text))

    def test_last_line_if_none_speaks_of_an_error(self):
        self.assertEqual('that was it',
                         self._reason('some\n  that was it  \n\n'))

    def test_nothing(self):
        self.assertEqual('it printed nothing', self._reason(' \n\n'))
        self.assertEqual('it printed nothing',
                         machine.find_reason(self.folder / 'missing'))

    def test_bytes_that_are_no_text(self):
        log = self.folder / 'log'
        log.write_bytes(b'\xff\xfe\nE: no\n')
        self.assertEqual('E: no', machine.find_reason(log))

    def test_from_an_offset(self):
        log = self.write(self.folder / 'log', 'E: \u00fcber\nE: new\n')
        self.assertEqual('E: new', machine.find_reason(
            log, len('E: \u00fcber\n'.encode())))
        self.assertEqual('it printed nothing', machine.find_reason(
            log, log.stat().st_size))


class TestRun(base.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.folder / 'install' / 'x.log'

    def _run(self, script, **environment):
        machine.run_installer(['sh', '-c', script], self.log, 'Trying',
                              **environment)

    def test_output_is_kept(self):
        self._run('echo one; echo two >&2')
        self._run('echo three')
        self.assertEqual('one\ntwo\nthree\n', self.log.read_text())

    def test_environment_is_added(self):
        os.environ['LAB_TEST_OLD'] = 'old'
        self._run('echo $LAB_TEST_OLD $LAB_TEST_NEW', LAB_TEST_NEW='new')
        self.assertEqual('old new\n', self.log.read_text())
        self.assertNotIn('LAB_TEST_NEW', os.environ)

    def test_nobody_is_asked(self):
        self._run('read answer || echo nobody')
        self.assertEqual('nobody\n', self.log.read_text())

    def test_failure(self):
        message = self.refused(self._run, 'echo E: no such thing.; exit 3')
        self.assertEqual(f'Trying failed: E: no such thing (whole output: '
                         f'{self.log}).', message)

    def test_failure_of_an_earlier_run_does_not_count(self):
        # The disk was full then, and is not now.
        self.write(self.log, f'E: [Errno 28] {os.strerror(errno.ENOSPC)}\n')
        message = self.refused(self._run, 'echo E: no network; exit 1')
        self.assertIn('Trying failed: E: no network (', message)
        self.assertIn('it printed nothing', self.refused(self._run, 'exit 1'))

    def test_language_of_the_user_does_not_matter(self):
        # Reasons are found by English words.
        os.environ['LC_ALL'] = 'de_DE.UTF-8'
        self._run('echo $LC_ALL')
        self.assertEqual('C.UTF-8\n', self.log.read_text())
