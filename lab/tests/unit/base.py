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

"""Base of the lab's unit tests, which need no root, network or cloud."""

import os
import pathlib
import signal
import tempfile
import unittest
from unittest import mock

from lab import errors
from lab import layout
from lab.machine import sources

#: Variables of the environment that would change the results of tests.
MISLEADING = ('LM_LAB_DIR', 'FORCE_COLOR', 'NO_COLOR', 'COLUMNS', 'TERM',
              'TTY_COMPATIBLE', 'TTY_INTERACTIVE')


class TestCase(unittest.TestCase):
    """A test with a folder of its own, and a lab's layout in it."""

    def setUp(self):
        super().setUp()
        # As in the foreground, however the tests were started.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(
            signal.SIGINT, signal.default_int_handler))
        environ = mock.patch.dict(os.environ)
        environ.start()
        self.addCleanup(environ.stop)
        for name in MISLEADING:
            os.environ.pop(name, None)
        folder = tempfile.TemporaryDirectory(prefix='lab-')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        self.layout = layout.Layout(self.folder / 'state')

    def patch(self, owner, name, *args, **options):
        """Replace an attribute for the time of the test."""
        patcher = mock.patch.object(owner, name, *args, **options)
        replacement = patcher.start()
        self.addCleanup(patcher.stop)
        return replacement

    def refused(self, call, *args, **options):
        """The message of the LabError that a call raises."""
        with self.assertRaises(errors.LabError) as caught:
            call(*args, **options)
        return str(caught.exception)

    def assert_sentence(self, message):
        """A person is told one thing, in one complete sentence."""
        self.assertNotIn('\n', message)
        self.assertNotIn('. ', message)
        self.assertTrue(message.endswith('.'), message)

    def write(self, path, text='', mode=None):
        """Write a file, making its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if mode is not None:
            path.chmod(mode)
        return path

    def nova(self, name='cloud', version='34.0.0', age=74,
             migrations=('a_first.py',)):
        """Make a virtualenv that holds little but a nova.

        The cloud's, which it sees, has the other projects.
        """
        for project in sources.SERVICES:
            if project != sources.NOVA:
                self.project(project)
        venv = self.layout.venvs / name
        site = venv / 'lib' / 'python3.11' / 'site-packages'
        self.write(site / f'nova-{version}.dist-info' / 'METADATA',
                   f'Name: nova\nVersion: {version}\nRequires-Dist: pbr\n')
        self.write(site / 'nova' / 'objects' / 'service.py',
                   f'import x\nSERVICE_VERSION = {age}\n')
        for migration in migrations:
            self.write(site / 'nova' / 'db' / 'main' / 'migrations' /
                       'versions' / migration, migration)
        self.write(site / 'nova' / 'db' / 'main' / 'migrations' / 'env.py')
        return venv

    def project(self, project, name='cloud', version='1.0.0',
                migrations=('a_first.py',)):
        """Put a project into a virtualenv."""
        venv = self.layout.venvs / name
        site = venv / 'lib' / 'python3.11' / 'site-packages'
        package = project.replace('-', '_')
        info = site / f'{package}-{version}.dist-info'
        self.write(info / 'METADATA', f'Name: {project}\nVersion: {version}\n')
        self.write(info / 'top_level.txt', f'{package}\n')
        self.write(site / package / 'db' / 'alembic' / 'env.py')
        for migration in migrations:
            self.write(site / package / 'db' / 'alembic' / 'versions' /
                       migration, migration)
        return venv

    def run_nova(self, **of_hosts):
        """Let hosts run the nova of virtualenvs, and the cloud's projects."""
        for host, venv in of_hosts.items():
            layout.link(self.layout.nova(host), venv)
        for host in ('controller', 'compute1', 'compute2'):
            for project in sources.SERVICES:
                if project == 'neutron' or host == 'controller':
                    link = self.layout.code / project / host
                    if not link.is_symlink():
                        layout.link(link, self.layout.venvs / 'cloud')

    def program(self, name, script):
        """Put a shell script on PATH in place of a program."""
        binaries = self.folder / 'bin'
        self.write(binaries / name, f'#!/bin/sh\n{script}\n', 0o755)
        path = os.environ.get('PATH', os.defpath)
        if not path.startswith(f'{binaries}:'):
            os.environ['PATH'] = f'{binaries}:{path}'
