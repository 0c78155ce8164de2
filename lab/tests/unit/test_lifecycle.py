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
import io
import json
import os
import signal
import subprocess
import sys

from lab import configuration
from lab import errors
from lab.hosts import sandbox
from lab import image
from lab import inside
from lab import layout
from lab import lifecycle
from lab.machine import checks
from lab.machine import debian
from lab.machine import overlays
from lab.machine import qemu
from lab.machine import userland
from lab.machine import virtualenvs
from lab import reload
from lab.services.base import Lab
from lab.services.ceph import Ceph
from lab.tests.unit import base
from lab.topology import Topology

TWO = Topology(computes=2)


class TestCase(base.TestCase):
    """A machine on which a lab comes and goes at once."""

    def setUp(self):
        super().setUp()
        self.process = None
        self.others = None
        self.recent = True
        self.missing = []
        self.current = True
        self.events = []
        self.starting = 'raise SystemExit(0)'
        # Whatever is not replaced below is not to be found either.
        os.environ['PATH'] = str(self.folder / 'bin')
        for name, replacement in (
                ('find', lambda root: self.process),
                ('refuse_others', self._refuse_others),
                ('begin', self._begin), ('end', self._end),
                ('enter', lambda *_: [])):
            self.patch(sandbox, name, replacement)
        self.patch(inside, 'start_command',
                   lambda layout, topology: ['-I', '-S', '-c', self.starting])
        for name in ('memory', 'disk'):
            self.patch(checks, name, self._noting(name))
        self.patch(qemu, 'try_kvm', self._noting('kvm'))
        self.patch(qemu, 'is_current', lambda has_ceph: self.recent)
        self.patch(qemu, 'install', self._noting('qemu'))
        self.patch(debian, 'missing', lambda packages: self.missing)
        self.patch(debian, 'install', self._noting('packages'))
        self.patch(debian, 'ensure_lists', self._noting('lists'))
        self.patch(virtualenvs, 'is_current', lambda *_: self.current)
        self.patch(virtualenvs, 'make', self._noting('virtualenv'))
        self.patch(virtualenvs, 'link_ceph', self._noting('links'))
        self.installed = []
        # The cloud's has all projects; the others have what sets them apart.
        self.venvs = {f'nova {version}': self.nova(f'nova-{version}', age=age)
                      for version, age in (('33.0.2', 72), ('35.0.0', 76))}
        self.nova()
        self.patch(overlays, 'install', self._install)
        self.patch(reload, 'command', lambda paths, topology, wanted: [
            '-I', '-S', '-c', self.switching.format(list(wanted))])
        self.switching = f'open("{self.folder}/switched", "w").write("{{}}")'
        self.servers = 'print([])'
        self.patch(inside, 'servers_command',
                   lambda layout: ['-I', '-S', '-c', self.servers])
        self.patch(Lab, 'configure', self._configure)
        self.patch(image, 'fingerprint', return_value='print')
        self.patch(image, 'build', self._build)

    def _noting(self, what):
        return lambda *args: self.events.append(what)

    def _install(self, paths, *chosen):
        self.assertEqual(self.layout, paths)
        name = ', '.join(f'{each.project} {each.text}' for each in chosen)
        self.installed.append(name)
        return self.venvs.setdefault(
            name, self.layout.venvs / name.replace(' ', '-'))

    def _refuse_others(self, root):
        if self.others:
            raise errors.LabError(self.others)

    def _configure(self):
        # Other tests render the templates, and that takes a while.
        self.write(Lab(self.layout, TWO).supervisor_conf)

    def _begin(self, layout, supervisor_conf):
        self.assertTrue(supervisor_conf.is_file())
        self.assertTrue(layout.instances.is_dir())
        self.events.append('begin')
        self.process = sandbox.Process(7, layout.root, True)

    def _end(self, root, *_):
        self.assertEqual(self.layout.root, root)
        was, self.process = self.process, None
        self.events.append('end')
        return was is not None

    def _build(self, target, work):
        self.events.append('image')
        self.write(target, 'image')

    def up(self, topology=TWO, **options):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            lifecycle.up(self.layout, topology, **options)
        return out.getvalue()


class TestUp(TestCase):

    def test_up(self):
        said = self.up()
        self.assertIn('The cloud is up:', said)
        self.assertIn('--computes 2', said)
        self.assertEqual(TWO, lifecycle.running(self.layout))
        # Leftovers of an earlier cloud are removed before anything else.
        self.assertLess(self.events.index('end'),
                        self.events.index('begin'))

    def test_lock_is_given_back(self):
        self.up()
        with layout.locked(self.layout):
            pass

    def test_refused_while_another_command_is_at_it(self):
        with layout.locked(self.layout):
            for command in (self.up, lambda: sandbox.down(self.layout),
                            lambda: sandbox.destroy(self.layout)):
                self.assertIn('Another run-lab.sh', self.refused(command))
        self.assertEqual([], self.events)

    def test_twice(self):
        self.up()
        self.events.clear()
        said = self.up()
        self.assertIn('is up already', said)
        self.assertEqual([], self.events)

    def test_other_topology(self):
        self.up()
        self.events.clear()
        for other in (Topology(computes=3),
                      Topology(kvm=True),
                      Topology(max_concurrent_live_migrations=2)):
            message = self.refused(self.up, other)
            self.assertIn('--computes 2 --storage block', message)
            self.assertIn('tools/run-lab.sh down', message)
            self.assert_sentence(message)
        self.assertEqual([], self.events)
        self.assertEqual(TWO, lifecycle.running(self.layout))

    def test_other_checkout(self):
        self.others = 'Another lab.'
        self.write(self.layout.log / 'old.log')
        self.assertEqual('Another lab.', self.refused(self.up))
        self.assertEqual([], self.events)
        self.assertTrue((self.layout.log / 'old.log').exists())

    def test_too_little_memory(self):
        self.patch(checks, 'memory', side_effect=errors.LabError('Small.'))
        self.assertEqual('Small.', self.refused(self.up))
        self.assertNotIn('begin', self.events)

    def test_kvm_is_looked_for_only_when_asked_for(self):
        self.up()
        self.assertNotIn('kvm', self.events)
        sandbox.down(self.layout)
        self.up(Topology(kvm=True))
        self.assertIn('kvm', self.events)

    def test_half_made_cloud_is_made_anew(self):
        # Killed before it was ready: processes live and nobody needs them.
        self.up()
        self.layout.ready.unlink()
        old = self.write(self.layout.data('controller') / 'old')
        self.events.clear()
        self.up()
        self.assertEqual('end', self.events[0])
        self.assertIn('begin', self.events)
        self.assertFalse(old.exists())

    def test_dead_cloud_is_made_anew(self):
        self.up()
        self.process = None
        self.assertIsNone(lifecycle.running(self.layout))
        self.up()
        self.assertIsNotNone(lifecycle.running(self.layout))

    def test_what_is_kept(self):
        kept = [self.write(path) for path in (
            self.layout.cache / 'database-x' / 'file',
            self.layout.workspace / '.stestr' / '0')]
        gone = [self.write(path) for path in (
            self.layout.log / 'old.log', self.layout.cloud / 'old')]
        self.up()
        passwords = configuration.passwords(self.layout)
        for path in kept:
            self.assertTrue(path.exists(), path)
        for path in gone:
            self.assertFalse(path.exists(), path)
        sandbox.down(self.layout)
        self.up()
        self.assertEqual(passwords, configuration.passwords(self.layout))

    def test_failure_ends_the_lab(self):
        self.starting = 'raise SystemExit(1)'
        message = self.refused(self.up)
        self.assertIn(str(self.layout.log), message)
        self.assertIsNone(self.process)
        self.assertFalse(self.layout.ready.exists())
        self.assertIsNone(lifecycle.running(self.layout))

    def test_supervisor_that_does_not_come_up(self):
        self.patch(sandbox, 'begin', side_effect=errors.LabError('No.'))
        self.assertEqual('No.', self.refused(self.up))
        self.assertEqual('end', self.events[-1])

    def test_lab_that_ends_as_soon_as_it_began(self):
        self.patch(sandbox, 'begin', lambda *_: None)
        message = self.refused(self.up)
        self.assertIn('supervisord.log', message)
        self.assert_sentence(message)

    def test_interrupted(self):
        children = []
        real = subprocess.Popen.wait

        def wait(child, timeout=None):
            if not children:
                children.append(child)
                raise KeyboardInterrupt
            return real(child, timeout)

        self.patch(subprocess.Popen, 'wait', wait)
        self.starting = 'import time; time.sleep(60)'
        with self.assertRaises(KeyboardInterrupt):
            self.up()
        self.assertEqual(-signal.SIGKILL, children[0].returncode)
        self.assertIsNone(self.process)
        self.assertFalse(self.layout.ready.exists())

    def test_starts_with_an_environment_that_does_not_mislead(self):
        os.environ['http_proxy'] = 'http://proxy.invalid'
        out = self.folder / 'out'
        self.starting = (f'import os; open({str(out)!r}, "w").write('
                         f'str("http_proxy" in os.environ))')
        self.up()
        self.assertEqual('False', out.read_text())


class TestSwitch(TestCase):
    """Another storage for a cloud that is up."""

    def setUp(self):
        super().setUp()
        self.up()
        self.events.clear()

    def switch(self, storage='ceph', **topology):
        return self.up(Topology(storage=storage, **topology),
                       may_switch=True)

    def test_there_and_back(self):
        kept = self.write(self.layout.cache / 'database-x' / 'file')
        for storage in ('ceph', 'block'):
            said = self.switch(storage)
            self.assertIn(f'anew with --storage {storage}', said)
            self.assertLess(self.events.index('end'),
                            self.events.index('begin'))
            self.assertEqual(storage, lifecycle.running(self.layout).storage)
            self.events.clear()
        self.assertTrue(kept.exists())

    def test_same_storage(self):
        self.assertIn('is up already', self.switch('block'))
        self.assertEqual([], self.events)

    def test_only_when_it_is_asked_for(self):
        # "up" means block, and must not end a cloud with Ceph.
        message = self.refused(self.up, Topology(storage='ceph'))
        self.assertIn('has --computes 2 --storage block', message)
        self.assertIn('tools/run-lab.sh up --computes 2 --storage ceph '
                      'changes its services', message)
        self.assert_sentence(message)
        self.assertEqual([], self.events)

    def test_nothing_else_changes(self):
        for other in ({'computes': 3}, {'kvm': True}):
            message = self.refused(self.switch, **other)
            self.assertIn('up --computes 2 --storage ceph', message)
            self.assert_sentence(message)
        self.assertEqual([], self.events)

    def test_volumes_are_added(self):
        self.switch()
        self.events.clear()
        said = self.switch(volumes=True)
        self.assertIn('anew with --storage ceph --volumes.', said)
        self.assertLess(self.events.index('end'), self.events.index('begin'))
        self.assertTrue(lifecycle.running(self.layout).volumes)

    def test_heat_is_added_and_stays(self):
        said = self.switch('block', heat=True)
        self.assertIn('anew with --storage block --heat.', said)
        self.assertLess(self.events.index('end'), self.events.index('begin'))
        self.events.clear()
        self.assertIn('is up already', self.switch('block'))
        self.assertEqual([], self.events)
        self.assertTrue(lifecycle.running(self.layout).heat)

    def test_volumes_stay(self):
        self.switch(volumes=True)
        self.events.clear()
        self.assertIn('is up already', self.switch())
        self.assertEqual([], self.events)

    def test_volumes_go_with_ceph(self):
        self.switch(volumes=True)
        self.switch('block')
        self.assertEqual(TWO, lifecycle.running(self.layout))

    def test_volumes_are_no_reason_to_change_anything_else(self):
        self.switch(volumes=True)
        message = self.refused(self.switch, computes=3)
        self.assertIn('has --computes 2 --storage ceph --volumes', message)
        # There is no service to be changed.
        self.assertNotIn('changes its services', message)
        self.assert_sentence(message)

    def test_servers_that_are_left(self):
        self.servers = 'print(\'["one", "two"]\')'
        message = self.refused(self.switch)
        self.assertIn('2 servers or volumes (one, two)', message)
        self.assert_sentence(message)
        self.assertEqual([], self.events)
        self.assertEqual(TWO, lifecycle.running(self.layout))

    def test_servers_that_cannot_be_seen(self):
        for program, reason in (('raise SystemExit("No route")', 'No route'),
                                ('', 'it says nothing')):
            self.servers = program
            message = self.refused(self.switch)
            self.assertIn(f'({reason})', message)
            self.assert_sentence(message)
        self.assertEqual([], self.events)

    def test_cloud_of_an_older_checkout(self):
        self.current = False
        message = self.refused(self.switch)
        self.assertIn('older than this checkout', message)
        self.assert_sentence(message)
        self.assertEqual([], self.events)


class TestCode(TestCase):
    """Other code for a cloud that is to come up, or is up."""

    def links(self, project='nova'):
        """Return the virtualenv that each host runs a project from."""
        return {host: venv.name for host, venv in reload.current(
            self.layout, TWO, project).items()}

    def switched(self):
        """Return the hosts whose nova was changed in a cloud that is up."""
        path = self.folder / 'switched'
        text = path.read_text() if path.exists() else '[]'
        path.unlink(missing_ok=True)
        return text

    def test_pinned(self):
        self.up()
        self.assertEqual(['cloud'] * 3, list(self.links().values()))
        for project in ('keystone', 'neutron', 'cinder'):
            self.assertEqual('cloud', self.links(project)['controller'])
        self.assertEqual([], self.installed)

    def test_release(self):
        said = self.up(Topology(sources=('nova=33.0.2',)))
        self.assertEqual({'nova-33.0.2'}, set(self.links().values()))
        self.assertIn('--from nova=33.0.2', said)

    def test_several(self):
        asked = Topology(sources=('nova=35.0.0',),
                         nova_on=('compute1=33.0.2',))
        said = self.up(asked)
        self.assertEqual(
            {'controller': 'nova-35.0.0', 'compute1': 'nova-33.0.2',
             'compute2': 'nova-35.0.0'}, self.links())
        self.assertIn('--from nova=35.0.0 --nova-on compute1=33.0.2', said)
        self.assertEqual(asked, lifecycle.running(self.layout))

    def test_unknown_host(self):
        message = self.refused(self.up, Topology(nova_on=('compute3=33.0.2',)))
        self.assertEqual(
            "--nova-on compute3=33.0.2: the lab has no host 'compute3', only "
            "controller, compute1, compute2.", message)
        self.assertEqual([], self.events)

    def test_no_nova(self):
        message = self.refused(self.up, Topology(nova_on=('compute1=other',)))
        self.assertIn("'other' is neither", message)
        self.assertEqual([], self.events)

    def test_stays_unless_another_one_is_named(self):
        self.up(Topology(sources=('nova=33.0.2',)))
        self.events.clear()
        said = self.up()
        self.assertIn('is up already (--computes 2 --storage block --from '
                      'nova=33.0.2)', said)
        self.assertEqual([], self.events)
        # A new cloud has the pinned one.
        sandbox.down(self.layout)
        self.up()
        self.assertEqual({'cloud'}, set(self.links().values()))

    def test_stays_with_another_storage(self):
        self.up(Topology(sources=('nova=33.0.2',)))
        self.up(Topology(storage='ceph'), may_switch=True)
        self.assertEqual({'nova-33.0.2'}, set(self.links().values()))

    def test_same_one(self):
        self.up(Topology(sources=('nova=33.0.2',)))
        self.events.clear()
        said = self.up(Topology(sources=('nova=33.0.2',)))
        self.assertIn('is up already', said)
        self.assertEqual('[]', self.switched())
        self.assertEqual([], self.events)

    def test_newer_one(self):
        self.up()
        self.events.clear()
        said = self.up(Topology(sources=('nova=35.0.0',),
                                nova_on=('compute2=',)))
        self.assertIn('have restarted on controller, compute1 within', said)
        self.assertEqual("[('nova', 'controller'), ('nova', 'compute1')]",
                         self.switched())
        self.assertEqual([], self.events)
        self.assertEqual(('nova=35.0.0',),
                         lifecycle.running(self.layout).sources)

    def test_other_one_for_one_host(self):
        self.up(Topology(sources=('nova=33.0.2',),
                         nova_on=('compute1=33.0.2',)))
        self.up(Topology(nova_on=('compute1=35.0.0',)))
        self.assertEqual("[('nova', 'compute1')]", self.switched())
        present = lifecycle.running(self.layout)
        self.assertEqual(['33.0.2', '35.0.0', '33.0.2'], [
            present.source_of('nova', host.name) for host in present.hosts])

    def test_older_one_needs_a_new_cloud(self):
        self.up()
        self.events.clear()
        said = self.up(Topology(nova_on=('compute1=33.0.2',)))
        self.assertIn('anew, because the new code cannot', said)
        self.assertLess(self.events.index('end'), self.events.index('begin'))
        self.assertEqual('[]', self.switched())
        self.assertEqual('nova-33.0.2', self.links()['compute1'])

    def test_servers_in_the_way(self):
        self.up()
        self.events.clear()
        self.servers = 'print(\'["one", "two"]\')'
        for nova, remedy in (('35.0.0', 'or add --reload'),
                             ('33.0.2', 'delete them first.')):
            message = self.refused(self.up,
                                   Topology(sources=(f'nova={nova}',)))
            self.assertIn('2 servers or volumes (one, two)', message)
            self.assertIn(remedy, message)
            self.assert_sentence(message)
        self.assertEqual([], self.events)
        self.assertEqual('[]', self.switched())
        self.assertEqual(TWO, lifecycle.running(self.layout))

    def test_reload_with_servers(self):
        self.up(Topology(sources=('nova=33.0.2',)))
        self.events.clear()
        self.servers = 'print(\'["one"]\')'
        self.up(Topology(sources=('nova=35.0.0',)), reloads=True)
        everywhere = str([('nova', host) for host
                          in ('controller', 'compute1', 'compute2')])
        self.assertEqual(everywhere, self.switched())
        # Without a name it is the one that runs, and it restarts in any case.
        self.installed.clear()
        self.up(reloads=True)
        self.assertEqual(['nova 35.0.0'], self.installed)
        self.assertEqual(everywhere, self.switched())
        self.assertEqual([], self.events)

    def test_reload_of_an_older_one(self):
        self.up()
        self.servers = 'print(\'["one"]\')'
        message = self.refused(self.up, Topology(sources=('nova=33.0.2',)),
                               reloads=True)
        self.assertIn('This nova cannot replace the one that runs', message)
        self.assert_sentence(message)

    def test_reload_without_a_cloud(self):
        message = self.refused(self.up, reloads=True)
        self.assertIn('there is nothing to reload', message)
        self.assert_sentence(message)
        self.assertEqual([], self.events)

    def test_nova_that_does_not_come_up(self):
        self.up()
        self.switching = 'raise SystemExit(1)'
        message = self.refused(self.up, Topology(sources=('nova=35.0.0',)))
        self.assertIn('The new code does not come up', message)
        # The next --reload takes the same one.
        self.assertEqual(('nova=35.0.0',),
                         lifecycle.running(self.layout).sources)

    def test_cloud_of_an_older_version_of_the_lab(self):
        self.up()
        self.layout.nova('compute1').unlink()
        message = self.refused(self.up, Topology(sources=('nova=35.0.0',)))
        self.assertIn('older than this checkout', message)
        self.assert_sentence(message)

    def test_library_is_for_all_projects(self):
        said = self.up(Topology(sources=('os-vif=4.3.0',)))
        self.assertIn('--from os-vif=4.3.0', said)
        self.assertEqual(['os-vif 4.3.0'], self.installed)
        for project in ('keystone', 'neutron', 'nova', 'cinder'):
            self.assertEqual({'os-vif-4.3.0'},
                             set(self.links(project).values()))

    def test_service_and_library(self):
        self.up(Topology(sources=('neutron=28.0.0', 'os-vif=4.3.0'),
                         nova_on=('compute1=33.0.2',)))
        self.assertEqual({'neutron-28.0.0,-os-vif-4.3.0'},
                         set(self.links('neutron').values()))
        self.assertEqual({'os-vif-4.3.0'},
                         set(self.links('keystone').values()))
        self.assertEqual(
            {'controller': 'os-vif-4.3.0',
             'compute1': 'nova-33.0.2,-os-vif-4.3.0',
             'compute2': 'os-vif-4.3.0'}, self.links())

    def test_each_project_stays_unless_it_is_named(self):
        self.up(Topology(sources=('nova=33.0.2',)))
        new = self.project('neutron', 'neutron-30.0.0', '30.0.0')
        self.up(Topology(sources=('neutron=30.0.0',)))
        hosts = ('controller', 'compute1', 'compute2')
        self.assertEqual(str([('neutron', host) for host in hosts]),
                         self.switched())
        for host in hosts:
            layout.link(self.layout.code / 'neutron' / host, new)
        self.assertEqual(('neutron=30.0.0', 'nova=33.0.2'),
                         lifecycle.running(self.layout).sources)
        # And --reload without a name restarts both, nova last.
        self.up(reloads=True)
        restarted = self.switched()
        self.assertLess(restarted.index('neutron'), restarted.index('nova'))
        self.assertNotIn('keystone', restarted)

    def test_older_neutron_needs_a_new_cloud(self):
        self.up()
        self.project('neutron', 'neutron-28.0.0', '28.0.0', migrations=())
        self.events.clear()
        self.up(Topology(sources=('neutron=28.0.0',)))
        self.assertIn('begin', self.events)
        self.servers = 'print(\'["one"]\')'
        self.project('glance', 'glance-32.0.0', '32.0.0', migrations=())
        message = self.refused(self.up, Topology(sources=('glance=32.0.0',)))
        self.assertIn('This glance cannot replace the one that runs', message)


class TestCeph(TestCase):

    def test_what_ceph_needs(self):
        wanted = []
        self.patch(debian, 'missing', lambda names: wanted.extend(names))
        asked = []
        self.patch(qemu, 'is_current', lambda has_ceph: (
            asked.append(has_ceph) or True))
        self.patch(checks, 'memory', lambda *args: asked.append(args))
        said = self.up(Topology(storage='ceph'))
        self.assertLessEqual(set(Ceph.packages), set(wanted))
        self.assertEqual([(2, True, False, False), True], asked)
        self.assertIn(' s  Ceph for Python\n', said)

    def test_nothing_of_it_without_it(self):
        wanted = []
        self.patch(debian, 'missing', lambda names: wanted.extend(names))
        self.up()
        self.assertEqual(set(), set(Ceph.packages) & set(wanted))
        self.assertNotIn('links', self.events)

    def test_modules_are_linked_into_what_is_there(self):
        self.current, self.missing = False, ['ceph-mon']
        self.up(Topology(storage='ceph'))
        for before in ('packages', 'virtualenv'):
            self.assertLess(self.events.index(before),
                            self.events.index('links'))


class TestInstallation(TestCase):

    def test_nothing_is_missing(self):
        self.write(self.layout.image)
        self.write(self.layout.image.with_suffix('.fingerprint'), 'print')
        self.up()
        for what in ('qemu', 'packages', 'virtualenv', 'image'):
            self.assertNotIn(what, self.events)

    def test_everything_is_missing(self):
        self.recent = self.current = False
        self.missing = ['mariadb-server-core']
        said = self.up()
        for what in ('qemu', 'packages', 'virtualenv', 'image', 'disk'):
            self.assertIn(what, self.events)
        # Else a package might draw in the release's QEMU first.
        self.assertLess(self.events.index('qemu'),
                        self.events.index('packages'))
        # Debian's modules are linked into the virtualenv.
        self.assertLess(self.events.index('packages'),
                        self.events.index('virtualenv'))
        self.assertLess(self.events.index('packages'),
                        self.events.index('image'))
        for what in ('QEMU', 'Debian packages', 'virtualenv cloud',
                     'guest image'):
            self.assertIn(f' s  {what}\n', said)

    def test_heat(self):
        self.current = False
        said = self.up(Topology(heat=True))
        # It sees the packages of the cloud's virtualenv.
        self.assertLess(said.index(' s  virtualenv cloud\n'),
                        said.index(' s  virtualenv heat\n'))

    def test_libvirt_and_qemu_of_another_suite(self):
        made = []
        self.patch(userland, 'install',
                   lambda paths, suite, log: made.append(suite))
        said = self.up(Topology(
            computes=3,
            qemu_on='compute1=trixie,compute2=forky,compute3=trixie'))
        self.assertEqual(['trixie', 'forky'], sorted(made, reverse=True))
        self.assertIn(' s  libvirt and QEMU of Debian trixie\n', said)

    def test_a_suite_that_is_there(self):
        (self.layout.userlands / 'trixie').mkdir(parents=True)
        self.patch(userland, 'install', side_effect=AssertionError)
        self.up(Topology(qemu_on='compute1=trixie'))

    def test_a_host_that_is_not_there(self):
        self.assertIn('no compute host', self.refused(
            self.up, Topology(qemu_on='compute9=trixie')))
        self.assertNotIn('begin', self.events)

    def test_qemu_is_too_old(self):
        self.recent = False
        self.up()
        # The image is made with the QEMU that is there afterwards.
        self.assertLess(self.events.index('qemu'),
                        self.events.index('image'))
        self.assertNotIn('packages', self.events)

    def test_image_of_an_older_qemu_is_made_anew(self):
        self.up()
        sandbox.down(self.layout)
        self.recent = False
        self.patch(qemu, 'install', lambda log, has_ceph: setattr(
            image.fingerprint, 'return_value', 'of another version'))
        self.up()
        self.assertEqual(2, self.events.count('image'))

    def test_qemu_that_cannot_be_had(self):
        self.recent, self.missing = False, ['memcached']
        self.patch(qemu, 'install', side_effect=errors.LabError('No.'))
        self.assertEqual('No.', self.refused(self.up))
        for what in ('packages', 'image', 'begin'):
            self.assertNotIn(what, self.events)

    def test_qemu_of_a_cloud_that_is_up_is_left(self):
        self.up()
        self.recent = False
        self.events.clear()
        self.up()
        self.assertEqual([], self.events)

    def test_disk_is_looked_at_before_it_is_filled(self):
        needed = []
        self.patch(checks, 'disk', lambda layout, number: (
            needed.append(number)))
        self.up()
        self.assertEqual({checks.DISK_TO_RUN}, set(needed))
        for recent, missing in ((True, ['memcached']), (False, [])):
            sandbox.down(self.layout)
            needed.clear()
            self.recent, self.missing = recent, missing
            self.up()
            self.assertIn(checks.DISK_TO_INSTALL, needed)

    def test_full_disk(self):
        self.patch(checks, 'disk', side_effect=errors.LabError('Full.'))
        self.missing = ['memcached']
        self.assertEqual('Full.', self.refused(self.up))
        for what in ('packages', 'begin'):
            self.assertNotIn(what, self.events)

    def test_package_that_cannot_be_installed(self):
        self.missing = ['memcached']
        self.current = False
        self.patch(debian, 'install', side_effect=errors.LabError('No.'))
        self.assertEqual('No.', self.refused(self.up))
        for what in ('virtualenv', 'image', 'begin'):
            self.assertNotIn(what, self.events)

    def test_image_is_kept(self):
        self.up()
        sandbox.down(self.layout)
        self.up()
        self.assertEqual(1, self.events.count('image'))

    def test_package_lists_are_needed_only_to_build(self):
        self.up()
        self.assertLess(self.events.index('lists'),
                        self.events.index('image'))
        sandbox.down(self.layout)
        # There is no network any more.
        self.patch(debian, 'ensure_lists', side_effect=errors.LabError('No.'))
        self.up()

    def test_image_of_other_sources_is_made_anew(self):
        self.up()
        sandbox.down(self.layout)
        image.fingerprint.return_value = 'other'
        self.up()
        self.assertEqual(2, self.events.count('image'))

    def test_image_that_is_lost_is_made_anew(self):
        self.up()
        sandbox.down(self.layout)
        self.layout.image.unlink()
        self.up()
        self.assertEqual(2, self.events.count('image'))

    def test_image_that_cannot_be_made(self):
        self.patch(image, 'build', side_effect=image.ImageError(
            'mkfs.vfat is missing.'))
        message = self.refused(self.up)
        self.assertIn('guest image: mkfs.vfat is missing.', message)
        self.assertFalse(
            self.layout.image.with_suffix('.fingerprint').exists())


class TestRunning(TestCase):

    def test_running(self):
        self.assertIsNone(lifecycle.running(self.layout))
        # An option that it does not name has its default.
        self.write(self.layout.ready, json.dumps(
            {'computes': 3, 'kvm': True, 'storage': 'block'}))
        self.assertIsNone(lifecycle.running(self.layout))
        self.process = sandbox.Process(7, self.layout.root, True)
        self.assertEqual(Topology(computes=3, kvm=True),
                         lifecycle.running(self.layout))

    def test_record_that_is_damaged_or_of_another_version(self):
        self.process = sandbox.Process(7, self.layout.root, True)
        self.layout.ready.parent.mkdir(parents=True)
        for content in (b'', b'{', b'[1]', b'null', b'\xff\xfe',
                        b'{"computes": 2, "old": 1}'):
            self.layout.ready.write_bytes(content)
            self.assertIsNone(lifecycle.running(self.layout), content)
        # It is made anew.
        self.up()
        self.assertEqual('end', self.events[0])
        self.assertEqual(TWO, lifecycle.running(self.layout))

    def test_interpreter_is_the_same(self):
        out = self.folder / 'out'
        self.starting = (f'import sys; open({str(out)!r}, "w").write('
                         f'sys.executable)')
        self.up()
        self.assertEqual(sys.executable, out.read_text())
