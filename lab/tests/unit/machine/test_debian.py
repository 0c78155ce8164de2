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

from lab.machine import debian
from lab.machine import qemu
from lab.tests.unit import base

#: A dpkg-query and an apt-get that know what is installed, in files.
DPKG_QUERY = """\
shift 3
for package; do
    if grep -q "^$package[: ]" {0}/installed; then
        grep "^$package[: ]" {0}/installed
    else
        echo "dpkg-query: no packages found matching $package" >&2
        status=1
    fi
done
exit ${{status:-0}}
"""
APT_GET = """\
echo "$@" >> {0}/calls
echo "$DEBIAN_FRONTEND" >> {0}/frontends
while [ "$1" != install ] && [ "$1" != update ]; do shift; done
if [ "$1" = update ]; then
    [ ! -e {0}/offline ] || {{ echo 'E: Could not connect to deb'; exit 100; }}
    touch {0}/updated
    exit 0
fi
shift
for package; do
    case $package in
    -*) continue;;
    no-such-*) echo "E: Unable to locate package $package"; exit 100;;
    new-*) [ -e {0}/updated ] || {{ echo "E: Failed to fetch"; exit 100; }};;
    lost-*) continue;;
    esac
    echo "$package 1.0 installed" >> {0}/installed
done
"""
#: Runs the shell command line of unshare(1) without any namespace.
UNSHARE = 'while [ "$1" != sh ]; do shift; done; exec "$@"'


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch(debian, 'SERVICE_STARTERS', ())
        self.program('dpkg-query', DPKG_QUERY.format(self.folder))
        self.program('apt-get', APT_GET.format(self.folder))
        self.program('unshare', UNSHARE)
        self.log = self.folder / 'log'
        self._installed('')

    def _installed(self, text):
        self.write(self.folder / 'installed', text)

    def _calls(self):
        path = self.folder / 'calls'
        return path.read_text().splitlines() if path.exists() else []


class TestMissing(TestCase):

    def test_states(self):
        self._installed('here 1.0 installed\n'
                        'both:amd64 1.0 installed\nboth:i386  not-installed\n'
                        'gone  not-installed\n'
                        'left 1.0 config-files\n'
                        'half 1.0 half-installed\n')
        self.assertEqual(
            ['gone', 'left', 'half', 'unknown'],
            debian.missing(['gone', 'here', 'left', 'both', 'half',
                            'unknown']))

    def test_all_there(self):
        self._installed('here 1.0 installed\n')
        self.assertEqual([], debian.missing(iter(['here'])))


class TestVersions(TestCase):

    def test_versions(self):
        self._installed('here 1:2.0-1 installed\ngone  not-installed\n'
                        'both:amd64 3 installed\nleft 4 config-files\n')
        self.assertEqual({'here': '1:2.0-1', 'both': '3'}, debian.versions(
            ['here', 'gone', 'both', 'left', 'unknown']))

    def test_comparison_is_that_of_dpkg(self):
        self.program('dpkg', f'echo "$@" > {self.folder}/compared\n'
                     '[ "$2" != old ]')
        self.assertTrue(debian.is_at_least('1:10.0', '1:9.0'))
        self.assertEqual('--compare-versions 1:10.0 ge 1:9.0\n',
                         (self.folder / 'compared').read_text())
        self.assertFalse(debian.is_at_least('old', '1:9.0'))


class TestInstall(TestCase):

    def test_nothing_to_do(self):
        self._installed('here 1.0 installed\n')
        debian.install(['here'], self.log)
        self.assertEqual([], self._calls())

    def test_what_is_missing(self):
        self._installed('here 1.0 installed\n')
        debian.install(['here', 'gone'], self.log)
        self.assertEqual([], debian.missing(['here', 'gone']))
        [call] = self._calls()
        self.assertIn('install --no-install-recommends gone', call)
        self.assertIn('--yes', call)
        self.assertNotIn('here', call)

    def test_no_questions(self):
        debian.install(['gone'], self.log)
        self.assertEqual('noninteractive\n',
                         (self.folder / 'frontends').read_text())

    def test_lists_are_renewed_once(self):
        debian.install(['new-package'], self.log)
        self.assertEqual(['install', 'update', 'install'], [
            word for call in self._calls() for word in call.split()
            if word in ('install', 'update')])

    def test_error_names_the_package(self):
        message = self.refused(debian.install, ['no-such-package'], self.log)
        self.assertIn('no-such-package', message)
        self.assertIn(str(self.log), message)
        self.assert_sentence(message)

    def test_no_connection(self):
        self.write(self.folder / 'offline')
        message = self.refused(debian.install, ['new-package'], self.log)
        self.assertIn('Could not connect', message)

    def test_package_that_is_not_there_afterwards(self):
        message = self.refused(debian.install, ['lost-package'], self.log)
        self.assertIn('lost-package is not installed', message)
        self.assert_sentence(message)

    def test_no_service_is_started(self):
        # mount(8) is not run for real: it writes down what it was told.
        present = self.write(self.folder / 'invoke-rc.d')
        self.patch(debian, 'SERVICE_STARTERS',
                   (str(present), str(self.folder / 'absent')))
        self.program('mount', f'echo "$@" > {self.folder}/mounts')
        self.program('unshare', f'echo "$@" > {self.folder}/unshare\n'
                     + UNSHARE)
        debian.install(['gone'], self.log)
        self.assertEqual(f'--bind /bin/true {present}\n',
                         (self.folder / 'mounts').read_text())
        # In a mount namespace of its own, from which nothing gets out.
        self.assertTrue((self.folder / 'unshare').read_text().startswith(
            '--mount --propagation private '))


class TestGet(TestCase):

    def test_upgrades_what_is_installed(self):
        self._installed('here 1.0 installed\n')
        debian.get(['here', 'gone'], self.log)
        [call] = self._calls()
        self.assertTrue(call.endswith(
            'install --no-install-recommends here gone'), call)

    def test_options_are_for_the_lists_as_well(self):
        debian.get(['new-package'], self.log, ['-t', 'bookworm-backports'])
        calls = self._calls()
        self.assertEqual(3, len(calls))
        for call in calls:
            self.assertIn(' -t bookworm-backports ', call)

    def test_error_names_the_package(self):
        message = self.refused(debian.get, ['no-such-package'], self.log)
        self.assertIn('no-such-package', message)
        self.assert_sentence(message)


class TestAsk(TestCase):

    def test_places(self):
        self.program('apt-cache', """\
echo "$@" > {0}/asked
cat << END
 kernel | 6.2-1 | https://x/debian bookworm-updates/main amd64 Packages
 kernel | 6.1-2 | https://x/debian bookworm/main amd64 Packages
 kernel | 6.1-2 | https://x/debian bookworm/main i386 Packages
END
""".format(self.folder))
        self.assertEqual({'https://x/debian bookworm/main',
                          'https://x/debian bookworm-updates/main'},
                         debian.places('kernel'))
        self.assertEqual('madison kernel\n',
                         (self.folder / 'asked').read_text())

    def test_candidate(self):
        os.environ['LC_ALL'] = 'de_DE.UTF-8'
        self.program('apt-cache', """\
[ "$1 $2" = 'policy kernel' ] || exit 0
word=Candidate
[ $LC_ALL = C.UTF-8 ] || word=Kandidat
cat << END
kernel:
  Installed: (none)
  $word: 1:6.1-2
  Version table:
     1:6.1-2 500
END
""")
        self.assertEqual('1:6.1-2', debian.candidate('kernel'))
        self.assertEqual('', debian.candidate('other'))


class TestKnow(TestCase):

    def setUp(self):
        super().setUp()
        # It ends well whether it knows the package or not.
        self.program('apt-cache', f'[ ! -e {self.folder}/updated ] || '
                     'echo "kernel | 6.1 | https://x y/main amd64 Packages"')

    def test_lists_are_got_where_they_are_missing(self):
        debian.know('linux-image', self.log)
        debian.know('linux-image', self.log)
        self.assertEqual(['update'], [
            word for call in self._calls() for word in call.split()
            if word in ('install', 'update')])

    def test_no_connection(self):
        self.write(self.folder / 'offline')
        self.assertIn('Could not connect', self.refused(
            debian.know, 'linux-image', self.log))


class TestPackages(base.TestCase):

    def test_each_once(self):
        self.assertEqual(len(debian.PACKAGES), len(set(debian.PACKAGES)))

    def test_qemu_is_left_to_its_own_module(self):
        self.assertEqual(set(), {*qemu.PACKAGES} & {*debian.PACKAGES})
