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

import fixtures
from tempest.lib import exceptions as lib_exc
from tempest.lib.services.compute import base_compute_client

from lm_tempest_plugin import cloud
from lm_tempest_plugin.cloud import microversions
from lm_tempest_plugin.tests.unit import base
from lm_tempest_plugin.tests.unit import fakes


class ParseTest(base.TestCase):

    def test_two_numbers(self):
        self.assertEqual((2, 84), microversions.parse('2.84'))
        self.assertEqual((2, 1), microversions.parse('2.1'))

    def test_what_is_none_is_named(self):
        for text in ('', '2', '2.', '.84', '2.84.1', 'v2.84', '2.x', '-2.1',
                     '2,84', ' 2.84', '2.84\n', 'latest', 'abc'):
            exc = self.assertRaises(
                ValueError, microversions.parse, text)
            self.assertEqual(
                '%r is no microversion, such as 2.84' % text, str(exc))

    def test_what_the_package_asks_for_is_one(self):
        self.assertEqual((2, 84), microversions.parse(cloud.MICROVERSION))


class AtLeastTest(base.TestCase):

    def test_the_same_and_later_ones(self):
        for version in ('2.25', '2.26', '2.100', '3.0'):
            self.assertTrue(
                microversions.at_least(version, '2.25'), version)

    def test_earlier_ones_by_number_not_by_text(self):
        for version in ('2.24', '2.3', '1.99'):
            self.assertFalse(
                microversions.at_least(version, '2.25'), version)


class OfferedTest(base.TestCase):

    def test_those_of_the_api_with_microversions(self):
        client = fakes.versions(('v2.0', '', ''), ('v2.1', '2.1', '2.96'))
        self.assertEqual(('2.1', '2.96'), microversions.offered(client))

    def test_a_cloud_without_that_api(self):
        for versions in ([], [('v2.0', '', '')]):
            exc = self.assertRaises(
                lib_exc.InvalidConfiguration, microversions.offered,
                fakes.versions(*versions))
            self.assertIn('no compute API v2.1', str(exc))


class ChooseTest(base.TestCase):

    def choose(self, wanted, default='2.84', oldest='2.1', newest='2.96'):
        return microversions.choose(
            fakes.versions(('v2.1', oldest, newest)), wanted, default)

    def test_the_newest_that_is_known_if_the_cloud_has_it(self):
        self.assertEqual('2.84', self.choose(''))
        self.assertEqual('2.84', self.choose('', newest='2.84'))
        self.assertEqual('2.84', self.choose('', newest='2.100'))

    def test_the_newest_of_an_older_cloud(self):
        self.assertEqual('2.79', self.choose('', newest='2.79'))
        self.assertEqual('2.9', self.choose('', newest='2.9'))

    def test_what_is_wanted_up_to_both_bounds(self):
        for wanted in ('2.1', '2.24', '2.96'):
            self.assertEqual(wanted, self.choose(wanted))

    def test_what_is_wanted_may_be_newer_than_what_is_known(self):
        self.assertEqual('2.96', self.choose('2.96', default='2.84'))

    def test_what_the_cloud_does_not_offer(self):
        for wanted in ('2.0', '2.97', '2.100', '3.0'):
            exc = self.assertRaises(
                lib_exc.InvalidConfiguration, self.choose, wanted)
            self.assertIn('microversion %s is wanted' % wanted, str(exc))
            self.assertIn('2.1 to 2.96', str(exc))


class UsedTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.patch_version('2.84')

    def patch_version(self, version):
        self.useFixture(fixtures.MonkeyPatch(
            'tempest.lib.services.compute.base_compute_client.'
            'COMPUTE_MICROVERSION', version))

    def now(self):
        return base_compute_client.COMPUTE_MICROVERSION

    def test_within_and_after(self):
        with microversions.used('2.24'):
            self.assertEqual('2.24', self.now())
        self.assertEqual('2.84', self.now())

    def test_one_within_another(self):
        with microversions.used('2.24'):
            with microversions.used('2.1'):
                self.assertEqual('2.1', self.now())
            self.assertEqual('2.24', self.now())
        self.assertEqual('2.84', self.now())

    def test_after_an_exception(self):
        def fail():
            with microversions.used('2.24'):
                raise lib_exc.BadRequest()

        self.assertRaises(lib_exc.BadRequest, fail)
        self.assertEqual('2.84', self.now())

    def test_none_comes_back_too(self):
        self.patch_version(None)
        with microversions.used('latest'):
            self.assertEqual('latest', self.now())
        self.assertIsNone(self.now())
