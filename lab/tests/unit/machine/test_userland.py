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

import pathlib
import shutil
import subprocess
import unittest

from lab import errors
from lab.machine import debian
from lab.machine import userland
from lab.tests.unit import base
from lab.topology import Topology

OLD, RECENT = '1:7.2+dfsg-7', '1:11.1.3+ds-1'


class TestCheck(base.TestCase):

    def test_good(self):
        userland.check(Topology())
        userland.check(Topology(storage='ceph'))
        userland.check(Topology(qemu_on='compute2=trixie'))

    def test_unknown_host(self):
        for host in ('compute3', 'controller'):
            message = self.refused(
                userland.check, Topology(qemu_on=f'{host}=trixie'))
            self.assertIn(f"no compute host '{host}', only compute1, compute2",
                          message)
            self.assert_sentence(message)

    def test_ceph(self):
        message = self.refused(userland.check, Topology(
            storage='ceph', qemu_on='compute2=trixie'))
        self.assertIn('--storage ceph', message)
        self.assert_sentence(message)


@unittest.skipUnless(shutil.which('dpkg-deb'), 'no dpkg-deb')
class TestInstall(base.TestCase):
    """Installs packages that dpkg-deb has built."""

    def setUp(self):
        super().setUp()
        self.version = RECENT
        self.downloads = []
        self.log = self.folder / 'install' / 'debian.log'
        self.patch(debian, 'ensure_lists')
        self.patch(debian, 'download', self._download)

    def _download(self, packages, suite, folder, log):
        self.assertEqual(self.log, log)
        self.downloads.append(suite)
        return [self._build(folder, 'libc6', '2.41', 'usr/lib/libc.so.6'),
                self._build(folder, packages[0], self.version,
                            'usr/bin/qemu-system-x86_64')]

    def _build(self, folder, name, version, file):
        tree = folder / f'tree-{name}'
        self.write(tree / 'DEBIAN' / 'control', '\n'.join((
            f'Package: {name}', f'Version: {version}', 'Architecture: all',
            'Maintainer: nobody <nobody@example.org>', 'Description: x', '')))
        self.write(tree / file, 'content')
        package = folder / f'{name}_{version.replace(":", "%3a")}_all.deb'
        subprocess.run(['dpkg-deb', '--build', tree, package], check=True,
                       capture_output=True)
        return package

    def install(self, suite='trixie-backports'):
        return userland.install(self.layout, suite, self.log)

    def test_files_of_all_packages(self):
        root = self.install()
        self.assertEqual(self.layout.userlands / 'trixie-backports', root)
        for path in ('usr/bin/qemu-system-x86_64', 'bin/qemu-system-x86_64',
                     'lib/libc.so.6'):
            self.assertEqual('content', (root / path).read_text(), path)
        # Nothing is left of the download.
        self.assertEqual([root], list(self.layout.userlands.iterdir()))

    def test_once(self):
        self.install()
        self.install()
        self.install('trixie')
        self.assertEqual(['trixie-backports', 'trixie'], self.downloads)

    def test_qemu_that_is_too_old(self):
        self.version = OLD
        message = self.refused(self.install, 'bullseye')
        self.assertIn(f'QEMU of Debian bullseye is {OLD}', message)
        self.assertEqual([], list(self.layout.userlands.iterdir()))

    def test_a_download_that_fails_leaves_nothing(self):
        self.patch(debian, 'download', side_effect=errors.LabError('No.'))
        self.assertEqual('No.', self.refused(self.install))
        self.assertEqual([], list(self.layout.userlands.iterdir()))

    def test_no_suite(self):
        for suite in ('', '../trixie', 'Trixie', 'trixie 1', 'trixie-'):
            message = self.refused(self.install, suite)
            self.assertIn('no suite of Debian', message)
            self.assert_sentence(message)
        self.assertEqual([], self.downloads)


class TestMounts(base.TestCase):

    def test_places_at_the_same_paths(self):
        self.layout.cloud.mkdir(parents=True)
        found = dict(userland.mounts(self.layout, self.folder / 'root'))
        for source in ('/proc', '/dev', '/run', '/etc/libvirt',
                       '/var/lib/libvirt', '/etc/passwd',
                       str(self.layout.cloud)):
            place = found[source]
            self.assertEqual(self.folder / 'root' / source[1:], place)
            self.assertEqual(pathlib.Path(source).is_file(), place.is_file())
            self.assertTrue(place.exists())
        self.assertNotIn('/etc/openvswitch', found)
        # A second host with the same suite, or a second "up".
        self.assertEqual(found, dict(userland.mounts(
            self.layout, self.folder / 'root')))
