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

"""What is frozen is compared with the documentation."""

from gate import freeze
from gate import nodes
from gate.tests import base

DEFINITIONS = """
- job:
    name: one
    required-projects:
      - openstack/nova
      - name: opendev.org/openstack/devstack
      - github.com/someone/thing
    roles:
      - zuul: zuul/zuul-jobs
- job:
    name: two
    required-projects: openstack/cinder
    secrets: !encrypted/pkcs1-oaep
      - abc
- project-template:
    name: some-jobs
    check:
      jobs:
        - one
"""


class WantedTest(base.TestCase):

    def test_wanted(self):
        self.assertEqual(
            ({'openstack/nova', 'openstack/devstack', 'openstack/cinder',
              'zuul/zuul-jobs'}, {'check'}),
            freeze.wanted([DEFINITIONS, '']))


class DifferencesTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.row = nodes.row('job', 'controller', 'noble', {
            'devstack_localrc': {'LIBVIRT_TYPE': 'qemu'}})

    def test_none(self):
        self.assertEqual(
            [], freeze.differences([self.row], [dict(self.row)]))

    def test_another_value(self):
        other = self.row | {'LIBVIRT_TYPE': 'kvm'}
        self.assertEqual(
            ["job on controller: LIBVIRT_TYPE is 'kvm', and 'qemu' in the "
             'documentation.'], freeze.differences([self.row], [other]))

    def test_node_of_one_side_only(self):
        self.assertEqual(['job on controller: Zuul has no such node.'],
                         freeze.differences([self.row], []))
        self.assertEqual(['job on controller: not in the documentation.'],
                         freeze.differences([], [self.row]))


class CheckoutTest(base.TestCase):

    def test_no_gitreview(self):
        folder = self.checkout('devstack', setup_py='')
        self.assertIn('give PROJECT=PATH',
                      self.refused(freeze._definitions, str(folder)))

    def test_definitions(self):
        folder = self.checkout('devstack', setup_py='')
        (folder / '.zuul.yaml').write_text('[]')
        (folder / '.gitreview').write_text(
            '[gerrit]\nproject=openstack/devstack.git\n')
        self.commit(folder, 'definitions')
        for text, project in (
                (str(folder), 'openstack/devstack'),
                (f'openstack/other={folder}', 'openstack/other')):
            self.assertEqual((project, {'.zuul.yaml': '[]'}),
                             freeze._definitions(text))
