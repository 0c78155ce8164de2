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

from lm_tempest_plugin.operator import errors
from lm_tempest_plugin.operator import flavors
from lm_tempest_plugin.operator import images
from lm_tempest_plugin.operator import made
from lm_tempest_plugin.operator import marks
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit.operator import fakes


def image(disk=0, ram=0):
    return images.Image(made.Made('image', 'i', 'i', False), 'root', disk,
                        ram)


class FlavorsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.access = fakes.cloud()
        self.nova = self.access.connection.compute

    def test_all_are_made(self):
        found = flavors.provide(self.access, flavors.SIZES, image())
        self.assertEqual([True] * 3, [each.new for each in found])
        self.assertEqual(
            [('lm.small', 1, 1024, 10), ('lm.medium', 2, 2048, 20),
             ('lm.large', 4, 4096, 40)],
            [(each.name, each.vcpus, each.ram, each.disk)
             for each in self.nova.all_flavors.values()])
        for each in self.nova.all_flavors.values():
            self.assertEqual(marks.DESCRIPTION, each.description)

    def test_a_second_time_none_is_made(self):
        first = flavors.provide(self.access, flavors.SIZES, image())
        before = self.access.connection.writes()
        second = flavors.provide(self.access, flavors.SIZES, image())
        self.assertEqual(before, self.access.connection.writes())
        self.assertEqual([each.identifier for each in first],
                         [each.identifier for each in second])
        self.assertEqual([False] * 3, [each.new for each in second])

    def test_one_that_is_there_is_used_as_it_is(self):
        mine = self.nova.all_flavors.add(
            name='lm.medium', vcpus=2, ram=384, disk=2)
        found = flavors.provide(self.access, flavors.SIZES, image())
        self.assertEqual([True, False, True], [each.new for each in found])
        self.assertEqual(mine.id, found[1].identifier)
        self.assertIn('384 MiB', str(found[1]))

    def test_a_large_image_makes_flavors_larger(self):
        flavors.provide(self.access, flavors.SIZES, image(15, 1500))
        self.assertEqual(
            [(1500, 15), (2048, 20), (4096, 40)],
            [(each.ram, each.disk)
             for each in self.nova.all_flavors.values()])

    def test_named(self):
        mine = self.nova.all_flavors.add(name='m1', vcpus=2, ram=384, disk=2)
        found = flavors.named(self.access, ['m1', mine.id])
        self.assertEqual([mine.id] * 2, [each.identifier for each in found])
        exc = self.assertRaises(errors.OperatorError, flavors.named,
                                self.access, ['m2'])
        self.assertEqual('cloud here has no flavor m2; it has: m1', str(exc))

    def test_names(self):
        self.assertEqual(['a', 'b c', 'd'], flavors.names('a, b c ,d'))
        self.assertEqual([], flavors.names(''))
        for text in ('a', 'a,b', 'a,b,', 'a,,b', 'a,b,c,d', ','):
            exc = self.assertRaises(errors.OperatorError, flavors.names,
                                    text)
            self.assertIn('for each of small, medium, large', str(exc))

    def test_parse(self):
        self.assertEqual(flavors.Size('a b', 2, 4096, 40),
                         flavors.parse(' a b: 2:4096 :40'))
        for text in ('', 'a', 'a:1:2', 'a:1:2:x', ':1:2:3', 'a:0:1:1',
                     'a:1:1:1:1'):
            self.assertRaises(ValueError, flavors.parse, text)
