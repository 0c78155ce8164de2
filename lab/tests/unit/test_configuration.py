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

import configparser
import itertools
import json
import os
import pathlib
import re
import shlex
import stat
import uuid

import jinja2
from oslo_config import cfg
from supervisor import options

from lab import configuration
from lab import layout
from lab.machine import checks
from lab.services.base import Lab
from lab.services import ceph
from lab.tests.unit import base
from lab.topology import Topology


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


class TestPasswords(base.TestCase):

    def test_new(self):
        made = configuration.passwords(self.layout)
        self.assertEqual(set(configuration.SECRETS), set(made))
        self.assertEqual(len(made), len(set(made.values())))
        for password in made.values():
            # Also in URLs and in SQL.
            self.assertRegex(password, '^[0-9a-f]{32}$')

    def test_nobody_else_reads_them(self):
        configuration.passwords(self.layout)
        self.assertEqual(0o600, mode_of(self.layout.secrets))

    def test_stable(self):
        self.assertEqual(configuration.passwords(self.layout),
                         configuration.passwords(self.layout))

    def test_labs_have_passwords_of_their_own(self):
        other = layout.Layout(self.folder / 'other')
        self.assertEqual(set(), set(
            configuration.passwords(self.layout).values()) & set(
            configuration.passwords(other).values()))

    def test_damaged_file_is_made_anew(self):
        old = configuration.passwords(self.layout)
        for content in (b'', b'{', b'{}', b'[]', b'null', b'5', b'"x"',
                        b'\xff\xfe', json.dumps(dict(itertools.islice(
                            old.items(), 2))).encode()):
            self.layout.secrets.write_bytes(content)
            made = configuration.passwords(self.layout)
            self.assertEqual(set(configuration.SECRETS), set(made))
            self.assertNotEqual(old, made)
            self.assertEqual(made, configuration.passwords(self.layout))


class TestCase(base.TestCase):

    computes = 2
    kvm = False
    concurrent = 1
    storage = 'block'
    volumes = False

    def setUp(self):
        super().setUp()
        run = self.folder / 'run' / 'lab'
        run.mkdir(parents=True)
        self.patch(layout, 'RUN', run)
        self.patch(layout, 'SUPERVISOR_SOCKET', run / 'supervisor.sock')
        self.topology = Topology(
            computes=self.computes, kvm=self.kvm,
            max_concurrent_live_migrations=self.concurrent,
            storage=self.storage, volumes=self.volumes)
        self.lab = Lab(self.layout, self.topology)
        self.layout.log.mkdir(parents=True)
        self.run_nova(**{host.name: self.nova()
                         for host in self.topology.hosts})
        self.lab.configure()
        self.files = [path for path in self.layout.cloud.rglob('*')
                      if path.is_file()]

    def ini(self, host, name):
        sections = {}
        cfg.ConfigParser(str(self.layout.etc(host) / name), sections).parse()
        return {section: {key: values[-1] for key, values in found.items()}
                for section, found in sections.items()}


class TestWriteAll(TestCase):

    def test_every_template_is_used(self):
        # All but the workspace's, which come later, Ceph's and Heat's.
        later = {'tempest.conf', 'clouds.yaml', 'stestr.conf',
                 'heat.conf'} | {
            path.name.removesuffix('.j2')
            for path in configuration.TEMPLATES.glob('ceph*')}
        templates = {path.name.removesuffix('.j2')
                     for path in configuration.TEMPLATES.glob('[!_]*.j2')}
        written = {re.sub('^uwsgi-.*', 'uwsgi.ini',
                          path.name.removeprefix('etc-'))
                   for path in self.files}
        self.assertEqual(templates - later, templates & written)

    def test_nothing_is_left_unrendered(self):
        for path in self.files:
            text = path.read_text()
            for mark in ('{{', '}}', '{%', '%}', '{#', 'Undefined'):
                self.assertNotIn(mark, text, path)

    def test_what_is_undefined_is_an_error(self):
        with self.assertRaises(jinja2.UndefinedError):
            # It asks for the host.
            self.lab.templates.render('nova.conf')

    def test_passwords_are_for_their_owner_only(self):
        passwords = configuration.passwords(self.layout).values()
        holding = {path for path in self.files for password in passwords
                   if password in path.read_text()}
        self.assertGreater(len(holding), 5)
        for path in holding:
            self.assertEqual(0o600, mode_of(path), path)

    def test_files_of_openstack_parse(self):
        checked = 0
        for path in self.files:
            if path.suffix in ('.conf', '.ini') and not (
                    path.name in ('rabbitmq.conf', 'supervisord.conf',
                                  'rabbitmq-env.conf',
                                  'libvirtd.conf', 'qemu.conf')
                    or path.name.startswith('uwsgi')):
                sections = {}
                cfg.ConfigParser(str(path), sections).parse()
                self.assertGreater(len(sections), 2, path)
                checked += 1
        self.assertEqual(6 + 2 * self.computes, checked)

    def test_no_option_is_set_twice(self):
        # configparser refuses that; oslo.config would take the last.
        for path in self.files:
            if path.name in ('nova.conf', 'neutron.conf', 'keystone.conf',
                             'glance-api.conf', 'placement.conf',
                             'cinder.conf', 'metadata-agent.ini',
                             'mariadb.cnf'):
                parser = configparser.ConfigParser(interpolation=None)
                parser.read(path)
                self.assertTrue(parser.sections())

    def test_ini_of_mariadb_and_uwsgi(self):
        parser = configparser.ConfigParser(interpolation=None)
        etc = self.layout.etc('controller')
        parser.read(etc / 'mariadb.cnf')
        datadir = pathlib.Path(parser['mariadbd']['datadir'])
        self.assertIn(self.layout.cloud, datadir.parents)
        self.assertEqual('198.18.0.1', parser['mariadbd']['bind_address'])
        for application in [each for service in self.lab.services
                            for each in service.applications()]:
            parser = configparser.ConfigParser(interpolation=None)
            parser.read(etc / f'uwsgi-{application.name}.ini')
            uwsgi = parser['uwsgi']
            self.assertEqual(f'198.18.0.1:{application.port}',
                             uwsgi['http-socket'])
            self.assertEqual(f'{application.module}:application',
                             uwsgi['module'])

    def test_hosts_know_each_other(self):
        for host in self.topology.hosts:
            lines = (self.layout.etc(host.name) / 'etc-hosts'
                     ).read_text().splitlines()
            for other in self.topology.hosts:
                self.assertIn(f'{other.address} {other.name}', lines)
            self.assertIn('127.0.0.1 localhost', lines)

    def test_files_that_programs_name_exist(self):
        for program in self.lab.programs:
            for word in (*program.command, *dict(
                    program.environment).values()):
                for part in re.findall(rf'{self.layout.cloud}/etc/[^;:\s]*',
                                       word):
                    self.assertTrue(pathlib.Path(part).exists(), part)

    def test_folders_that_programs_need_exist(self):
        for program in self.lab.programs:
            values = dict(program.environment)
            for name in ('HOME', 'TMPDIR'):
                self.assertTrue(pathlib.Path(values[name]).is_dir(), name)

    def test_hosts_of_nova_differ(self):
        for host in self.topology.compute_hosts:
            nova = self.ini(host.name, 'nova.conf')
            self.assertEqual(host.name, nova['DEFAULT']['host'])
            self.assertEqual(host.address, nova['DEFAULT']['my_ip'])
            self.assertEqual(host.address,
                             nova['libvirt']['live_migration_inbound_addr'])
            # The same path everywhere, or migrations open the wrong disk.
            self.assertEqual(str(self.layout.instances),
                             nova['DEFAULT']['instances_path'])

    def test_services_agree_on_passwords(self):
        secrets = configuration.passwords(self.layout)
        nova = self.ini('controller', 'nova.conf')
        agent = self.ini('compute1', 'metadata-agent.ini')
        self.assertEqual(secrets['metadata'],
                         nova['neutron']['metadata_proxy_shared_secret'])
        self.assertEqual(secrets['metadata'],
                         agent['DEFAULT']['metadata_proxy_shared_secret'])
        self.assertEqual(
            f'rabbit://lab:{secrets["messaging"]}@198.18.0.1:5672/',
            nova['DEFAULT']['transport_url'])
        rabbitmq = (self.layout.etc('controller') / 'rabbitmq.conf'
                    ).read_text()
        self.assertIn(f'default_pass = {secrets["messaging"]}\n', rabbitmq)
        for name, section, database in (
                ('nova.conf', 'database', 'nova'),
                ('nova.conf', 'api_database', 'nova_api'),
                ('keystone.conf', 'database', 'keystone'),
                ('glance-api.conf', 'database', 'glance'),
                ('neutron.conf', 'database', 'neutron'),
                ('placement.conf', 'placement_database', 'placement')):
            self.assertEqual(
                f'mysql+pymysql://lab:{secrets["database"]}@198.18.0.1/'
                f'{database}',
                self.ini('controller', name)[section]['connection'])

    def test_privilege_helper_is_that_of_the_virtualenv(self):
        # A helper loads the code of the host's service.
        for name, project in (('nova.conf', 'nova'),
                              ('metadata-agent.ini', 'neutron')):
            helpers = [
                values['helper_command'] for values
                in self.ini('compute2', name).values()
                if 'helper_command' in values]
            self.assertTrue(helpers)
            for helper in helpers:
                self.assertEqual(
                    [f'{self.layout.code}/{project}/compute2/bin/'
                     f'privsep-helper', '--config-file',
                     str(self.layout.etc('compute2') / name)],
                    shlex.split(helper))

    def test_older_compute_host_makes_no_tap_before_a_guest_arrives(self):
        for age, expected in ((72, None), (70, 'false')):
            self.run_nova(compute2=self.nova('nova-x', age=age))
            self.lab.configure()
            self.assertEqual(expected, self.ini('controller', 'neutron.conf')[
                'ovn'].get('ovs_create_tap'))

    def test_messages_to_an_older_compute_host(self):
        for host in ('controller', 'compute1'):
            self.assertEqual('auto', self.ini(host, 'nova.conf')[
                'upgrade_levels']['compute'])

    def test_one_live_migration_at_a_time(self):
        self.assertEqual('1', self.ini('compute1', 'nova.conf')[
            'DEFAULT']['max_concurrent_live_migrations'])

    def test_software_emulation(self):
        libvirt = self.ini('compute1', 'nova.conf')['libvirt']
        self.assertEqual('qemu', libvirt['virt_type'])

    def test_again(self):
        # Existing files are replaced.
        text = {path: path.read_text() for path in self.files}
        Lab(self.layout, self.topology).configure()
        self.assertEqual(text, {path: path.read_text()
                                for path in self.files})


class TestKvm(TestCase):

    computes = 1
    kvm = True

    def test_kvm(self):
        libvirt = self.ini('compute1', 'nova.conf')['libvirt']
        self.assertEqual('kvm', libvirt['virt_type'])
        self.assertNotIn('cpu_models', libvirt)


class TestConcurrentLiveMigrations(TestCase):

    concurrent = 3

    def test_every_compute_host(self):
        for host in self.topology.compute_hosts:
            self.assertEqual('3', self.ini(host.name, 'nova.conf')[
                'DEFAULT']['max_concurrent_live_migrations'])


class TestSsh(TestCase):

    def _sshd(self, host):
        path = self.layout.etc(host) / 'sshd_config'
        lines = [line.partition(' ') for line in path.read_text().splitlines()
                 if not line.startswith('#')]
        # sshd takes the first of two.
        self.assertEqual(len(lines), len({name for name, _, _ in lines}))
        return {name: value for name, _, value in lines}

    def test_every_host_listens_at_its_address_with_its_key(self):
        for host in self.topology.compute_hosts:
            sshd, etc = self._sshd(host.name), self.layout.etc(host.name)
            self.assertEqual(host.address, sshd['ListenAddress'])
            self.assertEqual(f'{etc}/ssh_host_ed25519_key', sshd['HostKey'])
            self.assertEqual(f'{etc}/authorized_keys',
                             sshd['AuthorizedKeysFile'])

    def _variables(self, host):
        [service] = [each for each in self.lab.services
                     if each.name == 'ssh' and each.host == host]
        return service.variables

    def test_nothing_but_keys(self):
        sshd = self._sshd('compute1')
        self.assertEqual('publickey', sshd['AuthenticationMethods'])
        for name in ('PasswordAuthentication', 'KbdInteractiveAuthentication',
                     'UsePAM'):
            self.assertEqual('no', sshd[name])
        self.assertEqual('yes', sshd['DisableForwarding'])

    def test_sessions_have_what_programs_have(self):
        for host in self.topology.compute_hosts:
            words = self._sshd(host.name)['SetEnv'].split(' ')
            self.assertEqual(
                self._variables(host),
                dict(word.split('=', 1) for word in words))

    def test_root_is_not_locked_and_has_no_password(self):
        for host in self.topology.compute_hosts:
            path = self.layout.etc(host.name) / 'etc-shadow'
            [line] = path.read_text().splitlines()
            fields = line.split(':')
            self.assertEqual(9, len(fields))
            self.assertEqual(['root', '*'], fields[:2])
            self.assertEqual(0o600, mode_of(path))
        self.assertFalse((self.layout.etc('controller') / 'etc-shadow'
                          ).exists())


class TestCeph(TestCase):

    storage = 'ceph'
    # Whose keys the controller has, and libvirt beside that of nova.
    clients: frozenset[str] = frozenset()

    def _conf(self, host):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(self.layout.ceph(host) / 'ceph.conf')
        return parser

    def _keys(self, path):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(path)
        return {name: parser[name]['key'] for name in parser.sections()}

    def test_every_host_finds_the_monitor_and_no_other_protocol(self):
        for host in self.topology.hosts:
            found = self._conf(host.name)['global']
            self.assertEqual('v2:198.18.0.1:3300', found['mon_host'])
            self.assertEqual('false', found['ms_bind_msgr1'])
            for kind in ('cluster', 'service', 'client'):
                self.assertEqual('cephx', found[f'auth_{kind}_required'])

    def test_daemons_write_only_into_the_state_folder(self):
        found = self._conf('controller')
        self.assertEqual({'global', 'mon', 'mgr', 'osd'},
                         set(found.sections()))
        for kind in ('mon', 'mgr', 'osd'):
            self.assertIn(self.layout.data('controller'), pathlib.Path(
                found[kind][f'{kind}_data']).parents)
        self.assertEqual('false', found['global']['log_to_file'])
        self.assertEqual(['global'], self._conf('compute1').sections())

    def test_hosts_have_the_keys_that_they_need_and_no_others(self):
        known = self._keys(self.layout.etc('controller') / 'ceph.keyring')
        self.assertEqual({user.name for user in ceph.users(self.topology)},
                         set(known))
        for host, names in (('controller', {'client.admin', 'client.glance'}
                             | self.clients),
                            ('compute1', {'client.nova'}),
                            ('compute2', {'client.nova'})):
            found = {}
            for path in self.layout.ceph(host).glob('*.keyring'):
                [(name, key)] = self._keys(path).items()
                # Where clients of that name look.
                self.assertEqual(f'ceph.{name}.keyring', path.name)
                self.assertEqual(known[name], key)
                found[name] = key
            self.assertEqual(names, set(found))

    def test_keys_are_for_their_owner_only(self):
        known = self._keys(self.layout.etc('controller') / 'ceph.keyring')
        holding = {path for path in self.files for key in known.values()
                   if key in path.read_text()}
        # A keyring or a secret of libvirt for each, and all for the monitor.
        self.assertEqual(
            3 + len(self.clients) + (2 + len(self.clients)) * self.computes,
            len(holding))
        for path in holding:
            self.assertEqual(0o600, mode_of(path), path)

    def test_libvirt_and_nova_mean_the_same_secret(self):
        known = self._keys(self.layout.etc('controller') / 'ceph.keyring')
        for host in self.topology.compute_hosts:
            etc = self.layout.etc(host.name)
            libvirt = self.ini(host.name, 'nova.conf')['libvirt']
            self.assertEqual(
                ('rbd', 'vms', 'nova', '/etc/ceph/ceph.conf'),
                tuple(libvirt[name] for name in (
                    'images_type', 'images_rbd_pool', 'rbd_user',
                    'images_rbd_ceph_conf')))
            self.assertIn(f'<uuid>{libvirt["rbd_secret_uuid"]}</uuid>',
                          (etc / 'client.nova.xml').read_text())
            self.assertEqual(known['client.nova'],
                             (etc / 'client.nova.key').read_text().strip())

    def test_glance(self):
        glance = self.ini('controller', 'glance-api.conf')
        default = glance['glance_store']['default_backend']
        self.assertEqual(f'{default}:rbd',
                         glance['DEFAULT']['enabled_backends'])
        self.assertEqual('true', glance['DEFAULT']['show_image_direct_url'])
        self.assertEqual(('glance', 'images'), (
            glance[default]['rbd_store_user'],
            glance[default]['rbd_store_pool']))

    def test_every_template_of_it_is_used(self):
        names = {re.sub(r'^client\.\w+\.', 'ceph-secret.', path.name)
                 for path in self.files}
        for path in configuration.TEMPLATES.glob('ceph*'):
            self.assertIn(path.name.removesuffix('.j2'), names)

    def test_files_that_programs_name_exist(self):
        found = self._conf('controller')
        for kind in ('mgr', 'osd'):
            self.assertTrue(pathlib.Path(found[kind]['keyring']).exists())


class TestNoVolumes(TestCase):

    storage = 'ceph'

    def test_nothing_of_them(self):
        self.assertNotIn('cinder', self.ini('compute1', 'nova.conf'))
        self.assertFalse([
            path for path in self.files
            if re.match(r'client\.cinder|uwsgi-cinder', path.name)])


class TestVolumes(TestCeph):

    volumes = True
    clients = frozenset({'client.cinder'})

    def test_libvirt_and_cinder_mean_the_same_secret(self):
        known = self._keys(self.layout.etc('controller') / 'ceph.keyring')
        cinder = self.ini('controller', 'cinder.conf')
        backend = cinder[cinder['DEFAULT']['enabled_backends']]
        self.assertEqual(('cinder', 'volumes'), (
            backend['rbd_user'], backend['rbd_pool']))
        for host in self.topology.compute_hosts:
            etc = self.layout.etc(host.name)
            text = (etc / 'client.cinder.xml').read_text()
            self.assertIn(f'<uuid>{backend["rbd_secret_uuid"]}</uuid>', text)
            # libvirt takes one secret for each usage.
            self.assertIn('<name>client.cinder secret</name>', text)
            self.assertEqual(known['client.cinder'],
                             (etc / 'client.cinder.key').read_text().strip())

    def test_nova_finds_cinder_and_sends_its_own_token(self):
        # cinder lets nobody else take a volume from a server.
        for host in self.topology.hosts:
            nova = self.ini(host.name, 'nova.conf')
            self.assertEqual('cinder', nova['cinder']['username'])
            self.assertEqual('block-storage', nova['cinder'][
                'catalog_info'].partition(':')[0])
            self.assertEqual('true', nova['service_user'][
                'send_service_user_token'])
        cinder = self.ini('controller', 'cinder.conf')
        self.assertEqual('service', cinder['keystone_authtoken'][
            'service_token_roles'])

    def test_helpers_are_those_of_the_virtualenv(self):
        for host, project, sections in (
                ('controller', 'cinder', ('cinder_sys_admin',
                                          'privsep_osbrick')),
                ('compute1', 'nova', ('privsep_osbrick',))):
            name = f'{project}.conf'
            found = self.ini(host, name)
            for section in sections:
                self.assertEqual(
                    [f'{self.layout.code}/{project}/{host}/bin/'
                     f'privsep-helper', '--config-file',
                     f'{self.layout.etc(host)}/{name}'],
                    found[section]['helper_command'].split())

    def test_api_is_told_its_file(self):
        parser = configparser.ConfigParser(interpolation=None)
        etc = self.layout.etc('controller')
        parser.read(etc / 'uwsgi-cinder-api.ini')
        self.assertEqual(f'--config-file={etc}/cinder.conf',
                         parser['uwsgi']['pyargv'])
        self.assertNotIn('pyargv', (etc / 'uwsgi-glance.ini').read_text())


class TestLibvirt(TestCase):

    def _libvirt(self, host, name):
        path = self.layout.data(host) / 'etc' / 'libvirt' / name
        # Each line is a comment or "name = value", the value as in JSON.
        found = {}
        for line in path.read_text().splitlines():
            if line and not line.startswith('#'):
                key, _, value = line.partition(' = ')
                found[key] = json.loads(value)
        return found

    def test_every_host_has_an_identity(self):
        found = {self._libvirt(host.name, 'libvirtd.conf')['host_uuid']
                 for host in self.topology.compute_hosts}
        self.assertEqual(2, len(found))
        for text in found:
            self.assertEqual(text, str(uuid.UUID(text)))

    def test_every_host_listens_at_its_address(self):
        for host in self.topology.compute_hosts:
            self.assertEqual(host.address, self._libvirt(
                host.name, 'libvirtd.conf')['listen_addr'])
            self.assertEqual(host.address, self._libvirt(
                host.name, 'qemu.conf')['migration_address'])

    def test_control_groups_are_left_alone(self):
        self.assertEqual([], self._libvirt(
            'compute1', 'qemu.conf')['cgroup_controllers'])

    def test_user_of_qemu_is_known(self):
        for host in self.topology.compute_hosts:
            for name in ('passwd', 'group'):
                text = (self.layout.etc(host.name) / f'etc-{name}'
                        ).read_text()
                lines = text.splitlines()
                self.assertEqual(1, sum(line.startswith('libvirt-qemu:')
                                        for line in lines))
                # Nobody else is lost.
                for line in pathlib.Path('/etc', name).read_text(
                        ).splitlines():
                    self.assertIn(line, lines)


class TestUser(base.TestCase):

    def _write(self, etc):
        real = pathlib.Path.read_text
        self.patch(pathlib.Path, 'read_text', lambda path, *_, **__: (
            etc if path.parent == pathlib.Path('/etc') else real(path)))
        self.run_nova(compute1=self.nova())
        Lab(self.layout, Topology(computes=1)).configure()
        return real(self.layout.etc('compute1') / 'etc-group')

    def test_is_added(self):
        self.assertEqual('root:x:0:\nlibvirt-qemu:x:64055:\n',
                         self._write('root:x:0:\n'))

    def test_is_not_added_twice(self):
        known = 'root:x:0:\nlibvirt-qemu:x:123:\n'
        self.assertEqual(known, self._write(known))

    def test_somebody_with_a_similar_name(self):
        self.assertIn('\nlibvirt-qemu:x:64055:\n',
                      self._write('root:x:0:\nlibvirt-qemu2:x:1:\n'))

    def test_file_without_a_newline_at_its_end(self):
        self.assertEqual('root:x:0:\nlibvirt-qemu:x:64055:\n',
                         self._write('root:x:0:'))


class TestSupervisor(TestCase):

    def setUp(self):
        super().setUp()
        # It looks up the user "root" and compiles patterns, no more.
        self.options = options.ServerOptions()
        os.environ['LAB_TEST'] = '100%'
        self.options.realize(
            ['--configuration', str(self.lab.supervisor_conf)],
            doc='the lab')

    def test_programs(self):
        [*groups] = self.options.process_group_configs
        found = {group.process_configs[0].name: group.process_configs[0]
                 for group in groups}
        plan = self.lab.programs
        self.assertEqual({each.identifier for each in plan}, set(found))
        for program in plan:
            process = found[program.identifier]
            words = shlex.split(process.command)
            self.assertEqual(list(program.command),
                             words[-len(program.command):])
            self.assertEqual(dict(program.environment), process.environment)
            self.assertEqual(str(program.log), process.stdout_logfile)
            self.assertTrue(process.redirect_stderr)
            # The plan starts each program in its turn.
            self.assertFalse(process.autostart)
            # Logs are whole: nothing is cut or turned away.
            self.assertEqual(0, process.stdout_logfile_maxbytes)
            # Workers of one that is killed would keep its port.
            self.assertTrue(process.killasgroup)

    def test_nova_compute_has_time_to_end(self):
        # Killed, it would leave its migrations as they are.
        nova = self.ini('compute1', 'nova.conf')['DEFAULT']
        needed = (int(nova['graceful_shutdown_timeout'])
                  + int(nova['manager_shutdown_timeout']))
        for group in self.options.process_group_configs:
            [process] = group.process_configs
            self.assertGreater(process.stopwaitsecs, needed)

    def test_socket(self):
        [server] = self.options.server_configs
        self.assertEqual(str(layout.SUPERVISOR_SOCKET), server['file'])
        self.assertEqual(0o700, server['chmod'])

    def test_stays_in_the_foreground(self):
        self.assertTrue(self.options.nodaemon)
        self.assertEqual(str(layout.RUN / 'supervisord.pid'),
                         self.options.pidfile)


class TestPath(TestCase):
    """Whatever path is accepted means itself in the supervisor's file."""

    def setUp(self):
        super().setUp()
        self.layout = layout.Layout(self.folder / 'a-b_c.d+e@f=g\u00e9')
        checks.state_folder(self.layout)
        self.layout.log.mkdir(parents=True)
        self.run_nova(compute1=self.nova(), compute2=self.nova())
        self.lab = Lab(self.layout, self.topology)
        self.lab.configure()

    def test_supervisor(self):
        found = options.ServerOptions()
        found.realize(['--configuration', str(self.lab.supervisor_conf)],
                      doc='the lab')
        logs = {process.stdout_logfile
                for group in found.process_group_configs
                for process in group.process_configs}
        self.assertEqual(
            {str(program.log) for program
             in self.lab.programs}, logs)
