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

"""Commands start, use and end a Zuul, whatever happens in between."""

import argparse
import contextlib
import io
import pathlib
import shutil
import subprocess

from gate import demonstration
from gate import follow
from gate import machine
from gate import patches
from gate import projects
from gate import rest
from gate import services
from gate.tests import base
from gate import use
from lab.hosts import sandbox
from lab.machine import checks
from lab.machine import debian
from lab.machine import virtualenvs
from lab import steps

JOBS = [{'name': 'a-job'}, {'name': patches.JOB}]


class Base(base.TestCase):

    def setUp(self):
        super().setUp()
        self.events = []
        self.process = None
        self.answers = {'jobs': JOBS, 'config-errors': []}
        self.patch(rest, 'get', lambda path, *_: self.answers[path])
        self.patch(machine, 'enter_network')
        self.patch(sandbox, 'find', lambda *_: self.process)
        self.patch(sandbox, 'end', self.note('end'))
        self.patch(sandbox, 'processes', lambda **_: [])

    def note(self, event):
        def call(*_, **__):
            self.events.append(event)
        return call

    def run_it(self, **options):
        """Return the exit code of a command, and its output."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = use.dispatch(argparse.Namespace(**(
                {'command': None, 'nova': '', 'job': patches.JOB,
                 'tests': ''} | options)), self.paths)
        return code, out.getvalue()


class StartTest(Base):

    def setUp(self):
        super().setUp()
        self.patch(debian, 'missing', return_value=[])
        self.patch(virtualenvs, 'is_current', return_value=True)
        self.patch(services, 'check_java')
        self.patch(checks, 'memory_for')
        self.patch(services.Services, 'configure')
        self.patch(services.Services, 'steps', lambda _: [
            steps.Step('services', self.note('services'))])
        self.patch(projects.Projects, 'create_config', self.configure)
        for name in ('create_plugin', 'create_nova'):
            self.patch(projects.Projects, name, self.note(name))
        self.begin = self.patch(machine, 'begin', self.note('begin'))
        self.patch(demonstration, 'run', self.demonstrate)
        self.patch(shutil, 'which', return_value=None)
        shutil.rmtree(self.paths.review)
        self.shown = True

    def configure(self, files, values):
        self.configured = values

    def demonstrate(self, paths):
        self.events.append('demonstration')
        if isinstance(self.shown, BaseException):
            raise self.shown
        return self.shown

    def test_up(self):
        code, text = self.run_it(command='up')
        self.assertEqual(0, code)
        self.assertIn('Zuul is up, without an error', text)
        self.assertEqual(['begin', 'services'], self.events[-2:])

    def test_up_again(self):
        self.process = sandbox.Process(7, self.paths.root, True)
        self.assertIn('up already', self.run_it(command='up')[1])
        self.assertNotIn('begin', self.events)

    def test_demonstration_ends_zuul(self):
        for shown, expected in ((True, 0), (False, 1)):
            self.shown = shown
            self.assertEqual(expected, self.run_it()[0])
            self.assertEqual(['demonstration', 'end'], self.events[-2:])

    def test_tests_of_the_job(self):
        for command, tests, expected in (
                (None, '', demonstration.TESTS), (None, 'a', 'a'),
                ('up', '', ''), ('up', 'a', 'a')):
            self.run_it(command=command, tests=tests)
            self.assertEqual(expected, self.configured['tests'])

    def test_interrupted(self):
        self.shown = KeyboardInterrupt()
        self.assertRaises(KeyboardInterrupt, self.run_it)
        self.assertEqual('end', self.events[-1])

    def test_demonstration_beside_another_zuul(self):
        self.process = sandbox.Process(7, self.paths.root, True)
        self.assertIn('A Zuul is up', self.refused(self.run_it))
        self.assertNotIn('end', self.events)

    def test_unknown_job(self):
        message = self.refused(self.run_it, command='up', job='missing')
        self.assertIn("knows no job 'missing'", message)
        self.assertEqual('end', self.events[-1])

    def test_configuration_errors(self):
        self.answers['config-errors'] = [{'short_error': 'a\n b'}]
        message = self.refused(self.run_it, command='up')
        self.assertIn("1 errors in the configuration, first 'a b'", message)
        self.assertEqual('end', self.events[-1])

    def test_memory(self):
        for job, gib in ((patches.JOB, 7), ('a-job', 2)):
            self.run_it(command='up', job=job)
            self.assertEqual(gib * checks.GIB,
                             checks.memory_for.call_args.args[1])

    def test_nova(self):
        for path, message in (
                (self.folder / 'missing', 'no such folder'),
                (self.folder, 'no Git repository'),
                (self.checkout('plugin', lm_tempest_plugin__plugin_py=''),
                 'no checkout of nova')):
            self.assertIn(message, self.refused(
                self.run_it, command='up', nova=str(path)))
        self.assertEqual(0, self.run_it(command='up',
                                        nova=str(self.nova()))[0])


class ChangeTest(Base):

    def setUp(self):
        super().setUp()
        self.process = sandbox.Process(7, self.paths.root, True)
        made = projects.Projects(self.paths)
        made._publish(patches.NOVA, self.nova())
        self.results = {'check': True, 'gate': True}
        for name, method in (('check', 'until_checked'),
                             ('gate', 'until_merged')):
            self.patch(follow.Follower, method, self.follow(name))

    def follow(self, name):
        def until(_, change):
            self.events.append(name)
            return self.results[name]
        return until

    def change(self, **options):
        folder = self.checkout('work', nova__compute__manager_py='')
        (folder / f'new{len(self.review.changes())}').write_text('')
        self.commit(folder, 'add a file')
        return self.run_it(command='change', **(
            {'path': str(folder), 'revision': 'HEAD', 'bug': None,
             'depends_on': None, 'approve': False} | options))[0]

    def test_check(self):
        for passes, code in ((True, 0), (False, 1)):
            self.results['check'] = passes
            self.assertEqual(code, self.change())
        self.assertEqual(['check', 'check'], self.events)
        self.assertEqual(['add a file', 'add a file'], [
            change['subject'] for change in self.review.changes()])

    def test_approval(self):
        for passes, merges, code in ((True, True, 0), (True, False, 1),
                                     (False, True, 1)):
            self.results.update(check=passes, gate=merges)
            self.assertEqual(code, self.change(approve=True))
        self.assertEqual(['check', 'gate', 'check', 'gate', 'check'],
                         self.events)
        votes = [change['currentPatchSet']['approvals']
                 for change in self.review.changes()]
        self.assertEqual(['1'], [vote['value'] for vote in votes[0]])
        self.assertEqual([], votes[2])

    def test_dependency(self):
        self.change()
        self.change(depends_on=1)
        self.assertIn('Depends-On: https://review.invalid/c/openstack/nova/+/'
                      '1\n', self.review.get(2)['commitMessage'])
        self.assertIn('no change 9', self.refused(self.change, depends_on=9))

    def test_bug(self):
        self.assertIn('does not apply', self.refused(
            self.change, bug='source_allocation_kept', path=None))

    def test_approve(self):
        self.change()
        self.assertEqual(0, self.run_it(command='approve', number=1)[0])
        self.review._save(self.review.get(1) | {'status': 'MERGED'})
        self.assertIn('merged already', self.refused(
            self.run_it, command='approve', number=1))

    def test_nothing_is_up(self):
        self.process = None
        for command in ('change', 'approve', 'picture'):
            self.assertIn('No Zuul is up', self.refused(
                self.run_it, command=command))
        self.assertEqual(use.NOT_UP, self.run_it(command='status')[0])


class PictureTest(Base):

    def setUp(self):
        super().setUp()
        self.process = sandbox.Process(7, self.paths.root, True)
        self.which = self.patch(shutil, 'which', return_value='/bin/chromium')
        self.patch(subprocess, 'run', self.browse)
        self.takes = True

    def browse(self, command, **_):
        options = dict(word.partition('=')[::2] for word in command)
        if self.takes:
            pathlib.Path(options['--screenshot']).write_text('PNG')
        self.command = command
        return subprocess.CompletedProcess(command, 0, '', 'a\nno display\n')

    def test_picture(self):
        code, text = self.run_it(command='picture', page='build/abc')
        self.assertEqual(0, code)
        path = self.paths.pictures / 'build-abc.png'
        self.assertEqual(f'{path}\n', text)
        self.assertEqual('http://127.0.0.1:9000/t/lab/build/abc',
                         self.command[-1])

    def test_no_picture(self):
        self.takes = False
        self.assertIn('no picture: no display', self.refused(
            self.run_it, command='picture', page='status'))
        self.which.return_value = None
        self.assertIn('apt-get install chromium', self.refused(
            self.run_it, command='picture', page='status'))


class StatusTest(Base):

    def test_status(self):
        self.process = sandbox.Process(7, self.paths.root, True)
        up = [True]
        self.patch(services.Services, 'supervisor').states.side_effect = (
            lambda: [argparse.Namespace(
                name='web', state='RUNNING' if up[0] else 'FATAL', log='/log',
                description='pid 9', up=up[0])])
        self.patch(rest, 'progress', return_value=[
            ('check', '1,1', 'a-job', 'running')])
        self.answers['builds?limit=100'] = [{
            'pipeline': 'check', 'job_name': 'a-job', 'result': 'SUCCESS',
            'duration': 3.0, 'end_time': '2026', 'ref': {
                'change': 1, 'project': 'openstack/nova'}}]
        code, text = self.run_it(command='status')
        self.assertEqual(0, code)
        for expected in ('RUNNING', 'check: change 1,1: a-job: running',
                         'SUCCESS', '3 s'):
            self.assertIn(expected, text)
        up[0] = False
        self.assertEqual(1, self.run_it(command='status')[0])
