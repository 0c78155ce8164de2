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

from lab import errors
from lab.machine import debian
from lab.machine import qemu
from lab.tests.unit import base

OLD, RECENT = '1:7.2+dfsg-7+deb12u18', '1:10.0.2+ds-2+deb13u1~bpo12+1'
BACKPORTS = ['-t', 'bookworm-backports']


class TestCase(base.TestCase):
    """A machine with an apt-get that installs the version of apt-cache."""

    def setUp(self):
        super().setUp()
        self.installed = {}
        names = qemu.packages(has_ceph=True)
        self.offered = dict.fromkeys(names, OLD)
        self.in_backports = dict.fromkeys(names, RECENT)
        self.events = []
        self.log = self.folder / 'log'
        self.patch(debian, 'versions', lambda packages: dict(self.installed))
        self.patch(debian, 'is_at_least', self._is_at_least)
        self.patch(debian, 'ensure_lists',
                   lambda *args: self.events.append('lists'))
        self.patch(debian, 'candidate', lambda name: self.offered[name])
        self.patch(debian, 'install_or_upgrade', self._get)
        self.patch(debian, 'backports', self._options)

    def _is_at_least(self, version, oldest):
        self.assertEqual('1:9.0', oldest)
        return version == RECENT

    def _get(self, packages, log, options):
        self.assertEqual(self.log, log)
        self.events.append([*options])
        source = self.in_backports if '-t' in options else self.offered
        self.installed |= {name: source[name] for name in packages
                           if name in source}

    @contextlib.contextmanager
    def _options(self, package):
        self.assertIn(package, qemu.PACKAGES)
        yield BACKPORTS
        self.events.append('end of backports')


class TestIsCurrent(TestCase):

    def test_is_current(self):
        one, other = qemu.PACKAGES
        for installed, expected in (
                ({}, False), ({one: RECENT}, False), ({other: RECENT}, False),
                ({one: OLD, other: OLD}, False),
                ({one: RECENT, other: OLD}, False),
                ({one: RECENT, other: RECENT}, True)):
            self.installed = installed
            self.assertIs(expected, qemu.is_current(), installed)

    def test_ceph_needs_one_more(self):
        self.installed = dict.fromkeys(qemu.PACKAGES, RECENT)
        self.assertIs(False, qemu.is_current(has_ceph=True))
        self.installed['qemu-block-extra'] = RECENT
        self.assertIs(True, qemu.is_current(has_ceph=True))


class TestInstall(TestCase):

    def test_from_backports(self):
        # Also where the old one is installed.
        for installed in ({}, dict(self.offered)):
            self.installed = installed
            self.events.clear()
            qemu.install(self.log)
            # The options are good while they are used.
            self.assertEqual(
                ['lists', [*qemu.NO_REMOVAL, *BACKPORTS], 'end of backports'],
                self.events)
            self.assertTrue(qemu.is_current())

    def test_for_ceph(self):
        qemu.install(self.log)
        self.assertNotIn('qemu-block-extra', self.installed)
        # apt offers the installed version of a package, or the release's.
        self.offered |= self.installed
        qemu.install(self.log, has_ceph=True)
        self.assertEqual(RECENT, self.installed['qemu-block-extra'])
        self.assertTrue(qemu.is_current(has_ceph=True))

    def test_release_that_has_a_recent_one(self):
        self.offered = dict.fromkeys(qemu.PACKAGES, RECENT)
        self.installed = dict.fromkeys(qemu.PACKAGES, OLD)
        qemu.install(self.log)
        self.assertEqual(['lists', [*qemu.NO_REMOVAL]], self.events)

    def test_one_package_was_taken_from_backports_before(self):
        # apt offers installed versions, too.
        self.offered[qemu.PACKAGES[0]] = RECENT
        self.installed = {qemu.PACKAGES[0]: RECENT}
        qemu.install(self.log)
        self.assertIn('-t', self.events[1])

    def test_backports_have_none(self):
        self.in_backports = self.offered
        message = self.refused(qemu.install, self.log)
        for part in (*qemu.PACKAGES[:1], OLD, qemu.OLDEST, str(self.log)):
            self.assertIn(part, message)
        self.assert_sentence(message)

    def test_package_that_is_not_there_afterwards(self):
        del self.in_backports['qemu-utils']
        message = self.refused(qemu.install, self.log)
        self.assertIn('qemu-utils is not installed', message)
        self.assert_sentence(message)

    def test_apt_fails(self):
        self.patch(debian, 'install_or_upgrade',
                   side_effect=errors.LabError('No.'))
        self.assertEqual('No.', self.refused(qemu.install, self.log))


class TestTryKvm(base.TestCase):

    def setUp(self):
        super().setUp()
        self.image = self.write(self.folder / 'guest.qcow2')

    def _qemu(self, script):
        self.program('qemu-system-x86_64', script)

    def test_boots(self):
        self._qemu(f'echo "$@" > {self.folder}/arguments; echo booting; '
                   f"echo '{qemu.BOOTED}'; exec sleep 60")
        qemu.try_kvm(self.image)
        given = (self.folder / 'arguments').read_text()
        self.assertIn('-accel kvm', given)
        self.assertIn(f'file={self.image},', given)
        # The image is not written to.
        self.assertIn('-snapshot', given)

    def test_qemu_ends(self):
        self._qemu('echo first; echo qemu: error: no MSR >&2; exit 1')
        message = self.refused(qemu.try_kvm, self.image)
        self.assert_sentence(message)
        self.assertIn('(qemu: error: no MSR)', message)
        self.assertIn('leave out --kvm', message)

    def test_guest_hangs(self):
        self.patch(qemu, 'BOOT_SECONDS', 0.2)
        self._qemu('echo KVM internal error; exec sleep 60')
        self.assertIn('(KVM internal error)',
                      self.refused(qemu.try_kvm, self.image))

    def test_guest_says_nothing(self):
        self._qemu('exit 0')
        self.assertIn('it prints nothing',
                      self.refused(qemu.try_kvm, self.image))
