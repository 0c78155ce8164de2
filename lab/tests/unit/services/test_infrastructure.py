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
import shutil
import subprocess
from unittest import mock

from lab import configuration
from lab import services
from lab.services.base import Lab
from lab.services import infrastructure
from lab import supervisor
from lab.tests.unit import base
from lab import topology
from lab.topology import Topology


class TestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.version = b'mariadbd 10.11'
        real = subprocess.run
        self.patch(subprocess, 'run', lambda command, **options: (
            subprocess.CompletedProcess(command, 0, self.version)
            if command == [infrastructure.MARIADBD, '--version']
            else real(command, **options)))
        pins = {name: self.write(self.folder / f'constraints-{name}.txt',
                                 f'{name}==1\n')
                for name in ('cloud', 'heat')}
        self.constraints = pins['cloud']
        self.patch(infrastructure.virtualenvs, 'constraints', pins.get)
        self.patch(services.base, 'run', self._run)
        self.patch(supervisor, 'wait_for_port', self._wait)
        self.events = []
        self.data = self.layout.data('controller') / 'mariadb'
        configuration.passwords(self.layout)
        self.run_nova(controller=self.nova())
        self.database = self.new()
        self.first = self.database.kept

    def new(self, **topology):
        """Return the databases of a cloud that is about to start."""
        lab = Lab(self.layout, Topology(**topology))
        lab.supervisor = self
        return lab.find(infrastructure.MariaDb)

    def begin(self, database):
        [server] = database.programs()
        database.start(server)

    def migrate(self, name):
        [service] = [each for each in self.database.lab.with_databases
                     if each.name == name]
        service.migrate()

    def _run(self, *command, text='', **environment):
        words = [str(word) for word in command]
        self.events.append(words)
        if words[0] == 'mariadb-install-db':
            self.write(self.data / 'ibdata1', 'empty')
        if words[0] == 'mariadb':
            self.write(self.data / 'ibdata1', text)
        if words[-2:] == ['--keystone-user=root', '--keystone-group=root']:
            kind = words[2].removesuffix('_setup')
            self.write(self.layout.keys / kind / '0', 'key')

    def _wait(self, what, address, port):
        self.events.append(['wait', what, str(port)])

    def start(self, name):
        self.events.append(['start', name])

    def stop(self, name):
        self.events.append(['stop', name])

    def prepare(self):
        self.begin(self.database)
        self.migrate('keystone')
        self.database.keep()

    def again(self):
        """A new cloud of the same lab."""
        for folder in (self.data, self.layout.keys):
            if folder.exists():
                number = len(list(self.folder.iterdir()))
                folder.rename(self.folder / f'old-{number}-{folder.name}')
        self.events.clear()
        return self.new()

    def programs(self):
        return [pathlib.Path(words[0]).name for words in self.events]


class TestKey(TestCase):

    def _differs(self):
        return self.new().kept != self.first

    def test_same(self):
        self.assertFalse(self._differs())

    def test_version_of_mariadb(self):
        self.version = b'mariadbd 11.8'
        self.assertTrue(self._differs())

    def test_versions_of_openstack(self):
        self.write(self.constraints, 'nova==2\n')
        self.assertTrue(self._differs())

    def test_nova_with_other_migrations(self):
        self.run_nova(controller=self.nova(
            'nova-1', age=75, migrations=('a_first.py', 'b_second.py')))
        self.assertTrue(self._differs())

    def test_nova_with_the_same_migrations(self):
        self.run_nova(controller=self.nova('nova-1', '35.0.0', age=75))
        self.assertFalse(self._differs())

    def test_nova_of_a_compute_host(self):
        self.run_nova(compute1=self.nova('nova-1', migrations=()))
        self.assertFalse(self._differs())

    def test_passwords(self):
        self.layout.secrets.unlink()
        configuration.passwords(self.layout)
        self.assertTrue(self._differs())

    def test_settings_of_the_server(self):
        self._check_template('mariadb.cnf.j2')

    def test_settings_that_are_written_into_the_databases(self):
        # nova-manage puts addresses into the table of cells.
        for name in ('nova.conf.j2', '_common.j2'):
            self._check_template(name)

    def _check_template(self, name):
        templates = self.folder / f'templates-{name}'
        shutil.copytree(configuration.TEMPLATES, templates)
        real = configuration.TEMPLATES
        self.patch(configuration, 'TEMPLATES', templates)
        self.assertFalse(self._differs())
        with open(templates / name, 'a') as stream:
            stream.write('# more')
        self.assertTrue(self._differs())
        self.patch(configuration, 'TEMPLATES', real)

    def test_every_lab_has_the_same(self):
        for values in ({'computes': 3}, {'storage': 'ceph'},
                       {'storage': 'ceph', 'volumes': True}):
            other = self.new(**values)
            self.assertEqual(self.first, other.kept)
            self.assertCountEqual(
                [name for service in self.database.lab.with_databases
                 for name in service.databases],
                [name for service in other.lab.with_databases
                 for name in service.databases])

    def test_others_with_programs_that_not_every_lab_has(self):
        # The tool that makes its schema is one of them.
        heat = self.new(heat=True)
        self.assertIn('heat', [
            each.name for each in heat.lab.with_databases])
        self.assertNotIn('heat', [
            each.name for each in self.database.lab.with_databases])
        self.assertNotEqual(self.first, heat.kept)
        self.write(self.folder / 'constraints-heat.txt', 'heat==2\n')
        self.assertNotEqual(heat.kept, self.new(heat=True).kept)
        self.assertFalse(self._differs())

    def test_module_of_a_service_with_a_database(self):
        source = self.write(self.folder / 'storage.py', '# another schema')
        self.patch(services.storage, '__file__', str(source))
        self.assertTrue(self._differs())

    def test_addresses(self):
        source = self.write(self.folder / 'topology.py', '# other addresses')
        self.patch(topology, '__file__', str(source))
        self.assertTrue(self._differs())


class TestStart(TestCase):

    def test_new(self):
        self.assertFalse(self.database.is_kept)
        self.begin(self.database)
        self.assertEqual(
            ['mariadb-install-db', 'start', 'wait', 'mariadb'],
            self.programs())
        statements = (self.data / 'ibdata1').read_text()
        for name in self._names():
            self.assertIn(f'CREATE DATABASE {name};', statements)
            self.assertIn(f'GRANT ALL PRIVILEGES ON {name}.* ', statements)
        password = configuration.passwords(self.layout)['database']
        self.assertIn(f"IDENTIFIED BY '{password}'", statements)
        # Where everybody could read it in the list of processes.
        for words in self.events:
            self.assertNotIn(password, ' '.join(words))

    def test_databases_are_those_of_the_services(self):
        self.run_nova(compute1=self.nova())
        Lab(self.layout, Topology(computes=1)).configure()
        etc = self.layout.etc('controller')
        used = set()
        for path in etc.glob('*.conf'):
            for line in path.read_text().splitlines():
                if line.startswith('connection = mysql'):
                    used.add(line.rpartition('/')[2])
        self.assertEqual(used | {'nova_cell0'}, self._names())

    def _names(self):
        return {name for service in self.database.lab.with_databases
                for name in service.databases}

    def test_kept(self):
        self.prepare()
        other = self.again()
        self.assertTrue(other.is_kept)
        self.begin(other)
        self.assertEqual(['start', 'wait'], self.programs())
        self.assertIn('CREATE DATABASE nova;',
                      (self.data / 'ibdata1').read_text())
        self.assertEqual('key', (self.layout.keys / 'fernet' / '0'
                                 ).read_text())

    def test_what_is_kept_is_not_what_runs(self):
        self.prepare()
        other = self.again()
        self.begin(other)
        self.write(self.data / 'ibdata1', 'changed by a cloud')
        third = self.again()
        self.begin(third)
        self.assertIn('CREATE DATABASE nova;',
                      (self.data / 'ibdata1').read_text())

    def test_of_other_versions_is_not_taken(self):
        self.prepare()
        self.version = b'mariadbd 11.8'
        self.assertFalse(self.again().is_kept)


class TestKeep(TestCase):

    def test_server_is_stopped_meanwhile(self):
        self.prepare()
        programs = self.programs()
        self.assertEqual(['stop', 'start', 'wait'], programs[-3:])

    def test_those_that_were_used_last(self):
        made = []
        for version in range(infrastructure.KEPT + 1):
            self.version = f'mariadbd {version}'.encode()
            self.database = self.again()
            self.prepare()
            made.append(self.database.kept)
            os.utime(self.database.kept, (version, version))
        self.assertEqual(set(made), set(self.layout.cache.iterdir()))
        # The first one is used again.
        self.version = b'mariadbd 0'
        self.begin(self.again())
        self.version = b'mariadbd x'
        self.database = self.again()
        self.prepare()
        self.assertEqual({made[0], *made[2:], self.database.kept},
                         set(self.layout.cache.iterdir()))

    def test_interrupted(self):
        self.begin(self.database)
        self.migrate('keystone')
        with mock.patch.object(pathlib.Path, 'rename',
                               side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                self.database.keep()
        self.assertFalse(self.database.is_kept)
        # And does not stand in the way of the next time.
        self.database = self.again()
        self.prepare()
        self.assertTrue(self.database.is_kept)
        self.assertEqual([self.database.kept],
                         list(self.layout.cache.iterdir()))

    def test_remains_are_replaced(self):
        left = self.write(self.layout.cache / '.database-unfinished' / 'x')
        self.prepare()
        self.assertTrue(self.database.is_kept)
        self.assertFalse(left.exists())
        self.assertFalse((self.database.kept / 'x').exists())

    def test_other_things_in_the_cache_are_left(self):
        image = self.write(self.layout.image)
        self.prepare()
        self.assertTrue(image.exists())


class TestPrepare(TestCase):

    def _lines(self, name):
        self.events.clear()
        self.migrate(name)
        return [' '.join(words[1:]) for words in self.events]

    def test_keystone(self):
        lines = self._lines('keystone')
        self.assertEqual(['fernet_setup', 'credential_setup', 'db_sync',
                          'bootstrap'],
                         [line.split()[1] for line in lines])
        for kind in ('fernet', 'credential'):
            self.assertEqual(
                0o700, (self.layout.keys / kind).stat().st_mode & 0o777)

    def test_password_of_the_administrator_is_not_on_a_command_line(self):
        seen = {}
        self.patch(services.base, 'run', lambda *words, **values: (
            seen.update(values), self._run(*words))[1])
        self.migrate('keystone')
        password = configuration.passwords(self.layout)['admin']
        self.assertIn(password, seen.values())
        for words in self.events:
            self.assertNotIn(password, ' '.join(words))

    def test_others(self):
        etc = self.layout.etc('controller')
        for service, name, expected in (
                ('glance', 'glance-api.conf',
                 ['db_sync']),
                ('placement', 'placement.conf',
                 ['db sync']),
                ('cinder', 'cinder.conf',
                 ['db sync']),
                ('neutron', 'neutron.conf',
                 ['upgrade heads']),
                ('nova', 'nova.conf',
                 ['api_db sync', 'cell_v2 map_cell0', 'db sync',
                  'cell_v2 create_cell --name=cell1'])):
            option = f'--config-file={etc / name}'
            self.assertEqual([f'{option} {each}' for each in expected],
                             self._lines(service))
