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

import os
import pathlib

from lab import layout
from lab.machine import virtualenvs
from lab.tests.unit import base

#: Instead of python3: "-m venv FOLDER" makes a folder with a pip that writes
#: down how it was called, and fails where there is a file "fail".
PYTHON = """\
[ "$1 $2" = '-m venv' ] || exit 9
[ "$3" != --without-pip ] || shift
mkdir -p "$3/bin" "$3/lib/python3.11/site-packages"
cat > "$3/bin/pip" <<'PIP'
#!/bin/sh
echo "$PBR_VERSION|$@" >> {0}/calls
[ ! -e {0}/fail ] || {{ echo 'ERROR: No matching distribution'; exit 1; }}
PIP
chmod +x "$3/bin/pip"
"""

SETUP = '[metadata]\nversion = 4.5.6\n'


class TestMake(base.TestCase):

    def setUp(self):
        super().setUp()
        self.program('python3', PYTHON.format(self.folder))
        self.patch(virtualenvs, 'PYTHON', str(self.folder / 'bin/python3'))
        self.lab = self.folder / 'repository' / 'lab'
        self.patch(virtualenvs, 'LAB', self.lab)
        self.patch(virtualenvs.layout, 'REPOSITORY', self.lab.parent)
        for name in ('cloud', 'tempest', 'heat'):
            self.write(self.lab / f'requirements-{name}.txt', 'nova\n')
            self.write(self.lab / f'constraints-{name}.txt', 'nova==1\n')
        self.write(self.lab.parent / 'setup.cfg', SETUP)
        self.write(self.lab.parent / 'requirements.txt', 'a')
        self.debian = self.folder / 'dist-packages'
        for name in ('libvirt.py', 'libvirtaio.py', 'libvirtmod.cpython.so',
                     'rados.cpython.so', 'rbd.cpython.so', 'rgw.cpython.so',
                     'README'):
            self.write(self.debian / name)
        self.patch(virtualenvs, 'DEBIAN_MODULES', self.debian)

    def _calls(self):
        path = self.folder / 'calls'
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def _make(self, name='cloud'):
        """Make it, and tell whether anything had to be done."""
        virtualenvs.make(self.layout, name)
        self.assertTrue(virtualenvs.is_current(self.layout, name))
        return bool(self._calls())

    def test_versions_are_pinned(self):
        virtualenvs.make(self.layout, 'cloud')
        [call] = self._calls()
        self.assertIn(f'--constraint {self.lab}/constraints-cloud.txt '
                      f'--requirement {self.lab}/requirements-cloud.txt', call)

    def test_nothing_outside_the_state_folder_is_written(self):
        virtualenvs.make(self.layout, 'cloud')
        self.assertIn(f'--cache-dir {self.layout.root}/', self._calls()[0])

    def test_current_one_is_left(self):
        self.assertFalse(virtualenvs.is_current(self.layout, 'cloud'))
        self.assertTrue(self._make())
        mine = self.write(self.layout.venvs / 'cloud' / 'mine')
        self.assertFalse(self._make())
        self.assertTrue(mine.exists())

    def test_changed_files_cause_a_new_one(self):
        self.assertTrue(self._make())
        for name in ('requirements-cloud.txt', 'constraints-cloud.txt'):
            left = self.write(self.layout.venvs / 'cloud' / 'left')
            self.write(self.lab / name, 'nova==2\n')
            self.assertFalse(virtualenvs.is_current(self.layout, 'cloud'))
            self.assertTrue(self._make())
            self.assertFalse(left.exists())

    def test_changed_metadata_of_the_plugin_causes_a_new_one(self):
        self._make('tempest')
        for name in ('requirements.txt', 'setup.cfg'):
            self.write(self.lab.parent / name, f'{SETUP}{name} = x\n')
            self.assertFalse(virtualenvs.is_current(self.layout, 'tempest'))
            self.assertTrue(self._make('tempest'))
        # The cloud holds nothing of it.
        self._make('cloud')
        self.write(self.lab.parent / 'requirements.txt', 'c')
        self.assertTrue(virtualenvs.is_current(self.layout, 'cloud'))

    def test_files_of_the_other_one_do_not(self):
        self._make()
        self.write(self.lab / 'constraints-tempest.txt', 'x==2\n')
        self.assertFalse(self._make())

    def test_other_python_causes_a_new_one(self):
        self._make()
        self.patch(virtualenvs.sys, 'version', '3.99')
        self.assertTrue(self._make())

    def test_other_places_cause_a_new_one(self):
        # Scripts hold the path of their interpreter, and an editable
        # installation that of the checkout.
        self._make()
        moved = self.lab.parent.rename(self.folder / 'moved')
        self.patch(virtualenvs, 'LAB', moved / 'lab')
        self.patch(virtualenvs.layout, 'REPOSITORY', moved)
        self.assertTrue(self._make())
        self.layout.root.rename(self.folder / 'elsewhere')
        self.layout = layout.Layout(self.folder / 'elsewhere')
        self.assertTrue(self._make())

    def test_whole_and_current(self):
        self.assertFalse(virtualenvs.is_whole(self.layout, 'cloud'))
        self._make()
        self.write(self.lab / 'constraints-cloud.txt', 'nova==2\n')
        self.assertTrue(virtualenvs.is_whole(self.layout, 'cloud'))
        self.assertFalse(virtualenvs.is_current(self.layout, 'cloud'))

    def test_plugin_is_installed_from_the_checkout(self):
        virtualenvs.make(self.layout, 'tempest')
        _, plugin = self._calls()
        version, _, arguments = plugin.partition('|')
        self.assertTrue(version)
        self.assertIn('--no-deps', arguments)
        self.assertTrue(arguments.endswith(
            f'--editable {self.lab.parent}'), arguments)

    def test_entry_points_cause_a_new_one(self):
        self._make('tempest')
        self._make('cloud')
        self.write(self.lab.parent / 'setup.cfg', f'{SETUP}name = x\n')
        self.assertTrue(self._make('tempest'))
        self.assertFalse(self._make('cloud'))

    def test_failure(self):
        self.write(self.folder / 'fail')
        message = self.refused(virtualenvs.make, self.layout, 'cloud')
        self.assertIn('No matching distribution', message)
        self.assertIn('cloud virtualenv', message)
        self.assert_sentence(message)
        self.assertFalse(virtualenvs.is_current(self.layout, 'cloud'))

    def test_interrupted_making_is_done_anew(self):
        for when in ('_link_debian_modules', '_digest'):
            with self.subTest(when):
                real = getattr(virtualenvs, when)
                self.patch(virtualenvs, when, side_effect=KeyboardInterrupt)
                with self.assertRaises(KeyboardInterrupt):
                    virtualenvs.make(self.layout, 'cloud')
                self.patch(virtualenvs, when, real)
                left = self.write(self.layout.venvs / 'cloud' / 'left')
                self.assertFalse(
                    virtualenvs.is_current(self.layout, 'cloud'))
                self.assertTrue(self._make())
                self.assertFalse(left.exists())
                self.write(self.lab / 'constraints-cloud.txt', when)

    def test_modules_of_debian(self):
        self._make('cloud')
        site = (self.layout.venvs / 'cloud' / 'lib' / 'python3.11'
                / 'site-packages')
        self.assertEqual(
            {'libvirt.py', 'libvirtaio.py', 'libvirtmod.cpython.so'},
            {path.name for path in site.iterdir()})
        for path in site.iterdir():
            self.assertEqual(self.debian / path.name,
                             pathlib.Path(os.readlink(path)))

    def test_modules_of_ceph(self):
        self._make('cloud')
        site = (self.layout.venvs / 'cloud' / 'lib' / 'python3.11'
                / 'site-packages')
        before = set(site.iterdir())
        for _ in range(2):
            virtualenvs.link_ceph(self.layout)
            self.assertEqual(
                {site / 'rados.cpython.so', site / 'rbd.cpython.so'},
                set(site.iterdir()) - before)
            for path in site.iterdir():
                self.assertTrue(path.exists())
        # It is current none the less.
        self.assertFalse(self._make('cloud'))

    def test_overlay(self):
        virtualenvs.make(self.layout, 'cloud')
        self._calls()
        virtualenvs.make(self.layout, 'heat')
        # The one pip of the cloud, which counts the cloud's packages as
        # installed.
        [call] = self._calls()
        self.assertIn(f'--python {self.layout.venvs}/heat/bin/python3 ', call)
        self.assertIn(f'--constraint {self.lab}/constraints-heat.txt '
                      f'--requirement {self.lab}/requirements-heat.txt', call)
        cloud, heat = (virtualenvs.site_packages(self.layout.venvs / name)
                       for name in ('cloud', 'heat'))
        self.assertIn(str(cloud), (heat / 'cloud.pth').read_text())

    def test_changed_files_of_the_cloud_cause_a_new_overlay(self):
        for name in ('cloud', 'heat'):
            virtualenvs.make(self.layout, name)
        self.write(self.lab / 'constraints-heat.txt', 'heat==2\n')
        self.assertTrue(virtualenvs.is_current(self.layout, 'cloud'))
        self.assertFalse(virtualenvs.is_current(self.layout, 'heat'))
        self._make('heat')
        self.write(self.lab / 'constraints-cloud.txt', 'nova==2\n')
        self.assertFalse(virtualenvs.is_current(self.layout, 'heat'))

    def test_tempest_sees_none_of_them(self):
        self._make('tempest')
        site = (self.layout.venvs / 'tempest' / 'lib' / 'python3.11'
                / 'site-packages')
        self.assertEqual([], list(site.iterdir()))


class TestFiles(base.TestCase):

    def test_every_requirement_of_a_virtualenv_is_pinned(self):
        # Else two installations of one checkout differ.
        for name in ('cloud', 'tempest', 'heat'):
            requirements = virtualenvs._requirements(name)
            constraints = virtualenvs.constraints(name)
            pinned = {
                line.partition('==')[0].strip().lower().replace('_', '-')
                for line in constraints.read_text().splitlines()
                if '==' in line}
            wanted = [
                line.strip().lower() for line in
                requirements.read_text().splitlines()
                if line.strip() and line[0] not in '#-']
            self.assertTrue(wanted)
            for requirement in wanted:
                self.assertIn(requirement.replace('_', '-'), pinned, name)
