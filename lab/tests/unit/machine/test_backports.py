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
import platform
import textwrap

from lab.machine import backports
from lab.machine import debian
from lab.tests.unit import base

PACKAGE = 'qemu-utils'


class TestCase(base.TestCase):
    """A Debian 12 whose apt has the sources that a test gives it."""

    def setUp(self):
        super().setUp()
        self.patch(backports, 'SOURCES', self.folder / 'apt/sources.list')
        self.patch(backports, 'PARTS', self.folder / 'apt/sources.list.d')
        self.places = {'https://deb.example/debian bookworm/main'}
        self.patch(debian, 'places', lambda package: (
            self.places if package == PACKAGE else set()))
        self.release = {'VERSION_CODENAME': 'bookworm'}
        self.patch(platform, 'freedesktop_os_release',
                   lambda: self.release)

    def main(self, text):
        self.write(backports.SOURCES, textwrap.dedent(text))

    def part(self, name, text):
        self.write(backports.PARTS / name, textwrap.dedent(text))

    def added(self):
        """Kind and text of the entry that is added."""
        with backports.options(PACKAGE) as options:
            [file] = self.parts(options).glob('lab-*')
            return file.suffix, file.read_text().split()

    def parts(self, options):
        """The folder that apt-get is told to take sources from."""
        self.assertEqual(['-t', 'bookworm-backports', '-o'], options[:3])
        name, _, folder = options[3].partition('=')
        self.assertEqual('Dir::Etc::sourceparts', name)
        return pathlib.Path(folder)


class TestOptions(TestCase):

    def setUp(self):
        super().setUp()
        self.part('debian.list',
                  'deb https://deb.example/debian bookworm main')

    def test_machine_is_left_as_it_is(self):
        self.part('other.sources', 'Types: deb')
        before = {path: path.read_text() for path
                  in (self.folder / 'apt').rglob('*') if path.is_file()}
        with backports.options(PACKAGE) as options:
            name, _, lists = options[5].partition('=')
            self.assertEqual('Dir::State::lists', name)
            # apt writes down there what it has read.
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
        with backports.options(PACKAGE) as options:
            folder = self.parts(options)
            self.assertEqual(
                {'debian.list', 'other.sources', 'lab-backports.list'},
                {path.name for path in folder.iterdir()})
            for name in ('debian.list', 'other.sources'):
                self.assertEqual((backports.PARTS / name).read_text(),
                                 (folder / name).read_text())

    def test_main_file_is_read_by_apt_anyhow(self):
        (backports.PARTS / 'debian.list').unlink()
        self.main('deb https://deb.example/debian bookworm main\n')
        with backports.options(PACKAGE) as options:
            self.assertEqual(
                ['lab-backports.list'],
                [path.name for path in self.parts(options).iterdir()])

    def test_backports_that_are_configured(self):
        for text in ('deb https://deb.example/debian bookworm-backports main',
                     'deb [signed-by=/k] cdrom://x bookworm-backports main'):
            self.main(text)
            with backports.options(PACKAGE) as options:
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
        for part in (PACKAGE, 'bookworm-backports', str(backports.SOURCES),
                     str(backports.PARTS)):
            self.assertIn(part, message)
        self.assert_sentence(message)

    def test_package_lists_cannot_be_had(self):
        self.places = set()
        message = self.refused(self.added)
        self.assertIn(PACKAGE, message)
        self.assertIn('apt-get update', message)
        self.assert_sentence(message)

    def test_no_sources_at_all(self):
        (backports.PARTS / 'debian.list').unlink()
        backports.PARTS.rmdir()
        self.assert_sentence(self.refused(self.added))

    def test_release_without_a_name(self):
        self.release = {}
        with backports.options(PACKAGE) as options:
            self.assertEqual(['-t', 'stable-backports'], options[:2])


class TestLines(TestCase):

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


class TestFields(TestCase):

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
        with backports.options(PACKAGE) as options:
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
        with backports.options(PACKAGE) as options:
            self.assertEqual(['-t', 'bookworm-backports'], options)

    def test_damaged_file(self):
        self.write(backports.PARTS / 'debian.sources').write_bytes(
            b'\xff\xfe: \n\n types: deb\n\nTypes\n\nTypes: deb\n')
        self.assert_sentence(self.refused(self.added))
