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

"""Stacks of Heat: deploy servers from a template, check and update them."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import json
import pathlib
from typing import Any

from tempest.lib.common import rest_client
from tempest.lib import exceptions

from lm_tempest_plugin import utils

SERVICE = 'orchestration'
SERVER = 'OS::Nova::Server'
# The template that comes with the plugin.
TEMPLATE = pathlib.Path(__file__).parent / 'templates' / 'workload.yaml'
# A server in a group is two stacks deep.
NESTED_DEPTH = 5


class StackError(exceptions.TempestException):
    """Heat refuses a request, or a stack failed. The text says why."""

    message = 'Stack cannot be used'


class NoHeat(StackError):
    """The cloud has no Heat."""


@dataclasses.dataclass(frozen=True)
class Stack:
    """A stack.

    :ivar stack_id: UUID
    :ivar name: its name
    :ivar status: last action and its state, such as CREATE_COMPLETE
    :ivar reason: Heat's reason for the status
    """

    stack_id: str
    name: str
    status: str
    reason: str = ''

    @property
    def path(self) -> str:
        """Its path in the API."""
        return f'stacks/{self.name}/{self.stack_id}'

    @property
    def is_complete(self) -> bool:
        """Whether its last action succeeded, and it exists."""
        return (self.status.endswith('_COMPLETE')
                and not self.status.startswith('DELETE'))

    def __str__(self) -> str:
        return f'stack {self.name} ({self.stack_id})'


@dataclasses.dataclass(frozen=True, order=True)
class StackResource:
    """A resource of a stack, or of a stack within it.

    :ivar name: its name in the template
    :ivar kind: its type, such as OS::Nova::Server
    :ivar physical_id: its id in its own service
    :ivar status: Heat's last action with it and its state; an update that
        does not change it is none
    """

    name: str
    kind: str
    physical_id: str
    status: str


class StacksClient(rest_client.RestClient):
    """Client of Heat's API.

    tempest.lib has none, and Heat's own plugin for Tempest uses heatclient.
    """

    def __init__(self, auth_provider: Any, region: str,
                 **kwargs: Any) -> None:
        """Prepare the client. It makes no request yet.

        :param auth_provider: of the user who owns the stacks, or of an
            administrator
        :param region: name of the region
        :param kwargs: further arguments of tempest.lib's RestClient
        """
        super().__init__(auth_provider, SERVICE, region, **kwargs)

    def check_offered(self) -> None:
        """Refuse a cloud without Heat.

        :raises NoHeat: it has none
        """
        try:
            self.auth_provider.base_url(self.filters)
        except exceptions.EndpointNotFound as exc:
            # The message of exc is the whole catalogue.
            raise NoHeat(f'the cloud has no service {SERVICE} in region '
                         f'{self.region}') from exc

    def check_parameters(self, template: str, given: Mapping[str, object],
                         source: object) -> None:
        """Refuse parameters that a template does not have.

        :param template: its text
        :param given: names and values
        :param source: path of the template, for messages
        :raises StackError: it lacks a parameter, or Heat refuses it
        """
        with _explaining(f'template {source} is refused'):
            known = self._ask('POST', 'validate', {
                'template': template})['Parameters']
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise StackError(
                f'template {source} has no parameter {", ".join(unknown)}; '
                f'it has: {", ".join(sorted(known)) or "none"}')

    def create(self, name: str, template: str,
               parameters: Mapping[str, object], timeout_s: float) -> Stack:
        """Create a stack, and return it when it is complete.

        :param name: its name, unique in the project
        :param template: text of its template
        :param parameters: parameters of the template
        :param timeout_s: time to wait, in seconds
        :raises StackError: Heat refuses, or cannot create all resources
        :raises TimeoutException: it is not complete in time
        """
        with _explaining(f'stack {name} cannot be created'):
            body = self._ask('POST', 'stacks', {
                'stack_name': name, 'template': template,
                'parameters': dict(parameters), 'disable_rollback': True})
        return self._wait(body['stack']['id'], 'CREATE', timeout_s)

    def find(self, identifier: str) -> Stack | None:
        """Return a stack; None if there is none, or none any more.

        :param identifier: its UUID or its name
        """
        try:
            # Heat redirects to the path with name and UUID.
            body = self._ask('GET', f'stacks/{identifier}')['stack']
        except exceptions.NotFound:
            return None
        found = Stack(body['id'], body['stack_name'], body['stack_status'],
                      body['stack_status_reason'] or '')
        return None if found.status == 'DELETE_COMPLETE' else found

    def complete(self, identifier: str) -> Stack:
        """Return a stack that is complete.

        :param identifier: its UUID or its name
        :raises StackError: there is none, or it is not complete
        """
        found = self.find(identifier)
        if found is None:
            raise StackError(f'there is no stack {identifier} that this '
                             f'account can see')
        if not found.is_complete:
            raise StackError(f'{found} is {found.status}, not complete: '
                             f'{found.reason}')
        return found

    def resources(self, stack: Stack) -> list[StackResource]:
        """Return the resources of a stack and of all stacks within it.

        Those stacks themselves are left out.

        :param stack: the stack
        """
        body = self._ask(
            'GET', f'{stack.path}/resources?nested_depth={NESTED_DEPTH}')
        return sorted(StackResource(
            each['resource_name'], each['resource_type'],
            each['physical_resource_id'] or '', each['resource_status'])
            for each in body['resources']
            if 'nested' not in [link['rel'] for link in each['links']])

    def servers(self, stack: Stack) -> list[str]:
        """Return the UUIDs of all servers of a stack.

        :param stack: the stack
        """
        return [each.physical_id for each in self.resources(stack)
                if each.kind == SERVER and each.physical_id]

    def check(self, stack: Stack, timeout_s: float) -> Stack:
        """Let Heat compare a stack with its resources; return it complete.

        :param stack: the stack
        :param timeout_s: time to wait, in seconds
        :raises StackError: a resource is not in the state that it should be
        :raises TimeoutException: the check has not ended in time
        """
        with _explaining(f'{stack} cannot be checked'):
            self._ask('POST', f'{stack.path}/actions', {'check': None})
        return self._wait(stack.stack_id, 'CHECK', timeout_s)

    def update(self, stack: Stack, timeout_s: float) -> Stack:
        """Update a stack with its own template and parameters.

        Heat's preview of it is no substitute: to it, servers within a group
        are to be replaced, because it knows no ids of other resources.

        :param stack: the stack
        :param timeout_s: time to wait, in seconds
        :returns: the stack when it is complete
        :raises StackError: Heat refuses, or cannot update a resource
        :raises TimeoutException: the update has not ended in time
        """
        with _explaining(f'{stack} cannot be updated'):
            self._ask('PATCH', stack.path, {})
        return self._wait(stack.stack_id, 'UPDATE', timeout_s)

    def delete(self, identifier: str, timeout_s: float) -> None:
        """Delete a stack, and wait until it is gone. It need not exist.

        :param identifier: its UUID or its name
        :param timeout_s: time to wait, in seconds
        :raises StackError: Heat cannot delete all resources
        :raises TimeoutException: it is still there
        """
        stack = self.find(identifier)
        if stack is None:
            return
        with contextlib.suppress(exceptions.NotFound):
            self._ask('DELETE', stack.path)
        # By its UUID: another stack may get its name.
        left = utils.wait_until(
            lambda found: found is None or found.status == 'DELETE_FAILED',
            lambda: self.find(stack.stack_id), f'the deletion of {stack}',
            timeout_s, self.build_interval,
            error=exceptions.TimeoutException)
        if left is not None:
            raise StackError(f'{stack} is {left.status}: {left.reason}')

    def _wait(self, stack_id: str, action: str, timeout_s: float) -> Stack:
        """Wait until an action has ended.

        The old status does no harm: Heat answers the request after it has
        stored that the action is in progress.
        """
        ends = (f'{action}_COMPLETE', f'{action}_FAILED')
        utils.wait_until(
            lambda found: found is None or found.status in ends,
            lambda: self.find(stack_id), f'{ends[0]} of stack {stack_id}',
            timeout_s, self.build_interval,
            describe=lambda found: found.status if found else 'none',
            error=exceptions.TimeoutException)
        return self.complete(stack_id)

    def _ask(self, method: str, path: str,
             body: Mapping[str, object] | None = None) -> Any:
        _, text = self.request(
            method, path, body=None if body is None else json.dumps(body))
        return json.loads(text) if text else None


@contextlib.contextmanager
def _explaining(failure: str) -> Iterator[None]:
    """Turn a refusal of Heat into one sentence.

    :param failure: begin of the sentence
    """
    try:
        yield
    except exceptions.ClientRestClientException as exc:
        body = exc.resp_body
        error = body.get('error') if isinstance(body, dict) else None
        text = error.get('message') if isinstance(error, dict) else body
        raise StackError(f'{failure}: {" ".join(str(text).split())}') from exc
