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

import ipaddress
import os
import pathlib
import shlex
import types
import unittest

import openstack
from oslo_concurrency import opts as concurrency
from oslo_config import cfg
from oslo_log import log
from tempest import config as tempest_config
import yaml

from lab import configuration
from lab.services.base import Lab
from lab.tests.unit import base
from lab.topology import PROVIDER
from lab.topology import Topology
from lab import workspace
from lm_tempest_plugin import config as plugin_config


def find(name, ignore_missing):
    assert not ignore_missing
    return types.SimpleNamespace(id=f'id-of-{name}')


CLOUD = types.SimpleNamespace(
    compute=types.SimpleNamespace(find_flavor=find),
    image=types.SimpleNamespace(find_image=find))


class TestCase(base.TestCase):

    def make(self, **topology):
        workspace.make(self.layout, Topology(**topology), CLOUD)


class TestMake(TestCase):

    def test_results_of_earlier_runs_are_kept(self):
        result = self.write(self.layout.workspace / '.stestr' / '0', 'mine')
        self.make()
        self.make()
        self.assertEqual('mine', result.read_text())

    def test_files_are_for_their_owner_only(self):
        self.make()
        for path in (self.layout.tempest_conf, self.layout.clouds_yaml):
            self.assertIn(configuration.passwords(self.layout)['admin'],
                          path.read_text())
            self.assertEqual(0o600, path.stat().st_mode & 0o777)

    def test_folders_that_tempest_wants(self):
        self.make()
        for name in ('logs', 'locks'):
            self.assertTrue((self.layout.workspace / name).is_dir())

    def test_stestr_finds_tempests_tests(self):
        self.make()
        sections = {}
        path = self.layout.workspace / '.stestr.conf'
        cfg.ConfigParser(str(path), sections).parse()
        [tests] = sections['DEFAULT']['test_path']
        [top] = sections['DEFAULT']['top_dir']
        self.assertTrue(pathlib.Path(tests, '__init__.py').is_file())
        self.assertEqual('test_discover', pathlib.Path(tests).name)
        self.assertTrue(pathlib.Path(top, 'tempest', 'config.py').is_file())

    def test_clouds_yaml(self):
        self.make()
        found = yaml.safe_load(self.layout.clouds_yaml.read_text())
        self.assertEqual([workspace.CLOUD], list(found['clouds']))
        # openstacksdk makes sense of it.
        region = openstack.config.OpenStackConfig(
            config_files=[str(self.layout.clouds_yaml)], secure_files=[],
            vendor_files=[], load_envvars=False).get_one('lab')
        self.assertEqual('RegionOne', region.region_name)
        self.assertEqual('http://198.18.0.1:5000/v3',
                         region.get_auth_args()['auth_url'])
        self.assertEqual(configuration.passwords(self.layout)['admin'],
                         region.get_auth_args()['password'])


class TestTempestConf(TestCase):
    """By Tempest's own definitions, and those of the plugin."""

    def _read(self, **topology):
        self.make(**topology)
        conf = cfg.ConfigOpts()
        log.register_options(conf)
        known = {}
        for group, opts in (*tempest_config.list_opts(),
                            *plugin_config.list_opts(),
                            *concurrency.list_opts()):
            name = getattr(group, 'name', group)
            # The plugin may be installed, and come twice.
            known.setdefault(name, list(opts))
        for name, opts in known.items():
            conf.register_opts(opts, group=name)
        conf([], project='tempest', default_config_dirs=[],
             default_config_files=[str(self.layout.tempest_conf)])
        return conf

    def _assignments(self):
        sections = {}
        cfg.ConfigParser(str(self.layout.tempest_conf), sections).parse()
        return [(section, name, values) for section, options
                in sections.items() for name, values in options.items()]

    def test_every_option_exists_and_has_a_good_value(self):
        for topology in ({}, {'computes': 1}, {'kvm': True},
                         {'storage': 'ceph'},
                         {'storage': 'ceph', 'volumes': True},
                         {'max_concurrent_live_migrations': 16}):
            conf = self._read(**topology)
            assignments = self._assignments()
            self.assertGreater(len(assignments), 30)
            for section, name, values in assignments:
                self.assertEqual(1, len(values), f'{section}.{name}')
                group = conf if section == 'DEFAULT' else conf[section]
                self.assertIn(name, group)
                # Raises an error if it is no such value, or out of bounds.
                group[name]

    def test_plugin_is_content(self):
        plugin_config.check(self._read())

    def test_options_are_not_spelt_the_old_way(self):
        self._read()
        current = {}
        for group, opts in (*tempest_config.list_opts(),
                            *plugin_config.list_opts()):
            current.setdefault(getattr(group, 'name', group), set()).update(
                opt.dest for opt in opts)
        for section, name, _ in self._assignments():
            if section not in ('DEFAULT', 'oslo_concurrency'):
                self.assertIn(name, current[section])

    def test_values(self):
        conf = self._read(computes=2)
        self.assertEqual(2, conf.compute.min_compute_nodes)
        self.assertEqual('id-of-lm.small', conf.compute.flavor_ref)
        self.assertEqual('id-of-lm.medium', conf.compute.flavor_ref_alt)
        self.assertEqual('id-of-lm-guest', conf.compute.image_ref)
        self.assertEqual(workspace.NETWORK, conf.validation.network_for_ssh)
        features = conf['compute-feature-enabled']
        self.assertIs(True, features.live_migration)
        self.assertIs(True, features.block_migration_for_live_migration)
        self.assertEqual(workspace.ECHO_PORT,
                         conf.live_migration_ha.tcp_echo_port)
        self.assertEqual(configuration.passwords(self.layout)['admin'],
                         conf.auth.admin_password)

    def test_disks_in_ceph_are_not_copied(self):
        features = self._read(storage='ceph')['compute-feature-enabled']
        self.assertIs(True, features.live_migration)
        self.assertIs(False, features.block_migration_for_live_migration)

    def test_volumes(self):
        for volumes in (False, True):
            conf = self._read(storage='ceph', volumes=volumes)
            self.assertIs(volumes, conf.service_available.cinder)
            self.assertIs(volumes, conf['compute-feature-enabled'
                                        ].volume_backed_live_migration)
            self.assertEqual('latest' if volumes else None,
                             conf.volume.max_microversion)

    def test_concurrent_live_migrations_are_declared(self):
        for number in (1, 4):
            conf = self._read(max_concurrent_live_migrations=number)
            self.assertEqual(
                number, conf.live_migration_ha.max_concurrent_live_migrations)

    def test_access_to_hosts(self):
        conf = self._read(computes=2)
        access = conf.live_migration_ha_hosts
        self.assertEqual({'compute1': '198.18.0.11',
                          'compute2': '198.18.0.12'}, access.addresses)
        self.assertEqual('root', access.ssh_user)
        self.assertIs(False, access.sudo)
        self.assertEqual(str(self.layout.ssh_key), access.ssh_key_file)
        self.assertEqual(str(self.layout.known_hosts),
                         access.ssh_known_hosts_file)
        topology = Topology(computes=2)
        known = {program.identifier: program for program
                 in Lab(self.layout, topology).programs}
        for host in topology.compute_hosts:
            name = f'{host.name}-nova-compute'
            self.assertIn('--config-file=' + access.nova_conf.replace(
                '{host}', host.name), known[name].command)
            for command, action in ((access.restart_command, 'restart'),
                                    (access.pid_command, 'pid')):
                words = shlex.split(command.replace('{host}', host.name))
                self.assertEqual(['lab.supervisor', action, name],
                                 words[-3:])

    def test_journal_goes_with_the_hosts(self):
        # The next cloud has hosts that nobody has changed.
        conf = self._read()
        self.assertIn(self.layout.cloud, pathlib.Path(
            conf.live_migration_ha_hosts.undo_log_directory).parents)

    def test_one_host_cannot_migrate(self):
        conf = self._read(computes=1)
        self.assertEqual(1, conf.compute.min_compute_nodes)
        self.assertIs(False, conf['compute-feature-enabled'].live_migration)


class TestEnvironment(TestCase):

    def test_tools_find_what_was_written(self):
        self.make()
        values = workspace.environment(self.layout)
        self.assertTrue(os.path.isfile(values['OS_CLIENT_CONFIG_FILE']))
        self.assertTrue(os.path.isfile(os.path.join(
            values['TEMPEST_CONFIG_DIR'], values['TEMPEST_CONFIG'])))
        found = yaml.safe_load(self.layout.clouds_yaml.read_text())
        self.assertIn(values['OS_CLOUD'], found['clouds'])

    def test_virtualenv_comes_first(self):
        path = workspace.environment(self.layout)['PATH'].split(':')
        self.assertEqual(str(self.layout.venvs / 'tempest' / 'bin'), path[0])
        self.assertIn('/usr/sbin', path)


class Api:
    """An API that notes each creation."""

    def __init__(self):
        self.made = []

    def __getattr__(self, name):
        if not name.startswith('create_'):
            raise AttributeError(name)

        def create(*args, **values):
            self.made.append((name.removeprefix('create_'), args, values))
            return types.SimpleNamespace(id=f'id-{len(self.made)}', **values)
        return create

    def all(self, kind):
        return [values for each, _, values in self.made if each == kind]


class TestResources(unittest.TestCase):

    def setUp(self):
        super().setUp()
        self.cloud = types.SimpleNamespace(compute=Api(), image=Api(),
                                           network=Api())

    def test_flavors_keep_the_white_papers_proportions(self):
        workspace.make_flavors(self.cloud)
        made = self.cloud.compute.all('flavor')
        self.assertEqual(3, len(made))
        small = made[0]
        for factor, flavor in zip((1, 2, 4), made, strict=True):
            for what in ('ram', 'disk'):
                self.assertEqual(factor * small[what], flavor[what])

    def test_no_flavor_takes_more_cpus_than_a_lab_has(self):
        workspace.make_flavors(self.cloud)
        self.assertEqual([1, 2, 2], [
            each['vcpus'] for each in self.cloud.compute.all('flavor')])

    def test_quotas_of_the_administrator(self):
        lifted = []
        self.cloud.current_project_id = 'project-1'
        self.cloud.set_compute_quotas = lambda *args, **values: lifted.append(
            (args, values))
        workspace.lift_quotas(self.cloud)
        self.assertEqual(
            [(('project-1',), {'instances': -1, 'cores': -1, 'ram': -1})],
            lifted)

    def test_guests_have_a_source_of_randomness(self):
        workspace.make_flavors(self.cloud)
        specs = [args for kind, args, _ in self.cloud.compute.made
                 if kind == 'flavor_extra_specs']
        self.assertEqual([flavor.name for flavor in workspace.FLAVORS],
                         [flavor.name for flavor, _ in specs])
        for _, values in specs:
            self.assertEqual({'hw_rng:allowed': 'True'}, values)
        workspace.make_image(self.cloud, 'guest.qcow2', 'qcow2')
        self.assertEqual('virtio',
                         self.cloud.image.all('image')[0]['hw_rng_model'])

    def test_image(self):
        workspace.make_image(self.cloud, 'guest.qcow2', 'qcow2')
        [image] = self.cloud.image.all('image')
        self.assertEqual(
            ('guest.qcow2', 'qcow2', 'bare', 'public', True),
            tuple(image[name] for name in (
                'filename', 'disk_format', 'container_format', 'visibility',
                'wait')))

    def test_network(self):
        topology = Topology()
        workspace.make_network(self.cloud, topology)
        [network] = self.cloud.network.all('network')
        [subnet] = self.cloud.network.all('subnet')
        self.assertEqual(('flat', True), (network['provider_network_type'],
                                          network['is_shared']))
        self.assertEqual('id-1', subnet['network_id'])
        cidr = ipaddress.ip_network(subnet['cidr'])
        self.assertEqual(PROVIDER, cidr)
        # OVN answers DHCP only on a subnet that has a gateway.
        self.assertIn(ipaddress.ip_address(subnet['gateway_ip']), cidr)
        [pool] = subnet['allocation_pools']
        self.assertEqual({'start', 'end'}, set(pool))
        for address in pool.values():
            self.assertIn(ipaddress.ip_address(address), cidr)

    def test_probes_are_let_in(self):
        workspace.make_network(self.cloud, Topology())
        rules = self.cloud.network.all('security_group_rule')
        self.assertEqual({'ingress'}, {rule['direction'] for rule in rules})
        self.assertEqual({('icmp', None), ('tcp', 22),
                          ('tcp', workspace.ECHO_PORT)}, {
            (rule['protocol'], rule.get('port_range_min'))
            for rule in rules})
        for rule in rules:
            self.assertEqual(rule.get('port_range_min'),
                             rule.get('port_range_max'))
