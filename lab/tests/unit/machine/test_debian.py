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
import pathlib
import platform
import textwrap

from lab.machine import debian
from lab.tests.unit import base

#: A dpkg-query and an apt-get that keep the installed packages in a file.
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
        # mount(8) is not run for real: a script notes its arguments.
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


class TestInstallOrUpgrade(TestCase):

    def test_upgrades_what_is_installed(self):
        self._installed('here 1.0 installed\n')
        debian.install_or_upgrade(['here', 'gone'], self.log)
        [call] = self._calls()
        self.assertTrue(call.endswith(
            'install --no-install-recommends here gone'), call)

    def test_options_are_for_the_lists_as_well(self):
        debian.install_or_upgrade(['new-package'], self.log,
                                  ['-t', 'bookworm-backports'])
        calls = self._calls()
        self.assertEqual(3, len(calls))
        for call in calls:
            self.assertIn(' -t bookworm-backports ', call)

    def test_error_names_the_package(self):
        message = self.refused(debian.install_or_upgrade,
                               ['no-such-package'], self.log)
        self.assertIn('no-such-package', message)
        self.assert_sentence(message)


class TestAptCache(TestCase):

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


class TestEnsureLists(TestCase):

    def setUp(self):
        super().setUp()
        # It ends well whether it knows the package or not.
        self.program('apt-cache', f'[ ! -e {self.folder}/updated ] || '
                     'echo "kernel | 6.1 | https://x y/main amd64 Packages"')

    def test_lists_are_got_where_they_are_missing(self):
        debian.ensure_lists('linux-image', self.log)
        debian.ensure_lists('linux-image', self.log)
        self.assertEqual(['update'], [
            word for call in self._calls() for word in call.split()
            if word in ('install', 'update')])

    def test_no_connection(self):
        self.write(self.folder / 'offline')
        self.assertIn('Could not connect', self.refused(
            debian.ensure_lists, 'linux-image', self.log))


PACKAGE = 'qemu-utils'


class BackportsTestCase(base.TestCase):
    """A Debian 12 whose apt has the sources that a test gives it."""

    def setUp(self):
        super().setUp()
        self.patch(debian, 'SOURCES', self.folder / 'apt/sources.list')
        self.patch(debian, 'PARTS', self.folder / 'apt/sources.list.d')
        self.places = {'https://deb.example/debian bookworm/main'}
        self.patch(debian, 'places', lambda package: (
            self.places if package == PACKAGE else set()))
        self.release = {'VERSION_CODENAME': 'bookworm'}
        self.patch(platform, 'freedesktop_os_release',
                   lambda: self.release)

    def main(self, text):
        self.write(debian.SOURCES, textwrap.dedent(text))

    def part(self, name, text):
        self.write(debian.PARTS / name, textwrap.dedent(text))

    def added(self):
        """Kind and text of the entry that is added."""
        with debian.backports(PACKAGE) as options:
            [file] = self.parts(options).glob('lab-*')
            return file.suffix, file.read_text().split()

    def parts(self, options):
        """The folder that apt-get is told to take sources from."""
        self.assertEqual(['-t', 'bookworm-backports', '-o'], options[:3])
        name, _, folder = options[3].partition('=')
        self.assertEqual('Dir::Etc::sourceparts', name)
        return pathlib.Path(folder)


class TestBackports(BackportsTestCase):

    def setUp(self):
        super().setUp()
        self.part('debian.list',
                  'deb https://deb.example/debian bookworm main')

    def test_machine_is_left_as_it_is(self):
        self.part('other.sources', 'Types: deb')
        before = {path: path.read_text() for path
                  in (self.folder / 'apt').rglob('*') if path.is_file()}
        with debian.backports(PACKAGE) as options:
            name, _, lists = options[5].partition('=')
            self.assertEqual('Dir::State::lists', name)
            # apt stores the lists there.
            self.write(pathlib.Path(lists) / 'deb.example_main_Packages')
            folder = self.parts(options).parent
            # As another user.
            self.assertEqual(0o755, folder.stat().st_mode & 0o777)
            self.assertFalse(folder.is_relative_to(self.folder))
        self.assertEqual(before, {
            path: path.read_text() for path
            in (self.folder / 'apt').rglob('*') if path.is_file()})
        self.assertFalse(folder.exists())

    def test_sources_of_the_machine_are_there_as_well(self):
        self.part('other.sources', 'Types: deb')
        self.part('old.list.save', 'deb https://old.example/ bookworm main')
        with debian.backports(PACKAGE) as options:
            folder = self.parts(options)
            self.assertEqual(
                {'debian.list', 'other.sources', 'lab-backports.list'},
                {path.name for path in folder.iterdir()})
            for name in ('debian.list', 'other.sources'):
                self.assertEqual((debian.PARTS / name).read_text(),
                                 (folder / name).read_text())

    def test_main_file_is_read_by_apt_anyhow(self):
        (debian.PARTS / 'debian.list').unlink()
        self.main('deb https://deb.example/debian bookworm main\n')
        with debian.backports(PACKAGE) as options:
            self.assertEqual(
                ['lab-backports.list'],
                [path.name for path in self.parts(options).iterdir()])

    def test_backports_that_are_configured(self):
        for text in ('deb https://deb.example/debian bookworm-backports main',
                     'deb [signed-by=/k] cdrom://x bookworm-backports main'):
            self.main(text)
            with debian.backports(PACKAGE) as options:
                self.assertEqual(['-t', 'bookworm-backports'], options)

    def test_backports_that_are_turned_off(self):
        self.main('# deb https://deb.example/debian bookworm-backports main\n'
                  'deb-src https://deb.example/debian bookworm-backports main')
        self.part('off.sources', """\
            Types: deb
            URIs: https://deb.example/debian
            Suites: bookworm-backports
            Components: main
            Enabled: no
            """)
        self.assertEqual('.list', self.added()[0])

    def test_backports_of_another_release(self):
        self.main('deb https://deb.example/debian bullseye-backports main')
        self.assertIn('bookworm-backports', self.added()[1])

    def test_nothing_is_understood(self):
        self.places = {'cdrom:[Debian] bookworm/main'}
        message = self.refused(self.added)
        for part in (PACKAGE, 'bookworm-backports', str(debian.SOURCES),
                     str(debian.PARTS)):
            self.assertIn(part, message)
        self.assert_sentence(message)

    def test_package_lists_cannot_be_had(self):
        self.places = set()
        message = self.refused(self.added)
        self.assertIn(PACKAGE, message)
        self.assertIn('apt-get update', message)
        self.assert_sentence(message)

    def test_no_sources_at_all(self):
        (debian.PARTS / 'debian.list').unlink()
        debian.PARTS.rmdir()
        self.assert_sentence(self.refused(self.added))

    def test_release_without_a_name(self):
        self.release = {}
        with debian.backports(PACKAGE) as options:
            self.assertEqual(['-t', 'stable-backports'], options[:2])


class TestLines(BackportsTestCase):

    def test_options_and_components_are_kept(self):
        self.main("""\
            # The archive.
              deb  [ arch=amd64 by-hash=no ]  https://deb.example/debian/ \
            bookworm  main  contrib # ours
            """)
        self.assertEqual(
            ('.list', ['deb', '[', 'arch=amd64', 'by-hash=no', ']',
                       'https://deb.example/debian/', 'bookworm-backports',
                       'main', 'contrib']), self.added())

    def test_the_one_that_offers_the_package(self):
        self.main("""\
            deb
            deb cdrom:[Debian GNU/Linux 12.1.0 _Bookworm_]/ bookworm main
            deb file:/flat ./
            deb-src https://deb.example/debian bookworm main
            deb https://deb.example/debian bookworm contrib
            deb https://tools.example/apt bookworm main
            deb https://deb.example/debian-security bookworm-security main
            deb https://deb.example/debian bookworm-updates main
            deb https://deb.example/debian bookworm main non-free
            """)
        self.places |= {
            'https://deb.example/debian-security bookworm-security/main',
            'https://deb.example/debian bookworm-updates/main'}
        self.assertEqual('non-free', self.added()[1][-1])

    def test_release_that_is_not_called_by_its_name(self):
        self.main('deb https://deb.example/debian oldstable main')
        self.places = {'https://deb.example/debian oldstable/main'}
        self.assertEqual(
            ['deb', 'https://deb.example/debian', 'bookworm-backports',
             'main'], self.added()[1])


class TestFields(BackportsTestCase):

    def test_all_other_fields_are_kept(self):
        self.part('debian.sources', """\
            # The archive.
            Types: deb deb-src
            URIs: https://mirror.example/debian https://deb.example/debian/
            Suites:
             bookworm
            # and
             bookworm-updates
            Components: main contrib
            Signed-By:
             -----BEGIN PGP PUBLIC KEY BLOCK-----
             .
             mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS
             -----END PGP PUBLIC KEY BLOCK-----
            """)
        with debian.backports(PACKAGE) as options:
            self.assertEqual(textwrap.dedent("""\
                types: deb
                suites: bookworm-backports
                uris: https://mirror.example/debian https://deb.example/debian/
                components: main contrib
                signed-by:
                 -----BEGIN PGP PUBLIC KEY BLOCK-----
                 .
                 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS
                 -----END PGP PUBLIC KEY BLOCK-----
                """), (self.parts(options) / 'lab-backports.sources'
                       ).read_text())

    def test_the_one_that_offers_the_package(self):
        entry = """
            Types: {}
            URIs: https://deb.example/debian
            Suites: {}
            Components: {}
            Enabled: {}
            X-Mark: {}
            """
        self.part('debian.sources', ''.join(
            entry.format(*values, number) for number, values in enumerate((
                ('deb-src', 'bookworm', 'main', 'yes'),
                ('deb', 'bookworm', 'main', 'No'),
                ('deb', 'bookworm', 'contrib', 'yes'),
                ('deb', 'trixie', 'main', 'yes'),
                ('deb', 'bookworm-updates bookworm', 'main', 'yes'),
                ('deb', 'bookworm', 'main', 'yes')))))
        kind, words = self.added()
        self.assertEqual('.sources', kind)
        self.assertEqual(['x-mark:', '4'], words[-2:])

    def test_backports_that_are_configured(self):
        self.part('debian.sources', """\
            types: deb
            uris: mirror+file:/etc/apt/mirrors/debian.list
            suites: bookworm bookworm-updates bookworm-backports
            components: main
            """)
        with debian.backports(PACKAGE) as options:
            self.assertEqual(['-t', 'bookworm-backports'], options)

    def test_damaged_file(self):
        self.write(debian.PARTS / 'debian.sources').write_bytes(
            b'\xff\xfe: \n\n types: deb\n\nTypes\n\nTypes: deb\n')
        self.assert_sentence(self.refused(self.added))


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
        return debian.find_reason(self.write(self.folder / 'log', text))

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

    def test_conflict_of_pip(self):
        conflict = ('ERROR: Cannot install neutron==28.0.0 and os-vif==5.1.1 '
                    'because these package versions have conflicting '
                    'dependencies')
        self.assertEqual(conflict, self._reason(
            f'{conflict}.\n\nThe conflict is caused by:\n    neutron\n'
            f'ERROR: ResolutionImpossible: for help visit https://pip\n'))

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
                         debian.find_reason(self.folder / 'missing'))

    def test_bytes_that_are_no_text(self):
        log = self.folder / 'log'
        log.write_bytes(b'\xff\xfe\nE: no\n')
        self.assertEqual('E: no', debian.find_reason(log))

    def test_from_an_offset(self):
        log = self.write(self.folder / 'log', 'E: \u00fcber\nE: new\n')
        self.assertEqual('E: new', debian.find_reason(
            log, len('E: \u00fcber\n'.encode())))
        self.assertEqual('it printed nothing', debian.find_reason(
            log, log.stat().st_size))


class TestRun(base.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.folder / 'install' / 'x.log'

    def _run(self, script, **environment):
        debian.run_installer(['sh', '-c', script], self.log, 'Trying',
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


class TestDownload(BackportsTestCase):

    def setUp(self):
        super().setUp()
        self.target = self.folder / 'target'
        self.target.mkdir()
        self.calls = []
        self.patch(debian, '_apt_get', self._apt_get)

    def _apt_get(self, arguments, log, options):
        self.calls.append((arguments[0], dict(
            each.removeprefix('--option=').split('=', 1)
            for each in options if each.startswith('--option='))))
        self.status = pathlib.Path(
            self.calls[-1][1]['Dir::State::status']).read_text()
        if arguments[0] == 'install':
            self.assertEqual(['-t', 'trixie-backports'], options[:2])
            self.assertIn('--download-only', arguments)
            self.assertIn('--no-install-recommends', arguments)
            self.assertEqual([PACKAGE, 'other'], arguments[-2:])
            for name in ('b_1_all.deb', 'a_1_all.deb', 'lock'):
                self.write(self.target / 'cache' / 'archives' / name)

    def download(self):
        return [path.name for path in debian.download(
            [PACKAGE, 'other'], 'trixie-backports', self.target,
            self.folder / 'log')]

    def test_packages_without_those_of_the_machine(self):
        self.part('debian.list',
                  'deb [signed-by=/k] https://deb.example/debian bookworm '
                  'main')
        self.assertEqual(['a_1_all.deb', 'b_1_all.deb'], self.download())
        self.assertEqual(['update', 'install'],
                         [name for name, _ in self.calls])
        self.assertEqual('', self.status)
        for _, options in self.calls:
            for name in ('Dir::Etc::sourcelist', 'Dir::State', 'Dir::Cache'):
                self.assertTrue(options[name].startswith(str(self.target)))
            self.assertEqual('-', options['Dir::Etc::sourceparts'])
        text = pathlib.Path(options['Dir::Etc::sourcelist']).read_text()
        self.assertEqual(
            ['deb [signed-by=/k] https://deb.example/debian trixie main',
             'deb [signed-by=/k] https://deb.example/debian trixie-backports '
             'main'], [line for line in text.splitlines() if line])

    def test_fields(self):
        self.part('debian.sources', """\
            Types: deb
            URIs: https://deb.example/debian
            Suites: bookworm bookworm-updates
            Components: main
            Signed-By: /k
            """)
        self.download()
        text = (self.target / 'sources.sources').read_text()
        first, second = text.strip().split('\n\n')
        for paragraph, suite in ((first, 'trixie'),
                                 (second, 'trixie-backports')):
            self.assertIn(f'suites: {suite}\n', paragraph)
            self.assertIn('signed-by: /k', paragraph)

    def test_unknown_origin(self):
        self.assertIn('add trixie-backports to the sources there',
                      self.refused(self.download))
