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
import tempfile
import unittest

from lab.image import modules

DEPENDENCIES = """\
kernel/virtio/virtio_ring.ko:
kernel/virtio/virtio.ko: kernel/virtio/virtio_ring.ko
kernel/net/failover.ko:
kernel/net/net_failover.ko: kernel/net/failover.ko
kernel/net/virtio_net.ko.xz: kernel/net/net_failover.ko \
kernel/net/failover.ko kernel/virtio/virtio.ko kernel/virtio/virtio_ring.ko
kernel/char/virtio-rng.ko: kernel/virtio/virtio.ko \
kernel/virtio/virtio_ring.ko
"""
INSIDE = ('ext4', 'crc32c_generic')
BUILTIN = 'kernel/fs/ext4/ext4.ko\nkernel/crypto/crc32c_generic.ko\n'


class TestModules(unittest.TestCase):

    def test_module_name(self):
        for path in ('a/virtio-rng.ko', 'virtio_rng.ko.xz', 'virtio-rng'):
            self.assertEqual('virtio_rng', modules.module_name(path))

    def test_resolve_puts_needed_modules_first(self):
        self.assertEqual(
            ['kernel/virtio/virtio_ring.ko', 'kernel/virtio/virtio.ko',
             'kernel/net/failover.ko', 'kernel/net/net_failover.ko',
             'kernel/net/virtio_net.ko.xz', 'kernel/char/virtio-rng.ko'],
            modules.resolve(DEPENDENCIES, BUILTIN,
                            ('virtio_net', 'virtio_rng')))

    def test_resolve_skips_what_is_built_in(self):
        self.assertEqual([], modules.resolve(DEPENDENCIES, BUILTIN,
                                             ('ext4',)))

    def test_resolve_names_what_is_missing(self):
        with self.assertRaisesRegex(modules.MissingModule, 'module button'):
            modules.resolve(DEPENDENCIES, BUILTIN, ('ext4', 'button'))

    def test_reduced_dependencies(self):
        self.assertEqual(
            'kernel/net/failover.ko:\n'
            'kernel/net/net_failover.ko: kernel/net/failover.ko\n',
            modules.reduced_dependencies(
                DEPENDENCIES, ['kernel/net/failover.ko',
                               'kernel/net/net_failover.ko']))

    def test_install(self):
        with tempfile.TemporaryDirectory() as name:
            source = pathlib.Path(name, 'source')
            target = pathlib.Path(name, 'target')
            paths = [f'kernel/{module}.ko' for module in modules.WANTED
                     if module not in INSIDE]
            for path in [*paths, 'kernel/unwanted.ko']:
                (source / path).parent.mkdir(parents=True, exist_ok=True)
                (source / path).write_text(path)
            (source / 'modules.dep').write_text(
                ''.join(f'{path}:\n' for path in paths))
            (source / 'modules.builtin').write_text(BUILTIN)
            names = modules.install(source, target)
            self.assertEqual(
                [module for module in modules.WANTED if module not in INSIDE],
                names)
            self.assertEqual('kernel/evdev.ko',
                             (target / 'kernel/evdev.ko').read_text())
            self.assertFalse((target / 'kernel/unwanted.ko').exists())
            self.assertIn('kernel/virtio_net.ko:',
                          (target / 'modules.dep').read_text())
