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

import json
from unittest import mock

from tempest.lib import exceptions
import yaml

from lm_tempest_plugin.cloud import stacks
from lm_tempest_plugin.tests.unit import base

STACK = stacks.Stack('uuid', 'name', 'CREATE_COMPLETE')


def shown(status='CREATE_COMPLETE', reason=''):
    """Return Heat's answer about a stack."""
    return {'stack': {'id': 'uuid', 'stack_name': 'name',
                      'stack_status': status, 'stack_status_reason': reason}}


class Response(dict):
    """An answer that is no error."""

    status = 200


class StacksTestCase(base.TestCase):

    def client(self, *answers):
        """Return a client that gets answers, each a body or an exception."""
        auth = mock.Mock()
        auth.auth_request = lambda method, url, headers, body, filters: (
            url, headers, body)
        client = stacks.StacksClient(auth, 'RegionOne', build_interval=0)

        def answer(path, method, headers, body, **kwargs):
            self.asked.append((method, path, body and json.loads(body)))
            found = next(given)
            if isinstance(found, Exception):
                raise found
            return Response(), '' if found is None else json.dumps(found)

        given = iter(answers)
        self.asked = []
        client.raw_request = answer
        return client

    def refused(self, call, *args):
        """Return the text of a StackError, which is one sentence."""
        exc = self.assertRaises(stacks.StackError, call, *args)
        text = str(exc).partition('Details: ')[2]
        self.assertNotIn('\n', text)
        return text


class OfferedTest(StacksTestCase):

    def test_offered(self):
        self.client().check_offered()

    def test_not_offered(self):
        client = self.client()
        client.auth_provider.base_url.side_effect = (
            exceptions.EndpointNotFound('the whole catalogue'))
        exc = self.assertRaises(stacks.NoHeat, client.check_offered)
        self.assertIn('the cloud has no service orchestration in region '
                      'RegionOne', str(exc))
        self.assertNotIn('catalogue', str(exc))


class ParametersTest(StacksTestCase):

    def test_known(self):
        client = self.client({'Parameters': {'count': {}, 'host': {}}})
        client.check_parameters('text', {'count': 4}, 'x.yaml')
        self.assertEqual([('POST', 'validate', {'template': 'text'})],
                         self.asked)

    def test_unknown(self):
        client = self.client({'Parameters': {'count': {}, 'host': {}}})
        self.assertEqual(
            'template x.yaml has no parameter colour, size; it has: count, '
            'host', self.refused(client.check_parameters, 'text', {
                'size': 1, 'count': 4, 'colour': 'red'}, 'x.yaml'))

    def test_no_template(self):
        client = self.client(exceptions.BadRequest(
            {'error': {'message': 'The template\nis no mapping.'}}))
        self.assertEqual('template x is refused: The template is no mapping.',
                         self.refused(client.check_parameters, '', {}, 'x'))

    def test_answer_of_a_proxy(self):
        client = self.client(exceptions.Forbidden('go away'))
        self.assertEqual('template x is refused: go away',
                         self.refused(client.check_parameters, '', {}, 'x'))


class CreateTest(StacksTestCase):

    def test_until_it_is_complete(self):
        client = self.client(shown(), shown('CREATE_IN_PROGRESS'), shown(),
                             shown())
        self.assertEqual(STACK, client.create('name', 'text', {'a': 1}, 60))
        self.assertEqual(('POST', 'stacks', {
            'stack_name': 'name', 'template': 'text', 'parameters': {'a': 1},
            'disable_rollback': True}), self.asked[0])
        self.assertEqual(('GET', 'stacks/uuid', None), self.asked[1])

    def test_it_fails(self):
        failed = shown('CREATE_FAILED', 'No valid host was found')
        client = self.client(shown(), failed, failed)
        self.assertEqual(
            'stack name (uuid) is CREATE_FAILED, not complete: No valid host '
            'was found', self.refused(client.create, 'name', 'x', {}, 60))

    def test_somebody_deletes_it(self):
        client = self.client(shown(), exceptions.NotFound(),
                             exceptions.NotFound())
        self.assertIn('there is no stack uuid',
                      self.refused(client.create, 'name', 'x', {}, 60))

    def test_it_lasts_too_long(self):
        client = self.client(shown(), shown('CREATE_IN_PROGRESS'))
        exc = self.assertRaises(
            exceptions.TimeoutException, client.create, 'name', 'x', {}, 0)
        self.assertIn('last state: CREATE_IN_PROGRESS', str(exc))


class CompleteTest(StacksTestCase):

    def test_states(self):
        for status, complete in (
                ('CREATE_COMPLETE', True), ('CHECK_COMPLETE', True),
                ('UPDATE_IN_PROGRESS', False), ('CHECK_FAILED', False),
                ('DELETE_FAILED', False)):
            client = self.client(shown(status, 'why'))
            if complete:
                self.assertEqual(status, client.complete('uuid').status)
            else:
                self.assertEqual(
                    f'stack name (uuid) is {status}, not complete: why',
                    self.refused(client.complete, 'uuid'))

    def test_gone(self):
        for answer in (exceptions.NotFound(), shown('DELETE_COMPLETE')):
            self.assertEqual(
                'there is no stack uuid that this account can see',
                self.refused(self.client(answer).complete, 'uuid'))


class ResourcesTest(StacksTestCase):

    def test_servers_of_stacks_within_it(self):
        client = self.client({'resources': [
            {'resource_name': name, 'resource_type': kind,
             'physical_resource_id': physical,
             'resource_status': 'CREATE_COMPLETE',
             'links': [{'rel': 'self'}, *({'rel': each} for each in links)]}
            for name, kind, physical, *links in (
                ('servers', 'OS::Heat::ResourceGroup', 'group', 'nested'),
                ('1', stacks.SERVER, 'two'), ('0', stacks.SERVER, 'one'),
                ('2', stacks.SERVER, None), ('key', 'OS::X', 'three'))]})
        found = client.resources(STACK)
        self.assertEqual(stacks.StackResource(
            '0', stacks.SERVER, 'one', 'CREATE_COMPLETE'), found[0])
        self.assertEqual(['one', 'two', '', 'three'],
                         [each.physical_id for each in found])
        self.assertEqual([('GET', 'stacks/name/uuid/resources?nested_depth=5',
                           None)], self.asked)

    def test_servers(self):
        client = self.client()
        client.resources = lambda stack: [
            stacks.StackResource('0', stacks.SERVER, 'one', 'CREATE_COMPLETE'),
            # Heat has not requested it yet.
            stacks.StackResource('1', stacks.SERVER, '', 'INIT_COMPLETE'),
            stacks.StackResource('key', 'OS::X', 'two', 'CREATE_COMPLETE')]
        self.assertEqual(['one'], client.servers(STACK))


class ActionsTest(StacksTestCase):

    def test_check(self):
        done = shown('CHECK_COMPLETE')
        client = self.client(None, shown('CHECK_IN_PROGRESS'), done, done)
        self.assertEqual('CHECK_COMPLETE', client.check(STACK, 60).status)
        self.assertEqual(('POST', 'stacks/name/uuid/actions', {'check': None}),
                         self.asked[0])

    def test_a_server_is_not_active(self):
        failed = shown('CHECK_FAILED', "'status': expected 'ACTIVE'")
        client = self.client(None, failed, failed)
        self.assertIn("expected 'ACTIVE'",
                      self.refused(client.check, STACK, 60))

    def test_update(self):
        done = shown('UPDATE_COMPLETE')
        client = self.client(None, done, done)
        self.assertEqual('UPDATE_COMPLETE', client.update(STACK, 60).status)
        self.assertEqual(('PATCH', 'stacks/name/uuid', {}), self.asked[0])


class DeleteTest(StacksTestCase):

    def test_until_it_is_gone(self):
        for end in (exceptions.NotFound(), shown('DELETE_COMPLETE')):
            client = self.client(shown(), None, shown('DELETE_IN_PROGRESS'),
                                 end)
            client.delete('name', 60)
            self.assertEqual(
                [('GET', 'stacks/name', None),
                 ('DELETE', 'stacks/name/uuid', None),
                 ('GET', 'stacks/uuid', None), ('GET', 'stacks/uuid', None)],
                self.asked)

    def test_there_is_none(self):
        self.client(exceptions.NotFound()).delete('name', 60)
        self.client(shown(), exceptions.NotFound(),
                    exceptions.NotFound()).delete('name', 60)

    def test_it_fails(self):
        failed = shown('DELETE_FAILED', 'in use')
        client = self.client(shown(), None, failed)
        self.assertEqual('stack name (uuid) is DELETE_FAILED: in use',
                         self.refused(client.delete, 'name', 60))


class TemplateTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.template = yaml.safe_load(stacks.TEMPLATE.read_text('utf-8'))

    def test_every_parameter_is_described_and_used(self):
        text = json.dumps([self.template['conditions'],
                           self.template['resources']])
        for name, each in self.template['parameters'].items():
            self.assertTrue(each['description'], name)
            self.assertIn(json.dumps({'get_param': name}), text)

    def test_rules(self):
        rules = self.template['resources']['security_group']['properties'][
            'rules']
        self.assertEqual(6, len(rules))
        for version in ('IPv4', 'IPv6'):
            self.assertEqual(
                ['icmp', 22, {'get_param': 'echo_port'}],
                [each.get('port_range_min', each['protocol'])
                 for each in rules if each['ethertype'] == version])
