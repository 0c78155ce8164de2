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
import json
import os
import platform
import subprocess
import sys

from lab.machine import overlays
from lab.machine import sources
from lab.machine import virtualenvs
from lab.tests.unit import base
from lab.tests.unit.machine import test_sources
from lab.tests.unit.machine.test_sources import MANAGER

#: Instead of pip: "wheel" keeps the files that it was to build, and "install"
#: puts those of its wheels into the overlay. Each writes down how it was
#: called, and fails if there is a file "wheel.fails" or "install.fails", with
#: its content.
PIP = """\
#!/bin/sh
set -e
here={0}
echo "$PBR_VERSION $*" >> $here/calls
for word; do case $word in wheel|install) action=$word;; esac; done
if [ -e $here/$action.fails ]; then cat $here/$action.fails; exit 1; fi
for last; do :; done
if [ $action = wheel ]; then
    name=$(basename "${{last%%==*}}" | tr - _)
    rm -rf $here/built-$name
    [ -d "$last" ] && cp -r "$last" $here/built-$name ||
        cp -r $here/release $here/built-$name
    touch "$here/state/install/wheels/$name-$PBR_VERSION-py3-none-any.whl"
else
    site=$(echo "$(dirname "$2")"/../lib/python3*/site-packages)
    for word; do case $word in *.whl)
        version=$(basename "$word" -py3-none-any.whl)
        name=${{version%-*}} version=${{version#*-}}
        cp -r $here/built-$name/$name "$site"
        info="$site/$name-$version.dist-info"
        mkdir -p "$info"
        cp $here/metadata "$info/METADATA"
        echo "Version: $version" >> "$info/METADATA"
    esac; done
fi
"""
METADATA = 'Name: nova\nRequires-Dist: pbr\n'


class TestInstall(test_sources.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(virtualenvs, 'PYTHON', sys.executable)
        self.write(self.nova() / 'stamp', 'digest of the cloud')
        self.metadata = self.write(self.folder / 'metadata', METADATA)
        for name in ('cloud', 'tempest'):
            self.write(self.layout.venvs / name / 'bin' / 'pip',
                       PIP.format(self.folder), 0o755)
        self.repository = self.folder / 'repository'
        self.patch(sources.layout, 'REPOSITORY', self.repository)
        self.write(self.repository / 'lab' / 'constraints-cloud.txt',
                   'nova==34.0.0\nneutron==29.0.0\nos_vif==5.3.0\n')
        self.project('os-vif', version='5.3.0')
        self.source = sources.Source.parse(str(self.checkout))

    def install(self, **changes):
        return overlays.install(
            self.layout, dataclasses.replace(self.source, **changes))

    def calls(self):
        path = self.folder / 'calls'
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def content(self, venv, path=MANAGER):
        return (virtualenvs.site_packages(venv) / path).read_text()

    def test_pinned_release_is_the_clouds(self):
        for text in ('', sources.pinned()):
            self.assertEqual(self.layout.venvs / 'cloud',
                             self.install(text=text))
        self.assertEqual([], self.calls())

    def test_packages_of_the_cloud_are_seen_behind_its_own(self):
        venv = self.install()
        below = virtualenvs.site_packages(self.layout.venvs / 'cloud')
        self.write(below / 'of_the_cloud.py', 'NAME = "cloud"')
        said = subprocess.run(
            [venv / 'bin' / 'python3', '-c',
             'import nova.compute.manager, of_the_cloud\n'
             'print(nova.compute.manager.__file__, of_the_cloud.NAME)'],
            capture_output=True, text=True, check=True, cwd='/').stdout
        self.assertEqual(f'{virtualenvs.site_packages(venv)}/{MANAGER} '
                         f'cloud\n', said.replace('//', '/'))

    def test_changes_that_are_not_committed_count(self):
        first = self.install()
        self.write(self.checkout / MANAGER, 'VALUE = 2\n')
        self.write(self.checkout / 'nova' / 'new.py', 'NEW = 1\n')
        second = self.install()
        self.assertNotEqual(first, second)
        self.assertEqual('VALUE = 1\n', self.content(first))
        self.assertEqual('VALUE = 2\n', self.content(second))
        self.assertEqual('NEW = 1\n', self.content(second, 'nova/new.py'))
        self.assertIn('with changes', overlays.describe(second))
        self.assertNotIn('with changes', overlays.describe(first))

    def test_same_content_is_built_once(self):
        first = self.install()
        self.assertEqual(2, len(self.calls()))
        self.write(self.checkout / 'nova/tests/test_x.py', 'VALUE = 2\n')
        self.write(self.checkout / 'nova' / 'x.pyc', 'cache')
        commit = self.commit()
        self.assertEqual(first, self.install())
        self.assertEqual([], self.calls())
        # But it is that of another commit now.
        self.assertIn(f'{self.checkout} at {commit[:12]}',
                      overlays.describe(first))

    def test_other_cloud_causes_a_new_one(self):
        self.install()
        self.calls()
        self.write(self.layout.venvs / 'cloud' / 'stamp', 'another digest')
        self.install()
        self.assertEqual(2, len(self.calls()))

    def test_interrupted_one_does_not_count(self):
        self.write(self.folder / 'install.fails', 'Terminated\n')
        self.refused(self.install)
        (self.folder / 'install.fails').unlink()
        self.calls()
        self.install()
        self.assertEqual(2, len(self.calls()))

    def test_release(self):
        self.write(self.folder / 'release' / MANAGER, 'VALUE = 5\n')
        venv = self.install(text='33.0.2')
        self.assertEqual(self.layout.venvs / 'nova-33.0.2', venv)
        self.assertEqual('33.0.2', overlays.describe(venv))
        wheel, install = self.calls()
        self.assertTrue(wheel.endswith(' nova==33.0.2'))
        self.assertIn(' --no-deps', install)
        self.assertEqual(venv, self.install(text='33.0.2'))
        self.assertEqual([], self.calls())

    def test_requirements_that_the_cloud_satisfies(self):
        self.install()
        self.assertTrue(self.calls()[-1].endswith(' --no-deps'))

    def test_older_series(self):
        self.write(self.folder / 'release' / MANAGER, 'VALUE = 5\n')
        for series in ('2025.2', '2026.1'):
            self.write(self.repository / 'lab' / f'constraints-{series}.txt',
                       f'oslo.old=={series}\nos_vif==1\n')
        constraints = self.layout.root / 'install' / 'constraints.txt'
        expected = f'--constraint {constraints}'
        for text, series in (('32.0.0', '2025.2'), ('33.0.2', '2026.1')):
            self.install(text=text)
            self.assertTrue(self.calls()[-1].endswith(expected))
            self.assertEqual(f'oslo.old=={series}\nos_vif==1\n',
                             constraints.read_text())
        for text in ('34.0.1', '31.0.0'):
            self.install(text=text)
            self.assertNotIn('--constraint', self.calls()[-1])
        # A checkout tells its branch.
        for branch, constrained in (('stable/2026.1', True),
                                    ('unmaintained/2025.2', True),
                                    ('stable/2030.1', False),
                                    ('master', False)):
            self.write(self.checkout / '.gitreview',
                       f'[gerrit]\ndefaultbranch={branch}\n')
            self.commit()
            self.install()
            self.assertEqual(constrained, expected in self.calls()[-1])

    def library(self):
        """Make a checkout of a library, and return its source."""
        checkout = self.folder / 'a library'
        self.write(checkout / 'os_vif' / '__init__.py', 'VALUE = 1\n')
        self.write(checkout / 'pyproject.toml',
                   '[project]\nname = "os_vif"\n')
        for arguments in (('init', '-q'), ('add', '.'),
                          ('commit', '-q', '-m', 'x')):
            self.git('-C', str(checkout), *arguments)
        return sources.Source.parse(str(checkout), 'os-vif')

    def test_library(self):
        library = self.library()
        venv = overlays.install(self.layout, library)
        self.assertTrue(venv.name.startswith('os-vif-'))
        self.assertEqual('VALUE = 1\n',
                         self.content(venv, 'os_vif/__init__.py'))
        self.assertEqual(['os-vif'], overlays.projects(venv))
        self.assertIn(f'({library.text} at ',
                      overlays.describe(venv, 'os-vif'))
        # The others are the cloud's.
        self.assertEqual('34.0.0', overlays.describe(venv))
        self.assertEqual(74, overlays.service_version(venv))
        # A library may have types of columns.
        self.assertNotEqual(
            overlays.schema_digest(self.layout.venvs / 'cloud', 'neutron'),
            overlays.schema_digest(venv, 'neutron'))

    def test_service_and_library(self):
        library = self.library()
        venv = overlays.install(self.layout, self.source, library)
        self.calls()
        self.assertEqual(venv, overlays.install(self.layout, library,
                                                self.source))
        self.assertEqual([], self.calls())
        self.assertEqual(['nova', 'os-vif'], overlays.projects(venv))
        self.assertEqual('VALUE = 1\n', self.content(venv))
        self.assertNotIn(venv, (self.install(),
                                overlays.install(self.layout, library)))
        # A named library is not pinned at the same time.
        self.write(self.repository / 'lab' / 'constraints-2026.1.txt',
                   'os_vif==4.3.0\noslo.old==1\n')
        self.write(self.folder / 'release' / MANAGER, 'VALUE = 5\n')
        overlays.install(self.layout, sources.Source('33.0.2'), library)
        self.assertEqual('oslo.old==1\n', (
            self.layout.root / 'install' / 'constraints.txt').read_text())

    def test_service_of_an_older_series(self):
        self.write(self.repository / 'lab' / 'constraints-2026.1.txt',
                   'oslo.old==1\n')
        self.write(self.folder / 'release' / 'neutron' / 'x.py')
        for project, version, is_constrained in (
                ('neutron', '28.0.0', True), ('neutron', '27.0.0', False),
                ('os-vif', '4.3.0', False)):
            self.write(self.folder / 'release' / project.replace('-', '_') /
                       'x.py')
            overlays.install(self.layout, sources.Source(version, '', project))
            self.assertEqual(is_constrained,
                             '--constraint' in self.calls()[-1])

    def test_programs_of_the_cloud_import_the_overlay(self):
        cloud = self.layout.venvs / 'cloud'
        self.write(cloud / 'bin' / 'nova-compute', f'#!{cloud}/bin/python3\n'
                   f'import os_vif; print(os_vif.VALUE)\n', 0o755)
        self.write(cloud / 'bin' / 'compiled', 'binary')
        self.write(cloud / 'bin' / '__pycache__' / 'x.pyc')
        self.write(cloud / 'etc' / 'nova' / 'api-paste.ini', 'paste')
        venv = overlays.install(self.layout, self.library())
        self.assertEqual('1\n', subprocess.run(
            [venv / 'bin' / 'nova-compute'], capture_output=True, text=True,
            check=True).stdout)
        self.assertFalse((venv / 'bin' / 'compiled').exists())
        self.assertEqual('paste', (
            venv / 'etc' / 'nova' / 'api-paste.ini').read_text())

    def test_other_constraints_cause_a_new_one(self):
        self.install()
        self.calls()
        self.write(self.repository / 'lab' / 'constraints-2026.1.txt',
                   'oslo.old==1\n')
        self.install()
        self.assertEqual(2, len(self.calls()))

    def test_other_requirements(self):
        self.metadata.write_text(f'{METADATA}Requires-Dist: oslo.new>=9\n')
        self.install()
        self.assertEqual([True, True, False], [
            '--no-deps' in call for call in self.calls()])
        # pip found all of them then.
        self.write(self.checkout / MANAGER, 'VALUE = 2\n')
        venv = self.install()
        self.assertTrue(self.calls()[-1].endswith(' --no-deps'))
        # And now one had to be installed.
        (virtualenvs.site_packages(venv) / 'x-1.dist-info').mkdir()
        for overlay in self.layout.venvs.glob('nova-*'):
            (virtualenvs.site_packages(overlay) / 'x-1.dist-info').mkdir(
                exist_ok=True)
        self.write(self.checkout / MANAGER, 'VALUE = 3\n')
        self.install()
        self.assertFalse(self.calls()[-1].endswith(' --no-deps'))

    def test_build_fails(self):
        self.write(self.folder / 'wheel.fails',
                   'error: invalid pyproject.toml\n')
        message = self.refused(self.install)
        self.assertIn(f'Building {self.checkout} failed: error: invalid '
                      f'pyproject.toml', message)
        self.assertIn(str(self.layout.root / 'install'), message)
        self.assert_sentence(message.replace('pyproject.', ''))

    def test_release_that_does_not_exist(self):
        self.write(self.folder / 'wheel.fails',
                   'ERROR: No matching distribution found for nova==99.0.0\n')
        message = self.refused(self.install, text='99.0.0')
        self.assertIn('Downloading nova 99.0.0 failed: ERROR: No matching',
                      message)

    def test_release_that_needs_another_python(self):
        self.write(
            self.folder / 'wheel.fails',
            'ERROR: Ignored the following versions that require a different '
            'python version: 98.0.0 Requires-Python >=3.98; 99.0.0 '
            'Requires-Python >=3.99\nERROR: No matching distribution\n')
        message = self.refused(self.install, text='99.0.0')
        self.assertEqual(
            f'nova 99.0.0 needs Python >=3.99 and this machine has '
            f'{platform.python_version()}: use another release.', message)

    def test_syntax_error(self):
        self.write(self.checkout / MANAGER, 'VALUE = 1\ndef f(:\n')
        message = self.refused(self.install)
        self.assertIn(f'{self.checkout} does not compile: {MANAGER}, line 2: '
                      f'SyntaxError: ', message)

    def test_those_that_run_or_were_used_last_are_kept(self):
        running = self.install()
        self.run_nova(compute1=running)
        os.utime(running / 'stamp', (0, 0))
        made = []
        for number in range(overlays.KEPT + 1):
            self.write(self.checkout / MANAGER, f'VALUE = {number + 10}\n')
            made.append(self.install())
            os.utime(made[-1] / 'stamp', (number + 1, number + 1))
        self.write(self.checkout / MANAGER, 'VALUE = 2\n')
        last = self.install()
        self.assertEqual({running, *made[2:], last},
                         set(self.layout.venvs.glob('nova-*')))


class TestFacts(base.TestCase):

    def test_service_version(self):
        self.assertEqual(71, overlays.service_version(self.nova(age=71)))

    def test_migrations(self):
        self.assertEqual(
            {f'db/main/migrations/versions/{name}'
             for name in ('a.py', 'b.py')},
            overlays.migrations(self.nova(migrations=('a.py', 'b.py'))))

    def test_schema(self):
        venv = self.nova()
        first = overlays.schema_digest(venv)
        database = virtualenvs.site_packages(venv) / 'nova' / 'db'
        for path, counts in (('main/api.py', False), ('main/models.py', False),
                             ('types.py', True),
                             ('main/migrations/env.py', True)):
            self.write(database / path, 'x')
            self.assertEqual(counts, overlays.schema_digest(venv) != first)
            first = overlays.schema_digest(venv)

    def test_description_of_the_pinned_one(self):
        venv = self.nova(version='34.0.0')
        self.write(venv / 'stamp', '0123456789abcdef')
        self.assertEqual('34.0.0', overlays.describe(venv))

    def test_description_of_a_release(self):
        venv = self.nova('nova-33.0.2', version='33.0.2')
        self.write(venv / 'stamp', json.dumps({'text': '33.0.2', 'base': ''}))
        self.assertEqual('33.0.2', overlays.describe(venv))
